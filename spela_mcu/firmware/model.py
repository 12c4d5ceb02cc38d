"""An integer network as C source: dimensions and tables, from templates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from spela_mcu import __version__
from spela_mcu.data.dataset import InputScaling, numbered_names
from spela_mcu.firmware.backbone import BackboneView
from spela_mcu.firmware.front_end import front_end_files
from spela_mcu.firmware.literals import c_string, literal
from spela_mcu.firmware.quantizer import quantizer_files
from spela_mcu.firmware.selftest import SelfTest, make_selftest
from spela_mcu.firmware.templates import render
from spela_mcu.fixed_point.arena import MemoryInFlash, arena_bytes, memory_in_flash
from spela_mcu.fixed_point.fields import POINTER, Field
from spela_mcu.fixed_point.layer import LayerPlan
from spela_mcu.fixed_point.layout import padded
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import FixedPointPlan, dense_format
from spela_mcu.fixed_point.structures import (
    CONTINUAL_FIELDS,
    LAYER_FIELDS,
    MODEL_FIELDS,
    WINDOW_FIELDS,
    ContinualStructure,
    LayerStructure,
    model_structure,
    table_bytes,
)
from spela_mcu.front_end.structures import front_end_structure
from spela_mcu.spec.learning import Format
from spela_mcu.store.payload import payload_bytes


@dataclass(frozen=True)
class ModelSource:
    """The generated model.

    Attributes:
        header, source, selftest: the texts of three files.
        backbone: that of the frozen network in front of the layers, if there is one.
        backbone_parts: the parts of the runtime that such a network needs.
        front_end: texts of the files that make samples of raw readings, by name.
        front_end_parts: the parts of the runtime that these need.
        front_end_bytes: RAM of the front end.
        has_convolutions: whether some of the layers are convolutions.
        is_continual: whether classes come and go.
        keeps_means: whether means of such classes are kept, not samples.
        memory_in_flash: what of the rehearsal memory lies in flash; None: nothing does.
        quantizer: texts of the files that turn raw values into inputs, by name.
        weights: their format.
        batch: updates of a layer that are summed before the sum is rounded.
        inputs: number of values of a sample.
        arena_bytes: RAM that the network needs, exactly.
        table_bytes: constant data in flash, exactly (except class names and the self-test's
            vectors, which are linked only if used).
        selftest_bytes: bytes of these vectors.
        class_names: one per class.
        digest: CRC-32 of all tables and parameters.
        infer_macs: multiply-accumulates of an inference at the last exit.
        state_bytes: the network's learned state in flash, at most.
    """

    name: str
    header: str
    source: str
    selftest: str
    backbone: str | None
    backbone_parts: tuple[str, ...]
    has_convolutions: bool
    front_end: dict[str, str]
    front_end_parts: tuple[str, ...]
    front_end_bytes: int
    is_continual: bool
    keeps_means: bool
    memory_in_flash: MemoryInFlash | None
    has_softmax: bool
    quantizer: dict[str, str]
    weights: Format
    batch: int
    inputs: int
    classes: int
    class_names: tuple[str, ...]
    layers: int
    arena_bytes: int
    table_bytes: int
    selftest_bytes: int
    digest: int
    infer_macs: int
    state_bytes: int

    @property
    def files(self) -> dict[str, str]:
        """Its files, under names that no other header or source has, whatever the model's."""
        return {
            f"{self.name}_model.h": self.header,
            f"{self.name}_model.c": self.source,
            f"{self.name}_model_selftest.c": self.selftest,
            **({} if self.backbone is None else {f"{self.name}_backbone.c": self.backbone}),
            **self.front_end,
            **self.quantizer,
        }


@dataclass(frozen=True)
class Table:
    """A constant array for the template."""

    name: str
    title: str
    type: str
    lines: str
    bytes: int


@dataclass(frozen=True)
class ContinualView:
    """What a model has for classes that come and go, for the template.

    Attributes:
        members: those of its structure, except its pointers.
        seen: samples of each class seen at the start; empty: none.
        memory: lines of what it holds at the start, a sample or a mean each.
        memory_type: of its elements.
        memory_bytes: of all of it.
        limits: below which each exit's answers are unknown at the start; empty: none.
    """

    members: tuple[tuple[str, str], ...]
    seen: tuple[int, ...]
    memory: tuple[str, ...]
    memory_type: str
    memory_bytes: int
    limits: tuple[int, ...]

    @classmethod
    def of(cls, plan: FixedPointPlan, made: ContinualStructure) -> Self:
        """The view of a plan's structure."""
        members = tuple(
            (field.name, literal(field, made.scalars[field.name]))
            for field in CONTINUAL_FIELDS
            if field.name in made.scalars
        )
        size = padded(plan.inputs)
        seen = np.frombuffer(made.seen or b"", "<u4").tolist()
        content = made.memory or b""
        type_, form = ("uint16_t", "<u2") if plan.keeps_means else ("int8_t", "i1")
        rows = np.frombuffer(content, form).reshape(-1, size).tolist()
        lines = tuple(", ".join(map(str, one)) for one in rows)
        limits = np.frombuffer(made.limits or b"", "<i2").tolist()
        return cls(members, tuple(seen), lines, type_, len(content), tuple(limits))


@dataclass(frozen=True)
class ModelView:
    """A model for the templates.

    Attributes:
        tables: of all layers.
        windows: of convolutions: the structure's name, its C members and their values.
        continual: what there is for classes that come and go.
        layer_members: for each layer's structure, its C members and their values.
        runtime: the parts of the runtime that the model refers to.
        members: those of the model's structure, except its pointers.
    """

    name: str
    macro: str
    version: str
    digest_hex: str
    plan: FixedPointPlan
    arena_bytes: int
    tables: tuple[Table, ...]
    windows: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    layer_members: tuple[tuple[tuple[str, str], ...], ...]
    continual: ContinualView | None
    runtime: str
    members: tuple[tuple[str, str], ...]
    class_names: tuple[str, ...]
    selftest: SelfTest

    @property
    def selftest_lines(self) -> tuple[str, ...]:
        """The self-test's samples, 16 numbers per line."""
        numbers = self.selftest.samples.ravel().tolist()
        return tuple(
            ", ".join(map(str, numbers[first : first + 16])) for first in range(0, len(numbers), 16)
        )


def model_source(
    name: str,
    network: IntegerNetwork,
    class_names: tuple[str, ...],
    scaling: InputScaling,
    *,
    drawn: bool,
    inference_only: bool = False,
    input_names: tuple[str, ...] | None = None,
) -> ModelSource:
    """Generates the model's C source.

    With a front end there is no quantiser, since it makes samples of raw readings; nor is there
    with a backbone: a sample becomes int8 by the scale and the zero point that the header tells.

    Args:
        name: a C identifier in lower case.
        network: its initial weights go to flash.
        class_names: one per class, or one per class that is not spare.
        scaling: how raw values become int8.
        drawn: the weights are the untrained ones, which the chip draws from the seed by itself.
        inference_only: weights stay in flash and are never learned.
        input_names: one per input; None: they are numbered.
    """
    if inference_only:
        network = network.inferring()
        class_names = class_names[: network.plan.classes]
    plan = network.plan
    class_names = with_spares(class_names, plan.classes)
    weights_in_flash = inference_only or not drawn
    made = model_structure(
        plan, network.initial if weights_in_flash else None, inference_only=inference_only
    )
    digest = made.scalars["digest"]
    arena = arena_bytes(plan, inference_only=inference_only)
    sensing = None if plan.front_end is None else front_end_structure(plan.front_end)
    backbone = None if plan.front is None else BackboneView.of(plan.front)
    width = dense_format(plan.weights)
    view = ModelView(
        name=name,
        macro=name.upper(),
        version=__version__,
        digest_hex=f"0x{digest:08X}",
        plan=plan,
        arena_bytes=arena,
        tables=tuple(
            _table(plan, index, field, content)
            for index, layer in enumerate(made.layers)
            for field, content in layer.tables.items()
            if content is not None
        ),
        windows=tuple(
            (_array_name(index, "window"), tuple(_window_members(layer.window)))
            for index, layer in enumerate(made.layers)
            if layer.window is not None
        ),
        layer_members=tuple(
            tuple(_layer_members(index, layer)) for index, layer in enumerate(made.layers)
        ),
        continual=None if made.continual is None else ContinualView.of(plan, made.continual),
        runtime=f"spela_runtime_for_{width}_{_use(plan, inference_only=inference_only)}",
        members=tuple(
            (field.name, _literal(field, made.scalars[field.name]))
            for field in MODEL_FIELDS
            if field.name in made.scalars
        ),
        class_names=tuple(c_string(text) for text in class_names),
        selftest=make_selftest(network, inference_only=inference_only),
    )
    return ModelSource(
        name=name,
        header=render("model.h.j2", m=view),
        source=render("model.c.j2", m=view),
        selftest=render("model_selftest.c.j2", m=view),
        quantizer=(
            quantizer_files(name, scaling, input_names or numbered_names(plan.inputs))
            if backbone is None and plan.front_end is None
            else {}
        ),
        front_end=({} if plan.front_end is None else front_end_files(name, digest, plan.front_end)),
        front_end_parts=() if sensing is None else sensing.parts,
        front_end_bytes=0 if sensing is None else sensing.ram_bytes,
        weights=plan.weights,
        batch=plan.batch,
        backbone=None if backbone is None else render("backbone.c.j2", m=view, b=backbone),
        backbone_parts=() if backbone is None else backbone.parts,
        has_convolutions=plan.has_convolutions,
        is_continual=plan.continual is not None,
        keeps_means=plan.keeps_means,
        memory_in_flash=memory_in_flash(plan),
        has_softmax=plan.loss == "softmax",
        inputs=plan.sample_inputs,
        classes=plan.classes,
        class_names=class_names,
        layers=len(plan.matrices),
        arena_bytes=arena,
        table_bytes=table_bytes(plan, weights_in_flash=weights_in_flash),
        selftest_bytes=view.selftest.vector_bytes,
        digest=digest,
        infer_macs=plan.infer_macs,
        state_bytes=payload_bytes(plan),
    )


def with_spares(names: tuple[str, ...], classes: int) -> tuple[str, ...]:
    """The names of all classes, those of the spare ones behind the others'."""
    return (*names, *(f"spare {number}" for number in range(1, classes - len(names) + 1)))


def _array_name(index: int, field: str) -> str:
    return f"layer{index}_{field.rpartition('.')[2]}"


def _use(plan: FixedPointPlan, *, inference_only: bool) -> str:
    """What the model asks of a runtime: the least that serves it."""
    if inference_only:
        return "inference"
    return "learning" if plan.batch == 1 else "batches"


def _table(plan: FixedPointPlan, index: int, field: str, content: bytes) -> Table:
    layer = plan.matrices[index]
    if field == "weights":
        dtype = "<i2" if layer.format == "int16" else "<i1"
        title = f"weights [{layer.units}][{layer.inputs}], padded, {layer.weight_bits} bits"
        if layer.format == "int12":
            title += ": the upper 8, then the others, two in a byte"
    else:
        assert isinstance(layer, LayerPlan)
        dtype, shift = "<i1", layer.exit.embedding_shift
        title = f"embeddings [{plan.classes}][{layer.units}], padded, Q{7 - shift}.{shift}"
    return Table(
        name=_array_name(index, field),
        title=f"Layer {index}: {title}.",
        type=f"{np.dtype(dtype).name}_t",
        lines=_block_lines(content, dtype),
        bytes=len(content),
    )


def _layer_members(index: int, layer: LayerStructure) -> Iterator[tuple[str, str]]:
    for field in LAYER_FIELDS:
        if field.name == "window":
            yield field.name, "NULL" if layer.window is None else f"&{_array_name(index, 'window')}"
        elif field.type == POINTER:
            shown = layer.tables.get(field.name) is not None
            yield field.name, _array_name(index, field.name) if shown else "NULL"
        else:
            yield field.name, _literal(field, layer.scalars[field.name])


def _window_members(window: dict[str, int]) -> Iterator[tuple[str, str]]:
    for field in WINDOW_FIELDS:
        yield field.name, literal(field, window[field.name])


def _literal(field: Field, value: int) -> str:
    return f"0x{value:08X}U" if field.name == "digest" else literal(field, value)


def _block_lines(packed: bytes, dtype: str) -> str:
    numbers = np.frombuffer(packed, dtype).tolist()
    blocks = (numbers[first : first + 16] for first in range(0, len(numbers), 16))
    return "\n".join(f"    {', '.join(map(str, block))}," for block in blocks)

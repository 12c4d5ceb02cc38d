"""A model as the C structures of spela.h: the one list of their fields, for every writer.

The generated source, the model's digest, the host library and the tests' fuzzers follow these
lists; a test compares them with the header. A field of a layer has the name of its attribute in
`LayerPlan`, with a dot for a nested structure.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from spela_mcu.fixed_point.arena import weight_bytes
from spela_mcu.fixed_point.continual import ContinualPlan, memory_content
from spela_mcu.fixed_point.fields import POINTER, Field, number, packed, structure
from spela_mcu.fixed_point.front import FrontStructure, front_structure
from spela_mcu.fixed_point.layer import ConvolutionPlan, LayerPlan, MatrixPlan
from spela_mcu.fixed_point.layout import pack, padded
from spela_mcu.fixed_point.maps import Window
from spela_mcu.fixed_point.plan import FixedPointPlan
from spela_mcu.front_end.structures import front_end_structure

LOSS_NUMBERS: dict[str, int] = {"cosine": 0, "log_cosine": 1, "margin": 2, "softmax": 3}
"""spela_loss_t."""

UNKNOWN_BY_NUMBERS = {"cosine": 1, "margin": 2}
"""spela_unknown_by_t."""

KEEPS_NUMBERS = {"samples": 0, "means": 1}
"""spela_keeps_t."""

FLAG_WEIGHTS_INT16, FLAG_ROUND_NEAREST, FLAG_INFERENCE_ONLY = 1, 2, 4
FLAG_BIAS, FLAG_WEIGHT_DECAY = 8, 16

DIGEST_FORMAT = 1
"""Version of the digest's content; raised whenever equal models would get other digests."""

LAYER_FIELDS = (
    Field("weights", POINTER),
    Field("window", POINTER),
    Field("seed", "uint32"),
    Field("inputs", "uint16"),
    Field("units", "uint16"),
    Field("kind", "uint8"),
    Field("weight_bits", "uint8"),
    Field("leak_shift", "uint8"),
    Field("exit.embeddings", POINTER),
    Field("exit.exit_margin", "int16"),
    Field("exit.reject_cosine", "int16"),
    Field("exit.embedding_shift", "uint8"),
    Field("learner.rate_mantissa", "uint16"),
    Field("learner.rate_shift", "int16"),
)
"""spela_layer_t."""

WINDOW_FIELDS = (
    Field("rows", "uint16"),
    Field("columns", "uint16"),
    Field("channels", "uint16"),
    *(
        Field(f"{sides}.{axis}", "uint8")
        for sides in ("kernel", "stride", "pool", "grid")
        for axis in ("rows", "columns")
    ),
)
"""spela_window_t."""

MODEL_FIELDS = (
    Field("layers", POINTER),
    Field("front", POINTER),
    Field("runtime", POINTER),
    Field("digest", "uint32"),
    Field("seed", "uint32"),
    Field("halve_rate_every", "uint32"),
    Field("classes", "uint16"),
    Field("margin", "int16"),
    Field("layer_count", "uint8"),
    Field("loss", "uint8"),
    Field("flags", "uint8"),
    Field("rate_halvings", "uint8"),
    Field("batch", "uint8"),
    Field("continual", POINTER),
)
"""spela_model_t."""

CONTINUAL_FIELDS = (
    Field("runtime", POINTER),
    Field("memory", POINTER),
    Field("seen", POINTER),
    Field("known", "uint16"),
    Field("capacity", "uint16"),
    Field("ratio", "uint8"),
    Field("unknown_by", "uint8"),
    Field("keeps", "uint8"),
    Field("limits", POINTER),
    Field("rise", "uint32"),
)
"""spela_continual_t, without its pointer to flash, which no digest depends on."""

LAYER_BYTES = structure(LAYER_FIELDS).itemsize
MODEL_BYTES = structure(MODEL_FIELDS).itemsize
WINDOW_BYTES = structure(WINDOW_FIELDS).itemsize
CONTINUAL_BYTES = structure(CONTINUAL_FIELDS).itemsize
FLASH_POINTER_BYTES = structure((Field("flash", POINTER),)).itemsize


def table_bytes(plan: FixedPointPlan, *, weights_in_flash: bool) -> int:
    """Bytes of a model's constants: structures, embeddings, and weights unless drawn on chip.

    With a backbone, its structures and tables as well.
    """
    embeddings = sum(padded(plan.classes) * padded(layer.units) for layer in plan.layers)
    weights = weight_bytes(plan) if weights_in_flash else 0
    front = 0 if plan.front is None else front_structure(plan.front).flash_bytes
    windows = WINDOW_BYTES * (len(plan.matrices) - len(plan.layers))
    structures = MODEL_BYTES + len(plan.matrices) * LAYER_BYTES + windows
    continual = 0
    if plan.continual is not None:
        continual = CONTINUAL_BYTES + FLASH_POINTER_BYTES * plan.continual.in_flash
        if weights_in_flash and plan.continual.capacity:
            known = plan.continual.known
            continual += 4 * known + plan.continual.kept_bytes(known, plan.inputs)
        if plan.continual.unknown is not None:
            continual += 2 * len(plan.layers)
    front_end = 0 if plan.front_end is None else front_end_structure(plan.front_end).flash_bytes
    return structures + embeddings + weights + front + front_end + continual


@dataclass(frozen=True)
class LayerStructure:
    """One layer's structure.

    Attributes:
        scalars: the fields that are not pointers, by name.
        tables: what the pointers point to, packed; None for a null pointer.
        window: the fields of a convolution's spela_window_t.
    """

    scalars: dict[str, int]
    tables: dict[str, bytes | None]
    window: dict[str, int] | None = None


@dataclass(frozen=True)
class ModelStructure:
    """A whole model's structures; see `LayerStructure`."""

    scalars: dict[str, int]
    layers: tuple[LayerStructure, ...]
    front: FrontStructure | None
    continual: ContinualStructure | None = None


@dataclass(frozen=True)
class ContinualStructure:
    """What a model has for classes that come and go.

    Attributes:
        scalars: the fields of spela_continual_t that are not pointers.
        seen: samples of each class seen at the start, uint32; None for a null pointer.
        memory: what it holds at the start, as many slots for each class; None likewise.
        limits: below which each exit's answers are unknown at the start, int16; None likewise.
    """

    scalars: dict[str, int]
    seen: bytes | None
    memory: bytes | None
    limits: bytes | None

    @property
    def content(self) -> bytes:
        """All that the model's digest depends on."""
        tables = (table or b"" for table in (self.seen, self.memory, self.limits))
        return packed(CONTINUAL_FIELDS, self.scalars) + b"".join(tables)


def continual_structure(plan: ContinualPlan, inputs: int) -> ContinualStructure:
    """The structure of a plan for samples of so many inputs."""
    unknown = plan.unknown
    scalars = {
        "known": plan.known,
        "capacity": plan.capacity,
        "ratio": plan.ratio,
        "keeps": KEEPS_NUMBERS[plan.keeps],
        "unknown_by": 0 if unknown is None else UNKNOWN_BY_NUMBERS[unknown.by],
        "rise": 0 if unknown is None else unknown.rise,
    }
    limits = None if unknown is None else np.array(unknown.limits, "<i2").tobytes()
    if plan.memory is None:
        return ContinualStructure(scalars, None, None, limits)
    size = plan.memory_bytes(1, inputs)
    kept = b"".join(memory_content(one).ljust(size, b"\0") for one in plan.memory.slots)
    if plan.memory.deviation is not None:
        kept = memory_content([plan.memory.deviation]) + kept
    seen = plan.memory.seen.astype("<u4").tobytes()
    return ContinualStructure(scalars, seen, kept, limits)


def model_structure(
    plan: FixedPointPlan,
    weights: Sequence[NDArray[np.int64]] | None,
    *,
    inference_only: bool = False,
) -> ModelStructure:
    """A model's structures.

    Args:
        plan: its formats.
        weights: each layer's initial weights [units, inputs]; None: the chip draws them.
        inference_only: weights stay in flash and are never learned.
    """
    layers = tuple(
        _layer_structure(layer, None if weights is None else weights[index])
        for index, layer in enumerate(plan.matrices)
    )
    scalars = {
        "seed": plan.dither_seed,
        "halve_rate_every": plan.halve_rate_every,
        "classes": plan.classes,
        "margin": plan.margin,
        "layer_count": len(layers),
        "loss": LOSS_NUMBERS[plan.loss],
        "flags": FLAG_WEIGHTS_INT16 * (plan.weights == "int16")
        | FLAG_ROUND_NEAREST * (plan.rounding == "nearest")
        | FLAG_INFERENCE_ONLY * inference_only
        | FLAG_BIAS * plan.bias
        | FLAG_WEIGHT_DECAY * plan.weight_decay,
        "rate_halvings": plan.rate_halvings,
        "batch": plan.batch,
    }
    front = None if plan.front is None else front_structure(plan.front)
    around = b"" if front is None else front.content
    if plan.front_end is not None:
        around += front_end_structure(plan.front_end).content
    continual = None
    if plan.continual is not None:
        continual = continual_structure(plan.continual, plan.inputs)
        around += continual.content
    digest = _digest(scalars, layers, around)
    return ModelStructure({"digest": digest} | scalars, layers, front, continual)


def model_digests(plan: FixedPointPlan, initial: Sequence[NDArray[np.int64]]) -> tuple[int, ...]:
    """The digests that a network's model can have when it learns.

    They differ by where its initial weights [units, inputs] come from: flash, or the chip's own
    draw.
    """
    drawn = [model_structure(plan, weights) for weights in (initial, None)]
    return tuple(one.scalars["digest"] for one in drawn)


def _layer_structure(matrix: MatrixPlan, weights: NDArray[np.int64] | None) -> LayerStructure:
    tables = {
        "weights": None if weights is None else pack(weights, matrix.format),
        "exit.embeddings": None,
    }
    fields = [field.name for field in LAYER_FIELDS if field.type != POINTER]
    if isinstance(matrix, LayerPlan):
        tables["exit.embeddings"] = pack(matrix.exit.embedding, "int8")
        return LayerStructure({name: attrgetter(name)(matrix) for name in fields}, tables)
    assert isinstance(matrix, ConvolutionPlan)
    scalars = {
        name: 0 if name.startswith("exit.") or name == "leak_shift" else attrgetter(name)(matrix)
        for name in fields
    }
    return LayerStructure(scalars, tables, _window(matrix.window))


def _window(window: Window) -> dict[str, int]:
    shape = {"rows": window.map.height, "columns": window.map.width}
    sides = {
        f"{name}.{axis}": getattr(getattr(window, name), axis)
        for name in ("kernel", "stride", "pool", "grid")
        for axis in ("rows", "columns")
    }
    return {**shape, "channels": window.map.channels, **sides}


def _digest(scalars: Mapping[str, int], layers: Sequence[LayerStructure], around: bytes) -> int:
    """CRC-32 over the format's number, all scalars, and all tables after their lengths.

    What is around the layers comes last, if there is anything: what stands in front of them, the
    front end, and what there is for classes that come and go.
    """
    crc = zlib.crc32(number(DIGEST_FORMAT, "uint32") + packed(MODEL_FIELDS, scalars))
    for layer in layers:
        crc = zlib.crc32(packed(LAYER_FIELDS, layer.scalars), crc)
        for table in layer.tables.values():
            content = table or b""
            crc = zlib.crc32(number(len(content), "uint32") + content, crc)
        if layer.window is not None:
            crc = zlib.crc32(packed(WINDOW_FIELDS, layer.window), crc)
    return zlib.crc32(around, crc)

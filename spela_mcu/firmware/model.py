"""An integer network as C source: dimensions and tables, by template."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from textwrap import wrap

import numpy as np
from numpy.typing import NDArray

from spela_mcu import __version__
from spela_mcu.data.dataset import INPUT_MAX, InputScaling
from spela_mcu.firmware.templates import render
from spela_mcu.fixed_point.arena import arena_bytes
from spela_mcu.fixed_point.layout import pack, padded
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import FixedPointPlan, LayerPlan

LAYER_STRUCT_BYTES = 28
MODEL_STRUCT_BYTES = 24
"""Sizes of spela_layer_t and spela_model_t on a 32-bit core; tests hold the ELF against them."""

FLAG_WEIGHTS_INT16, FLAG_ROUND_NEAREST, FLAG_INFERENCE_ONLY = 1, 2, 4


@dataclass(frozen=True)
class ModelSource:
    """The generated model.

    Attributes:
        header, source: texts of <name>.h and <name>.c.
        weights: their width, ``int8`` or ``int16``.
        arena_bytes: RAM that the network needs, exactly.
        table_bytes: constant data in flash, exactly (class names aside: linked only if used).
        digest: CRC-32 of all tables and parameters.
        infer_macs: multiply-accumulates of an inference at the last exit.
    """

    name: str
    header: str
    source: str
    weights: str
    inputs: int
    classes: int
    layers: int
    arena_bytes: int
    table_bytes: int
    digest: int
    infer_macs: int


@dataclass(frozen=True)
class LayerTables:
    """One layer as the template sees it."""

    inputs: int
    units: int
    weight_bits: int
    embedding_shift: int
    leak_shift: int
    rate_mantissa: int
    rate_shift: int
    seed: int
    exit_margin: int
    reject_cosine: int
    weight_lines: str
    weight_bytes: int
    embedding_lines: str
    embedding_bytes: int


@dataclass(frozen=True)
class ModelTables:
    """A model as the template sees it."""

    name: str
    macro: str
    version: str
    digest_hex: str
    input_notes: tuple[str, ...]
    inputs: int
    classes: int
    weights: str
    weight_type: str
    arena_bytes: int
    layers: tuple[LayerTables, ...]
    seed: int
    halve_rate_every: int
    rate_halvings: int
    margin: int
    loss: str
    flags: int
    class_names: tuple[str, ...]


def model_source(
    name: str,
    network: IntegerNetwork,
    class_names: tuple[str, ...],
    scaling: InputScaling,
    *,
    drawn: bool,
    inference_only: bool = False,
) -> ModelSource:
    """Generates the model's C source.

    Args:
        name: a C identifier in lower case.
        network: its initial weights go to flash.
        class_names: one a class.
        scaling: how raw inputs become int8, told in the header.
        drawn: the weights are the untrained ones, which the chip draws from the seed by itself.
        inference_only: weights stay in flash and are never learned.
    """
    plan = network.plan
    has_weights = inference_only or not drawn
    layers = tuple(
        _layer_tables(plan, layer, weights if has_weights else None)
        for layer, weights in zip(plan.layers, network.initial, strict=True)
    )
    digest = _digest(network, has_weights=has_weights, inference_only=inference_only)
    arena = arena_bytes(plan, inference_only=inference_only)
    tables = ModelTables(
        name=name,
        macro=name.upper(),
        version=__version__,
        digest_hex=f"0x{digest:08X}",
        input_notes=_input_notes(scaling),
        inputs=plan.inputs,
        classes=plan.classes,
        weights=plan.weights,
        weight_type=f"{plan.weights}_t",
        arena_bytes=arena,
        layers=layers,
        seed=plan.dither_seed,
        halve_rate_every=plan.halve_rate_every,
        rate_halvings=plan.rate_halvings,
        margin=plan.margin,
        loss=f"SPELA_LOSS_{plan.loss.upper()}",
        flags=_flags(plan, inference_only=inference_only),
        class_names=tuple(_c_string(text) for text in class_names),
    )
    return ModelSource(
        name=name,
        header=render("model.h.j2", m=tables),
        source=render("model.c.j2", m=tables),
        weights=plan.weights,
        inputs=plan.inputs,
        classes=plan.classes,
        layers=len(layers),
        arena_bytes=arena,
        table_bytes=MODEL_STRUCT_BYTES
        + sum(LAYER_STRUCT_BYTES + table.embedding_bytes + table.weight_bytes for table in layers),
        digest=digest,
        infer_macs=plan.macs,
    )


def _layer_tables(
    plan: FixedPointPlan, layer: LayerPlan, weights: NDArray[np.int64] | None
) -> LayerTables:
    embedding = pack(layer.embedding, np.int8)
    packed = b"" if weights is None else pack(weights, plan.weight_type)
    return LayerTables(
        inputs=layer.inputs,
        units=layer.units,
        weight_bits=layer.weight_bits,
        embedding_shift=layer.embedding_shift,
        leak_shift=layer.leak_shift,
        rate_mantissa=layer.rate_mantissa,
        rate_shift=layer.rate_shift,
        seed=layer.seed,
        exit_margin=layer.exit_margin,
        reject_cosine=layer.reject_cosine,
        weight_lines=_block_lines(packed, plan.weight_type),
        weight_bytes=len(packed),
        embedding_lines=_block_lines(embedding, np.int8),
        embedding_bytes=padded(plan.classes) * padded(layer.units),
    )


def _block_lines(packed: bytes, dtype: type[np.int8] | type[np.int16]) -> str:
    blocks = np.frombuffer(packed, np.dtype(dtype).newbyteorder("<")).reshape(-1, 16)
    return "\n".join(f"    {', '.join(map(str, block))}," for block in blocks.tolist())


def _digest(network: IntegerNetwork, *, has_weights: bool, inference_only: bool) -> int:
    plan = network.plan
    crc = zlib.crc32(
        repr(
            (
                plan.classes,
                plan.weights,
                plan.rounding,
                plan.loss,
                plan.margin,
                plan.halve_rate_every,
                plan.rate_halvings,
                plan.dither_seed,
                has_weights,
                inference_only,
            )
        ).encode()
    )
    for layer, weights in zip(plan.layers, network.initial, strict=True):
        parameters = (
            layer.inputs,
            layer.units,
            layer.weight_bits,
            layer.embedding_shift,
            layer.rate_mantissa,
            layer.rate_shift,
            layer.leak_shift,
            layer.seed,
            layer.exit_margin,
            layer.reject_cosine,
        )
        crc = zlib.crc32(repr(parameters).encode(), crc)
        crc = zlib.crc32(pack(layer.embedding, np.int8), crc)
        crc = zlib.crc32(pack(weights, plan.weight_type), crc)
    return crc


def _flags(plan: FixedPointPlan, *, inference_only: bool) -> int:
    return (
        FLAG_WEIGHTS_INT16 * (plan.weights == "int16")
        | FLAG_ROUND_NEAREST * (plan.rounding == "nearest")
        | FLAG_INFERENCE_ONLY * inference_only
    )


def _c_string(text: str) -> str:
    """A C string literal of any text: UTF-8, everything but plain ASCII as octal escapes."""
    plain = (
        chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}"
        for byte in text.encode()
    )
    return f'"{"".join(plain)}"'


def _input_notes(scaling: InputScaling) -> tuple[str, ...]:
    """How the firmware's user makes an int8 input from a raw one, as comment lines."""
    scale = scaling.scale.astype(np.float64) * INPUT_MAX
    head = f"input = round((raw - offset) * scale), clipped to -{INPUT_MAX} .. {INPUT_MAX}; "
    if np.all(scaling.scale == scaling.scale[0]) and np.all(scaling.offset == scaling.offset[0]):
        return tuple(wrap(f"{head}offset {scaling.offset[0]:.9g}, scale {scale[0]:.9g}.", width=94))
    pairs = ", ".join(
        f"{offset:.9g} {factor:.9g}"
        for offset, factor in zip(scaling.offset.tolist(), scale.tolist(), strict=True)
    )
    return (*wrap(f"{head}offset and scale of each input:", width=94), *wrap(pairs, width=94))

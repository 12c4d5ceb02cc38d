"""A backbone as the C structures of spela_backbone.h: the one list of their fields.

Every writer follows it: the generated source, the digest, the host library. A test compares it
with the header.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spela_mcu.backbone.add import Add, AddConstant, Addend
from spela_mcu.backbone.convolution import Convolution
from spela_mcu.backbone.depthwise import Depthwise
from spela_mcu.backbone.fully_connected import FullyConnected
from spela_mcu.backbone.graph import Shape
from spela_mcu.backbone.mean import Mean
from spela_mcu.backbone.multiply import MultiplyConstant
from spela_mcu.backbone.operator import LoweredOperator, WeightedOperator
from spela_mcu.backbone.pad import Pad
from spela_mcu.backbone.pool import AveragePool, MaxPool
from spela_mcu.backbone.requantize import INT8_MAX, INT8_MIN
from spela_mcu.backbone.rescale import Rescale
from spela_mcu.backbone.tap import Tap
from spela_mcu.backbone.window import Pair, Window
from spela_mcu.fixed_point.fields import POINTER, Field
from spela_mcu.fixed_point.layout import pack, padded, rounded_up

SAMPLE = 0xFFFFFFFF
"""The offset that stands for the caller's sample: SPELA_SAMPLE."""

OPERATOR_FIELDS = (
    Field("constants", POINTER),
    Field("channels", POINTER),
    Field("source", "uint32"),
    Field("other", "uint32"),
    Field("target", "uint32"),
    Field("scratch", "uint32"),
    Field("constant_count", "uint32"),
    *(
        Field(f"{name}.{part}", "uint16")
        for name in ("input", "output", "padding")
        for part in ("height", "width", "channels")
    ),
    *(
        Field(f"{name}.{part}", "uint16")
        for name in ("window", "stride", "dilation")
        for part in ("height", "width")
    ),
    Field("kind", "uint8"),
    Field("is_narrowing", "uint8"),
    Field("fill", "int8"),
    Field("minimum", "int8"),
    Field("maximum", "int8"),
)
"""spela_operator_t."""

BACKBONE_FIELDS = (
    Field("operators", POINTER),
    Field("runtime", POINTER),
    Field("arena_bytes", "uint32"),
    Field("inputs", "uint32"),
    Field("features", "uint32"),
    Field("features_offset", "uint32"),
    Field("sample_offset", "uint32"),
    Field("operator_count", "uint16"),
)
"""spela_backbone_t."""

CHANNEL = np.dtype([(name, "<i4") for name in ("bias", "multiplier", "rounding", "shift")])
"""spela_channel_t."""

NARROWING_SHIFT_MAX = 22

SCRATCH_UNIT = 16

KINDS: dict[type[LoweredOperator], tuple[int, str]] = {
    Convolution: (0, "convolution"),
    FullyConnected: (0, "convolution"),
    Depthwise: (1, "depthwise"),
    AveragePool: (2, "pools"),
    MaxPool: (3, "pools"),
    Mean: (4, "pools"),
    Add: (5, "elementwise"),
    AddConstant: (6, "elementwise"),
    MultiplyConstant: (7, "elementwise"),
    Rescale: (8, "elementwise"),
    Pad: (9, "padding"),
    Tap: (10, "pools"),
}
"""Of each kind of operator, its number in spela_operator_kind_t, and the part of the runtime that
runs it: it exports spela_runtime_for_<part>."""

_POINT = Window(Pair(1, 1), Pair(1, 1), Pair(1, 1), Pair(0, 0))


@dataclass(frozen=True)
class OperatorStructure:
    """One operator's structure.

    Attributes:
        scalars: the fields that are not pointers, by name.
        constants: the content of its table of constants, and the type of its elements in C; None
            for a null pointer.
        channels: `CHANNEL` records; empty for a null pointer.
        part: the part of the runtime that runs it.
    """

    scalars: Mapping[str, int]
    constants: tuple[str, bytes] | None
    channels: NDArray[np.void]
    part: str


def operator_structure(
    operator: LoweredOperator, sources: tuple[int, ...], target: int, scratch: int
) -> OperatorStructure:
    """An operator's structure.

    Args:
        operator: what it does.
        sources: offsets of the maps that it reads, in the arena, or `SAMPLE`.
        target: offset of the map that it writes.
        scratch: offset of `scratch_bytes` bytes of its own, a multiple of 8.
    """
    kind, part = KINDS[type(operator)]
    operator = _laid_down(operator)
    window = _window(operator)
    scalars = {
        "source": sources[0],
        "other": sources[-1],
        "target": target,
        "scratch": scratch,
        "constant_count": 0,
        **_parts("input", operator.input),
        **_parts("output", operator.output),
        **_parts("padding", Shape(*window.padding, 0)),
        **_parts("window", window.size),
        **_parts("stride", window.stride),
        **_parts("dilation", window.dilation),
        "kind": kind,
        "is_narrowing": 0,
        "fill": 0,
        "minimum": getattr(operator, "activation_min", INT8_MIN),
        "maximum": getattr(operator, "activation_max", INT8_MAX),
    }
    constants: tuple[str, bytes] | None = None
    channels = np.zeros(0, CHANNEL)
    match operator:
        case WeightedOperator():
            scalars["fill"] = -operator.input_offset
            scalars["is_narrowing"] = int(is_narrowing(operator))
            constants = ("int8", packed_weights(operator))
            channels = _channels_of(operator)
        case Tap():
            scalars["fill"] = operator.zero_point
        case AveragePool() | MaxPool():
            pass
        case Mean():
            channels = _channels(operator, operator.sum_offset)
        case Add():
            scalars["is_narrowing"] = int(_sum_is_narrowing(operator))
            channels = _channels_of_sum(operator)
        case AddConstant():
            constants = ("int32", operator.constant.astype("<i4").tobytes())
            scalars["constant_count"] = operator.constant.size
            channels = np.concatenate([_addend(operator.addend), _channels(operator, 0)])
        case MultiplyConstant():
            constants = ("int16", operator.factor.astype("<i2").tobytes())
            scalars["constant_count"] = operator.factor.size
            channels = _channels(operator, operator.input_offset)
        case Rescale():
            channels = _channels(operator, operator.input_offset)
        case Pad():
            scalars |= _parts("padding", operator.before)
            scalars["fill"] = operator.value
    return OperatorStructure(scalars, constants, channels, part)


def scratch_bytes(operator: LoweredOperator) -> int:
    """Bytes that an operator needs for itself while it runs; a multiple of `SCRATCH_UNIT`."""
    operator = _laid_down(operator)
    window = _window(operator)
    match operator:
        case Convolution() | FullyConnected():
            taps = window.size.height * window.size.width * operator.input.channels
            wide = rounded_up(2 * taps, SCRATCH_UNIT)
            at_once = min(operator.output.positions, 2)
            patch = 0 if _is_in_one_piece(operator) else rounded_up(taps, SCRATCH_UNIT)
            return at_once * wide + patch
        case Depthwise():
            rows, columns = (
                (count - 1) * stride + reach
                for count, stride, reach in zip(
                    operator.output[:2], window.stride, window.reach, strict=True
                )
            )
            return rounded_up(2 * rows * rounded_up(columns + 2, 2), SCRATCH_UNIT)
        case _:
            return 0


def is_narrowing(operator: WeightedOperator) -> bool:
    """Whether its channels can be stored in the form that takes fewer instructions."""
    varies = ~_is_constant(operator)
    right = -operator.shift[varies & (operator.multiplier != 0)]
    bias = np.abs(operator.bias[varies].astype(np.int64)).max(initial=0)
    fits = operator.bound + int(bias) < 1 << 30
    return fits and bool(((right >= 1) & (right <= NARROWING_SHIFT_MAX)).all())


def _is_constant(operator: WeightedOperator) -> NDArray[np.bool_]:
    """Channels without a weight: pruned ones, whose scale says nothing."""
    weights = operator.weights
    if isinstance(operator, Depthwise):
        return np.asarray(~weights.any((0, 1)))
    return np.asarray(~weights.reshape(operator.output.channels, -1).any(1))


def packed_weights(operator: WeightedOperator) -> bytes:
    """The weights in the order in which the kernels of the operator's kind read them."""
    if isinstance(operator, Depthwise):
        height, width, channels = operator.weights.shape
        rows = np.zeros((channels, height, padded(width)), np.int8)
        rows[:, :, :width] = operator.weights.transpose(2, 0, 1)
        return rows.tobytes()
    matrix = operator.weights.reshape(operator.output.channels, -1)
    return pack(matrix.astype(np.int64), "int8")


def _laid_down(operator: LoweredOperator) -> LoweredOperator:
    """A depthwise convolution over a single column, as one over a single row.

    Its maps' bytes are the same, and taps of a row are neighbours.
    """
    if not isinstance(operator, Depthwise):
        return operator
    window = operator.window
    if not operator.input.width == operator.output.width == window.size.width == 1:
        return operator
    return replace(
        operator,
        input=_swapped(operator.input),
        output=_swapped(operator.output),
        weights=operator.weights.transpose(1, 0, 2),
        window=Window(
            size=Pair(1, window.size.height),
            stride=Pair(window.stride.width, window.stride.height),
            dilation=Pair(window.dilation.width, window.dilation.height),
            padding=Pair(window.padding.width, window.padding.height),
        ),
    )


def _swapped(shape: Shape) -> Shape:
    return Shape(shape.width, shape.height, shape.channels)


def _window(operator: LoweredOperator) -> Window:
    if isinstance(operator, FullyConnected):
        height, width, _ = operator.input
        return Window(Pair(height, width), Pair(1, 1), Pair(1, 1), Pair(0, 0))
    window = getattr(operator, "window", _POINT)
    assert isinstance(window, Window)
    return window


def _is_in_one_piece(operator: LoweredOperator) -> bool:
    """Whether each position's inputs are bytes of the input map without a gap, and lie in it."""
    window = _window(operator)
    return (
        window.padding == (0, 0)
        and window.dilation == (1, 1)
        and (window.size.height == 1 or window.size.width == operator.input.width)
        and all(
            (count - 1) * stride + size <= inside
            for count, stride, size, inside in zip(
                operator.output[:2],
                window.stride,
                window.size,
                operator.input[:2],
                strict=True,
            )
        )
    )


def _channels_of(operator: WeightedOperator) -> NDArray[np.void]:
    channels = np.zeros(operator.output.channels, CHANNEL)
    channels["multiplier"] = operator.multiplier
    if not is_narrowing(operator):
        channels["bias"] = operator.folded_bias
        channels["rounding"] = operator.output_offset
        channels["shift"] = operator.shift
        return channels
    varies = (operator.multiplier != 0) & ~_is_constant(operator)
    right = np.where(varies, -operator.shift, 1).astype(np.int64)
    channels["bias"] = (operator.folded_bias.view(np.uint32) << 1).view(np.int32)
    channels["rounding"] = (operator.output_offset << right) + (1 << (right - 1))
    channels["shift"] = right
    # What is constant does not narrow as a rule; it is 0 * multiplier + its value.
    value = operator.finish(np.zeros(operator.output.channels)).astype(np.int64)
    constant = _is_constant(operator)
    for name, number in (("bias", 0), ("multiplier", 0), ("rounding", 2 * value + 1), ("shift", 1)):
        channels[name] = np.where(constant, number, channels[name])
    return channels


def _sum_is_narrowing(operator: Add) -> bool:
    """Whether the sum's channels can be stored in the form that takes fewer instructions."""
    shifts = [one.shift for one in operator.addends if not _is_half(one)] + [operator.shift]
    return all(1 <= -shift <= NARROWING_SHIFT_MAX for shift in shifts)


def _is_half(addend: Addend) -> bool:
    return (addend.multiplier, addend.shift) == (1 << 30, 0)


def _channels_of_sum(operator: Add) -> NDArray[np.void]:
    if not _sum_is_narrowing(operator):
        return np.concatenate([*map(_addend, operator.addends), _channels(operator, 0)])
    records = [
        # A half is exact: half of twice as much, which narrows.
        (one.offset, one.multiplier, Addend.LEFT_SHIFT + 2, 1)
        if _is_half(one)
        else (one.offset, one.multiplier, Addend.LEFT_SHIFT + 1, -one.shift)
        for one in operator.addends
    ]
    right = -operator.shift
    rounding = (operator.output_offset << right) + (1 << (right - 1))
    return np.array([*records, (0, operator.multiplier, rounding, right)], CHANNEL)


class _Scaled(Protocol):
    """What has one multiplier for all channels."""

    @property
    def output_offset(self) -> int: ...
    @property
    def multiplier(self) -> int: ...
    @property
    def shift(self) -> int: ...


def _channels(operator: _Scaled, bias: int) -> NDArray[np.void]:
    record = (bias, operator.multiplier, operator.output_offset, operator.shift)
    return np.array([record], CHANNEL)


def _addend(addend: Addend) -> NDArray[np.void]:
    return np.array([(addend.offset, addend.multiplier, 0, addend.shift)], CHANNEL)


def _parts(name: str, value: Shape | Pair) -> dict[str, int]:
    return {f"{name}.{part}": int(number) for part, number in value._asdict().items()}

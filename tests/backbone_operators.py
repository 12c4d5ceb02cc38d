"""Lowered operators that hypothesis draws, and a backbone of them as bytes in a memory."""

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from hypothesis import strategies as st

from spela_mcu.backbone.add import Add, AddConstant, Addend
from spela_mcu.backbone.convolution import Convolution
from spela_mcu.backbone.depthwise import Depthwise
from spela_mcu.backbone.fully_connected import FullyConnected
from spela_mcu.backbone.graph import Shape
from spela_mcu.backbone.mean import Mean
from spela_mcu.backbone.multiply import MultiplyConstant
from spela_mcu.backbone.network import run
from spela_mcu.backbone.operator import LoweredOperator
from spela_mcu.backbone.pad import Pad
from spela_mcu.backbone.pool import AveragePool, MaxPool
from spela_mcu.backbone.requantize import SUM_MAX
from spela_mcu.backbone.rescale import Rescale
from spela_mcu.backbone.structures import (
    BACKBONE_FIELDS,
    OPERATOR_FIELDS,
    operator_structure,
    scratch_bytes,
)
from spela_mcu.backbone.tap import tap_of
from spela_mcu.backbone.window import Pair, Window
from spela_mcu.fixed_point.fields import POINTER, Field
from spela_mcu.fixed_point.layout import rounded_up


@dataclass(frozen=True, repr=False)
class Case:
    """An operator on one sample, and where its maps lie.

    Attributes:
        maps: its inputs.
        shares: whether its output takes memory of its input, as the plan may decide.
        count: how many operators there are.
    """

    operator: LoweredOperator
    maps: tuple[np.ndarray, ...]
    shares: bool

    def __repr__(self):
        parts = {f.name: getattr(self.operator, f.name) for f in fields(self.operator)}
        shown = {k: v for k, v in parts.items() if not isinstance(v, np.ndarray)}
        return f"{type(self.operator).__name__}({shown}, shares={self.shares})"

    count = 1

    @property
    def size(self):
        """Bytes of the output."""
        return self.operator.output.size

    @cached_property
    def expected(self):
        """The output's bytes, by numpy."""
        return self.operator.forward(*(m[None] for m in self.maps)).tobytes()

    def places(self):
        """Offsets of inputs, output and scratch, and the arena's size."""
        op = self.operator
        sources, used = [], scratch_bytes(op)
        for _ in self.maps:
            sources.append(used)
            used += rounded_up(op.input.size, 16)
        target = used
        if self.shares:
            in_place = op.channel_multiplier == 1 if isinstance(op, Depthwise) else True
            lead = 0 if isinstance(op, Depthwise) else op.lead
            fits = op.output.positions <= op.input.positions or not isinstance(op, Depthwise)
            if in_place and fits:
                target = sources[-1]
                sources[-1] += lead
        used = max(used, target + op.output.size, sources[-1] + op.input.size)
        return tuple(sources), target, 0, rounded_up(used, 16)

    def image(self, pointer, base):
        """A backbone of this operator alone, as bytes that lie at `base`.

        Its structure comes first; pointers are addresses.
        """
        sources, target, scratch, arena = self.places()
        made = operator_structure(self.operator, sources, target, scratch)
        scalars = {
            "arena_bytes": arena,
            "inputs": self.operator.input.size,
            "features": self.operator.output.size,
            "features_offset": target,
            "sample_offset": 0,
        }
        return image([made], scalars, pointer, base)

    def arena(self):
        """The arena before: inputs amid bytes that mean nothing."""
        sources, _, _, size = self.places()
        content = np.random.default_rng(size).integers(0, 256, size).astype(np.uint8)
        for offset, values in zip(sources, self.maps, strict=True):
            content[offset : offset + values.size] = values.reshape(-1).view(np.uint8)
        return content.tobytes()


class Whole:
    """A backbone on one sample, in the arena of its plan; the same calls as of `Case`.

    What comes out are the features at the cut, without those of exits within it.
    """

    def __init__(self, plan, sample):
        self.plan, self.sample = plan, sample
        self.size, self.count = plan.features.shape.size, len(plan.steps)

    @property
    def expected(self):
        """The features' bytes, by numpy."""
        return run(self.plan, self.sample[None])[0, -self.size :].tobytes()

    def image(self, pointer, base):
        """See `Case.image`."""
        offsets = [one.offset for one in self.plan.activations]
        operators = [
            operator_structure(
                step.operator,
                tuple(offsets[index] for index in step.sources),
                offsets[step.target],
                step.scratch,
            )
            for step in self.plan.steps
        ]
        scalars = {
            "arena_bytes": self.plan.arena_bytes,
            "inputs": self.sample.size,
            "features": self.size,
            "features_offset": self.plan.features.offset,
            "sample_offset": self.plan.sample.offset,
        }
        return image(operators, scalars, pointer, base)

    def arena(self):
        """See `Case.arena`."""
        content = bytearray(b"\x5a" * self.plan.arena_bytes)
        offset = self.plan.sample.offset
        content[offset : offset + self.sample.size] = self.sample.tobytes()
        return bytes(content)


def image(operators, scalars, pointer, base):
    """A backbone of operators' structures as bytes that lie at `base`, its structure first."""
    table = np.zeros(len(operators), layout(OPERATOR_FIELDS, pointer))
    backbone = np.zeros((), layout(BACKBONE_FIELDS, pointer))
    first = rounded_up(backbone.nbytes, 16)
    content = bytearray(first + rounded_up(table.nbytes, 16))

    def put(data):
        at = base + len(content)
        content.extend(data + bytes(-len(data) % 16))
        return at if data else 0

    for index, made in enumerate(operators):
        pointers = {
            "constants": put(made.constants[1] if made.constants else b""),
            "channels": put(made.channels.tobytes()),
        }
        for name, value in {**made.scalars, **pointers}.items():
            assign(table[index : index + 1], name, value)
    whole = {"operators": base + first, "operator_count": len(operators), **scalars}
    for name, value in whole.items():
        assign(backbone, name, value)
    content[: backbone.nbytes] = backbone.tobytes()
    content[first : first + table.nbytes] = table.tobytes()
    return bytes(content)


def layout(structure_fields, pointer):
    """A C structure in a memory whose pointers are of a type."""
    inner = {}
    for field in structure_fields:
        name, _, rest = field.name.partition(".")
        inner.setdefault(name, []).append(Field(rest, field.type))
    members = [
        (name, layout(parts, pointer) if parts[0].name else np.dtype(stored(parts[0], pointer)))
        for name, parts in inner.items()
    ]
    return np.dtype(members, align=True)


def stored(field, pointer):
    """The numpy type of a scalar in C."""
    return pointer if field.type == POINTER else field.type


def assign(structure, name, value):
    """Sets a member by its dotted name."""
    outer, _, inner = name.partition(".")
    if inner:
        structure[outer][inner] = value
    else:
        structure[outer] = value


def numbers(draw, rng, low, high, size):
    """Whole ranges, their ends, many zeros."""
    kind = draw(st.sampled_from(["anywhere", "ends", "low", "high", "small"]))
    return {
        "anywhere": rng.integers(low, high + 1, size),
        "ends": rng.choice([low, high], size),
        "low": np.full(size, low),
        "high": np.full(size, high),
        "small": rng.integers(max(low, -1), min(high, 1) + 1, size),
    }[kind]


@st.composite
def windows(draw, source, *, dilated=True):
    """A window that meets the input, and how many of them there are."""
    sizes, strides, dilations, paddings, counts = [], [], [], [], []
    for inside in source[:2]:
        size = draw(st.integers(1, 5))
        dilation = draw(st.integers(1, 5)) if dilated and draw(st.booleans()) else 1
        reach = (size - 1) * dilation + 1
        stride = draw(st.integers(1, 3))
        padding = draw(st.integers(0, reach - 1)) if draw(st.booleans()) else 0
        last = inside + padding - 1 if draw(st.booleans()) else inside + padding - reach
        counts.append(max(1, last // stride + 1))
        for of, value in zip(
            (sizes, strides, dilations, paddings), (size, stride, dilation, padding), strict=True
        ):
            of.append(value)
    window = Window(Pair(*sizes), Pair(*strides), Pair(*dilations), Pair(*paddings))
    return window, Pair(*counts)


class Drawn:
    """What the kinds of operators are made of."""

    def __init__(self, draw):
        self.draw = draw
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        sides, channels = st.integers(1, 9), st.integers(1, 18)
        self.source = Shape(draw(sides), draw(sides), draw(channels))
        self.offset = draw(st.integers(-128, 127))
        self.input_offset = draw(st.integers(-127, 128))
        least, greatest = sorted(draw(st.tuples(*[st.integers(-128, 127)] * 2)))
        clamp = draw(st.sampled_from(["drawn", "none", "relu"]))
        if clamp != "drawn":
            least, greatest = -128 if clamp == "none" else self.offset, 127
        self.clamp = {"activation_min": least, "activation_max": greatest}

    def numbers(self, low, high, size):
        """See `numbers`."""
        return numbers(self.draw, self.rng, low, high, size)

    def multiplier(self, bound, highest=30):
        """A multiplier and a shift that sums within a bound allow."""
        highest = min(highest, (SUM_MAX // max(bound, 1)).bit_length() - 1)
        shift = self.draw(st.integers(-12, min(2, highest)))
        if self.draw(st.integers(0, 9)) == 0:
            shift = self.draw(st.integers(-31, highest))
        return int(self.rng.integers(1 << 30, 1 << 31)), shift

    def scaling(self, bound, highest=30):
        """The same as arguments, with the output's zero point."""
        multiplier, shift = self.multiplier(bound, highest)
        return {"output_offset": self.offset, "multiplier": multiplier, "shift": shift}

    def weighted(self, shape, channel_axis):
        """What a convolution has; some channels may be pruned."""
        draw, output = self.draw, shape[channel_axis]
        weights = self.numbers(-128, 127, shape).astype(np.int8)
        by_channel = np.moveaxis(weights, channel_axis, 0).reshape(output, -1)
        widest = max(abs(-128 + self.input_offset), abs(127 + self.input_offset))
        bound = int(np.abs(by_channel.astype(np.int64)).sum(1).max()) * widest
        bias = self.numbers(-(1 << 16), 1 << 16, output)
        drawn = np.array([self.multiplier(bound + (1 << 16)) for _ in range(output)])
        multiplier, shift = drawn.T
        most = draw(st.sampled_from([None, 22, 10]))  # nearly all models have it between
        if most is not None:
            shift = np.clip(shift, -most, -1)
        pruned = self.rng.random(output) < draw(st.sampled_from([0, 0, 0.5]))
        np.moveaxis(weights, channel_axis, 0)[pruned] = 0
        bias[pruned] = self.rng.choice([-(1 << 30) - 64, 1 << 30], int(pruned.sum()))
        return {
            "input_offset": self.input_offset,
            "output_offset": self.offset,
            "weights": weights,
            "bias": bias.astype(np.int32),
            "multiplier": multiplier.astype(np.int32),
            "shift": np.where(pruned, -28, shift).astype(np.int32),
            "bound": bound,
            **self.clamp,
        }


def convolution(drawn):
    """Of any window."""
    window, counts = drawn.draw(windows(drawn.source))
    output = Shape(*counts, drawn.draw(st.integers(1, 18)))
    shape = (output.channels, *window.size, drawn.source.channels)
    rest = drawn.weighted(shape, 0)
    return Convolution(input=drawn.source, output=output, window=window, **rest)


def pointwise(drawn):
    """A convolution of each position by itself."""
    window = Window(Pair(1, 1), Pair(1, 1), Pair(1, 1), Pair(0, 0))
    output = Shape(*drawn.source[:2], drawn.draw(st.integers(1, 18)))
    rest = drawn.weighted((output.channels, 1, 1, drawn.source.channels), 0)
    return Convolution(input=drawn.source, output=output, window=window, **rest)


def fully_connected(drawn):
    """Of the whole input."""
    units = drawn.draw(st.integers(1, 18))
    rest = drawn.weighted((units, drawn.source.size), 0)
    return FullyConnected(input=drawn.source, output=Shape(1, 1, units), **rest)


def depthwise(drawn):
    """Of any window, to several channels for each."""
    window, counts = drawn.draw(windows(drawn.source))
    copies = drawn.draw(st.integers(1, 3)) if drawn.draw(st.booleans()) else 1
    return depthwise_of(drawn, window, counts, copies)


def depthwise_of_a_column(drawn):
    """Over a series of positions, such as time."""
    drawn.source = Shape(drawn.source.height, 1, drawn.source.channels)
    size = drawn.draw(st.integers(1, 5))
    stride, dilation = drawn.draw(st.integers(1, 2)), drawn.draw(st.integers(1, 2))
    padding = drawn.draw(st.integers(0, (size - 1) * dilation))
    window = Window(Pair(size, 1), Pair(stride, 1), Pair(dilation, 1), Pair(padding, 0))
    reached = drawn.source.height + padding - (size - 1) * dilation - 1
    return depthwise_of(drawn, window, (max(1, reached // stride + 1), 1), 1)


def depthwise_3_by_3(drawn):
    """As most models have it."""
    stride, padding = drawn.draw(st.integers(1, 2)), drawn.draw(st.integers(0, 1))
    window = Window(Pair(3, 3), Pair(stride, stride), Pair(1, 1), Pair(padding, padding))
    counts = (max(1, (side + 2 * padding - 3) // stride + 1) for side in drawn.source[:2])
    return depthwise_of(drawn, window, tuple(counts), 1)


def depthwise_of(drawn, window, counts, copies):
    """With a window."""
    output = Shape(*counts, drawn.source.channels * copies)
    rest = drawn.weighted((*window.size, output.channels), 2)
    rest |= {"window": window, "channel_multiplier": copies}
    return Depthwise(input=drawn.source, output=output, **rest)


def pool(drawn):
    """The average or the maximum."""
    window, counts = drawn.draw(windows(drawn.source, dilated=False))
    output = Shape(*counts, drawn.source.channels)
    kind = drawn.draw(st.sampled_from([AveragePool, MaxPool]))
    return kind(input=drawn.source, output=output, window=window, **drawn.clamp)


def tap(drawn):
    """The average over the whole map."""
    return tap_of(drawn.source, drawn.offset)


def mean(drawn):
    """Over all positions."""
    return Mean(
        input=drawn.source,
        output=Shape(1, 1, drawn.source.channels),
        sum_offset=drawn.input_offset * drawn.source.positions,
        **drawn.scaling(1 << 20),
    )


def addend(drawn):
    """One of a sum's two."""
    multiplier, shift = drawn.multiplier(1 << 28, 0)
    if drawn.draw(st.booleans()):
        multiplier, shift = 1 << 30, 0  # that of the summand with the greater scale
    elif drawn.draw(st.booleans()):
        shift = min(shift, -1)
    offset = drawn.draw(st.integers(-127, 128))
    return Addend(offset=offset, multiplier=multiplier, shift=shift)


def elementwise(drawn):
    """What is common to operators that do so with each value."""
    return {"input": drawn.source, "output": drawn.source, **drawn.clamp}


def add(drawn):
    """Of two maps."""
    both = (addend(drawn), addend(drawn))
    scaling = drawn.scaling(1 << 29, 0)
    if drawn.draw(st.booleans()):
        scaling["shift"] = min(scaling["shift"], -1)
    return Add(addends=both, **elementwise(drawn), **scaling)


def constant(drawn, bound):
    """A value for each channel, or for each element."""
    size = drawn.draw(st.sampled_from([drawn.source.channels, drawn.source.size]))
    return drawn.numbers(-bound, bound, size)


def add_constant(drawn):
    """A map plus a constant."""
    return AddConstant(
        addend=addend(drawn),
        constant=constant(drawn, 1 << 27).astype(np.int32),
        **elementwise(drawn),
        **drawn.scaling(1 << 29, 0),
    )


def multiply_constant(drawn):
    """A map times a constant."""
    return MultiplyConstant(
        input_offset=drawn.input_offset,
        factor=constant(drawn, 255).astype(np.int16),
        **elementwise(drawn),
        **drawn.scaling(1 << 16),
    )


def rescale(drawn):
    """To another scale."""
    rest = elementwise(drawn) | drawn.scaling(256)
    return Rescale(input_offset=drawn.input_offset, **rest)


def pad(drawn):
    """On every side, channels too."""
    before, after = ([drawn.draw(st.integers(0, 2)) for _ in range(3)] for _ in range(2))
    output = Shape(*map(sum, zip(drawn.source, before, after, strict=True)))
    return Pad(input=drawn.source, output=output, before=Shape(*before), value=drawn.offset)


MAKERS = (
    *(convolution, pointwise, fully_connected, depthwise, depthwise_3_by_3),
    *(depthwise_of_a_column, pool, mean),
    *(add, add_constant, multiply_constant, rescale, pad),
)
WINDOWED = (convolution, depthwise, depthwise_3_by_3)


@st.composite
def cases(draw, makers=MAKERS):
    """An operator of one of these kinds, and its inputs."""
    drawn = Drawn(draw)
    made = draw(st.sampled_from(makers))(drawn)
    count = 2 if isinstance(made, Add) else 1
    maps = tuple(drawn.numbers(-128, 127, made.input).astype(np.int8) for _ in range(count))
    return Case(made, maps, draw(st.booleans()))

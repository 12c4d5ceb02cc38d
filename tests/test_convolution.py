"""A convolution: numpy against a reading of the text, and C against numpy."""

import re
from functools import lru_cache

import numpy as np
import pytest
from cffi import FFI
from convolutional import book_convolution

from spela_mcu.backbone.graph import Shape
from spela_mcu.embedding import class_embeddings
from spela_mcu.fixed_point.arithmetic import (
    LCG_INCREMENT,
    LCG_MULTIPLIER,
    draw,
    halve,
    inverse_norm,
)
from spela_mcu.fixed_point.convolution import convolve, read_out
from spela_mcu.fixed_point.convolution_learning import (
    apply_sums,
    factors,
    filter_sums,
)
from spela_mcu.fixed_point.layer import (
    LAYER_READOUT,
    ConvolutionPlan,
    ExitPlan,
    LayerPlan,
    LearnerPlan,
)
from spela_mcu.fixed_point.layout import pack, padded, unpack
from spela_mcu.fixed_point.learning import Direction
from spela_mcu.fixed_point.maps import Window
from spela_mcu.fixed_point.plan import scale_embeddings
from spela_mcu.fixed_point.structures import FLAG_WEIGHTS_INT16
from spela_mcu.host.network import compile_library, declarations
from spela_mcu.resources import resource_directory

CLASSES = 3
DEFINES = ("SPELA_PORTABLE_KERNELS", "SPELA_WITH_CONVOLUTION", "SPELA_WITH_INT12")

WINDOWS = {
    "picture": Window.of(Shape(8, 10, 3), 5, kernel=3, stride=1, pool=2, grid=2),
    "grey, rows left over": Window.of(Shape(7, 5, 1), 4, kernel=3, stride=1, pool=2, grid=4),
    "signal": Window.of(Shape(23, 1, 3), 6, kernel=5, stride=2, pool=2, grid=4),
    "signal along columns": Window.of(Shape(1, 16, 2), 3, kernel=7, stride=1, pool=4, grid=3),
    "wide kernel": Window.of(Shape(3, 2, 4), 8, kernel=7, stride=1, pool=1, grid=8),
    "strides": Window.of(Shape(9, 13, 2), 2, kernel=1, stride=3, pool=1, grid=1),
    "one position": Window.of(Shape(1, 1, 9), 4, kernel=3, stride=2, pool=2, grid=4),
}
UNITS = 4


def plan_of(window, rate_shift=20, bits=8):
    """The read-out of such a convolution."""
    embedding = ExitPlan(*scale_embeddings(class_embeddings("simplex", CLASSES, UNITS, 1)))
    shift = 24 - bits + ((window.pooled.positions - 1).bit_length() >> 1)
    format = {8: "int8", 12: "int12"}.get(bits, "int16")
    sizes = window.patch, window.filters, format, bits, 1.0, 1
    filters = ConvolutionPlan(*sizes, LearnerPlan(40_000, rate_shift, shift), window)
    parts = LearnerPlan(40_000, rate_shift, 16), 0, embedding, LAYER_READOUT, filters
    return LayerPlan(window.cell_inputs, UNITS, "int8", 8, 1.0, 2, *parts)


def weights_of(plan, rng, kind):
    """Weights of both matrices: any, or those that make the greatest sums."""

    def matrix(shape):
        if kind == "any":
            size = (shape.units, shape.inputs)
            return rng.integers(shape.weight_min, shape.weight_max + 1, size)
        return np.full((shape.units, shape.inputs), shape.weight_min)

    return matrix(plan.convolution), matrix(plan)


def input_of(plan, rng, kind):
    size = plan.convolution.window.map.size
    if kind == "any":
        return rng.integers(-128, 128, size)
    if kind == "sparse":
        return rng.integers(-128, 128, size) * (rng.random(size) < 0.1)
    return np.full(size, {"least": -128, "zero": 0}[kind])


PLACE_BITS = 4
"""In C a place is a row and a column, not a number: nothing is divided there."""


@lru_cache(maxsize=1)
def library():
    """The C of a convolution, beside the kernels in portable C."""
    firmware = resource_directory("firmware")
    sources = [
        firmware / "convolution/spela_convolution.c",
        firmware / "convolution/spela_filters_int12.c",
        firmware / "spela/spela_kernels.c",
    ]
    headers = [
        (firmware / name).read_text()
        for name in ("spela/spela.h", "convolution/spela_convolution.h")
    ]
    ffi = FFI()
    ffi.cdef(declarations(re.sub(r"static inline.*?\n}", "", "".join(headers), flags=re.DOTALL)))
    ffi.cdef(
        "typedef struct { uint32_t rows, columns, weight_bits; } spela_shape_t;"
        "bool spela_relieve_int12(int8_t *weights, const spela_shape_t *shape, uint32_t limit);"
    )
    includes = (firmware / "convolution", firmware / "spela")
    return ffi, ffi.dlopen(str(compile_library("convolution", sources, includes, DEFINES)))


class C:
    """The same computations in C."""

    def __init__(self, plan, filters):
        self.ffi, self.c = library()
        convolution = plan.convolution
        window = convolution.window
        self.plan, self.format = plan, convolution.format
        self.model = self.ffi.new("spela_model_t *")
        self.model.flags = FLAG_WEIGHTS_INT16 * (self.format == "int16")
        self.window = self.ffi.new(
            "spela_window_t *",
            [
                *window.map,
                *([*sides] for sides in (window.kernel, window.stride, window.pool, window.grid)),
            ],
        )
        self.layer = self.ffi.new("spela_layer_t *")
        self.layer.window, self.layer.kind = self.window, convolution.kind
        self.layer.inputs, self.layer.units = convolution.inputs, convolution.units
        self.layer.weight_bits = convolution.weight_bits
        content = np.frombuffer(pack(filters, self.format), np.int8)
        self.filters = self.ffi.new("int8_t[]", content.tolist())

    def map(self, values):
        window = self.plan.convolution.window
        size = window.pooled.size
        room = [
            self.ffi.new("int16_t[]", padded(window.patch) + 8),
            self.ffi.new("int32_t[]", padded(window.filters)),
        ]
        pooled, places = self.ffi.new("int16_t[]", size), self.ffi.new("uint8_t[]", size)
        inputs = self.ffi.new("int8_t[]", values.tolist())
        position = self.ffi.new("spela_position_t *", room)
        self.c.spela_convolve(
            self.model, self.layer, self.filters, inputs, position, pooled, places
        )
        shift = self.c.spela_narrow(pooled, size)
        values = np.frombuffer(self.ffi.buffer(pooled, size), np.int8)
        columns = window.pool.columns
        numbered = [(place >> PLACE_BITS) * columns + place % 2**PLACE_BITS for place in places]
        return values.astype(np.int64), shift, numbered

    def cells(self, values):
        size = self.plan.convolution.window.cell_inputs
        sums = self.ffi.new("int32_t[]", size)
        inputs = self.ffi.new("int8_t[]", values.tolist())
        self.c.spela_sum_cells(self.layer, inputs, sums)
        block = self.ffi.new("int8_t[]", size)
        shift = self.c.spela_block(sums, size, block)
        return list(block), shift

    def error(self, readout, tangent):
        size = padded(readout.shape[1])
        error = self.ffi.new("int32_t[]", size)
        weights = self.ffi.new("int8_t[]", np.frombuffer(pack(readout, "int8"), np.int8).tolist())
        padding = [0] * (padded(len(tangent)) - len(tangent))
        u = self.ffi.new("int32_t[]", [*tangent.tolist(), *padding])
        self.c.spela_send_back(weights, padded(len(tangent)), size, u, error)
        return list(error)[: readout.shape[1]]

    def learn_filters(self, inputs, pooled, places, factors, state):
        window = self.plan.convolution.window
        columns = window.pool.columns
        parts = [
            self.ffi.new("int8_t[]", inputs.tolist()),
            self.ffi.new("int8_t[]", pooled.tolist()),
            self.ffi.new("uint8_t[]", [(p // columns << PLACE_BITS) + p % columns for p in places]),
            self.ffi.new("int16_t[]", factors.reshape(-1).tolist()),
            self.ffi.new("int32_t[]", window.patch),
        ]
        update = self.ffi.new(
            "spela_filter_update_t *", [*parts, state, LCG_MULTIPLIER, LCG_INCREMENT]
        )
        self.c.spela_learn_filters(self.model, self.layer, self.filters, update)
        content = bytes(self.ffi.buffer(self.filters))
        return unpack(content, window.filters, window.patch, self.format), update.state


def places_in_blocks(window, positions):
    """Positions of the convolved map as places in their blocks."""
    row, column = np.divmod(positions.reshape(-1), window.pooled.width * window.pool.columns)
    return row % window.pool.rows * window.pool.columns + column % window.pool.columns


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
@pytest.mark.parametrize(
    ("weights", "inputs"),
    [("any", "any"), ("any", "sparse"), ("any", "zero"), ("least", "least")],
)
def test_forward_is_equal(window, weights, inputs):
    rng = np.random.default_rng(0)
    plan = plan_of(window)
    filters, readout = weights_of(plan, rng, weights)
    values = input_of(plan, rng, inputs)

    made = convolve(plan.convolution, filters, values)
    reading = read_out(plan, readout, made)
    projection = reading.output.activation

    book = book_convolution(plan, filters, readout)
    h, shift, places = book.map(values.tolist())
    assert made.block.values.reshape(-1).tolist() == h
    assert made.block.shift == shift
    a, cell_shift = book.cells(h)
    assert (reading.cells.values.tolist(), reading.cells.shift) == (a, cell_shift)
    out = book.answer(a)
    assert (projection.values.tolist(), projection.shift) == (out.h, out.shift)
    assert reading.output.scores.tolist() == out.s

    chip = C(plan, filters)
    c_values, c_shift, c_places = chip.map(values)
    assert (c_values.tolist(), c_shift, c_places) == (h, shift, places)
    assert chip.cells(c_values) == (a, cell_shift)
    assert places_in_blocks(window, made.places).tolist() == places


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_the_greatest_sum_fits_a_map(bits):
    plan = plan_of(WINDOWS["picture"], bits=bits)
    filters, _ = weights_of(plan, None, "least")
    made = convolve(plan.convolution, filters, np.full(plan.convolution.window.map.size, -128))
    assert made.block.values.max() >= 64
    most = plan.convolution.window.patch * 2 ** (7 + plan.convolution.answering_bits - 1)
    assert (most >> plan.convolution.sum_shift) < 2**15 <= most >> plan.convolution.sum_shift - 1


LARGE = Window.of(Shape(40, 44, 1), 2, kernel=3, stride=1, pool=1, grid=2)
"""More than 256 positions to sum over."""


@pytest.mark.parametrize("window", [*WINDOWS.values(), LARGE], ids=[*WINDOWS, "large"])
@pytest.mark.parametrize(("rate_shift", "inputs"), [(-12, "sparse"), (-14, "any"), (-20, "least")])
@pytest.mark.parametrize("bits", [8, 12, 14])
def test_learning_is_equal(window, rate_shift, inputs, bits):
    rng = np.random.default_rng(1)
    plan = plan_of(window, rate_shift, bits)
    filters, readout = weights_of(plan, rng, "any")
    values = input_of(plan, rng, inputs)
    book, chip = book_convolution(plan, filters, readout), C(plan, filters)

    made = convolve(plan.convolution, filters, values)
    reading = read_out(plan, readout, made)
    projection = reading.output.activation
    tangent = rng.integers(-(2**15), 2**15, UNITS)
    towards = Direction(tangent, inverse_norm(projection.squared_norm), 12_345)
    rates = (rate_shift + 3, rate_shift + 1)
    found = factors(
        plan,
        made,
        reading,
        towards,
        readout,
        readout_rate_shift=rates[0],
        filters_rate_shift=rates[1],
    )
    sums = filter_sums(plan.convolution, made, found.filters)
    state, shift = 12345, plan.convolution.learner.update_shift
    states, state_after = draw(state, padded(window.patch))
    noise = (states[: window.patch] >> np.uint32(32 - shift)).astype(np.int64)
    learned = filters.copy()
    apply_sums(plan.convolution, learned, sums, noise)

    h, places = made.block.values.reshape(-1), places_in_blocks(window, made.places).tolist()
    shifts = (projection.shift, reading.cells.shift, made.block.shift, *rates)
    both = [towards.rate(part.learner) for part in (plan, plan.convolution)]
    own, below = book.factors(tangent.tolist(), both, towards.inverse.exponent, shifts)
    assert found.readout.tolist() == own
    assert any(own)
    assert any(below)
    assert found.filters.reshape(-1).tolist() == below
    assert chip.error(readout, tangent) == book.error(tangent.tolist())
    exact = book.sums(values.tolist(), h.tolist(), places, below)
    assert sums.tolist() == exact
    assert max(abs(value) for row in exact for value in row) <= 2**30
    assert book.learn_filters(exact, state) == state_after
    assert learned.tolist() == book.w
    of_chip, state_of_chip = chip.learn_filters(values, h, places, found.filters, state)
    assert (of_chip.tolist(), state_of_chip) == (book.w, state_after)


@pytest.mark.parametrize("spare", [0, 1])
def test_filters_of_12_bits_are_halved_as_those_of_8(spare):
    """If more of them than the limit are, in a sum, at an end of their range."""
    plan = plan_of(WINDOWS["picture"], bits=12)
    filters, _ = weights_of(plan, np.random.default_rng(1), "any")
    filters[-1, -3:] = plan.convolution.weight_min, plan.convolution.weight_max, 2031
    saturated = int(np.count_nonzero(plan.convolution.at_ends(filters)))
    assert saturated > 2
    chip = C(plan, filters)
    shape = chip.ffi.new("spela_shape_t *", [padded(side) for side in filters.shape] + [12])
    halves = chip.c.spela_relieve_int12(chip.filters, shape, saturated - 1 + spare)
    assert halves is (spare == 0)
    left = unpack(bytes(chip.ffi.buffer(chip.filters)), *filters.shape, "int12")
    assert left.tolist() == (halve(filters) if halves else filters).tolist()

"""A convolution: numpy against a reading of the text, and C against numpy."""

import re
from functools import lru_cache

import convolution_by_the_book
import numpy as np
import pytest
from cffi import FFI

from spela_mcu.backbone.graph import Shape
from spela_mcu.embedding import class_embeddings
from spela_mcu.fixed_point.convolution import ConvolutionPlan, MatrixPlan, convolve, read_out
from spela_mcu.fixed_point.layout import pack, padded
from spela_mcu.fixed_point.maps import Window
from spela_mcu.fixed_point.plan import ExitPlan, LearnerPlan, scale_embeddings
from spela_mcu.host.network import compile_library, declarations
from spela_mcu.resources import resource_directory

CLASSES = 3
DEFINES = ("SPELA_PORTABLE_KERNELS",)

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


def plan_of(window):
    embedding = ExitPlan(*scale_embeddings(class_embeddings("simplex", CLASSES, UNITS, 1)))
    learner = LearnerPlan(1 << 15, 20, 16)
    return ConvolutionPlan(
        window,
        MatrixPlan(window.filters, window.patch, 1, 1.0, learner),
        MatrixPlan(UNITS, window.cell_inputs, 2, 1.0, learner),
        embedding,
    )


def weights_of(plan, rng, kind):
    """Weights of both matrices: any, or those that make the greatest sums."""

    def matrix(shape):
        if kind == "any":
            return rng.integers(-128, 128, (shape.rows, shape.columns))
        return np.full((shape.rows, shape.columns), -128)

    return matrix(plan.filters), matrix(plan.readout)


def input_of(plan, rng, kind):
    size = plan.window.map.size
    if kind == "any":
        return rng.integers(-128, 128, size)
    if kind == "sparse":
        return rng.integers(-128, 128, size) * (rng.random(size) < 0.1)
    return np.full(size, {"least": -128, "zero": 0}[kind])


def book_of(plan, filters, readout):
    window = plan.window
    return convolution_by_the_book.Convolution(
        *window.map,
        *(tuple(sides) for sides in (window.kernel, window.stride, window.pool, window.grid)),
        filters.tolist(),
        readout.tolist(),
        plan.exit.embedding.tolist(),
    )


@lru_cache(maxsize=1)
def library():
    """The C of a convolution, beside the kernels in portable C."""
    firmware = resource_directory("firmware")
    sources = [
        firmware / "convolution/spela_convolution.c",
        firmware / "spela/spela_kernels.c",
    ]
    header = (firmware / "convolution/spela_convolution.h").read_text()
    header = re.sub(r"static inline.*?\n}", "", header, flags=re.DOTALL)
    ffi = FFI()
    ffi.cdef(declarations(header))
    includes = (firmware / "convolution", firmware / "spela")
    return ffi, ffi.dlopen(str(compile_library("convolution", sources, includes, DEFINES)))


class C:
    """The same computations in C."""

    def __init__(self, plan, filters):
        self.ffi, self.c = library()
        window = plan.window
        self.plan = plan
        self.window = self.ffi.new(
            "spela_window_t *",
            [
                *window.map,
                window.filters,
                *([*sides] for sides in (window.kernel, window.stride, window.pool, window.grid)),
                plan.sum_shift,
            ],
        )
        self.filters = self.ffi.new(
            "int8_t[]", np.frombuffer(pack(filters, np.int8), np.int8).tolist()
        )

    def map(self, values):
        window = self.plan.window
        size = window.pooled.size
        room = [
            self.ffi.new("int8_t[]", window.patch),
            self.ffi.new("int16_t[]", padded(window.patch) + 8),
            self.ffi.new("int32_t[]", padded(window.filters)),
        ]
        pooled, places = self.ffi.new("int16_t[]", size), self.ffi.new("uint8_t[]", size)
        inputs = self.ffi.new("int8_t[]", values.tolist())
        position = self.ffi.new("spela_position_t *", room)
        self.c.spela_convolve(self.window, self.filters, inputs, position, pooled, places)
        shift = self.c.spela_narrow(pooled, size)
        values = np.frombuffer(self.ffi.buffer(pooled, size), np.int8)
        return values.astype(np.int64), shift, list(places)

    def cells(self, values):
        size = self.plan.window.cell_inputs
        sums = self.ffi.new("int32_t[]", size)
        inputs = self.ffi.new("int8_t[]", values.tolist())
        self.c.spela_sum_cells(self.window, inputs, sums)
        block = self.ffi.new("int8_t[]", size)
        shift = self.c.spela_block(sums, size, block)
        return list(block), shift


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

    map = convolve(plan, filters, values)
    answer = read_out(plan, readout, map)

    book = book_of(plan, filters, readout)
    h, shift, places = book.map(values.tolist())
    assert map.block.values.reshape(-1).tolist() == h
    assert map.block.shift == shift
    a, cell_shift = book.cells(h)
    assert (answer.cells.values.tolist(), answer.cells.shift) == (a, cell_shift)
    p, p_shift, norm, scores = book.answer(a)
    assert (answer.projection.values.tolist(), answer.projection.shift) == (p, p_shift)
    assert (answer.squared_norm, answer.scores.tolist()) == (norm, scores)

    chip = C(plan, filters)
    c_values, c_shift, c_places = chip.map(values)
    assert (c_values.tolist(), c_shift, c_places) == (h, shift, places)
    assert chip.cells(c_values) == (a, cell_shift)
    assert places_in_blocks(window, map.places).tolist() == places


def test_the_greatest_sum_fits_a_map():
    plan = plan_of(WINDOWS["picture"])
    filters = np.full((5, plan.window.patch), -128)
    map = convolve(plan, filters, np.full(plan.window.map.size, -128))
    assert map.block.values.max() >= 64
    most = plan.window.patch * 2**14
    assert (most >> plan.sum_shift) < 2**15 <= most >> (plan.sum_shift - 1)

"""A frozen backbone on every core: compilers, levels, widths and simulators take turns."""

import itertools

import pytest
from keyword_model import write_model
from simulators import need_simulator

from spela_mcu.commands.matrix import (
    BATCHES,
    COMPILERS,
    CORES,
    WEIGHTS,
    Column,
    Extent,
    matrix_rows,
    run_cell,
)
from spela_mcu.firmware.toolchain import OPTIMIZATIONS

EXTENT = Extent(learn_steps=5, samples=3)
BUILDS = list(itertools.product(WEIGHTS, COMPILERS))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("matrix"))


@pytest.mark.parametrize("core", CORES)
def test_every_core_is_bit_exact(model, tmp_path, core):
    turn = list(CORES).index(core)
    simulator = ("unicorn", "qemu")[turn % 2]
    rows = {row.simulator: row for row in matrix_rows() if row.core == core}
    if not rows[simulator].board:  # none knows every core
        simulator = ("qemu", "unicorn")[turn % 2]
    need_simulator(simulator)
    weights, compiler = BUILDS[turn % len(BUILDS)]
    level, batch = OPTIMIZATIONS[turn % len(OPTIMIZATIONS)], BATCHES[turn % len(BATCHES)]
    column = Column(compiler, level, batch)
    cell = run_cell(model, tmp_path, EXTENT, rows[simulator], column, weights=weights)
    assert cell.outcome == "bit-exact", f"{column}, {weights}: {cell.reason}"
    assert cell.learn_instructions > cell.infer_instructions > 50_000

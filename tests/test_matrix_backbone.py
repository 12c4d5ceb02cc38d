"""A frozen backbone on every core: compilers, levels, widths, simulators and exits take turns."""

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
NETWORKS = ("", "  exits_at: [map1, map2]\n")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Without exits within the backbone, and with them."""
    return [write_model(tmp_path_factory.mktemp("matrix"), network=one) for one in NETWORKS]


@pytest.mark.parametrize("core", CORES)
def test_every_core_is_bit_exact(models, tmp_path, core):
    turn = list(CORES).index(core)
    simulator = ("unicorn", "qemu")[turn % 2]
    rows = {row.simulator: row for row in matrix_rows() if row.core == core}
    if not rows[simulator].board:  # none knows every core
        simulator = ("qemu", "unicorn")[turn % 2]
    need_simulator(simulator)
    weights, compiler = BUILDS[turn % len(BUILDS)]
    level, batch = OPTIMIZATIONS[turn % len(OPTIMIZATIONS)], BATCHES[turn % len(BATCHES)]
    column = Column(compiler, level, batch)
    model = models[(turn + turn // len(BUILDS)) % len(models)]
    cell = run_cell(model, tmp_path, EXTENT, rows[simulator], column, weights=weights)
    assert cell.outcome == "bit-exact", f"{column}, {weights}: {cell.reason}"
    assert cell.learn_instructions > cell.infer_instructions > 50_000

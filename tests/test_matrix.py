"""A trimmed matrix: every core in every simulator, by both compilers, with both weight widths."""

import itertools
import json
from functools import cache

import pytest
from click.testing import CliRunner
from simulators import need_simulator
from test_verify import write_model

from spela_mcu.cli.matrix import TRIMMED, command, make_document, read_document
from spela_mcu.commands.matrix import (
    BATCHES,
    COMPILERS,
    CORES,
    SIMULATORS,
    WEIGHTS,
    Cell,
    Column,
    Extent,
    Row,
    matrix_rows,
    run_cell,
    run_matrix,
)
from spela_mcu.device.protocol import Command, DeviceError, Status
from spela_mcu.errors import UserError
from spela_mcu.firmware.board import load_board
from spela_mcu.firmware.toolchain import OPTIMIZATIONS
from spela_mcu.pipeline import Prepared
from spela_mcu.spec.load import load_spec

EXTENT = Extent(learn_steps=25, samples=4)

ONE_RENODE = pytest.mark.xdist_group("renode")
"""Its process serves all machines of one worker."""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(
        tmp_path_factory.mktemp("matrix"), inputs=13, units=(17, 9), classes=3, samples=60
    )


BUILDS = list(itertools.product(COMPILERS, WEIGHTS))
"""Of each core, dealt to the simulators that have a board for it. `make matrix` runs them all."""


@cache
def rows():
    """What `matrix_rows` finds on this machine."""
    return matrix_rows()


def has_board(row):
    """Whether there is a board, even if this machine lacks the simulator."""
    return "no board" not in row.absent


def columns(core, simulator):
    """The builds of one core in one simulator, each with its width of weights.

    Levels and batches take turns.
    """
    known = {row.simulator for row in rows() if row.core == core and has_board(row)}
    dealt_to = [name for name in ("unicorn", "qemu", "renode") if name in known]  # quickest first
    number = list(CORES).index(core)
    for index, (compiler, weights) in enumerate(BUILDS):
        if simulator == dealt_to[(index + number) % len(BUILDS) % len(dealt_to)]:
            turn = len(BUILDS) * number + index
            level = OPTIMIZATIONS[turn % len(OPTIMIZATIONS)]
            yield Column(compiler, level, BATCHES[turn % len(BATCHES)]), weights


def test_every_core_has_every_width_by_every_compiler():
    everywhere = []
    for core in CORES:
        builds = [one for simulator in SIMULATORS for one in columns(core, simulator)]
        assert sorted((column.compiler, width) for column, width in builds) == sorted(BUILDS)
        everywhere += [column for column, _ in builds]
    assert len({(one.compiler, one.optimization) for one in everywhere}) == 10
    assert {one.batch for one in everywhere} == set(BATCHES)
    for row in rows():
        assert has_board(row) == any(columns(row.core, row.simulator))


@pytest.mark.parametrize(
    ("core", "simulator"),
    [
        pytest.param(core, simulator, marks=ONE_RENODE if simulator == "renode" else ())
        for core, simulator in itertools.product(CORES, SIMULATORS)
    ],
)
def test_every_core_in_every_simulator_is_bit_exact(model, tmp_path, core, simulator):
    (row,) = (r for r in rows() if (r.core, r.simulator) == (core, simulator))
    if row.board is None:
        need_simulator(simulator)
        pytest.skip(row.absent)
    for column, weights in columns(core, simulator):
        cell = run_cell(model, tmp_path, EXTENT, row, column, weights=weights)
        assert cell.outcome == "bit-exact", f"{column}, {weights}: {cell.reason}"
        assert cell.learn_instructions > cell.infer_instructions > 401


def test_only_these_have_no_board():
    none = {(r.core, r.simulator) for r in rows() if not has_board(r)}
    assert none == {
        *(("cortex-m0plus", "qemu"), ("cortex-m55", "unicorn")),
        *(("rv32imc", "renode"), ("rv32imac", "renode")),
    }


def test_a_planted_fault_is_a_different_cell(model, tmp_path, monkeypatch):
    row = Row("cortex-m4", "unicorn", load_board("mps2-an386"))

    right = Prepared.deploy

    def deploy(prepared, directory):
        from spela_mcu.firmware.build import build_project
        from spela_mcu.firmware.toolchain import find_compiler

        right(prepared, directory)
        file = directory / "spela" / "spela_arithmetic.h"
        assert "1013904223" in file.read_text()
        file.write_text(file.read_text().replace("1013904223", "1013904225"))
        return build_project(directory, find_compiler("auto"))

    monkeypatch.setattr(Prepared, "deploy", deploy)
    cell = run_cell(model, tmp_path, EXTENT, row, Column("gcc", "O2", 1), weights="int8")
    assert cell.outcome == "different"
    assert "on the device" in cell.reason


def test_a_device_that_refuses_is_a_different_cell(model, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise DeviceError(Command.LEARN, Status.DAMAGED)

    monkeypatch.setattr("spela_mcu.commands.matrix.compare_learning", refuse)
    row = Row("cortex-m4", "unicorn", load_board("mps2-an386"))
    cell = run_cell(model, tmp_path, EXTENT, row, Column("gcc", "O2", 1), weights="int8")
    assert (cell.outcome, "refused LEARN" in cell.reason) == ("different", True)


def test_a_model_that_does_not_fit_is_absent_with_its_reason(tmp_path):
    model = write_model(tmp_path, inputs=200, units=(100,), classes=3, samples=60)
    row = Row("cortex-m0", "qemu", load_board("microbit"))
    cell = run_cell(model, tmp_path / "m", EXTENT, row, Column("gcc", "O2", 1), weights="int8")
    assert cell.outcome == "absent"
    assert "does not fit microbit" in cell.reason


def test_the_table(monkeypatch, model):
    rows = (
        Row("cortex-m4", "unicorn", load_board("mps2-an386")),
        Row("cortex-m55", "unicorn", None, "no board with a cortex-m55 that unicorn knows"),
    )
    monkeypatch.setattr("spela_mcu.commands.matrix.matrix_rows", lambda: rows)
    extent = Extent((Column("gcc", "O2", 1), Column("zig", "O2", 3)), learn_steps=3, samples=1)
    seen = []
    cells = list(run_matrix(model, model.parent / "table", extent, lambda *step: seen.append(step)))
    assert len(cells) == 8
    assert seen[-1][1:] == (8, 8)
    text = make_document(load_spec(model), cells, extent).markdown()
    assert "| board | gcc O2 B1 | zig O2 B3 | note |" in text
    assert "| cortex-m4 | unicorn | mps2-an386 | == | == |  |\n" in text
    assert "| cortex-m55 | unicorn |  | -- | -- | 1 |\n" in text
    assert "1. no board with a cortex-m55 that unicorn knows" in text


def test_rows_of_some_cores_are_replaced(monkeypatch, model, tmp_path):
    """The others stay, with their notes; what is of other versions is left as it is."""

    def run(some, *options):
        cells = [
            Cell(core, "unicorn", "", *build, "absent", f"not {core}, {board}")
            for core, board in some
            for build in (("gcc", "O2", 1, "int8"), ("gcc", "O2", 1, "int16"))
        ]
        monkeypatch.setattr("spela_mcu.cli.matrix.run_matrix", lambda *_: iter(cells))
        return CliRunner().invoke(
            command, [str(model), "--trimmed", "--markdown", str(file), *options]
        )

    only = Extent((Column("gcc", "O2", 1),))
    monkeypatch.setattr("spela_mcu.cli.matrix.TRIMMED", only)
    file = tmp_path / "matrix.md"
    assert run([("cortex-m3", "a"), ("rv32imc", "a")]).exit_code == 0
    assert run([("cortex-m4", "b"), ("rv32imc", "b")], "--core=cortex-m4").exit_code == 0
    lines = read_document(file).lines
    assert [(line.words[0], *line.reasons) for line in lines] == [
        ("cortex-m3", "not cortex-m3, a"),
        ("cortex-m4", "not cortex-m4, b"),
        ("rv32imc", "not rv32imc, b"),
    ]
    whole = file.read_text()
    assert "1. not cortex-m3, a\n2. not cortex-m4, b\n3. not rv32imc, b\n" in whole
    for right, wrong in (("unicorn ", "unicorn 0"), ("learned 100 ", "learned 99 "), ("| c", "c")):
        file.write_text(whole.replace(right, wrong))
        done = run([("rv32imc", "c")], "--core=rv32imc")
        assert isinstance(done.exception, UserError)
        assert file.read_text() == whole.replace(right, wrong)


def test_batches_take_turns_over_compilers_and_levels():
    columns = Extent().columns
    assert len({(one.compiler, one.optimization) for one in columns}) == len(columns) == 10
    for compiler in COMPILERS:
        assert {one.batch for one in columns if one.compiler == compiler} == set(BATCHES)
    assert {one.batch for one in TRIMMED.columns} == set(BATCHES)


def test_the_command(monkeypatch, tmp_path):
    def cells(outcome):
        where = ("cortex-m4", "unicorn", "mps2-an386", "gcc", "O2", 3, "int8")
        return lambda *_: iter([Cell(*where, outcome, "weight[0][0] is 1")])

    only = Extent((Column("gcc", "O2", 3),), ("int8",))
    model = write_model(tmp_path, inputs=5, units=(6,), classes=3, samples=60)
    for outcome, code in (("bit-exact", 0), ("different", 1), ("absent", 0)):
        monkeypatch.setattr("spela_mcu.cli.matrix.run_matrix", cells(outcome))
        monkeypatch.setattr("spela_mcu.cli.matrix.TRIMMED", only)
        done = CliRunner().invoke(command, [str(model), "--trimmed", "--json"])
        assert done.exit_code == code
        assert json.loads(done.stdout)[0]["outcome"] == outcome
        shown = CliRunner().invoke(command, [str(model), "--trimmed"])
        assert shown.exit_code == code
        assert f"1 {outcome}" in shown.stdout

import dataclasses
import json
import re
from typing import get_args

import numpy as np
import pytest
from click.testing import CliRunner
from convolutional import plan_of
from toy import toy_spec

from spela_mcu.cli.generate import command
from spela_mcu.data.dataset import InputScaling
from spela_mcu.errors import UserError
from spela_mcu.firmware.board import load_board
from spela_mcu.firmware.memory import network_memory, plan_memory
from spela_mcu.firmware.model import model_source
from spela_mcu.firmware.preflight import Preflight, check_fit
from spela_mcu.fixed_point.layout import padded
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import make_plan, sizing_plan
from spela_mcu.pipeline import prepare
from spela_mcu.spec.learning import Format

SMALL, LARGE = "stm32f4_discovery", "mps2-an386"


def preflight(inputs, layers, classes, weights="int8", batch=1, **changes):
    plan = make_plan(toy_spec(layers, weights, batch=batch), inputs, classes)
    asked = {"weights_in_flash": False, "inference_only": False, **changes}
    return Preflight(plan=plan, compiler="auto", optimization="O2", **asked)


@pytest.mark.parametrize("weights", ["int8", "int16"])
@pytest.mark.parametrize(
    ("inputs", "layers", "classes"), [(13, (17, 9), 5), (1, (2,), 2), (7, (26, 31, 25, 27), 26)]
)
@pytest.mark.parametrize(
    ("drawn", "inference_only"), [(True, False), (False, False), (False, True)]
)
def test_what_the_network_takes_is_known_without_its_weights(
    inputs, layers, classes, weights, drawn, inference_only
):
    spec = toy_spec(layers, weights)
    plan, sizes = make_plan(spec, inputs, classes), sizing_plan(spec, inputs, classes)
    scaling = InputScaling(np.zeros(inputs, np.float32), np.ones(inputs, np.float32))
    source = model_source(
        "toy",
        IntegerNetwork.untrained(plan),
        tuple(map(str, range(classes))),
        scaling,
        drawn=drawn,
        inference_only=inference_only,
    )
    memory = network_memory(
        sizes, weights_in_flash=not drawn or inference_only, inference_only=inference_only
    )
    assert (memory.arena_bytes, memory.table_bytes) == (source.arena_bytes, source.table_bytes)


def test_the_bound_for_any_compiler_holds_for_each():
    memory = network_memory(
        make_plan(toy_spec(), 13, 5), weights_in_flash=False, inference_only=False
    )
    board = load_board(SMALL)
    codes = [plan_memory(memory, board, compiler=name).code for name in ("auto", "gcc", "zig")]
    assert codes[0] == max(codes[1:])


# ---------------------------------------------------------------------- the refusal


def test_what_fits_is_planned():
    memory = check_fit(preflight(784, (128, 34), 10), load_board(SMALL))
    assert memory.weights == 784 * 128 + 128 * 36
    network = memory.weights + memory.buffers + memory.pending
    assert memory.ram == network + memory.application + memory.stack


def test_whether_a_model_fits_is_known_without_its_embeddings(monkeypatch, tmp_path):
    """Those of 256 classes take many seconds to find."""

    def too_slow(*_):
        raise AssertionError("embeddings are looked for")

    monkeypatch.setattr("spela_mcu.fixed_point.plan.class_embeddings", too_slow)
    x = np.random.default_rng(0).normal(size=(256 * 10, 16))
    np.savez(tmp_path / "data.npz", x=x, y=np.arange(256 * 10) % 256)
    file = tmp_path / "model.yaml"
    file.write_text(
        "name: many\ndata: {source: npz, path: data.npz}\n"
        "network: {layers: [{units: 1024}, {units: 256}]}\ntarget: {board: microbit}\n"
    )
    with pytest.raises(UserError, match="does not fit microbit"):
        prepare(file)


def test_a_refusal_says_by_how_much_and_what_would_fit():
    asked = preflight(784, (1000, 34), 10, "int16")
    board = load_board(SMALL)
    with pytest.raises(UserError) as raised:
        check_fit(asked, board)
    lacking = asked.memory(board).ram - board.ram.bytes
    assert f"RAM by {lacking} bytes" in raised.value.reason
    assert "flash" not in raised.value.reason
    (units,) = map(int, re.findall(r"layer 0 at most (\d+) units", raised.value.mend))
    assert "int8" not in raised.value.mend  # it alone would not do
    assert LARGE in raised.value.mend
    check_fit(preflight(784, (units, 34), 10, "int16"), board)
    with pytest.raises(UserError):
        check_fit(preflight(784, (units + 1, 34), 10, "int16"), board)
    check_fit(asked, load_board(LARGE))


def test_the_largest_batch_that_fits_is_proposed():
    board = load_board(SMALL)
    asked = preflight(784, (128, 34), 10, batch=40)
    with pytest.raises(UserError) as raised:
        check_fit(asked, board)
    assert f"to keep 40 takes {asked.memory(board).pending} bytes" in raised.value.mend
    (batch,) = map(int, re.findall(r"learning\.batch: (\d+)", raised.value.mend))
    check_fit(preflight(784, (128, 34), 10, batch=batch), board)
    with pytest.raises(UserError):
        check_fit(preflight(784, (128, 34), 10, batch=batch + 1), board)


def test_no_batch_is_proposed_where_none_would_fit():
    with pytest.raises(UserError) as raised:
        check_fit(preflight(784, (200, 34), 10, batch=8), load_board(SMALL))
    assert "learning.batch" not in raised.value.mend


def test_int8_is_proposed_where_it_suffices():
    asked = preflight(784, (128, 34), 10, "int16")
    with pytest.raises(UserError) as raised:
        check_fit(asked, load_board(SMALL))
    assert "set fixed_point.weights: int8" in raised.value.mend
    check_fit(preflight(784, (128, 34), 10), load_board(SMALL))


def test_leaving_learning_out_is_proposed_where_it_suffices():
    with pytest.raises(UserError) as raised:
        check_fit(preflight(784, (400, 34), 10), load_board(SMALL))
    assert "--inference-only" in raised.value.mend
    check_fit(preflight(784, (400, 34), 10, inference_only=True), load_board(SMALL))


def test_too_much_flash_is_refused_as_well():
    board = load_board(SMALL)
    asked = preflight(4000, (400, 34), 10, inference_only=True)
    with pytest.raises(UserError) as raised:
        check_fit(asked, board)
    assert f"flash by {asked.memory(board).flash_lacking} bytes" in raised.value.reason
    assert "RAM" not in raised.value.reason
    assert "--inference-only" not in raised.value.mend


def test_samples_too_large_for_any_width():
    tiny = load_board(SMALL)
    tiny = tiny.model_copy(update={"ram": tiny.ram.model_copy(update={"bytes": 0x1000})})
    with pytest.raises(UserError) as raised:
        check_fit(preflight(4000, (10, 9), 10), tiny)
    assert "at most" not in raised.value.mend


def test_no_width_below_what_the_classes_need_is_proposed():
    board = load_board(SMALL)
    small = board.model_copy(update={"ram": board.ram.model_copy(update={"bytes": 0x2000})})
    with pytest.raises(UserError) as raised:
        check_fit(preflight(1000, (30, 30), 26), small)
    assert "units" not in raised.value.mend


# ----------------------------------------------------------------------- the command

MODEL = """\
name: wide
data: {source: npz, path: data.npz}
network:
  layers: [{units: UNITS}, {units: 9}]
learning: {start: untrained}
"""


@pytest.fixture
def model(tmp_path):
    generator = np.random.default_rng(0)
    y = np.arange(60) % 3
    x = generator.normal(size=(60, 40)) + y[:, None]
    np.savez(tmp_path / "data.npz", x=x, y=y)

    def write(units):
        file = tmp_path / "model.yaml"
        file.write_text(MODEL.replace("UNITS", str(units)))
        return str(file)

    return write


def test_generate_shows_the_plan_and_writes_the_project(model, tmp_path):
    done = CliRunner().invoke(command, [model(12), "-o", str(tmp_path / "p")])
    assert done.exit_code == 0, done.output
    for item in ("flash", "code", "tables", "RAM", "weights", "application", "stack"):
        assert item in done.stdout
    manifest = json.loads((tmp_path / "p" / "project.json").read_text())
    assert manifest["board"]["id"] == SMALL
    assert "untrained" in done.stdout
    assert len((tmp_path / "p" / "samples.csv").read_text().splitlines()) == 12


def test_generate_for_another_board(model, tmp_path):
    done = CliRunner().invoke(command, [model(12), "-o", str(tmp_path / "p"), "--board", LARGE])
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "p" / "project.json").read_text())["board"]["id"] == LARGE


def test_generate_refuses_before_it_writes_anything(model, tmp_path):
    done = CliRunner().invoke(command, [model(4000), "-o", str(tmp_path / "p")])
    assert isinstance(done.exception, UserError)  # main() prints it and leaves with 2
    assert "does not fit" in done.exception.reason
    assert not (tmp_path / "p").exists()


def test_plans_of_different_boards_share_nothing_but_the_model():
    asked = preflight(13, (17, 9), 5)
    one, other = (asked.memory(load_board(board)) for board in (SMALL, LARGE))
    assert dataclasses.replace(one, board=other.board, store=other.store) == other


def of_filters(weights, first, second):
    layers = [
        {"kind": "convolution", "filters": first},
        {"kind": "convolution", "filters": second, "grid": 2},
        {"units": 12},
    ]
    plan = plan_of((12, 12, 3), layers, fixed_point={"weights": weights})
    return Preflight(
        plan=plan,
        weights_in_flash=False,
        inference_only=False,
        compiler="auto",
        optimization="O2",
    )


@pytest.mark.parametrize("weights", ["int12", "int16"])
def test_a_refusal_says_how_many_filters_would_fit(weights):
    board = load_board("microbit")

    def asked(first, second):
        return of_filters(weights, first, second)

    with pytest.raises(UserError, match="does not fit microbit") as raised:
        check_fit(asked(8, 90), board)
    (filters,) = map(int, re.findall(r"layer 1 at most (\d+) filters", raised.value.mend))
    check_fit(asked(8, filters), board)
    with pytest.raises(UserError):
        check_fit(asked(8, filters + 1), board)


def test_the_widest_filters_that_fit_are_proposed():
    """Of those with fewer bits: 12 where they fit, else 8."""
    board = load_board("microbit")
    proposed = {}
    for filters in range(20, 120, 2):
        asked = of_filters("int16", 8, filters)
        if asked.memory(board).fits:
            continue
        with pytest.raises(UserError) as raised:
            check_fit(asked, board)
        found = re.search(r"fixed_point.weights: (\w+)", raised.value.mend)
        proposed[filters] = found and found[1]
        fit = {one: of_filters(one, 8, filters).memory(board).fits for one in ("int8", "int12")}
        expected = "int12" if fit["int12"] else "int8" if fit["int8"] else None
        assert proposed[filters] == expected
    assert {"int12", "int8", None} == set(proposed.values())


def test_filters_of_12_bits_take_half_as_much_again_as_of_8():
    ram = {one: of_filters(one, 8, 24).memory(load_board(LARGE)) for one in get_args(Format)}
    filters = 8 * padded(27) + 24 * padded(72)
    assert ram["int12"].weights - ram["int8"].weights == filters // 2
    dense = padded(12) * padded(of_filters("int8", 8, 24).plan.layers[-1].inputs)
    assert ram["int16"].weights - ram["int8"].weights == filters + dense
    assert len({(one.buffers, one.tables) for one in ram.values()}) == 1

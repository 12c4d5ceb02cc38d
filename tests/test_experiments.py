import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from experiments import from_scratch
from experiments.from_scratch import CONTENDERS, FLOAT, PER_WEIGHT, Task, at_start, changed, learned
from experiments.independent_dither import IndependentDitherNetwork
from spela_mcu.data.dataset import quantize_inputs
from spela_mcu.errors import UserError
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.pipeline import Overrides, learning_stream, prepare
from spela_mcu.reference.training import online_learning_rates

MODEL = """
name: iris
data:
  source: sklearn
  dataset: iris
  scaling: per_feature
network:
  layers:
    - units: 8
    - units: 6
learning:
  start: untrained
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("iris") / "model.yaml"
    path.write_text(MODEL)
    return path


@pytest.fixture
def run(monkeypatch):
    """Runs the command; in this process, since others would import torch first."""
    monkeypatch.setattr(from_scratch, "PROCESSES", 1)
    return lambda *arguments: CliRunner().invoke(from_scratch.command, list(map(str, arguments)))


def rows(table):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_the_tables_show_every_contender_and_the_json_every_run(run, model, tmp_path):
    file = tmp_path / "found.json"
    done = run(
        model, "--epochs", 2, "--set", "network.margin=0.2", "--draw-per-weight", "--json", file
    )
    assert done.exit_code == 0, done.stderr
    head, accuracy, first_epoch, quantization = done.stdout.strip().split("\n\n")
    assert head.startswith("iris: 4-8-6, loss margin 0.2, learning rate 0.2; 2 x 108 samples")
    names = [FLOAT, *(name for name in CONTENDERS if name != FLOAT)]
    heads, _, *body = rows(accuracy)
    assert heads == ["learned in", "exit 0", "exit 1", "last exit, above float"]
    assert [row[0] for row in body] == names
    assert first_epoch == "The first epoch with seed 0:"
    counted = [name for name in names if name not in (FLOAT, PER_WEIGHT)]
    assert [row[:2] for row in rows(quantization)[2:]] == [[n, k] for n in counted for k in "01"]

    report = json.loads(file.read_text())
    assert report["network"]["margin"] == 0.2
    results = report["results"]
    runs = [result for result in results if not result["quantization"]]
    assert len(runs) == len(names) * 3
    assert len(results) - len(runs) == len(counted)
    shares = [r["accuracy"] for r in runs if r["task"]["contender"] == "int8, nearest"]
    mean, deviation = 100 * np.mean(shares, axis=0), 100 * np.std(shares, axis=0, ddof=1)
    expected = [f"{m:.2f} ± {d:.2f}" for m, d in zip(mean, deviation, strict=True)]
    assert body[names.index("int8, nearest")][1:3] == expected


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--set", "network.los=cosine"], "network.los: unknown key"),
        (["--set", "network.loss=hinge"], "network.loss"),
        (["--set", "data.seed=1"], "is not KEY=VALUE"),
        (["--seeds", "2"], "'--seeds'"),
    ],
)
def test_what_cannot_be_measured_is_refused(run, model, arguments, reason):
    done = run(model, *arguments)
    assert isinstance(done.exception, SystemExit)
    assert done.exit_code != 0
    assert reason in done.stderr


def test_all_contenders_start_from_the_same_weights(model):
    prepared = prepare(model, Overrides(start="untrained"))
    starts = {name: at_start(prepared, Task(name, 3, 1)) for name in CONTENDERS}
    twin, int16 = starts[FLOAT].float_twin(), starts["int16, stochastic"].network
    for index, weights in enumerate(starts["int8, stochastic"].network.initial):
        assert np.array_equal(weights, starts["int8, nearest"].network.initial[index])
        assert np.array_equal(weights, int16.initial[index] >> 8)
        scale = starts[FLOAT].plan.layers[index].weight_scale
        # float32 holds an int8 divided by the scale to 2^-24 of it
        assert np.allclose(twin.layers[index].weight * scale, weights, rtol=1e-6, atol=0)


def test_parts_of_the_stream_change_neither_order_nor_rate(model, monkeypatch):
    prepared = prepare(model, Overrides(start="untrained"))
    spec = changed(prepared.spec, {"learning.halve_rate_every": 60})
    prepared = replace(prepared, spec=spec)
    monkeypatch.setattr(from_scratch, "SAMPLES_AT_ONCE", 50)
    start, train = at_start(prepared, Task(FLOAT, 5, 2)), prepared.dataset.train
    order = learning_stream(len(train), 2 * len(train), 5)
    parts = list(from_scratch.stream(start, 2))
    assert np.array_equal(np.concatenate([x for x, _, _ in parts]), train.x[order])
    assert np.array_equal(np.concatenate([y for _, y, _ in parts]), train.y[order])
    twin = start.float_twin()
    before = twin.accuracy(train.x, train.y)
    twin.learn_online(train.x[order], train.y[order], online_learning_rates(spec.learning, 216))
    test = prepared.dataset.test
    assert twin.accuracy(train.x, train.y) != before
    assert learned(prepared, Task(FLOAT, 5, 2)).accuracy == twin.accuracy(test.x, test.y)


def test_unknown_values_name_their_key(model):
    spec = prepare(model, Overrides(start="untrained")).spec
    with pytest.raises(UserError) as caught:
        changed(spec, {"learning.learning_rate": -1})
    assert caught.value.key == "learning.learning_rate"


def test_independent_dither_differs_from_the_product_in_the_dither_alone(model, monkeypatch):
    # With half a unit for every random number, it must round to nearest, bit for bit.
    class Half:
        def integers(self, low, high, shape, dtype):
            return np.full(shape, high // 2, dtype)

    prepared = prepare(model, Overrides(start="untrained"))
    plan = at_start(prepared, Task("int8, nearest", 1, 1)).plan
    nearest, independent = IntegerNetwork.untrained(plan), IndependentDitherNetwork.untrained(plan)
    samples, labels = quantize_inputs(prepared.dataset.train.x), prepared.dataset.train.y
    for _ in range(6):  # beyond 256 updates: a layer is halved on the way
        nearest.partial_fit(samples, labels)
    random = IndependentDitherNetwork.untrained(plan)
    monkeypatch.setattr(independent, "generator", Half())
    for _ in range(6):
        independent.partial_fit(samples, labels)
        random.partial_fit(samples, labels)
    assert max(state.halvings for state in nearest.layers) > 0
    assert independent.digest() == nearest.digest()
    assert random.digest() != nearest.digest()

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from experiments import run as run_module
from experiments import tables, tasks
from experiments.drift import LEARNED, drift
from experiments.independent_dither import IndependentDitherNetwork
from experiments.learning import Stream, exit_cosines, learn, part_of, powered, prepared, shares
from experiments.studies import STUDIES, Row, Study
from experiments.tasks import (
    Record,
    Task,
    append_record,
    changed,
    read_records,
    results_file,
    still_to_do,
)
from spela_mcu.data.dataset import Dataset, InputScaling, Split, quantize_inputs
from spela_mcu.errors import UserError
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import make_plan
from spela_mcu.pipeline import Overrides, learning_stream, prepare

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
training:
  epochs: 2
learning:
  start: untrained
  epochs: 2
  halve_rate_every: 18
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("iris") / "model.yaml"
    path.write_text(MODEL)
    return path


@pytest.fixture
def study(model, monkeypatch):
    rows = (Row("float", options={"by": "float"}), Row("cosine", {"network.loss": "cosine"}))
    found = Study("Iris", str(model), rows, seeds=2, reference="float")
    monkeypatch.setitem(STUDIES, "mnist", found)  # the command knows the studies' names
    return found


def task(model, seed=0, settings=None, measure="learn", **options):
    return Task("iris", "row", measure, str(model), "", settings or {}, options, seed)


# ------------------------------------------------------------------- studies and results


def test_every_study_holds_tasks_that_its_models_take():
    for name, study in STUDIES.items():
        found = study.tasks(name, seeds=1)
        assert len({t.key for t in found}) == len(study.rows)
        assert study.reference is None or study.reference in [row.name for row in study.rows]
        for one in found:
            assert one.measure in run_module.MEASURES
            changed(prepare_spec(one.model), one.settings)


def prepare_spec(model):
    from pathlib import Path

    from spela_mcu.spec.load import load_spec

    return load_spec(Path(model))


def test_what_has_a_result_is_not_measured_again(study, tmp_path, monkeypatch):
    def command():
        arguments = ["mnist", "--jobs", "1", "--results", str(tmp_path)]
        return CliRunner().invoke(run_module.command, arguments)

    done = command()
    assert done.exit_code == 0, done.output
    file = results_file("mnist", tmp_path)
    lines = file.read_text().splitlines()
    assert len(lines) == 4
    first = json.loads(lines[0])
    assert first["versions"].keys() == {"spela_mcu", "python", "numpy", "torch"}
    assert first["command"].startswith("python -m experiments.run")
    assert first["task"]["seed"] == 0

    measured = []
    real = run_module.MEASURES["learn"]
    monkeypatch.setitem(
        run_module.MEASURES, "learn", lambda t: measured.append((t.row, t.seed)) or real(t)
    )
    command()
    assert measured == []
    file.write_text("\n".join([*lines[:1], *lines[2:]]) + "\n")
    command()
    assert len(measured) == 1
    # the same bits: what is measured again is what was measured before
    assert sorted(json.loads(line)["values"]["last exit"] for line in lines) == sorted(
        r.values["last exit"] for r in read_records(file)
    )


def test_a_changed_model_is_measured_anew(study, model):
    before = study.tasks("iris")
    records = [Record(t, {"last exit": 1.0}) for t in before]
    assert still_to_do(before, records) == []
    text = model.read_text()
    try:
        model.write_text(text + "# changed\n")
        assert still_to_do(study.tasks("iris"), records) == study.tasks("iris")
    finally:
        model.write_text(text)


def test_a_damaged_line_is_named(tmp_path, model):
    file = tmp_path / "iris.jsonl"
    append_record(file, Record(task(model), {"last exit": 50.0}), "command")
    assert read_records(file)[0].task == task(model)
    with file.open("a") as stream:
        stream.write('{"task": {"study"\n')
    with pytest.raises(UserError) as caught:
        read_records(file)
    assert caught.value.line == 2


def test_the_list_counts_what_is_measured(study, tmp_path):
    append_record(
        results_file("mnist", tmp_path), Record(study.tasks("mnist")[0], {"last exit": 1.0}), "c"
    )
    listed = CliRunner().invoke(run_module.command, ["--results", str(tmp_path)]).output
    assert "run mnist             #     1/4 runs: Iris" in listed


def test_unknown_values_name_their_key(model):
    spec = prepare_spec(model)
    with pytest.raises(UserError) as caught:
        changed(spec, {"learning.learning_rate": -1})
    assert caught.value.key == "learning.learning_rate"
    with pytest.raises(UserError, match="unknown key"):
        changed(spec, {"network.los": "cosine"})


# ---------------------------------------------------------------------------- tables


def test_a_table_holds_means_deviations_and_differences(study):
    values = {("float", 0): 90, ("float", 1): 92, ("cosine", 0): 88, ("cosine", 1): 92}
    records = [Record(t, {"last exit": values[t.row, t.seed]}) for t in study.tasks("iris")]
    stale = replace(study.tasks("iris")[0], row="gone")
    table = tables.study_table("iris", study, [*records, Record(stale, {"last exit": 1.0})])
    assert table.splitlines() == [
        "|  | runs | last exit | last exit, above float |",
        "| --- | ---: | ---: | ---: |",
        "| float | 2 | 91.00 ± 1.41 |  |",
        "| cosine | 2 | 90.00 ± 2.83 | -1.00 ± 1.41 |",
    ]
    text = "a\n<!-- study: iris -->\nold\n<!-- end -->\n<!-- study: other -->\nkept\n<!-- end -->\n"
    written = tables.with_tables(text, {"iris": table})
    assert "old" not in written
    assert "kept" in written
    assert tables.with_tables(written, {"iris": table}) == written


@pytest.mark.parametrize("document", tables.DOCUMENTS, ids=str)
def test_the_documents_show_the_results_in_the_repository(document):
    """They hold what `python -m experiments.tables` would write."""
    document = document.read_text()
    found = {
        name: tables.study_table(name, study, read_records(results_file(name)))
        for name, study in STUDIES.items()
        if results_file(name).is_file()
    }
    assert tables.with_tables(document, found) == document
    assert tasks.RESULTS.is_dir()


# -------------------------------------------------------------------------- learning


@pytest.mark.parametrize("batch", [1, 64])
def test_the_chip_and_numpy_agree_on_what_is_measured(model, batch):
    """Updates that are still pending when the stream ends count, as when the chip is asked."""
    one = task(model, seed=3, settings={"learning.batch": batch}, by="chip")
    spec, dataset = prepared(one)
    network = IntegerNetwork.untrained(make_plan(spec, dataset.inputs, dataset.classes))
    order = learning_stream(len(dataset.train), 2 * len(dataset.train), 3)
    network.partial_fit(quantize_inputs(dataset.train.x[order]), dataset.train.y[order])
    test = quantize_inputs(dataset.test.x)
    labels = network.predict_exits(test)
    found = learn(one)
    right = 100 * (labels == dataset.test.y).mean(axis=1)
    assert [found["exit 0"], found["last exit"]] == pytest.approx(right.tolist())

    cosines = exit_cosines(network.plan, [state.weights for state in network.layers], test)
    for n in range(5):
        for answers, exit_ in zip(network.infer(test[n]), cosines[:, n], strict=True):
            # Q1.14, and the chip's reciprocal is good to 2^-15
            assert answers.cosine / 2**14 == pytest.approx(exit_.max(), abs=2**-13)


@pytest.mark.parametrize("by", ["float", "batches", "per_weight", "backprop"])
def test_every_learner_learns(model, by):
    settings = {"learning.halve_rate_every": 0}
    found = learn(task(model, by=by, epochs=12, settings=settings))
    assert max(found.values()) > 55  # a third by chance


def test_float_learns_from_the_chips_weights(model):
    found = learn(task(model, seed=5, by="float"))
    start = prepare(model, Overrides(start="untrained", seed=5))
    twin, train = start.float_twin(), start.dataset.train
    from spela_mcu.reference.training import online_learning_rates

    order = learning_stream(len(train), 2 * len(train), 5)
    rates = online_learning_rates(start.spec.learning, len(order))
    assert len(set(rates.tolist())) > 3
    twin.learn_online(train.x[order], train.y[order], rates)
    test = start.dataset.test
    assert found["last exit"] == 100 * twin.accuracy(test.x, test.y)[-1]


def test_a_shift_of_every_layers_rate_is_half_the_rate(model):
    half, whole = ({"learning.learning_rate": rate} for rate in (0.1, 0.2))
    shifted = learn(task(model, settings=whole, by="chip", rate_shifts=[1, 1]))
    assert shifted == learn(task(model, settings=half, by="chip"))
    assert shifted != learn(task(model, settings=whole, by="chip"))


def test_a_share_of_the_samples_is_drawn_by_seed():
    split = Split(np.arange(100, dtype=np.float32)[:, None], np.arange(100))
    few = part_of(split, 0.05, seed=1)
    assert len(few) == 5
    assert (few.x[:, 0] == few.y).all()
    assert not np.array_equal(few.y, part_of(split, 0.05, seed=2).y)
    assert part_of(split, None, seed=1) is split


def test_exits_are_summed():
    cosines = np.array([[[0.9, 0.0]], [[0.1, 0.3]]])
    assert shares(cosines, np.array([0])) == {"exit 0": 100, "last exit": 0, "all exits": 100}


def test_pictures_are_shifted_with_zeros_from_outside():
    raw = np.zeros((200, 4, 3), np.float32)
    raw[:, 1, 1] = 8
    offset, scale = np.arange(12, dtype=np.float32), np.full(12, 0.125, np.float32)
    x = ((raw.reshape(200, -1) - offset) * scale).astype(np.float32)
    split = Split(x, np.arange(200) % 2)
    scaling = InputScaling(offset, scale)
    dataset = Dataset("t", (4, 3), ("a", "b"), scaling, split, split, split)
    ((moved, labels),) = list(Stream(dataset, 1, seed=0, shift=1))
    pictures = np.rint(moved / scale + offset).reshape(-1, 4, 3)
    assert (pictures.reshape(200, -1).sum(axis=1) == 8).all()
    places = {tuple(np.argwhere(picture)[0].tolist()) for picture in pictures}
    assert places == {(r, c) for r in (0, 1, 2) for c in (0, 1, 2)}
    ((plain, same),) = list(Stream(dataset, 1, seed=0))
    assert np.array_equal(labels, same)
    assert np.array_equal(plain, x[learning_stream(200, 200, 0)])


def test_pictures_are_taken_to_a_power_before_their_means_come_off():
    raw = np.random.default_rng(0).integers(0, 256, (50, 12)) / 255
    mean = raw[:40].mean(axis=0)
    train, rest = (
        Split((part - mean).astype(np.float32), np.arange(len(part)) % 2)
        for part in (raw[:40], raw[40:])
    )
    scaling = InputScaling((255 * mean).astype(np.float32), np.full(12, 1 / 255, np.float32))
    found = powered(Dataset("t", (4, 3), ("a", "b"), scaling, train, rest, rest), 0.5)
    roots = np.sqrt(raw)
    # float32 of a root: near 0 it is the root of a rounding error
    assert np.allclose(found.train.x, roots[:40] - roots[:40].mean(axis=0), atol=1e-3)
    assert np.allclose(found.test.x, roots[40:] - roots[:40].mean(axis=0), atol=1e-3)
    assert np.allclose(
        found.test.x + found.scaling.offset * found.scaling.scale, roots[40:], atol=1e-3
    )


# ----------------------------------------------------------------------------- drift


def test_drift_learns_on_from_the_trained_network(tmp_path):
    model = tmp_path / "model.yaml"
    model.write_text(
        "name: t\ndata:\n  source: sklearn\n  test_fraction: 0.5\n  input_range: [0, 16]\n"
        "network:\n  layers:\n    - units: 24\ntraining:\n  epochs: 2\n"
    )
    found = drift(task(model, measure="drift", drift="rotated"))
    assert list(found) == ["before the drift", "no learning", *(f"{n} learned" for n in LEARNED)]
    assert found["before the drift"] > found["no learning"]
    assert found["200 learned"] > found["no learning"]
    assert drift(task(model, measure="drift", drift="rotated")) == found


def test_independent_dither_differs_from_the_product_in_the_dither_alone(model, monkeypatch):
    # With half a unit for every random number, it must round to nearest, bit for bit.
    class Half:
        def integers(self, low, high, shape, dtype):
            return np.full(shape, high // 2, dtype)

    spec, dataset = prepared(task(model, settings={"fixed_point.rounding": "nearest"}, seed=1))
    plan = make_plan(spec, dataset.inputs, dataset.classes)
    nearest, independent = IntegerNetwork.untrained(plan), IndependentDitherNetwork.untrained(plan)
    samples, labels = quantize_inputs(dataset.train.x), dataset.train.y
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

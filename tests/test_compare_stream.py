"""`spela-mcu compare --stream`: learners of a stream, and what is shown and kept of them."""

import json
import math

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from experiments import continual as experiments
from experiments import forgetting
from experiments.tasks import Task
from spela_mcu.cli.compare import command
from spela_mcu.commands.compare_stream import CONTENDERS
from spela_mcu.continual import chip
from spela_mcu.continual.backprop import BackpropLearner
from spela_mcu.continual.learner import at_the_end, follow
from spela_mcu.continual.standings import FIGURES, read_streams
from spela_mcu.continual.stream import Shape, make_stream
from spela_mcu.continual.yardsticks import neighbours_in_same_bytes
from spela_mcu.data.load import load_dataset
from spela_mcu.errors import UserError
from spela_mcu.pictures.report import draw_stream
from spela_mcu.report.page import stream_table
from spela_mcu.spec.load import load_spec

MODEL = """
name: iris
data: {source: sklearn, dataset: iris, scaling: per_feature}
network: {layers: [{units: 12}]}
training: {epochs: 3}
learning: {start: START, epochs: 2, rehearsal: {samples: 5}}
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("iris") / "model.yaml"
    path.write_text(MODEL.replace("START", "trained"))
    return path


@pytest.fixture(scope="module")
def spec(model):
    return load_spec(model)


@pytest.fixture(scope="module")
def stream(model, spec):
    return make_stream("class-incremental", load_dataset(spec, model), Shape(), seed=0)


class Always:
    """Answers the class that it has learned last."""

    bytes = 7

    def __init__(self, label):
        self.label = label

    def learn(self, samples):
        self.label = int(samples.y[0])

    def predict(self, samples):
        return np.full(len(samples), self.label)


def test_a_learner_is_tested_on_every_experience_after_each(stream):
    found = follow(stream, Always(0), Always(2))
    assert found.matrix.rows.tolist() == [[0.5, 0.0], [0.0, 1.0]]
    assert found.matrix.untrained.tolist() == [0.0, 1.0]
    assert found.matrix.tested.tolist() == [20, 10]
    assert (found.bytes, found.matrix.new_classes) == (7, True)


def test_a_learner_of_everything_is_tested_at_the_end(stream):
    found = at_the_end(stream, Always(1))
    assert np.isnan(found.matrix.rows[0]).all()
    assert found.matrix.rows[1].tolist() == [0.5, 0.0]


def test_the_chip_is_taught_each_sample_once_and_then_rehearses(spec, stream):
    learner = chip.ChipLearner(
        chip.started(chip.with_spare_classes(spec, stream), stream.start), steps=40
    )
    by_hand = chip.started(chip.with_spare_classes(spec, stream), stream.start)
    assert by_hand.digest() == learner.network.digest()
    learned = stream.later[0].train
    learner.learn(learned)
    for sample, label in zip(learned.inputs, learned.y.tolist(), strict=True):
        by_hand.learn(sample, label)
    by_hand.rehearse(40)
    assert learner.network.digest() == by_hand.digest()


def test_a_spare_class_is_never_answered_before_it_is_taught(spec, stream):
    network = chip.started(chip.with_spare_classes(spec, stream), stream.start)
    assert set(network.predict(stream.everything.test.inputs)) <= {0, 1}


def test_a_network_that_starts_untrained_is_taught_the_first_experience(spec, stream):
    learning = spec.learning.model_copy(update={"start": "untrained"})
    untrained = spec.model_copy(update={"learning": learning})
    found = chip.as_the_model_says(untrained, stream, 10).matrix
    assert found.rows[0, 0] > found.untrained[0]
    assert found.rows[0, 1] == 0


def test_nearest_neighbours_have_no_more_bytes_than_spela(spec, stream):
    ours = chip.as_the_model_says(spec, stream, 0)
    assert neighbours_in_same_bytes(spec, stream, 0).bytes <= ours.bytes


def test_backpropagation_answers_only_what_has_come(spec, stream):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        learner = BackpropLearner(spec, stream, 800, 0.01)
    learner.start(spec, stream)
    assert set(learner.predict(stream.everything.test)) <= {0, 1}
    learner.learn(stream.later[0].train)
    assert 2 in learner.predict(stream.everything.test)


# --------------------------------------------------------------------------------- command


def run(*arguments):
    return CliRunner().invoke(command, [str(one) for one in arguments])


@pytest.fixture(scope="module")
def compared(model, tmp_path_factory):
    output = tmp_path_factory.mktemp("compared")
    options = "--stream", "class-incremental", "--shots", 9, "--rehearse", 20
    result = run(model, "-o", output, *options, "--seeds", 2, "--jobs", 1, "--json")
    assert result.exit_code == 0, result.output
    return output, json.loads(result.stdout)


def test_the_comparison_has_every_learner_and_every_figure(compared):
    _, report = compared
    assert [one["name"] for one in report["learners"]] == [one.name for one in CONTENDERS]
    assert report["stream"]["learned"][1] == 9
    for one in report["learners"]:
        assert set(one["mean"]) == set(FIGURES)
        assert len(one["runs"]) == len(report["seeds"]) == 2
        rows = [row for run_ in one["runs"] for row in run_["accuracy"] if row is not None]
        assert all(len(row) == 2 and 0 <= share <= 1 for row in rows for share in row)
        at_once = one["name"] == "spela_joint"
        assert (one["runs"][0]["accuracy"][0] is None) == at_once
        assert (one["mean"]["forgetting"] is None) == at_once
        assert one["mean"]["forward_transfer"] is None  # no answer can be right ahead of a class


def test_what_is_kept_is_what_was_told(compared):
    output, report = compared
    assert json.loads((output / "class-incremental.json").read_text()) == report
    (kept,) = read_streams(output)
    assert [one.mean["final"] for one in kept.learners] == [
        one["mean"]["final"] for one in report["learners"]
    ]


def test_the_report_draws_curves_and_a_table(compared):
    (kept,) = read_streams(compared[0])
    picture = draw_stream(kept.learners)
    assert all(one.title in picture for one in kept.learners)
    table = stream_table(kept)
    assert len(table.rows) == len(CONTENDERS)
    assert all(len(row) == len(table.headings) for row in table.rows)
    assert "FWT %" not in table.headings  # nobody has it


def test_a_damaged_comparison_is_told(compared, tmp_path):
    content = (compared[0] / "class-incremental.json").read_text()
    (tmp_path / "new-user.json").write_text(content[: len(content) // 2])
    with pytest.raises(UserError, match="damaged"):
        read_streams(tmp_path)


def test_a_model_that_rehearses_nothing_is_not_compared_with_itself(tmp_path):
    path = tmp_path / "model.yaml"
    path.write_text(MODEL.replace("START", "trained").replace(", rehearsal: {samples: 5}", ""))
    error = run(path, "--stream", "class-incremental").exception
    assert isinstance(error, UserError)
    assert (error.key, error.mend) == (
        "learning.rehearsal",
        "add learning: {rehearsal: {samples: 20}}",
    )


def test_data_without_groups_have_no_users(model, tmp_path):
    error = run(model, "-o", tmp_path, "--stream", "new-user").exception
    assert isinstance(error, UserError)
    assert "which samples are whose" in error.reason


@pytest.mark.parametrize("option", ["--first", "--group", "--shots", "--rehearse"])
def test_options_of_a_stream_go_with_one(model, option):
    result = run(model, option, 2)
    assert result.exit_code == 2
    assert f"{option} goes with --stream" in result.output


# ----------------------------------------------------------------------------- experiments


def task(model, settings=None, **options):
    return Task("iris", "row", "stream", str(model), "", settings or {}, options, 1)


@pytest.mark.parametrize(
    ("by", "settings"),
    [
        ("prototypes", {}),
        ("rehearsing", {"learning.rehearsal": {"keep": "means", "ratio": 4}}),
    ],
)
def test_learners_that_keep_no_sample_answer_the_new_class(model, by, settings):
    found = experiments.stream(task(model, settings, by=by, steps=300))
    assert found["later ones"] > 0
    assert found["at the end"] > 40


@pytest.mark.parametrize("how", ["hidden", "forgotten", "relearned", "retrained"])
def test_a_class_that_is_forgotten_leaves_less_than_one_that_is_hidden(model, how):
    found = forgetting.forget(task(model, how=how))
    known = forgetting.forget(task(model, how="hidden"))
    back = "the class, active again"
    assert found[back] <= known[back]
    assert all(not math.isnan(value) for value in found.values())


def test_an_attack_learns_from_other_networks_what_sure_means_of_each_sample():
    """Samples differ more from each other than learning changes: the margin alone tells little."""
    rng = np.random.default_rng(1)
    learned = forgetting.halves(40, rng)
    assert (learned.sum(axis=0) == forgetting.ATTACKED // 2).all()
    noise = rng.normal(0, 0.1, learned.shape)
    margins = rng.normal(0, 1, 40) + 0.3 * learned + noise
    assert forgetting.mean_area(learned, margins) < 0.65
    assert forgetting.mean_area(learned, forgetting.likelihood_ratios(margins, learned)) > 0.95
    leaves_nothing = forgetting.likelihood_ratios(margins - 0.3 * learned, learned)
    assert 0.4 < forgetting.mean_area(learned, leaves_nothing) < 0.6


def test_an_attack_on_a_forgotten_class_is_measured(model, monkeypatch):
    monkeypatch.setattr(forgetting, "ATTACKED", 4)
    found = forgetting.membership(task(model, how="forgotten"))
    assert all(0 <= area <= 100 for area in found.values())

"""The verdict on accuracy: shown to be within the tolerance, shown not to be, or not decidable."""

import dataclasses
import json
from math import sqrt

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from test_verify import write_model

from spela_mcu.cli.verify import command, exit_code
from spela_mcu.commands.verify import verify
from spela_mcu.pipeline import Overrides, prepare
from spela_mcu.proof import paired
from spela_mcu.proof.accuracy import DesignEffect, compare_with_float, paired_counts
from spela_mcu.proof.paired import (
    PairedCounts,
    samples_needed,
    score,
    score_interval,
    verdict,
)
from spela_mcu.simulators.unicorn import UnicornSimulator

pytestmark = pytest.mark.xdist_group("accuracy")  # float twins are trained once

Z = 1.6448536269514722  # of 5 %, one-sided


# ------------------------------------------------------------------ the interval


def test_the_interval_is_the_published_one(monkeypatch):
    # airway hyper-responsiveness, 21 pairs, 1 and 7 discordant: Tango's 95 % interval in
    # M. W. Fagerland et al., Statistics in Medicine 33, 2850-2875 (2014)
    monkeypatch.setattr(paired, "LEVEL", 0.025)
    low, high = score_interval(PairedCounts(21, 1, 7))
    assert (round(low, 3), round(high, 3)) == (-0.517, -0.026)


@pytest.mark.parametrize(("b", "c"), [(3, 1), (1, 9), (12.25, 4.5)])
def test_at_no_difference_it_is_mcnemars_test(b, c):
    assert score(PairedCounts(50, b, c), 0.0) == pytest.approx((b - c) / sqrt(b + c), rel=1e-12)


@pytest.mark.parametrize("n", [1, 16, 36, 1000])
def test_agreement_on_every_sample_is_no_certainty(n):
    width = Z**2 / (n + Z**2)
    assert score_interval(PairedCounts(n, 0, 0)) == pytest.approx((-width, width), abs=1e-6)


def test_classifiers_may_be_told_apart_by_every_sample():
    low, high = score_interval(PairedCounts(5, 5, 0))
    assert 0 < low < high == 1
    assert score_interval(PairedCounts(5, 0, 5)) == pytest.approx((-high, -low))


@pytest.mark.parametrize("difference", [0.0, 0.015, 0.1])
@pytest.mark.parametrize("n", [40, 400])
def test_each_bound_is_wrong_in_about_one_case_in_twenty(difference, n):
    generator = np.random.default_rng(n)
    shares = [0.05 + difference, 0.05, 0.9 - difference]
    tables = generator.multinomial(n, shares, 2000)
    bounds = [score_interval(PairedCounts(n, int(b), int(c))) for b, c, _ in tables]
    for wrong in (
        np.mean([low > difference for low, _ in bounds]),
        np.mean([high < difference for _, high in bounds]),
    ):
        assert wrong < 0.075  # 5 %, the discreteness of small counts, and 2,000 trials


# ------------------------------------------------------------------- the verdict


@pytest.mark.parametrize(
    ("counts", "tolerance", "expected"),
    [
        (PairedCounts(16, 0, 0), 0.015, "undecided"),
        (PairedCounts(177, 0, 0), 0.015, "undecided"),
        (PairedCounts(178, 0, 0), 0.015, "within"),
        (PairedCounts(36, 10, 2), 0.015, "below"),
        (PairedCounts(36, 2, 1), 0.015, "undecided"),
        (PairedCounts(10000, 300, 290), 0.015, "within"),
        (PairedCounts(10000, 150, 0), 0.015, "undecided"),
        (PairedCounts(100, 10, 10), 1.0, "within"),
        (PairedCounts(100, 0, 30), 0.0, "within"),
    ],
)
def test_verdict(counts, tolerance, expected):
    assert verdict(counts, tolerance) == expected


@pytest.mark.parametrize(("b", "c"), [(0, 0), (3, 1), (2, 2), (9, 1), (1, 9)])
def test_as_many_samples_as_said_decide_it(b, c):
    counts = PairedCounts(100, b, c)
    needed = samples_needed(counts, 0.015)
    assert verdict(counts.of(needed), 0.015) != "undecided"
    assert verdict(counts.of(needed - 1), 0.015) == "undecided"


def test_a_shortfall_of_just_the_tolerance_is_never_decided():
    assert samples_needed(PairedCounts(200, 5, 2), 0.015) is None


# ------------------------------------------------------------------ several runs


def runs_of(share, n, spread=0.0, runs=400, seed=0):
    """Right answers [runs, n] of runs whose own accuracies differ by `spread`."""
    generator = np.random.default_rng(seed)
    own = np.clip(share + spread * generator.standard_normal(runs), 0, 1)
    return generator.random((runs, n)) < own[:, np.newaxis]


def test_runs_that_answer_independently_leave_the_samples_as_they_are():
    effect = DesignEffect.of(runs_of(0.9, 500))
    assert effect.independent(500) == pytest.approx(500, rel=0.1)
    assert DesignEffect.of(np.ones((4, 20), bool)).independent(20) == 20
    assert DesignEffect.of(np.ones((1, 20), bool)).independent(20) == 20


def test_runs_that_differ_as_a_whole_make_samples_worth_less():
    # accuracies 5 points apart: as if sqrt(0.9 * 0.1 / n) were 0.05, whatever the samples
    effect = DesignEffect.of(runs_of(0.9, 5000, spread=0.05))
    assert 20 < effect.independent(5000) < effect.independent(10**9) < 50
    counts = PairedCounts(5000, 250, 250)
    assert samples_needed(counts, 0.015) is not None
    assert samples_needed(counts, 0.015, effect.independent) is None


def test_the_table_is_the_mean_of_the_runs_tables():
    runs = np.array([[True, True, False, False], [True, False, False, True]])
    device = np.array([True, False, False, False])
    counts = paired_counts(runs, device)
    assert (counts.samples, counts.only_first, counts.only_second) == (4, 1.0, 0.0)
    assert counts.difference == pytest.approx(runs.mean() - device.mean())


# ------------------------------------------------------------------- the commands


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A small model that has learned, on a simulated board."""
    path = write_model(tmp_path_factory.mktemp("m"), inputs=13, units=(9,), classes=3)
    prepared = prepare(path, train=True)
    build = prepared.deploy(path.parent / "firmware")
    return verify(prepared, build, UnicornSimulator(), learn_steps=300)


@pytest.mark.parametrize(
    ("exact", "said", "better", "plain", "required"),
    [
        (True, "within", True, 0, 0),
        (True, "within", False, 0, 3),
        (True, "undecided", True, 0, 3),
        (True, "below", True, 1, 1),
        (False, "within", True, 1, 1),
        (False, "undecided", True, 1, 1),
    ],
)
def test_exit_codes(found, exact, said, better, plain, required):
    found = dataclasses.replace(
        found,
        learning=dataclasses.replace(found.learning, mismatches=0 if exact else 1),
        floats=dataclasses.replace(found.floats, verdict=said),
        majority=dataclasses.replace(found.majority, better=better),
    )
    assert exit_code(found, require_accuracy=False) == plain
    assert exit_code(found, require_accuracy=True) == required
    assert found.to_json()["accuracy_verdict"] == said


def test_a_device_that_answers_wrongly_is_shown_to_be_below(found):
    wrong = (found.inference.labels + 1) % 3
    comparison = compare_with_float(found.prepared, 300, wrong)
    assert comparison.verdict == "below"
    assert comparison.shortfall.low > 20
    assert compare_with_float(found.prepared, 300, found.inference.labels).verdict != "below"


def test_a_device_far_below_the_float_trained_in_full_is_warned_of(found):
    prepared = prepare(found.prepared.path)  # the training that it was prepared with is found
    build = found.build
    early = verify(prepared, build, UnicornSimulator(), learn_steps=0)
    assert early.trained.far
    assert any("trained in full" in text for text in early.warnings())
    assert early.trained.accuracy == found.trained.accuracy
    assert not found.trained.far
    assert prepare(found.prepared.path, Overrides(seed=7)).trained_in_full() is None


def run(path, *arguments):
    brief = ["--simulator", "unicorn", "--no-stress", "--json"]
    result = CliRunner().invoke(command, [str(path), *brief, *map(str, arguments)])
    return result.exit_code, json.loads(result.stdout)


@pytest.fixture(scope="module")
def wine(tmp_path_factory):
    path = tmp_path_factory.mktemp("wine") / "model.yaml"
    sections = {
        "name": "wine",
        "data": {"source": "sklearn", "dataset": "wine", "scaling": "per_feature"},
        "network": {"layers": [{"units": 16}, {"units": 8}]},
        "learning": {"start": "untrained"},
        "target": {"board": "stm32f4_discovery"},
    }
    path.write_text(yaml.safe_dump(sections))
    return path


def test_twenty_points_under_float_do_not_pass_in_silence(wine):
    code, report = run(wine, "--learn-steps", 60)
    assert report["bit_exact"]
    assert report["samples"] == 36
    assert report["shortfall_points"] > 20
    assert report["accuracy_verdict"] == "undecided"
    assert any("more than the tolerance" in text for text in report["warnings"])
    assert code == 0
    assert run(wine, "--learn-steps", 60, "--require-accuracy")[0] == 3


def test_sixteen_samples_without_a_mistake_decide_nothing(wine):
    code, report = run(wine, "--learn-steps", 600, "--samples", 16, "--require-accuracy")
    assert report["device_accuracy"][-1] == report["float_accuracy"][-1] == 1.0
    assert (report["accuracy_verdict"], report["samples_needed"]) == ("undecided", 178)
    assert report["shortfall_interval"] == [-14.464, 14.464]
    assert code == 3


def test_chance_level_is_told(wine):
    code, report = run(wine, "--learn-steps", 0)
    assert not report["better_than_majority"]
    assert any('always guessing "class_1"' in text for text in report["warnings"])
    assert report["majority_share"] == pytest.approx(14 / 36, abs=1e-5)
    assert report["balanced_accuracy"] < 0.5
    assert code == 0

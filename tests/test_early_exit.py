"""Early exit and rejection: one rule in numpy, C and firmware; thresholds that keep their word."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from faulty_build import build_faulty
from hypothesis import given, settings
from hypothesis import strategies as st
from test_integer_network import make_spec, stream
from test_verify import assert_bit_exact, write_model
from toy import with_thresholds

from spela_mcu import pipeline
from spela_mcu.commands.verify import verify
from spela_mcu.errors import UserError
from spela_mcu.fixed_point.early_exit import (
    UNKNOWN,
    Answers,
    all_answers,
    answer_early,
    exit_macs,
    infer_early,
    lowest_margin,
    with_early_exits,
    with_rejection,
)
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import make_plan
from spela_mcu.host.network import HostNetwork
from spela_mcu.pipeline import prepare
from spela_mcu.simulators.unicorn import UnicornSimulator
from spela_mcu.spec.load import load_spec

pytestmark = pytest.mark.xdist_group("early exit")  # one model is trained

Q14 = st.sampled_from([-32768, -1, 0, 1, 32767]) | st.integers(-2000, 9000)


@given(
    inputs=st.integers(1, 20),
    units=st.lists(st.integers(2, 20), min_size=1, max_size=4),
    classes=st.integers(2, 12),
    weights=st.sampled_from(["int8", "int16"]),
    thresholds=st.lists(st.tuples(Q14, Q14), min_size=4, max_size=4),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60)
def test_c_numpy_and_the_rule_on_arrays_are_one(inputs, units, classes, weights, thresholds, seed):
    plan = make_plan(make_spec(units, weights=weights, seed=seed), inputs, classes)
    plan = with_thresholds(plan, thresholds[: len(units)])
    reference, host = IntegerNetwork.untrained(plan), HostNetwork(plan, None)
    samples, _ = stream(inputs, classes, 20, seed % 1000, low=-128)
    samples[0] = 0  # no activation: cosine and margin are 0
    early = answer_early(plan, all_answers(reference, samples))
    for n, sample in enumerate(samples):
        expected = infer_early(reference, sample)
        assert host.infer_early(sample) == expected
        assert expected.exit == early.exits[n]
        assert expected.label == (UNKNOWN if early.unknown[n] else early.labels[n])
        at_exit = reference.infer(sample)[expected.exit]
        assert (expected.cosine, expected.margin) == (at_exit.cosine, at_exit.margin)


def test_without_thresholds_the_last_exit_answers():
    plan = make_plan(make_spec((9, 8, 7)), 6, 3)
    network = HostNetwork(plan, None)
    for sample in stream(6, 3, 30)[0]:
        last, early = network.infer(sample)[-1], network.infer_early(sample)
        assert (early.label, early.exit, early.margin) == (last.label, 2, last.margin)


def test_macs_count_the_scores_of_exits_where_samples_may_leave():
    plan = make_plan(make_spec((9, 8, 7)), 6, 3)
    through = 6 * 9 + 9 * 8 + 8 * 7
    assert exit_macs(plan)[-1] == plan.macs == through + 7 * 3
    open_ = with_thresholds(plan, [(5, 0), (0, 0), (0, 0)])
    assert exit_macs(open_) == (6 * 9 + 9 * 3, 6 * 9 + 9 * 3 + 72 + 8 * 3, plan.macs + 9 * 3)


# -------------------------------------------------------------------------- calibration


@given(
    data=st.lists(st.tuples(st.integers(0, 8), st.integers(-1, 1)), max_size=30),
    allowed=st.integers(0, 3),
)
def test_lowest_margin_is_what_trying_all_finds(data, allowed):
    margins = np.array([margin for margin, _ in data], np.int64)
    gains = np.array([gain for _, gain in data], np.int64)
    expected = None
    for margin in sorted({int(m) for m in margins if m >= 1}, reverse=True):
        if gains[margins >= margin].sum() < -allowed:
            break
        expected = margin
    assert lowest_margin(margins, gains, allowed) == expected


def drawn_answers(n=1000, exits=3, classes=3, seed=0):
    """Exits that are the better the later and the surer."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n)
    margins = rng.integers(0, 16384, (exits, n))
    chance = 0.55 + 0.4 * margins / 16384 + 0.05 * np.arange(exits)[:, None]
    labels = np.where(rng.random((exits, n)) < chance, y, (y + 1) % classes)
    cosines = rng.integers(-100, 16384, (exits, n))
    return Answers(labels, cosines, margins), y


@pytest.mark.parametrize("loss_points", [0.0, 0.5, 3.0, 100.0])
def test_calibrated_exits_lose_no_more_than_stated_and_save(loss_points):
    plan = make_plan(make_spec((20, 40, 40)), 30, 3)
    answers, y = drawn_answers()
    calibrated = with_early_exits(plan, answers, y, loss_points)
    early = answer_early(calibrated, answers)
    full = np.mean(answers.labels[-1] == y)
    assert 100 * (full - np.mean(early.labels == y)) <= loss_points + 1e-9
    assert calibrated.layers[-1].exit.exit_margin == 0
    assert early.macs.mean() <= plan.macs
    if loss_points:
        assert early.exits.min() < 2
        assert early.macs.mean() < plan.macs


def test_an_exit_that_saves_nothing_gets_no_threshold():
    # Scoring 26 classes at exit 0 costs as much as the whole of the small last layer.
    plan = make_plan(make_spec((30, 2)), 6, 26)
    answers, y = drawn_answers(exits=2)
    assert with_early_exits(plan, answers, y, 100.0).layers[0].exit.exit_margin == 0


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_rejection_calls_at_most_the_stated_share_unknown(share):
    plan = with_thresholds(make_plan(make_spec((20, 12, 10)), 30, 3), [(9000, 0), (0, 0), (0, 0)])
    answers, _ = drawn_answers()
    early = answer_early(with_rejection(plan, answers, share), answers)
    assert set(early.exits) == {0, 2}
    for exit_ in (0, 2):
        rejected = early.unknown[early.exits == exit_]
        assert share - 2 / len(rejected) <= rejected.mean() <= share


def test_a_limit_of_zero_would_reject_nothing_and_is_not_chosen():
    plan = make_plan(make_spec((9,)), 6, 3)
    cosines = np.array([[-5, 0, 0, 7, 9]])
    answers = Answers(np.zeros((1, 5), np.int64), cosines, np.ones((1, 5), np.int64))
    chosen = with_rejection(plan, answers, 0.2)
    assert chosen.layers[0].exit.reject_cosine == -1
    assert answer_early(chosen, answers).unknown.tolist() == [True, False, False, False, False]


# ------------------------------------------------------------------ model.yaml to device

EXITS = {"early": True, "loss_points": 2.0, "unknown_share": 0.1}


def early_model(directory, **sections):
    # One range for all: the classes are hard enough that not all samples leave at once.
    data = {"source": "npz", "path": "data.npz", "scaling": "global"}
    return write_model(
        directory, inputs=13, units=(17, 24, 12), classes=8, exits=EXITS, samples=600, data=data,
        **sections,
    )  # fmt: skip


@pytest.mark.parametrize("start", ["untrained", "trained"])
def test_the_device_leaves_where_the_reference_leaves(tmp_path, start):
    prepared = prepare(early_model(tmp_path, learning={"start": start}))
    layers = prepared.plan.layers
    assert layers[0].exit.exit_margin > 0
    assert all(layer.exit.reject_cosine != 0 for layer in layers)
    found = verify(
        prepared, prepared.deploy(tmp_path / "firmware"), UnicornSimulator(), learn_steps=300
    )
    assert_bit_exact(found, 300)
    test = prepared.dataset.test.inputs
    early = answer_early(prepared.plan, all_answers(prepared.network(), test))
    assert len(set(early.exits.tolist())) > 1  # both ways were gone


FAULTS = {
    "a margin that is just met": ("result->margin < layer", "result->margin <= layer"),
    "a cosine that is just reached": ("result->cosine < layer", "result->cosine <= layer"),
    "scores of another exit": ("spela_score(network, i)", "spela_score(network, exit)"),
}


@pytest.fixture(scope="module")
def just_met(tmp_path_factory):
    """A model with thresholds that some test sample meets exactly, and its project."""
    directory = tmp_path_factory.mktemp("met")
    prepared = prepare(early_model(directory, learning={"start": "trained"}))
    answers = all_answers(prepared.network(), prepared.dataset.test.inputs)
    margin, cosine = int(answers.margins[0].max()), int(answers.cosines[-1].max())
    plan = with_thresholds(prepared.plan, [(margin, 0), (30000, 0), (0, cosine)])
    prepared = dataclasses.replace(prepared, plan=plan)
    prepared.deploy(directory / "firmware")
    return prepared, directory / "firmware"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(just_met, fault):
    prepared, directory = just_met
    build = build_faulty(directory, "spela.c", *FAULTS[fault])
    found = verify(prepared, build, UnicornSimulator(), learn_steps=0)
    assert not found.bit_exact
    assert "early exit's" in str(found.difference)


def exit_thresholds(prepared):
    exits = [layer.exit for layer in prepared.plan.layers]
    return [(one.exit_margin, one.reject_cosine) for one in exits]


def test_calibration_never_sees_the_test_part(tmp_path, monkeypatch):
    path = early_model(tmp_path)
    thresholds = exit_thresholds(prepare(path))
    load = pipeline.load_dataset

    def without_test(*arguments, **options):
        found = load(*arguments, **options)
        nothing = dataclasses.replace(
            found.test, x=np.full_like(found.test.x, np.nan), y=np.full_like(found.test.y, -1)
        )
        return dataclasses.replace(found, test=nothing)

    monkeypatch.setattr(pipeline, "load_dataset", without_test)
    assert exit_thresholds(prepare(path)) == thresholds


@pytest.mark.parametrize(
    ("exits", "units", "key"),
    [
        ({"loss_points": 1.0}, (9, 8), "exits.loss_points"),
        ({"early": True}, (9,), "exits.early"),
        ({"unknown_share": 1.0}, (9, 8), "exits.unknown_share"),
    ],
)
def test_keys_that_change_nothing_or_go_too_far_are_errors(tmp_path, exits, units, key):
    path = write_model(Path(tmp_path), inputs=5, units=units, classes=3, exits=exits)
    with pytest.raises(UserError) as raised:
        load_spec(path)
    assert raised.value.key == key

"""Learning under stress: what is forced, and the faults that only it finds."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from faulty_build import build_faulty
from test_verify import write_model

from spela_mcu.cli.verify import command
from spela_mcu.commands.verify import verify
from spela_mcu.fixed_point.plan import make_plan
from spela_mcu.pipeline import prepare
from spela_mcu.proof.stress import (
    STEPS_AT_LEAST,
    STRESSORS,
    Stress,
    StressRun,
    hard_samples,
    hard_stream,
    run_stressed,
    steps_for,
    stressed,
)
from spela_mcu.simulators.unicorn import UnicornSimulator
from spela_mcu.spec.data import SklearnData
from spela_mcu.spec.learning import FixedPoint
from spela_mcu.spec.model import ModelSpec
from spela_mcu.spec.network import Dense, Network

pytestmark = pytest.mark.xdist_group("stress")  # every stressed model is built once


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A model that starts trained, and so learns little."""
    path = write_model(
        tmp_path_factory.mktemp("m"),
        inputs=13,
        units=(17, 9),
        classes=3,
        learning={"start": "trained"},
    )
    return prepare(path)


def of_shape(prepared, inputs, units, classes, weights, rounding):
    spec = ModelSpec(
        name="shape",
        data=SklearnData(source="sklearn"),
        network=Network(
            layers=tuple(Dense(units=width) for width in units), embedding="random", bias=False
        ),
        fixed_point=FixedPoint(weights=weights, rounding=rounding),
    )
    return replace(prepared, spec=spec, plan=make_plan(spec, inputs, classes))


@pytest.mark.parametrize(
    ("inputs", "units", "classes", "weights", "rounding"),
    [
        (64, (48, 24), 10, "int8", "stochastic"),
        (64, (48, 24), 10, "int16", "nearest"),
        (13, (17, 9, 5), 3, "int8", "nearest"),
        (10, (9, 8, 7, 6, 5), 4, "int8", "stochastic"),
        (784, (128, 34), 10, "int8", "stochastic"),
    ],
)
def test_all_is_forced_in_every_layer(prepared, inputs, units, classes, weights, rounding):
    model = of_shape(prepared, inputs, units, classes, weights, rounding)
    runs = []
    for stressor in STRESSORS:
        other = stressed(model, stressor)
        network = other.network()
        for lesson in hard_stream(other.plan, steps_for(other.plan)):
            network.learn(lesson.inputs, lesson.label)
        runs.append(StressRun(stressor.loss, 0, None, network.quantization()))
        # what is built is the same: shape, width, and what the arena holds
        assert other.plan.weights == weights
        assert [(x.inputs, x.units) for x in other.plan.layers] == [
            (x.inputs, x.units) for x in model.plan.layers
        ]
    found = Stress(tuple(runs))
    assert found.missed() == ()
    assert {run.loss for run in runs} == {"margin", "log_cosine"}


def test_samples_reach_the_ends_of_their_range():
    samples = hard_samples(13, 24, 1)
    assert samples.dtype == np.int8
    assert (samples.min(), samples.max()) == (-128, 127)
    assert (samples == 0).all(axis=1).any()


def test_wide_networks_learn_few_steps(prepared):
    assert steps_for(of_shape(prepared, 784, (1000, 34), 10, "int8", "nearest").plan) == (
        STEPS_AT_LEAST
    )


# What a model that starts trained lets pass in all that verify runs of it: file, right, wrong.
FAULTS = {
    "the halvings' share of the rate": (
        "spela_learn.c",
        "2 * (int32_t)rescalings",
        "(int32_t)rescalings",
    ),
    "end of a multiplier": (
        "spela_learn.c",
        "shift, INT16_MIN, INT16_MAX)",
        "shift, -INT16_MAX, INT16_MAX)",
    ),
    "decay of the rate": ("spela_learn.c", "model->rate_halvings + 1U", "model->rate_halvings"),
    "log_cosine's rate": ("spela_learn.c", "2 * SPELA_ONE_Q14 -", "2 * SPELA_ONE_Q14 +"),
    "slope in the update": ("spela_learn.c", "first_shift + leak", "first_shift"),
    "rounding of the slope": (
        "spela.c",
        "sums[j] = spela_shift_right_rounded(sums[j], leak)",
        "sums[j] = spela_shift_right(sums[j], leak)",
    ),
    "ties of a halving": ("spela_kernels_upkeep.h", "halves + odd", "halves"),
    "threshold that is just met": ("spela.c", "result->margin < layer", "result->margin <= layer"),
}


@pytest.fixture(scope="module")
def projects(prepared, tmp_path_factory):
    """The model's project and those of its stressed ones."""
    directory = tmp_path_factory.mktemp("p")
    models = [prepared, *(stressed(prepared, stressor) for stressor in STRESSORS)]
    for number, model in enumerate(models):
        model.deploy(directory / str(number))
    return [(model, directory / str(number)) for number, model in enumerate(models)]


@pytest.mark.parametrize("fault", FAULTS)
def test_stress_finds_what_a_trained_model_does_not_show(projects, fault):
    (own, directory), *under_stress = projects
    build = build_faulty(directory, *FAULTS[fault])
    found = verify(own, build, UnicornSimulator(), learn_steps=200, samples=20)
    assert found.bit_exact
    runs = (
        run_stressed(model, build_faulty(place, *FAULTS[fault]), UnicornSimulator())
        for model, place in under_stress
    )
    assert any(run.difference is not None for run in runs)


def test_the_command_says_what_was_exercised(prepared, tmp_path):
    arguments = [str(prepared.path), "-o", str(tmp_path / "out"), "--learn-steps", "50"]
    result = CliRunner().invoke(command, [*arguments, "--simulator", "unicorn", "--json"])
    report = json.loads(result.stdout)
    assert report["bit_exact"]
    assert report["stress"]["first_difference"] is None
    assert report["stress"]["missed"] == []
    assert [layer["updates"] > 256 for layer in report["stress"]["forced"]] == [True, True]
    assert {"updates", "halvings", "multipliers_clipped"} <= report["quantization"][0].keys()
    assert (tmp_path / "out-stress").is_dir()
    result = CliRunner().invoke(command, [*arguments, "--simulator", "unicorn", "--no-stress"])
    assert "learning exercised" in result.stdout
    assert "stress" not in result.stdout

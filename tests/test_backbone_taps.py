"""Exits within a frozen backbone: what they read."""

import numpy as np
import pytest
from backbone_graphs import samples_for
from keyword_model import write_model
from test_backbone_memory import first_overwritten
from test_backbone_read import read, refusal, residual
from tflite_files import WINDOW, Layers, TfliteModel

from spela_mcu.backbone.network import run, run_all
from spela_mcu.commands.verify import verify
from spela_mcu.pipeline import prepare
from spela_mcu.simulators.unicorn import UnicornSimulator


def mean(values):
    """By the book: the mean of whole numbers, to nearest, ties away from zero."""
    count, total = len(values), sum(values)
    whole, rest = divmod(abs(total), count)
    whole += 2 * rest >= count
    return whole if total >= 0 else -whole


def test_a_tap_is_the_mean_of_each_channel_in_the_order_of_the_tensors(tmp_path):
    plan = read(residual(), tmp_path, exits_at=("map3", "map1"))
    samples = samples_for(plan.sample.shape, np.random.default_rng(1))
    whole = read(residual(), tmp_path)
    maps = dict(zip([one.name for one in whole.activations], run_all(whole, samples), strict=True))
    expected = [
        [
            *(mean(maps[name][n, ..., c].ravel().tolist()) for name in ("map1", "map3")
              for c in range(3)),
            *maps["map4"][n].ravel().tolist(),
        ]
        for n in range(len(samples))
    ]  # fmt: skip
    assert run(plan, samples).tolist() == expected
    assert plan.feature_count == 3 + 3 + 5
    names = [tap.activation.name for tap in plan.taps]
    assert names == ["map1", "map3", "map4"]
    assert [tap.steps for tap in plan.taps] == [2, 5, 7]
    zeros = [tap.activation.zero_point for tap in plan.taps]
    assert plan.zero_points.tolist() == [zeros[0]] * 3 + [zeros[1]] * 3 + [zeros[2]] * 5
    assert first_overwritten(plan) is None


def test_the_features_without_exits_are_as_they_were(tmp_path):
    plan, other = read(residual(), tmp_path), read(residual(), tmp_path, exits_at=("map1",))
    samples = samples_for(plan.sample.shape, np.random.default_rng(1))
    assert np.array_equal(run(plan, samples), run(other, samples)[:, 3:])
    assert plan.taps == ((len(plan.steps), plan.features),)
    assert plan.digest != other.digest


@pytest.mark.parametrize(
    ("exits_at", "reason"),
    [
        (("nowhere",), "no feature map called 'nowhere'"),
        (("sample",), "not computed on the way"),
        (("map5",), "not computed on the way"),
        (("map4",), "not computed on the way"),
        (("map1", "flat"), "has the bytes of another tensor"),
    ],
)
def test_an_exit_that_cannot_be_there_is_refused(tmp_path, exits_at, reason):
    assert reason in refusal(residual(), tmp_path, exits_at=exits_at)


def test_an_exit_on_what_the_cut_reshapes_is_refused(tmp_path):
    assert "has the bytes of the features" in refusal(residual(), tmp_path, "flat", ("pooled",))


def test_an_exit_before_the_sample_was_read_for_the_last_time_is_refused(tmp_path):
    model = TfliteModel()
    layers = Layers(model, np.random.default_rng(3))
    source = model.sample((1, 4, 4, 2))
    first = layers.weighted("CONV_2D", source, (2, 3, 3, 2), 0, (1, 4, 4, 2), **WINDOW)
    both = layers.output((1, 4, 4, 2), 0.2)
    model.operator("ADD", [first, source], [both], FusedActivationFunction="NONE")
    layers.weighted("FULLY_CONNECTED", both, (2, 32), 0, (1, 2), per_channel=False)
    assert "before the sample was read" in refusal(model, tmp_path, exits_at=("map1",))


# On the chip.


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    directory = tmp_path_factory.mktemp("taps")
    return prepare(write_model(directory, network="  exits_at: [map1, map2]\n"))


@pytest.fixture(scope="module")
def build(prepared):
    return prepared.deploy(prepared.path.parent / "firmware")


def test_equal_in_every_bit(prepared, build):
    assert prepared.plan.taps == 2
    found = verify(prepared, build, UnicornSimulator(), learn_steps=30, samples=15)
    assert found.difference is None
    assert found.bit_exact
    assert build.warnings == ""

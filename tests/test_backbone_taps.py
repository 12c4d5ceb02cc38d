"""Exits within a frozen backbone: what they read."""

from dataclasses import replace

import numpy as np
import pytest
import yaml
from backbone_graphs import samples_for
from host_process import plant
from keyword_model import write_model
from sklearn.datasets import load_digits
from test_backbone_memory import first_overwritten
from test_backbone_pipeline import placed
from test_backbone_read import read, refusal, residual
from tflite_files import WINDOW, Layers, TfliteModel
from toy import with_thresholds

from spela_mcu.backbone.network import run, run_all
from spela_mcu.commands.report import measure
from spela_mcu.commands.verify import verify
from spela_mcu.contenders.backprop import backpropagated
from spela_mcu.data.load import load_dataset
from spela_mcu.device.device import SAME_SAMPLE, Device
from spela_mcu.device.protocol import DeviceError, Status
from spela_mcu.errors import UserError
from spela_mcu.firmware.build import build_project
from spela_mcu.firmware.stack import worst_case_stack
from spela_mcu.firmware.toolchain import find_compiler
from spela_mcu.fixed_point.early_exit import (
    Answers,
    all_answers,
    exit_macs,
    infer_early,
    with_early_exits,
)
from spela_mcu.pictures.report import pictures
from spela_mcu.pipeline import Overrides, prepare
from spela_mcu.proof.stress import STRESSORS, run_stressed, stressed
from spela_mcu.reference.network import FloatNetwork
from spela_mcu.reference.storage import load_network, save_network
from spela_mcu.report.page import report_page
from spela_mcu.simulators.unicorn import UnicornSimulator
from spela_mcu.spec.load import load_spec

pytestmark = pytest.mark.xdist_group("taps")  # one model is trained and built


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


@pytest.fixture(scope="module")
def early(prepared):
    """Thresholds at which a third of the samples, about, leaves at each exit."""
    answers = all_answers(prepared.network(), prepared.dataset.validation.inputs)
    margins = np.quantile(answers.margins, (0.7, 0.5, 0.9, 0), axis=1, method="nearest")
    limits = [(int(margins[k, k]), 0) for k in range(3)] + [(0, 0)]
    return replace(prepared, plan=with_thresholds(prepared.plan, limits))


@pytest.mark.parametrize("is_placed", [False, True])
def test_a_sample_that_leaves_early_is_computed_that_far(early, is_placed):
    built = early.deploy(early.path.parent / f"early{is_placed}")
    built = placed(built.project.path) if is_placed else built
    test, reference, seen = early.test_samples(30), early.network(), set()
    ends = [tap.steps for tap in early.dataset.backbone.taps]
    with UnicornSimulator().start(built) as machine:
        device = Device(machine)
        for sample, inputs, features in zip(
            test.samples, test.inputs, test.extracted.features, strict=True
        ):
            expected = infer_early(reference, inputs)
            with machine.counting("spela_backbone_run") as runs:
                assert device.infer_early(sample) == expected
            assert len(runs) == min(expected.exit + 1, len(ends))
            if is_placed and expected.exit < 2:  # spela_sample gives the place of the maps away
                for lost in (device.infer_early, device.features, device.infer):
                    with pytest.raises(DeviceError) as told:
                        lost(SAME_SAMPLE)
                    assert told.value.status == Status.ERROR_ARGUMENT
                with pytest.raises(DeviceError):
                    device.learn(SAME_SAMPLE, 1)
                assert device.counters().digest == reference.digest()
                continue
            assert device.infer_early(SAME_SAMPLE) == expected
            with machine.counting("spela_backbone_run") as rest:
                assert np.array_equal(device.features(SAME_SAMPLE), features)
            assert len(runs) + len(rest) == len(ends)
            reference.learn(inputs, expected.exit)
            assert device.learn(SAME_SAMPLE, expected.exit).digest == reference.digest()
            seen.add(expected.exit)
        assert seen == ({2, 3} if is_placed else {0, 1, 2, 3})
        device.features(test.samples[0])
        with machine.counting("spela_backbone_run") as runs:
            device.infer(SAME_SAMPLE)
        assert not runs


def test_features_are_recalled_after_a_sample_that_left_early(tmp_path):
    prepared = prepare(write_model(tmp_path, network="  exits_at: [map2]\n"))
    early = replace(prepared, plan=with_thresholds(prepared.plan, [(3000, 0), (0, 0), (0, 0)]))
    built = early.deploy(tmp_path / "firmware")
    test, reference = early.test_samples(12), early.network()
    with UnicornSimulator().start(built) as machine:
        device = Device(machine)
        assert not device.features(SAME_SAMPLE).any()
        for sample, inputs, features in zip(
            test.samples, test.inputs, test.extracted.features, strict=True
        ):
            device.infer_early(sample)
            device.recall(features)
            with machine.counting("spela_backbone_run") as runs:
                reference.learn(inputs, 2)
                assert device.learn(SAME_SAMPLE, 2).digest == reference.digest()
            assert not runs


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("inference_only", [False, True])
def test_memory_is_known_before(prepared, batch, inference_only):
    overrides = Overrides(batch=batch, start="trained" if inference_only else None)
    again = prepare(prepared.path, overrides, inference_only=inference_only)
    place = prepared.path.parent / f"memory{batch}{inference_only}"
    built = again.deploy(place, inference_only=inference_only)
    assert built.warnings == ""
    assert built.ram_bytes == again.memory.ram
    assert built.flash_bytes <= again.memory.flash
    assert worst_case_stack(built.read_elf()).bytes + 256 <= again.memory.stack
    if inference_only:
        reference, sample = again.network(), again.test_samples(3)
        with UnicornSimulator().start(built) as machine:
            for values, inputs in zip(sample.samples, sample.inputs, strict=True):
                found = Device(machine).infer(values)
                for ours, theirs in zip(reference.infer(inputs), found, strict=True):
                    assert np.array_equal(ours.scores, theirs.scores)


# A directory and a file, right, wrong.
FAULTS = [
    ("spela/spela.c", "first += model->layers[i].inputs;", "first = model->layers[i].inputs;"),
    ("backbone/spela_front.c", "writer_of(front->backbone, index, &end)->fill", "0"),
    ("backbone/spela_front.c", "first += count;", "first = count;"),
    ("backbone/spela_front.c", "scaled(front, first + i,", "scaled(front, i,"),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault[1])
def test_a_planted_fault_is_found(prepared, build, fault):
    name, right, wrong = fault
    source = build.project.path / name
    sound = source.read_text()
    try:
        plant(source, right, wrong)
        faulty = build_project(build.project.path, find_compiler())
    finally:
        source.write_text(sound)
    found = verify(prepared, faulty, UnicornSimulator(), learn_steps=0, samples=8)
    assert not found.bit_exact


def test_a_runtime_without_taps_refuses_the_model(build, monkeypatch):
    monkeypatch.setattr("spela_mcu.firmware.runtime.TAPS_DEFINE", "SPELA_OTHERWISE")
    with pytest.raises(UserError, match="spela_runtime_for_taps"):
        build_project(build.project.path, find_compiler("gcc"))


def test_leaving_at_a_tap_saves_the_rest_of_the_backbone(early):
    plan, backbone = early.plan, early.dataset.backbone
    steps = [step.operator.macs for step in backbone.steps]
    taps = [tap.steps for tap in backbone.taps]
    scored = [12 * 24 + 24 * 10] * 2
    first = 48 * 24 + 24 * 10
    assert exit_macs(plan) == (
        sum(steps[: taps[0]]) + scored[0],
        sum(steps[: taps[1]]) + sum(scored),
        sum(steps) + sum(scored) + first,
        sum(steps) + sum(scored) + first + 24 * 16 + 16 * 10,
    )
    bare = with_thresholds(plan, [(0, 0)] * 4)
    assert exit_macs(bare)[-1] == bare.infer_macs == sum(steps) + 48 * 24 + 24 * 16 + 16 * 10


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        ("  exits_at: [map1]\n  bias: true\n", "have no bias"),
        ("  exits_at: [map1, map1]\n", "names a tensor twice"),
        ("  exits_at: [map1, map2, pooled]\n", "at most 2"),
        ("  exits_at: [pooled]\n", "not computed on the way"),
    ],
)
def test_what_exits_rule_out_is_told(tmp_path, network, reason):
    with pytest.raises(UserError, match=reason) as told:
        path = write_model(tmp_path, network=network)
        load_dataset(load_spec(path), path)
    assert told.value.key.startswith("network.")
    assert told.value.mend


def test_exits_need_a_backbone(tmp_path):
    path = write_model(tmp_path, network="  exits_at: [map1]\n")
    path.write_text(path.read_text().replace("  backbone: digits.tflite\n", ""))
    with pytest.raises(UserError, match="no tensors to have exits"):
        load_spec(path)


def test_calibration_counts_what_is_not_computed(prepared):
    """A tap pays where a quarter leaves: they are spared the rest of the backbone, too."""
    plan = prepared.plan
    count = len(prepared.dataset.validation)
    labels = np.zeros(count, np.int64)
    margins = np.ones((4, count), np.int64)
    margins[0, : count // 4] = 1000
    wrong = np.zeros((4, count), np.int64)
    wrong[0, count // 4 :] = 1
    answers = Answers(wrong, margins, margins)
    assert with_early_exits(plan, answers, labels, 0).layers[0].exit.exit_margin == 1000
    bare = replace(plan, front=None)
    assert with_early_exits(bare, answers, labels, 0).layers[0].exit.exit_margin == 0


def test_the_float_reference_has_the_taps(prepared, tmp_path):
    """Two taps and the layers behind them, each like a network of its own."""
    network = prepared.float_twin()
    x, y = prepared.dataset.train.x[:40], prepared.dataset.train.y[:40]
    parts = [
        FloatNetwork((replace(network.layers[0], is_tap=False),)).copy(),
        FloatNetwork((replace(network.layers[1], is_tap=False),)).copy(),
        FloatNetwork(network.layers[2:]).copy(),
    ]
    slices = (x[:, :12], x[:, 12:24], x[:, 24:])
    network.learn(x, y, 0.2)
    for part, values in zip(parts, slices, strict=True):
        part.learn(values, y, 0.2)
    for theirs, ours in zip(
        (matrix for part in parts for matrix in part.matrices), network.matrices, strict=True
    ):
        assert np.array_equal(theirs, ours)
    cosines = [one for part, at in zip(parts, slices, strict=True) for one in part.forward(at)]
    assert all(map(np.array_equal, network.forward(x), cosines))
    save_network(tmp_path / "network.npz", network)
    assert load_network(tmp_path / "network.npz").has_form_of(network)


def test_what_the_other_contenders_learn(prepared):
    behind = prepared.dataset.behind_taps()
    assert behind.inputs == prepared.plan.layers[2].inputs == 48
    assert np.array_equal(behind.test.x, prepared.dataset.test.x[:, 24:])
    (accuracy,) = backpropagated(prepared.spec, prepared.dataset, None).accuracy
    assert accuracy > 0.5


def test_a_stressed_model_has_no_taps(prepared, tmp_path, monkeypatch):
    monkeypatch.setattr("spela_mcu.proof.stress.STEPS_AT_MOST", 20)
    model = stressed(prepared, STRESSORS[0])
    assert model.plan.taps == 0
    found = run_stressed(model, model.deploy(tmp_path / "stress"), UnicornSimulator())
    assert found.difference is None


def test_the_report_names_the_exits(tmp_path):
    path = write_model(tmp_path, network="  exits_at: [map1, map2]\n")
    spec = yaml.safe_load(path.read_text())
    x, y = load_digits(return_X_y=True)
    np.savez(tmp_path / "few.npz", x=x[:60], y=y[:60])
    spec["data"] = {"source": "npz", "path": "few.npz"}
    spec["learning"] |= {"epochs": 2}
    spec["exits"] = {"early": True, "loss_points": 20}
    path.write_text(yaml.safe_dump(spec))
    found = measure(prepare(path, train=True), tmp_path / "report", device_steps=3)
    page = " ".join(report_page(found, pictures(found), None, command="", versions={}).split())
    assert "exit 0, a layer of 24 units, the means of the 12 channels of map1 and exit 1" in page
    assert "48-24-16" in page
    assert found.verification.bit_exact

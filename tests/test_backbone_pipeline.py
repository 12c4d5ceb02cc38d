"""A frozen backbone from model.yaml to the chip: data, features, firmware, proof."""

import re
from dataclasses import replace

import numpy as np
import pytest
import yaml
from keyword_model import SCALE, ZERO_POINT, digits_backbone, write_model
from sklearn.datasets import load_digits

from spela_mcu.backbone.load import read_backbone
from spela_mcu.backbone.network import run
from spela_mcu.cli.main import main
from spela_mcu.commands.demo import demo
from spela_mcu.commands.report import measure
from spela_mcu.commands.verify import verify
from spela_mcu.cores import CORES
from spela_mcu.data import features as features_module
from spela_mcu.data.load import load_dataset
from spela_mcu.device.device import SAME_SAMPLE, Device
from spela_mcu.device.protocol import DeviceError, Status
from spela_mcu.device.recalling import RecallingDevice
from spela_mcu.errors import UserError
from spela_mcu.firmware.build import build_project
from spela_mcu.firmware.stack import worst_case_stack
from spela_mcu.firmware.toolchain import find_compiler
from spela_mcu.fixed_point.early_exit import exit_macs
from spela_mcu.fixed_point.front import FRONT_FIELDS
from spela_mcu.pictures.report import pictures
from spela_mcu.pipeline import Overrides, prepare
from spela_mcu.report.page import report_page
from spela_mcu.report.trade_off import trade_off
from spela_mcu.simulators.choice import find_simulator
from spela_mcu.simulators.unicorn import UnicornSimulator
from spela_mcu.spec.load import load_spec

pytestmark = pytest.mark.xdist_group("backbone pipeline")  # one model is trained and built

PLACED = """
#include "spela_front.h"
/* The sample, moved into the network's arena. */
static inline const int8_t *placed(spela_t *network, const request_t *request) {
    int8_t *const place = spela_sample(network);
    for (uint32_t i = 0U; i < request->data_bytes; i++) {
        place[i] = (int8_t)request->data[i];
    }
    return place;
}
#define sample_of(request) placed(device->network, request)
"""


def placed(project):
    """The project with samples in the place that spela_sample gives."""
    source = project / "application" / "request.h"
    text, end = source.read_text(), "return (const int8_t *)request->data;\n}\n"
    assert text.count(end) == 1
    source.write_text(text.replace(end, end + PLACED))
    return build_project(project, find_compiler())


BOARDS = {"microbit": "cortex-m0", "bluepill": "cortex-m3", "mps3-an547": "cortex-m55"}
"""Besides the M4, boards of other sets of kernels; of these some are too small for the model."""


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("backbone")


@pytest.fixture(scope="module")
def model(directory):
    return write_model(directory)


@pytest.fixture(scope="module")
def prepared(model):
    return prepare(model)


@pytest.fixture(scope="module")
def build(prepared, directory):
    return prepared.deploy(directory / "firmware")


def npz_model(directory, x, y=None):
    """A model on arrays."""
    np.savez(directory / "data.npz", x=x, y=np.arange(len(x)) % 10 if y is None else y)
    path = write_model(directory)
    spec = yaml.safe_load(path.read_text())
    spec["data"] = {"source": "npz", "path": "data.npz"}
    path.write_text(yaml.safe_dump(spec))
    return path


# From samples to features.


def test_samples_become_int8_as_the_tflite_says_and_features_inputs(prepared, model):
    dataset = prepared.dataset
    plan = read_backbone(model.parent / "digits.tflite")
    assert dataset.sample_shape == (8, 8, 1)
    assert dataset.input_shape == (plan.features.shape.size,)
    parts = (dataset.train, dataset.validation, dataset.test)
    taken = np.concatenate([part.samples for part in parts])
    pixels = np.rint(load_digits().data / SCALE).astype(int) + ZERO_POINT
    assert sorted(map(tuple, taken.tolist())) == sorted(map(tuple, pixels.tolist()))
    for part in parts:
        assert np.array_equal(part.extracted.features, run(plan, part.samples))
        assert part.inputs.shape == (len(part), dataset.inputs)
        assert np.array_equal(part.inputs, prepared.plan.front.inputs(part.samples))


def test_features_are_computed_once(model, monkeypatch):
    first = load_dataset(load_spec(model), model)

    def refuse(*_):
        raise AssertionError("computed again")

    monkeypatch.setattr(features_module, "run", refuse)
    again = load_dataset(load_spec(model), model)
    assert np.array_equal(first.test.x, again.test.x)


def test_damaged_features_are_computed_again(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = npz_model(tmp_path, np.random.default_rng(0).integers(0, 17, (60, 64)))
    first = load_dataset(load_spec(path), path)
    kept = list((tmp_path / "cache").rglob("*.npy"))
    assert kept
    for file in kept:
        file.write_bytes(file.read_bytes()[:-7])
    again = load_dataset(load_spec(path), path)
    assert np.array_equal(first.train.x, again.train.x)


def test_int8_samples_are_taken_as_they_are(tmp_path):
    x = np.random.default_rng(1).integers(-128, 128, (60, 8, 8)).astype(np.int8)
    path = npz_model(tmp_path, x)
    dataset = load_dataset(load_spec(path), path)
    assert {tuple(row) for row in dataset.train.samples.tolist()} <= {
        tuple(row) for row in x.reshape(60, -1).tolist()
    }


@pytest.mark.parametrize(
    ("x", "reason"),
    [
        (np.ones((60, 7, 8)), r"takes samples of shape \[8, 8, 1\].*a sample of the data has \[7"),
        (np.ones((60, 63)), r"takes samples of shape \[8, 8, 1\].*has \[63\]"),
        (np.full((60, 64), 255.0), r"100% of the samples' values are outside.*0.* to 16"),
    ],
)
def test_samples_of_another_model_are_refused(tmp_path, x, reason):
    path = npz_model(tmp_path, x)
    with pytest.raises(UserError, match=reason) as told:
        load_dataset(load_spec(path), path)
    assert told.value.key == "network.backbone"
    assert told.value.line is not None


def test_what_a_backbone_rules_out_is_told(tmp_path):
    with pytest.raises(UserError, match="nothing to cut") as told:
        path = write_model(tmp_path, network="  cut: pooled\n")
        path.write_text(path.read_text().replace("  backbone: digits.tflite\n", ""))
        load_spec(path)
    assert told.value.key == "network.cut"
    with pytest.raises(UserError, match=r"scaled as its \.tflite says"):
        load_spec(write_model(tmp_path, data=", input_range: [0, 16]"))


def test_a_backbone_that_cannot_be_read_is_told(tmp_path, capfd, monkeypatch):
    path = write_model(tmp_path)
    (tmp_path / "digits.tflite").unlink()
    monkeypatch.setattr("sys.argv", ["spela-mcu", "train", str(path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "digits.tflite" in capfd.readouterr().err
    path = write_model(tmp_path, network="  cut: poled\n")
    with pytest.raises(UserError, match="no feature map called 'poled'") as told:
        load_dataset(load_spec(path), path)
    assert "'pooled'" in told.value.mend


def test_a_cut_in_the_middle(tmp_path):
    path = write_model(tmp_path, network="  cut: map1\n")
    dataset = load_dataset(load_spec(path), path)
    assert dataset.inputs == 8 * 8 * 12


# On the chip.


def test_equal_in_every_bit(prepared, build):
    found = verify(prepared, build, UnicornSimulator(), learn_steps=40, samples=25)
    assert found.difference is None
    assert found.bit_exact
    assert found.inference.feature_mismatches == 0
    assert found.to_json()["infer_macs"] == prepared.plan.macs + prepared.plan.front.backbone.macs
    assert build.warnings == ""


# How they learn on every core: test_matrix_backbone.py.
@pytest.mark.parametrize(
    ("board", "inference_only"), [("bluepill", False), ("microbit", True), ("mps3-an547", True)]
)
def test_equal_on_other_cores(model, directory, board, inference_only):
    start = "trained" if inference_only else "untrained"
    prepared = prepare(model, Overrides(board=board, start=start), inference_only=inference_only)
    assert prepared.board.core == BOARDS[board]
    built = prepared.deploy(directory / f"{board}{inference_only}", inference_only=inference_only)
    test = prepared.test_samples(4)
    reference = prepared.network()
    with find_simulator(prepared.board).start(built) as machine:
        device = Device(machine)
        for sample, inputs, features in zip(
            test.samples, test.inputs, test.extracted.features, strict=True
        ):
            assert np.array_equal(device.features(sample), features)
            expected = reference.infer(inputs)
            for ours, theirs in zip(expected, device.infer(sample), strict=True):
                assert np.array_equal(ours.scores, theirs.scores)
            if not inference_only:
                reference.learn(inputs, 3)
                assert device.learn(sample, 3).digest == reference.digest()


@pytest.mark.parametrize("compiler", ["gcc", "zig"])
@pytest.mark.parametrize("level", ["O0", "O2", "Os"])
def test_memory_is_known_before(prepared, build, compiler, level):
    made = build_project(build.project.path, find_compiler(compiler), level)
    spec = Overrides(compiler=compiler, optimization=level).apply(prepared.spec)
    planned = replace_memory(prepared, spec)
    assert made.warnings == ""
    assert made.ram_bytes == planned.ram
    assert made.flash_bytes <= planned.flash
    assert worst_case_stack(made.read_elf()).bytes + 256 <= planned.stack


def replace_memory(prepared, spec):
    """The memory plan with another compiler and level."""
    from spela_mcu.pipeline import check_memory

    return check_memory(spec, prepared.dataset, prepared.board, prepared.path)


def test_tables_are_exact(prepared, build):
    """Every constant of the model that is linked is in the plan, and nothing else."""
    names = re.compile(r"^(layer\d|operator\d|layers$|operators$|runtime$|backbone$|scalings$)")
    linked = sum(
        symbol.bytes
        for symbol in build.read_elf().symbols
        if names.match(symbol.name) or symbol.name in ("seen_model", "seen_front")
    )
    assert linked == prepared.memory.tables


def test_a_sample_is_computed_once(prepared, build):
    test = prepared.test_samples(3)
    with UnicornSimulator().start(build) as machine:
        device = Device(machine)
        with machine.counting("spela_backbone_run") as runs:
            answers = [device.infer(sample) for sample in test.samples]
        assert len(runs) == len(test)
        with machine.counting("spela_backbone_run") as runs:
            again = device.infer(SAME_SAMPLE)
            features = device.features(SAME_SAMPLE)
            device.learn(SAME_SAMPLE, 2)
        assert not runs
        assert [answer.label for answer in again] == [answer.label for answer in answers[-1]]
        assert np.array_equal(features, test.extracted.features[-1])
        reference = prepared.network()
        reference.learn(test.inputs[-1], 2)
        assert device.counters().digest == reference.digest()
        for wrong in (test.samples[0][:-1], test.inputs[0]):
            with pytest.raises(DeviceError) as told:
                device.features(wrong)
            assert told.value.status == Status.ERROR_SIZE


def test_a_sample_may_lie_in_the_arena(model, directory):
    prepared = prepare(model, Overrides(batch=3))
    built = prepared.deploy(directory / "placed")
    found = verify(
        prepared, placed(built.project.path), UnicornSimulator(), learn_steps=20, samples=6
    )
    assert found.difference is None


def test_features_are_recalled(prepared, build):
    test = prepared.test_samples(3)
    with UnicornSimulator().start(build) as machine:
        device, plain, reference = RecallingDevice(machine), Device(machine), prepared.network()
        plain.features(test.samples[0])
        with machine.counting("spela_backbone_run") as runs:
            for _ in range(2):
                for sample, inputs, features in zip(
                    test.samples, test.inputs, test.extracted.features, strict=True
                ):
                    assert np.array_equal(device.features(sample), features)
                    reference.learn(inputs, 3)
                    assert device.learn(sample, 3).digest == reference.digest()
                    for ours, theirs in zip(
                        reference.infer(inputs), device.infer(sample), strict=True
                    ):
                        assert np.array_equal(ours.scores, theirs.scores)
        assert len(runs) == len(test)
        with pytest.raises(DeviceError) as told:
            plain.recall(test.extracted.features[0][:-1])
        assert told.value.status == Status.ERROR_SIZE
        assert np.array_equal(plain.features(SAME_SAMPLE), test.extracted.features[-1])


def few_samples(model, directory):
    """The model.yaml on 60 digits, learned twice."""
    path = model.with_name("few.yaml")
    spec = yaml.safe_load(model.read_text())
    spec["data"] = {"source": "npz", "path": "few.npz"}
    spec["learning"] |= {"epochs": 2}
    x, y = load_digits(return_X_y=True)
    np.savez(directory / "few.npz", x=x[:60], y=y[:60])
    path.write_text(yaml.safe_dump(spec))
    return path


def test_the_report_counts_the_backbone(model, directory):
    prepared = prepare(few_samples(model, directory), train=True)
    found = measure(prepared, directory / "report", device_steps=3)
    page = " ".join(report_page(found, pictures(found), None, command="", versions={}).split())
    macs = prepared.plan.infer_macs
    assert "features that the frozen backbone digits.tflite, cut at pooled, makes of" in page
    assert f"{prepared.plan.front.backbone.macs:,} multiply-accumulates" in page
    assert "learning step, its features recalled, mean" in page
    assert f"{found.verification.infer_instructions / macs:.2f}" in page
    # each exit has the whole backbone before it
    assert exit_macs(prepared.plan)[-1] == macs
    assert exit_macs(prepared.plan)[0] > prepared.plan.front.backbone.macs
    assert trade_off(prepared.plan, found.answers, found.test_labels)[0].max() < 10


def test_the_demo_computes_a_sample_once_and_asks_other_simulators(model, directory, monkeypatch):
    prepared = prepare(few_samples(model, directory))
    built = prepared.deploy(directory / "demo")
    computed, compute = [], Device.features

    def counting(device, sample):
        if sample.size:
            computed.append(type(device))
        return compute(device, sample)

    monkeypatch.setattr(Device, "features", counting)
    made = demo(prepared, built, UnicornSimulator(), (UnicornSimulator(),))
    steps, tested = 2 * len(prepared.dataset.train), len(prepared.dataset.test)
    assert made.verification.recalls
    assert made.verification.learning.steps == steps
    assert made.verification.bit_exact
    assert computed.count(RecallingDevice) == steps // 2 + tested
    (confirmed,) = made.confirmations
    assert (confirmed.steps, confirmed.samples, confirmed.difference) == (20, 10, None)
    if made.tflm is None:
        assert "tflite-micro is not installed" in made.tflm_absent
    else:
        assert (made.tflm.samples, made.tflm.differing) == (tested, 0)
        assert made.tflm.arena_bytes > made.backbone.arena_bytes
    assert made.passed
    assert not replace(made, confirmations=(replace(confirmed, difference="a weight"),)).passed


@pytest.mark.parametrize(
    ("pattern", "flipped", "by"),
    [
        (r"(\.zero_point = )(-?\d+)", 2, "score"),
        # the middle of the first filter, which lies in the second block
        (r"(operator0_constants\[\][^=]*= \{\n[^\n]*\n    )(-?\d+)", 64, "feature"),
        (r"(operator1_channels\[\][^=]*= \{\n    \{ )(-?\d+)", 4096, "feature"),
        (r"(\.fill = )(-?\d+)", 1, "feature"),
        (r"(\.features_offset = )(\d+)", 4, "feature"),
    ],
)
def test_a_planted_fault_is_named(prepared, build, pattern, flipped, by):
    source = build.project.path / "model" / "seen_backbone.c"
    text = source.read_text()
    changed, count = re.subn(
        pattern, lambda found: found[1] + str(int(found[2]) ^ flipped), text, count=1
    )
    assert count == 1
    source.write_text(changed)
    try:
        faulty = build_project(build.project.path, find_compiler())
    finally:
        source.write_text(text)
    found = verify(prepared, faulty, UnicornSimulator(), learn_steps=0, samples=8)
    assert not found.bit_exact
    assert found.inference.difference.what == by


def test_another_backbone_is_another_model(prepared, tmp_path):
    digest = prepared.source().digest
    path = write_model(tmp_path)
    assert prepare(path).source().digest == digest
    digits_backbone(tmp_path / "digits.tflite", seed=4)
    assert prepare(path).source().digest != digest
    scaled = replace(prepared.dataset.scaling, scale=prepared.dataset.scaling.scale * 2)
    plan = replace(prepared.plan, front=replace(prepared.plan.front, scaling=scaled))
    assert replace(prepared, plan=plan).source().digest != digest


def test_the_fields_of_the_front_are_the_headers():
    from cffi import FFI
    from test_structures import members

    from spela_mcu.host.network import declarations
    from spela_mcu.resources import resource_directory

    firmware = resource_directory("firmware")
    ffi = FFI()
    for header in ("spela/spela.h", "backbone/spela_backbone.h", "spela/spela_scaling.h"):
        ffi.cdef(declarations((firmware / header).read_text()))
    ffi.cdef(declarations((firmware / "backbone/spela_front.h").read_text()))
    found = list(members(ffi.typeof("struct spela_front")))
    assert [(field.name, field.type) for field in FRONT_FIELDS] == found


def test_a_runtime_without_backbones_refuses_the_model(build, monkeypatch):
    monkeypatch.setattr(
        "spela_mcu.firmware.build.runtime_defines",
        lambda *_, **__: ("SPELA_INT8_ONLY", "SPELA_SINGLE_UPDATES"),
    )
    with pytest.raises(UserError, match="spela_runtime_for_backbone"):
        build_project(build.project.path, find_compiler("gcc"))


def test_cores_are_those_of_the_boards():
    assert set(BOARDS.values()) <= set(CORES)

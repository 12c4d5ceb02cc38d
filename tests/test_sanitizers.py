"""The firmware's own C under AddressSanitizer and UBSan, held against the integer reference."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from convolutional import plan_of, stream
from host_process import (
    TRAPS,
    HostProcess,
    HostProcessError,
    build_application,
    sanitizing_compilers,
)
from test_convolution_chip import source_of
from test_convolutional_network import NETWORKS

from spela_mcu.data.dataset import InputScaling
from spela_mcu.device.device import Device
from spela_mcu.device.protocol import DeviceError, Status
from spela_mcu.firmware.board import load_board
from spela_mcu.firmware.model import model_source
from spela_mcu.firmware.project import generate_project
from spela_mcu.fixed_point.layer_state import HALVINGS_MAX, SCAN_INTERVAL
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import make_plan
from spela_mcu.proof.equality import Probes, compare_inference, find_state_difference
from spela_mcu.spec.model import ModelSpec

COMPILERS = sanitizing_compilers()

if not COMPILERS:
    pytest.skip("no compiler with sanitizers (gcc, clang or zig)", allow_module_level=True)

BEST = next(iter(COMPILERS.values()))


@dataclass(frozen=True)
class Case:
    """A network: shape, how it learns, where it starts (drawn, trained, inference-only)."""

    inputs: int
    units: tuple[int, ...]
    classes: int
    loss: str = "margin"
    weights: str = "int8"
    rounding: str = "stochastic"
    start: str = "drawn"
    slope: float | None = None
    rate: float = 0.2
    margin: float = 0.3
    halve_rate_every: int = 0
    bias: bool = False
    weight_decay: bool = False

    @property
    def inference_only(self):
        return self.start == "inference-only"

    def reference(self):
        """The integer network, fresh."""
        activation = "relu" if self.slope is None else "leaky_relu"
        slope = {} if self.slope is None else {"negative_slope": self.slope}
        layers = [{"units": units, "activation": activation, **slope} for units in self.units]
        spec = ModelSpec.model_validate(
            {
                "name": "net",
                "data": {"source": "sklearn"},
                "network": {
                    "layers": layers,
                    "loss": self.loss,
                    "margin": self.margin,
                    "embedding": "random",
                    "bias": self.bias,
                },
                "fixed_point": {"weights": self.weights, "rounding": self.rounding},
                "learning": {
                    "halve_rate_every": self.halve_rate_every,
                    "weight_decay": self.weight_decay,
                },
            }
        )
        # Unchecked: the chip bears greater rates than model.yaml allows.
        learning = spec.learning.model_copy(update={"learning_rate": self.rate})
        spec = spec.model_copy(update={"learning": learning})
        if self.start == "drawn":
            return IntegerNetwork.untrained(make_plan(spec, self.inputs, self.classes))
        rng = np.random.default_rng(5)
        shapes = pairwise((self.inputs + self.bias, *self.units))
        trained = [rng.normal(size=(m, n)).astype(np.float32) for n, m in shapes]
        return IntegerNetwork.quantized(
            make_plan(spec, self.inputs, self.classes, trained), trained
        )

    def project(self):
        """The firmware that serves it."""
        scaling = InputScaling(np.zeros(self.inputs, np.float32), np.ones(self.inputs, np.float32))
        model = model_source(
            "net",
            self.reference(),
            tuple(map(str, range(self.classes))),
            scaling,
            drawn=self.start == "drawn",
            inference_only=self.inference_only,
        )
        return generate_project(model, load_board("mps2-an386"), inference_only=self.inference_only)

    def stream(self, count, seed=0):
        """Samples [count, inputs] over the whole of int8, with every extreme, and labels."""
        rng = np.random.default_rng(seed)
        x = rng.integers(-128, 128, (count, self.inputs)).astype(np.int8)
        x[::11], x[3::11], x[7::11] = 0, -128, 127
        x[5::11] = rng.choice([-128, 127], x[5::11].shape)
        return x, rng.integers(0, self.classes, count)


def assert_same_answers(reference, device, samples):
    found = compare_inference(reference, device, Probes(samples, samples))
    assert found.difference is None, str(found.difference)
    assert found.score_mismatches == 0


def assert_same_state(reference, device, steps):
    difference = find_state_difference(reference, device, steps)
    assert difference is None, str(difference)
    counters, counts = device.counters(), reference.counts
    assert counters.samples == reference.samples
    assert counters.layer_updates == sum(c.layer_updates for c in counts)
    assert counters.multipliers_clipped == sum(c.multipliers_clipped for c in counts)
    assert counters.halvings == sum(layer.halvings for layer in reference.layers)
    assert counters.silent == sum(c.silent for c in counts)


def learn(reference, device, samples, labels, *, infer):
    """Both learn the stream; digests after every step, and every exit's answer before, agree."""
    for sample, label in zip(samples, labels.tolist(), strict=True):
        if infer:
            assert_same_answers(reference, device, sample[np.newaxis])
        expected = reference.learn(sample, label)
        learned = device.learn(sample, label)
        assert learned.prediction.label == expected
        assert learned.digest == reference.digest()
    assert_same_state(reference, device, len(labels))


# Losses, weights, roundings and starts: every two of their values meet in some case.
CASES = [
    Case(1, (2,), 2),
    Case(1, (2,), 2, "cosine", "int16", "nearest", "trained", margin=2.0),
    Case(13, (17, 9, 5), 3, "log_cosine", "int8", "nearest", "trained", halve_rate_every=4),
    Case(13, (17, 9, 5), 3, "margin", "int16", "stochastic", "trained", slope=0.5, margin=2.0),
    Case(7, (6, 5), 26, "cosine", "int8", "stochastic", "trained", slope=2**-10),
    Case(2, (5,), 300, "log_cosine", "int16", "stochastic", "drawn", slope=0.125),
    Case(10, (9, 8, 7, 6, 5), 4, "margin", "int8", "nearest", "drawn", slope=0.0078125),
    Case(300, (33, 2), 10, "cosine", "int16", "nearest", "drawn", halve_rate_every=2),
    Case(13, (17, 9), 5, "log_cosine", "int8", "stochastic", "inference-only"),
    Case(258, (6, 5), 300, "margin", "int16", "nearest", "inference-only", slope=0.25),
    Case(13, (17, 9), 300, "softmax", "int8", "stochastic", "drawn", slope=0.125),
    Case(7, (5, 3), 4, "softmax", "int16", "nearest", "trained"),
    Case(1, (6, 5), 3, bias=True),
    Case(16, (9, 8), 3, "cosine", "int16", "nearest", "trained", bias=True),
    Case(15, (9,), 3, "log_cosine", start="inference-only", bias=True),
    Case(5, (6, 4), 3, "cosine", "int16", rate=50.0, weight_decay=True),
]


def case_id(case):
    shape = "-".join(map(str, (case.inputs, *case.units)))
    bias = "-bias" if case.bias else ""
    return f"{shape}x{case.classes}-{case.loss}-{case.weights}-{case.rounding}-{case.start}{bias}"


def compiled_by(*pairs):
    """Compilers and levels; those of a compiler that is missing are skipped."""
    return [
        pytest.param(
            COMPILERS.get(name),
            level,
            id=f"{name}-{level}",
            marks=[] if name in COMPILERS else pytest.mark.skip(reason=f"there is no {name}"),
        )
        for name, level in pairs
    ]


# gcc says nothing of an offset to NULL.
@pytest.mark.parametrize(("compiler", "level"), compiled_by(("clang", "O0")))
def test_sanitized_convolutions_equal_the_reference(compiler, level, tmp_path):
    shape, layers = NETWORKS["picture"]
    network = IntegerNetwork.untrained(plan_of(shape, layers, fixed_point={"weights": "int12"}))
    project = generate_project(source_of(network), load_board("mps2-an386"))
    samples, labels = stream(shape, 12)
    with HostProcess(build_application(project, tmp_path / "p", compiler, level)) as process:
        learn(network, Device(process), samples, labels, infer=True)


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_the_sanitized_firmware_equals_the_reference(case, tmp_path):
    program = build_application(case.project(), tmp_path / "p", BEST)
    reference = case.reference()
    samples, labels = case.stream(60)
    with HostProcess(program) as process:
        device = Device(process)
        assert_same_answers(reference, device, samples[:12])
        if case.inference_only:
            with pytest.raises(DeviceError) as raised:
                device.learn(samples[0], 0)
            assert raised.value.status == Status.ERROR_READ_ONLY
            assert_same_state(reference, device, 0)
        else:
            learn(reference, device, samples, labels, infer=True)
            device.reset()
            reference.reset()
            learn(reference, device, samples[:5], labels[:5], infer=False)


SECOND = Case(13, (17, 9), 5, "log_cosine", "int16", slope=0.25, rate=50.0)


@pytest.mark.parametrize(
    ("compiler", "level"), compiled_by(("gcc", "O1"), ("clang", "O1"), ("zig", "O1"))
)
def test_other_compilers_find_nothing_either(compiler, level, tmp_path):
    case = Case(13, (17, 9), 5, "log_cosine", "int16", slope=0.25, rate=50.0)
    program = build_application(case.project(), tmp_path / "p", compiler, level)
    with HostProcess(program) as process:
        learn(case.reference(), Device(process), *case.stream(50), infer=True)


@pytest.mark.parametrize(
    ("loss", "weights", "scans"),
    [("cosine", "int16", 2), ("log_cosine", "int8", 2), ("margin", "int8", 17)],
)
def test_rates_beyond_all_reason(loss, weights, scans, tmp_path):
    """Multipliers clip, weights saturate, and layers are halved: at last as often as they may."""
    case = Case(5, (6, 4), 3, loss, weights, slope=0.5, rate=1e9, margin=2.0)
    program = build_application(case.project(), tmp_path / "p", BEST)
    reference = case.reference()
    with HostProcess(program) as process:
        learn(reference, Device(process), *case.stream(scans * SCAN_INTERVAL), infer=False)
    for count, layer in zip(reference.counts, reference.layers, strict=True):
        assert count.multipliers_clipped > 0
        assert count.updates_saturated > 0
        assert layer.halvings >= min(scans - 1, HALVINGS_MAX)


# File, right, wrong, and what the sanitizers say of it.
FAULTS = {
    "index beyond a table": (
        "spela/spela_digest.c",
        "crc ^= bytes[i];\n        crc = (crc >> 4) ^ table[crc & 15U]",
        "crc ^= bytes[i];\n        crc = (crc >> 4) ^ table[crc & 31U]",
        r"index \d+ out of bounds",
    ),
    "four classes too many": (
        "spela/spela.c",
        "{spela_padded(network->model.pointer->classes),",
        "{4U + spela_padded(network->model.pointer->classes),",
        "AddressSanitizer: global-buffer-overflow",
    ),
    "rate too large for its product": (
        "spela/spela_learn.c",
        "mantissa) >> 18",
        "mantissa) >> 12",
        "signed integer overflow",
    ),
}


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        (name, fault)
        for name in COMPILERS
        for fault in FAULTS
        if "Address" not in FAULTS[fault][-1] or "address" in COMPILERS[name].flags[0]
    ],
)
def test_a_planted_fault_is_seen(name, fault, tmp_path):
    *change, report = FAULTS[fault]
    compiler = COMPILERS[name]
    if "-fsanitize-trap=undefined" in compiler.flags:
        report = f"ended with -({'|'.join(map(str, TRAPS))})"
    case = Case(13, (17, 9), 5, "cosine")
    program = build_application(case.project(), tmp_path / "p", compiler, change=change)
    with pytest.raises(HostProcessError, match=report), HostProcess(program) as process:
        device = Device(process)
        for sample, label in zip(*case.stream(30), strict=True):
            device.infer(sample)
            device.learn(sample, int(label))

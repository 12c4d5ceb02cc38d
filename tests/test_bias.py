"""The bias: one more input of the first layer, always at full scale, which no sample brings."""

from dataclasses import replace

import numpy as np
import pytest
from test_integer_network import assert_same_answers, make_spec, stream
from toy import build_toy, toy, toy_samples

from spela_mcu.data.dataset import quantize_inputs
from spela_mcu.device.device import Device
from spela_mcu.errors import UserError
from spela_mcu.firmware.memory import network_memory
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import float_embeddings, make_plan
from spela_mcu.host.network import HostNetwork
from spela_mcu.proof.equality import Probes, compare_inference, find_state_difference
from spela_mcu.reference.network import FloatNetwork
from spela_mcu.reference.storage import load_network, save_network
from spela_mcu.simulators.choice import simulator_named
from spela_mcu.spec.limits import MAX_INPUTS
from spela_mcu.spec.network import NARROW_INPUTS


def constant_beside(samples, constant=127):
    """Samples [n, inputs] with the constant as their last input."""
    return np.pad(samples, ((0, 0), (0, 1)), constant_values=constant)


# The constant fills a block of four, or opens one; for vectors of sixteen, opens one of these.
@pytest.mark.parametrize("inputs", [1, 2, 3, 4, 5, 12, 15, 16, 17, 64])
@pytest.mark.parametrize("weights", ["int8", "int16"])
def test_a_bias_is_an_input_of_127(inputs, weights):
    """The C with a bias, numpy with one, and numpy without that is shown the constant."""
    with_bias = make_plan(make_spec((7, 6), weights=weights, bias=True), inputs, 3)
    shown = make_plan(make_spec((7, 6), weights=weights), inputs + 1, 3)
    assert (with_bias.inputs, shown.inputs) == (inputs, inputs + 1)
    c, numpy = HostNetwork(with_bias, None), IntegerNetwork.untrained(with_bias)
    plain = IntegerNetwork.untrained(shown)
    samples, labels = stream(inputs, 3, 40, low=-128)
    for sample, beside, label in zip(samples, constant_beside(samples), labels, strict=True):
        assert_same_answers(plain.infer(beside), numpy.infer(sample))
        assert_same_answers(plain.infer(beside), c.infer(sample))
        plain.learn(beside, int(label))
        numpy.learn(sample, int(label))
        c.learn(sample, int(label))
        assert plain.digest() == numpy.digest() == c.digest()
    assert (plain.predict(constant_beside(samples)) == numpy.predict(samples)).all()


def test_a_sample_comes_without_the_constant():
    plan = make_plan(make_spec((7, 6), bias=True), 5, 3)
    for network in (HostNetwork(plan, None), IntegerNetwork.untrained(plan)):
        network.learn(np.zeros(5, np.int8), 0)
        for inputs in (4, 6):
            with pytest.raises(ValueError, match="samples must be"):
                network.learn(np.zeros(inputs, np.int8), 0)


def test_the_float_reference_has_the_same():
    network = make_spec((7, 6), bias=True).network
    spec = make_spec((7, 6), bias=True)
    embeddings = float_embeddings(spec, 3)
    with_bias = FloatNetwork.untrained(network, 4, 3, embeddings)
    shown = FloatNetwork.untrained(network.model_copy(update={"bias": False}), 5, 3, embeddings)
    assert (with_bias.inputs, with_bias.layers[0].weight.shape) == (4, (7, 5))
    x, y = stream(4, 3, 30)
    x = (x / 127).astype(np.float32)
    beside = constant_beside(x, 1)
    assert (with_bias.learn(x, y, 0.1).updated == shown.learn(beside, y, 0.1).updated).all()
    rates = np.full(len(y), 0.1)
    with_bias.learn_online(x, y, rates)
    shown.learn_online(beside, y, rates)
    for mine, other in zip(with_bias.layers, shown.layers, strict=True):
        assert (mine.weight == other.weight).all()
    assert (with_bias.predict(x) == shown.predict(beside)).all()


def test_a_saved_network_keeps_its_bias(tmp_path):
    spec = make_spec((7, 6), bias=True)
    network = FloatNetwork.untrained(spec.network, 4, 3, float_embeddings(spec, 3))
    save_network(tmp_path / "network.npz", network)
    loaded = load_network(tmp_path / "network.npz")
    assert loaded.bias
    assert loaded.inputs == 4


def test_one_input_is_told_apart():
    """20, 30 and 40 degrees: one direction without a bias, whatever the scaling."""
    rng = np.random.default_rng(0)
    y = np.arange(600) % 3
    x = ((y - 1) + rng.uniform(-0.2, 0.2, 600)).astype(np.float32)[:, np.newaxis] / 1.2
    right = {}
    for bias in (False, True):
        spec = make_spec((16, 12), bias=bias, learning_rate=0.2)
        network = HostNetwork(make_plan(spec, 1, 3), None).partial_fit(quantize_inputs(x), y)
        right[bias] = (network.predict_exits(quantize_inputs(x))[-1] == y).mean()
    assert right[False] < 0.7
    assert right[True] > 0.95


def test_narrow_inputs_have_one_unless_told_otherwise():
    network = make_spec((7, 6)).network
    absent = network.model_copy(update={"bias": None})
    assert absent.has_bias(NARROW_INPUTS - 1)
    assert not absent.has_bias(NARROW_INPUTS)
    assert not network.model_copy(update={"bias": False}).has_bias(1)
    assert network.model_copy(update={"bias": True}).has_bias(1000)


def test_the_widest_sample_leaves_no_room():
    make_plan(make_spec((2,), bias=True), MAX_INPUTS - 1, 2)
    with pytest.raises(UserError, match="at most 65534 inputs") as raised:
        make_plan(make_spec((2,), bias=True), MAX_INPUTS, 2)
    assert raised.value.key == "network.bias"


def test_the_model_says_so():
    plan = make_plan(make_spec((7, 6), bias=True), 4, 3)
    without = replace(plan, bias=False)
    texts = [toy(inputs=4, bias=bias).project.files for bias in (False, True)]
    assert ["has a bias" in files["model/toy_model.h"] for files in texts] == [False, True]
    assert [".flags = 8U" in files["model/toy_model.c"] for files in texts] == [False, True]
    assert len({toy(inputs=4, bias=bias).project.model.digest for bias in (False, True)}) == 2
    memory = network_memory(plan, weights_in_flash=False, inference_only=False)
    shown = network_memory(without, weights_in_flash=False, inference_only=False)
    assert (memory.inputs, shown.inputs) == (4, 5)
    assert memory.arena_bytes == shown.arena_bytes


CORES = [
    pytest.param(board, simulator, marks=pytest.mark.needs_simulator(simulator), id=board)
    for board, simulator in (
        ("microbit", "unicorn"),
        ("mps2-an385", "unicorn"),
        ("mps2-an386", "unicorn"),
        ("mps3-an547", "qemu"),
    )
]


# What a bias does for other numbers of inputs, test_kernels.py shows of each core.
@pytest.mark.parametrize(("board", "simulator"), CORES)
@pytest.mark.parametrize(("inputs", "weights", "drawn"), [(16, "int8", False), (4, "int16", True)])
def test_every_core_equals_the_reference(board, simulator, inputs, weights, drawn, tmp_path):
    case = toy(board, inputs=inputs, weights=weights, drawn=drawn, bias=True)
    build = build_toy(case, tmp_path / "p")
    reference = case.network()
    x, y = toy_samples(case, 20)
    with simulator_named(simulator).start(build) as machine:
        device = Device(machine)
        assert compare_inference(reference, device, Probes(x[:5], x[:5])).difference is None
        for sample, label in zip(x, y.tolist(), strict=True):
            expected = reference.learn(sample, label)
            answer = device.learn(sample, label)
            assert (answer.prediction.label, answer.digest) == (expected, reference.digest())
        assert find_state_difference(reference, device, len(x)) is None
        assert compare_inference(reference, device, Probes(x[:5], x[:5])).difference is None

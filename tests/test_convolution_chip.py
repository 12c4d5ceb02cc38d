"""Convolutions in generated projects: on simulated chips, equal to the integer reference."""

import numpy as np
import pytest
from convolutional import CLASSES, plan_of, stream
from host_process import plant
from test_convolutional_network import NETWORKS
from test_selftest import ASKED, START

from spela_mcu.data.dataset import InputScaling
from spela_mcu.device.answers import Rate, Thresholds
from spela_mcu.device.device import Device
from spela_mcu.device.protocol import DeviceError, Status
from spela_mcu.device.twin import Twin
from spela_mcu.errors import UserError
from spela_mcu.firmware.board import load_board
from spela_mcu.firmware.build import build_project
from spela_mcu.firmware.directory import write_project
from spela_mcu.firmware.memory import FAULT_STACK_BYTES, network_memory, plan_memory
from spela_mcu.firmware.model import model_source
from spela_mcu.firmware.project import generate_project
from spela_mcu.firmware.stack import worst_case_stack
from spela_mcu.firmware.toolchain import find_compiler
from spela_mcu.fixed_point.layer import LAYER_CONVOLUTION
from spela_mcu.fixed_point.layout import pack
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.simulators.choice import simulator_named
from spela_mcu.store.payload import read_payload


def source_of(network):
    """The network as C."""
    inputs = network.plan.inputs
    scaling = InputScaling(np.zeros(inputs, np.float32), np.ones(inputs, np.float32))
    names = tuple(f"class {index}" for index in range(CLASSES))
    return model_source("small", network, names, scaling, drawn=True)


def build_of(network, board, directory, compiler="auto", optimization="O2"):
    """The network's project, built."""
    board = load_board(board)
    project = generate_project(source_of(network), board, optimization=optimization)
    write_project(project, directory)
    return build_project(directory, find_compiler(compiler, board.family), None)


def check_memory(plan, build):
    """RAM is known to the byte; code and stack stay below their bounds."""
    memory = plan_memory(
        network_memory(plan, weights_in_flash=False, inference_only=False),
        build.project.board,
        compiler=build.compiler.name,
        optimization=build.optimization,
    )
    assert build.warnings == ""
    assert build.ram_bytes == memory.ram
    assert build.flash_bytes - memory.tables <= memory.code
    stack = worst_case_stack(build.read_elf())
    assert stack.bytes <= memory.stack - FAULT_STACK_BYTES, stack.path


@pytest.mark.parametrize(
    ("board", "simulator", "name", "weights"),
    [
        pytest.param(*case, marks=pytest.mark.needs_simulator(case[1]), id="-".join(case))
        for case in (
            ("microbit", "unicorn", "signal", "int12"),
            ("mps2-an385", "unicorn", "picture", "int8"),
            ("mps2-an386", "unicorn", "picture", "int12"),
            ("mps2-an505", "unicorn", "picture", "int16"),
            ("mps3-an547", "qemu", "picture", "int12"),
            ("riscv-virt", "unicorn", "picture", "int12"),
        )
    ],
)
def test_equal_on_simulated_chips(board, simulator, name, weights, tmp_path):
    shape, layers = NETWORKS[name]
    network = IntegerNetwork.untrained(plan_of(shape, layers, fixed_point={"weights": weights}))
    build = build_of(network, board, tmp_path / "project")
    check_memory(network.plan, build)
    samples, labels = stream(shape, 12)
    with simulator_named(simulator).start(build) as machine:
        device = Device(machine)
        assert device.info().layers == len(network.plan.matrices)
        for sample, label in zip(samples, labels.tolist(), strict=True):
            network.learn(sample, label)
            assert device.learn(sample, label).digest == network.digest()
        for index, state in enumerate(network.layers):
            matrix = network.plan.matrices[index]
            assert device.weights(index) == pack(state.weights, matrix.format)
        for sample in samples[:3]:
            for found, wanted in zip(device.infer(sample), network.infer(sample), strict=True):
                assert (found.label, found.cosine, found.margin) == (
                    wanted.label,
                    wanted.cosine,
                    wanted.margin,
                )
                assert np.array_equal(found.scores, wanted.scores)


# A slip in each core's kernels of updates and of maps: board, simulator, file, right, wrong.
SLIPS = {
    "armv6-m": ("microbit", "unicorn", "filters_thumb", '"sxtb    r3, r3', '"uxtb    r3, r3'),
    "armv7-m": (
        "mps2-an385",
        "unicorn",
        "filters_thumb",
        '"ldrsb   r8, [r0, #-3]',
        '"ldrsb   r8, [r0, #-2]',
    ),
    "dsp": ("mps2-an386", "unicorn", "filters_dsp", '"smlatb  r6, r9', '"smlabb  r6, r9'),
    "dsp, runs": ("mps2-an386", "unicorn", "map_dsp", "[r0], #2", "[r0], #1"),
    "dsp, places": ("mps2-an386", "unicorn", "map_dsp", "r4, r11, r4", "r4, r4, r11"),
    "mve": ("mps3-an547", "qemu", "filters_mve", "vldrb.s32 q0", "vldrb.u32 q0"),
    "mve, maxima": ("mps3-an547", "qemu", "map_mve", "vrshl.s32 q0", "vshl.s32 q0"),
    "riscv": (
        "riscv-virt",
        "unicorn",
        "filters_riscv",
        '"mul     t5, t5, a2',
        '"mul     t5, t4, a2',
    ),
}


@pytest.mark.parametrize(
    ("board", "simulator", "file", "right", "wrong"),
    [pytest.param(*slip, marks=pytest.mark.needs_simulator(slip[1])) for slip in SLIPS.values()],
    ids=SLIPS,
)
def test_a_slip_in_a_kernel_is_found(board, simulator, file, right, wrong, tmp_path):
    shape, layers = NETWORKS["picture"]
    network = IntegerNetwork.untrained(plan_of(shape, layers))
    directory = tmp_path / "project"
    board = load_board(board)
    write_project(generate_project(source_of(network), board), directory)
    plant(directory / "convolution" / f"spela_{file}.c", right, wrong)
    build = build_project(directory, find_compiler("auto", board.family), None)
    samples, labels = stream(shape, 6)
    with simulator_named(simulator).start(build) as machine:
        device = Device(machine)
        for sample, label in zip(samples, labels.tolist(), strict=True):
            network.learn(sample, label)
            digest = device.learn(sample, label).digest
    assert digest != network.digest()


def saturating(name, weights):
    """A network whose weights soon saturate, and are halved."""
    shape, layers = NETWORKS[name]
    learning = {"start": "untrained", "learning_rate": 4.0}
    plan = plan_of(shape, layers, learning=learning, fixed_point={"weights": weights})
    return IntegerNetwork.untrained(plan), stream(shape, 400, noise=120)


@pytest.mark.needs_simulator("unicorn")
@pytest.mark.parametrize(("name", "weights"), [("signal", "int16"), ("signal", "int12")])
def test_states_settings_and_figures(name, weights, tmp_path):
    network, (samples, labels) = saturating(name, weights)
    build = build_of(network, "mps2-an386", tmp_path / "project")
    twin = Device(Twin(IntegerNetwork(network.plan, network.initial), source_of(network)))
    with simulator_named("unicorn").start(build) as machine:
        device = Device(machine)
        for one in (device, twin):
            one.partial_fit(samples, labels)
        network.partial_fit(samples, labels)
        matrices = range(len(network.plan.matrices))
        assert device.counters() == twin.counters()
        assert device.counters().digest == network.digest()
        figures = device.statistics()
        assert figures == twin.statistics()
        found = [one.saturated for one in figures.layers]
        assert found == [network.saturated(index) for index in matrices]
        assert any(found)
        kinds = [matrix.kind for matrix in network.plan.matrices]
        of_filters = [
            one
            for one, kind in zip(figures.layers, kinds, strict=True)
            if kind == LAYER_CONVOLUTION
        ]
        assert any(one.halvings for one in of_filters)

        device.save()
        device.learn(samples[0], 0)
        assert device.counters().digest != network.digest()
        device.load()
        assert device.counters().digest == network.digest()
        copy = device.export(IntegerNetwork(network.plan, network.initial))
        assert copy.digest() == network.digest()
        copy.learn(samples[1], 2)
        device.restore(copy)
        assert device.counters().digest == copy.digest()
        if weights == "int12":
            refuses_residuals_of_padding(copy, device)
            assert device.counters().digest == copy.digest()

        for index in matrices:
            rate = Rate(40_000 + index, 20 + index)
            assert device.rate(index, rate) == twin.rate(index, rate) == rate
            limits = Thresholds(100 * index, 50 - index)
            assert device.thresholds(index, limits) == twin.thresholds(index, limits) == limits


def refuses_residuals_of_padding(network, device):
    """The last residual of the first filters is in a column of padding."""
    payload = bytearray(device.export_payload())
    filters = network.packed_weights(0)
    last = payload.index(filters) + len(filters) - 1
    payload[last] ^= 0x80
    with pytest.raises(UserError, match="weights in layer 0 that no network can have"):
        read_payload(network.plan, bytes(payload))
    with pytest.raises(DeviceError) as raised:
        device.import_payload(bytes(payload), source_of(network).digest)
    assert raised.value.status == Status.STORE_CORRUPT


# A slip in each stage of a convolution: file, right, wrong.
FAULTS = {
    None: None,
    "map": (
        "convolution.c",
        "shift_right_rounded(sums[j], block.sum_shift)",
        "shift_right(sums[j], block.sum_shift)",
    ),
    "error": (
        "learn_convolution.h",
        "#define SPELA_ERROR_BITS 16U",
        "#define SPELA_ERROR_BITS 15U",
    ),
    "residuals": ("int12.h", "~(SPELA_RESIDUAL_MASK << shift)", "~SPELA_RESIDUAL_MASK"),
}


@pytest.mark.needs_simulator("unicorn")
@pytest.mark.parametrize("fault", FAULTS)
def test_self_test(fault, tmp_path):
    shape, layers = NETWORKS["picture"]
    network = IntegerNetwork.untrained(plan_of(shape, layers, fixed_point={"weights": "int12"}))
    directory = tmp_path / "project"
    build_of(network, "mps2-an386", directory)
    asked = ASKED.replace("toy_model", "small_model")
    plant(directory / "application" / "state.c", START, asked + START)
    if fault is not None:
        file, right, wrong = FAULTS[fault]
        plant(directory / "convolution" / f"spela_{file}", right, wrong)
    build = build_project(directory, find_compiler("auto"), None)
    with simulator_named("unicorn").start(build) as machine:
        if fault is None:
            assert Device(machine).info().name == "small"
            return
        with pytest.raises(DeviceError) as raised:
            Device(machine).info()
        assert raised.value.status == Status.ERROR_MODEL

"""Convolutions in generated projects: on simulated chips, equal to the integer reference."""

import numpy as np
import pytest
from convolutional import CLASSES, plan_of, stream
from test_convolutional_network import NETWORKS

from spela_mcu.data.dataset import InputScaling
from spela_mcu.device.device import Device
from spela_mcu.firmware.board import load_board
from spela_mcu.firmware.build import build_project
from spela_mcu.firmware.directory import write_project
from spela_mcu.firmware.memory import FAULT_STACK_BYTES, network_memory, plan_memory
from spela_mcu.firmware.model import model_source
from spela_mcu.firmware.project import generate_project
from spela_mcu.firmware.stack import worst_case_stack
from spela_mcu.firmware.toolchain import find_compiler
from spela_mcu.fixed_point.layout import pack
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.simulators.choice import simulator_named


def build_of(network, board, directory, compiler="auto", optimization="O2"):
    """The network's project, built."""
    inputs = network.plan.inputs
    scaling = InputScaling(np.zeros(inputs, np.float32), np.ones(inputs, np.float32))
    names = tuple(f"class {index}" for index in range(CLASSES))
    model = model_source("small", network, names, scaling, drawn=True)
    write_project(generate_project(model, load_board(board), optimization=optimization), directory)
    return build_project(directory, find_compiler(compiler), None)


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
            ("microbit", "unicorn", "signal", "int8"),
            ("mps2-an386", "unicorn", "picture", "int8"),
            ("mps2-an386", "unicorn", "signal", "int16"),
            ("mps3-an547", "qemu", "picture", "int8"),
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
            assert device.weights(index) == pack(state.weights, network.plan.type_of(matrix))
        for sample in samples[:3]:
            for found, wanted in zip(device.infer(sample), network.infer(sample), strict=True):
                assert (found.label, found.cosine, found.margin) == (
                    wanted.label,
                    wanted.cosine,
                    wanted.margin,
                )
                assert np.array_equal(found.scores, wanted.scores)

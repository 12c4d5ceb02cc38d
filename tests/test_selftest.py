"""The self-test of generated projects: right on every target, wrong where anything is wrong."""

from pathlib import Path

import pytest
from host_process import plant, run_program, sanitizing_compilers
from toy import toy

from spela_mcu.device.device import Device
from spela_mcu.device.protocol import DeviceError, Status
from spela_mcu.firmware.build import build_project, build_with
from spela_mcu.firmware.directory import write_project
from spela_mcu.firmware.elf import read_elf
from spela_mcu.firmware.runtime import runtime_defines
from spela_mcu.firmware.toolchain import find_compiler
from spela_mcu.simulators.choice import simulator_named

COMPILERS = sanitizing_compilers()
PROGRAM = Path(__file__).parent / "c" / "selftest.c"
RIGHT, WRONG = "0 0, 1 1 4 0\n", "7 7, 1 1 4 0\n"
"""What tests/c/selftest.c says: the self-test twice; refusals; spela_init in the same arena."""

EXITS = ((1, 5000), (9000, -3000), (0, 9000))
CASES = {
    "int8": toy(),
    "int8, trained": toy(drawn=False, layers=(2,), inputs=1, classes=2),
    "int16": toy(weights="int16", inputs=300, drawn=False),
    "early exits": toy(layers=(17, 12, 9), thresholds=EXITS),
    "bias": toy(inputs=12, bias=True),
    "bias, int16": toy(inputs=7, weights="int16", bias=True, drawn=False),
    "inference only": toy(drawn=False, inference_only=True),
    "inference only, int16": toy(weights="int16", drawn=False, inference_only=True),
}


def answer(case, directory, *, whole=False, change=None):
    """What the program says on this machine.

    Args:
        whole: compile the runtime for models of any width, that learn or do not.
        change: (file, right, wrong): a fault to plant in the project.
    """
    if not COMPILERS:
        pytest.skip("no compiler with sanitizers (gcc, clang or zig)")
    compiler, project = next(iter(COMPILERS.values())), case.project
    write_project(project, directory)
    if change is not None:
        plant(directory / change[0], *change[1:])
    defines = runtime_defines(project.model.weights, inference_only=project.inference_only)
    if whole:
        defines = defines[1:]  # without spela_learn.c there is nothing to leave in
    folders = [directory / "model", directory / "spela"]
    sources = [PROGRAM, *(source for folder in folders for source in sorted(folder.glob("*.c")))]
    program = compiler.compile(sources, directory / "selftest", folders, defines)
    code, output, report = run_program(program)
    assert (code, report) == (0, "")
    return output


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("whole", [False, True])
def test_it_is_right_on_this_machine(name, whole, tmp_path):
    assert answer(CASES[name], tmp_path / "p", whole=whole) == RIGHT


# A slip in each stage: file, right, wrong.
FAULTS = {
    "sums": ("spela_kernels_body.h", "weights[5] * x1", "weights[5] * x2"),
    "rounding": ("spela_arithmetic.h", "<< shift) >> 1), shift)", "<< shift) >> 2), shift)"),
    "cosines": ("spela_arithmetic.c", "17U + embedding_shift", "16U + embedding_shift"),
    "margins": ("spela.c", "margin = cosine - ", "margin = 1 + cosine - "),
    "early exit": ("spela.c", "result->exit = (uint16_t)", "result->exit = 0U * (uint16_t)"),
    "generator": ("spela_arithmetic.h", "1013904223", "1013904225"),
    "dither": ("spela_kernels_body.h", "(32U - SPELA_UPDATE_SHIFT)", "(33U - SPELA_UPDATE_SHIFT)"),
    "rate": ("spela_learn.c", "mantissa) >> 18", "mantissa) >> 19"),
    "best class": ("spela_learn.c", "spela_best_class(network, label)", "(uint16_t)(label == 0U)"),
    "updates": ("spela_learn.c", "layers[index].updates++;", "layers[index].updates += 2U;"),
    "digest": ("spela_digest.c", "0x1DB71064U", "0x1DB71065U"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault, tmp_path):
    name, right, wrong = FAULTS[fault]
    change = (f"spela/{name}", right, wrong)
    assert answer(CASES["early exits"], tmp_path / "p", change=change) == WRONG


@pytest.mark.parametrize("table", ["weights", "embeddings"])
def test_a_table_that_has_come_to_harm_is_found(table, tmp_path):
    case = CASES["inference only"]
    line = case.project.model.source.partition(f"layer1_{table}[] = {{\n")[2].partition("\n")[0]
    first, rest = line.split(",", 1)
    change = ("model/toy_model.c", line, f"    {int(first) ^ 1},{rest}")
    assert answer(case, tmp_path / "p", change=change) == WRONG


# ----------------------------------------------------------------------- on the chip

START = "    if (spela_init(&device->network,"
ASKED = """\
    if (spela_selftest(&toy_model_selftest, device->arena, sizeof device->arena) !=
        SPELA_OK) {
        device->network = NULL;
    } else"""


def asking(case, directory, change=None):
    """A build whose application serves the network only if the self-test is right."""
    write_project(case.project, directory)
    if change is not None:
        plant(directory / change[0], *change[1:])
    plant(directory / "application" / "state.c", START, ASKED + START)
    return build_with(directory, "auto")


@pytest.mark.parametrize(
    ("board", "simulator", "change"),
    [
        pytest.param(board, name, change, marks=pytest.mark.needs_simulator(name), id=board)
        for board, name, change in (
            ("microbit", "unicorn", ("thumb.c", "adds    r0, #13", "adds    r0, #12")),
            ("mps2-an386", "unicorn", ("dsp.c", "qadd8   r3, r3, lr", "sadd8   r3, r3, lr")),
            ("riscv-virt", "unicorn", ("riscv.c", "mv      a0, a3", "mv      a0, a2")),
            ("mps3-an547", "qemu", ("mve.c", "vmov.32 r3, q7[3]", "vmov.32 r3, q7[2]")),
        )
    ],
)
def test_it_is_right_and_wrong_on_simulated_chips(board, simulator, change, tmp_path):
    name, right, wrong = change
    case = toy(board, inputs=28, bias=True)
    build = asking(case, tmp_path / "right")
    with simulator_named(simulator).start(build) as machine:
        assert Device(machine).info().name == "toy"
    fault = (f"spela/spela_kernels_{name}", right, wrong)
    with simulator_named(simulator).start(asking(case, tmp_path / "w", fault)) as machine:
        with pytest.raises(DeviceError) as raised:
            Device(machine).info()
        assert raised.value.status == Status.ERROR_MODEL


def test_it_costs_flash_only_where_it_is_called(tmp_path):
    case = toy("mps2-an386")
    write_project(case.project, tmp_path / "plain")
    plain = read_elf(build_project(tmp_path / "plain", find_compiler()).elf)
    called = read_elf(asking(case, tmp_path / "called").elf)
    own = {"spela_selftest", "toy_model_selftest"}
    assert not own & set(plain.by_name)
    assert own <= set(called.by_name)
    sizes = {symbol.name: symbol.bytes for symbol in called.symbols}
    vectors = ("toy_model_selftest", "samples", "labels")
    assert sum(sizes[name] for name in vectors) == case.project.model.selftest_bytes

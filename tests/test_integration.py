"""The programs of docs/integration.md: compiled without a warning, and as the reference has it."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from flash_chip import run
from flash_chips import Stm32f4
from host_process import RUNTIME, plant, run_program, runtime_objects, sanitizing_compilers
from toy import toy

from spela_mcu.firmware.board import load_board
from spela_mcu.firmware.directory import write_project
from spela_mcu.firmware.runtime import runtime_defines
from spela_mcu.firmware.toolchain import WARNING_FLAGS

PAGE = Path(__file__).parents[1] / "docs" / "integration.md"
BLOCKS = dict(re.findall(r"```c(?:pp)? (\S+)\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL))
PROGRAMS = Path(__file__).parent / "c"
SHAPE = {"inputs": 8, "layers": (6, 4), "classes": 3, "name": "pump"}
GCC = "arm-none-eabi-gcc"
COMPILERS = sanitizing_compilers()
SHOWN, LEARNED = 4, 80
"""As tests/c/guide_sensor.c has them."""

needs_gcc_for_arm = pytest.mark.skipif(shutil.which(GCC) is None, reason=f"{GCC} is not on PATH")
needs_host_compiler = pytest.mark.skipif(
    not COMPILERS, reason="no compiler for this machine (gcc, clang or zig)"
)


def sample(n):
    k = np.arange(SHAPE["inputs"])
    return ((n * 37 + k * k * 11) % 255 - 127).astype(np.int8)


def shown(answer):
    return f"{answer.label << 16 | answer.margin & 0xFFFF:08x}"


def learned(steps):
    network = toy(**SHAPE).network()
    for n in steps:
        network.learn(sample(n), n % SHAPE["classes"])
    return network


# ------------------------------------------------------------------------ on a Cortex-M


@pytest.fixture(scope="module")
def cortex_m(tmp_path_factory):
    """Makes a program of the page, with its own main, for a board of a Cortex-M4."""
    made = {}

    def rest(board, has_uart):
        """All of it that no program changes: the project's directory, the command, the objects."""
        directory = tmp_path_factory.mktemp("project")
        case = toy(board, **SHAPE)
        write_project(case.project, directory)
        (directory / "sensor.h").write_text(BLOCKS["sensor.h"])
        defines = runtime_defines("int8", 1, inference_only=False)
        command = [GCC, f"-mcpu={load_board(board).core}", "-mthumb", "-std=c99", "-O1"]
        command += ["-ffreestanding", "-ffunction-sections", *WARNING_FLAGS, "-Werror"]
        folders = (".", "model", "spela", "store", "port")
        command += [f"-I{directory / folder}" for folder in folders]
        command += [f"-D{define}" for define in defines]
        sources = [PROGRAMS / "guide_sensor.c"]
        patterns = ("model/*.c", "spela/*.c", "store/spela_*.c", "port/*.c")
        sources += [path for pattern in patterns for path in directory.glob(pattern)]
        sources.remove(directory / "port" / "flash.c")  # the driver is the program's own
        if not has_uart:
            sources.remove(directory / "port" / "uart.c")
            sources.append(PROGRAMS / "port_mailbox.c")
        (directory / "objects").mkdir()
        subprocess.run([*command, "-c", *map(str, sources)], cwd=directory / "objects", check=True)
        return directory, command

    def make(block, target, board="stm32f4_discovery", *, has_uart=False, change=None):
        key = (board, has_uart)
        if key not in made:
            made[key] = rest(board, has_uart)
        directory, command = made[key]
        program = target / block
        program.write_text(BLOCKS[block])
        if change is not None:
            plant(program, *change)
        elf = target / "program.elf"
        drivers = directory / "store" / "drivers"
        sources = [program, drivers / "flash_stm32f4.c", *(directory / "objects").glob("*.o")]
        command = [*command, "-nostdlib", "-nostartfiles", "-Wl,--gc-sections", "-o", str(elf)]
        command += [f"-T{directory / 'port' / 'linker.ld'}", *map(str, sources), "-lgcc"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return elf

    return make


@needs_gcc_for_arm
def test_the_main_loop_keeps_what_it_learns(cortex_m, tmp_path):
    code = [line for line in BLOCKS["main.c"].splitlines() if line.strip()]
    assert len(code) <= 45
    elf = cortex_m("main.c", tmp_path)
    flash = Stm32f4(10)
    network = toy(**SHAPE).network()
    for _ in range(3):
        before = [shown(network.infer(sample(n))[-1]) for n in range(SHOWN)]
        for n in range(SHOWN, SHOWN + LEARNED):
            network.learn(sample(n), n % SHAPE["classes"])
        after = [shown(network.infer(sample(n))[-1]) for n in range(SHOWN)]
        assert before != after
        assert run(elf, flash).split() == [*before, *after, "."]


@needs_gcc_for_arm
def test_without_a_uart_the_answer_is_a_pin(cortex_m, tmp_path):
    elf = cortex_m("pin.c", tmp_path)
    flash = Stm32f4(10)
    set_to = []
    gpio = (0x40020000, lambda *_: 0, lambda offset, _, value: set_to.append((offset, value)))
    flash.devices = (*flash.devices, gpio)
    assert run(elf, flash) == "."
    network = toy(**SHAPE).network()
    answers = [network.infer(sample(n))[-1].label for n in range(SHOWN)]
    assert len(set(answers)) > 1
    expected = [(0x18, 1 << 5 if label == 2 else 1 << 21) for label in answers]
    assert set_to[:SHOWN] == expected


def said_in_qemu(elf):
    command = ["qemu-system-arm", "-machine", "mps2-an386", "-kernel", str(elf)]
    command += ["-display", "none", "-monitor", "none", "-serial", "stdio", "-icount", "shift=3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        lines = []
        while not (lines and lines[-1].endswith(".")):
            lines.append(process.stdout.readline().strip())
        process.kill()
    return lines


ONE_WINDOW = ("windows[filled % 2U][at] = value;", "windows[0][at] = value;")


@needs_gcc_for_arm
@pytest.mark.needs_simulator("qemu")
@pytest.mark.parametrize("fault", [None, ONE_WINDOW], ids=["right", "one window"])
def test_an_interrupt_samples_while_the_loop_learns(fault, cortex_m, tmp_path):
    elf = cortex_m("sampling.c", tmp_path, "mps2-an386", has_uart=True, change=fault)
    network = toy(**SHAPE).network()
    lines = []
    for n in range(40):
        answer = network.infer(sample(n))[-1]
        lines.append(shown(answer))
        network.learn(sample(n), answer.label)
    assert (said_in_qemu(elf) == [*lines, "."]) == (fault is None)


# --------------------------------------------------------------------- on this machine


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    directory = tmp_path_factory.mktemp("host")
    write_project(toy(**SHAPE).project, directory)
    for name, text in BLOCKS.items():
        (directory / name).write_text(text)
    return directory


@needs_host_compiler
@pytest.mark.parametrize(("compiler", "standard"), [("g++", "11"), ("clang++", "20")])
def test_a_class_owns_a_network(compiler, standard, project, tmp_path):
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not on PATH")
    first = next(iter(COMPILERS.values()))
    model = tmp_path / "model.o"
    first.compile(["-c", project / "model" / "pump_model.c"], model, [RUNTIME])
    headers = [path for path in project.rglob("*.h") if 'extern "C"' in path.read_text()]
    assert {"spela.h", "spela_store.h", "flash_nmi.h"} <= {path.name for path in headers}
    every = tmp_path / "every.cpp"
    includes = "".join(f'#include "{path}"\n' for path in headers)
    every.write_text(
        f"{includes}uint32_t all();\nuint32_t all() {{ return spela_digest(nullptr); }}\n"
    )
    flags = [f"-std=c++{standard}", *WARNING_FLAGS, "-Wno-missing-prototypes", "-Werror"]
    flags = [
        flag for flag in flags if "strict-prototypes" not in flag and "missing-proto" not in flag
    ]
    command = [compiler, *flags, *first.flags, f"-I{project}"]
    command += [f"-I{project / folder}" for folder in ("model", "spela", "store")]
    program = tmp_path / "program"
    sources = [PROGRAMS / "guide_main.cpp", every, model, *runtime_objects(first, "O0", ())]
    subprocess.run([*command, *map(str, sources), "-o", str(program)], check=True)
    network = learned(range(100))
    label = network.infer(sample(99))[-1].label
    assert run_program(program) == (0, f"{label} {network.digest()}\n", "")


def told_by_tasks():
    network = learned(range(400))
    return "".join(f"{network.infer(sample(n))[-1].label}\n" for n in range(8))


@pytest.mark.parametrize("fault", [None, "no lock"])
def test_two_tasks_share_a_network(fault, project, tmp_path):
    gcc = shutil.which("gcc")
    if gcc is None:
        pytest.skip("gcc is not on PATH")
    shared = tmp_path / "shared.c"
    shared.write_text(BLOCKS["shared.c"])
    if fault is not None:
        text = BLOCKS["shared.c"].replace(
            "lock_take();\n    const spela_status_t status = spela_infer",
            "const spela_status_t status = spela_infer",
        )
        text = text.replace("result);\n    lock_give();", "result);")
        shared.write_text(text)
    program = tmp_path / "tasks"
    command = [gcc, "-std=c99", "-O1", "-g", *WARNING_FLAGS, "-Werror", "-fsanitize=thread"]
    command += ["-pthread", f"-I{project}"]
    command += [f"-I{project / folder}" for folder in ("model", "spela")]
    sources = [shared, PROGRAMS / "guide_tasks.c", project / "model" / "pump_model.c"]
    sources += sorted(RUNTIME.glob("*.c"))
    done = subprocess.run(
        [*command, *map(str, sources), "-o", str(program)],
        capture_output=True,
        text=True,
        check=False,
    )
    if "tsan" in done.stderr:
        pytest.skip("gcc has no thread sanitizer here")
    assert done.returncode == 0, done.stderr
    code, output, report = run_program(program)
    if fault is None:
        assert (code, output, report) == (0, told_by_tasks(), "")
    else:
        assert "data race" in report


FREERTOS = os.environ.get("SPELA_FREERTOS")
"""A checkout of FreeRTOS-Kernel."""

FREERTOS_CONFIG = """
#define configTICK_RATE_HZ 1000
#define configMAX_PRIORITIES 4
#define configMINIMAL_STACK_SIZE 4096
#define configUSE_PREEMPTION 1
#define configUSE_IDLE_HOOK 0
#define configUSE_TICK_HOOK 0
#define configUSE_16_BIT_TICKS 0
#define configUSE_MUTEXES 1
#define configSUPPORT_STATIC_ALLOCATION 1
#define configSUPPORT_DYNAMIC_ALLOCATION 0
#define configKERNEL_PROVIDED_STATIC_MEMORY 1
#define configCHECK_FOR_STACK_OVERFLOW 0
#define INCLUDE_vTaskDelay 1
"""


@pytest.mark.skipif(not FREERTOS, reason="SPELA_FREERTOS names no checkout of FreeRTOS-Kernel")
def test_two_tasks_of_freertos_share_a_network(project, tmp_path):
    kernel = Path(FREERTOS)
    port = kernel / "portable" / "ThirdParty" / "GCC" / "Posix"
    (tmp_path / "FreeRTOSConfig.h").write_text(FREERTOS_CONFIG)
    sources = [project / "shared.c", project / "lock_freertos.c", PROGRAMS / "guide_tasks.c"]
    sources += [project / "model" / "pump_model.c", *sorted(RUNTIME.glob("*.c"))]
    sources += [kernel / "tasks.c", kernel / "queue.c", kernel / "list.c", port / "port.c"]
    sources += [port / "utils" / "wait_for_event.c"]
    includes = [tmp_path, project, project / "model", RUNTIME, kernel / "include", port]
    includes += [port / "utils"]
    program = tmp_path / "tasks"
    command = ["gcc", "-std=gnu99", "-O1", "-DWITH_FREERTOS", "-pthread"]
    command += [f"-I{directory}" for directory in includes]
    subprocess.run([*command, *map(str, sources), "-o", str(program)], check=True)
    assert run_program(program) == (0, told_by_tasks(), "")

"""Every compiler, level and kind of project: built, held against its plans, and run."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from intelhex import IntelHex
from toy import build_toy, toy, toy_samples

from spela_mcu.cli.build import command
from spela_mcu.cores import CORTEX_M, RISCV
from spela_mcu.device.device import Device
from spela_mcu.errors import UserError
from spela_mcu.firmware import build as build_module
from spela_mcu.firmware import toolchain
from spela_mcu.firmware.board import load_board
from spela_mcu.firmware.build import build_project
from spela_mcu.firmware.directory import write_project
from spela_mcu.firmware.elf import read_elf
from spela_mcu.firmware.legality import illegal_instructions
from spela_mcu.firmware.preflight import Preflight
from spela_mcu.firmware.runtime import runtime_defines
from spela_mcu.firmware.stack import stack_frames, worst_case_stack
from spela_mcu.firmware.toolchain import OPTIMIZATIONS, WARNING_FLAGS, find_compiler
from spela_mcu.fixed_point.plan import make_plan
from spela_mcu.simulators.unicorn import UnicornSimulator

GCC = "arm-none-eabi-gcc"

HEADROOM_MAX = 1.4
"""A bound of the code that is further away is no use to anybody."""


def has_gcc():
    return shutil.which(GCC) is not None


def needs(compiler, family=CORTEX_M):
    try:
        find_compiler(compiler, family)
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture(params=["gcc", "zig"])
def compiler(request):
    needs(request.param)
    return request.param


@pytest.mark.parametrize("inference_only", [False, True], ids=["learning", "inference-only"])
@pytest.mark.parametrize("optimization", OPTIMIZATIONS)
def test_plans_hold_and_the_program_runs(compiler, optimization, inference_only, tmp_path):
    case = toy("stm32f4_discovery", drawn=False, inference_only=inference_only)
    check(case, build_toy(case, tmp_path / "p", compiler, optimization))


@pytest.mark.parametrize(
    ("board", "compiler", "optimization"),
    [
        ("microbit", "gcc", "O2"),
        ("stm32f072b_discovery", "zig", "Os"),
        ("pico", "gcc", "O0"),
        ("pico", "zig", "O2"),
        ("bluepill", "gcc", "Os"),
        ("bluepill", "zig", "O2"),
        ("nrf52840dk", "gcc", "O1"),
        ("nucleo-h743zi", "gcc", "O2"),
        ("stm32f746g_disco", "zig", "Os"),
        ("stm32l552", "gcc", "O2"),
        ("mps2-an505", "zig", "O3"),
        ("mps3-an547", "gcc", "O3"),
        ("mps3-an547", "zig", "O2"),
        ("riscv-virt", "gcc", "O0"),
        ("riscv-virt", "zig", "Os"),
        ("hifive1", "gcc", "O2"),
        ("hifive1", "zig", "O3"),
    ],
)
def test_plans_hold_on_every_core(board, compiler, optimization, tmp_path):
    """Every core by both compilers, with a second level and every driver among them."""
    needs(compiler, load_board(board).family)
    case = toy(board, drawn=False)
    check(case, build_toy(case, tmp_path / "p", compiler, optimization))


@pytest.mark.parametrize(
    ("board", "compiler", "optimization"),
    [
        ("pico", "gcc", "O2"),
        ("stm32f4_discovery", "gcc", "O0"),
        ("bluepill", "zig", "O3"),
        ("mps3-an547", "zig", "Os"),
    ],
)
def test_plans_hold_where_updates_are_summed(board, compiler, optimization, tmp_path):
    needs(compiler)
    case = toy(board, drawn=False, batch=8)
    check(case, build_toy(case, tmp_path / "p", compiler, optimization), headroom=1.5)


def test_plans_hold_with_int16_weights(tmp_path):
    needs("gcc")
    case = toy("stm32f4_discovery", weights="int16", drawn=False)
    check(case, build_toy(case, tmp_path / "p", "gcc", "O0"))


def check(case, build, headroom=HEADROOM_MAX):
    """A build against the plans of its memory, and in a simulator against the reference."""
    assert build.warnings == ""
    board, inference_only = build.project.board, build.project.inference_only
    memory = Preflight(
        plan=make_plan(case.spec, case.inputs, case.classes),
        weights_in_flash=True,
        inference_only=inference_only,
        compiler=build.compiler.name,
        optimization=build.optimization,
    ).memory(board)
    assert build.ram_bytes == memory.ram
    code = build.flash_bytes - memory.tables
    assert code <= memory.code <= headroom * code, "run tests/measure_code.py"

    elf = build.read_elf()
    stack = worst_case_stack(elf)
    assert stack.bytes <= memory.stack - board.family.fault_stack_bytes, stack.path
    # A fault at the deepest: a Cortex-M pushes 32 bytes, perhaps 4 more to align them.
    pushed, reports = {"cortex_m": (36, "port_fault"), "riscv": (0, "port_trap")}[board.family.name]
    assert pushed + worst_case_stack(elf, reports).bytes <= board.family.fault_stack_bytes

    assert illegal_instructions(elf, board) == ()
    assert not re.search(r"\b(malloc|free|printf|__aeabi_[fd]\w+)\b", build.map_file.read_text())
    if "unicorn" in board.simulators.names:
        used = run(case, build, inference_only=inference_only)
        assert 0.5 * stack.bytes <= used <= stack.bytes


def run(case, build, *, inference_only):
    """Runs a build beside the reference; returns the bytes of stack it used."""
    reference = case.network()
    x, y = toy_samples(case, 8)
    with UnicornSimulator().start(build) as machine:
        device = Device(machine)
        for sample, label in zip(x, y.tolist(), strict=True):
            expected = reference.infer(sample)
            answers = device.infer(sample)
            assert [list(one.scores) for one in answers] == [list(o.scores) for o in expected]
            if not inference_only:
                assert device.learn(sample, label).prediction.label == expected[-1].label
                reference.learn(sample, label)
                assert device.counters().digest == reference.digest()
        if device.info().can_save:
            device.save()  # the deepest of all, where the boot ROM changes flash
        return machine.stack_high_water_bytes()


@pytest.mark.parametrize("board", ["mps2-an386", "riscv-virt"])
def test_gccs_own_stack_usage_agrees(board, tmp_path):
    """The frames read off the machine code are those gcc says it made."""
    case = toy(board)
    family = case.project.board.family
    needs("gcc", family)
    build = build_toy(case, tmp_path / "p", "gcc", "O2")
    flags = find_compiler("gcc", family).compile_flags(case.project.board, "O2")
    includes = [f"-I{folder}" for folder in ("model", "spela", "store", "application", "port")]
    defines = runtime_defines(case.project.model.weights, inference_only=False)
    includes += [f"-D{define}" for define in defines]
    said = {}
    for source in ("spela/spela_learn.c", "spela/spela.c", "application/protocol.c"):
        subprocess.run(
            [f"{family.gcc}-gcc", *flags, *includes, "-fstack-usage", "-c", source, "-o", "x.o"],
            cwd=tmp_path / "p",
            check=True,
        )
        for line in (tmp_path / "p" / "x.su").read_text().splitlines():
            place, size, _ = line.split("\t")
            said[place.rsplit(":", 1)[1]] = int(size)
    frames = stack_frames(build.read_elf())
    common = set(said) & set(frames)
    assert {"spela_learn", "spela_run_layer", "protocol_answer"} <= common
    for name in common:
        assert frames[name].bytes == said[name], name


@pytest.mark.parametrize(
    ("variant", "board"), [("learning", "stm32f4_discovery"), ("inference-only", "mps2-an386")]
)
@pytest.mark.parametrize("which", ["gcc", "zig", "host"])
def test_every_file_is_free_of_warnings(which, variant, board, tmp_path):
    """With -Werror, which zig's own cache cannot hide."""
    if which == "host":
        host = shutil.which("gcc") or shutil.which("cc")
        if host is None:
            pytest.skip("no host compiler (gcc or cc) on PATH")
        # Not assembled: the assembly is a Cortex-M's.
        command = [host, "-std=c99", "-O2", *WARNING_FLAGS, "-S"]
    else:
        needs(which)
        found = find_compiler(which)
        command = [*found.command, *found.compile_flags(toy(board).project.board, "O2"), "-c"]
    case = toy(board, drawn=False, inference_only=variant == "inference-only")
    write_project(case.project, tmp_path / "p")
    weights = case.project.model.weights
    defines = runtime_defines(weights, inference_only=case.project.inference_only)
    command += [f"-D{define}" for define in defines]
    includes = [f"-I{folder}" for folder in ("model", "spela", "store", "application", "port")]
    for source in (path for path in case.project.files if path.endswith(".c")):
        done = subprocess.run(
            [*command, "-Werror", *includes, source, "-o", str(tmp_path / "out")],
            cwd=tmp_path / "p",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


# ------------------------------------------------------------------------ the files


def test_hex_and_bin_hold_what_the_elf_loads(tmp_path):
    build = build_toy(toy("stm32f4_discovery"), tmp_path / "p")
    segments = build.read_elf().load_segments
    image = IntelHex(str(build.hex_file))
    assert image.minaddr() == 0x08000000
    for address, data in segments:
        assert bytes(image.tobinarray(start=address, size=len(data))) == data
        offset = address - 0x08000000
        assert build.bin_file.read_bytes()[offset : offset + len(data)] == data
    assert sum(len(data) for _, data in segments) == build.flash_bytes
    assert re.search(r"^0800[0-9a-f]{4} +\d+ spela_infer$", build.map_file.read_text(), re.M)


@pytest.mark.usefixtures("compile_anew")
def test_the_same_program_wherever_the_project_lies(tmp_path, compiler):
    one = build_toy(toy(), tmp_path / "one", compiler, "O1")
    other = build_toy(toy(), tmp_path / "quite" / "elsewhere", compiler, "O1")
    assert one.elf.read_bytes() == other.elf.read_bytes()


def sources_of(project):
    return len(
        [path for path in project.rglob("*.c") if not {"build", "drivers"} & set(path.parts)]
    )


def test_building_again_compiles_nothing(tmp_path, monkeypatch):
    build = build_toy(toy(), tmp_path / "p")
    commands = watch_commands(monkeypatch)
    again = build_project(tmp_path / "p", build.compiler)
    assert commands == []
    assert again.sections == build.sections


def test_a_changed_file_alone_is_compiled_again(tmp_path, monkeypatch):
    build = build_toy(toy(), tmp_path / "p")
    commands = watch_commands(monkeypatch)
    main = tmp_path / "p" / "application" / "main.c"
    main.write_text(main.read_text() + "int another;\nint another = 42;\n")
    build_project(tmp_path / "p", build.compiler)
    assert ["application/main.c" in command for command in commands] == [True, False]
    objects = list((build.elf.parent / "objects").iterdir())
    assert len(objects) == sources_of(tmp_path / "p")


def test_a_changed_header_compiles_everything_again(tmp_path, monkeypatch):
    build = build_toy(toy(), tmp_path / "p")
    commands = watch_commands(monkeypatch)
    header = tmp_path / "p" / "port" / "board.h"
    header.write_text(header.read_text().replace("115200", "57600"))
    build_project(tmp_path / "p", build.compiler)
    assert len(commands) == sources_of(tmp_path / "p") + 1  # and the link


def test_a_damaged_build_is_made_again(tmp_path):
    build = build_toy(toy(), tmp_path / "p")
    whole = build.elf.read_bytes()
    build.elf.write_bytes(whole[:1000])
    assert build_project(tmp_path / "p", build.compiler).flash_bytes == build.flash_bytes
    assert build.elf.read_bytes() == whole


def test_a_file_of_a_build_that_is_gone_is_made_again(tmp_path):
    build = build_toy(toy(), tmp_path / "p")
    hex_text = build.hex_file.read_text()
    build.hex_file.unlink()
    build.bin_file.write_bytes(b"")
    again = build_project(tmp_path / "p", build.compiler)
    assert again.hex_file.read_text() == hex_text
    assert again.bin_file.stat().st_size > 0
    assert {path.name for path in build.elf.parent.iterdir()} == {
        *(f"toy.{kind}" for kind in ("elf", "map", "hex", "bin")),
        "build.json",
        "objects",
    }


def test_builds_at_the_same_time_all_succeed(tmp_path):
    """Of one project, from nothing and over what another left behind."""
    write_project(toy().project, tmp_path / "p")
    single = build_toy(toy(), tmp_path / "single").elf.read_bytes()
    for _ in range(2):
        shutil.rmtree(tmp_path / "p" / "build", ignore_errors=True)
        commands = [
            [sys.executable, "-m", "spela_mcu", "build", str(tmp_path / "p"), "--json"]
            for _ in range(3)
        ]
        runs = [
            subprocess.Popen(one, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for one in commands
        ]
        for run in runs:
            out, said = run.communicate(timeout=300)
            assert run.returncode == 0, said
            assert Path(json.loads(out)["files"]["elf"]).read_bytes() == single


def test_a_project_is_built_while_it_is_generated_anew(tmp_path):
    """Each build is of one project or the other, and never of a mixture."""
    toys = (toy(), toy(layers=(9,)))
    sizes = [build_toy(one, tmp_path / str(n)).flash_bytes for n, one in enumerate(toys)]
    projects = [one.project for one in toys]
    write_project(projects[0], tmp_path / "p")
    for turn in range(4):
        run = subprocess.Popen(
            [sys.executable, "-m", "spela_mcu", "build", str(tmp_path / "p"), "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while run.poll() is None:
            turn += 1  # noqa: PLW2901
            write_project(projects[turn % 2], tmp_path / "p")
        out, said = run.communicate()
        assert run.returncode == 0, said
        assert json.loads(out)["flash_bytes"] in sizes


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "host", "no symbols", "bytes"])
def test_elf_files_that_are_none(tmp_path, damage):
    build = build_toy(toy(), tmp_path / "p")
    whole = build.elf.read_bytes()
    contents = {
        "empty": [b""],
        "cut": [whole[:n] for n in (4, 52, 1000, len(whole) // 2, len(whole) - 10)],
        "text": [b"hello " * 100],
        "host": [Path(sys.executable).resolve().read_bytes()],
        "no symbols": [whole.replace(b".symtab", b".nosymt")],
        "bytes": [whole[:n] + b"\xff\xff" + whole[n + 2 :] for n in range(16, 52, 2)],
    }[damage]
    for content in contents:
        (tmp_path / "some.elf").write_bytes(content)
        try:
            read_elf(tmp_path / "some.elf")
        except UserError as error:
            assert "cannot be read as the ELF file of a firmware" in error.reason
        else:
            assert damage == "bytes"  # some say nothing that is asked for


def watch_commands(monkeypatch):
    commands, real = [], build_module._run

    def run(command, root):
        commands.append(command)
        return real(command, root)

    monkeypatch.setattr(build_module, "_run", run)
    return commands


def test_compile_errors_are_shown_where_they_are(tmp_path, compiler):
    write_project(toy().project, tmp_path / "p")
    (tmp_path / "p" / "application" / "main.c").write_text("int main(void) { return nonsense; }\n")
    with pytest.raises(UserError) as raised:
        build_project(tmp_path / "p", find_compiler(compiler))
    assert "application/main.c:1:25: error: " in raised.value.reason
    assert "nonsense" in raised.value.reason
    assert not list((tmp_path / "p" / "build").rglob("*.elf"))


def test_what_does_not_link_is_shown(tmp_path):
    write_project(toy().project, tmp_path / "p")
    (tmp_path / "p" / "application" / "fault.c").unlink()
    with pytest.raises(UserError, match="port_on_fault"):
        build_project(tmp_path / "p", find_compiler())


# ------------------------------------------------------------------------ compilers


def test_without_any_compiler_both_ways_out_are_told(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(toolchain.importlib.util, "find_spec", lambda name: None)
    for choice, words in (
        ("gcc", "apt install gcc-arm-none-eabi"),
        ("zig", "pip install"),
        ("auto", "pip install .* or .*apt install"),
    ):
        with pytest.raises(UserError) as raised:
            find_compiler(choice)
        assert re.search(words, raised.value.mend)


def test_auto_takes_zig_when_gcc_is_not_on_path(monkeypatch):
    needs("zig")
    monkeypatch.setenv("PATH", "")
    assert find_compiler("auto").name == "zig"


def test_a_compiler_that_does_not_run(monkeypatch, tmp_path):
    (tmp_path / GCC).write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / GCC).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="does not run"):
        find_compiler("gcc")


@pytest.mark.parametrize("board", ["stm32f4_discovery", "riscv-virt"])
def test_cmake_builds_the_same_program(board, tmp_path):
    cmake, case = shutil.which("cmake"), toy(board)
    family = case.project.board.family
    needs("gcc", family)
    if cmake is None:
        pytest.skip("cmake is not on PATH")
    build = build_toy(case, tmp_path / "p", "gcc")
    toolchain_file = f"-DCMAKE_TOOLCHAIN_FILE={family.gcc}.cmake"
    for arguments in (["-B", "build/cmake", toolchain_file], ["--build", "build/cmake"]):
        subprocess.run(
            [cmake, *arguments], cwd=tmp_path / "p", check=True, stdout=subprocess.DEVNULL
        )
    out = tmp_path / "p" / "build" / "cmake"
    by_cmake, ours = (out / "toy_firmware.bin").stat().st_size, build.bin_file.stat().st_size
    # RISC-V's linker shortens calls by their distance, which depends on the order of the objects.
    assert abs(by_cmake - ours) <= (64 if family == RISCV else 0)
    assert IntelHex(str(out / "toy_firmware.hex")).minaddr() == case.project.board.flash.address


# ------------------------------------------------------------------------- command


def test_the_command_prints_sizes_and_files(tmp_path):
    write_project(toy().project, tmp_path / "p")
    shown = CliRunner().invoke(command, [str(tmp_path / "p")])
    assert shown.exit_code == 0
    for word in (".text", ".rodata", ".stack", ".bss", "flash", "RAM", "toy.hex"):
        assert word in shown.stdout
    summary = json.loads(CliRunner().invoke(command, [str(tmp_path / "p"), "--json"]).stdout)
    build = build_project(tmp_path / "p", find_compiler())
    assert summary["flash_bytes"] == build.flash_bytes
    assert (
        summary["ram_bytes"]
        == build.ram_bytes
        == sum(summary["sections"][name] for name in (".stack", ".bss"))
    )
    assert summary["files"]["elf"] == str(build.elf)


def test_user_errors_end_with_exit_code_2(tmp_path):
    script = "from spela_mcu.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, "build", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "is not a generated project" in done.stderr
    assert "Traceback" not in done.stderr

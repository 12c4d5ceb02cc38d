"""Zephyr: configured by Kconfig and built with stubs; by twister where a tree is named."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from exports.subject import Subject
from exports.way import DATA, Way, WayError, lacks, run, told
from spela_mcu.firmware.directory import write_project
from spela_mcu.forms.make import make_form

TREE = "SPELA_ZEPHYR"
"""The environment variable that names a Zephyr tree."""

PLATFORM = "qemu_cortex_m3"
STUB = DATA / "zephyr" / "stub"
MAIN_KCONFIG = """config FLASH_MAP
	bool "Stands for Zephyr's own"

config STDOUT_CONSOLE
	bool "Stands for Zephyr's own"

source "{kconfig}"
"""


def configure(module: Path, settings: Path, config: Path) -> list[str]:
    """Applies a prj.conf to a module's Kconfig, as Zephyr does, and writes the .config.

    Returns:
        What Kconfig complains of.
    """
    import kconfiglib

    top = config.with_name("Kconfig.top")
    top.write_text(MAIN_KCONFIG.format(kconfig=module / "zephyr" / "Kconfig"), encoding="utf-8")
    kconfig = kconfiglib.Kconfig(str(top), warn_to_stderr=False)
    kconfig.warn_assign_undef = True  # as Zephyr has it
    kconfig.load_config(str(settings))
    kconfig.write_config(str(config))
    return list(kconfig.warnings)


def _missing_stubs() -> str | None:
    if importlib.util.find_spec("kconfiglib") is None:
        return "not installed: the Python package kconfiglib"
    return lacks("cmake", "cc")


def _stub_digest(subject: Subject, directory: Path) -> int:
    module, config = directory / "module", directory / ".config"
    write_project(make_form("zephyr", subject.model, subject.samples), module)
    sample = module / "samples" / subject.model.name
    complaints = configure(module, sample / "prj.conf", config)
    if complaints:
        raise WayError("\n".join(complaints))
    out = directory / "out"
    options = [f"-DZephyr_DIR={STUB}", f"-DCONFIG_FILE={config}"]
    run(["cmake", "-S", sample, "-B", out, *options], directory)
    run(["cmake", "--build", out], directory)
    return told(run([out / "app"], directory))


def _missing_tree() -> str | None:
    tree = os.environ.get(TREE)
    if not tree:
        return "no Zephyr tree: name one by make exports ZEPHYR=DIR"
    if not (Path(tree) / "scripts" / "twister").is_file():
        return f"{tree} holds no scripts/twister"
    return lacks("cmake", "ninja", "dtc", "arm-none-eabi-gcc", "qemu-system-arm")


def _tree_digest(subject: Subject, directory: Path) -> int:
    module, out = directory / "module", directory / "twister"
    write_project(make_form("zephyr", subject.model, subject.samples), module)
    tree = str(Path(os.environ[TREE]).resolve())
    prefix = Path("/usr/bin/arm-none-eabi-")
    environment = os.environ | {
        "ZEPHYR_BASE": tree,
        "ZEPHYR_TOOLCHAIN_VARIANT": "cross-compile",
        "CROSS_COMPILE": os.environ.get("CROSS_COMPILE", str(prefix)),
    }
    twister = [sys.executable, f"{tree}/scripts/twister", "-T", str(module / "samples")]
    run([*twister, "-p", PLATFORM, "-O", str(out)], directory, environment)
    logs = sorted(out.rglob("handler.log"))
    if not logs:
        raise WayError(f"twister ran nothing on {PLATFORM}")
    return told(logs[0].read_text(encoding="utf-8", errors="replace"))


WAYS = (
    Way("zephyr", "Kconfig, stubs of Zephyr", "this computer", _missing_stubs, _stub_digest),
    Way("zephyr", "twister", f"Zephyr's {PLATFORM}", _missing_tree, _tree_digest),
)

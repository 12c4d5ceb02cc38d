"""The parser, the application and the store on anything at all; noise on the line; a long life.

SPELA_FUZZ_SECONDS is how long each fuzzer runs (make fuzz); without it, a short while.
"""

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from host_process import SanitizingCompiler, plant, runtime_objects
from store_program import PLAIN, build, write_model
from toy import toy

from spela_mcu.firmware.directory import write_project
from spela_mcu.resources import resource_directory

TESTS = Path(__file__).parent
FUZZ, PROGRAMS, CORPUS = TESTS / "fuzz", TESTS / "c", TESTS / "corpus"
SECONDS = int(os.environ.get("SPELA_FUZZ_SECONDS", "2"))
CLANG = SanitizingCompiler(
    "fuzz",
    ("clang",),
    ("-fsanitize=fuzzer-no-link,address,undefined", "-fno-sanitize-recover=all", "-g"),
)
LINKED = replace(CLANG, flags=("-fsanitize=fuzzer,address,undefined", *CLANG.flags[1:]))
PORTS = resource_directory("firmware") / "ports"
FOLDERS = ("application", "port", "model", "spela", "store")
SMALL = toy(inputs=3, layers=(3, 2), classes=2, batch=3)


def has_libfuzzer(directory):
    empty = directory / "empty.c"
    empty.write_text(
        "#include <stddef.h>\n#include <stdint.h>\n"
        "int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);\n"
        "int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)"
        " { return (int)(data != NULL && size > size); }\n"
    )
    command = ["clang", *LINKED.flags, str(empty), "-o", str(directory / "empty")]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    directory = tmp_path_factory.mktemp("project") / "p"
    write_project(SMALL.project, directory)
    return directory


@pytest.fixture(scope="module")
def needs_libfuzzer(tmp_path_factory):
    if shutil.which("clang") is None or not has_libfuzzer(tmp_path_factory.mktemp("empty")):
        pytest.skip("no clang with libFuzzer")


def application_sources(project):
    """All of the application but main.c, which the programs include; the store if it has one."""
    names = [f"application/{path.name}" for path in project.glob("application/*.c")]
    names.remove("application/main.c")
    if "spela_store.h" in (project / "application" / "application.h").read_text():
        names += store_sources(project)
    return names


def store_sources(project):
    """The store without its drivers."""
    return [f"store/{path.name}" for path in sorted(project.glob("store/spela_*.c"))]


def fuzzer(target, project, directory, change=None):
    """Compiles a fuzzer; a fault may be planted in a copy of what it fuzzes.

    Args:
        change: (file of the project, right, wrong).
    """
    rest = {
        "fuzz_frame": ["application/frame.c"],
        "fuzz_application": application_sources(project),
        "fuzz_store": store_sources(project),
    }[target]
    sources = [FUZZ / f"{target}.c"]
    for name in rest:
        source = directory / Path(name).name
        source.write_text((project / name).read_text())
        if change is not None and change[0] == name:
            plant(source, *change[1:])
        sources.append(source)
    if target != "fuzz_frame":
        sources += [project / "model" / "toy_model.c", *runtime_objects(CLANG, "O1", ())]
    if target == "fuzz_store":
        sources.append(PROGRAMS / "flash_model.c")
    includes = [*(project / folder for folder in FOLDERS), PORTS, FUZZ, PROGRAMS]
    return LINKED.compile(sources, directory / target, includes, level="O1")


def fuzz(program, target, directory):
    """Runs a fuzzer from the corpus on; exit code, runs done, what it says."""
    found = directory / "found"
    found.mkdir()
    command = [program, found, CORPUS / target, f"-max_total_time={SECONDS}", "-seed=1"]
    command += ["-max_len=1100", "-timeout=20", f"-artifact_prefix={directory}/", "-verbosity=1"]
    command += ["-print_final_stats=1"]
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        timeout=SECONDS + 120,
        env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"},
        check=False,
    )
    runs = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    return done.returncode, int(runs[1]) if runs else 0, done.stderr


TARGETS = ("fuzz_frame", "fuzz_application", "fuzz_store")


@pytest.mark.usefixtures("needs_libfuzzer")
@pytest.mark.parametrize("target", TARGETS)
def test_nothing_is_found(target, project, tmp_path):
    code, runs, report = fuzz(fuzzer(target, project, tmp_path), target, tmp_path)
    assert code == 0, report[-3000:]
    assert runs > 100
    print(f"{target}: {runs} inputs in {SECONDS} s")


FAULTS = {
    "a byte beyond the buffer": (
        "fuzz_frame",
        "application/frame.c",
        "if (reader->length < reader->capacity) {",
        "if (reader->length <= reader->capacity) {",
    ),
    "two answers to one request": (
        "fuzz_application",
        "application/protocol.c",
        "&request, PROTOCOL_LENGTH);\n        return;",
        "&request, PROTOCOL_LENGTH);",
    ),
    "a state is loaded before it is checked": (
        "fuzz_store",
        "store/spela_store.c",
        "\n    status = spela_payload_check(store, network,",
        "\n    status = spela_payload_load(store, network,",
    ),
}


@pytest.mark.usefixtures("needs_libfuzzer")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault, project, tmp_path):
    target, *change = FAULTS[fault]
    code, _, report = fuzz(fuzzer(target, project, tmp_path, change), target, tmp_path)
    assert code != 0
    assert "ERROR: " in report


# ------------------------------------------------------------------------------- noise


def test_no_noise_is_taken_for_a_request(project, tmp_path):
    if PLAIN is None:
        pytest.skip("no compiler for this machine (gcc, clang or zig)")
    frames = int(os.environ.get("SPELA_NOISE_FRAMES", "300000"))
    sources = [PROGRAMS / "noise.c", project / "model" / "toy_model.c"]
    sources += [project / name for name in application_sources(project)]
    sources += runtime_objects(PLAIN, "O2", ())
    includes = [*(project / folder for folder in FOLDERS), PORTS]
    program = PLAIN.compile(sources, tmp_path / "noise", includes, level="O2")
    done = subprocess.run(
        [program, str(frames)], capture_output=True, text=True, timeout=1200, check=False
    )
    assert done.returncode == 0, done.stdout
    assert re.fullmatch(rf"{frames} frames of noise: .*, 0 accepted\n", done.stdout)
    print(done.stdout)


# -------------------------------------------------------------------------- a long life


@pytest.mark.parametrize("part", ["stm32l4", "rp2040"])
def test_a_device_that_loses_power_again_and_again_learns_as_the_reference(part, tmp_path):
    if PLAIN is None:
        pytest.skip("no compiler for this machine (gcc, clang or zig)")
    cycles = int(os.environ.get("SPELA_SOAK_CYCLES", "1500"))
    program = build("soak", write_model(SMALL, tmp_path), tmp_path)
    done = subprocess.run(
        [program, part, str(cycles)], capture_output=True, text=True, timeout=3000, check=False
    )
    assert done.returncode == 0, done.stdout
    print(done.stdout)
    pattern = rf"{part}: {cycles} cycles, (\d+) cuts; (\d+) samples (\d+)\n"
    cuts, samples, digest = map(int, re.fullmatch(pattern, done.stdout).groups())
    assert cuts > cycles // 5
    network = SMALL.network()
    k = np.arange(SMALL.inputs)
    for n in range(samples):
        sample = ((n * 37 + k * k * 11) % 255 - 127).astype(np.int8)
        network.learn(sample, n % SMALL.classes)
        if n % 5 == 4:
            network.infer(sample)
    assert network.digest() == digest

"""Several models in one firmware: one runtime serves them, or the linker says what it lacks."""

import shutil
import subprocess
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from host_process import run_program, runtime_objects, sanitizing_compilers
from toy import toy

from spela_mcu.device.device import Device
from spela_mcu.errors import UserError
from spela_mcu.firmware import build as build_module
from spela_mcu.firmware.build import build_project
from spela_mcu.firmware.directory import write_project
from spela_mcu.firmware.runtime import INFERENCE_ONLY_DEFINE, runtime_defines
from spela_mcu.firmware.toolchain import find_compiler
from spela_mcu.resources import resource_directory
from spela_mcu.simulators.unicorn import UnicornSimulator

RUNTIME = resource_directory("firmware") / "spela"
PROGRAM = Path(__file__).parent / "c" / "together.c"
STEPS = 40

MODELS = {
    "int8_learning": toy(name="small"),
    "int8_inference": toy(name="fixed", inputs=20, classes=3, drawn=False, inference_only=True),
    "int8_batches": toy(name="summed", layers=(9, 6), batch=3),
    "int16_learning": toy(name="fine", inputs=9, weights="int16", drawn=False),
    "int16_batches": toy(name="slow", inputs=6, weights="int16", batch=8),
    "int16_inference": toy(name="both", weights="int16", drawn=False, inference_only=True),
}
"""One of each kind, by what it needs of the runtime."""


def sample(inputs, step):
    """The program's."""
    k = np.arange(inputs)
    return ((step * 37 + k * k * 11) % 255 - 127).astype(np.int8)


def expected(cases):
    """What the program says of these models."""
    networks = [case.network() for case in cases]
    lines = []
    for step in range(STEPS):
        for case, network in zip(cases, networks, strict=True):
            x = sample(case.inputs, step)
            answer = network.infer(x)[-1]
            if not case.project.inference_only:
                network.learn(x, step % case.classes)
            lines.append(f"{answer.label} {answer.cosine} {network.digest()}\n")
    return "".join(lines)


def write_models(directory, cases):
    """Their sources, and the header that the program reads; the sources' paths."""
    directory.mkdir()
    for case in cases:
        for file, text in case.project.model.files.items():
            (directory / file).write_text(text)
    names = [case.project.model.name for case in cases]
    includes = "".join(f'#include "{name}_model.h"\n' for name in names)
    models = f"#define MODELS {', '.join(f'&{name}_model' for name in names)}\n"
    (directory / "models.h").write_text(includes + models)
    return sorted(directory.glob("*.c"))


@pytest.fixture(scope="module")
def compiler():
    found = sanitizing_compilers()
    if not found:
        pytest.skip("no compiler with sanitizers (gcc, clang or zig)")
    return next(iter(found.values()))


def test_one_runtime_runs_models_of_every_kind(compiler, tmp_path):
    cases = list(MODELS.values())
    sources = [PROGRAM, *write_models(tmp_path / "models", cases)]
    sources += runtime_objects(compiler, "O0", ())
    program = compiler.compile(sources, tmp_path / "program", [tmp_path / "models", RUNTIME])
    assert run_program(program) == (0, expected(cases), "")


START = """
#include "{name}_model.h"
static uint64_t arena[2000];
int main(void) {{
    spela_t *network;
    return (int)spela_init(&network, &{name}_model, arena, sizeof arena);
}}
"""


BUILDS = [
    (),
    (INFERENCE_ONLY_DEFINE,),
    *(
        runtime_defines(weights, batch, inference_only=inference_only)
        for weights, batch, inference_only in (
            *product(("int8", "int16"), (1, 8), (False,)),
            *product(("int8", "int16"), (1,), (True,)),
        )
    ),
]


@pytest.mark.parametrize("defines", BUILDS, ids=lambda defines: "+".join(defines) or "whole")
def test_a_runtime_that_lacks_something_is_told_by_the_linker(defines, compiler, tmp_path):
    runs = {
        kind
        for kind in MODELS
        if not (INFERENCE_ONLY_DEFINE in defines and not kind.endswith("inference"))
        and not ("SPELA_SINGLE_UPDATES" in defines and kind.endswith("batches"))
        and not ("SPELA_INT8_ONLY" in defines and kind.startswith("int16"))
        and not ("SPELA_INT16_ONLY" in defines and kind.startswith("int8"))
    }
    objects = runtime_objects(compiler, "O0", defines)
    for kind, case in MODELS.items():
        folder = tmp_path / kind
        sources = write_models(folder, [case])
        (folder / "main.c").write_text(START.format(name=case.project.model.name))
        arguments = [[folder / "main.c", *sources, *objects], folder / "program", [folder, RUNTIME]]
        if kind in runs:
            assert run_program(compiler.compile(*arguments)) == (0, "", "")
        else:
            with pytest.raises(AssertionError, match=f"spela_runtime_for_{kind}\\b"):
                compiler.compile(*arguments)


# ------------------------------------------------------------------------- for a chip

CHECK = """
static uint64_t second_arena[2000];
static spela_t *second;
static uint32_t second_digest(void) {{
    if (spela_init(&second, &{name}_model, second_arena, sizeof second_arena) != SPELA_OK) {{
        return 0U;
    }}
    for (uint32_t step = 0U; step < {steps}U; step++) {{
        int8_t sample[{inputs}];
        for (uint32_t k = 0U; k < {inputs}U; k++) {{
            sample[k] = (int8_t)((int32_t)((step * 37U + k * k * 11U) % 255U) - 127);
        }}
        const uint16_t label = (uint16_t)(step % {classes}U);
        if (spela_learn(second, sample, {inputs}U, label, NULL) != SPELA_OK) {{
            return 0U;
        }}
    }}
    return spela_digest(second);
}}

"""


def write_firmware_of_two(directory, first, second):
    """The first's application, which learns with the second before it serves."""
    write_project(first.project, directory)
    for file, text in second.project.model.files.items():
        (directory / "model" / file).write_text(text)
    name = second.project.model.name
    network = second.network()
    for step in range(STEPS):
        network.learn(sample(second.inputs, step), step % second.classes)
    main = first.project.files["application/main.c"]
    start = "int main(void) {\n    port_init();\n"
    assert start in main
    check = CHECK.format(name=name, steps=STEPS, inputs=second.inputs, classes=second.classes)
    wait = f"    while (second_digest() != {network.digest()}U) {{\n    }}\n"
    text = f'#include "{name}_model.h"\n' + main.replace(start, check + start + wait)
    (directory / "application" / "main.c").write_text(text)


def test_a_firmware_with_one_models_runtime_does_not_link(tmp_path):
    write_firmware_of_two(tmp_path / "p", MODELS["int8_learning"], MODELS["int16_learning"])
    with pytest.raises(UserError, match="spela_runtime_for_int16_learning"):
        build_project(tmp_path / "p", find_compiler())


def test_a_firmware_with_the_whole_runtime_runs_both(tmp_path, monkeypatch):
    first, second = MODELS["int8_learning"], MODELS["int16_learning"]
    write_firmware_of_two(tmp_path / "p", first, second)
    monkeypatch.setattr(build_module, "runtime_defines", lambda *_, **__: ())
    build = build_project(tmp_path / "p", find_compiler())
    assert build.warnings == ""
    reference = first.network()
    with UnicornSimulator().start(build) as machine:
        device = Device(machine)
        for step in range(8):
            x = sample(first.inputs, step)
            found = [list(one.scores) for one in device.infer(x)]
            assert found == [list(one.scores) for one in reference.infer(x)]


# --------------------------------------------------------------------------- by CMake

TOP = """
cmake_minimum_required(VERSION 3.16)
project(together C)
{subdirectories}
add_executable(together program.c)
target_include_directories(together PRIVATE models)
target_link_libraries(together PRIVATE {models})
"""


@pytest.mark.parametrize(
    "kinds",
    [
        ("int8_learning", "int16_inference"),
        ("int16_inference", "int8_learning"),
        ("int8_inference", "int8_learning"),
    ],
    ids="+".join,
)
def test_cmake_builds_one_runtime_for_all(kinds, tmp_path):
    cmake = shutil.which("cmake")
    if cmake is None:
        pytest.skip("cmake is not on PATH")
    cases = [MODELS[kind] for kind in kinds]
    names = [case.project.model.name for case in cases]
    for case, name in zip(cases, names, strict=True):
        write_project(case.project, tmp_path / name)
    write_models(tmp_path / "models", cases)
    shutil.copy(PROGRAM, tmp_path / "program.c")
    (tmp_path / "CMakeLists.txt").write_text(
        TOP.format(
            subdirectories="\n".join(f"add_subdirectory({name})" for name in names),
            models=" ".join(f"{name}_model" for name in names),
        )
    )
    out = tmp_path / "out"
    for command in ([cmake, "-S", str(tmp_path), "-B", str(out)], [cmake, "--build", str(out)]):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert run_program(out / "together") == (0, expected(cases), "")
    (runtime,) = out.rglob("*spela_runtime.a")
    has_int16 = b"spela_runtime_for_int16_learning" in runtime.read_bytes()
    assert has_int16 == any(kind.startswith("int16") for kind in kinds)

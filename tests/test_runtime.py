"""The runtime's own interface under the sanitizers: misuse, and models that are not valid."""

import re
from pathlib import Path

import pytest
from host_process import (
    RUNTIME,
    TRAPS,
    run_program,
    runtime_sources,
    sanitizing_compilers,
)
from toy import toy

from spela_mcu.firmware.directory import write_project
from spela_mcu.firmware.runtime import runtime_defines
from spela_mcu.fixed_point.fields import POINTER
from spela_mcu.fixed_point.structures import LAYER_FIELDS, MODEL_FIELDS

COMPILERS = sanitizing_compilers()

if not COMPILERS:
    pytest.skip("no compiler with sanitizers (gcc, clang or zig)", allow_module_level=True)

BEST = next(iter(COMPILERS.values()))
PROGRAMS = Path(__file__).parent / "c"

FIELDS = "".join(
    f"#define {structure}_FIELDS(FIELD) "
    + " ".join(f"FIELD({field.name}, {field.type}_t)" for field in fields if field.type != POINTER)
    + "\n"
    for structure, fields in (("LAYER", LAYER_FIELDS), ("MODEL", MODEL_FIELDS))
)
"""fields.h: every scalar of spela_layer_t and spela_model_t with its type."""


def build_program(name, compiler, directory, case, defines=(), change=None):
    """Compiles a program of tests/c with the runtime and a case's generated model."""
    write_project(case.project, directory)
    (directory / "model" / "fields.h").write_text(FIELDS)
    sources = [PROGRAMS / name, directory / "model" / "toy_model.c"]
    sources += runtime_sources(directory, compiler, "O0", defines, change)
    return compiler.compile(
        sources,
        directory / name.removesuffix(".c"),
        [directory / "model", RUNTIME],
        defines,
    )


# A model, and the macros that its runtime is compiled with.
MISUSED = {
    "drawn": (toy(), runtime_defines("int8", inference_only=False)),
    "trained": (
        toy(inputs=300, weights="int16", drawn=False),
        runtime_defines("int16", inference_only=False),
    ),
    "inference only": (
        toy(drawn=False, inference_only=True),
        runtime_defines("int8", inference_only=True),
    ),
    "inference only, with the whole runtime": (
        toy(weights="int16", drawn=False, inference_only=True),
        (),
    ),
}


@pytest.mark.parametrize("name", MISUSED)
def test_misuse_is_refused_and_changes_nothing(name, tmp_path):
    case, defines = MISUSED[name]
    program = build_program("misuse.c", BEST, tmp_path / "p", case, defines)
    assert run_program(program) == (0, "0 failures\n", "")


def test_misuse_that_is_accepted_is_seen(tmp_path):
    change = ("spela/spela_learn.c", "label >= model->classes", "label > model->classes")
    program = build_program("misuse.c", BEST, tmp_path / "p", toy(), change=change)
    code, output, _ = run_program(program)
    assert code != 0
    assert "spela_learn(network, sample, TOY_INPUTS, TOY_CLASSES, &result) is 0, not 3" in output


def test_whatever_model_is_accepted_runs(tmp_path):
    program = build_program("corrupted.c", BEST, tmp_path / "p", toy())
    code, output, report = run_program(program, "1", "1000")
    assert (code, report) == (0, "")
    accepted, refused = map(int, re.findall(r"\d+", output))
    assert min(accepted, refused) > 300


# The checks without which undefined behaviour lies in wait for somebody, one by one.
CHECKS = {
    "length of embeddings": (
        "squared_norm > one + one / 8U",
        "squared_norm > (one | UINT32_C(0x80000000))",
    ),
    "range of weights": (
        "weights[i] < -half || weights[i] >= half",
        "weights[i] < -16 * half || weights[i] >= 16 * half",
    ),
    "bound of sums": ("((uint32_t)layer->inputs << bits) <= UINT32_C(1) << 24", "true"),
    "slope": ("layer->leak_shift <= SPELA_LEAK_SHIFT_MAX", "true"),
}


@pytest.mark.parametrize("check", CHECKS)
def test_a_check_of_the_model_that_is_missing_is_seen(check, tmp_path):
    change = ("spela/spela_init.c", *CHECKS[check])
    program = build_program("corrupted.c", BEST, tmp_path / "p", toy(), change=change)
    code, output, report = run_program(program, "1", "3000")
    assert code != 0, output
    assert "runtime error" in report or -code in TRAPS

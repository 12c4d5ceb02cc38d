"""The harness of benchmarks/, on networks small enough for a test; never a time."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from convolutional import plan_of
from test_backbone_read import read, residual

from benchmarks import backbone, peers, scaling, sizes, speed
from benchmarks.backbone_program import M4
from benchmarks.backbone_source import our_source
from benchmarks.contender import Shape, draws
from benchmarks.examples import activations
from benchmarks.program import C_DIRECTORY, check_c_library
from benchmarks.report import Report, Table, write_section
from spela_mcu.errors import UserError
from spela_mcu.firmware.toolchain import Compiler, find_compiler

TINY = "16-12-12"


def run(command, *arguments):
    return CliRunner().invoke(command, list(map(str, arguments)))


def test_our_runtime_alone_is_measured_into_tables_and_json(tmp_path):
    file = tmp_path / "performance.md"
    file.write_text("before\n<!-- begin compare -->\nold\n<!-- end compare -->\nafter\n")
    done = run(
        peers.command, "--network", TINY, "--core", "cortex-m4", "--core", "cortex-m0plus",
        "--core", "cortex-m55", "--json", "--markdown", file,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    m4, m0, m55 = report["measurements"]
    assert [one["core"] for one in (m4, m0, m55)] == ["cortex-m4", "cortex-m0plus", "cortex-m55"]
    for one in (m4, m0, m55):
        assert (one["contender"], one["shape"], one["macs"]) == ("spela", TINY, 16 * 12 + 12 * 12)
        for name, symbol in (("infer", "spela_infer"), ("learn", "spela_learn")):
            count = one[name]
            assert count["ratio"] == 1
            assert sum(count["functions"].values()) == count["instructions"]
            assert symbol in count["functions"]
        assert one["learn"]["instructions"] > one["infer"]["instructions"]
        assert one["weight_bytes"] == one["macs"]
        assert 0 < one["infer_bytes"] <= one["learn_bytes"]
        assert 0 < one["active"] <= 24
        assert 0 < one["stack_bytes"] < 1024
    assert m0["infer"]["instructions"] > m4["infer"]["instructions"]  # without DSP instructions

    text = file.read_text()
    assert text.startswith("before\n<!-- begin compare -->\n")
    assert text.endswith("<!-- end compare -->\nafter\n")
    assert "old" not in text
    per_mac = f"{m4['infer']['instructions'] / m4['macs']:.2f}"
    assert f"| cortex-m4 | {TINY} | -O2 | {per_mac} |" in text


@pytest.mark.parametrize("option", ["--cmsis-nn", "--aifes"])
def test_a_peer_that_is_not_there_says_what_to_give(option, tmp_path):
    missing = run(peers.command, option, tmp_path / "nowhere")
    wrong = run(peers.command, option, tmp_path)
    for done, reason in ((missing, "no such directory"), (wrong, "is no checkout of")):
        assert done.exit_code == 2
        assert reason in done.stderr
        assert f"mend: {option} takes the directory of a checkout of https://github.com/" in (
            done.stderr
        )


@pytest.mark.parametrize("network", ["784", "a-b-c", "0-8-8"])
def test_a_network_is_three_widths(network):
    done = run(peers.command, "--network", network)
    assert done.exit_code == 2
    assert "'--network'" in done.stderr


def test_peers_need_a_c_library(tmp_path):
    with pytest.raises(UserError, match="need arm-none-eabi-gcc"):
        check_c_library(Compiler("zig", ("zig", "cc"), "0"))
    bare = tmp_path / "gcc"
    bare.write_text("#!/bin/sh\necho nosys.specs\n")  # what gcc says of a file that it lacks
    bare.chmod(0o755)
    with pytest.raises(UserError, match="newlib") as caught:
        check_c_library(Compiler("gcc", (str(bare),), "12"))
    assert "libnewlib" in caught.value.mend


# A stand-in for a checkout of CMSIS-NN: as much of its interface as benchmarks/c/cmsis_nn.c uses.
HEADER = """
#include <stddef.h>
#include <stdint.h>
#include <string.h>
typedef enum { ARM_CMSIS_NN_SUCCESS = 0 } arm_cmsis_nn_status;
typedef struct { int32_t n, h, w, c; } cmsis_nn_dims;
typedef struct { int32_t min, max; } cmsis_nn_activation;
typedef struct {
    int32_t input_offset, filter_offset, output_offset; cmsis_nn_activation activation;
} cmsis_nn_fc_params;
typedef struct { int32_t multiplier, shift; } cmsis_nn_per_tensor_quant_params;
typedef struct { void *buf; int32_t size; } cmsis_nn_context;
int32_t arm_fully_connected_s8_get_buffer_size(const cmsis_nn_dims *filter);
arm_cmsis_nn_status arm_vector_sum_s8(int32_t *, int32_t, int32_t, const int8_t *, int32_t,
                                      int32_t, const int32_t *);
arm_cmsis_nn_status arm_fully_connected_s8(
    const cmsis_nn_context *, const cmsis_nn_fc_params *, const cmsis_nn_per_tensor_quant_params *,
    const cmsis_nn_dims *, const int8_t *, const cmsis_nn_dims *, const int8_t *,
    const cmsis_nn_dims *, const int32_t *, const cmsis_nn_dims *, int8_t *);
"""
BUFFER = """#include "arm_nnfunctions.h"
int32_t arm_fully_connected_s8_get_buffer_size(const cmsis_nn_dims *filter) { return 0; }
"""
SUMS = """#include "arm_nnfunctions.h"
arm_cmsis_nn_status arm_vector_sum_s8(int32_t *sums, int32_t columns, int32_t rows,
                                      const int8_t *data, int32_t a, int32_t b, const int32_t *c) {
    return ARM_CMSIS_NN_SUCCESS;
}
"""
DENSE = """#include "arm_nnfunctions.h"
arm_cmsis_nn_status arm_fully_connected_s8(
    const cmsis_nn_context *context, const cmsis_nn_fc_params *params,
    const cmsis_nn_per_tensor_quant_params *quantization, const cmsis_nn_dims *input_dims,
    const int8_t *input, const cmsis_nn_dims *filter_dims, const int8_t *filter,
    const cmsis_nn_dims *bias_dims, const int32_t *bias, const cmsis_nn_dims *output_dims,
    int8_t *output) {
    for (int32_t row = 0; row < output_dims->c; row++) {
        int32_t sum = 0;
        for (int32_t column = FIRST; column < filter_dims->n; column++) {
            int8_t weight;
            memcpy(&weight, filter + row * filter_dims->n + column, 1);
            sum += weight * input[column];
        }
        sum = (sum + 512) >> 10;
        sum = sum < params->activation.min ? params->activation.min : sum;
        output[row] = sum > params->activation.max ? params->activation.max : sum;
    }
    return ARM_CMSIS_NN_SUCCESS;
}
"""


def checkout(directory, first="0"):
    dense = "FullyConnectedFunctions/arm_fully_connected"
    files = {
        "Include/arm_nnfunctions.h": HEADER,
        f"Source/{dense}_s8.c": DENSE.replace("FIRST", first),
        f"Source/{dense}_get_buffer_sizes_s8.c": BUFFER,
        "Source/FullyConnectedFunctions/arm_vector_sum_s8.c": SUMS,
        "Source/NNSupportFunctions/arm_nn_vec_mat_mult_t_s8.c": "",
    }
    for path, text in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(text)
    return directory


@pytest.fixture
def newlib():
    try:
        check_c_library(find_compiler("gcc"))
    except UserError as error:
        pytest.skip(f"a peer cannot be built: {error.reason}")


@pytest.mark.usefixtures("newlib")
def test_a_peer_is_measured_beside_ours_and_its_answer_checked(tmp_path):
    arguments = ("--network", TINY, "--core", "cortex-m4", "--json", "--cmsis-nn")
    done = run(peers.command, *arguments, checkout(tmp_path / "right"))
    assert done.exit_code == 0, done.output
    ours, peer = json.loads(done.stdout)["measurements"]
    assert [ours["contender"], peer["contender"]] == ["spela", "CMSIS-NN"]
    assert peer["learn"] is None
    assert peer["infer"]["ratio"] == pytest.approx(
        peer["infer"]["instructions"] / ours["infer"]["instructions"], abs=1e-4
    )
    assert "memcpy" not in peer["infer"]["functions"]  # compiled as its users do
    assert peer["infer_bytes"] == 24

    done = run(peers.command, *arguments, checkout(tmp_path / "wrong", first="1"))
    assert done.exit_code == 2
    assert "answers something else" in done.stderr


def test_a_backbone_of_ours_is_measured(tmp_path):
    plan = read(residual(), tmp_path)
    compiler = find_compiler("gcc")
    library = backbone.our_sources().compiled(compiler, tmp_path / "objects", M4)
    program = library.linked(our_source(plan), compiler, tmp_path / "program")
    cost = backbone.measured(library, program, plan)  # an error if the features differ
    assert cost.instructions > plan.macs
    assert cost.arena_bytes == plan.arena_bytes
    kinds = backbone.measured_by_kind(library, program, plan)
    assert set(kinds) >= {"convolution 3 x 3", "add", "fully connected"}
    assert sum(kinds.values()) == pytest.approx(cost.instructions, rel=0.05)


def test_a_section_needs_its_markers_once(tmp_path):
    file = tmp_path / "x.md"
    write_section(file, "speed", "one")
    assert file.read_text() == "<!-- begin speed -->\n\none\n<!-- end speed -->\n"
    write_section(file, "speed", r"two \1")
    assert file.read_text() == "<!-- begin speed -->\n\ntwo \\1\n<!-- end speed -->\n"
    with pytest.raises(UserError, match="has 0 sections"):
        write_section(file, "scaling", "three")
    file.write_text(file.read_text() * 2)
    with pytest.raises(UserError, match="has 2 sections"):
        write_section(file, "speed", "three")


def test_the_line_of_points_on_a_line_is_that_line():
    macs = np.array([100.0, 1000.0, 50000.0])
    line = scaling.fit(macs, 70 + 1.25 * macs)
    assert line.fixed == pytest.approx(70)
    assert line.per_mac == pytest.approx(1.25)
    assert line.worst < 1e-9
    bent = scaling.fit(macs, 70 + 1.25 * macs**1.2)
    assert bent.worst > 0.05


def test_cost_over_sizes_is_fitted_and_drawn(monkeypatch, tmp_path):
    shapes = (Shape(16, 12, 12), Shape(64, 16, 16))
    monkeypatch.setattr(scaling, "SHAPES", shapes)
    picture = tmp_path / "scaling.png"
    done = run(scaling.command, "--json", "--picture", picture)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert [point["macs"] for point in report["points"]] == [336, 1280]
    assert report["lines"]["infer"]["worst"] < 1e-9  # two points
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_speed_reports_what_it_timed(monkeypatch):
    monkeypatch.setattr(speed, "LARGE", Shape(20, 12, 12))
    monkeypatch.setattr(speed, "LEARNED", Shape(20, 12, 12))
    monkeypatch.setattr(speed, "SAMPLES", 5)
    done = run(speed.command, "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["generation"]["weights"] == 20 * 12 + 12 * 12
    assert report["generation"]["project_bytes"] > 0
    assert len(report["learning"]) == 2


@pytest.fixture
def one_core(monkeypatch):
    try:
        find_compiler("gcc")
    except UserError:
        pytest.skip("arm-none-eabi-gcc is missing")
    monkeypatch.setattr(sizes, "BOARDS", ("nucleo-g071rb",))
    monkeypatch.setattr(sizes, "LEVELS", ("O2",))
    monkeypatch.setattr(sizes, "WIDTHS", ("int8",))


@pytest.mark.usefixtures("one_core")
def test_sizes_are_told_and_what_a_change_does_to_them(tmp_path):
    file = tmp_path / "sizes.md"
    assert run(sizes.command, "--markdown", file).exit_code == 0
    same = run(sizes.command, "--check", file)
    assert (same.exit_code, same.stdout.splitlines()[-1]) == (0, f"{file}: nothing differs")
    text = file.read_text()
    rows = [line for line in text.splitlines() if line.startswith("| cortex-m0plus | int8 |")]
    code, code_inference_only = (cell.strip() for cell in rows[0].split("|")[3:5])
    number = int(code.replace(",", ""))
    assert 0 < int(code_inference_only.replace(",", "")) < number < 8000

    # Code is another compiler's affair: it is told, and no more.
    file.write_text(text.replace(f"| {code} |", f"| {number - 10:,} |", 1))
    grown = run(sizes.command, "--check", file)
    assert grown.exit_code == 0
    assert grown.stdout.splitlines()[-1] == (
        f"{file}: Code of the runtime: cortex-m0plus, int8, -O2: "
        f"{number - 10:,} -> {code} bytes (+10)"
    )

    # Memory is no compiler's.
    (memory,) = (line for line in text.splitlines() if line.startswith("| 64-48-16, int8 |"))
    file.write_text(text.replace(memory, memory.replace("| 808 |", "| 800 |")))
    other = run(sizes.command, "--check", file, "--json")
    assert other.exit_code == 1
    assert json.loads(other.stdout)["changes"] == {
        "code": [],
        "memory": ["Memory of a model: 64-48-16, int8, RAM beyond weights: 800 -> 808 bytes (+8)"],
    }
    file.write_text(text.replace(memory + "\n", "").replace("784-128-34, int8 |", "gone |"))
    assert run(sizes.command, "--check", file).stdout.splitlines()[-3:] == [
        f"{file}: Memory of a model: gone: no longer there",
        f"{file}: Memory of a model: 64-48-16, int8: new",
        f"{file}: Memory of a model: 784-128-34, int8: new",
    ]


def test_sizes_want_a_file_with_their_section(tmp_path):
    file = tmp_path / "x.md"
    file.write_text("no section")
    with pytest.raises(UserError, match="has 0 sections"):
        sizes.differences(file, sizes.memory_table([]))


def test_the_memory_of_docs_sizes_is_the_plan_s():
    page = Path(__file__).parents[1] / "docs" / "sizes.md"
    assert sizes.differences(page, sizes.memory_table([*map(sizes.memory_of, sizes.MODELS)])) == []


def test_the_program_draws_what_the_host_draws(tmp_path):
    # benchmarks/c/main.c's own function, compiled for this machine.
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler for this machine (cc)")
    text = (C_DIRECTORY / "main.c").read_text()
    start = text.index("int8_t draw(")
    function = text[start : text.index("\n}\n", start) + 3]
    source = tmp_path / "draw.c"
    source.write_text(
        f"#include <stdint.h>\n#include <stdio.h>\n{function}"
        'int main(void) { uint32_t s = 2; for (int i = 0; i < 500; i++) printf("%d ", draw(&s)); }'
    )
    subprocess.run([compiler, "-o", tmp_path / "draw", source], check=True)
    drawn = subprocess.run([tmp_path / "draw"], capture_output=True, check=True).stdout.split()
    assert draws(2, 500).tolist() == list(map(int, drawn))


def test_rows_of_some_cores_are_replaced(tmp_path):
    """The others stay, and so do tables that the new run does not make."""
    file = tmp_path / "page.md"
    file.write_text("<!-- begin speed -->\n<!-- end speed -->\n")

    def report(command, conditions, *rows):
        speed = Table("Speed, a MAC", ("core", "", "infer"), rows, words=2)
        sizes = Table("Sizes", ("what", "bytes"), (("code", "1"),))
        return Report("speed", command, conditions, (speed, sizes)[: len(rows)], {})

    first = report("all", ("gcc 1", "unicorn"), ("cortex-m3", "a", "1"), ("rv32imc", "", "2"))
    first.beside(file, ("cortex-m3",)).emit(as_json=True, markdown=file)
    second = report("some", ("gcc 1", "gcc 2"), ("cortex-m0", "b"))
    table = replace(second.tables[0], heads=("core", ""))  # fewer columns: the rest is blank
    second = replace(second, tables=(table,))
    second = second.beside(file, ("cortex-m0", "rv32imc"))
    second.emit(as_json=True, markdown=file)
    assert second.command == "all"
    assert second.conditions == ("gcc 1", "unicorn", "gcc 2")
    assert second.tables[0].rows == (("cortex-m0", "b", ""), ("cortex-m3", "a", "1"))
    assert second.tables[1] == first.tables[1]
    assert "| cortex-m3 | a | 1 |\n" in file.read_text()


def test_backpropagation_keeps_maps_before_and_after_pools():
    layers = [
        {"kind": "convolution", "filters": 8, "pool": 2},
        {"kind": "convolution", "filters": 5, "pool": 1},
        {"units": 9},
    ]
    maps = 6 * 6 * 8 + 3 * 3 * 8 + 3 * 3 * 5
    assert activations(plan_of((6, 6, 2), layers)) == 6 * 6 * 2 + maps + 9

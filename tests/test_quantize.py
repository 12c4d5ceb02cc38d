"""The C that makes inputs of raw values gives Python's own, for every raw value."""

import ctypes
import subprocess
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kernel_programs import LINKER_SCRIPT
from toy import toy

from spela_mcu.cores import CORES
from spela_mcu.data.dataset import InputScaling, quantize_inputs
from spela_mcu.data.scaling import apply_scaling, measure_scaling
from spela_mcu.firmware.board import load_board
from spela_mcu.firmware.elf import read_elf
from spela_mcu.firmware.lines import lines
from spela_mcu.firmware.quantizer import quantizer_files
from spela_mcu.firmware.toolchain import WARNING_FLAGS, find_compiler
from spela_mcu.host.network import host_compiler

ROOT = Path(__file__).parents[1]
RUNTIME = ROOT / "firmware" / "spela"
PROGRAM = ROOT / "tests" / "c" / "quantize.c"
INT16 = np.arange(-(1 << 15), 1 << 15, dtype=np.int32)
INT32 = st.integers(-(1 << 31), (1 << 31) - 1)
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)

# Offset and scale: pictures, ADCs, ranges whose middle makes exact ties, and what is extreme.
SCALINGS = [
    (0.0, 1 / 255),
    (0.0, 1 / 16),
    (33.318421, 1 / 255),
    (2048.0, 1 / 2048),
    (0.0, 1 / 32768),
    (127.0, 1 / 254),
    (512.5, 2 / 1023),
    (-1234.567, 0.001),
    (32767.0, 1.0),
    (1e-30, 0.5),
    (101325.0, 0.0123),
    (16777217.0, 1e-3),
    (33.318421, 1e-9),
    (3e38, 1e-38),
    (0.0, 3e38),
    (1e-40, 3e38),
    (5.0, 0.0),
    (0.0, 1e-45),
]


def python_inputs(raw, offset, scale):
    scaling = InputScaling(np.array([offset], np.float32), np.array([scale], np.float32))
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        return quantize_inputs(apply_scaling(np.asarray(raw)[:, None], scaling))[:, 0]


def write_sources(directory, scaling=None, names=("x0",)):
    one = np.ones(len(names), np.float32)
    for name, text in quantizer_files(
        "probe", scaling or InputScaling(0 * one, one), names
    ).items():
        (directory / name).write_text(text)
    return [PROGRAM, directory / "probe_quantize.c", RUNTIME / "spela_scaling.c"]


def host_library(directory, scaling=None, names=("x0",), source=None):
    sources = write_sources(directory, scaling, names)
    if source is not None:
        sources[-1] = source
    flags = ["-std=c99", "-O2", *WARNING_FLAGS, "-Werror", "-fPIC", "-shared", "-DHOST"]
    library = directory / "quantize.so"
    subprocess.run(
        [*host_compiler(), *flags, f"-I{directory}", f"-I{RUNTIME}", *sources, "-o", library],
        check=True,
    )
    return ctypes.CDLL(str(library))


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    return host_library(tmp_path_factory.mktemp("host"))


def bits(value):
    return int(np.float32(value).view(np.uint32))


class CLine(ctypes.Structure):
    _fields_ = [
        ("start", ctypes.c_int64),
        ("low", ctypes.c_int32),
        *((name, ctypes.c_uint32) for name in ("width", "slope", "shift")),
    ]


def line_of(offset, scale):
    found = lines(InputScaling(np.array([offset], np.float32), np.array([scale], np.float32)))
    return None if found is None else found[0]


def along(library, raw, line):
    raw = np.ascontiguousarray(raw, np.int32)
    inputs = np.empty(len(raw), np.int8)
    library.along(
        ctypes.c_void_p(raw.ctypes.data),
        ctypes.c_void_p(inputs.ctypes.data),
        len(raw),
        ctypes.byref(CLine(line.start, line.low, line.width, line.slope, line.shift)),
    )
    return inputs


def c_inputs(library, raw, offset, scale):
    raw = np.ascontiguousarray(raw, np.int32)
    inputs = np.empty(len(raw), np.int8)
    library.many(
        ctypes.c_void_p(raw.ctypes.data),
        ctypes.c_void_p(inputs.ctypes.data),
        len(raw),
        ctypes.c_uint32(bits(offset)),
        ctypes.c_uint32(bits(scale)),
    )
    return inputs


@pytest.mark.parametrize(("offset", "scale"), SCALINGS)
def test_every_value_of_16_bits(host, offset, scale):
    assert np.array_equal(c_inputs(host, INT16, offset, scale), python_inputs(INT16, offset, scale))


def steps(offset, scale):
    """Raw values of 32 bits just at and around the places where the input changes."""
    with np.errstate(all="ignore"):
        ends = (np.arange(-127, 127) + 0.5) / (127 * np.float64(np.float32(scale))) + offset
    ends = ends[np.isfinite(ends) & (np.abs(ends) < (1 << 31) - 300)]
    near = np.rint(ends).astype(np.int64)[:, None] + np.arange(-130, 131)
    spread = np.random.default_rng(0).integers(-(1 << 31), 1 << 31, 5000)
    corners = [0, 1, -1, (1 << 31) - 1, -(1 << 31), 1 << 24, (1 << 24) + 1, -(1 << 24) - 1]
    return np.concatenate([near.ravel(), spread, corners]).astype(np.int32)


@pytest.mark.parametrize(("offset", "scale"), SCALINGS)
def test_values_of_32_bits_where_the_input_changes(host, offset, scale):
    raw = steps(offset, scale)
    assert np.array_equal(c_inputs(host, raw, offset, scale), python_inputs(raw, offset, scale))


LINELESS = {(127.0, 1 / 254), (16777217.0, 1e-3), (33.318421, 1e-9)}
"""Of SCALINGS: ties at every second raw value; raw values and steps that float32 has rounded."""


@pytest.mark.parametrize(("offset", "scale"), SCALINGS)
def test_a_line_gives_the_same(host, offset, scale):
    line = line_of(offset, scale)
    assert (line is None) == ((offset, scale) in LINELESS)
    for raw in (INT16, steps(offset, scale)) if line is not None else ():
        assert np.array_equal(along(host, raw, line), python_inputs(raw, offset, scale))


@pytest.mark.parametrize("peak", [1, 16, 127, 255, 1000, 1023, 4095, 32768, 65535])
@pytest.mark.parametrize("kind", ["global", "centred", "per_feature"])
def test_data_of_16_bits_have_lines(host, peak, kind):
    rng = np.random.default_rng(peak)
    data = rng.integers(-peak // 2, peak // 2 + 1, (30, 20))
    found = measure_scaling(data, kind, None)
    for offset, scale, line in zip(found.offset, found.scale, lines(found), strict=True):
        assert np.array_equal(along(host, INT16, line), python_inputs(INT16, offset, scale))


def test_exact_ties_have_no_line(host):
    """Half of all raw values are ties, which go to the even: no step is as wide as the next."""
    assert line_of(0.0, 1 / 254) is None
    raw = np.arange(-300, 301)
    assert np.array_equal(c_inputs(host, raw, 0.0, 1 / 254), python_inputs(raw, 0.0, 1 / 254))


@settings(max_examples=150, deadline=None)
@given(low=INT32, high=INT32, kind=st.sampled_from(["global", "centred", "per_feature"]))
@example(low=-254, high=254, kind="per_feature")
def test_whatever_the_data_measured(host, low, high, kind):
    data = np.array([[low], [high], [low // 2 + high // 2], [low]])
    if kind != "per_feature" and low == high == 0:
        data[0] = 1
    found = measure_scaling(data, kind, None)
    offset, scale = float(found.offset[0]), float(found.scale[0])
    within = np.linspace(min(low, high), max(low, high), 200).astype(np.int64)
    raw = np.concatenate([within, steps(offset, scale)]).astype(np.int32)
    line = line_of(offset, scale)
    if line is not None:
        assert np.array_equal(along(host, raw, line), python_inputs(raw, offset, scale))
    assert np.array_equal(c_inputs(host, raw, offset, scale), python_inputs(raw, offset, scale))


@settings(max_examples=400, deadline=None)
@given(offset=FLOATS, scale=FLOATS.map(abs), raw=st.lists(INT32, min_size=1, max_size=50))
def test_any_finite_scaling(host, offset, scale, raw):
    expected = python_inputs(raw, offset, scale)
    assert np.array_equal(c_inputs(host, raw, offset, scale), expected)
    line = line_of(offset, scale)
    assert line is None or np.array_equal(along(host, raw, line), expected)


def awkward_scaling(width):
    rng = np.random.default_rng(width)
    offset = rng.normal(0, 300, width).astype(np.float32)
    return InputScaling(offset, rng.uniform(1e-4, 0.1, width).astype(np.float32))


@pytest.mark.parametrize("alike", [False, True])
@pytest.mark.parametrize("has_lines", [False, True])
def test_the_generated_functions_scale_each_input_its_own_way(tmp_path, has_lines, alike):
    names = ('temp "in", °C', "a\\b", "", "x3")
    scaling = awkward_scaling(4)
    if not has_lines:
        scaling.offset[0], scaling.scale[0] = (0.0, 1 / 254)
    if alike:
        scaling = InputScaling(np.full(4, scaling.offset[0]), np.full(4, scaling.scale[0]))
    assert (lines(scaling) is not None) == has_lines
    library = host_library(tmp_path, scaling, names)
    table = (ctypes.c_char_p * 4).in_dll(library, "probe_input_names")
    assert tuple(name.decode() for name in table) == names
    rng = np.random.default_rng(1)
    for dtype in (np.int16, np.int32, np.float32):
        for _ in range(200):
            raw = rng.integers(-3000, 3000, 4).astype(dtype)
            if dtype == np.float32:
                raw += rng.normal(0, 1, 4).astype(np.float32)
            found = np.empty(4, np.int8)
            name = "of_floats" if dtype == np.float32 else f"probe_quantize_{raw.dtype.name}"
            getattr(library, name)(
                ctypes.c_void_p(raw.ctypes.data), ctypes.c_void_p(found.ctypes.data)
            )
            assert np.array_equal(found, quantize_inputs(apply_scaling(raw[None], scaling))[0])


def test_floats_at_ties_and_beyond_the_range(tmp_path):
    one = np.ones(1, np.float32)
    scaling = InputScaling(0 * one, one / 127)
    library = host_library(tmp_path, scaling)
    for raw in np.concatenate([np.arange(-300, 301) / 2, [1e30, -1e30]]).astype(np.float32):
        found, value = np.empty(1, np.int8), np.array([raw])
        library.of_floats(ctypes.c_void_p(value.ctypes.data), ctypes.c_void_p(found.ctypes.data))
        assert found[0] == quantize_inputs(
            apply_scaling(value[None], InputScaling(0 * one, one / 127))
        )


@lru_cache
def on_a_core(board_id, directory):
    board, found = load_board(board_id), find_compiler("auto")
    script = directory / "linker.ld"
    script.write_text(LINKER_SCRIPT)
    objects = []
    for source in write_sources(directory):
        objects.append(directory / f"{source.stem}.o")
        flags = [*found.compile_flags(board, "O2"), "-Werror", f"-I{directory}", f"-I{RUNTIME}"]
        subprocess.run([*found.command, *flags, "-c", source, "-o", objects[-1]], check=True)
    elf = directory / "quantize.elf"
    link = [*found.link_flags(board, str(script)), "-Wl,-e,many", "-Wl,-u,along"]
    subprocess.run([*found.command, *objects, *link, "-o", elf], check=True)
    return board, read_elf(elf)


BACK, RAW, FOUND, LINE, STACK = 0xF000, 0x20100000, 0x20180000, 0x200FFF00, 0x200FFE00


@pytest.mark.parametrize("board_id", ["microbit", "mps2-an386"])
def test_on_the_chip(tmp_path, board_id):
    """An M0 has neither a 64-bit product nor CLZ: its libgcc does the work."""
    unicorn = pytest.importorskip("unicorn")
    from unicorn import arm_const as arm

    board, elf = on_a_core(board_id, tmp_path)
    machine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
    machine.ctl_set_cpu_model(getattr(arm, f"UC_CPU_{CORES[board.core].unicorn}"))
    machine.mem_map(0, 0x10000)
    machine.mem_map(0x20000000, 0x200000)
    for address, content in elf.load_segments:
        machine.mem_write(address, content)
    for offset, scale in SCALINGS:
        raw = np.concatenate([INT16[::61], steps(offset, scale)[::13]]).astype(np.int32)
        expected = python_inputs(raw, offset, scale)
        machine.mem_write(RAW, raw.tobytes())
        machine.mem_write(STACK, bits(scale).to_bytes(4, "little"))  # the fifth argument
        calls = [("many", bits(offset))]
        line = line_of(offset, scale)
        if line is not None:
            fields = (line.start, line.low, line.width, line.slope, line.shift)
            machine.mem_write(LINE, bytes(CLine(*fields)))
            calls.append(("along", LINE))
        for function, last in calls:
            machine.reg_write(arm.UC_ARM_REG_SP, STACK)
            machine.reg_write(arm.UC_ARM_REG_LR, BACK | 1)
            for register, value in enumerate((RAW, FOUND, len(raw), last)):
                machine.reg_write(arm.UC_ARM_REG_R0 + register, value)
            machine.emu_start(elf.by_name[function].address | 1, BACK)
            found = np.frombuffer(bytes(machine.mem_read(FOUND, len(raw))), np.int8)
            assert np.array_equal(found, expected), (function, offset, scale)


FAULTS = {
    "a raw value below the line": ("raw <= line->low ? 0U : ", ""),
    "a raw value above the line": ("x < line->width ? x : line->width", "x"),
    "ties away from even": ("(magnitude >> shift) & 1U;", "1U;"),
    "a place too few": ("#define PRECISION 24U", "#define PRECISION 23U"),
    "no rounding of the raw value": ("rounded(raw, 0)", "(real_t){raw, 0}"),
    "lost too soon": ("gap > 38", "gap > 20"),
    "clipped too low": ("#define INPUT_MAX 127", "#define INPUT_MAX 126"),
}


def by_line(library, raw, offset, scale):
    line = line_of(offset, scale)
    return () if line is None else (along(library, raw, line),)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen(tmp_path, fault):
    text = (RUNTIME / "spela_scaling.c").read_text()
    old, new = FAULTS[fault]
    assert old in text
    (tmp_path / "planted.c").write_text(text.replace(old, new))
    library = host_library(tmp_path, source=tmp_path / "planted.c")
    assert any(
        not np.array_equal(found, python_inputs(raw, *pair))
        for pair in SCALINGS
        for raw in (INT16, steps(*pair))
        for found in (c_inputs(library, raw, *pair), *by_line(library, raw, *pair))
    )


def test_a_project_that_does_not_call_it_has_none_of_it(tmp_path):
    from toy import build_toy

    elf = build_toy(toy(), tmp_path / "toy").read_elf()
    assert "spela_quantize" not in elf.by_name
    assert "toy_input_names" not in elf.by_name

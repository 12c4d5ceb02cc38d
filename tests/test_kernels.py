"""The kernels of every core, on that core, against numpy: any shape, any weights, any inputs."""

import ctypes
import platform
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from host_process import RUNTIME, plant
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from spela_mcu.cores import CORES
from spela_mcu.errors import UserError
from spela_mcu.firmware.board import load_board
from spela_mcu.firmware.elf import read_elf
from spela_mcu.firmware.toolchain import WARNING_FLAGS, find_compiler
from spela_mcu.fixed_point.arithmetic import LCG_INCREMENT, LCG_MULTIPLIER, halve
from spela_mcu.fixed_point.layout import pack, padded
from spela_mcu.host.network import host_compiler
from spela_mcu.simulators.qemu_process import qemu_program

HOST = RUNTIME.parent / "host"
PROGRAM = Path(__file__).parent / "c" / "kernels.c"
CASES = 0x20040000
BACK = 0xFF00
"""An address that the program does not reach by itself."""
WHAT = (
    *("", "inputs", "sums", "weights", "state", "relieved", "halved", "memory of others"),
    *("registers of the caller", "kept inputs", "applied weights", "applied state"),
)
LINKER_SCRIPT = """\
SECTIONS {
    .text 0x0 : { KEEP(*(.vectors)) *(.text .text.* .rodata .rodata.*) }
    .bss 0x20000000 (NOLOAD) : { *(.data .data.* .bss .bss.* COMMON) }
    /DISCARD/ : { *(.ARM.exidx* .ARM.extab*) }
}
"""


# ---------------------------------------------------------------------------- the cases


@dataclass(frozen=True, repr=False)
class Case:
    """A matrix, one sample and one update; what numpy makes of it."""

    weights: np.ndarray
    bits: int
    inputs: np.ndarray
    multipliers: np.ndarray
    state: int
    is_nearest: bool
    later_inputs: np.ndarray
    later_multipliers: np.ndarray
    scratch: int

    def __repr__(self):
        rounding = "nearest" if self.is_nearest else f"dither from {self.state:#x}"
        ranges = (f"{a.min()}..{a.max()}" for a in (self.weights, self.inputs, self.multipliers))
        batch = f"{len(self.later_inputs)} applied as one"
        return f"Case({self.weights.shape}, {self.bits}, {', '.join(ranges)}, {rounding}, {batch})"

    @property
    def is_int16(self):
        return self.bits != 0

    @property
    def weight_bits(self):
        return self.bits or 8

    def to_bytes(self):
        """The case as tests/c/kernels.c reads it."""
        rows, columns = self.weights.shape
        dtype = np.int16 if self.is_int16 else np.int8
        shift = 8 if self.is_int16 else 16
        half = 1 << (self.weight_bits - 1)
        sums = np.zeros(padded(rows), np.int32)
        sums[:rows] = self.weights @ self.inputs
        noise, after = self.draw(padded(columns), shift)
        listed = np.flatnonzero(self.multipliers)
        steps = np.multiply.outer(self.multipliers, self.inputs) + noise[:columns] >> shift
        updated = self.weights.copy()
        updated[listed] = np.clip(self.weights + steps, -half, half - 1)[listed]
        saturated = int(((updated == -half) | (updated == half - 1)).sum())
        limit = saturated if self.state % 3 == 0 else saturated - 1
        is_relieved = saturated > limit >= 0
        limit = max(limit, 0)
        relieved = halve(updated) if is_relieved else updated
        multiplier, increment = (1, 0) if self.is_nearest else (LCG_MULTIPLIER, LCG_INCREMENT)
        head = [padded(rows), padded(columns), self.weight_bits, self.is_int16, columns]
        rows_to_update = [
            ((row // 4) * 4 * padded(columns) + row % 4 * 4, int(self.multipliers[row]))
            for row in listed.tolist()
        ]
        while not rows_to_update or len(rows_to_update) % 2:
            rows_to_update.append((0, 0))
        head += [len(rows_to_update), self.first_state, multiplier, increment, after]
        end, applied = self.apply(relieved, after, shift, half)
        head += [limit, is_relieved, len(self.later_inputs), self.scratch, end]
        stride = -(-len(self.later_inputs) // 2) * 2
        later_multipliers = np.zeros((padded(rows), stride), np.int16)
        later_multipliers[:rows, : len(self.later_inputs)] = self.later_multipliers.T
        parts = (
            np.array(head, np.uint32).tobytes(),
            self.inputs.astype(np.int8).tobytes(),
            pack(self.weights, dtype),
            sums.tobytes(),
            np.array(rows_to_update, np.int32).tobytes(),
            pack(updated, dtype),
            pack(relieved, dtype),
            *(one.astype(np.int8).tobytes() for one in self.later_inputs),
            later_multipliers.tobytes(),
            pack(applied, dtype),
        )
        return b"".join(part + bytes(-len(part) % 4) for part in parts)

    def apply(self, weights, state, shift, half):
        """Several updates as one: the dither's last state, the weights."""
        columns = weights.shape[1]
        noise, end = self.draw(padded(columns), shift, state)
        steps = self.later_multipliers.T @ self.later_inputs + noise[:columns] >> shift
        return end, np.clip(weights + steps, -half, half - 1)

    @property
    def first_state(self):
        return 0x80000000 if self.is_nearest else self.state

    def draw(self, count, shift, state=None):
        """The dither of each column, and the generator's last state."""
        state, noise = self.first_state if state is None else state, []
        for _ in range(count):
            if not self.is_nearest:
                state = (state * LCG_MULTIPLIER + LCG_INCREMENT) % 2**32
            noise.append(state >> (32 - shift))
        return np.array(noise), state


def as_drawn(inputs):
    """Inputs of their kind."""
    return inputs


def balanced(inputs):
    """Inputs whose every two, four or sixteen sum to zero, without being zero."""
    found = inputs.clip(-127, 127)
    found[1::2] = -found[0 : len(found) // 2 * 2 : 2]
    return found


def opposed(inputs):
    """Inputs whose every four, as the two words of int16 pairs 0, 2 and 1, 3, sum to zero."""
    found = inputs.clip(-127, 127)
    for block in range(0, len(found) - 3, 4):
        x0, _, x2, _ = found[block : block + 4].tolist()
        found[block + 1], found[block + 3] = -x0, -x2 - (x0 != 0)
    return found


@st.composite
def cases(draw, widths=(0, 8, 12, 16)):
    """Matrices up to 20 by 150; whole ranges, and their ends; many zeros, or none."""
    rows, columns = draw(st.integers(1, 20)), draw(st.integers(1, 150))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    bits = draw(st.sampled_from(widths))
    half = 1 << ((bits or 8) - 1)
    batch = draw(st.sampled_from([1, 2, 3, 4, 7, 8, 9, 16, 33, 64]))

    def numbers(low, high, size):
        anywhere = rng.integers(low, high + 1, size)
        kind = draw(
            st.sampled_from(["anywhere", "ends", "low", "high", "small", "sparse", "usual", "zero"])
        )
        return {
            "anywhere": anywhere,
            "ends": rng.choice([low, high], size),
            "low": np.full(size, low),
            "high": np.full(size, high),
            "small": rng.integers(-1, 2, size),
            "sparse": anywhere * (rng.random(size) < 0.1),
            "usual": (anywhere >> 3) * (rng.random(size) < 0.5),
            "zero": np.zeros(size, np.int64),
        }[kind]

    return Case(
        weights=numbers(-half, half - 1, (rows, columns)),
        bits=bits,
        inputs=draw(st.sampled_from([as_drawn, balanced, opposed]))(numbers(-128, 127, columns)),
        multipliers=numbers(-(1 << 15), (1 << 15) - 1, rows),
        state=draw(st.integers(0, 2**32 - 1)),
        is_nearest=draw(st.booleans()),
        later_inputs=numbers(-128, 127, (batch, columns)),
        later_multipliers=numbers(-(1 << 15), (1 << 15) - 1, (batch, rows)),
        scratch=8 * draw(st.integers(0, 300)),
    )


def blob(some):
    return np.uint32(len(some)).tobytes() + b"".join(case.to_bytes() for case in some)


# ---------------------------------------------------------------------------- the cores

# A board of each core, how its program is run, and the macros it is compiled with. The host's own
# kernels run in this process.
KERNELS = {
    "sse2": (None, "host", ("SPELA_HOST_KERNELS",)),
    "armv6-m": ("nucleo-g071rb", "unicorn", ()),
    "armv7-m": ("mps2-an385", "unicorn", ()),
    "dsp": ("mps2-an386", "unicorn", ()),
    "dsp, small": ("mps2-an386", "unicorn", ("__OPTIMIZE_SIZE__",)),
    "dsp, armv8-m": ("mps2-an505", "unicorn", ()),
    "mve": ("mps3-an547", "qemu", ()),
    "portable": ("mps2-an386", "unicorn", ("SPELA_PORTABLE_KERNELS",)),
}


def build_program(kernels, compiler, directory, change=None):
    """Compiles tests/c/kernels.c with the runtime's kernels; a fault may be planted in them."""
    board_id, how, defines = KERNELS[kernels]
    if how == "host" and platform.machine() not in {"x86_64", "AMD64"}:
        pytest.skip(f"{platform.machine()} has no {kernels}")
    try:
        is_native = how == "host" and compiler == "gcc"
        command = host_compiler() if is_native else list(find_compiler(compiler).command)
    except UserError as error:
        pytest.skip(str(error))
    files = [*RUNTIME.glob("spela_kernels*"), RUNTIME / "spela_arithmetic.h"]
    for file in [*files, *HOST.glob("*.c")] if how == "host" else files:
        (directory / file.name).write_text(file.read_text())
    if change is not None:
        plant(directory / change[0], *change[1:])
    if how == "host":
        return build_library(command, directory, defines)
    board, found = load_board(board_id), find_compiler(compiler)
    script = directory / "linker.ld"
    script.write_text(LINKER_SCRIPT)
    flags = [*found.compile_flags(board, "O1"), "-Werror", f"-I{directory}"]
    flags += [f"-D{define}" for define in defines]
    objects = []
    for source in [PROGRAM, *directory.glob("*.c")]:
        objects.append(directory / f"{source.stem}-{len(objects)}.o")
        subprocess.run([*found.command, *flags, "-c", source, "-o", objects[-1]], check=True)
    elf = directory / "kernels.elf"
    link = [*found.link_flags(board, str(script)), "-Wl,-u,vectors", "-Wl,-e,start"]
    subprocess.run([*found.command, *objects, *link, "-o", elf], check=True)
    return elf


def build_library(command, directory, defines):
    """The same as a library for this machine, by its own compiler or by zig."""
    flags = ["-std=c99", "-O1", *WARNING_FLAGS, "-Werror", "-fPIC", "-shared", f"-I{directory}"]
    flags += [f"-D{define}" for define in defines]
    library = directory / "kernels.so"
    sources = [PROGRAM, *sorted(directory.glob("*.c"))]
    subprocess.run([*command, *flags, *sources, "-o", library], check=True)
    return library


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The program for some kernels by some compiler, built once."""

    @lru_cache
    def build(kernels, compiler):
        return build_program(kernels, compiler, tmp_path_factory.mktemp("kernels"))

    return build


def check(kernels, elf, some):
    """Runs cases; fails with the first that goes wrong, and in what."""
    board_id, how, _ = KERNELS[kernels]
    if how == "host":
        found = ctypes.CDLL(str(elf)).run_cases(blob(some))
    else:
        run = run_in_unicorn if how == "unicorn" else run_in_qemu
        found = run(load_board(board_id), elf, blob(some))
    assert found == 0, f"{WHAT[found % 16]} of {some[found // 16 - 1]}"


def run_in_unicorn(board, elf, data):
    """What run_cases says, called in a core without anything around it."""
    unicorn = pytest.importorskip("unicorn")
    from unicorn import arm_const as arm

    machine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
    machine.ctl_set_cpu_model(getattr(arm, f"UC_CPU_ARM_{CORES[board.core].unicorn}"))
    machine.mem_map(0, 0x10000, unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC)
    machine.mem_map(0x20000000, 0x200000, unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE)
    program = read_elf(elf)
    for address, content in program.load_segments:
        machine.mem_write(address, content)
    machine.mem_write(CASES, data)
    machine.reg_write(arm.UC_ARM_REG_SP, CASES)
    machine.reg_write(arm.UC_ARM_REG_LR, BACK | 1)
    machine.reg_write(arm.UC_ARM_REG_R0, CASES)
    machine.emu_start(program.by_name["run_cases"].address | 1, BACK)
    return machine.reg_read(arm.UC_ARM_REG_R0)


def run_in_qemu(board, elf, data):
    """What run_cases says, told by semihosting."""
    file = elf.with_suffix(".cases")
    file.write_bytes(data)
    done = subprocess.run(
        [
            *(qemu_program(), "-M", board.simulators.qemu.machine, "-kernel", elf),
            *("-device", f"loader,file={file},addr={CASES:#x},force-raw=on"),
            *("-semihosting-config", "enable=on,target=native"),
            *("-display", "none", "-monitor", "none", "-serial", "none"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return int(done.stdout + done.stderr, 16)


# ---------------------------------------------------------------------------- the tests


def run_by(kernels):
    """Marks of a test that runs some kernels, or a part of them."""
    how = KERNELS[kernels if kernels in KERNELS else kernels.partition(", ")[0]][1]
    return [] if how == "host" else [pytest.mark.needs_simulator(how)]


@pytest.mark.parametrize("compiler", ["gcc", "zig"])
@pytest.mark.parametrize("kernels", [pytest.param(k, marks=run_by(k)) for k in KERNELS])
@settings(max_examples=40)
@given(some=st.lists(cases(), min_size=1, max_size=5))
def test_kernels_equal_numpy(built, kernels, compiler, some):
    check(kernels, built(kernels, compiler), some)


def an_end(skipped, registers, more, fewer):
    """A function's end, right and wrong: more is skipped on the stack, fewer registers restored."""
    end = '"add     sp, #{}\\n"\n        "pop     {{{}, pc}}'
    return end.format(skipped, registers), end.format(more, fewer)


# Kernels, right, wrong, and what is then found: slips in every stage of every set.
FAULTS = [
    ("sse2", "_MM_SHUFFLE(3, 1, 3, 1)", "_MM_SHUFFLE(3, 1, 3, 2)", "sums"),
    ("sse2", "HIGH_TO_INT16(block)", "LOW_TO_INT16(block)", "sums"),
    ("sse2", "_mm_set1_epi32(0x8000)", "_mm_set1_epi32(0x7FFF)", "weights"),
    ("sse2", "_mm_adds_epi8", "_mm_add_epi8", "weights"),
    ("sse2", "srli_epi64(sum, 32)", "srli_epi64(sum, 16)", "weights"),
    (
        "sse2",
        "store_row(w1, _mm_srli_epi64(sum, 32));\n            store_row(w0, sum);",
        "store_row(w0, sum);\n            store_row(w1, _mm_srli_epi64(sum, 32));",
        "weights",
    ),
    ("sse2", "noise[i] = update->state", "noise[i] = update->state | 0x10000U", "weights"),
    ("dsp", "word << 8 | ", "word << 7 | ", "inputs"),
    ("dsp", "smlad   r10, r6, r9, r10", "smlad   r10, r6, r8, r10", "sums"),
    ("dsp", "mov     r10, #0", "mov     r10, #1", "sums"),
    ("dsp", "smlabt  lr, r11, r4, r8", "smlabt  lr, r11, r4, r6", "weights"),
    ("dsp", "qadd8   r3, r3, lr", "sadd8   r3, r3, lr", "weights"),
    ("dsp", "bic     r5, r5, #0x00ff0000", "bic     r5, r5, #0x00fe0000", "weights"),
    ("dsp", "lsr     r9, r9, #8", "lsr     r9, r9, #9", "weights"),
    ("dsp", "str     r9, [sp, #12]", "str     r8, [sp, #12]", "state|weights"),
    ("armv7-m", 'COLUMN(", #-4]", ", #-14]", 10', 'COLUMN(", #-4]", ", #-14]", 11', "sums"),
    ("armv7-m", "stmia   r4!, {r2, r3, r10, r11}", "stmia   r4!, {r2, r3, r10, r12}", "sums"),
    ("armv7-m", "ssat    lr, #8", "ssat    lr, #7", "weights"),
    ("armv7-m", "lsr     r10, r10, #16", "lsr     r10, r10, #17", "weights"),
    ("armv6-m", "adds    r0, #13", "adds    r0, #12", "sums|memory"),
    ("armv6-m", "mov     r6, lr", "mov     r6, r8", "sums"),
    ("armv6-m", "movs    r7, #127", "movs    r7, #126", "weights"),
    ("armv6-m", "lsls    r6, r2, #29", "lsls    r6, r2, #30", "weights"),
    ("armv6-m", "lsrs    r4, r7, #16", "lsrs    r4, r7, #17", "weights"),
    ("mve", "vctp.8 r1", "vctp.8 r2", "inputs"),
    (
        "mve",
        'vmladava.s8 r8, q2, q4\\n"\n        "vmladava.s8 r10, q3, q4\\n"\n        "le',
        'vmladava.s8 r8, q3, q4\\n"\n        "vmladava.s8 r10, q3, q4\\n"\n        "le',
        "sums",
    ),
    ("mve", "vldrwt.u32 q2, [q4, #8]", "vldrwt.u32 q2, [q4, #4]", "sums"),
    ("mve", "add     r0, r0, r7, lsl #4", "add     r0, r0, r7, lsl #3", "sums"),
    ("mve", "vpt.u16 hi, q7, q3", "vpt.u16 cs, q7, q3", "weights"),
    ("mve", "vqaddt.s8", "vaddt.i8", "weights"),
    ("mve", "vmov.32 r3, q7[3]", "vmov.32 r3, q7[2]", "state"),
    ("mve", "vctp.32 r6", "vctp.32 r5", "weights"),
    ("mve", "vmladav.s8 r4, q6, q6", "vaddv.s8 r4, q6", "weights"),
    ("dsp", "orrs    r3, r4, r5", "adds    r3, r4, r5", "weights"),
    ("armv7-m", "orrs    r3, r4, r6", "ands    r3, r4, r6", "weights"),
    ("portable", "any |= inputs[i]", "any += inputs[i]", "weights"),
    # The caller's registers, once in each function that saves some.
    ("dsp", *an_end(16, "r4-r11", 20, "r5-r11"), "registers"),
    ("dsp", *an_end(28, "r4-r11", 32, "r5-r11"), "registers"),
    ("armv7-m", *an_end(16, "r4-r8, r10, r11", 20, "r5-r8, r10, r11"), "registers"),
    ("armv7-m", *an_end(28, "r4-r11", 32, "r5-r11"), "registers"),
    ("armv6-m", 'pop     {r4-r7}\\n"\n        "mov     r8, r4', "pop     {r4-r7}", "registers"),
    ("armv6-m", 'r3, [r2, #12]\\n"\n        "mov     r8, r4', "r3, [r2, #12]", "registers"),
    ("mve", *an_end(20, "r4-r11", 24, "r5-r11"), "registers"),
    ("mve", *an_end(112, "r2, r4-r11", 120, "r5-r11"), "registers"),
    ("mve", "vldrw.u32 q4, [sp]", "vldrw.u32 q3, [sp]", "registers"),
    ("mve", "vldrw.u32 q4, [sp, #48]", "vldrw.u32 q3, [sp, #48]", "registers"),
    ("mve", "vldrw.u32 q5, [sp, #64]", "vldrw.u32 q3, [sp, #64]", "registers"),
    ("mve", "vldrw.u32 q6, [sp, #80]", "vldrw.u32 q6, [sp, #96]", "registers"),
    ("mve", "vldrw.u32 q7, [sp, #96]", "vldrw.u32 q3, [sp, #96]", "registers"),
    # Several updates as one: a tail left out, a zero that is none, a clip too many.
    ("sse2", "_mm_packs_epi16(moved, moved)", "_mm_packs_epi16(moves, moved)", "applied weights"),
    ("sse2", "k < batch->count; k += 2U", "k + 2U < batch->count; k += 2U", "applied weights"),
    ("sse2", "any = _mm_or_si128(any, pair)", "any = pair", "applied weights"),
    (
        "sse2",
        "inputs += 4U * batch->stride",
        "inputs += 4U * batch->stride - 4U",
        "applied weights",
    ),
    (
        "dsp, applied",
        'smlad   r6, r10, " multipliers',
        'smlad   r6, r9, " multipliers',
        "applied weights",
    ),
    ("dsp, applied", "orr     r3, r3, r0", "mov     r3, r0", "applied weights"),
    ("dsp, applied", "orr     r3, r3, r5", "movs    r3, r3", "applied weights"),
    ("dsp, applied", "2U + has_1 + 2U * has_3", "2U + has_1 + has_3", "applied weights"),
    ("dsp, applied", "if (b != 0U)", "if (a != 0U)", "applied weights"),
    ("dsp, applied", "count != 0U && twos[0]", "count > 1U && twos[0]", "applied weights"),
    ("dsp, applied", "SPELA_SMALL 65024U", "SPELA_SMALL 131072U", "applied weights"),
    ("dsp, applied", "qadd8   r2, r2, r6", "sadd8   r2, r2, r6", "applied weights"),
    ("dsp, applied", "sxtab16 r7, r7, r4, ror #8", "sxtab16 r7, r7, r4", "applied weights"),
    ("dsp, applied", "ssat16  r7, #8, r7", "ssat16  r7, #9, r7", "applied weights"),
    ("dsp, applied", "sxtb16  r9, r9, ror #8", "sxtb16  r9, r9", "applied weights"),
    (
        "dsp, applied",
        'lsr     r7, r7, #8\\n"\n        SPELA_LARGE_TERMS("")',
        'lsr     r7, r7, #7\\n"\n        SPELA_LARGE_TERMS("")',
        "applied weights",
    ),
    (
        "dsp, applied",
        "str     r7, [r1, #32]",
        "str     r6, [r1, #32]",
        "applied weights|applied state",
    ),
    (
        "dsp, applied",
        "spela_apply_tile_int8(weights, &tile);",
        "spela_apply_tile_int8(weights, &tile), batch->state = tile.state;",
        "applied weights|applied state",
    ),
    ("dsp, applied", "ssat    r7, #16, r7", "ssat    r7, #15, r7", "applied weights"),
    (
        "dsp, applied",
        "add     r7, r10, r7, asr #8",
        "add     r7, r10, r7, asr #9",
        "applied weights",
    ),
    ("dsp, applied", "qadd16  r9, r9, r6", "qadd16  r9, r9, r4", "applied weights"),
    ("dsp, applied", "sel     r9, r9, lr", "sel     r9, lr, r9", "applied weights"),
    ("dsp, applied", "r2, [r1, #44]", "r2, [r1, #40]", "applied weights"),
    ("dsp, int16", "smlad   r10, r4, r12, r10", "smlad   r10, r4, r9, r10", "sums"),
    ("dsp, int16", "mov     r11, #0", "mov     r11, #1", "sums"),
    ("dsp, int16", "pkhtb   r9, r9, r8, asr #16", "pkhtb   r9, r9, r8, asr #15", "sums"),
    ("dsp, int16", "smlabt  lr, r11, r4, r8", "smlabt  lr, r11, r4, r6", "weights"),
    ("dsp, int16", "qadd16  r12, r12, r3", "sadd16  r12, r12, r3", "weights"),
    ("dsp, int16", "sel     lr, lr, r3", "sel     lr, r3, lr", "weights"),
    ("dsp, int16", "bic     r4, r4, #0x00ff0000", "bic     r4, r4, #0x00fe0000", "weights"),
    ("dsp, int16", "orrs    r3, r4, r5", "adds    r3, r4, r5", "weights"),
    ("dsp, int16", "str     r9, [sp, #16]", "str     r8, [sp, #16]", "state|weights"),
    ("dsp, int16", *an_end(16, "r4-r11", 20, "r5-r11"), "registers"),
    ("dsp, int16", *an_end(32, "r4-r11", 36, "r5-r11"), "registers"),
    ("mve", "lsl     r2, r2, #4", "lsl     r2, r2, #3", "kept inputs"),
    ("mve", "listed / 2U * two_bytes", "listed / 2U * 32U", "applied weights"),
    ("mve", "SPELA_SMALL 65024U", "SPELA_SMALL 65536U", "applied weights"),
    ("mve", "state = tile.state", "state = batch->state = tile.state", "applied"),
    ("mve", "vorr    q5, q5, q6", "vmov    q5, q6", "applied weights"),
    (
        "mve",
        '"vorrt   q5, q5, q7\\n"\n        "vstrh.16 q6, [r9], #16\\n"\n'
        '        "vstrh.16 q7, [r9], #16\\n"\n        "cmp',
        '"vmovt   q5, q7\\n"\n        "vstrh.16 q6, [r9], #16\\n"\n'
        '        "vstrh.16 q7, [r9], #16\\n"\n        "cmp',
        "applied weights",
    ),
    ("mve", 'other ", q5, q7', 'other ", q4, q7', "applied weights"),
    ("mve", "vqadd.s8 q4, q4, q5", "vadd.i8 q4, q4, q5", "applied weights"),
    ("mve", "vqmovnt.s16 q3, q5", "vmovnt.i16 q3, q5", "applied weights"),
    ("mve", "vldrw.u32 q4, [r12]", "vldrw.u32 q3, [r12]", "registers"),
    ("mve", "vldrw.u32 q7, [r12, #48]", "vldrw.u32 q3, [r12, #48]", "registers"),
    ("armv7-m", "if (left == 0U)", "if (left <= 1U)", "applied weights"),
    ("armv7-m", "kept += 4U * batch->stride", "kept += 4U * count", "applied weights"),
    ("armv7-m", "dither[i] = state", "dither[i] = (batch->state = state)", "applied"),
    ("armv7-m", "orr     r3, r3, r12", "mov     r3, r12", "applied weights"),
    ("armv7-m", "ssat    r5, #8, r5", "ssat    r5, #9, r5", "applied weights"),
    ("armv6-m", "orrs    r3, r3, r7", "movs    r3, r7", "applied weights"),
    ("armv6-m", 'r10, " x2', 'r10, " x1', "applied weights"),
    ("armv6-m", "lsrs    r5, r5, #16", "lsrs    r5, r5, #15", "applied weights"),
    ("armv6-m", "orrs    r2, r2, r4", "orrs    r2, r2, r3", "applied weights"),
    ("armv6-m", 'sxth    r5, " both', 'uxth    r5, " both', "applied weights"),
    ("armv6-m", "ldr     r6, [sp, #16]", "ldr     r6, [sp, #20]", "applied weights"),
    ("portable", "k < batch->count; k++", "k + 1U < batch->count; k++", "applied weights"),
    ("portable", "i < 4U * batch->count", "i < 2U * batch->count", "applied weights"),
    ("portable", "low, high)", "low + 1, high)", "weights"),
    ("portable", "saturated <= limit", "saturated < limit", "relieved"),
    ("portable", "weight + odd", "weight + 0 * odd", "halved"),
    ("portable", "(ends >> 7) * ones", "(ends >> 6) * ones", "relieved"),
    ("portable", "raised & halves & ones", "raised & ones", "halved"),
]
FILES = {
    "sse2": "spela_kernels_sse2.c",
    "dsp": "spela_kernels_dsp.c",
    "dsp, applied": "spela_kernels_dsp_t*.c",
    "dsp, int16": "spela_kernels_dsp_int16.c",
    "armv7-m": "spela_kernels_thumb*.c",
    "armv6-m": "spela_kernels_thumb*.c",
    "mve": "spela_kernels_mve*.c",
}
PORTABLE = "spela_kernels_*.h"


def file_with(kernels, text):
    """The file of a kernel set that holds a text, once."""
    files = (HOST if kernels == "sse2" else RUNTIME).glob(FILES.get(kernels, PORTABLE))
    (found,) = (file.name for file in files if file.read_text().count(text) == 1)
    return found


@pytest.mark.parametrize(
    ("kernels", "right", "wrong", "what"),
    [pytest.param(*fault, marks=run_by(fault[0]), id=f"{fault[0]}-{fault[1]}") for fault in FAULTS],
)
def test_a_planted_fault_is_found(kernels, right, wrong, what, tmp_path):
    change = (file_with(kernels, right), right, wrong)
    all_widths = kernels in {"portable", "dsp, applied", "dsp, int16"}
    widths = (0, 8, 12, 16) if all_widths else (0,)
    kernels = kernels.partition(", ")[0]
    elf = build_program(kernels, "gcc", tmp_path, change)

    @settings(max_examples=100, phases=[Phase.generate], database=None, derandomize=True)
    @given(some=st.lists(cases(widths), min_size=5, max_size=10))
    def hold(some):
        check(kernels, elf, some)

    with pytest.raises(AssertionError, match=f"^({what})"):
        hold()

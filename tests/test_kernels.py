"""The kernels of every core, on that core, against numpy: any shape, any weights, any inputs."""

from functools import lru_cache

import pytest
from host_process import RUNTIME
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import cases, many_cases
from kernel_programs import HOST, KERNELS, build_program, check, check_many, run_by

pytestmark = pytest.mark.xdist_group("kernels")  # each set is compiled once


@pytest.fixture(scope="module")
def built(compile_object, tmp_path_factory):
    """The program for some kernels by some compiler, built once."""

    @lru_cache
    def build(kernels, compiler):
        return build_program(compile_object, kernels, compiler, tmp_path_factory.mktemp("kernels"))

    return build


@pytest.mark.parametrize("compiler", ["gcc", "zig"])
@pytest.mark.parametrize("kernels", [pytest.param(k, marks=run_by(k)) for k in KERNELS])
@settings(max_examples=20)
@given(some=st.lists(cases(), min_size=4, max_size=10))
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
    ("sse2, int16", "(weights + 8)", "(weights + 4)", "sums"),
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
    # RISC-V: sixteen rows at a time and four, and what the last columns are.
    ("riscv", "andi    a3, a2, 3", "andi    a3, a2, 1", "inputs"),
    ("riscv", '"sb      zero, 0(a2)', '"sb      a3, 0(a2)', "inputs"),
    ("riscv", "spela_column_16 6, 18", "spela_column_16 6, 19", "sums"),
    ("riscv", '"lb      t5, \\\\column+8', '"lb      t5, \\\\column+7', "sums"),
    ("riscv", "column, s8, s9, s10, s11", "column, s8, s9, s11, s10", "sums"),
    ("riscv", "weights, -16", "weights, -15", "sums"),
    ("riscv", "mv      a0, a3", "mv      a0, a2", "sums"),
    ("riscv", "sw      t2, 56(a4)", "sw      t1, 56(a4)", "sums"),
    ("riscv", "sw      s3, 12(a3)", "sw      s2, 12(a3)", "sums"),
    ("riscv", "a5, s4, -8, bge, 127", "a5, s4, -8, bge, 126", "weights"),
    ("riscv", "a4, s3, 8, ble, -128", "a4, s3, 8, ble, -127", "weights"),
    ("riscv", "bltz, bgez, a5, s4, -8", "bltz, bgez, a4, s3, 8", "weights"),
    ("riscv", "srli    s1, t4, 16", "srli    s1, t4, 17", "weights"),
    (
        "riscv",
        'lw      t0, 0(a1)\\n"\n        "bnez',
        'lh      t0, 0(a1)\\n"\n        "bnez',
        "weights",
    ),
    ("riscv", "sw      t4, 12(a2)", "sw      t2, 12(a2)", "state"),
    ("riscv", ".multiplier > row.multiplier", ".multiplier < row.multiplier", "weights"),
    ("riscv", "spare == first ? 0 : 1", "spare == first ? 1 : 0", "weights"),
    ("riscv", "pair + 2, update->state", "pair + 2, ~update->state", "weights"),
    ("riscv", "lw      s\\\\n, 12+4", "lw      s\\\\n, 8+4", "registers"),
    (
        "riscv",
        '3, 4\\n"\n        "lw      s\\\\n, 4*\\\\n(sp)',
        '3, 4\\n"\n        "lw      s\\\\n, 4(sp)',
        "registers|weights",
    ),
    ("riscv", "= blocks[block]", "= blocks[0U * block]", "kept inputs"),
    ("riscv", "lh      t5, 2*", "lb      t5, 2*", "applied weights"),
    ("riscv", '"spela_term 1', '"spela_term 0', "applied weights"),
    ("riscv", "li      a3, 256", "li      a3, 257", "applied weights"),
    ("riscv", "\\\\sum, 127", "\\\\sum, 126", "applied weights"),
    ("riscv", "(batch->count + 1U) / 2U", "(batch->count + 2U) / 3U", "applied weights"),
    ("riscv", "batch->state = state", "batch->state = 0U", "applied state"),
    (
        "riscv",
        '5, 6\\n"\n        "lw      s\\\\n, 4*\\\\n(sp)',
        '5, 6\\n"\n        "lw      s\\\\n, 4(sp)',
        "registers|applied weights",
    ),
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
    ("portable, halves", "value + (spela_shift_right(value, 1U) & 1)", "value", "halved"),
    ("portable, ends", "(ends >> 7) * ones", "(ends >> 6) * ones", "relieved"),
    ("portable", "raised & halves & ones", "raised & ones", "halved"),
]
FILES = {
    "sse2": "spela_kernels_sse2.c",
    "sse2, int16": "spela_kernels_sse2.c",
    "dsp": "spela_kernels_dsp.c",
    "dsp, applied": "spela_kernels_dsp_t*.c",
    "dsp, int16": "spela_kernels_dsp_int16.c",
    "armv7-m": "spela_kernels_thumb*.c",
    "armv6-m": "spela_kernels_thumb*.c",
    "mve": "spela_kernels_mve*.c",
    "riscv": "spela_kernels_riscv*.c",
    "portable, halves": "spela_arithmetic.h",
    "portable, ends": "spela_kernels.h",
}
PORTABLE = "spela_kernels_*.h"


def file_with(kernels, text):
    """The file of a kernel set that holds a text, once."""
    files = (HOST if kernels.startswith("sse2") else RUNTIME).glob(FILES.get(kernels, PORTABLE))
    (found,) = (file.name for file in files if file.read_text().count(text) == 1)
    return found


@pytest.mark.parametrize(
    ("kernels", "right", "wrong", "what"),
    [pytest.param(*fault, marks=run_by(fault[0]), id=f"{fault[0]}-{fault[1]}") for fault in FAULTS],
)
def test_a_planted_fault_is_found(compile_object, kernels, right, wrong, what, tmp_path):
    change = (file_with(kernels, right), right, wrong)
    all_widths = kernels in {"sse2, int16", "dsp, applied", "dsp, int16"}
    kernels = kernels.partition(", ")[0]
    all_widths |= kernels == "portable"
    program = build_program(compile_object, kernels, "gcc", tmp_path, change)
    with pytest.raises(AssertionError, match=f"^({what})"):
        check_many(kernels, program, many_cases((0, 8, 12, 16) if all_widths else (0,)))

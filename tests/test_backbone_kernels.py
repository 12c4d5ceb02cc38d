"""Every kind of operator in C, on this machine and on the cores, against numpy."""

import subprocess
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from backbone_graphs import graphs, samples_for
from backbone_operators import MAKERS, WINDOWED, Whole, assign, cases, layout, tap
from cffi import FFI
from host_process import RUNTIME, SANITIZED, plant
from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st
from kernel_programs import CASES, LINKER_SCRIPT
from test_backbone_exactness import FOLDER, MODELS

from spela_mcu.backbone.load import read_backbone
from spela_mcu.backbone.structures import BACKBONE_FIELDS, OPERATOR_FIELDS
from spela_mcu.cores import CORES
from spela_mcu.errors import UserError
from spela_mcu.firmware.board import load_board
from spela_mcu.firmware.elf import read_elf
from spela_mcu.firmware.toolchain import WARNING_FLAGS, find_compiler
from spela_mcu.fixed_point.layout import rounded_up
from spela_mcu.fixed_point.structures import POINTER
from spela_mcu.host.network import declarations, host_compiler
from spela_mcu.simulators.qemu_process import qemu_program

pytestmark = pytest.mark.xdist_group("operators")  # cases are drawn once

PROGRAM = RUNTIME.parents[1] / "tests" / "c" / "backbone.c"
BACKBONE = RUNTIME.parent / "backbone"
MEMORY = RUNTIME.parent / "ports" / "memory.c"
IMAGE, STACK, ARENA, BACK = 0x20000000, 0x20100000, 0x20100100, 0xFF00
MOST = 100_000_000
"""Instructions after which an operator has gone astray."""
SAVED = {4: 0x44444444, 5: 5, 6: 6, 7: 0x77, 8: 8, 9: 9, 10: 10, 11: 0xBBBB}
"""What the caller keeps in these registers."""

REFUSED = 4
"""What tests/c/backbone.c answers then."""

UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)
"""A case that fails is told in full; to shrink a list of them takes minutes."""

KERNELS = {
    "armv6-m": ("nucleo-g071rb", ()),
    "armv7-m": ("mps2-an385", ()),
    "dsp": ("mps2-an386", ()),
    "dsp, armv8-m": ("mps2-an505", ()),
    "portable": ("mps2-an386", ("SPELA_PORTABLE_KERNELS",)),
}
"""A board of each core, and the macros that the runtime is compiled with."""


def copied(directory, change):
    """The sources in a directory; a fault may be planted in one."""
    headers = [RUNTIME / "spela_arithmetic.h", RUNTIME / "spela_config.h"]
    # Not the front, which belongs to the network behind the backbone.
    operators = [file for file in BACKBONE.iterdir() if file.stem != "spela_front"]
    for file in [*headers, *RUNTIME.glob("spela_kernels*"), *operators]:
        (directory / file.name).write_text(file.read_text())
    if change is not None:
        plant(directory / change[0], *change[1:])
    return sorted(directory.glob("*.c"))


class OnHost:
    """The runtime as a process of this machine, under the sanitizers."""

    def __init__(self, directory, change=None):
        self.program = directory / "backbone"
        flags = ["-std=c99", "-O1", *WARNING_FLAGS, "-Werror", *SANITIZED, f"-I{directory}"]
        sources = [PROGRAM, *copied(directory, change)]
        subprocess.run([*host_compiler(), *flags, *sources, "-o", self.program], check=True)

    def run(self, some):
        """The output of each case."""
        sent = []
        for case in some:
            image, arena = case.image("<u8", 0), case.arena()
            sent.append(np.array([len(image), len(arena)], "<u4").tobytes() + image + arena)
        done = subprocess.run(
            [self.program], input=b"".join(sent), capture_output=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr.decode()[-2000:]
        sizes = [case.size for case in some]
        ends = np.cumsum(sizes)
        return [done.stdout[end - size : end] for size, end in zip(sizes, ends, strict=True)]


class InUnicorn:
    """The runtime in a core without anything around it."""

    def __init__(self, compile_object, kernels, compiler, directory, change=None):
        unicorn = pytest.importorskip("unicorn")
        from unicorn import arm_const

        self.registers, self.error = arm_const, unicorn.UcError
        board_id, defines = KERNELS[kernels]
        board = load_board(board_id)
        try:
            found = find_compiler(compiler)
        except UserError as error:
            pytest.skip(str(error))
        script = directory / "linker.ld"
        script.write_text(LINKER_SCRIPT.replace("KEEP(*(.vectors)) ", ""))
        (directory / MEMORY.name).write_text(MEMORY.read_text())
        flags = [*found.compile_flags(board, "O2"), "-Werror", "-I."]
        flags += [f"-D{define}" for define in defines]
        objects = []
        for source in copied(directory, change):
            objects.append(source.with_suffix(".o"))
            command = [*found.command, *flags, "-c", source.name, "-o", str(objects[-1])]
            compile_object(command, directory)
        elf = directory / "backbone.elf"
        link = [*found.link_flags(board, str(script)), "-Wl,-e,spela_backbone_run"]
        link += ["-Wl,-u,spela_backbone_run", "-Wl,-u,spela_backbone_is_valid"]
        subprocess.run([*found.command, *objects, *link, "-o", elf], check=True)
        self.symbols = read_elf(elf)
        machine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
        machine.ctl_set_cpu_model(getattr(arm_const, f"UC_CPU_{CORES[board.core].unicorn}"))
        machine.mem_map(0, 0x10000, unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC)
        machine.mem_map(IMAGE, 0x200000, unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE)
        for address, content in self.symbols.load_segments:
            machine.mem_write(address, content)
        self.machine = machine

    def call(self, symbol, *arguments):
        """What a function returns, having kept the caller's registers."""
        machine, arm = self.machine, self.registers
        for number, value in SAVED.items():
            machine.reg_write(getattr(arm, f"UC_ARM_REG_R{number}"), value)
        for number, value in enumerate(arguments[:4]):
            machine.reg_write(getattr(arm, f"UC_ARM_REG_R{number}"), value)
        for number, value in enumerate(arguments[4:]):
            machine.mem_write(STACK + 4 * number, value.to_bytes(4, "little"))
        machine.reg_write(arm.UC_ARM_REG_SP, STACK)
        machine.reg_write(arm.UC_ARM_REG_LR, BACK | 1)
        try:
            machine.emu_start(self.symbols.by_name[symbol].address | 1, BACK, count=MOST)
        except self.error as error:
            raise AssertionError(f"memory of others: {error}") from error
        kept = {n: machine.reg_read(getattr(arm, f"UC_ARM_REG_R{n}")) for n in SAVED}
        assert kept == SAVED, "registers of the caller"
        assert machine.reg_read(arm.UC_ARM_REG_SP) == STACK, "registers of the caller"
        return machine.reg_read(arm.UC_ARM_REG_R0)

    def run(self, some):
        """The output of each case."""
        outputs = []
        for case in some:
            image, arena = case.image("<u4", IMAGE), case.arena()
            around = b"\xa5" * 64
            self.machine.mem_write(IMAGE, image)
            self.machine.mem_write(ARENA - 64, around + arena + around)
            assert self.call("spela_backbone_is_valid", IMAGE) == 1, f"{case} is refused"
            features = self.call("spela_backbone_run", IMAGE, 0, ARENA, 0, case.count)
            outputs.append(bytes(self.machine.mem_read(features, case.size)))
            assert self.machine.mem_read(IMAGE, len(image)) == image, f"constants of {case}"
            before = self.machine.mem_read(ARENA - 64, 64)
            behind = self.machine.mem_read(ARENA + len(arena), 64)
            assert (before, behind) == (around, around), f"memory of others at {case}"
        return outputs


class InQemu:
    """The runtime in a core that only QEMU simulates."""

    def __init__(self, compiler, directory, change=None):
        board, found = load_board("mps3-an547"), find_compiler(compiler)
        self.machine = board.simulators.qemu.machine
        script = directory / "linker.ld"
        script.write_text(LINKER_SCRIPT)
        flags = [*found.compile_flags(board, "O2"), "-Werror", f"-I{directory}"]
        memory = RUNTIME.parent / "ports" / "memory.c"
        objects = []
        for source in (PROGRAM.with_name("backbone_core.c"), memory, *copied(directory, change)):
            objects.append(directory / f"{source.stem}.o")
            subprocess.run([*found.command, *flags, "-c", source, "-o", objects[-1]], check=True)
        self.elf = directory / "backbone.elf"
        link = [*found.link_flags(board, str(script)), "-Wl,-u,vectors", "-Wl,-e,start"]
        subprocess.run([*found.command, *objects, *link, "-o", self.elf], check=True)

    def run(self, some):
        """The output of each case: that expected, up to the first that differs."""
        table, data = [len(some)], bytearray()
        first = rounded_up(4 + 16 * len(some), 16)
        for case in some:
            addresses = []
            for part in (case.image("<u4", CASES + first + len(data)), case.arena(), case.expected):
                addresses.append(CASES + first + len(data))
                data += part + bytes(-len(part) % 16)
            table += [*addresses, case.size]
        file = self.elf.with_suffix(".cases")
        file.write_bytes(np.array(table, "<u4").tobytes().ljust(first, b"\0") + data)
        done = subprocess.run(
            [
                *(qemu_program(), "-M", self.machine, "-kernel", self.elf),
                *("-device", f"loader,file={file},addr={CASES:#x},force-raw=on"),
                *("-semihosting-config", "enable=on,target=native"),
                *("-display", "none", "-monitor", "none", "-serial", "none"),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        wrong = int(done.stdout + done.stderr, 16) - 1
        return [case.expected if i != wrong else b"" for i, case in enumerate(some)]


def check(runner, some):
    """Runs cases; fails with the first that goes wrong."""
    for case, output in zip(some, runner.run(some), strict=True):
        assert output == case.expected, f"output of {case}"


@pytest.fixture(scope="module")
def built(compile_object, tmp_path_factory):
    """Runtimes, each built once."""

    @lru_cache
    def build(kernels, compiler):
        directory = tmp_path_factory.mktemp("backbone")
        if kernels == "host":
            return OnHost(directory)
        if kernels == "mve":
            return InQemu(compiler, directory)
        return InUnicorn(compile_object, kernels, compiler, directory)

    return build


@settings(max_examples=20, phases=UNSHRUNK)
@given(some=st.lists(cases(), min_size=5, max_size=20))
def test_operators_on_this_machine_equal_numpy(built, some):
    check(built("host", None), some)


@pytest.mark.needs_simulator("unicorn")
@pytest.mark.parametrize("compiler", ["gcc", "zig"])
@pytest.mark.parametrize("kernels", KERNELS)
@settings(max_examples=10, phases=UNSHRUNK)
@given(some=st.lists(cases(), min_size=5, max_size=20))
def test_operators_on_the_cores_equal_numpy(built, kernels, compiler, some):
    check(built(kernels, compiler), some)


@pytest.mark.needs_simulator("qemu")
def test_operators_with_mve_equal_numpy(built, many_cases):
    for first in range(0, 300, 30):
        check(built("mve", "gcc"), many_cases[first : first + 30])


# A file, right, wrong.
MVE_FAULTS = [
    ("spela_requantize_mve.c", "vadd.i32 q3, q3, q2", "nop"),
    ("spela_requantize_mve.c", "vrmulh.s32 q3", "vmulh.s32 q3"),
    ("spela_requantize_mve.c", "vadd.i32 q0, q0, r4", "nop"),
    ("spela_depthwise_mve.c", "add     r3, r3, r8", "nop"),
]


@pytest.mark.needs_simulator("qemu")
@pytest.mark.parametrize("fault", MVE_FAULTS, ids=lambda fault: fault[1])
def test_a_planted_fault_is_found_with_mve(many_cases, fault, tmp_path):
    faulty = InQemu("gcc", tmp_path, fault)

    with pytest.raises(AssertionError, match=r"^output"):
        for first in range(0, len(many_cases), 100):
            check(faulty, many_cases[first : first + 100])


@seed(7)
@settings(max_examples=10, phases=UNSHRUNK)
@given(some=st.lists(cases([tap]), min_size=3, max_size=10))
def test_taps_equal_numpy(built, some):
    check(built("host", None), some)
    check(built("dsp", "gcc"), some)


@seed(41)
@settings(max_examples=10, phases=UNSHRUNK)
@given(graphs(most=4, largest=6))
def test_whole_backbones_equal_numpy(built, tmp_path_factory, graph):
    model, _ = graph
    file = tmp_path_factory.mktemp("model") / "model.tflite"
    file.write_bytes(model.build())
    plan = read_backbone(file)
    some = [Whole(plan, one) for one in samples_for(plan.sample.shape, np.random.default_rng(0), 2)]
    check(built("host", None), some)
    check(built("dsp", "gcc"), some)


@pytest.mark.skipif(not FOLDER, reason="SPELA_MLPERF_TINY names no directory with the models")
@pytest.mark.needs_simulator("unicorn")
@pytest.mark.parametrize("name", MODELS)
def test_the_models_of_mlperf_tiny_equal_numpy(built, name):
    plan = read_backbone(Path(FOLDER) / name)
    sample = np.random.default_rng(1).integers(-128, 128, plan.sample.shape.size).astype(np.int8)
    some = [Whole(plan, sample)]
    check(built("host", None), some)
    check(built("dsp", "gcc"), some)


@pytest.fixture(scope="module")
def many_cases():
    """Always the same ones, drawn once."""
    found = []

    @settings(max_examples=500, phases=[Phase.generate], database=None, derandomize=True)
    @given(some=st.lists(cases(MAKERS + 2 * WINDOWED), min_size=10, max_size=20))
    def collect(some):
        found.extend(some)

    collect()
    return found


# Kernels, a file, right, wrong: a slip in every kind.
PORTABLE_FAULTS = [
    ("spela_requantize.h", "twice < 0 ? 1", "twice < 0 ? 0"),
    ("spela_requantize.h", "INT64_C(1) << 31", "INT64_C(0) << 31"),
    ("spela_requantize.h", "INT64_C(1) << 30", "INT64_C(1) << 29"),
    ("spela_requantize.h", "high < 0 ? 1U : 0U", "0U"),
    ("spela_requantize.h", "value > op->maximum ? op->maximum", "value > 127 ? 127"),
    (
        "spela_convolution.c",
        "fill(patch, op->fill, (uint32_t)(first",
        "fill(patch, 0, (uint32_t)(first",
    ),
    ("spela_convolution.c", "op->input.height) {", "op->input.height + 1) {"),
    ("spela_convolution.c", "x < 0 || x >= width", "x < 0 || x > width"),
    ("spela_convolution.c", "op->window.width == op->input.width)", "true)"),
    ("spela_depthwise.c", "i * op->input.width * step", "i * op->output.width * step"),
    (
        "spela_depthwise.c",
        "at += window->step;\n            }\n        }",
        "at += 1U;\n            }\n        }",
    ),
    ("spela_depthwise.c", "c % copies == 0U", "c == 0U"),
    ("spela_depthwise.c", "taps_2[2] * right", "taps_2[1] * right"),
    ("spela_depthwise.c", "down.count > across.count ? across : down", "across"),
    ("spela_requantize.c", "channel += line->channel_step", "channel += 1U"),
    ("spela_pool.c", "magnitude + count / 2U", "magnitude + (count - 1U) / 2U"),
    ("spela_pool.c", "sum < 0 ? -mean : mean", "mean"),
    ("spela_pool.c", "is_max ? INT8_MIN : 0", "0"),
    ("spela_elementwise.c", "ADDEND_SHIFT 20U", "ADDEND_SHIFT 19U"),
    ("spela_elementwise.c", "k + 1U < op->constant_count", "k < op->constant_count"),
    ("spela_elementwise.c", "maps->sources[1][i], &channels[1])", "maps->sources[1][i], channels)"),
    ("spela_pad.c", "column < op->input.width", "column <= op->input.width"),
    ("spela_elementwise.c", "bias) << channel->rounding", "bias) << 21"),
]
DSP_FAULTS = [
    ("spela_convolution_dsp.c", "orr     r3, r12, r3, lsl #8", "orr     r3, r12, r3, lsl #7"),
    ("spela_convolution_dsp.c", "smlad   r11, r9, r7, r11", "smlad   r11, r9, r5, r11"),
    ("spela_convolution_dsp.c", "mov     r10, #0", "mov     r10, #0x40000000"),
    ("spela_convolution_dsp.c", '"asr     " to_second', '"lsr     " to_second'),
    ("spela_convolution_dsp.c", "sub     r7, r1, r7", "sub     r7, r7, r1"),
    ("spela_convolution_dsp.c", "strb    r3, [r6, #1]", "strb    r2, [r6, #1]"),
    ("spela_depthwise_take.c", "add     r0, r0, r4, lsl #1", "add     r0, r0, r4, lsl #2"),
    ("spela_depthwise_take.c", "beq     9f", "nop"),
    ("spela_depthwise_dsp.c", 'smlabt  r11, r12, " w12 ", r11', 'smlabt  r11, lr, " w12 ", r11'),
    ("spela_depthwise_dsp.c", '[" row ", #8]', '[" row ", #4]'),
    ("spela_depthwise_dsp.c", "ssat    r12, #8", "ssat    r12, #7"),
    ("spela_depthwise_dsp.c", "add     r10, r10, r11", "nop"),
    ("spela_depthwise_dsp.c", 'smlatb  r3, lr, " w01', 'smlatb  r3, lr, " w12'),
    ("spela_depthwise_dsp.c", 'smlabt  r3, r12, " w12', 'smlabt  r3, lr, " w12'),
    ("spela_depthwise_dsp.c", "ssat    r3, #8, r3, asr #10", "ssat    r3, #8, r3, asr #9"),
    ("spela_depthwise_planes.c", "(uint32_t)second << 16", "(uint32_t)second << 15"),
    ("spela_depthwise_planes.c", "UINT32_C(1) << (scale - 2U)", "UINT32_C(1) << (scale - 1U)"),
    ("spela_depthwise_planes.c", "channel->shift <= op->minimum", "channel->shift <= op->maximum"),
    ("spela_depthwise_planes.c", "width % 2U", "width % 1U"),
    ("spela_elementwise_dsp.c", '"asr     " sum ", " sum ", r9', '"lsr     " sum ", " sum ", r9'),
    ("spela_elementwise_dsp.c", "bfi     r10, r12, #16", "bfi     r10, r12, #8"),
    ("spela_elementwise_dsp.c", "ldrd    r8, r9, [sp, #32]", "ldrd    r8, r9, [sp, #12]"),
    ("spela_convolution_dsp.c", "add     sp, #28", "add     sp, #24"),
]
ARMV7_FAULTS = [
    ("spela_requantize_thumb.c", "lsls    r0, r0, #1", "lsls    r0, r0, #2"),
    ("spela_requantize_thumb.c", "lr, r7, asr #31", "lr, r0, asr #31"),
    ("spela_convolution_thumb.c", "mla     r8, r12, r11, r8", "mla     r8, r12, r10, r8"),
    ("spela_convolution.c", "pairs += 2U * SPELA_PAIR_WORDS", "pairs += SPELA_PAIR_WORDS"),
    ("spela_convolution.c", "left < 4U ? left : 4U", "left < 5U ? 4U : 4U"),
    ("spela_depthwise_thumb.c", '"ldrsh   r12, [r0, #16]', '"ldrsh   r12, [r0, #14]'),
    ("spela_depthwise_thumb.c", "ssat    lr, #8, lr", "ssat    lr, #9, lr"),
    ("spela_depthwise_planes.c", "ROW_ENDS_AT(columns) (columns)", "ROW_ENDS_AT(columns) 4U"),
]
ARMV6_FAULTS = [
    ("spela_requantize.h", "(product.middle >> 14) + 1", "(product.middle >> 14) + 0"),
    ("spela_requantize.h", "(product.middle >> 15) + 1", "(product.middle >> 15) + 0"),
    ("spela_requantize.h", "(low * factor_low >> 16)", "0U"),
    ("spela_requantize_thumb.c", "adcs    r5, r7", "adds    r5, r5, r7"),
    ("spela_requantize_thumb.c", "asrs    r4, r4, #31", "movs    r4, #0"),
]
FAULTS = [
    (kernels, *fault)
    for kernels, faults in (
        ("portable", PORTABLE_FAULTS),
        ("dsp", DSP_FAULTS),
        ("armv7-m", ARMV7_FAULTS),
        ("armv6-m", ARMV6_FAULTS),
    )
    for fault in faults
]


@pytest.mark.needs_simulator("unicorn")
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault[1]}-{fault[2][:30]}")
def test_a_planted_fault_is_found(compile_object, many_cases, fault, tmp_path):
    kernels, *change = fault
    faulty = InUnicorn(compile_object, kernels, "gcc", tmp_path, change)

    with pytest.raises(AssertionError, match=r"^(output|registers|memory)"):
        for case in many_cases:
            check(faulty, [case])


def damaged(case, rng):
    """A case's image with another value in one to three fields of its operator."""
    image = bytearray(case.image("<u8", 0))
    whole, one = layout(BACKBONE_FIELDS, "<u8"), layout(OPERATOR_FIELDS, "<u8")
    structure = np.frombuffer(image, one, 1, rounded_up(whole.itemsize, 16))
    for field in rng.choice(DAMAGED, rng.integers(1, 4)):
        limits = np.iinfo(field.type)
        values = [limits.min, limits.max, *rng.integers(0, 12, 4), *rng.integers(0, 400, 2)]
        value = rng.choice([one for one in values if one <= limits.max])
        assign(structure, field.name, value)
    return bytes(image) + bytes(1 << 16)


# Nothing tells how long tables are: what counts their entries is left as it is, and there is room
# behind them.
COUNTS = ("constant_count", "output.channels", "kind")
DAMAGED = [f for f in OPERATOR_FIELDS if f.type != POINTER and f.name not in COUNTS]


@settings(max_examples=10, phases=UNSHRUNK)
@given(case=cases(), number=st.integers(0, 2**32 - 1))
def test_a_damaged_table_is_refused_or_harmless(built, case, number):
    """No field can lead a kernel out of the memory that it is given: the sanitizers watch."""
    rng, arena = np.random.default_rng(number), case.arena()
    images = [damaged(case, rng) for _ in range(100)]
    sent = b"".join(
        np.array([len(image), len(arena)], "<u4").tobytes() + image + arena for image in images
    )
    done = subprocess.run(
        [built("host", None).program], input=sent, capture_output=True, timeout=60, check=False
    )
    assert done.returncode in (0, REFUSED), done.stderr.decode()[-2000:]


def test_the_lists_of_fields_are_the_headers():
    from test_structures import members

    ffi = FFI()
    ffi.cdef(declarations((BACKBONE / "spela_backbone.h").read_text()))
    for name, fields in (
        ("spela_operator_t", OPERATOR_FIELDS),
        ("spela_backbone_t", BACKBONE_FIELDS),
    ):
        assert [(field.name, field.type) for field in fields] == list(members(ffi.typeof(name)))

"""A Cortex-M of core, memory and flash, whose power can fail at any flash operation."""

import random
import re

import unicorn
from elftools.elf.elffile import ELFFile
from unicorn import arm_const

RAM, MAILBOX, SYSTEM = 0x20000000, 0x50000000, 0xE000E000
RETURNED = 0x30000000
"""Where an exception's handler returns to; nothing is there."""
ISB = b"\xbf\xf3\x6f\x8f"


class Flash:
    """What outlives the chip's power. A chip's flash says what of it can be cut, and when.

    Attributes:
        start, content: the bytes that can be changed, and where they lie.
        operations: how many there were, those cut included.
        is_dead: the power has failed.
        fault: what the firmware did that the chip does not forgive.
    """

    cpu = arm_const.UC_CPU_ARM_CORTEX_M4
    program_start = 0x08000000
    devices = ()
    """(address, load, store) of blocks of registers, each of a page."""

    def __init__(self, start, size, seed=1):
        self.start = start
        self.content = bytearray(b"\xff" * size)
        self.cut_after = None
        self.operations = 0
        self.is_dead = False
        self.fault = None
        self.has_nmi = False
        self.random = random.Random(seed)
        self.reset()

    def reset(self):
        """Sets the controller as it is when the power comes."""

    def power_on(self, cut_after=None):
        """Resets the controller; the power fails at the operation after so many, if not None."""
        self.cut_after, self.is_dead, self.has_nmi = cut_after, False, False
        self.reset()

    def attach(self, uc):
        """Puts what can be changed into the core's memory."""
        memory = _callbacks(uc, self, self.read, self.write)
        uc.mmio_map(self.start, len(self.content), *memory)

    def keep(self):
        """What `restore` brings back."""
        return bytes(self.content)

    def restore(self, kept):
        self.content[:] = kept

    def read(self, offset, size=4):
        return int.from_bytes(self.content[offset : offset + size], "little")

    def change(self, start, target):
        """Programs or erases, or does half of it if the power fails; whether it was all done."""
        if self.is_dead:
            return False
        self.operations += 1
        if self.cut_after == 0:
            self.is_dead = True
            kind = self.random.randrange(4)
            for at, to in enumerate(target):
                before = self.content[start + at]
                done = (0, 255, self.random.randrange(256), 255 * (at < len(target) // 2))[kind]
                self.content[start + at] = before & ~done | to & done
            return False
        if self.cut_after is not None:
            self.cut_after -= 1
        self.content[start : start + len(target)] = target
        return True


def _callbacks(uc, flash, load, store):
    """What Unicorn calls for a block of memory; the core stops when the power fails."""

    def stored(_, offset, size, value, __):
        store(offset, size, value)
        if flash.is_dead:
            uc.emu_stop()

    return lambda _, offset, size, __: load(offset, size), None, stored, None


def run(elf, flash, cut_after=None):
    """Starts the chip with this flash; what it says until it resets itself, or the power fails."""
    flash.power_on(cut_after)
    said = []
    uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
    uc.ctl_set_cpu_model(flash.cpu)
    uc.mem_map(flash.program_start, flash.start - flash.program_start)
    uc.mem_map(RAM, 0x40000)
    ended = False

    def store_system(offset, _, value):
        nonlocal ended
        if (offset, value) == (0xD0C, 0x05FA0004):
            ended = True
            uc.emu_stop()

    def say(_, __, value):
        nonlocal ended
        if not flash.is_dead:
            said.append(chr(value))
        if value == ord("."):
            ended = True
            uc.emu_stop()

    def take_nmi(*_):
        """An exception that waits is taken before a barrier ends, or earlier."""
        if flash.has_nmi:
            uc.emu_stop()

    flash.attach(uc)
    for address, load, store in flash.devices:
        uc.mmio_map(address, 0x1000, *_callbacks(uc, flash, load, store))
    uc.mmio_map(SYSTEM, 0x1000, *_callbacks(uc, flash, lambda *_: 0, store_system))
    uc.mmio_map(MAILBOX, 0x1000, *_callbacks(uc, flash, lambda *_: 0, say))
    with elf.open("rb") as file:
        program = ELFFile(file)
        for segment in program.iter_segments("PT_LOAD"):
            if segment["p_filesz"]:
                uc.mem_write(segment["p_paddr"], segment.data())
                for found in re.finditer(ISB, segment.data()):
                    at = segment["p_paddr"] + found.start()
                    uc.hook_add(unicorn.UC_HOOK_CODE, take_nmi, begin=at, end=at)
        table = program.get_section_by_name(".symtab").get_symbol_by_name("port_vectors")[0]
    vectors = [
        int.from_bytes(uc.mem_read(table["st_value"] + 4 * at, 4), "little") for at in range(3)
    ]
    uc.reg_write(arm_const.UC_ARM_REG_SP, vectors[0])
    pc = vectors[1]
    while True:
        try:
            uc.emu_start(pc, RETURNED, timeout=5_000_000)
        except unicorn.UcError as error:
            return flash.fault or str(error)
        if ended or flash.is_dead or flash.fault or not flash.has_nmi:
            return flash.fault or "".join(said).strip()
        # The core takes the exception: what it pushes is kept here.
        pc = uc.reg_read(arm_const.UC_ARM_REG_PC) | 1
        context = uc.context_save()
        uc.reg_write(arm_const.UC_ARM_REG_LR, RETURNED | 1)
        uc.emu_start(vectors[2], RETURNED, timeout=1_000_000)
        if flash.has_nmi:
            return "the NMI is taken again and again"
        uc.context_restore(context)

"""An STM32F4 of core, memory and flash controller, whose power can fail at any flash operation."""

import random

import unicorn
from elftools.elf.elffile import ELFFile
from unicorn import arm_const

FLASH, RAM, MAILBOX, SYSTEM = 0x08000000, 0x20000000, 0x50000000, 0xE000E000
SECTORS = (*[0x4000] * 4, 0x10000, *[0x20000] * 7)
KEYS = (0x45670123, 0xCDEF89AB)
PG, SER, STRT, LOCK = 1 << 0, 1 << 1, 1 << 16, 1 << 31
WRPERR, PGPERR, PGSERR, BSY = 1 << 4, 1 << 6, 1 << 7, 1 << 16


class Flash:
    """Sectors from `first` on, and the controller (RM0090, 3); it outlives the chip's power."""

    def __init__(self, first, seed=1):
        self.start = FLASH + sum(SECTORS[:first])
        self.content = bytearray(b"\xff" * sum(SECTORS[first:]))
        self.cut_after = None
        self.operations = 0
        self.is_dead = False
        self.random = random.Random(seed)
        self.power_on()

    def power_on(self, cut_after=None):
        """Resets the controller; the power fails at the operation after so many, if not None."""
        self.control, self.status, self.keys, self.busy = LOCK, 0, [], 0
        self.cut_after, self.is_dead = cut_after, False

    def load(self, offset):
        if offset == 0x0C:
            self.busy -= self.busy > 0
            return self.status | (BSY if self.busy else 0)
        return self.control if offset == 0x10 else 0

    def store(self, offset, value):
        if offset == 0x04:
            self.keys = [*self.keys, value][-2:]
            if tuple(self.keys) == KEYS:
                self.control &= ~LOCK
        elif offset == 0x0C:
            self.status &= ~(value & 0xF3)
        elif offset == 0x10 and not self.control & LOCK:
            self.control = value & ~STRT
            if value & STRT and value & SER and not self.busy:
                self._erase(value >> 3 & 15)

    def read(self, offset, size):
        return int.from_bytes(self.content[offset : offset + size], "little")

    def write(self, offset, size, value):
        if self.control & LOCK or not self.control & PG or self.busy:
            self.status |= PGSERR
        elif size != 4 or self.control >> 8 & 3 != 2:
            self.status |= PGPERR
        else:
            now = self.read(offset, 4)
            self._change(offset, (now & value).to_bytes(4, "little"))

    def _erase(self, sector):
        start = FLASH + sum(SECTORS[:sector]) - self.start
        if sector >= len(SECTORS) or start < 0:
            self.status |= WRPERR
        else:
            self._change(start, b"\xff" * SECTORS[sector])

    def _change(self, start, target):
        """Programs or erases, or does half of it if the power fails."""
        if self.is_dead:
            return
        self.busy = 20
        self.operations += 1
        if self.cut_after == 0:
            self.is_dead = True
            kind = self.random.randrange(4)
            for at, to in enumerate(target):
                before = self.content[start + at]
                done = (0, 255, self.random.randrange(256), 255 * (at < len(target) // 2))[kind]
                self.content[start + at] = before & ~done | to & done
            return
        if self.cut_after is not None:
            self.cut_after -= 1
        self.content[start : start + len(target)] = target


def run(elf, flash, cut_after=None):
    """Starts the chip with this flash; what it says until it resets itself, or the power fails."""
    flash.power_on(cut_after)
    said = []
    uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
    uc.ctl_set_cpu_model(arm_const.UC_CPU_ARM_CORTEX_M4)
    uc.mem_map(FLASH, flash.start - FLASH, unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC)
    uc.mem_map(RAM, 0x20000, unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE)

    def stop_if_dead():
        if flash.is_dead:
            uc.emu_stop()

    def store_flash(_, offset, size, value, __):
        flash.write(offset, size, value)
        stop_if_dead()

    def store_register(_, offset, size, value, __):
        flash.store(offset - 0xC00, value)
        stop_if_dead()

    def store_system(_, offset, size, value, __):
        if (offset, value) == (0xD0C, 0x05FA0004):
            uc.emu_stop()

    def say(_, offset, size, value, __):
        if not flash.is_dead:
            said.append(chr(value))
        if value == ord("."):
            uc.emu_stop()

    uc.mmio_map(
        flash.start,
        len(flash.content),
        lambda _, offset, size, __: flash.read(offset, size),
        None,
        store_flash,
        None,
    )
    uc.mmio_map(
        0x40023000,
        0x1000,
        lambda _, offset, size, __: flash.load(offset - 0xC00),
        None,
        store_register,
        None,
    )
    uc.mmio_map(SYSTEM, 0x1000, lambda *_: 0, None, store_system, None)
    uc.mmio_map(MAILBOX, 0x1000, lambda *_: 0, None, say, None)
    with elf.open("rb") as file:
        for segment in ELFFile(file).iter_segments("PT_LOAD"):
            if segment["p_filesz"]:
                uc.mem_write(segment["p_paddr"], segment.data())
    vectors = bytes(uc.mem_read(FLASH, 8))
    uc.reg_write(arm_const.UC_ARM_REG_SP, int.from_bytes(vectors[:4], "little"))
    uc.emu_start(int.from_bytes(vectors[4:], "little"), 0xFFFFFFFE, timeout=20_000_000)
    return "".join(said).strip()

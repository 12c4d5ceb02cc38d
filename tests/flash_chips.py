"""Chips' flash, as their reference manuals have it: what drivers see, and what they must not do."""

from flash_chip import Flash
from unicorn import UC_HOOK_CODE, UC_HOOK_MEM_PROT, UC_PROT_ALL, UC_PROT_NONE, arm_const

KEYS = (0x45670123, 0xCDEF89AB)
PG, STRT, LOCK = 1 << 0, 1 << 16, 1 << 31
WRPERR, BSY = 1 << 4, 1 << 16
START = 0x08000000


class Stm32(Flash):
    """What the controllers have in common; all operations take a while.

    Attributes:
        places: (offset of KEYR, SR and CR).
        errors: the bits of SR that writing ones clears.
    """

    registers, places, errors = 0, (), 0

    def __init__(self, start, size):
        super().__init__(start, size)
        self.devices = ((self.registers & ~0xFFF, self._load, self._store),)

    def reset(self):
        self.control, self.status, self.keys, self.busy = LOCK, 0, [], 0

    def load(self, offset):
        """What another register holds."""
        return 0

    def store(self, offset, value):
        """Another register is written."""

    def _load(self, offset, _):
        offset -= self.registers & 0xFFF
        _, status, control = self.places
        if offset == status:
            self.busy -= self.busy > 0
            return self.status | (BSY if self.busy else 0)
        return self.control if offset == control else self.load(offset)

    def _store(self, offset, _, value):
        offset -= self.registers & 0xFFF
        keys, status, control = self.places
        if offset == keys:
            self.keys = [*self.keys, value][-2:]
            if tuple(self.keys) == KEYS:
                self.control &= ~LOCK
        elif offset == status:
            self.status &= ~(value & self.errors)
        elif offset != control:
            self.store(offset, value)
        elif not self.control & LOCK:
            self.control = value & ~STRT
            if value & STRT and not self.busy:
                self.start_operation(value)


class Stm32f4(Stm32):
    """Sectors from `first` on (RM0090, 3)."""

    SECTORS = (*[0x4000] * 4, 0x10000, *[0x20000] * 7)
    PGPERR, PGSERR = 1 << 6, 1 << 7
    registers, places, errors = 0x40023C00, (0x04, 0x0C, 0x10), 0xF3

    def __init__(self, first):
        super().__init__(START + sum(self.SECTORS[:first]), sum(self.SECTORS[first:]))

    def write(self, offset, size, value):
        if self.control & LOCK or not self.control & PG or self.busy:
            self.status |= self.PGSERR
        elif size != 4 or self.control >> 8 & 3 != 2:
            self.status |= self.PGPERR
        else:
            self.busy = 20
            now = self.read(offset)
            self.change(offset, (now & value).to_bytes(4, "little"))

    def start_operation(self, control):
        sector = control >> 3 & 15
        start = START + sum(self.SECTORS[:sector]) - self.start
        if not control & 1 << 1 or sector >= len(self.SECTORS) or start < 0:
            self.status |= WRPERR
        else:
            self.busy = 20
            self.change(start, b"\xff" * self.SECTORS[sector])


class Stm32l4(Stm32):
    """The last pages of two banks of 512 KB (RM0351, 3): double words with ECC, and a data cache.

    A double word that a cut has torn may have two wrong bits: then reading it raises the NMI.
    """

    PAGE, PAGES, BANK_PAGES, UNIT = 2048, 512, 256, 8
    PROGERR, SIZERR, PGSERR = 1 << 3, 1 << 6, 1 << 7
    ECCD = 1 << 31
    DCEN, DCRST = 1 << 10, 1 << 12
    registers, places, errors = 0x40022000, (0x08, 0x10, 0x14), 0xC3FB

    def __init__(self, pages):
        self.torn = set()
        super().__init__(START + (self.PAGES - pages) * self.PAGE, pages * self.PAGE)
        size = (0x1FFF7000, lambda offset, _: self.PAGES * 2 if offset == 0x5E0 else 0, None)
        self.devices = (*self.devices, size)

    def reset(self):
        super().reset()
        self.half, self.ecc, self.access, self.cached = None, 0, self.DCEN, {}

    def is_cached(self):
        return bool(self.access & self.DCEN)

    def load(self, offset):
        return {0x00: self.access, 0x18: self.ecc}.get(offset, 0)

    def store(self, offset, value):
        if offset == 0x18:
            self.ecc &= ~(value & self.ECCD)
            self.has_nmi = bool(self.ecc & self.ECCD)
        elif offset == 0x00:
            if value & self.DCRST:
                if value & self.DCEN:
                    self.fault = "the cache is reset while it is on"
                self.cached = {}
            self.access = value

    def read(self, offset, size):
        unit = offset // self.UNIT * self.UNIT
        if unit in self.torn:
            self.ecc |= self.ECCD
            self.has_nmi = True
            return self.random.randrange(1 << 32)
        line = bytes(self.content[unit : unit + self.UNIT])
        if self.is_cached():
            line = self.cached.setdefault(unit, line)
        return int.from_bytes(line[offset - unit :][:size], "little")

    def keep(self):
        return super().keep(), frozenset(self.torn)

    def restore(self, kept):
        super().restore(kept[0])
        self.torn = set(kept[1])

    def write(self, offset, size, value):
        if self.control & LOCK or not self.control & PG or self.busy:
            self.status |= self.PGSERR
        elif size != 4:
            self.status |= self.SIZERR
        elif self.half is None and offset % 8 == 0:
            self.half = (offset, value)
        elif self.half is None or self.half[0] + 4 != offset:
            self.status |= self.PGSERR
        else:
            target = (self.half[1] | value << 32).to_bytes(8, "little")
            self.half = None
            unit = offset - 4
            if any(target) and (self.content[unit : unit + 8] != b"\xff" * 8 or unit in self.torn):
                self.status |= self.PROGERR
            else:
                self._do(unit, target)

    def start_operation(self, control):
        page = (control >> 3) % self.BANK_PAGES + (self.BANK_PAGES if control & 1 << 11 else 0)
        start = START + page * self.PAGE - self.start
        if not control & 1 << 1 or not 0 <= start < len(self.content):
            self.status |= WRPERR
        else:
            self._do(start, b"\xff" * self.PAGE)

    def _do(self, start, target):
        self.busy = 20
        if self.is_cached():
            self.fault = "the cache is on while flash is changed"
        units = set(range(start, start + len(target), self.UNIT))
        if self.change(start, target):
            self.torn -= units
        elif self.is_dead:
            # Those that were changed in part do not fit their ECC, as a rule.
            self.torn |= {unit for unit in units if self.random.randrange(4)}


class Stm32l5(Stm32l4):
    """The last pages of two banks of 256 KB (RM0438, 6), and the cache before them, switched on."""

    cpu = arm_const.UC_CPU_ARM_CORTEX_M33
    PAGES, BANK_PAGES = 256, 128
    places, errors = (0x08, 0x20, 0x28), 0x20FB
    ICACHE, ECCR, OPTR, DBANK = 0x40030000, 0x30, 0x40, 1 << 22

    def __init__(self, pages):
        super().__init__(pages)
        cache = (self.ICACHE, self._load_cache, self._store_cache)
        self.devices = (self.devices[0], cache)

    def reset(self):
        super().reset()
        self.access, self.invalidating = 1, 0

    def is_cached(self):
        return bool(self.access & 1)

    def _load_cache(self, offset, _):
        if offset == 0x404:
            self.invalidating -= self.invalidating > 0
            return int(self.invalidating > 0)
        return self.access if offset == 0x400 else 0

    def _store_cache(self, offset, _, value):
        if offset == 0x400:
            if self.access & 1 and not value & 1:
                self.cached, self.invalidating = {}, 9
            self.access = value

    def load(self, offset):
        return {self.ECCR: self.ecc, self.OPTR: self.DBANK}.get(offset, 0)

    def store(self, offset, value):
        if offset == self.ECCR:
            super().store(0x18, value)

    def _do(self, start, target):
        if self.invalidating:
            self.fault = "flash is changed before the cache is invalidated"
        super()._do(start, target)


class Rp2040(Flash):
    """The end of a flash of 2 MB, and the ROM's functions for it (RP2040 Datasheet, 2.8.3).

    From flash_exit_xip to flash_enter_cmd_xip nothing can be read from it.
    """

    cpu = arm_const.UC_CPU_ARM_CORTEX_M0
    program_start = 0x10000000
    SECTOR, PAGE, SIZE = 4096, 256, 0x200000
    NAMES = ("IF", "EX", "RE", "RP", "FC", "CX")
    TABLE, LOOKUP, FIRST = 0x100, 0x80, 0x200

    def __init__(self, sectors):
        size = sectors * self.SECTOR
        super().__init__(self.program_start + self.SIZE - size, size)
        self.devices = ((0x18000000, self._load, self._store),)

    def reset(self):
        # As spela-mcu's second stage of the boot leaves them.
        self.ssi = {0x00: 0x001F0300, 0x08: 1, 0x14: 4}
        self.is_connected = self.is_serial = False
        self.is_forced = False  # chip select, by flash_exit_xip
        self.is_on = True

    def attach(self, uc):
        self.uc = uc
        uc.mem_map(self.start, len(self.content))
        uc.mem_write(self.start, bytes(self.content))
        uc.mem_map(0, 0x4000)
        uc.mem_write(0x14, self.TABLE.to_bytes(2, "little"))
        uc.mem_write(0x18, (self.LOOKUP | 1).to_bytes(2, "little"))
        for at in (self.LOOKUP, *range(self.FIRST, self.FIRST + 2 * len(self.NAMES), 2)):
            uc.mem_write(at, b"\x70\x47")  # bx lr
        uc.hook_add(UC_HOOK_CODE, self._called, begin=self.LOOKUP, end=0x3FF)
        uc.hook_add(UC_HOOK_MEM_PROT, self._touched)

    def _touched(self, uc, kind, address, size, value, _):
        self.fault = f"flash is touched while it is busy: {address:#x}"
        uc.emu_stop()
        return False

    def _load(self, offset, _):
        if offset == 0x00 and self.ssi[0x14] != 4:
            self.fault = "flash is read at another clock than before"
        return self.ssi.get(offset, 0)

    def _store(self, offset, _, value):
        if offset == 0x14 and self.ssi[0x08]:
            self.fault = "the clock is changed while the interface is on"
        self.ssi[offset] = value
        self._set_on()

    def _set_on(self):
        """Lets flash be read, or keeps it from being read."""
        is_on = not self.is_serial and self.ssi[0x08] == 1
        if is_on != self.is_on:
            rights = UC_PROT_ALL if is_on else UC_PROT_NONE
            self.uc.mem_protect(self.program_start, self.SIZE, rights)
            self.is_on = is_on
        if not is_on and self.uc.reg_read(arm_const.UC_ARM_REG_PRIMASK) != 1:
            self.fault = "interrupts are on while flash is busy"

    def _called(self, uc, address, size, _):
        a, b, c, d = (uc.reg_read(arm_const.UC_ARM_REG_R0 + at) for at in range(4))
        if address == self.LOOKUP:
            name = bytes((b & 255, b >> 8)).decode()
            found = self.FIRST + 2 * self.NAMES.index(name) | 1 if a == self.TABLE else 0
            uc.reg_write(arm_const.UC_ARM_REG_R0, found)
            return
        name = self.NAMES[(address - self.FIRST) // 2]
        if name == "IF":
            self.is_connected = True
        elif name == "EX":
            self._need(self.is_connected)
            self.is_serial = self.is_forced = True
            self.ssi[0x14] = 6
        elif name == "FC":
            self.is_forced = False
        elif name == "CX":
            self._need(self.is_serial and not self.is_forced)
            self.is_serial = False
        else:
            self._need(self.is_serial and self.is_forced)
            start = self.program_start + a - self.start
            self._need(0 <= start < len(self.content))
            if name == "RE":
                self._need(a % self.SECTOR == 0 and b == self.SECTOR)
                self._need((c, d) == (0x10000, 0xD8))
                target = b"\xff" * b
            else:
                self._need(a % self.PAGE == 0 and c == self.PAGE)
                data = uc.mem_read(b, c)
                old = self.content[start : start + c]
                target = bytes(x & y for x, y in zip(data, old, strict=True))
            if not self.fault:
                self.change(start, target)
                self.uc.mem_write(self.start, bytes(self.content))
        for at in (0, 1, 2, 3, 12):  # what a function may change
            uc.reg_write(arm_const.UC_ARM_REG_R0 + at, self.random.randrange(1 << 32))
        self._set_on()
        if self.fault or self.is_dead:
            uc.emu_stop()

    def _need(self, condition):
        if not condition:
            self.fault = self.fault or "a function of the ROM is misused"

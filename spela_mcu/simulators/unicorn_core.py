"""What Unicorn has to be told of a core, one class a family."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from typing import Any

from spela_mcu.cores import CORES, Family, FamilyName
from spela_mcu.device.fault import TRAP_CAUSES
from spela_mcu.firmware.board import Board
from spela_mcu.firmware.elf import Elf


class UnicornCore(ABC):
    """A core without memory.

    Args:
        board: the board that it is on.

    Attributes:
        uc: Unicorn's machine.
    """

    def __init__(self, board: Board, uc: Any, constants: Any, prefix: str) -> None:  # noqa: ANN401
        self.uc = uc
        self._family: Family = board.family
        self._constants = constants
        self._prefix = prefix
        model = CORES[board.core].unicorn
        uc.ctl_set_cpu_model(getattr(constants, f"UC_CPU_{model}"))

    def register(self, name: str) -> int:
        """A register, by its name as in `Family.registers`."""
        return int(self.uc.reg_read(self._number(name)))

    def set(self, name: str, value: int) -> None:
        """Sets a register."""
        self.uc.reg_write(self._number(name), value)

    def registers(self) -> dict[str, int]:
        """All of them, in the order of their numbers."""
        return {name: self.register(name) for name in self._family.registers}

    def return_address(self) -> int:
        """Where a function returns to that has just been entered."""
        return self.register(self._family.link) & ~1

    def pc(self) -> int:
        """The address of the next instruction."""
        return self.register("pc") & ~1

    def _number(self, name: str) -> int:
        return int(getattr(self._constants, f"UC_{self._prefix}_REG_{name.upper()}"))

    @abstractmethod
    def reset(self, elf: Elf) -> int:
        """Makes the core as a boot ROM leaves it; returns where it starts."""

    @abstractmethod
    def entry(self, address: int) -> int:
        """What to start emulation with, to execute the instruction at an address."""

    @abstractmethod
    def exception(self, number: int) -> str:
        """What Unicorn's number of an exception means."""


class UnicornCortexM(UnicornCore):
    """UC_MODE_MCLASS would force a Cortex-M33 whatever model is set."""

    def __init__(self, board: Board) -> None:
        # Through importlib, because Unicorn is only half typed.
        unicorn: Any = importlib.import_module("unicorn")
        uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB)
        super().__init__(board, uc, importlib.import_module("unicorn.arm_const"), "ARM")

    def reset(self, elf: Elf) -> int:
        """See `UnicornCore`: as the vector table says."""
        vectors = elf.read(elf.by_name["port_vectors"].address, 8)
        self.set("sp", int.from_bytes(vectors[:4], "little"))
        return int.from_bytes(vectors[4:], "little") & ~1

    def entry(self, address: int) -> int:
        """See `UnicornCore`: bit 0 stands for Thumb."""
        return address | 1

    def exception(self, number: int) -> str:
        """See `UnicornCore`: QEMU's numbers."""
        names = {2: "SVC", 3: "prefetch abort", 4: "data abort", 7: "BKPT"}
        return names.get(number, f"exception {number}")


class UnicornRiscV(UnicornCore):
    """One model serves every core: what it has in excess is looked for in the code."""

    def __init__(self, board: Board) -> None:
        unicorn: Any = importlib.import_module("unicorn")
        uc = unicorn.Uc(unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV32)
        super().__init__(board, uc, importlib.import_module("unicorn.riscv_const"), "RISCV")

    def reset(self, elf: Elf) -> int:
        """See `UnicornCore`: nothing is set but the address."""
        return elf.by_name[self._family.entry].address

    def entry(self, address: int) -> int:
        """See `UnicornCore`."""
        return address

    def exception(self, number: int) -> str:
        """See `UnicornCore`: the causes of traps."""
        return TRAP_CAUSES.get(number, f"trap {number}")


_CLASSES: dict[FamilyName, type[UnicornCortexM | UnicornRiscV]] = {
    "cortex_m": UnicornCortexM,
    "riscv": UnicornRiscV,
}


def unicorn_core(board: Board) -> UnicornCore:
    """A board's core."""
    return _CLASSES[board.family.name](board)

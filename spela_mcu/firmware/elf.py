"""Reads an ELF file: sections, symbols and what goes to flash."""

from __future__ import annotations

import bisect
import io
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from elftools.common.exceptions import ELFError
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

from spela_mcu.cores import CORTEX_M, RISCV, Family
from spela_mcu.errors import UserError
from spela_mcu.files import MEBIBYTE, read_bounded
from spela_mcu.machine_code import INSTRUCTION_SETS, InstructionSet

MOST_BYTES: Final = 256 * MEBIBYTE

FAMILIES: Final = {family.elf_machine: family for family in (CORTEX_M, RISCV)}

KINDS: Final = ("STT_FUNC", "STT_OBJECT", "STT_NOTYPE")

MARK = re.compile(r"\$[td](?=$|\.)|\$x")
"""Mapping symbols (AAELF32, 5.5.5; RISC-V ELF psABI): $t and $x start code, $d starts data."""


@dataclass(frozen=True)
class Section:
    """A section that occupies memory on the chip.

    Attributes:
        is_loaded: its content goes to flash (code, tables, initial values of data).
    """

    name: str
    address: int
    bytes: int
    is_loaded: bool


@dataclass(frozen=True)
class Symbol:
    """A function or object."""

    name: str
    address: int
    bytes: int
    is_function: bool


@dataclass(frozen=True)
class Elf:
    """An ELF file that has been read.

    Attributes:
        family: the cores that it is for.
        sections: those that occupy memory, by address.
        symbols: functions and objects, by address; bit 0 of function addresses is cleared.
        load_segments: pairs of address in flash and content.
        run_segments: the same content, where it is when the program runs.
        code_ranges: [start, end) of instructions, by address: text without literal pools.
    """

    family: Family
    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    load_segments: tuple[tuple[int, bytes], ...]
    run_segments: tuple[tuple[int, bytes], ...]
    code_ranges: tuple[tuple[int, int], ...]

    @property
    def instruction_set(self) -> InstructionSet:
        """How its code is read."""
        return INSTRUCTION_SETS[self.family.name]

    @cached_property
    def by_name(self) -> dict[str, Symbol]:
        """Symbols by name."""
        return {symbol.name: symbol for symbol in self.symbols}

    @cached_property
    def functions(self) -> tuple[Symbol, ...]:
        """Functions, by address."""
        return tuple(symbol for symbol in self.symbols if symbol.is_function)

    @cached_property
    def _function_addresses(self) -> list[int]:
        return [symbol.address for symbol in self.functions]

    def read(self, address: int, length: int) -> bytes:
        """Bytes of the program, by their address in flash or by that at which they run.

        Raises:
            ValueError: they are not in it.
        """
        for start, data in (*self.load_segments, *self.run_segments):
            if start <= address and address + length <= start + len(data):
                return data[address - start : address - start + length]
        raise ValueError(f"nothing is loaded at 0x{address:08x}, {length} bytes")

    def holds(self, address: int) -> bool:
        """Whether the program has the byte there, in flash or where it runs."""
        return any(
            start <= address < start + len(data)
            for start, data in (*self.load_segments, *self.run_segments)
        )

    def function_at(self, address: int) -> Symbol | None:
        """The function that an address lies in."""
        index = bisect.bisect_right(self._function_addresses, address) - 1
        if index < 0:
            return None
        symbol = self.functions[index]
        return symbol if address < symbol.address + max(symbol.bytes, 2) else None


def read_elf(file: Path) -> Elf:
    """Reads the ELF file of a firmware.

    Raises:
        UserError: it is missing, damaged, or something else.
    """
    with _opened(file) as elf:
        sections = sorted(
            (
                Section(
                    section.name,
                    section["sh_addr"],
                    section["sh_size"],
                    section["sh_type"] != "SHT_NOBITS",
                )
                for section in elf.iter_sections()
                if section["sh_flags"] & SH_FLAGS.SHF_ALLOC and section["sh_size"]
            ),
            key=lambda section: section.address,
        )
        segments = [one for one in elf.iter_segments("PT_LOAD") if one["p_filesz"]]
        loaded, running = (
            tuple((one[key], bytes(one.data())) for one in segments)
            for key in ("p_paddr", "p_vaddr")
        )
        family = FAMILIES[elf.get_machine_arch()]
        symbols, ranges = _symbols(elf)
    return Elf(family, tuple(sections), symbols, loaded, running, ranges)


@contextmanager
def _opened(file: Path) -> Iterator[ELFFile]:
    try:
        elf = ELFFile(io.BytesIO(read_bounded(file, MOST_BYTES)))
        if elf.get_machine_arch() not in FAMILIES or elf.elfclass != 32:
            raise ELFError("it is not for a 32-bit Arm or RISC-V")
        yield elf
    except UserError:
        raise
    except Exception as error:  # pyelftools trusts what it reads: damage may raise anything
        raise UserError(
            f"cannot be read as the ELF file of a firmware: {error or type(error).__name__}",
            mend="build the project again: spela-mcu build DIR",
            file=file,
        ) from error


def runtime_text_bytes(file: Path, folder: str = "spela") -> int:
    """Bytes of code from the runtime's sources, according to the debug information.

    Literal pools count; tables of the model do not.

    Args:
        file: the ELF file.
        folder: a directory that is in the path of all of the runtime's sources, and of no others.
    """
    with _opened(file) as elf:
        symbols, _ = _symbols(elf)
        starts = _functions_from(elf, folder)
    # Functions that the linker dropped have address 0, where there is no symbol.
    return sum(
        symbol.bytes for symbol in symbols if symbol.is_function and symbol.address in starts
    )


def _functions_from(elf: ELFFile, folder: str) -> set[int]:
    """Addresses of the functions that debug information places in a directory's sources."""
    starts = set()
    for unit in elf.get_dwarf_info().iter_CUs():
        name = unit.get_top_DIE().attributes["DW_AT_name"].value.decode()
        if folder not in Path(name).parts[:-1]:
            continue
        for entry in unit.iter_DIEs():
            if entry.tag == "DW_TAG_subprogram" and "DW_AT_low_pc" in entry.attributes:
                starts.add(entry.attributes["DW_AT_low_pc"].value & ~1)
    return starts - {0}


def _symbols(elf: ELFFile) -> tuple[tuple[Symbol, ...], tuple[tuple[int, int], ...]]:
    table: Any = elf.get_section_by_name(".symtab")
    symbols: list[Symbol] = []
    aliases: list[Symbol] = []
    marks: dict[int, list[tuple[int, str]]] = defaultdict(list)  # by section
    for entry in table.iter_symbols():
        kind, name = entry["st_info"]["type"], entry.name
        if mark := MARK.match(name):
            marks[entry["st_shndx"]].append((entry["st_value"], mark[0]))
        elif (
            name and not name.startswith(".L") and kind in ("STT_FUNC", "STT_OBJECT", "STT_NOTYPE")
        ):
            is_function = kind == "STT_FUNC"
            address = entry["st_value"] & ~1 if is_function else entry["st_value"]
            is_alias = is_function and entry["st_info"]["bind"] == "STB_WEAK"
            into = aliases if is_alias else symbols
            into.append(Symbol(name, address, entry["st_size"], is_function))
    # A weak name of what has another one says less of it: vectors that nothing handles are faults.
    taken = {symbol.address for symbol in symbols if symbol.is_function}
    symbols += (alias for alias in aliases if alias.address not in taken)
    symbols.sort(key=lambda symbol: (symbol.address, symbol.name))
    return tuple(_sized(symbols)), _code_ranges(elf, marks)


def _sized(symbols: list[Symbol]) -> Iterator[Symbol]:
    """Aliases of functions, which libgcc gives no size, with the size of the first name."""
    sizes: dict[int, int] = {}
    for symbol in symbols:
        if symbol.is_function:
            sizes[symbol.address] = max(sizes.get(symbol.address, 0), symbol.bytes)
    for symbol in symbols:
        has_size = symbol.bytes or not symbol.is_function
        yield symbol if has_size else replace(symbol, bytes=sizes[symbol.address])


def _code_ranges(
    elf: ELFFile, marks: dict[int, list[tuple[int, str]]]
) -> tuple[tuple[int, int], ...]:
    """From each mark of code to the next mark, or the section's end.

    Code that runs from RAM lies in the section of initialised data. Debug sections have such
    symbols as well, at meaningless addresses.
    """
    ranges: list[tuple[int, int]] = []
    for index, section in enumerate(elf.iter_sections()):
        if not section["sh_flags"] & SH_FLAGS.SHF_ALLOC:
            continue
        end = section["sh_addr"] + section["sh_size"]
        inside = [*sorted(marks[index]), (end, "")]
        ranges += [
            (address, stop)
            for (address, kind), (stop, _) in pairwise(inside)
            if kind != "$d" and stop > address
        ]
    return tuple(sorted(ranges))

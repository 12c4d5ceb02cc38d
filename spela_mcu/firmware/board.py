"""Boards: data files from which a project's port and its simulation are derived."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from spela_mcu.cores import CORES, Family
from spela_mcu.errors import UserError, UserErrors
from spela_mcu.firmware.uart import HZ_MAX, AnyUart, BoardPart
from spela_mcu.resources import resource_directory
from spela_mcu.spec.document import Document, KeyPath, dotted, key_path, quoted, read_document
from spela_mcu.spec.rules import impossible
from spela_mcu.store.slots import UNITS
from spela_mcu.store.wear import PARTS

WHOLE_BLOCKS: Final = "begin and end the region with a block"


class Region(BoardPart):
    """A contiguous piece of memory."""

    address: int = Field(ge=0, lt=2**32)
    bytes: int = Field(gt=0, le=2**32)

    @property
    def end(self) -> int:
        """The first address beyond the region."""
        return self.address + self.bytes

    def holds(self, address: int) -> bool:
        """Whether the address lies in the region."""
        return self.address <= address < self.end

    def check_multiples(self, unit: int, name: str, mend: str, of: str = "") -> None:
        """Refuses a region whose address or size is not a multiple of a unit.

        Args:
            unit: so many bytes.
            name: what the error calls it.
            mend: how to mend the region.
            of: comes before the region's own keys in the error.
        """
        for key, value in (("address", self.address), ("bytes", self.bytes)):
            if value % unit:
                raise impossible(f"must be a multiple of {name}, got 0x{value:x}", mend, of + key)

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.end > 2**32:
            raise impossible(
                f"0x{self.bytes:x} bytes from 0x{self.address:08x} end beyond 32 bits",
                "check address and bytes",
                "bytes",
            )
        return self


class StoreRegion(Region):
    """The end of flash, where learned states are kept.

    Attributes:
        driver: a file firmware/store/drivers/flash_<driver>.c.
        unit_bytes: what the flash programs at once.
        block_bytes: what it erases at once, throughout the region.
        part: the flash's figures, in `spela_mcu.store.wear.PARTS`; None: it does not wear out.
    """

    driver: str = Field(pattern=r"^[a-z0-9][a-z0-9_]*$")
    unit_bytes: int = Field(gt=0, le=2**32)
    block_bytes: int = Field(gt=0, le=2**32)
    part: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        drivers = store_drivers()
        if self.driver not in drivers:
            raise impossible(
                f'there is no driver "{self.driver}"',
                f"the drivers are: {', '.join(drivers)}",
                "driver",
            )
        if self.unit_bytes not in UNITS:
            raise impossible(
                f"must be one of {', '.join(map(str, UNITS))}, got {self.unit_bytes}",
                "give what the flash programs at once",
                "unit_bytes",
            )
        self.check_multiples(self.block_bytes, "block_bytes", WHOLE_BLOCKS)
        if self.block_bytes % self.unit_bytes:
            raise impossible(
                f"must be a multiple of unit_bytes, got {self.block_bytes}",
                "give what the flash erases at once",
                "block_bytes",
            )
        if self.part is not None and self.part not in PARTS:
            raise impossible(
                f'there are no figures of "{self.part}"',
                f"the parts are: {', '.join(PARTS)}; or leave it out",
                "part",
            )
        if self.part is not None and self.block_bytes not in PARTS[self.part].erase:
            raise impossible(
                f"{self.part} erases no {self.block_bytes} bytes at once",
                f"its blocks have {', '.join(map(str, PARTS[self.part].erase))} bytes",
                "block_bytes",
            )
        return self


def store_drivers() -> tuple[str, ...]:
    """The drivers of flash that there are."""
    files = (resource_directory("firmware") / "store" / "drivers").glob("flash_*.c")
    names = sorted(path.stem.removeprefix("flash_") for path in files)
    return tuple(name for name in names if name != "none")


ALIGNMENT = {"flash": 0x100, "ram": 8}
"""Alignment of address and size: flash starts with the vector table (VTOR), RAM with the stack
(AAPCS)."""


SimulatorName = Literal["renode", "qemu", "unicorn"]


class RenodePlatform(BoardPart):
    """A board in Renode."""

    platform: str = Field(
        pattern=r"^[a-z0-9][a-z0-9_-]*\.repl$", description="its description, in sim/renode"
    )
    uart: str = Field(
        pattern=r"^[A-Za-z][A-Za-z0-9_.]*$", description="name of the UART on the system bus"
    )


class QemuMachine(BoardPart):
    """A board in QEMU."""

    machine: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", description="what -M calls it")


class UnicornMap(BoardPart):
    """A board in Unicorn: its core and memory, and the UART modelled by spela-mcu."""


class Simulators(BoardPart):
    """How each simulator knows a board; None: it does not."""

    renode: RenodePlatform | None = None
    qemu: QemuMachine | None = None
    unicorn: UnicornMap | None = None

    @property
    def names(self) -> tuple[SimulatorName, ...]:
        """The simulators that know the board, the preferred one first."""
        known: dict[SimulatorName, object] = {
            "renode": self.renode,
            "qemu": self.qemu,
            "unicorn": self.unicorn,
        }
        return tuple(name for name, board in known.items() if board is not None)


def _known_core(name: str) -> str:
    if name not in CORES:
        raise impossible(f'there is no core "{name}"', f"the cores are: {', '.join(CORES)}")
    return name


class Board(BoardPart):
    """A board as described by its file in sim/boards.

    Attributes:
        id: the file's stem.
        title: the name shown to users.
        core: the name of its core, whose facts are `spela_mcu.cores.CORES[core]`.
        fpu: whether the chip has a floating-point unit (the firmware does not use it).
        dsp: whether the core has the DSP extension.
        mve: whether the core has the vector extension (MVE, Helium).
        clock_hz: the core's clock as the firmware leaves it.
        flash: where code and tables lie.
        ram: where data and the stack lie.
        uart: the serial line the application talks on.
        boot: what the chip runs before it uses the vector table; None: nothing.
        simulators: which simulators can run it.
        store: the end of flash, if learned states are kept there; None: they are lost with power.
        rehearsal: what comes before the store, as far as a model may have its samples there; None:
            it may not. Of a project that has some there, the store begins with them.
        pyocd: the chip's name in pyOCD, which flashes it; None: it cannot be flashed.
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    title: str = Field(min_length=1, max_length=80)
    core: Annotated[str, AfterValidator(_known_core)]
    fpu: bool
    dsp: bool
    mve: bool = False
    clock_hz: int = Field(gt=0, le=HZ_MAX)
    flash: Region
    ram: Region
    uart: Annotated[AnyUart, Field(discriminator="driver")]
    boot: Literal["rp2040"] | None = None
    simulators: Simulators
    store: StoreRegion | None = None
    rehearsal: Region | None = None
    pyocd: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")

    @property
    def family(self) -> Family:
        """What its core has in common with others."""
        return CORES[self.core].family

    @property
    def program(self) -> Region:
        """The flash that the program may have: what comes before the store."""
        if self.store is None:
            return self.flash
        return Region(address=self.flash.address, bytes=self.store.address - self.flash.address)

    @model_validator(mode="after")
    def _check_store(self) -> Self:
        store, flash = self.store, self.flash
        if store is not None and (store.end != flash.end or store.address <= flash.address):
            raise impossible(
                f"the store (0x{store.address:08x} to 0x{store.end - 1:08x}) is not the end of "
                f"flash (0x{flash.address:08x} to 0x{flash.end - 1:08x})",
                "let it end where flash does; what comes before it is for the program",
                "store.address",
            )
        return self

    @model_validator(mode="after")
    def _check_rehearsal(self) -> Self:
        region, store = self.rehearsal, self.store
        if region is None:
            return self
        if store is None or region.end != store.address or region.address <= self.flash.address:
            raise impossible(
                f"the rehearsal memory (0x{region.address:08x} to 0x{region.end - 1:08x}) does not "
                "lie right before the store",
                "let it end where the store begins; what comes before it is for the program",
                "rehearsal.address",
            )
        region.check_multiples(store.block_bytes, "store.block_bytes", WHOLE_BLOCKS, "rehearsal.")
        return self

    @model_validator(mode="after")
    def _check_core(self) -> Self:
        """The core determines most extensions outright, and which of the others are possible."""
        core = CORES[self.core]
        for name in ("fpu", "dsp", "mve"):
            possible = getattr(core, name)
            if getattr(self, name) not in possible:
                has = "cannot have" if getattr(self, name) else "always has"
                raise impossible(
                    f"a {self.core} {has} the extension {name}",
                    f"write {name}: {str(possible[0]).lower()}, or check core",
                    name,
                )
        if self.simulators.unicorn is not None and core.unicorn is None:
            raise impossible(
                f"Unicorn has no model of a {self.core}", "remove unicorn", "simulators.unicorn"
            )
        return self

    @field_validator("title")
    @classmethod
    def _fits_a_comment(cls, title: str) -> str:
        if not title.isprintable() or any(mark in title for mark in ("*/", "/*", "\\")):
            raise impossible(
                "the title stands in comments of C: it may hold no \\, /*, */ or line break",
                "leave them out",
            )
        return title

    @model_validator(mode="after")
    def _check_memory(self) -> Self:
        for name, region in (("flash", self.flash), ("ram", self.ram)):
            region.check_multiples(
                ALIGNMENT[name],
                str(ALIGNMENT[name]),
                "round it, so that the region stays within the chip's",
                f"{name}.",
            )
        flash, ram = self.flash, self.ram
        if flash.address < ram.end and ram.address < flash.end:
            raise impossible(
                f"RAM (0x{ram.address:08x} to 0x{ram.end - 1:08x}) and flash "
                f"(0x{flash.address:08x} to 0x{flash.end - 1:08x}) overlap",
                "check the addresses and sizes of both",
                "ram",
            )
        if flash.end == ram.address:
            raise impossible(
                "RAM begins where flash ends, so that an overflow of the stack would go unnoticed",
                "keep something between them: the stack is at the bottom of RAM",
                "ram.address",
            )
        for key, address in self.uart.registers.items():
            if flash.holds(address) or ram.holds(address):
                raise impossible(
                    f"0x{address:08x} lies in {'flash' if flash.holds(address) else 'RAM'}",
                    "give the address of the registers",
                    f"uart.{key}",
                )
        return self


def board_directory() -> Path:
    """Where the boards' files lie: to add a board is to add a file there."""
    return resource_directory("sim") / "boards"


def board_ids(directory: Path | None = None) -> tuple[str, ...]:
    """The names of all boards, in alphabetical order."""
    return tuple(sorted(path.stem for path in (directory or board_directory()).glob("*.yaml")))


def load_board(board_id: str, directory: Path | None = None) -> Board:
    """Reads a board's file.

    Args:
        board_id: the file's stem.
        directory: where to look instead of sim/boards.

    Raises:
        UserError: there is no such board, or its file is wrong.
    """
    known = board_ids(directory)
    if board_id not in known:
        near = difflib.get_close_matches(board_id, known, 1, cutoff=0.4)
        raise UserError(
            f'there is no board "{board_id}"',
            mend=(f'did you mean "{near[0]}"? ' if near else "")
            + f"the boards are: {', '.join(known)}",
        )
    return read_board((directory or board_directory()) / f"{board_id}.yaml")


def find_board(name: str, beside: Path) -> Board:
    """A board by its name, or from a file of its own.

    Args:
        name: one that `spela-mcu boards` lists; or, with a slash or ending in .yaml, the path of a
            board file.
        beside: the directory that a relative path starts from.

    Raises:
        UserError: there is no such board, or its file is wrong.
    """
    if "/" not in name and not name.endswith(".yaml"):
        return load_board(name)
    file = beside / name
    if not file.is_file():
        raise UserError(f'there is no board file "{file}"', mend="name one, or a board's name")
    return read_board(file)


def load_boards() -> tuple[Board, ...]:
    """All boards, in alphabetical order."""
    return tuple(load_board(board_id) for board_id in board_ids())


def read_board(file: Path) -> Board:
    """Reads one board file.

    Raises:
        UserError: the file is not YAML, or does not describe a board.
    """
    document = read_document(file, mend=_MEND)
    return board_from(document.data, file, document)


_MEND = "compare docs/boards.md and another board's file in sim/boards"


def board_from(data: object, file: Path, document: Document | None = None) -> Board:
    """A board from plain data, as a board file or a project's manifest holds it.

    Args:
        data: the plain data.
        file: the file that holds them.
        document: that file with its line numbers, if it is a board file.

    Raises:
        UserError: the data does not describe a board.
    """
    try:
        board = Board.model_validate_json(_json(data))
    except ValidationError as error:
        errors = [_fault(one, file, document) for one in error.errors(include_url=False)]
        raise errors[0] if len(errors) == 1 else UserErrors(errors) from error
    if document is not None and board.id != file.stem:
        raise UserError(
            f'the board is called "{board.id}", but its file "{file.name}"',
            mend="give both the same name",
            file=file,
            line=document.line_of(("id",)),
            key="id",
        )
    return board


def _fault(finding: ErrorDetails, file: Path, document: Document | None) -> UserError:
    path: KeyPath = finding["loc"]
    if path[:1] == ("uart",) and len(path) > 1:
        path = (path[0], *path[2:])  # pydantic names the driver there
    if finding["type"].startswith("union_tag"):
        path = (*path, "driver")
    reason, mend = str(finding["msg"]), _MEND
    if finding["type"] == "impossible":
        context = finding["ctx"]
        reason, mend = context["reason"], context["mend"]
        path = (*path, *key_path(context["key"]))
    elif finding["type"] == "missing":
        reason = "this key is missing"
    elif finding["type"] == "extra_forbidden":
        reason = "unknown key"
    elif isinstance(value := finding["input"], str | int | float):
        shown = quoted(value) if isinstance(value, str) else f"{value!r:.40}"
        reason = reason.replace("Input should", "must", 1) + f", got {shown}"
    else:
        reason = reason.replace("Input should", "must", 1)
    line = None if document is None else document.line_of(path)
    return UserError(reason, mend=mend, file=file, line=line, key=dotted(path) or None)


def _json(data: object) -> str:
    # Through JSON, strict validation still takes a list for a tuple.
    import json

    return json.dumps(data, default=str)

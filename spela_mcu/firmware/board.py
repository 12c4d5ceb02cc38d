"""Boards: files of data, from which the port of a project and its simulation follow."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from spela_mcu.cores import CORES
from spela_mcu.errors import UserError
from spela_mcu.resources import resource_directory


class _BoardPart(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Region(_BoardPart):
    """Memory that lies in one piece."""

    address: int = Field(ge=0, lt=2**32, multiple_of=0x1000)
    bytes: int = Field(gt=0, lt=2**32, multiple_of=0x400)

    @property
    def end(self) -> int:
        """The first address behind the region."""
        return self.address + self.bytes

    def holds(self, address: int) -> bool:
        """Whether the address lies in the region."""
        return self.address <= address < self.end


class RegisterBit(_BoardPart):
    """A bit that has to be set: it lets a peripheral's clock run, or gives a port its supply."""

    register_address: int = Field(alias="register", ge=0, lt=2**32, multiple_of=4)
    bit: int = Field(ge=0, le=31)


class Stm32Pin(_BoardPart):
    """A pin that a peripheral uses: its GPIO port, and the number of the alternate function.

    STM32F1 has no such number (None): there, the peripheral decides.
    """

    port: int = Field(ge=0, lt=2**32, multiple_of=0x400)
    pin: int = Field(ge=0, le=15)
    function: int | None = Field(None, ge=0, le=15)


class _Uart(_BoardPart):
    base: int = Field(ge=0, lt=2**32, multiple_of=4, description="address of the registers")
    clock_hz: int = Field(gt=0, description="what the baud rate is divided from")
    baud: int = Field(gt=0, description="8 data bits, no parity, 1 stop bit")


class CmsdkUart(_Uart):
    """UART of Arm's Cortex-M System Design Kit."""

    driver: Literal["cmsdk"]


class _Stm32Uart(_Uart):
    enables: tuple[RegisterBit, ...] = Field(description="bits to set first, in this order")
    tx: Stm32Pin
    rx: Stm32Pin

    @model_validator(mode="after")
    def _check_pins(self) -> Self:
        if (self.tx.function is None) != (self.rx.function is None):
            raise ValueError("either both pins have a function, or (STM32F1) none has")
        return self


class Stm32Usart(_Stm32Uart):
    """USART of STM32F1, F2 and F4: one status and one data register."""

    driver: Literal["stm32_usart"]


class Stm32F7Usart(_Stm32Uart):
    """USART of STM32F0, F3, F7, G0, H7, L4 and L5, and LPUART: two data registers."""

    driver: Literal["stm32f7_usart"]
    low_power: bool = Field(False, description="an LPUART: its baud rate has eight bits more")


class Nrf51Uart(_Uart):
    """UART of nRF51, and of nRF52 as long as its DMA is not used."""

    driver: Literal["nrf51_uart"]
    tx: int = Field(ge=0, le=31, description="pin of port 0")
    rx: int = Field(ge=0, le=31, description="pin of port 0")


class Nrf52Uarte(_Uart):
    """UARTE of nRF52: its data pass through RAM."""

    driver: Literal["nrf52_uarte"]
    tx: int = Field(ge=0, le=47, description="pin; those of port 1 count from 32")
    rx: int = Field(ge=0, le=47, description="pin; those of port 1 count from 32")


class Rp2040Uart(_Uart):
    """PL011 of RP2040; `clock_hz` is that of the crystal."""

    driver: Literal["rp2040_uart"]
    tx: int = Field(ge=0, le=29, description="GPIO")
    rx: int = Field(ge=0, le=29, description="GPIO")

    @model_validator(mode="after")
    def _check_pins(self) -> Self:
        """Which pins lead to which UART: RP2040 Datasheet, 1.4.3, function F2."""
        if self.base not in _RP2040_UARTS:
            raise ValueError("UART0 is at 0x40034000, UART1 at 0x40038000")
        for name, pin, place in (("tx", self.tx, 0), ("rx", self.rx, 1)):
            if pin % 4 != place or _RP2040_UARTS[(pin + 4) // 8 % 2] != self.base:
                raise ValueError(f"GPIO {pin} cannot be {name} of the UART at 0x{self.base:08x}")
        return self


_RP2040_UARTS = (0x40034000, 0x40038000)


Uart = CmsdkUart | Stm32Usart | Stm32F7Usart | Nrf51Uart | Nrf52Uarte | Rp2040Uart

SimulatorName = Literal["renode", "qemu", "unicorn"]


class RenodePlatform(_BoardPart):
    """A board in Renode."""

    platform: str = Field(
        pattern=r"^[a-z0-9][a-z0-9_-]*\.repl$", description="its description, in sim/renode"
    )
    uart: str = Field(description="name of the UART on the system bus")


class QemuMachine(_BoardPart):
    """A board in QEMU."""

    machine: str = Field(description="what -M calls it")


class UnicornMap(_BoardPart):
    """A board in Unicorn: its core and memory, and the UART modelled by spela-mcu."""


class Simulators(_BoardPart):
    """How each simulator knows a board; None: it does not."""

    renode: RenodePlatform | None = None
    qemu: QemuMachine | None = None
    unicorn: UnicornMap | None = None

    @property
    def names(self) -> tuple[SimulatorName, ...]:
        """Those that know the board, the preferred one first."""
        known: dict[SimulatorName, object] = {
            "renode": self.renode,
            "qemu": self.qemu,
            "unicorn": self.unicorn,
        }
        return tuple(name for name, board in known.items() if board is not None)


def _known_core(name: str) -> str:
    if name not in CORES:
        raise ValueError(f'there is no core "{name}"; the cores are: {", ".join(CORES)}')
    return name


class Board(_BoardPart):
    """A board, as its file in sim/boards says.

    Attributes:
        id: the file's stem.
        title: what a user calls it.
        core: the name of its core, whose facts are `spela_mcu.cores.CORES[core]`.
        fpu: whether the chip has a floating-point unit (the firmware does not use it).
        dsp: whether the core has the DSP extension.
        mve: whether the core has the vector extension (MVE, Helium).
        clock_hz: the core's clock as the firmware leaves it.
        flash: where code and tables lie.
        ram: where data and the stack lie.
        uart: the serial line the application talks on.
        boot: what the chip executes before the vector table is used; None: nothing.
        simulators: which simulators can run it.
        pyocd: the chip's name in pyOCD, which flashes it; None: no probe reaches it.
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    title: str
    core: Annotated[str, AfterValidator(_known_core)]
    fpu: bool
    dsp: bool
    mve: bool = False
    clock_hz: int = Field(gt=0)
    flash: Region
    ram: Region
    uart: Annotated[Uart, Field(discriminator="driver")]
    boot: Literal["rp2040"] | None = None
    simulators: Simulators
    pyocd: str | None = None

    @model_validator(mode="after")
    def _check_core(self) -> Self:
        """The core decides which extensions there can be, and most of them outright."""
        core = CORES[self.core]
        for name in ("fpu", "dsp", "mve"):
            if getattr(self, name) not in getattr(core, name):
                has = "cannot have" if getattr(self, name) else "always has"
                raise ValueError(f"a {self.core} {has} the extension {name}")
        if self.simulators.unicorn is not None and core.unicorn is None:
            raise ValueError(f"Unicorn has no model of a {self.core}: remove simulators.unicorn")
        return self


def board_directory() -> Path:
    """Where the boards' files lie: adding a board is adding a file there."""
    return resource_directory("sim") / "boards"


def board_ids(directory: Path | None = None) -> tuple[str, ...]:
    """The boards there are, in alphabetical order."""
    return tuple(sorted(path.stem for path in (directory or board_directory()).glob("*.yaml")))


def load_board(board_id: str, directory: Path | None = None) -> Board:
    """Reads a board's file.

    Args:
        board_id: the file's stem.
        directory: where to look, if not in sim/boards.

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
    """A board by its name, or by its own file.

    Args:
        name: what `spela-mcu boards` lists; or, with a slash or ending in .yaml, the path of a
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
    import yaml

    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(
            f"cannot be read as YAML: {error}", mend="compare another board's file", file=file
        ) from error
    return board_from(data, file)


def board_from(data: object, file: Path) -> Board:
    """A board from plain data, as a board file or a project's manifest holds it.

    Raises:
        UserError: the data does not describe a board.
    """
    try:
        board = Board.model_validate_json(_json(data))
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(
            str(first["msg"]),
            mend="compare another board's file in sim/boards",
            file=file,
            key=".".join(str(part) for part in first["loc"]),
        ) from error
    if file.suffix == ".yaml" and board.id != file.stem:
        raise UserError(
            f'the board is called "{board.id}", but its file "{file.name}"',
            mend="give both the same name",
            file=file,
            key="id",
        )
    return board


def _json(data: object) -> str:
    # Through JSON, strict validation still takes a list for a tuple.
    import json

    return json.dumps(data, default=str)

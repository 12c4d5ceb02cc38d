"""A device at the end of a line, real or simulated, and what this machine knows of its model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from spela_mcu.device.device import Device
from spela_mcu.device.protocol import ProtocolError
from spela_mcu.device.serial_line import ANSWER_S, BAUD, SerialLine
from spela_mcu.errors import UserError
from spela_mcu.files import locked
from spela_mcu.firmware.build import Build, build_with
from spela_mcu.firmware.directory import BUILD_DIRECTORY, read_project
from spela_mcu.progress import stderr

if TYPE_CHECKING:
    from spela_mcu.device.answers import Info
    from spela_mcu.firmware.board import SimulatorName
    from spela_mcu.pipeline import Prepared
    from spela_mcu.spec.learning import Format

SIMULATED = "sim:"
SIMULATORS: tuple[SimulatorName, ...] = ("renode", "qemu", "unicorn")
FLASH_FILE = "flash.bin"
"""In a project's build/: what the simulated board's store holds, for all simulators."""

FLAG_INT16 = 1
"""SPELA_FLAG_WEIGHTS_INT16 of a model."""

FLAG_INFERENCE_ONLY = 4
"""SPELA_FLAG_INFERENCE_ONLY of a model: it was generated without learning."""

NAMES_ASKED = 256
"""A device with more classes is not asked for their names one by one."""


class Known:
    """What this machine has of a device's model.

    Args:
        project: directory of the generated project; None: not named.
        model: the model.yaml; None: not named.

    Attributes:
        project: as its manifest describes it.
        model: as given.
    """

    def __init__(self, project: Path | None, model: Path | None) -> None:
        self.project = None if project is None else read_project(project)
        self.model = model
        self._prepared: dict[bool, Prepared] = {}

    def prepared(self, *, inference_only: bool = False) -> Prepared:
        """The model, as far as its integer network.

        Raises:
            UserError: no model.yaml is named, or it is wrong.
        """
        if self.model is None:
            raise UserError(
                "no model.yaml is named", mend="name the device's with -m", key="--model"
            )
        if inference_only not in self._prepared:
            from spela_mcu.pipeline import prepare

            self._prepared[inference_only] = prepare(
                self.model, inference_only=inference_only, progress=True
            )
        return self._prepared[inference_only]

    def firmware(self) -> Build:
        """The project's build, or one of the model.yaml's in build/device beside it.

        Raises:
            UserError: neither is named, or it cannot be built.
        """
        if self.project is not None:
            with stderr.status("building ..."):
                return build_with(self.project.path, "auto")
        if self.model is None:
            raise UserError(
                "a simulated board needs a firmware",
                mend="name a generated project with -p, or a model.yaml with -m",
                key="--project",
            )
        from spela_mcu.pipeline import scratch_directory

        prepared = self.prepared()
        with stderr.status("building ..."):
            return prepared.deploy(scratch_directory(self.model, "device"), guarded=True)


class Session:
    """A device that has answered.

    Attributes:
        device: it.
        info: what it runs.
        known: what this machine has of its model.
    """

    def __init__(self, device: Device, info: Info, known: Known) -> None:
        self.device = device
        self.info = info
        self.known = known

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """The classes' names: the device's own, else the model's, else their numbers."""
        names = self.model_names or tuple(str(label) for label in range(self.info.classes))
        if self.info.classes <= NAMES_ASKED:
            own = [self.device.name(label) for label in range(self.info.classes)]
            return tuple(given or name for given, name in zip(own, names, strict=True))
        return names

    @cached_property
    def model_names(self) -> tuple[str, ...] | None:
        """The classes' names in the project or the model.yaml; None: neither is named."""
        if self.known.project is not None:
            return self.known.project.class_names
        return None if self.known.model is None else self.prepared.class_names

    @cached_property
    def prepared(self) -> Prepared:
        """The device's model, from its model.yaml.

        Raises:
            UserError: no model.yaml is named, it is wrong, or the device runs another model.
        """
        inference_only = bool(self.info.flags & FLAG_INFERENCE_ONLY)
        prepared = self.known.prepared(inference_only=inference_only)
        digest = prepared.source(inference_only=inference_only).digest
        if digest != self.info.digest:
            raise self._other_model(f"{self.known.model} makes", digest)
        return prepared

    @property
    def formats(self) -> tuple[Format, ...]:
        """Of each layer's weights; without a model.yaml, as if there were no convolutions."""
        if self.known.model is not None:
            return tuple(matrix.format for matrix in self.prepared.plan.matrices)
        return ("int16" if self.info.flags & FLAG_INT16 else "int8",) * self.info.layers

    def check_project(self) -> None:
        """Makes sure that the device runs the project's model.

        Raises:
            UserError: it runs another.
        """
        project = self.known.project
        if project is not None and project.digest != self.info.digest:
            raise self._other_model(f"{project.path} is", project.digest)

    def _other_model(self, other: str, digest: int) -> UserError:
        return UserError(
            f'the device runs another model: "{self.info.name}" is 0x{self.info.digest:08X}, and '
            f"{other} 0x{digest:08X}",
            mend="name the project or model.yaml that the device was flashed with, or "
            "`spela-mcu flash` this one",
        )


@contextmanager
def connected(port: str, known: Known, baud: int | None = None) -> Iterator[Session]:
    """Opens a line, and makes sure that a device with the known model answers.

    Args:
        port: a serial port, or ``sim:`` and a simulator's name.
        known: what this machine has of the model; it says what a simulated board runs.
        baud: of a serial port; None: that of the project's board.

    Raises:
        UserError: the port cannot be used, nothing answers as the protocol says, or the model is
            another.
        SimulationError: the simulated firmware failed.
    """
    if port.startswith(SIMULATED):
        with _simulated(port, known) as device:
            yield _checked(device, known)
        return
    project = known.project
    rate = baud or (BAUD if project is None else project.board.uart.baud)
    with SerialLine(port, rate) as line:
        device = Device(line)
        try:
            session = _checked(device, known)
        except ProtocolError as error:
            raise UserError(
                f"{port}: {error.reason}",
                mend=error.mend
                or f"check that the board runs a firmware of spela-mcu, at {rate} baud",
            ) from error
        line.timeout_s = ANSWER_S
        yield session


def simulator_of(port: str) -> SimulatorName:
    """The simulator that ``sim:`` names.

    Raises:
        UserError: it is none.
    """
    for name in SIMULATORS:
        if port == SIMULATED + name:
            return name
    raise UserError(
        f"there is no simulated board {port}",
        mend=f"take {', '.join(SIMULATED + name for name in SIMULATORS)}, or a serial port",
    )


@contextmanager
def _simulated(port: str, known: Known) -> Iterator[Device]:
    from spela_mcu.simulators.choice import find_simulator
    from spela_mcu.simulators.flash_image import powered

    name = simulator_of(port)
    build = known.firmware()
    board, directory = build.project.board, build.project.path / BUILD_DIRECTORY
    simulator = find_simulator(board, name)
    if board.store is None:
        with simulator.start(build) as machine:
            yield Device(machine)
        return
    # One power supply: another command for this board waits until it is switched off.
    with locked(directory), powered(simulator, build, directory / FLASH_FILE) as transport:
        yield Device(transport)


def _checked(device: Device, known: Known) -> Session:
    session = Session(device, device.info(), known)
    session.check_project()
    return session

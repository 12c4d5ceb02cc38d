"""Machines that run in another process, their UART a stream of bytes."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping
from typing import Self

from spela_mcu.device.fault import RiscVTrap, read_fault
from spela_mcu.device.protocol import (
    Command,
    DeviceFaultError,
    ProtocolError,
    decode_frame,
    encode_frame,
    parse_answer,
    request,
)
from spela_mcu.firmware.build import Build
from spela_mcu.simulators.base import EXCHANGE_TIMEOUT_S, Machine, SimulationError
from spela_mcu.simulators.failure import failure

BOOT_TIMEOUT_S = 20.0
SILENCE_S = 1.0


class StreamMachine(Machine):
    """A firmware at the other end of a stream.

    From outside it cannot be seen waiting for a byte: an exchange ends with the answer's frame.
    """

    def __init__(self, build: Build) -> None:
        self.build = build
        self._elf = build.read_elf()
        self._failed: SimulationError | None = None

    def boot(self) -> None:
        """Runs until the firmware answers.

        Raises:
            SimulationError: it does not.
        """
        self.exchange(encode_frame(request(Command.INFO)), BOOT_TIMEOUT_S)

    def booted(self) -> Self:
        """The machine, which has booted; one that cannot is closed."""
        try:
            self.boot()
        except BaseException:
            self.close()
            raise
        return self

    def exchange(self, request: bytes, timeout_s: float = EXCHANGE_TIMEOUT_S) -> bytes:
        """See `Machine`."""
        if self._failed is not None:
            # The core cannot continue from there: every later request fails in the same way.
            raise self._failed
        deadline = time.monotonic() + timeout_s
        answer = bytearray()
        try:
            self._send(request, deadline)
            while not ends_an_answer(answer):
                received = self._receive(deadline)
                if not received:
                    raise self._silence(timeout_s, bytes(answer))
                answer += received
            self._check_for_fault(bytes(answer))
        except SimulationError as error:
            self._failed = error
            raise
        return bytes(answer)

    def pass_bytes(self, data: bytes) -> bytes:
        """See `Machine`; after SILENCE_S without an answer there is none."""
        deadline = time.monotonic() + SILENCE_S
        answer = bytearray()
        self._send(data, deadline)
        while not ends_an_answer(answer):
            received = self._receive(deadline)
            if not received:
                break
            answer += received
        return bytes(answer)

    @abstractmethod
    def _send(self, data: bytes, deadline: float) -> None:
        """Sends bytes to the firmware's UART.

        Raises:
            SimulationError: the simulator ended.
        """

    @abstractmethod
    def _receive(self, deadline: float) -> bytes:
        """What has come from the firmware's UART; empty if nothing came until the deadline.

        Raises:
            SimulationError: the simulator ended.
        """

    @abstractmethod
    def _registers(self) -> Mapping[str, int]:
        """Stops the core; its registers, named as in `failure`."""

    def _silence(self, timeout_s: float, answer: bytes) -> SimulationError:
        began = f" (after {len(answer)} bytes of one)" if answer else ""
        return self._failure(f"no answer within {timeout_s:g} s{began}", self._registers())

    def _check_for_fault(self, answer: bytes) -> None:
        last = parse_answer(decode_frame(_last_frame(answer)))
        if last.command != Command.FAULT:
            return
        fault = read_fault(last.body)
        overflowed = (
            fault.registers["sp"] < self.stack_region()[0]
            if isinstance(fault, RiscVTrap)
            else not fault.registers
        )
        overflow = "with an overflowed stack, " if overflowed else ""
        raise self._failure(
            f"the core took a fault: {overflow}{fault.causes}", fault.registers
        ) from DeviceFaultError(last.body)

    def _failure(self, reason: str, registers: Mapping[str, int] | None = None) -> SimulationError:
        return failure(self.build, self._elf, reason, registers)


def _last_frame(answer: bytes) -> bytes:
    return answer.rstrip(b"\0").rpartition(b"\0")[2]


def ends_an_answer(data: bytes | bytearray) -> bool:
    """Whether the last frame is complete: one that a fault cut short is followed by another."""
    if not data.endswith(b"\0") or not data.rstrip(b"\0"):
        return False
    try:
        decode_frame(_last_frame(bytes(data)))
    except ProtocolError:
        return False
    return True

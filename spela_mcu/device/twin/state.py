"""The network's start, and its states in flash (docs/store.md)."""

from __future__ import annotations

import struct
import zlib

from spela_mcu.device.answers import StoreStatus
from spela_mcu.device.kept import Kept
from spela_mcu.device.protocol import Command, Status
from spela_mcu.device.twin.application import Application, Import, RefusedError, Request, State
from spela_mcu.errors import UserError
from spela_mcu.firmware.store import STATES
from spela_mcu.fixed_point.layer_state import COUNTER_MAX
from spela_mcu.store.payload import OtherFormatError, read_payload


def start(device: Application) -> None:
    """Goes on with the state that was saved."""
    if device.flash is not None and device.flash.states[0].payload is not None:
        device.found = StoreStatus.OK
        device.take(device.flash.states[0].payload)
    device.set_baseline()


def abilities(device: Application) -> int:
    """What INFO tells of states, the guard and learning."""
    states = 0 if device.flash is None else len(device.flash.states)
    return (
        (states >= 1)
        | 2 * (states >= 2)
        | 4 * (device.guard is not None)
        | 8 * device.kept.is_frozen
    )


def reset(device: Application, asked: Request) -> bytes:
    """RESET: back to the factory's weights, settings, names and figures."""
    device.reset_network()
    device.keep(Kept.of(device.factory))
    return b""


def save(device: Application, asked: Request) -> bytes:
    """SAVE and CHECKPOINT."""
    state = _asked_state(device, asked)
    if asked.command == Command.SAVE:
        device.coming = None
    else:
        device.renew_baseline()
    _replace(state, device.payload())
    return _saved(state)


def load(device: Application, asked: Request) -> bytes:
    """LOAD and ROLLBACK."""
    state = _asked_state(device, asked)
    if asked.command == Command.LOAD:
        device.coming = None
    if state.payload is None:
        raise RefusedError(Status.STORE_EMPTY)
    device.take(state.payload)
    return _saved(state)


def store(device: Application, asked: Request) -> bytes:
    """STORE."""
    if device.inference_only:
        raise RefusedError(Status.ERROR_READ_ONLY)
    if asked.argument >= len(STATES):
        raise RefusedError(Status.ERROR_ARGUMENT)
    state = _state(device, asked.argument)
    assert device.flash is not None
    if asked.argument == 0:
        device.coming = None
    status = StoreStatus.EMPTY if state.payload is None else StoreStatus.OK
    return struct.pack("<I", status) + _saved(state) + struct.pack("<I", device.flash.slot_bytes)


def export(device: Application, asked: Request) -> bytes:
    """EXPORT."""
    if device.inference_only:
        raise RefusedError(Status.ERROR_READ_ONLY)
    if len(asked.data) != 4:
        raise RefusedError(Status.LENGTH)
    payload, length = device.payload(), int.from_bytes(asked.data, "little")
    if asked.argument + length > len(payload):
        raise RefusedError(Status.RANGE)
    part = payload[asked.argument : asked.argument + length]
    return struct.pack("<I", len(payload)) + part


def import_start(device: Application, asked: Request) -> bytes:
    """IMPORT_START."""
    _asked_state(device, asked)
    if len(asked.data) != 8:
        raise RefusedError(Status.LENGTH)
    model, crc = struct.unpack("<II", asked.data)
    if model != device.source.digest:
        raise RefusedError(Status.STORE_FOREIGN)
    device.coming = None
    if asked.argument == 0:
        raise RefusedError(Status.STORE_ARGUMENT)
    assert device.flash is not None
    if asked.argument > device.flash.room:
        raise RefusedError(Status.STORE_SIZE)
    device.coming = Import(asked.argument, crc)
    return b""


def import_part(device: Application, asked: Request) -> bytes:
    """IMPORT_PART."""
    _asked_state(device, asked)
    if not asked.data:
        raise RefusedError(Status.LENGTH)
    coming = device.coming
    if (
        coming is None
        or asked.argument != len(coming.payload)
        or asked.argument + len(asked.data) > coming.size
    ):
        raise RefusedError(Status.ORDER)
    coming.payload += asked.data
    return struct.pack("<I", len(coming.payload))


def import_end(device: Application, asked: Request) -> bytes:
    """IMPORT_END."""
    state, coming = _asked_state(device, asked), device.coming
    if coming is None or len(coming.payload) != coming.size:
        raise RefusedError(Status.ORDER)
    device.coming = None
    if zlib.crc32(coming.payload) != coming.crc:
        raise RefusedError(Status.STORE_CORRUPT)
    try:
        read_payload(device.factory, coming.payload)
    except OtherFormatError as error:
        raise RefusedError(Status.STORE_OTHER_FORMAT) from error
    except UserError as error:
        raise RefusedError(Status.STORE_CORRUPT) from error
    _replace(state, coming.payload)
    device.take(coming.payload)
    return _saved(state)


def _state(device: Application, index: int) -> State:
    if device.inference_only:
        raise RefusedError(Status.ERROR_READ_ONLY)
    if device.flash is None or index >= len(device.flash.states):
        raise RefusedError(Status.NO_STORE)
    return device.flash.states[index]


def _asked_state(device: Application, asked: Request) -> State:
    checkpoints = (Command.CHECKPOINT, Command.ROLLBACK)
    return _state(device, int(asked.command in checkpoints))


def _replace(state: State, payload: bytes) -> None:
    state.payload, state.saves = payload, (state.saves + 1) & COUNTER_MAX


def _saved(state: State) -> bytes:
    return struct.pack("<II", state.saves, len(state.payload or b""))

"""Classes that come and go: they are added, rehearsed and forgotten."""

from __future__ import annotations

import struct

from spela_mcu.device.answers import NAME_BYTES, ClassFigures
from spela_mcu.device.protocol import REHEARSED_MAX, Status
from spela_mcu.device.twin.application import Application, RefusedError, Request


def classes(device: Application, asked: Request) -> bytes:
    """CLASSES."""
    return b"".join(struct.pack("<II", one.seen, one.is_active) for one in device.network.classes)


def add(device: Application, asked: Request) -> bytes:
    """ADD_CLASS."""
    device.check_thawed()
    if len(asked.data) > NAME_BYTES:
        raise RefusedError(Status.LENGTH)
    try:
        label = device.network.add_class()
    except ValueError as error:
        raise RefusedError(Status.ERROR_LABEL) from error
    _begin(device, label, asked.data)
    return struct.pack("<H", label)


def forget(device: Application, asked: Request) -> bytes:
    """FORGET."""
    device.check_thawed()
    if asked.data:
        raise RefusedError(Status.LENGTH)
    try:
        device.network.forget(asked.argument)
    except ValueError as error:
        raise RefusedError(Status.ERROR_LABEL) from error
    _begin(device, asked.argument)
    device.renew_baseline()  # the guard has samples of it, maybe
    return b""


def forget_none(device: Application, asked: Request) -> bytes:
    """FORGET, of a device whose classes stay."""
    raise RefusedError(Status.UNSUPPORTED)


def rehearse(device: Application, asked: Request) -> bytes:
    """REHEARSE."""
    device.check_thawed()
    if asked.data:
        raise RefusedError(Status.LENGTH)
    if asked.argument > REHEARSED_MAX:
        raise RefusedError(Status.ERROR_ARGUMENT)
    try:
        device.network.rehearse(asked.argument)
    except ValueError as error:
        raise RefusedError(Status.ERROR_LABEL) from error
    return b""


def _begin(device: Application, label: int, name: bytes = b"") -> None:
    """Gives a class a name, or none, and lets its figures begin."""
    device.kept.names[label] = name.ljust(NAME_BYTES, b"\0")
    device.kept.classes[label] = ClassFigures(0, 0, 0, 0, 0)

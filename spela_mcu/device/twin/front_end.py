"""Raw readings, and the sample that becomes of them."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np

from spela_mcu.device.protocol import TAKE_SAMPLE, Status
from spela_mcu.device.twin.application import Application, RefusedError, Request
from spela_mcu.front_end.stream import Stream


def push(device: Application, asked: Request) -> bytes:
    """PUSH."""
    stream = _stream(device)
    kind, axes = np.dtype(stream.plan.readings).newbyteorder("<"), len(stream.plan.axes)
    if len(asked.data) % (kind.itemsize * axes):
        raise RefusedError(Status.LENGTH)
    if asked.argument > 1:
        raise RefusedError(Status.ERROR_ARGUMENT)
    if asked.argument:
        stream.restart()
    taken, is_ready = 0, stream.ready()
    for reading in np.frombuffer(asked.data, kind).reshape(-1, axes).astype(np.int32):
        taken += stream.push(reading)
        is_ready = stream.ready()
    return struct.pack("<HH", taken, is_ready)


def sample(device: Application, asked: Request) -> bytes:
    """SAMPLE."""
    found = _stream(device).take()
    if found is None:
        raise RefusedError(Status.NOT_READY)
    return found.tobytes()


def with_sample(device: Application, asked: Request) -> Request:
    """The request, with the front end's sample in the place of one of no values."""
    if device.stream is None or asked.data or asked.command not in TAKE_SAMPLE:
        return asked
    return replace(asked, data=sample(device, asked))


def _stream(device: Application) -> Stream:
    if device.stream is None:
        raise RefusedError(Status.UNKNOWN)
    return device.stream

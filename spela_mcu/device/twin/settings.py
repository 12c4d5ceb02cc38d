"""What is kept beside the network's own state: settings, names and figures."""

from __future__ import annotations

import struct
from dataclasses import astuple

from spela_mcu.device.answers import NAME_BYTES, parse_rate, parse_thresholds
from spela_mcu.device.protocol import Status
from spela_mcu.device.twin.application import Application, RefusedError, Request
from spela_mcu.fixed_point.arithmetic import ONE_Q14
from spela_mcu.fixed_point.layer_state import COUNTER_MAX


def name(device: Application, asked: Request) -> bytes:
    """NAME."""
    if asked.argument >= device.source.classes:
        raise RefusedError(Status.ERROR_ARGUMENT)
    if len(asked.data) > NAME_BYTES:
        raise RefusedError(Status.LENGTH)
    if asked.data:
        device.kept.names[asked.argument] = asked.data.ljust(NAME_BYTES, b"\0")
    return device.kept.names[asked.argument]


def freeze(device: Application, asked: Request) -> bytes:
    """FREEZE."""
    if asked.data:
        raise RefusedError(Status.LENGTH)
    if asked.argument > 1:
        raise RefusedError(Status.ERROR_ARGUMENT)
    device.kept.is_frozen = bool(asked.argument)
    return b""


def rate(device: Application, asked: Request) -> bytes:
    """RATE."""
    index = _layer(device, asked)
    if asked.data:
        device.kept.rates[index] = parse_rate(asked.data)
        device.apply_settings()
    return struct.pack("<Hh", *astuple(device.kept.rates[index]))


def thresholds(device: Application, asked: Request) -> bytes:
    """THRESHOLDS."""
    index = _layer(device, asked)
    if asked.data:
        asked_for = parse_thresholds(asked.data)
        if asked_for.exit_margin < 0 or abs(asked_for.reject_cosine) > ONE_Q14:
            raise RefusedError(Status.ERROR_ARGUMENT)
        device.kept.thresholds[index] = asked_for
        device.apply_settings()
    return struct.pack("<hh", *astuple(device.kept.thresholds[index]))


def _layer(device: Application, asked: Request) -> int:
    if asked.argument >= device.source.layers:
        raise RefusedError(Status.ERROR_ARGUMENT)
    if len(asked.data) not in (0, 4):
        raise RefusedError(Status.LENGTH)
    return asked.argument


def statistics(device: Application, asked: Request) -> bytes:
    """STATISTICS."""
    counters, network = device.counters, device.network
    skipped = counters.samples * len(network.layers) - counters.layer_updates
    head = (
        counters.layer_updates,
        min(max(skipped, 0), COUNTER_MAX),
        counters.multipliers_clipped,
        counters.halvings,
        counters.silent,
        device.kept.unknown,
    )
    layers = b"".join(
        struct.pack("<III", network.saturated(index), layer.halvings, len(layer.pending))
        for index, layer in enumerate(network.layers)
    )
    classes = b"".join(struct.pack("<qIIIi", *astuple(one)) for one in device.kept.classes)
    return struct.pack("<6I", *head) + layers + classes

"""The guard: a few samples that are never learned tell when learning goes wrong."""

from __future__ import annotations

import struct

from spela_mcu.device.twin.application import Application, Request

NOT_LOOKED, WENT_BACK = 0xFFFF, 0x8000
"""What LEARN says if the guard did not look, and what it adds if the guard went back."""


def count(device: Application) -> int:
    """To be called for each sample learned: looks when it is time, and may go back.

    Returns:
        What LEARN says of the guard.
    """
    if device.guard is None:
        return NOT_LOOKED
    device.kept.since_look += 1
    if device.kept.since_look < device.guard.interval:
        return NOT_LOOKED
    device.kept.since_look = 0
    right = device.look()
    if right + device.guard.drop >= device.kept.baseline:
        return right
    _go_back(device)
    return right | WENT_BACK


def _go_back(device: Application) -> None:
    """Back to the checkpoint, or to the factory's weights."""
    times = device.kept.times_back
    states = () if device.flash is None else device.flash.states
    if len(states) > 1 and states[1].payload is not None:
        device.take(states[1].payload)
    else:
        device.reset_network()
        device.kept.baseline = device.look()
    device.kept.times_back = min(times + 1, NOT_LOOKED)
    device.kept.since_look = 0


def answer(device: Application, asked: Request) -> bytes:
    """GUARD."""
    if device.guard is None:
        return bytes(12)
    guard, kept = device.guard, device.kept
    told = (guard.count, device.look(), kept.baseline, guard.drop, guard.interval)
    return struct.pack("<6H", *told, kept.times_back)

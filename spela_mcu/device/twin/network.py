"""What is asked of the network: to infer, to learn, to show its weights and counters."""

from __future__ import annotations

import struct
from dataclasses import astuple

from spela_mcu.device.protocol import LEARN_FLAG_DIGEST, PROTOCOL_VERSION, Command, Status
from spela_mcu.device.twin import guard, state
from spela_mcu.device.twin.application import Application, RefusedError, Request
from spela_mcu.fixed_point.early_exit import infer_early


def info(device: Application, asked: Request) -> bytes:
    """INFO."""
    source, plan = device.source, device.network.plan
    flags = (
        1 * (plan.weights == "int16")
        | 2 * (plan.rounding == "nearest")
        | 4 * device.inference_only
        | 8 * plan.bias
        | 16 * plan.weight_decay
    )
    head = (PROTOCOL_VERSION, flags, source.layers, source.inputs, source.classes)
    return (
        struct.pack("<BBHIIII", *head, source.digest, source.arena_bytes)
        + struct.pack("<BBH", state.abilities(device), device.found, device.data_bytes)
        + source.name.encode()
    )


def infer(device: Application, asked: Request) -> bytes:
    """INFER."""
    answers = device.network.infer(device.sample(asked))
    device.count_answer(asked, answers[-1].label, answers[-1].margin)
    return b"".join(
        struct.pack("<Hhh", exit_.label, exit_.cosine, exit_.margin)
        + exit_.scores.astype("<i4").tobytes()
        for exit_ in answers
    )


def infer_last(device: Application, asked: Request) -> bytes:
    """INFER_LAST."""
    last = device.network.infer(device.sample(asked))[-1]
    device.count_answer(asked, last.label, last.margin)
    return struct.pack("<Hhh", last.label, last.cosine, last.margin)


def infer_with_exits(device: Application, asked: Request) -> bytes:
    """INFER_EARLY and, if classes come and go, ASK."""
    said = infer_early(device.network, device.sample(asked))
    device.count_answer(asked, said.label, said.margin)
    body = struct.pack("<HhhH", said.label, said.cosine, said.margin, said.exit)
    if asked.command == Command.ASK:
        body += struct.pack("<H", device.network.wants_label(said.label, said.margin))
    return body


def learn(device: Application, asked: Request) -> bytes:
    """LEARN."""
    if device.inference_only:
        raise RefusedError(Status.ERROR_READ_ONLY)
    device.check_thawed()
    sample = device.sample(asked)
    if asked.argument >= device.source.classes:
        raise RefusedError(Status.ERROR_LABEL)
    said = device.network.learn_answering(sample, asked.argument)
    device.kept.count_learned(asked.argument, is_right=said.label == asked.argument)
    device.count_answer(asked, said.label, said.margin)
    body = struct.pack("<HhhH", said.label, said.cosine, said.margin, guard.count(device))
    if asked.flags & LEARN_FLAG_DIGEST:
        body += struct.pack("<I", device.network.digest())
    return body


def weights(device: Application, asked: Request) -> bytes:
    """STATE."""
    if len(asked.data) != 8:
        raise RefusedError(Status.LENGTH)
    if asked.argument >= device.source.layers:
        raise RefusedError(Status.ERROR_ARGUMENT)
    offset, length = struct.unpack("<II", asked.data)
    packed = device.network.packed_weights(asked.argument)
    layer = device.network.layers[asked.argument]
    if offset + length > len(packed):
        raise RefusedError(Status.RANGE)
    head = (len(packed), layer.updates, layer.halvings, len(layer.pending))
    return struct.pack("<IIII", *head) + packed[offset : offset + length]


def counters(device: Application, asked: Request) -> bytes:
    """COUNTERS."""
    return struct.pack("<IIIIII", *astuple(device.counters), device.network.digest())


def flush(device: Application, asked: Request) -> bytes:
    """FLUSH."""
    device.network.flush()
    return b""

"""The vectors of a project's self-test, and what the integer reference answers and learns."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spela_mcu.fixed_point.arithmetic import draw
from spela_mcu.fixed_point.early_exit import infer_early
from spela_mcu.fixed_point.exit_answer import ExitAnswer
from spela_mcu.fixed_point.layout import pack
from spela_mcu.fixed_point.network import IntegerNetwork

STEPS = 8
"""Every sample comes twice: the second time, the network has learned."""

SEED = 0x53454C46
"""State of the arithmetic's generator from which samples are drawn."""


STRUCTURE_BYTES = 24
"""Size of spela_selftest_t on a 32-bit core."""


@dataclass(frozen=True, eq=False)
class SelfTest:
    """The input of spela_selftest; see spela.h.

    Attributes:
        samples: int8 [samples, inputs], taken in turns.
        labels: what is learned in each step.
        crc: CRC-32 of the embeddings, all answers, and the learned state's digest after each step.
    """

    samples: NDArray[np.int8]
    labels: tuple[int, ...]
    crc: int

    @property
    def vector_bytes(self) -> int:
        """Bytes of flash on a 32-bit core, if it is linked."""
        return self.samples.size + 2 * len(self.labels) + STRUCTURE_BYTES


def make_selftest(network: IntegerNetwork, *, inference_only: bool) -> SelfTest:
    """Runs the reference from its initial weights through the steps of spela_selftest."""
    fresh = IntegerNetwork(network.plan, network.initial)
    samples = _samples(network.plan.sample_inputs)
    front = network.plan.front
    inputs = samples if front is None else front.inputs(samples)
    classes = network.plan.classes
    labels, crc = [], 0
    for layer in network.plan.layers:
        crc = zlib.crc32(pack(layer.exit.embedding, "int8"), crc)
    for step in range(STEPS):
        sample = inputs[step % len(samples)]
        answers = fresh.infer(sample)
        for number, answer in enumerate(answers):
            crc = zlib.crc32(_answer_bytes(number, answer), crc)
        early = infer_early(fresh, sample)
        crc = zlib.crc32(
            struct.pack("<HHhh", early.label, early.exit, early.cosine, early.margin), crc
        )
        # a label that is not the answer, so that there is something to learn
        labels.append((answers[-1].label + 1 + step % (classes - 1)) % classes)
        if not inference_only:
            fresh.learn(sample, labels[-1])
        crc = zlib.crc32(struct.pack("<I", fresh.digest()), crc)
    return SelfTest(samples, tuple(labels), crc)


def _answer_bytes(number: int, answer: ExitAnswer) -> bytes:
    head = struct.pack("<HHhh", answer.label, number, answer.cosine, answer.margin)
    return head + answer.scores.astype("<i4").tobytes()


def _samples(inputs: int) -> NDArray[np.int8]:
    """Four samples int8 [4, inputs]: anything, the ends of the range, mostly zero, not negative."""
    states = draw(SEED, 4 * inputs)[0].reshape(4, inputs)
    found = states.view(np.int32) >> 24
    found[1] = np.where(found[1] < 0, -128, 127)
    found[2] *= states[2] >> np.uint32(16) & np.uint32(3) == 0
    found[3] &= 127
    return found.astype(np.int8)

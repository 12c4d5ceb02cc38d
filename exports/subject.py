"""The model that is exported, and what the integer reference learns of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spela_mcu.firmware.board import Board
from spela_mcu.firmware.model import ModelSource
from spela_mcu.pipeline import prepare

MODEL = Path(__file__).parents[1] / "examples" / "digits" / "model.yaml"
STEPS: Final = 1000
SAMPLES: Final = 4


@dataclass(frozen=True)
class Subject:
    """A model and the truth about it.

    Attributes:
        model: its C source.
        board: that of its model.yaml.
        samples: a few samples int8 [n, inputs] and labels [n], for examples.
        digest: of what the reference has learned after STEPS steps.
    """

    model: ModelSource
    board: Board
    samples: tuple[NDArray[np.int8], NDArray[np.int64]]
    digest: int


@lru_cache(maxsize=1)
def digits() -> Subject:
    """examples/digits, which every program here learns from the same samples."""
    prepared = prepare(MODEL)
    model, network = prepared.source(), prepared.network()
    for step in range(STEPS):
        network.learn(sample(step, model.inputs), step % model.classes)
    test = prepared.test_samples(SAMPLES)
    return Subject(model, prepared.board, (test.samples, test.y), network.digest())


def sample(step: int, inputs: int) -> NDArray[np.int8]:
    """The sample of a learning step, as all programs make it: int8 [inputs]."""
    k = np.arange(inputs)
    return ((step * 37 + k * k * 11) % 255 - 127).astype(np.int8)

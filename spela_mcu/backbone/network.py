"""The backbone in numpy: from samples to features, and to every feature map between."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from spela_mcu.backbone.plan import BackbonePlan, Step
from spela_mcu.backbone.requantize import INT8_MAX, INT8_MIN
from spela_mcu.files import MEBIBYTE

WORKSPACE: Final = 4 * MEBIBYTE
"""Bytes within which samples are computed together: about what a processor's caches hold."""


def quantize(plan: BackbonePlan, samples: NDArray[np.float32]) -> NDArray[np.int8]:
    """Real values to the backbone's int8, as TensorFlow Lite quantises a model's input.

    The quotient of float32 by the scale is rounded half away from zero; the zero point is added,
    and the sum is clipped to int8.

    Args:
        plan: the backbone.
        samples: finite float32 [samples, ...].
    """
    quotient = samples.astype(np.float32) / np.float32(plan.sample.scale)
    whole = np.trunc(quotient)
    whole += np.copysign(np.abs(quotient - whole) >= 0.5, quotient)
    integers = whole.astype(np.float64) + plan.sample.zero_point
    return np.asarray(np.clip(integers, INT8_MIN, INT8_MAX), np.int8)


def run(plan: BackbonePlan, samples: NDArray[np.int8]) -> NDArray[np.int8]:
    """The features of samples.

    Args:
        plan: the backbone.
        samples: int8 [samples, ...], each of the size of `plan.sample`.

    Returns:
        int8 [samples, `plan.feature_count`].
    """
    features = np.empty((len(samples), plan.feature_count), np.int8)
    at_once = _samples_at_once(plan)

    def compute(first: int) -> None:
        part = samples[first : first + at_once]
        features[first : first + at_once] = _features(plan, part)

    # Parts side by side, and each by itself: products this small are slower on several cores.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(compute, range(0, len(samples), at_once)))
    return features


def _features(plan: BackbonePlan, samples: NDArray[np.int8]) -> NDArray[np.int8]:
    """The features of a few samples; each map is dropped where it is read last."""
    last = {index: number for number, step in enumerate(plan.steps) for index in step.sources}
    maps = {0: samples.reshape(len(samples), *plan.sample.shape)}
    for number, step in enumerate(plan.steps):
        maps[step.target] = _forward(step, maps)
        for index in set(step.sources):
            if last[index] == number:
                del maps[index]
    found = [index for index in maps if index]  # the sample may be left where nothing reads it
    return np.concatenate([maps[index].reshape(len(samples), -1) for index in found], 1)


def run_all(plan: BackbonePlan, samples: NDArray[np.int8]) -> tuple[NDArray[np.int8], ...]:
    """Every feature map of samples, for comparisons; all are held in memory.

    Returns:
        One for each of `plan.activations`, int8 [samples, *shape].
    """
    maps = {0: samples.reshape(len(samples), *plan.sample.shape)}
    for step in plan.steps:
        output = _forward(step, maps)
        maps[step.target] = output.reshape(len(samples), *plan.activations[step.target].shape)
    return tuple(maps[index] for index in range(len(plan.activations)))


def _forward(step: Step, maps: dict[int, NDArray[np.int8]]) -> NDArray[np.int8]:
    operator = step.operator
    sources = (maps[index] for index in step.sources)
    return operator.forward(*(source.reshape(-1, *operator.input) for source in sources))


def _samples_at_once(plan: BackbonePlan) -> int:
    most = max(
        # Inputs of every product as floats, and the outputs as several int64.
        4 * (step.operator.macs // step.operator.output.channels) + 32 * step.operator.output.size
        for step in plan.steps
    )
    return max(1, WORKSPACE // most)

"""A memory of means, and what is rehearsed near them (docs/arithmetic-continual.md)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spela_mcu.fixed_point.arithmetic import Int64, draw, shift_right_rounded
from spela_mcu.fixed_point.continual import COUNTER_MAX, ClassState, Memory, Slot, seen_of

FRACTION_BITS = 8
"""Of means and deviations."""

NOISE_BITS = 7
WEIGHT_MAX = 8
DRAWN_MAX = 127


def factory_means(samples: NDArray[np.int8], labels: NDArray[np.int64], known: int) -> Memory:
    """What a network that was trained with samples keeps of them.

    Args:
        samples: int8 [n, inputs].
        labels: [n].
        known: number of classes.
    """
    seen = seen_of(labels, known)
    scaled = samples.astype(np.int64) << FRACTION_BITS
    means = np.zeros((known, samples.shape[1]), np.int64)
    for label in np.flatnonzero(seen).tolist():
        means[label] = _nearest(scaled[labels == label])
    deviation = _nearest(np.abs(scaled - means[labels]))
    slots = tuple(
        means[label : label + (seen[label] > 0)].astype(np.int16) for label in range(known)
    )
    return Memory(seen, slots, deviation.astype(np.uint16))


def _nearest(rows: Int64) -> Int64:
    """The mean of rows [n, inputs], halves up."""
    return np.asarray((2 * rows.sum(axis=0) + len(rows)) // (2 * len(rows)))


def follow(one: ClassState, deviation: Int64, sample: NDArray[np.int8], seen_before: int) -> Int64:
    """Counts a sample int8 [inputs] that was taught; its class's mean follows.

    Args:
        one: its class.
        deviation: of all samples from the means of their classes, [inputs].
        sample: what was taught.
        seen_before: samples of all classes.

    Returns:
        The deviation, which follows as well.
    """
    value = sample.astype(np.int64) << FRACTION_BITS
    grows = one.seen < COUNTER_MAX
    one.seen += grows
    if not one.slots:
        one.slots.append(value.astype(np.int16))
        return deviation
    mean = one.slots[0].astype(np.int64)
    apart = value - mean
    mean += shift_right_rounded(apart, _weight(one.seen))
    one.slots[0] = mean.astype(np.int16)
    change = np.abs(apart) - deviation
    return deviation + shift_right_rounded(change, _weight(seen_before + grows))


def _weight(count: int) -> int:
    """The shift by which a mean of so many samples, one or more, follows the last of them."""
    return min(WEIGHT_MAX, count.bit_length() - 1)


def draw_near(mean: Slot, deviation: Int64, state: int) -> tuple[NDArray[np.int8], int]:
    """A sample near a mean, int8 [inputs], and the generator's next state."""
    states, state = draw(state, len(mean))
    z = (states >> 24).astype(np.int64) + (states >> 16 & 255).astype(np.int64) - 255
    scaled = (mean.astype(np.int64) << NOISE_BITS) + deviation * z
    drawn = shift_right_rounded(scaled, FRACTION_BITS + NOISE_BITS)
    return np.clip(drawn, -DRAWN_MAX, DRAWN_MAX).astype(np.int8), state

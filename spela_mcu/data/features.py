"""Samples through a frozen backbone, once: what it takes, and the features that it makes of it."""

from __future__ import annotations

import hashlib
import math
from contextlib import nullcontext
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from spela_mcu.backbone.network import quantize, run
from spela_mcu.backbone.plan import BackbonePlan
from spela_mcu.data.cache import keep, kept
from spela_mcu.data.dataset import Extracted
from spela_mcu.errors import UserError
from spela_mcu.progress import Progress, progress_bars, silent

SAMPLES_AT_ONCE: Final = 256
"""Bounds the memory, and tells progress; the result does not depend on it."""

CLIPPED_SHARE: Final = 0.1
"""Samples of which more is beyond the backbone's range are taken for another model's."""


def extract(backbone: BackbonePlan, x: NDArray[Any], *, progress: bool = False) -> Extracted:
    """Samples as the backbone takes them, and their features.

    Features are kept in the user's cache: the same samples are not computed twice.

    Args:
        backbone: the frozen network.
        x: [n, ...]. int8 are the backbone's inputs already; all other values are real ones, which
            become int8 as TensorFlow Lite quantises a model's input.
        progress: show progress bars.

    Raises:
        UserError: the samples have another shape than the backbone's, or lie outside its range.
    """
    _check_shape(backbone, x.shape[1:] or (1,))
    samples = _quantized(backbone, x).reshape(len(x), -1)
    content = hashlib.sha256(f"{backbone.digest} {samples.shape}".encode())
    content.update(np.ascontiguousarray(samples).data)
    key = content.hexdigest()
    features = kept("features", key, (len(samples), backbone.feature_count), np.int8)
    if features is None:
        with progress_bars() if progress else nullcontext(silent) as show:
            features = _computed(backbone, samples, show)
        keep("features", key, features)
    return Extracted(samples, features)


def feature_values(backbone: BackbonePlan, features: NDArray[np.int8]) -> NDArray[np.int16]:
    """Features less their zero point: what is scaled. A feature that stands for 0 is 0."""
    return features.astype(np.int16) - backbone.zero_points


def _check_shape(backbone: BackbonePlan, shape: tuple[int, ...]) -> None:
    """Samples may come flat, and sides of length one do not count."""
    wanted = backbone.sample.shape
    if shape == (wanted.size,) or _long_sides(shape) == _long_sides(wanted):
        return
    raise UserError(
        f"the backbone takes samples of shape {list(wanted)} (rows, columns, channels), but a "
        f"sample of the data has {list(shape)}",
        mend="make the samples as the .tflite's own training made them",
        key="network.backbone",
    )


def _long_sides(shape: tuple[int, ...]) -> list[int]:
    return [side for side in shape if side != 1]


def _quantized(backbone: BackbonePlan, x: NDArray[Any]) -> NDArray[np.int8]:
    if x.dtype == np.int8:
        return x
    samples = np.empty(x.shape, np.int8)
    clipped = 0
    sample = backbone.sample
    low, high = ((end - sample.zero_point) * sample.scale for end in (-128.5, 127.5))
    for at in range(0, len(x), SAMPLES_AT_ONCE):
        part = x[at : at + SAMPLES_AT_ONCE].astype(np.float32)
        clipped += int(np.count_nonzero((part < low) | (part > high)))
        samples[at : at + SAMPLES_AT_ONCE] = quantize(backbone, part)
    if clipped > CLIPPED_SHARE * math.prod(x.shape):
        raise UserError(
            f"{clipped / math.prod(x.shape):.0%} of the samples' values are outside of what the "
            f"backbone takes, {low:.6g} to {high:.6g}; they span {float(x.min()):.6g} to "
            f"{float(x.max()):.6g}",
            mend="scale the samples as for the .tflite's own training; int8 samples are taken as "
            "they are",
            key="network.backbone",
        )
    return samples


def _computed(
    backbone: BackbonePlan, samples: NDArray[np.int8], show: Progress
) -> NDArray[np.int8]:
    features = np.empty((len(samples), backbone.feature_count), np.int8)
    for at in range(0, len(samples), SAMPLES_AT_ONCE):
        show("features of the backbone", at, len(samples))
        features[at : at + SAMPLES_AT_ONCE] = run(backbone, samples[at : at + SAMPLES_AT_ONCE])
    show("features of the backbone", len(samples), len(samples))
    return features

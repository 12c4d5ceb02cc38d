"""Scales raw inputs to network inputs in [-1, 1]."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spela_mcu.data.dataset import InputScaling
from spela_mcu.errors import UserError
from spela_mcu.spec.data import DataSection

Scaling = Literal["global", "centred", "per_feature"]

_CLIPPED_SHARE = 0.1  # a stated range that cuts off more is taken for a mistake


def chosen_scaling(data: DataSection, shape: tuple[int, ...]) -> Scaling:
    """The stated scaling, else the one that suits the samples.

    Inputs of a picture or a signal share one unit: ``global``. So do inputs with a stated range.
    Those of a table, samples without a shape, do not: ``per_feature``.

    Args:
        data: the model's data section.
        shape: of one sample.
    """
    if data.scaling is not None:
        return data.scaling
    return "global" if data.input_range is not None or len(shape) > 1 else "per_feature"


def measure_scaling(
    x: NDArray[Any],
    kind: Scaling,
    input_range: tuple[float, float] | None,
) -> InputScaling:
    """Finds the scaling of a training part.

    - ``global``: all inputs share one range [low, high], stated or measured. Zero stays zero:
      offset 0; scale 1 / high if low >= 0, else 1 / max(|low|, |high|).
    - ``centred``: the scale of ``global``; offset is the mean of each input.
    - ``per_feature``: offset is the middle of an input's range, scale 1 / half the range; a
      constant input gets scale 0.

    Args:
        x: raw training inputs [n, inputs], finite.
        kind: which of the three.
        input_range: the stated range of ``global`` and ``centred``.

    Raises:
        UserError: all inputs are zero, or much of the data is outside the stated range.
    """
    inputs = x.shape[1]
    least = 1 / float(np.finfo(np.float32).max)  # the inverse of a smaller number overflows float32
    measured = float(x.min()), float(x.max())
    if max(map(abs, measured)) <= least:
        raise UserError(
            "every training input is zero", mend="check the samples of the data source", key="data"
        )
    if kind == "per_feature":
        low, high = x.min(axis=0).astype(np.float64), x.max(axis=0).astype(np.float64)
        half = (high - low) / 2
        varies = half > least
        scale = np.divide(1.0, half, out=np.zeros(inputs), where=varies)
        return InputScaling((low + half).astype(np.float32), scale.astype(np.float32))
    if input_range is not None:
        _check_range(x, input_range)
    peak = max(map(abs, input_range or measured))
    offset = np.zeros(inputs) if kind == "global" else x.mean(axis=0, dtype=np.float64)
    return InputScaling(offset.astype(np.float32), np.full(inputs, 1 / peak, np.float32))


def apply_scaling(x: NDArray[Any], scaling: InputScaling) -> NDArray[np.float32]:
    """(x - offset) * scale in float32, as a user's own firmware would compute it."""
    scaled = x.astype(np.float32)
    if scaling.offset.any():
        scaled -= scaling.offset
    scaled *= scaling.scale
    return scaled


def _check_range(x: NDArray[Any], bounds: tuple[float, float]) -> None:
    low, high = bounds
    outside = float(np.mean((x < low) | (x > high)))
    if outside > _CLIPPED_SHARE:
        raise UserError(
            f"{outside:.0%} of the training inputs are outside [{low:g}, {high:g}]; "
            f"they span [{float(x.min()):g}, {float(x.max()):g}]",
            mend="state the range of the raw inputs, or remove input_range to have it measured",
            key="data.input_range",
        )

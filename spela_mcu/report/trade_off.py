"""What early exit trades: accuracy against multiply-accumulates, for any threshold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spela_mcu.fixed_point.arithmetic import Int64
from spela_mcu.fixed_point.early_exit import Answers, answer_early
from spela_mcu.fixed_point.plan import FixedPointPlan

POINTS = 40


def trade_off(
    plan: FixedPointPlan, answers: Answers, labels: Int64
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """MACs saved and accuracy, both in %, as exit 0's threshold lets from all to no samples leave.

    The other exits have no threshold. A share below 0 is the cost of scoring at exit 0 where few
    leave.
    """
    margins = np.quantile(answers.margins[0], np.linspace(0, 1, POINTS))
    saved, accuracy = [], []
    for margin in np.unique(np.maximum(margins.astype(np.int64), 1)).tolist():
        layers = [layer.with_thresholds(exit_margin=0) for layer in plan.layers]
        layers[0] = layers[0].with_thresholds(exit_margin=margin)
        early = answer_early(replace(plan, layers=tuple(layers)), answers)
        saved.append(100 * (1 - early.macs.mean() / plan.infer_macs))
        accuracy.append(100 * np.mean(early.labels == labels))
    return np.array(saved), np.array(accuracy)

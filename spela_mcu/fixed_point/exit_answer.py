"""What an exit answers, and which exit answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spela_mcu.fixed_point.arithmetic import Int64, cosine, inverse_norm
from spela_mcu.fixed_point.layer import LayerPlan
from spela_mcu.fixed_point.learning import NO_CLASS, Output, best_class
from spela_mcu.fixed_point.plan import FixedPointPlan


@dataclass(frozen=True, eq=False)
class ExitAnswer:
    """One exit's answer to a sample; cosine and margin are Q1.14.

    Attributes:
        scores: int64 [classes], embedding * activation.
        margin: cosine minus that of the next best class, at most 32767.
    """

    label: int
    cosine: int
    margin: int
    scores: Int64


def exit_answer(
    layer: LayerPlan, output: Output, active: NDArray[np.bool_] | None = None
) -> ExitAnswer:
    """An exit's answer; without any activation it is the first class, with a cosine of 0.

    Args:
        layer: its exit.
        output: its activation and scores.
        active: the classes that can be answered, [classes]; None: all.
    """
    activation, scores = output.activation, output.scores
    label = best_class(scores, active=active)
    second = best_class(scores, other_than=label, active=active)
    if label == NO_CLASS or activation.squared_norm == 0:
        return ExitAnswer(label, 0, 0, scores)
    inverse = inverse_norm(activation.squared_norm)
    similarity = cosine(int(scores[label]), inverse, layer.exit.embedding_shift)
    if second == NO_CLASS:  # there is nothing to compare with
        return ExitAnswer(label, similarity, 0, scores)
    runner_up = cosine(int(scores[second]), inverse, layer.exit.embedding_shift)
    return ExitAnswer(label, similarity, min(similarity - runner_up, 32767), scores)


def first_sure(plan: FixedPointPlan, answers: Sequence[ExitAnswer]) -> tuple[int, ExitAnswer]:
    """The first exit whose margin reaches its layer's, or the last; and its answer."""
    last = len(answers) - 1
    for index, (layer, answer) in enumerate(zip(plan.layers, answers, strict=True)):
        margin = layer.exit.exit_margin
        if index == last or (margin != 0 and answer.margin >= margin):
            return index, answer
    raise AssertionError("the last exit answers")

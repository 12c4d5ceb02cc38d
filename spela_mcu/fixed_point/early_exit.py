"""Early exit and rejection (docs/arithmetic.md, section 8): the rule, and its calibration."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import floor
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spela_mcu.fixed_point.arithmetic import Int64
from spela_mcu.fixed_point.exit_answer import ExitAnswer, first_sure
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import FixedPointPlan

UNKNOWN = 0xFFFF
"""The label of a sample that is rejected: SPELA_UNKNOWN."""


class Infers(Protocol):
    """An `IntegerNetwork`, or the same network as C on the host."""

    def infer(self, sample: NDArray[np.int8]) -> tuple[ExitAnswer, ...]:
        """Every exit's answer for one sample [inputs]."""


@dataclass(frozen=True)
class EarlyAnswer:
    """The answer of the first exit that is sure enough; cosine and margin are Q1.14.

    Attributes:
        label: its class, or UNKNOWN.
        exit: the exit that answered, from 0.
    """

    label: int
    exit: int
    cosine: int
    margin: int


@dataclass(frozen=True, eq=False)
class Answers:
    """Every exit's answers to many samples; each int64 [exits, n], cosines and margins Q1.14."""

    labels: Int64
    cosines: Int64
    margins: Int64


@dataclass(frozen=True, eq=False)
class EarlyAnswers:
    """Early exit's answers to many samples; each [n].

    Attributes:
        labels: int64, the class that the exit found, even if it is rejected.
        exits: int64, the exit that answered.
        unknown: bool, whether the sample is rejected.
        macs: int64, multiply-accumulates spent.
    """

    labels: Int64
    exits: Int64
    unknown: NDArray[np.bool_]
    macs: Int64


def infer_early(network: IntegerNetwork, sample: NDArray[np.int8]) -> EarlyAnswer:
    """The answer to one sample [inputs] by early exit: the definition."""
    index, answer = first_sure(network.plan, network.infer(sample))
    limit = network.plan.layers[index].exit.reject_cosine
    rejected = limit != 0 and answer.cosine < limit
    label = UNKNOWN if rejected or network.is_unknown(index, answer) else answer.label
    return EarlyAnswer(label, index, answer.cosine, answer.margin)


def all_answers(network: Infers, samples: NDArray[np.int8]) -> Answers:
    """Every exit's answers for samples [n, inputs], n at least 1."""
    answers = [network.infer(sample) for sample in samples]
    figures = np.array(
        [[(one.label, one.cosine, one.margin) for one in exits] for exits in answers], np.int64
    )
    labels, cosines, margins = figures.transpose(2, 1, 0)
    return Answers(labels, cosines, margins)


def answer_early(plan: FixedPointPlan, answers: Answers) -> EarlyAnswers:
    """The rule of `infer_early`, applied to answers at hand."""
    last = len(plan.layers) - 1
    count = answers.labels.shape[1]
    exits = np.full(count, last)
    open_ = np.ones(count, np.bool_)
    for index, layer in enumerate(plan.layers[:last]):
        if layer.exit.exit_margin != 0:
            leaving = open_ & (answers.margins[index] >= layer.exit.exit_margin)
            exits[leaving] = index
            open_ &= ~leaving
    rows = np.arange(count)
    limits = np.array([layer.exit.reject_cosine for layer in plan.layers])[exits]
    unknown = (limits != 0) & (answers.cosines[exits, rows] < limits)
    following = None if plan.continual is None else plan.continual.unknown
    if following is not None:  # as they are at the start
        values = answers.cosines if following.by == "cosine" else answers.margins
        unknown |= values[exits, rows] < np.array(following.limits)[exits]
    return EarlyAnswers(
        labels=answers.labels[exits, rows],
        exits=exits,
        unknown=unknown,
        macs=np.array(exit_macs(plan))[exits],
    )


def exit_macs(plan: FixedPointPlan) -> tuple[int, ...]:
    """Multiply-accumulates of a sample that leaves at each exit, a backbone's among them.

    An exit at which samples may leave computes the product with the embeddings, and a convolution's
    its read-out, also for those that then stay: the price of early exit.
    """
    spent, found = 0, []
    for layer, features in zip(plan.layers, feature_macs(plan), strict=True):
        spent += features + layer.forward_macs
        found.append(spent + layer.exit_macs)
        if layer.exit.exit_margin != 0:
            spent += layer.exit_macs
    return tuple(found)


def feature_macs(plan: FixedPointPlan) -> tuple[int, ...]:
    """Multiply-accumulates of the backbone that run right before each layer in an early exit."""
    counts = [0] * len(plan.layers)
    if plan.front is not None:
        backbone, first = plan.front.backbone, 0
        for index, tap in enumerate(backbone.taps):
            counts[index] = sum(step.operator.macs for step in backbone.steps[first : tap.steps])
            first = tap.steps
    return tuple(counts)


# -------------------------------------------------------------------------- calibration


def with_early_exits(
    plan: FixedPointPlan, answers: Answers, labels: Int64, loss_points: float
) -> FixedPointPlan:
    """Chooses each exit's margin, first to last, as low as the accuracy permits.

    An exit's threshold goes down from the greatest margin and stops before the samples that leave
    cost more accuracy than is allowed, compared with the last exit answering all. An exit whose
    scores cost more multiply-accumulates than leaving there saves gets no threshold.

    Args:
        plan: the network's plan; its thresholds are replaced.
        answers: answers to validation samples.
        labels: their classes [n].
        loss_points: points of accuracy that may be lost over all exits.
    """
    last = len(plan.layers) - 1
    layers = [layer.with_thresholds(exit_margin=0) for layer in plan.layers]
    right = (answers.labels == labels).astype(np.int64)
    allowed = floor(loss_points / 100 * len(labels) + 1e-9)
    open_ = np.ones(len(labels), np.bool_)
    for index in range(last):
        gains = (right[index] - right[last])[open_]
        margin = lowest_margin(answers.margins[index][open_], gains, allowed)
        if margin is None:
            continue
        leaving = open_ & (answers.margins[index] >= margin)
        if not _pays(plan, index, int(leaving.sum()), int(open_.sum())):
            continue
        layers[index] = layers[index].with_thresholds(exit_margin=margin)
        allowed += int((right[index] - right[last])[leaving].sum())
        open_ &= ~leaving
    return replace(plan, layers=tuple(layers))


def lowest_margin(margins: Int64, gains: Int64, allowed: int) -> int | None:
    """The lowest margin at which, as at all above it, at most `allowed` correct answers are lost.

    Args:
        margins: of the samples, [n].
        gains: 1 where leaving corrects a wrong answer, -1 where it spoils a correct one.
        allowed: correct answers that may be lost on balance.

    Returns:
        A margin of 1 or more, or None if not even the surest sample may leave.
    """
    order = np.argsort(-margins, kind="stable")
    sorted_margins, balance = margins[order], np.cumsum(gains[order])
    # Samples with equal margins leave together: only the last of each group is a choice.
    ends = np.flatnonzero(np.append(np.diff(sorted_margins) != 0, True)) if len(order) else order
    ends = ends[sorted_margins[ends] >= 1]
    too_much = np.flatnonzero(balance[ends] < -allowed)
    chosen = ends[: too_much[0]] if len(too_much) else ends
    return int(sorted_margins[chosen[-1]]) if len(chosen) else None


def _pays(plan: FixedPointPlan, index: int, leaving: int, arriving: int) -> bool:
    """Whether leaving at an exit saves more MACs than scoring there costs for those that stay."""
    layers = plan.layers
    rest = sum(feature_macs(plan)[index + 1 :]) + layers[-1].exit_macs
    rest += sum(layer.forward_macs for layer in layers[index + 1 :])
    return leaving * rest > arriving * layers[index].exit_macs


def with_rejection(plan: FixedPointPlan, answers: Answers, unknown_share: float) -> FixedPointPlan:
    """Chooses each exit's limit so that at most a share of known samples is called unknown.

    It is a layer's `reject_cosine`, or, where limits follow what is taught, what they start from.

    Args:
        plan: the network's plan, with its exits' margins.
        answers: answers to validation samples, all of known classes.
        unknown_share: share of the samples that an exit answers; below 1.
    """
    exits = answer_early(plan, answers).exits
    continual = plan.continual
    unknown = None if continual is None else continual.unknown
    by_margin = unknown is not None and unknown.by == "margin"
    values = answers.margins if by_margin else answers.cosines
    limits = []
    for index in range(len(plan.layers)):
        answered = exits == index
        if not answered.any():  # nothing is known about samples answered here: accept all
            answered[:] = True
        found = np.sort(values[index][answered])
        limits.append(int(found[floor(unknown_share * len(found) + 1e-9)]))
    if continual is not None and unknown is not None:
        unknown = replace(unknown, limits=tuple(max(limit, 1) for limit in limits))
        return replace(plan, continual=replace(continual, unknown=unknown))
    layers = tuple(
        layer.with_thresholds(reject_cosine=-1 if limit == 0 else limit)  # 0 would reject nothing
        for layer, limit in zip(plan.layers, limits, strict=True)
    )
    return replace(plan, layers=layers)

"""What rounding adds to the updates of filters, at some place of a stream."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from experiments.learning import Stream, part_of, prepared, with_filter_bits
from experiments.tasks import Task
from spela_mcu.data.dataset import quantize_inputs
from spela_mcu.fixed_point.arithmetic import Int64
from spela_mcu.fixed_point.layer import ConvolutionPlan
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import make_plan
from spela_mcu.host.network import HostNetwork

MEASURED = 100
"""Samples whose updates are measured."""


class MeasuredNetwork(IntegerNetwork):
    """An `IntegerNetwork` that keeps the exact updates of filters, in steps of a weight."""

    updates: dict[int, list[NDArray[np.float64]]]

    def reset(self) -> None:
        """Forgets everything learned."""
        super().reset()
        self.updates = {}

    def _apply_sums(self, matrix: int, filters: ConvolutionPlan, sums: Int64) -> None:
        exact = sums / 2.0**filters.learner.update_shift
        self.updates.setdefault(matrix, []).append(exact)
        super()._apply_sums(matrix, filters, sums)


def rounding(task: Task) -> dict[str, float]:
    """Measures the updates of filters behind a part of the stream, layer by layer, in %.

    The columns are the mean update, of one step of a weight; the variance that rounding adds, of
    the update's mean square; and the weights' root mean square, of the greatest.

    Options: `learned`, the share of the stream before; `share` of the training samples; `mirror`;
    `filter_bits`, as for `learn`.
    """
    spec, dataset = prepared(task)
    options = task.options
    train = part_of(dataset.train, options.get("share"), task.seed)
    plan = make_plan(spec, dataset.inputs, dataset.classes)
    if "filter_bits" in options:
        plan = with_filter_bits(plan, options["filter_bits"])
    learned = replace(dataset, train=train)
    mirror = options.get("mirror", False)
    whole = Stream(learned, spec.learning.epochs, task.seed, mirror=mirror)
    first = round(options["learned"] * len(whole))
    chip, done = HostNetwork(plan, None), 0
    for x, y in whole:
        part = quantize_inputs(x[: first - done]), y[: first - done]
        chip.partial_fit(*part)
        done += len(part[1])
        if done == first:
            break
    network = MeasuredNetwork(plan, chip.all_weights())
    for index, state in enumerate(network.layers):
        state.halvings = chip.halvings(index)
    network.samples = done
    network.partial_fit(quantize_inputs(train.x[:MEASURED]), train.y[:MEASURED])
    found = {}
    for layer, (matrix, updates) in enumerate(sorted(network.updates.items())):
        exact = np.abs(np.concatenate([update.ravel() for update in updates]))
        part_of_step = exact - np.floor(exact)
        variance = part_of_step * (1 - part_of_step)
        filters = plan.matrices[matrix]
        found |= {
            f"update {layer}": 100 * float(exact.mean()),
            f"rounding {layer}": 100 * float(variance.mean() / (exact**2).mean()),
            f"weights {layer}": 100
            * float(np.sqrt((network.layers[matrix].weights ** 2).mean()) / filters.weight_max),
        }
    return found

"""From a .tflite to a `BackbonePlan`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from spela_mcu.backbone.cut import FEATURES, cut_graph, nothing_computed
from spela_mcu.backbone.lower import Lowered, lower
from spela_mcu.backbone.memory import SCRATCH_ALIGNMENT, Layout, Lifetime, Overlap, lay_out
from spela_mcu.backbone.plan import BackbonePlan
from spela_mcu.backbone.structures import scratch_bytes


def read_backbone(file: Path, cut: str = FEATURES, exits_at: Sequence[str] = ()) -> BackbonePlan:
    """The frozen backbone that a .tflite is, up to a cut.

    Args:
        file: an int8 model of TensorFlow Lite.
        cut: the name of the tensor that holds the features; ``features``: the input of the last
            FULLY_CONNECTED.
        exits_at: names of tensors before the cut that exits sit on.

    Raises:
        UserError: the file cannot be read, there is no such tensor, or the backbone holds something
            that is not supported: it is named with operator, tensor and reason.
    """
    from spela_mcu.backbone.read import read_graph

    graph = read_graph(file)
    part = cut_graph(graph, cut, exits_at)
    lowered = lower(part)
    if not lowered.steps:
        raise nothing_computed(graph, part.features)
    return plan_backbone(graph.tensors[part.features].name, lowered)


def plan_backbone(cut: str, lowered: Lowered) -> BackbonePlan:
    """Lowered operators with memory for their maps and for themselves."""
    layout = _layout(lowered)
    maps = layout.offsets[: len(lowered.activations)]
    scratches = layout.offsets[len(lowered.activations) :]
    return BackbonePlan(
        cut=cut,
        activations=tuple(
            replace(activation, offset=offset)
            for activation, offset in zip(lowered.activations, maps, strict=True)
        ),
        steps=tuple(
            replace(step, scratch=offset)
            for step, offset in zip(lowered.steps, scratches, strict=True)
        ),
        arena_bytes=layout.size,
    )


def _layout(lowered: Lowered) -> Layout:
    """Where the activations lie, and behind them in the list each step's scratch."""
    last = {index: number for number, step in enumerate(lowered.steps) for index in step.sources}
    last[lowered.steps[-1].target] = len(lowered.steps)
    maps = [
        Lifetime(activation.shape.size, max(0, index - 1), last.get(index, index - 1))
        for index, activation in enumerate(lowered.activations)
    ]
    scratches = [
        Lifetime(scratch_bytes(step.operator), number, number, SCRATCH_ALIGNMENT)
        for number, step in enumerate(lowered.steps)
    ]
    overlaps = [
        Overlap(source, step.target, step.operator.lead, step.operator.unit)
        for number, step in enumerate(lowered.steps)
        for source in set(step.sources)
        if last[source] == number
    ]
    return lay_out([*maps, *scratches], overlaps)

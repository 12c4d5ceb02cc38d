"""The size of the arena, laid out as firmware/spela/spela.c does it, to the byte."""

from __future__ import annotations

import numpy as np

from spela_mcu.fixed_point.layout import padded, rounded_up
from spela_mcu.fixed_point.plan import FixedPointPlan

INSTANCE_BYTES = 56
LAYER_STATE_BYTES = 16
ROW_UPDATE_BYTES = 8
WIDE_UNIT_BYTES = 16
ALIGNMENT = 8


def _taken(size: int) -> int:
    return rounded_up(size, ALIGNMENT)


def weight_bytes(plan: FixedPointPlan) -> int:
    """Bytes of all layers' packed weights: whole blocks, which keep the arena's alignment."""
    width = np.dtype(plan.weight_type).itemsize
    return sum(padded(layer.units) * padded(layer.inputs) * width for layer in plan.layers)


def pending_bytes(plan: FixedPointPlan, *, inference_only: bool) -> int:
    """Bytes in which layers keep updates until they are applied; they are kept in pairs."""
    if plan.batch == 1 or inference_only:
        return 0
    kept = stride(plan.batch)
    return sum(
        _taken(kept * (2 * padded(layer.units) + padded(layer.inputs))) for layer in plan.layers
    )


def stride(batch: int) -> int:
    """Room for the updates of a batch: spela_stride in C."""
    return rounded_up(batch, 2)


def scratch_bytes(rows: int, batch: int) -> int:
    """Bytes in which updates can be applied to so many rows: spela_scratch_bytes in C."""
    return max(8 * rows, 80 * stride(batch) + 128)


def buffer_bytes(plan: FixedPointPlan, *, inference_only: bool) -> int:
    """Bytes of instance, activations, sums, scores and inputs: of neither weights nor updates."""
    widest = padded(max(layer.units for layer in plan.layers))
    sums_updates = plan.batch > 1 and not inference_only
    rows = widest * (4 if inference_only else ROW_UPDATE_BYTES)  # in the place of the sums
    if sums_updates:
        rows = scratch_bytes(widest, plan.batch)
    between = (
        rows
        # layers' inputs, which are the previous activation: two buffers that take turns
        + rounded_up(2 * max(padded(plan.layers[0].inputs), widest), WIDE_UNIT_BYTES)
        + rounded_up(2 * widest, WIDE_UNIT_BYTES)
    )
    features = 0
    if plan.front is not None:  # the backbone has ended when the layers begin
        features = _taken(plan.inputs)
        between = max(between, _taken(plan.front.backbone.arena_bytes))
    return (
        INSTANCE_BYTES
        + len(plan.layers) * LAYER_STATE_BYTES
        + _taken(4 * padded(plan.classes))
        + features
        + between
        + sum(_taken(layer.units) for layer in plan.layers)
    )


def arena_bytes(plan: FixedPointPlan, *, inference_only: bool) -> int:
    """Bytes of the arena that spela_init asks for, exactly."""
    weights = 0 if inference_only else weight_bytes(plan)
    pending = pending_bytes(plan, inference_only=inference_only)
    return buffer_bytes(plan, inference_only=inference_only) + pending + weights

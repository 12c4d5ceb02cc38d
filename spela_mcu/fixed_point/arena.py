"""The size of the arena, laid out as firmware/spela/spela.c does it, to the byte."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from spela_mcu.fixed_point.layer import LayerPlan
from spela_mcu.fixed_point.layout import packed_bytes, padded, rounded_up
from spela_mcu.fixed_point.plan import FixedPointPlan

INSTANCE_BYTES = 56
LAYER_STATE_BYTES = 16
ROW_UPDATE_BYTES = 8
WIDE_UNIT_BYTES = 16
MAPS_STATE_BYTES = 32
PROGRESS_BYTES = 8
CLASS_BYTES = 8
LIMIT_BYTES = 4
RING_BYTES, CRC_BYTES, PLACE_BYTES = 16, 4, 2
"""Of a memory in flash: what is known of it, and of each sample there."""
ALIGNMENT = 8


def _taken(size: int) -> int:
    return rounded_up(size, ALIGNMENT)


def weight_bytes(plan: FixedPointPlan) -> int:
    """Bytes of all packed weights: whole blocks, which keep the arena's alignment."""
    return sum(packed_bytes(one.units, one.inputs, one.format) for one in plan.matrices)


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
    """Bytes of instance, activations, sums, scores and inputs: of neither weights nor updates.

    The table of classes and the samples to rehearse are among them.
    """
    dense = [layer for layer in plan.layers if layer.convolution is None]
    widest = padded(max((layer.units for layer in dense), default=0))
    # those that read the network's inputs; behind a convolution, its map
    firsts = dense[: plan.taps + 1]
    inputs = padded(max((layer.inputs for layer in firsts), default=0))
    sums_updates = plan.batch > 1 and not inference_only
    rows = widest * (4 if inference_only else ROW_UPDATE_BYTES)  # in the place of the sums
    if sums_updates:
        rows = scratch_bytes(widest, plan.batch)
    between = (
        rows
        # layers' inputs, which are the previous activation: two buffers that take turns
        + rounded_up(2 * max(inputs, widest), WIDE_UNIT_BYTES)
        + rounded_up(2 * (max(inputs, widest) if plan.taps else widest), WIDE_UNIT_BYTES)
    )
    features = PROGRESS_BYTES if plan.taps else 0
    if plan.front is not None:
        features += _taken(plan.inputs)
        front = _taken(plan.front.backbone.arena_bytes)
        if plan.taps:  # its maps are still needed when layers run
            features += front
        else:  # it has ended
            between = max(between, front)
    maps = MapBytes.of(plan, learns=not inference_only)
    return (
        INSTANCE_BYTES
        + len(plan.matrices) * LAYER_STATE_BYTES
        + maps.kept
        + continual_bytes(plan)
        + _taken(4 * padded(plan.classes))
        + features
        + max(between, maps.scratch)
        + sum(_taken(layer.units) for layer in plan.layers)
    )


def continual_bytes(plan: FixedPointPlan) -> int:
    """Bytes of the table of classes, and of what is rehearsed: spela_continual_bytes in C."""
    if plan.continual is None:
        return 0
    flash = memory_in_flash(plan)
    if flash is not None:
        memory = flash.arena_bytes
    else:
        memory = plan.continual.kept_bytes(plan.classes, plan.inputs)
        memory += padded(plan.inputs) if plan.keeps_means else 0  # the one drawn
    limits = 0 if plan.continual.unknown is None else LIMIT_BYTES * len(plan.layers)
    return plan.classes * CLASS_BYTES + _taken(limits) + _taken(memory)


@dataclass(frozen=True)
class MemoryInFlash:
    """What of a memory lies in flash.

    Attributes:
        slots: samples that it keeps, of all classes.
        record_bytes: of a sample, padded, with its CRC.
    """

    slots: int
    record_bytes: int

    @property
    def arena_bytes(self) -> int:
        """Bytes of the arena: spela_memory_flash_bytes in C."""
        return RING_BYTES + self.record_bytes + PLACE_BYTES * self.slots


def memory_in_flash(plan: FixedPointPlan) -> MemoryInFlash | None:
    """What of a plan's memory lies in flash; None: nothing does."""
    if plan.continual is None or not plan.continual.in_flash:
        return None
    return MemoryInFlash(plan.classes * plan.continual.capacity, padded(plan.inputs) + CRC_BYTES)


def arena_bytes(plan: FixedPointPlan, *, inference_only: bool) -> int:
    """Bytes of the arena that spela_init asks for, exactly."""
    weights = 0 if inference_only else weight_bytes(plan)
    pending = pending_bytes(plan, inference_only=inference_only)
    return buffer_bytes(plan, inference_only=inference_only) + pending + weights


@dataclass(frozen=True)
class MapBytes:
    """Bytes that a network's convolutions need, laid out as spela_lay_out_maps does it.

    Attributes:
        kept: of the maps, of the places of maxima, and of what says where they are.
        scratch: of one convolution at a time, before dense layers use the same place.
    """

    kept: int
    scratch: int

    @classmethod
    def of(cls, plan: FixedPointPlan, *, learns: bool) -> Self:
        """The bytes of a plan; none without convolutions."""
        layers = [layer for layer in plan.layers if layer.convolution is not None]
        sizes = [one.convolution.window.pooled.size for one in layers if one.convolution]
        if not sizes:
            return cls(0, 0)
        maps = sum(_taken(2 * max(sizes[first::2], default=0)) for first in range(2))
        places = _taken(max(sizes)) if learns else 0
        return cls(MAPS_STATE_BYTES + maps + places, max(map(_scratch, layers)))


def _scratch(layer: LayerPlan) -> int:
    """Bytes of a convolution's scratch: spela_places in C."""
    filters = layer.convolution
    assert filters is not None
    patch, cells, units = padded(filters.inputs), padded(layer.inputs), padded(layer.units)
    map_end = _wide(patch) + 4 * padded(filters.units)
    rows = _taken(4 * cells) + _wide(cells)
    readout_end = _taken(rows + 12 * units) + _wide(units)
    return _taken(max(map_end, readout_end, rows + 4 * filters.inputs))


def _wide(inputs: int) -> int:
    return rounded_up(2 * inputs, WIDE_UNIT_BYTES)

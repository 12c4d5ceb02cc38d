"""The pre-flight check: refuses a model that does not fit its board and says what would help."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from spela_mcu.errors import UserError
from spela_mcu.firmware.board import Board, load_boards
from spela_mcu.firmware.memory import MemoryPlan, network_memory, plan_memory
from spela_mcu.firmware.rehearsal import no_room
from spela_mcu.firmware.toolchain import CompilerChoice, Optimization
from spela_mcu.fixed_point.layer import LayerPlan
from spela_mcu.fixed_point.layout import FORMAT_BITS
from spela_mcu.fixed_point.plan import FixedPointPlan
from spela_mcu.spec.learning import Format


@dataclass(frozen=True)
class Preflight:
    """A question: does this network fit?

    Attributes:
        plan: shapes and formats of the network.
        weights_in_flash: whether its initial weights are tables, not drawn by the chip.
        inference_only: whether weights stay in flash and the learning runtime is left out.
        compiler, optimization: how it will be built.
        guard_samples: that its guard keeps.
    """

    plan: FixedPointPlan
    weights_in_flash: bool
    inference_only: bool
    compiler: CompilerChoice
    optimization: Optimization
    guard_samples: int = 0

    def memory(self, board: Board) -> MemoryPlan:
        """The memory that it needs on a board."""
        network = network_memory(
            self.plan.inferring() if self.inference_only else self.plan,
            weights_in_flash=self.weights_in_flash or self.inference_only,
            inference_only=self.inference_only,
        )
        return plan_memory(
            network,
            board,
            compiler=self.compiler,
            optimization=self.optimization,
            inference_only=self.inference_only,
            guard_samples=self.guard_samples,
        )


def check_fit(preflight: Preflight, board: Board) -> MemoryPlan:
    """The memory plan of a network that fits.

    Raises:
        UserError: it does not fit; the error says by how much and what would make it fit.
    """
    memory = preflight.memory(board)
    if memory.fits:
        return memory
    if memory.in_flash is not None and memory.rehearsal is None:
        raise no_room(board, memory.in_flash)
    lacking = [
        f"{kind} by {bytes_lacking} bytes (needs {need}, has {region.bytes})"
        for kind, bytes_lacking, need, region in (
            ("flash", memory.flash_lacking, memory.flash, memory.program),
            ("RAM", memory.ram_lacking, memory.ram, board.ram),
        )
        if bytes_lacking
    ]
    remedies = _remedies(preflight, board)
    raise UserError(
        f"the model does not fit {board.id}: it exceeds {' and '.join(lacking)}",
        mend="; or ".join(remedies) or "make the layers narrower, or the samples smaller",
    )


def _remedies(preflight: Preflight, board: Board) -> list[str]:
    """Single changes that would each make the network fit."""
    remedies = []
    for weights in _narrower_weights(preflight.plan):
        narrow = dataclasses.replace(preflight, plan=preflight.plan.with_weights(weights))
        if narrow.memory(board).fits:
            remedies.append(f"set fixed_point.weights: {weights}")
            break
    if preflight.guard_samples:
        unguarded = dataclasses.replace(preflight, guard_samples=0)
        if unguarded.memory(board).fits:
            remedies.append("leave the guard out (guard.samples: 0), or give it fewer samples")
    moved = _other_memory(preflight)
    there = None if moved is None else moved.memory(board)
    if there is not None and there.fits:
        where = "RAM" if there.in_flash is None else "flash"
        remedies.append(
            f"keep the samples to rehearse in {where} (learning.rehearsal.memory: {where.lower()})"
        )
    batch = _largest_batch(preflight, board)
    if batch is not None:
        kept, whole = preflight.plan.batch, preflight.memory(board).pending
        remedies.append(
            f"sum fewer updates (learning.batch: {batch}; to keep {kept} takes {whole} bytes)"
        )
    narrower = _narrower_that_fits(preflight, board)
    if narrower is not None:
        index, width = narrower
        stated = index - preflight.plan.taps
        is_dense = preflight.plan.layers[index].convolution is None
        what = "units" if is_dense else "filters"
        remedies.append(f"give layer {stated} at most {width} {what} (network.layers[{stated}])")
    if not preflight.inference_only:
        fixed = dataclasses.replace(preflight, inference_only=True)
        if fixed.memory(board).fits:
            remedies.append("generate with --inference-only, if it need not learn on the chip")
    boards = [
        other.id for other in load_boards() if other.id != board.id and preflight.memory(other).fits
    ]
    if boards:
        remedies.append(f"choose a larger board: {', '.join(boards)}")
    return remedies


def _other_memory(preflight: Preflight) -> Preflight | None:
    """The same with its samples in flash, if they are in RAM, or the reverse."""
    continual = preflight.plan.continual
    if continual is None or continual.capacity == 0 or continual.keeps_means:
        return None
    moved = dataclasses.replace(continual, in_flash=not continual.in_flash)
    plan = dataclasses.replace(preflight.plan, continual=moved)
    return dataclasses.replace(preflight, plan=plan)


def _narrower_weights(plan: FixedPointPlan) -> tuple[Format, ...]:
    """Formats of fewer bits, the widest first."""
    narrower: tuple[Format, ...] = ("int12", "int8") if plan.has_convolutions else ("int8",)
    return tuple(one for one in narrower if FORMAT_BITS[one] < FORMAT_BITS[plan.weights])


def _largest_batch(preflight: Preflight, board: Board) -> int | None:
    """The most updates that can be summed; None if it does not fit even without any summed."""
    for batch in range(preflight.plan.batch - 1, 0, -1):
        smaller = dataclasses.replace(preflight.plan, batch=batch)
        if dataclasses.replace(preflight, plan=smaller).memory(board).fits:
            return batch
    return None


def _narrower_that_fits(preflight: Preflight, board: Board) -> tuple[int, int] | None:
    """The widest layer of which a smaller width would fit, and the greatest such width."""
    layers = preflight.plan.layers
    stated = range(preflight.plan.taps, len(layers))
    for index in sorted(stated, key=lambda at: -layers[at].width):
        width = _greatest_width(preflight, board, index)
        if width is not None:
            return index, width
    return None


def _greatest_width(preflight: Preflight, board: Board, index: int) -> int | None:
    """The most units or filters of a layer that would fit; None if no width does."""
    layer = preflight.plan.layers[index]
    # Most embeddings need this many dimensions to tell the classes apart; filters have none.
    least = 2 if layer.convolution is not None else max(preflight.plan.classes - 1, 2)
    fitting, too_wide = least - 1, layer.width
    while too_wide - fitting > 1:  # memory grows with the width
        width = (fitting + too_wide) // 2
        if _with_width(preflight, index, width).memory(board).fits:
            fitting = width
        else:
            too_wide = width
    return fitting if fitting >= least else None


def _with_width(preflight: Preflight, index: int, width: int) -> Preflight:
    taps = preflight.plan.taps
    alike = range(taps if index == taps else 0)  # taps are as wide as the first stated layer
    layers: list[LayerPlan] = []
    for at, layer in enumerate(preflight.plan.layers):
        below = layers[-1] if at > taps else None
        layers.append(_resized(layer, below, width if at in (index, *alike) else layer.width))
    plan = dataclasses.replace(preflight.plan, layers=tuple(layers))
    return dataclasses.replace(preflight, plan=plan)


def _resized(layer: LayerPlan, below: LayerPlan | None, width: int) -> LayerPlan:
    """The layer with another width, behind another layer; None: it reads the network's inputs."""
    filters = layer.convolution
    if filters is None:
        inputs = layer.inputs if below is None else below.outputs
        return dataclasses.replace(layer, inputs=inputs, units=width)
    window = dataclasses.replace(filters.window, filters=width)
    if below is not None and below.convolution is not None:
        window = dataclasses.replace(window, map=below.convolution.window.pooled)
    filters = dataclasses.replace(filters, inputs=window.patch, units=width, window=window)
    return dataclasses.replace(layer, inputs=window.cell_inputs, convolution=filters)

"""What a network costs on a core: instructions, memory, and an estimate of time."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spela_mcu.cores import CORES
from spela_mcu.device.device import Device
from spela_mcu.errors import UserError
from spela_mcu.firmware.board import Board, load_boards
from spela_mcu.firmware.build import Build
from spela_mcu.firmware.elf import runtime_text_bytes
from spela_mcu.firmware.runtime import (
    BACKBONE_DIRECTORY,
    CONTINUAL_DIRECTORY,
    CONVOLUTION_DIRECTORY,
    FRONT_END_DIRECTORY,
)
from spela_mcu.firmware.stack import worst_case_stack
from spela_mcu.pipeline import Overrides, Prepared, learning_stream, prepare, target_board
from spela_mcu.progress import Progress, silent
from spela_mcu.simulators.base import Call, Machine, Simulator
from spela_mcu.simulators.choice import SimulatorChoice, counting_simulator
from spela_mcu.simulators.cycles import estimate_cycles

COUNTED_FIRST, COUNTED_SECOND = 16, 200
"""Learning steps whose instructions are counted: at the start, and spread over the second epoch."""

COUNTED_MACS = 110_000
"""Multiply-accumulates of an inference above which fewer steps are counted: it takes long."""

BATCHES_FIRST = 4
"""Batches counted at the start, where updates are summed."""

CALLS = (
    *("infer", "infer_early", "backbone"),
    *("learn", "learn_keeping", "learn_applying", "learn_average"),
    *("push", "row"),
)

OF_SENSORS = ("push", "row")
"""Calls of a front end: they have nothing to do with the network's multiply-accumulates."""

INFERENCES = 8
"""Test samples whose inference is counted: their cost hardly depends on the sample."""

WINDOWS = 3
"""Windows of readings whose way to a sample is counted."""

EARLY = 100
"""Test samples that may leave early: their cost depends on the exit."""


@dataclass(frozen=True)
class Cost:
    """The cost of one call: the mean of several.

    Attributes:
        instructions: executed.
        functions: the same per function, in descending order.
        cycles: estimated; None if the core's timings are not published.
        calls: number of calls in the mean.
    """

    instructions: float
    functions: Mapping[str, float]
    cycles: float | None
    calls: int

    def per_mac(self, macs: int) -> float:
        """Instructions per multiply-accumulate of an inference."""
        return self.instructions / macs

    def milliseconds(self, clock_hz: int) -> float | None:
        """Estimated time at a clock."""
        return None if self.cycles is None else 1e3 * self.cycles / clock_hz


@dataclass(frozen=True)
class Bench:
    """What a network costs on a board.

    Attributes:
        infer: one spela_infer.
        infer_early: one spela_infer_early, after the steps learned; None without thresholds.
        backbone: the part of it that computes features; None without a backbone. A learning step
            has it too, unless it learns the sample that was just classified.
        learn: one spela_learn that updates every layer; None if no counted step did. With updates
            summed, the mean over steps that keep theirs and steps that apply all.
        learn_keeping: of these, one that applies nothing; None unless updates are summed.
        learn_applying: of these, one that applies the updates of a layer or more.
        learn_average: one spela_learn, over the stream's second epoch.
        push: one reading given to the front end, as by an interrupt; None without one.
        row: one row of features that it makes of readings; None without one.
        longest_step: the longest of all those counted.
        text_bytes: code of the runtime (spela/, convolution/ and continual/, where they are part of
            it), inference and learning, without a backbone's.
        backbone_text_bytes: code of the backbone's runtime; 0 without one.
        front_end_text_bytes: code of the front end's runtime; 0 without one.
        text_bytes_inference_only: the same for a project that only infers.
        ram_beyond_weights_bytes: the part of the arena that is not weights.
        stack_bytes, stack_bound_bytes: the most stack used, and its static bound.
    """

    prepared: Prepared
    build: Build
    simulator: str
    infer: Cost
    infer_early: Cost | None
    backbone: Cost | None
    learn: Cost | None
    learn_keeping: Cost | None
    learn_applying: Cost | None
    learn_average: Cost
    push: Cost | None
    row: Cost | None
    longest_step: Cost
    text_bytes: int
    backbone_text_bytes: int
    front_end_text_bytes: int
    text_bytes_inference_only: int
    ram_beyond_weights_bytes: int
    stack_bytes: int
    stack_bound_bytes: int

    @property
    def board(self) -> Board:
        """What it ran on."""
        return self.build.project.board

    @property
    def macs(self) -> int:
        """Multiply-accumulates of an inference."""
        return self.prepared.plan.infer_macs

    @property
    def backbone_macs(self) -> int:
        """Those of the backbone; 0 without one."""
        return self.prepared.plan.infer_macs - self.prepared.plan.macs

    def costs(self) -> dict[str, Cost]:
        """The measured calls by name."""
        costs: dict[str, Cost | None] = {name: getattr(self, name) for name in CALLS}
        return {name: cost for name, cost in costs.items() if cost is not None}

    def per_mac(self, name: str) -> float | None:
        """Instructions of a call per multiply-accumulate of an inference, or of the backbone.

        None for calls of a front end, and for those that were not measured.
        """
        if name in OF_SENSORS:
            return None
        macs = self.backbone_macs if name == "backbone" else self.macs
        cost = self.costs().get(name)
        return None if cost is None else cost.instructions / macs

    def to_json(self) -> dict[str, object]:
        """The report as plain data; cycles and milliseconds are estimates."""
        costs = self.costs()
        report: dict[str, object] = {
            "name": self.prepared.spec.name,
            "core": self.board.core,
            "board": self.board.id,
            "clock_hz": self.board.clock_hz,
            "simulator": self.simulator,
            "compiler": f"{self.build.compiler.name} {self.build.compiler.version}",
            "optimization": self.build.optimization,
            "weights": self.prepared.plan.weights,
            "batch": self.prepared.plan.batch,
            "longest_step_instructions": round(self.longest_step.instructions),
            "infer_macs": self.macs,
            "backbone_macs": self.backbone_macs,
        }
        for name in CALLS:
            cost, per_mac = costs.get(name), self.per_mac(name)
            report[f"{name}_instructions"] = None if cost is None else round(cost.instructions)
            if name not in OF_SENSORS:
                rounded = None if per_mac is None else round(per_mac, 4)
                report[f"{name}_instructions_per_mac"] = rounded
        has_cycles = CORES[self.board.core].timing is not None
        return report | {
            "text_bytes": self.text_bytes,
            "backbone_text_bytes": self.backbone_text_bytes,
            "front_end_text_bytes": self.front_end_text_bytes,
            "text_bytes_inference_only": self.text_bytes_inference_only,
            "ram_beyond_weights_bytes": self.ram_beyond_weights_bytes,
            "stack_bytes": self.stack_bytes,
            "stack_bound_bytes": self.stack_bound_bytes,
            "estimated_cycles": (
                {name: round(cost.cycles or 0) for name, cost in costs.items()}
                if has_cycles
                else None
            ),
            "estimated_milliseconds": (
                {
                    name: round(cost.milliseconds(self.board.clock_hz) or 0, 4)
                    for name, cost in costs.items()
                }
                if has_cycles
                else None
            ),
            "functions": {
                name: {function: round(n, 1) for function, n in cost.functions.items()}
                for name, cost in costs.items()
            },
        }


def board_for(model_board: Board, core: str, choice: SimulatorChoice) -> Board:
    """The model's own board if it has the core, else the largest with it that can be simulated.

    Raises:
        UserError: there is none.
    """
    candidates = [model_board] if model_board.core == core else []
    others = [board for board in load_boards() if board.core == core]
    candidates += sorted(others, key=lambda board: (board.mve, board.ram.bytes), reverse=True)
    for board in candidates:
        if counting_simulator(board, choice) is not None:
            return board
    raise UserError(
        f"no board with a {core} can be simulated with counts here",
        mend="`spela-mcu boards` lists boards and simulators, `spela-mcu doctor` what is installed",
        key="--core",
    )


def bench(
    prepared: Prepared,
    directory: Path,
    simulator: Simulator,
    progress: Progress = silent,
) -> Bench:
    """Builds a model and measures it.

    Args:
        prepared: the model; the device learns two epochs of its stream.
        directory: for the projects and builds.
        simulator: one that counts by function.
        progress: told how far the work is.

    Raises:
        UserError: it does not build.
        SimulationError: the firmware faults or hangs.
    """
    build = prepared.deploy(directory / "firmware")
    inference_only = prepared.deploy(directory / "inference-only", inference_only=True)
    elf = build.read_elf()
    with simulator.start(build) as machine:
        device = Device(machine)
        samples = prepared.test_samples(INFERENCES).samples
        with machine.counting("spela_infer") as inferences:
            for sample in samples:
                device.infer_last(sample)
        features: list[Call] = []
        if prepared.plan.front is not None:
            with machine.counting("spela_backbone_run") as features:
                for sample in samples:
                    device.features(sample)
        pushes, rows = _sense(prepared, machine, device)
        steps, whole, second = _learn(prepared, machine, device, progress)
        early = _leave_early(prepared, machine, device)
        stack_bytes = machine.stack_high_water_bytes()

    def cost(calls: Sequence[Call]) -> Cost:
        return _mean(calls, build)

    def cost_if_any(calls: Sequence[Call]) -> Cost | None:
        return cost(calls) if calls else None

    applying = [call for call in whole if _applies(call)]
    keeping = [call for call in whole if not _applies(call)] if applying else []

    return Bench(
        prepared=prepared,
        build=build,
        simulator=str(simulator),
        infer=cost(inferences),
        infer_early=cost_if_any(early),
        backbone=_each(features, len(samples), build) if features else None,
        learn=cost_if_any(whole),
        learn_keeping=cost_if_any(keeping),
        learn_applying=cost_if_any(applying),
        learn_average=cost(second),
        push=cost_if_any(pushes),
        row=cost_if_any(rows),
        longest_step=cost([max(steps, key=lambda call: call.instructions)]),
        text_bytes=_text_bytes(build),
        backbone_text_bytes=runtime_text_bytes(build.elf, BACKBONE_DIRECTORY),
        front_end_text_bytes=runtime_text_bytes(build.elf, FRONT_END_DIRECTORY),
        text_bytes_inference_only=_text_bytes(inference_only),
        ram_beyond_weights_bytes=prepared.memory.buffers + prepared.memory.pending,
        stack_bytes=stack_bytes,
        stack_bound_bytes=worst_case_stack(elf).bytes,
    )


def _text_bytes(build: Build) -> int:
    """Code of the runtime of what learns."""
    parts = (CONVOLUTION_DIRECTORY, CONTINUAL_DIRECTORY)
    return runtime_text_bytes(build.elf) + sum(runtime_text_bytes(build.elf, it) for it in parts)


def _learn(
    prepared: Prepared, machine: Machine, device: Device, progress: Progress
) -> tuple[list[Call], list[Call], list[Call]]:
    """Learns two epochs; the calls counted, those that updated every layer, those of epoch two."""
    train = prepared.dataset.train
    epoch = len(train)
    order = learning_stream(epoch, 2 * epoch, prepared.spec.network.seed)
    samples = train.samples
    batch = prepared.plan.batch
    first, most = (
        max(4, round(steps * min(1, COUNTED_MACS / prepared.plan.macs)))
        for steps in (COUNTED_FIRST, COUNTED_SECOND)
    )
    # Whole batches, so that the steps that apply them have their share in the means.
    counted = {*range(min(max(first, BATCHES_FIRST * batch), epoch))}
    starts = np.linspace(epoch, 2 * epoch - batch, -(-most // batch), dtype=int)
    counted |= {step for start in starts.tolist() for step in range(start, start + batch)}
    layers = len(prepared.plan.matrices)
    counted_steps: list[Call] = []
    whole: list[Call] = []
    second: list[Call] = []
    for step, index in enumerate(order.tolist()):
        sample, label = samples[index], int(train.y[index])
        if step in counted:
            before = device.counters().layer_updates
            with machine.counting("spela_learn") as calls:
                device.learn(sample, label, digest=False)
            counted_steps += calls
            if device.counters().layer_updates - before == layers:
                whole += calls
            if step >= epoch:
                second += calls
        else:
            device.learn(sample, label, digest=False)
        progress("learning", step + 1, 2 * epoch)
    return counted_steps, whole, second


def _sense(prepared: Prepared, machine: Machine, device: Device) -> tuple[list[Call], list[Call]]:
    """Readings given to a front end, and the rows that it made of them; none without one."""
    plan, windows = prepared.dataset.front_end, prepared.dataset.test.readings
    if plan is None or windows is None:
        return [], []
    with machine.counting(f"spela_push_{plan.readings}") as pushes:
        device.push(windows[0], restart=True)
    with machine.counting("spela_sample_ready") as asked:
        for window in windows[:WINDOWS]:
            device.push(window, restart=True)
    # It is asked after every reading; the calls that made a row are the long ones.
    asked.sort(key=lambda call: call.instructions)
    return pushes, asked[-plan.rows * len(windows[:WINDOWS]) :]


def _leave_early(prepared: Prepared, machine: Machine, device: Device) -> list[Call]:
    """Inferences that may leave early, counted; none if the model has no thresholds."""
    if not any(layer.exit.exit_margin for layer in prepared.plan.layers):
        return []
    samples = prepared.test_samples(EARLY).samples
    device.infer_last(samples[0])  # applies what is pending
    with machine.counting("spela_infer_early") as calls:
        for sample in samples:
            device.infer_early(sample)
    return calls


def _applies(call: Call) -> bool:
    """Whether a learning step applied updates that had been kept."""
    return any(name.startswith("spela_apply_int") for name in call.functions)


def _each(parts: Sequence[Call], samples: int, build: Build) -> Cost:
    """The cost for each of some samples, which may be computed in several parts."""
    cost, count = _mean(parts, build), len(parts) / samples
    return Cost(
        instructions=cost.instructions * count,
        functions={name: one * count for name, one in cost.functions.items()},
        cycles=None if cost.cycles is None else cost.cycles * count,
        calls=samples,
    )


def _mean(kept: Sequence[Call], build: Build) -> Cost:
    functions: Counter[str] = Counter()
    blocks: Counter[tuple[int, int]] = Counter()
    for call in kept:
        functions.update(call.functions)
        blocks.update(call.blocks)
    core = build.project.board.core
    cycles = None
    if CORES[core].timing is not None:
        cycles = estimate_cycles(build.read_elf(), core, blocks) / len(kept)
    return Cost(
        instructions=sum(call.instructions for call in kept) / len(kept),
        functions={name: count / len(kept) for name, count in functions.most_common()},
        cycles=cycles,
        calls=len(kept),
    )


def prepare_bench(
    model: Path, overrides: Overrides, core: str | None, choice: SimulatorChoice
) -> tuple[Prepared, Simulator]:
    """The untrained model on a board with the wanted core, and the simulator for it.

    Raises:
        UserError: the model is wrong or does not fit, or nothing simulates such a board.
    """
    from spela_mcu.spec.load import load_spec

    own = board = target_board(overrides.apply(load_spec(model)), model, overrides)
    if core is not None and overrides.board is None:
        board = board_for(board, core, choice)
    elif counting_simulator(board, choice) is None:
        board = board_for(board, board.core, choice)
    simulator = counting_simulator(board, choice)
    assert simulator is not None  # board_for has made sure
    wanted = dataclasses.replace(overrides, start="untrained")
    if board != own:
        wanted = dataclasses.replace(wanted, board=board.id)
    return prepare(model, wanted), simulator

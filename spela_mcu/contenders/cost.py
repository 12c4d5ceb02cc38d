"""Flash, RAM and instructions of SPELA's contenders, measured on the built firmware."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from spela_mcu.contenders.contender import Cost
from spela_mcu.contenders.spela import learns_from_scratch, quantized_network
from spela_mcu.data.dataset import Dataset
from spela_mcu.device.device import Device
from spela_mcu.errors import UserError
from spela_mcu.firmware.board import Board
from spela_mcu.firmware.build import Build
from spela_mcu.firmware.deploy import deploy
from spela_mcu.firmware.model import model_source
from spela_mcu.firmware.preflight import Preflight, check_fit
from spela_mcu.firmware.project import generate_project
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import make_plan
from spela_mcu.pipeline import front_plan, learning_stream
from spela_mcu.reference.network import FloatNetwork
from spela_mcu.simulators.base import Call, Machine
from spela_mcu.simulators.choice import counting_simulator
from spela_mcu.spec.learning import Format
from spela_mcu.spec.model import ModelSpec

WHOLE = "the whole firmware, application and stack included"
COUNTED_STEPS, COUNTED_BATCHES = 16, 2
"""Learning steps counted, at least: the first of the stream."""

NOT_COUNTED = "no simulator installed that counts by function knows the board"


def cost_of_learning(
    spec: ModelSpec, dataset: Dataset, board: Board, weights: Format, directory: Path
) -> Cost:
    """Cost of a firmware that starts untrained and learns; see `cost_of`."""
    spec = learns_from_scratch(spec, dataset)
    fixed_point = spec.fixed_point.model_copy(update={"weights": weights})
    spec = spec.model_copy(update={"fixed_point": fixed_point})
    plan = make_plan(spec, dataset.inputs, dataset.classes, taps=dataset.taps)
    network = IntegerNetwork.untrained(replace(plan, front=front_plan(dataset)))
    return cost_of(spec, dataset, network, board, directory, inference_only=False)


def cost_of_inference(
    spec: ModelSpec, dataset: Dataset, board: Board, trained: FloatNetwork, directory: Path
) -> Cost:
    """Cost of a firmware that only infers, its int8 weights in flash; see `cost_of`."""
    network = quantized_network(spec, dataset, trained)
    return cost_of(spec, dataset, network, board, directory, inference_only=True)


def cost_of(
    spec: ModelSpec,
    dataset: Dataset,
    network: IntegerNetwork,
    board: Board,
    directory: Path,
    *,
    inference_only: bool,
) -> Cost:
    """Builds a network's firmware for a board and counts an inference and learning steps.

    Args:
        spec: its section target names compiler and optimisation level.
        dataset: its first test sample is inferred, the beginning of its stream learned.
        network: the network that the firmware runs.
        board: the model's.
        directory: of the project.
        inference_only: leave learning out; weights stay in flash.

    Returns:
        The cost, or why it cannot be measured.
    """
    source = model_source(
        spec.name,
        network,
        dataset.class_names,
        dataset.scaling,
        drawn=not inference_only,
        inference_only=inference_only,
    )
    target = spec.target
    needs = Preflight(
        network.plan,
        weights_in_flash=inference_only,
        inference_only=inference_only,
        compiler=target.compiler,
        optimization=target.optimization,
    )
    try:
        check_fit(needs, board)
        project = generate_project(
            source,
            board,
            optimization=target.optimization,
            inference_only=inference_only,
        )
        build = deploy(project, directory, target.compiler)
        simulator = counting_simulator(board)
        if simulator is None:
            return Cost(build.flash_bytes, build.ram_bytes, None, f"{_how(build)}; {NOT_COUNTED}")
        with simulator.start(build) as machine:
            with machine.counting("spela_infer") as calls:
                Device(machine).infer_last(dataset.test.take(slice(1)).samples[0])
            steps = [] if inference_only else _learn(spec, dataset, network.plan.batch, machine)
    except UserError as error:
        return Cost(None, None, None, error.reason.splitlines()[0])
    sizes = build.flash_bytes, build.ram_bytes, calls[0].instructions
    if not steps:
        return Cost(*sizes, _how(build))
    mean = round(sum(step.instructions for step in steps) / len(steps))
    note = f"{_how(build)}; learning: mean of the first {len(steps)} steps"
    return Cost(*sizes, note, mean)


def _learn(spec: ModelSpec, dataset: Dataset, batch: int, machine: Machine) -> list[Call]:
    """Learns the beginning of the stream, in whole batches."""
    steps = batch * max(-(-COUNTED_STEPS // batch), COUNTED_BATCHES)
    order = learning_stream(len(dataset.train), steps, spec.network.seed)
    train, device = dataset.train.take(order), Device(machine)
    with machine.counting("spela_learn") as calls:
        for sample, label in zip(train.samples, train.y.tolist(), strict=True):
            device.learn(sample, label, digest=False)
    return calls


def _how(build: Build) -> str:
    return f"{WHOLE}, on {build.project.board.core} by {build.compiler.name} {build.optimization}"

"""The stages in their order: model.yaml -> data -> float network -> plan -> integer network."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from spela_mcu.data.dataset import Dataset, Lesson, Split
from spela_mcu.data.load import load_dataset
from spela_mcu.errors import UserError
from spela_mcu.files import cache_directory, check_directory
from spela_mcu.firmware.board import Board, find_board
from spela_mcu.firmware.build import Build
from spela_mcu.firmware.deploy import deploy
from spela_mcu.firmware.guard import GuardSamples, make_guard
from spela_mcu.firmware.memory import MemoryPlan
from spela_mcu.firmware.model import ModelSource, model_source, with_spares
from spela_mcu.firmware.preflight import Preflight, check_fit
from spela_mcu.firmware.project import generate_project
from spela_mcu.firmware.toolchain import CompilerChoice, Optimization
from spela_mcu.fixed_point.arithmetic import Int64
from spela_mcu.fixed_point.continual import factory_memory
from spela_mcu.fixed_point.early_exit import all_answers, with_early_exits, with_rejection
from spela_mcu.fixed_point.front import FrontPlan
from spela_mcu.fixed_point.means import factory_means
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import FixedPointPlan, float_embeddings, make_plan, sizing_plan
from spela_mcu.progress import progress_bars, silent
from spela_mcu.spec.learning import Format
from spela_mcu.spec.load import load_spec, located
from spela_mcu.spec.model import ModelSpec

if TYPE_CHECKING:
    from spela_mcu.reference.network import FloatNetwork

BUILD_DIRECTORY = "build"
"""Directory beside model.yaml for the output of commands, unless told otherwise."""


@dataclass(frozen=True)
class Overrides:
    """What a command line may override in model.yaml.

    Attributes:
        seed: of weights, embeddings and the order of samples; the split of the data is not
            affected.
    """

    weights: Format | None = None
    start: Literal["trained", "untrained"] | None = None
    seed: int | None = None
    batch: int | None = None
    board: str | None = None
    compiler: CompilerChoice | None = None
    optimization: Optimization | None = None

    def apply(self, spec: ModelSpec) -> ModelSpec:
        """The spec with these overrides."""
        return _updated(
            spec,
            {
                "fixed_point": {"weights": self.weights},
                "learning": {"start": self.start, "batch": self.batch},
                "network": {"seed": self.seed},
                "training": {"seed": self.seed},
                "target": {
                    "board": self.board,
                    "compiler": self.compiler,
                    "optimization": self.optimization,
                },
            },
        )


def _updated(spec: ModelSpec, changes: dict[str, dict[str, Any]]) -> ModelSpec:
    sections = {}
    for name, keys in changes.items():
        stated = {key: value for key, value in keys.items() if value is not None}
        if stated:
            sections[name] = getattr(spec, name).model_copy(update=stated)
    return spec.model_copy(update=sections)


@dataclass(frozen=True)
class Prepared:
    """A model ready to be generated, with everything it came from.

    Attributes:
        spec: with overrides applied.
        trained: the trained float network; None if it was not needed.
        plan: formats of the integer network.
        initial: each layer's integer weights at the start, int64 [units, inputs].
        memory: what its firmware needs of the board's memory; it fits.
        guard: what its guard works with; None: it has none.
    """

    path: Path
    spec: ModelSpec
    dataset: Dataset
    board: Board
    trained: FloatNetwork | None
    plan: FixedPointPlan
    initial: tuple[Int64, ...]
    memory: MemoryPlan
    guard: GuardSamples | None

    @property
    def drawn(self) -> bool:
        """Whether the chip draws its initial weights from the seed by itself."""
        return self.spec.learning.start == "untrained"

    def network(self) -> IntegerNetwork:
        """The integer network in its initial state: a new one each time, free to learn."""
        return IntegerNetwork(self.plan, self.initial)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes' names, the spare ones' among them."""
        return with_spares(self.dataset.class_names, self.plan.classes)

    def source(self, *, inference_only: bool = False) -> ModelSource:
        """The model as C."""
        return model_source(
            self.spec.name,
            self.network(),
            self.dataset.class_names,
            self.dataset.scaling,
            drawn=self.drawn,
            inference_only=inference_only,
            input_names=self.dataset.input_names,
        )

    def deploy(
        self, directory: Path, *, inference_only: bool = False, guarded: bool = False
    ) -> Build:
        """Generates the model's project into a directory and builds it there.

        Args:
            directory: of the project.
            inference_only: leave the learning runtime out.
            guarded: with the guard, if the model has one. Without, the device never goes back, and
                a network of the same lessons equals it.

        Raises:
            UserError: the directory holds something else, there is no compiler, or it does not
                compile.
        """
        target = self.spec.target
        project = generate_project(
            self.source(inference_only=inference_only),
            self.board,
            optimization=target.optimization,
            inference_only=inference_only,
            guard=self.guard if guarded else None,
        )
        return deploy(project, directory, target.compiler)

    def learning_samples(self, steps: int) -> Iterator[Lesson]:
        """What a device learns: `steps` samples with their labels, in its order."""
        train = self.dataset.train
        samples, inputs = train.samples, train.inputs
        for index in learning_stream(len(train), steps, self.spec.network.seed).tolist():
            readings = None if train.readings is None else train.readings[index]
            yield Lesson(samples[index], inputs[index], int(train.y[index]), readings)

    def trained_in_full(self) -> FloatNetwork | None:
        """The trained float network: this run's, or an earlier run's if still valid."""
        if self.trained is not None:
            return self.trained
        from spela_mcu.reference.run import known_run

        embeddings = float_embeddings(self.spec, self.dataset.classes)
        run = known_run(self.spec, self.dataset, embeddings, training_directory(self.path))
        return None if run is None else run.network

    def float_twin(self) -> FloatNetwork:
        """A float network with the same start as the integer one."""
        from spela_mcu.reference.network import FloatNetwork

        if self.trained is not None and not self.drawn:
            return self.trained.copy()
        twin = FloatNetwork.untrained(
            self.spec.network,
            self.dataset.inputs,
            self.dataset.classes,
            float_embeddings(self.spec, self.dataset.classes),
            self.dataset.taps,
        )
        for matrix, formats, weights in zip(
            twin.matrices, self.plan.matrices, self.initial, strict=True
        ):
            matrix[:] = weights / formats.weight_scale
        return twin

    def test_samples(self, limit: int | None = None) -> Split:
        """The first `limit` samples of the test part; None: all."""
        return self.dataset.test.take(slice(limit))


def prepare(
    path: Path,
    overrides: Overrides | None = None,
    *,
    train: bool = False,
    inference_only: bool = False,
    progress: bool = False,
) -> Prepared:
    """Takes a model.yaml as far as the integer network.

    Args:
        path: the model.yaml.
        overrides: what the command line says differently.
        train: train the float reference even if the network starts untrained.
        inference_only: the network will not learn on the chip, so it starts trained.
        progress: show progress bars.

    Raises:
        UserError: see the stages.
    """
    overrides = overrides or Overrides()
    spec = overrides.apply(load_spec(path))
    if inference_only:
        spec = Overrides(start="trained").apply(spec)
    board = target_board(spec, path, overrides)
    dataset = load_dataset(spec, path, progress=progress)
    spec = completed(spec, dataset)
    starts_trained = spec.learning.start == "trained"
    with _located(path):
        guard = make_guard(spec.guard, dataset.validation, dataset.classes)
    memory = check_memory(spec, dataset, board, path, inference_only=inference_only)
    trained = None
    if train or starts_trained:
        from spela_mcu.reference.run import trained as trained_run

        trained = trained_run(
            spec,
            dataset,
            float_embeddings(spec, dataset.classes),
            training_directory(path),
            progress=progress,
        ).network
    weights = trained.matrices if trained is not None and starts_trained else None
    with _located(path):
        plan = make_plan(spec, dataset.inputs, dataset.classes, weights, dataset.taps)
    plan = replace(plan, front=front_plan(dataset), front_end=dataset.front_end)
    if starts_trained and not inference_only:
        plan = with_memory(plan, spec, dataset)
    network = (
        IntegerNetwork.untrained(plan)
        if weights is None
        else IntegerNetwork.quantized(plan, weights)
    )
    if inference_only:
        network = network.inferring()
    if spec.exits.calibrated:
        network = _with_exits(network, spec, dataset, progress=progress)
    return Prepared(
        path, spec, dataset, board, trained, network.plan, network.initial, memory, guard
    )


def front_plan(dataset: Dataset) -> FrontPlan | None:
    """What makes the first layer's inputs of a sample; None if the sample is these."""
    if dataset.backbone is None:
        return None
    return FrontPlan(dataset.backbone, dataset.scaling)


def with_memory(plan: FixedPointPlan, spec: ModelSpec, dataset: Dataset) -> FixedPointPlan:
    """The plan of a network that starts trained: it has seen the training part."""
    continual, train = plan.continual, dataset.train
    if continual is None or continual.capacity == 0:
        return plan
    if continual.keeps_means:
        memory = factory_means(train.inputs, train.y, continual.known)
    else:
        memory = factory_memory(
            train.inputs, train.y, continual.known, continual.capacity, spec.network.seed
        )
    return replace(plan, continual=replace(continual, memory=memory))


def completed(spec: ModelSpec, dataset: Dataset) -> ModelSpec:
    """The spec with what only the data tell.

    These are the places of the learning rate's halvings in the stream, and the shape of a sample
    for those layers that depend on it, which are convolutions.
    """
    network = spec.network
    if network.has_convolutions:
        network = network.model_copy(update={"input_shape": dataset.input_shape})
    learning = spec.learning.for_samples(len(dataset.train))
    return spec.model_copy(update={"network": network, "learning": learning})


def check_memory(
    spec: ModelSpec,
    dataset: Dataset,
    board: Board,
    path: Path,
    *,
    inference_only: bool = False,
) -> MemoryPlan:
    """The memory that a model's firmware needs on its board, before anything is trained.

    Raises:
        UserError: it does not fit, or the learning rate cannot be expressed.
    """
    with _located(path):
        plan = sizing_plan(spec, dataset.inputs, dataset.classes, dataset.taps)
    plan = replace(plan, front=front_plan(dataset), front_end=dataset.front_end)
    needs = Preflight(
        plan=plan,
        weights_in_flash=spec.learning.start == "trained",
        inference_only=inference_only,
        compiler=spec.target.compiler,
        optimization=spec.target.optimization,
        guard_samples=spec.guard.samples,
    )
    return check_fit(needs, board)


def _with_exits(
    network: IntegerNetwork, spec: ModelSpec, dataset: Dataset, *, progress: bool
) -> IntegerNetwork:
    """The network with early-exit thresholds calibrated on the validation part.

    A network that starts trained is calibrated at its start; one that starts untrained, after it
    has learned the training part as a chip would, `learning.epochs` times.
    """
    from spela_mcu.host.network import HostNetwork

    learned, validation = HostNetwork.of(network), dataset.validation
    if spec.learning.start == "untrained":
        done, total = 0, spec.learning.epochs * len(dataset.train)
        with progress_bars() if progress else nullcontext(silent) as show:
            for samples, labels in learning_parts(spec, dataset):
                learned.partial_fit(samples, labels)
                done += len(labels)
                show("learning, to calibrate exits", done, total)
    answers = all_answers(learned, validation.inputs)
    plan = network.plan
    if spec.exits.early:
        plan = with_early_exits(plan, answers, validation.y, spec.exits.loss_points)
    if spec.exits.unknown_share > 0:
        plan = with_rejection(plan, answers, spec.exits.unknown_share)
    return IntegerNetwork(plan, network.initial)


def target_board(spec: ModelSpec, path: Path, overrides: Overrides) -> Board:
    """The board that a model targets.

    Args:
        spec: the model, with the overrides applied.
        path: its model.yaml.
        overrides: what the command line says differently.

    Raises:
        UserError: there is no such board, or its file is wrong.
    """
    # A path on the command line is relative to the current directory, one in a file to that file.
    beside = Path() if overrides.board is not None else path.parent
    try:
        return find_board(spec.target.board, beside)
    except UserError as error:
        if overrides.board is not None or error.file is not None:
            raise
        error.key = "target.board"
        raise located(error, path) from error


@contextmanager
def _located(path: Path) -> Iterator[None]:
    """Adds the line to an error that names a key of model.yaml."""
    try:
        yield
    except UserError as error:
        raise located(error, path) from error


def work_directory(path: Path) -> Path:
    """Where output made from a model.yaml goes by default: build/ beside it."""
    return path.absolute().parent / BUILD_DIRECTORY


def scratch_directory(path: Path, name: str) -> Path:
    """Where what is made on the way goes: build/NAME, or the user's cache if it cannot be there."""
    beside = work_directory(path) / name
    try:
        check_directory(beside)
    except UserError:
        model = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:16]
        return cache_directory() / "models" / model / name
    return beside


def training_directory(path: Path) -> Path:
    """Where the float reference of a model.yaml is kept."""
    return scratch_directory(path, "training")


def learning_stream(samples: int, steps: int, seed: int) -> NDArray[np.int64]:
    """The order in which a device learns: `steps` indices, every epoch shuffled anew."""
    generator = np.random.default_rng(seed)
    epochs = -(-steps // samples)
    orders = [generator.permutation(samples) for _ in range(epochs)]
    return np.concatenate(orders)[:steps] if orders else np.empty(0, np.int64)


SAMPLES_AT_ONCE = 4096
"""Samples of the stream copied at a time: bounds the memory; the result does not depend on it."""

Part = tuple[NDArray[np.int8], NDArray[np.int64]]
"""Samples [n, inputs] and their labels [n]."""


def learning_parts(spec: ModelSpec, dataset: Dataset) -> Iterator[Part]:
    """The whole stream that a device learns according to model.yaml, in parts."""
    train = dataset.train
    order = learning_stream(len(train), spec.learning.epochs * len(train), spec.network.seed)
    x = train.inputs
    for at in range(0, len(order), SAMPLES_AT_ONCE):
        rows = order[at : at + SAMPLES_AT_ONCE]
        yield x[rows], train.y[rows]

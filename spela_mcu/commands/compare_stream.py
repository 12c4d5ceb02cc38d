"""All learners on the same stream, over several seeds, in parallel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spela_mcu.contenders.standings import versions
from spela_mcu.contenders.workers import workers
from spela_mcu.continual.backprop import backpropagated
from spela_mcu.continual.chip import as_the_model_says, jointly, naive, without_rehearsal
from spela_mcu.continual.learner import StreamOutcome
from spela_mcu.continual.standings import StreamComparison, StreamStanding
from spela_mcu.continual.stream import Kind, Shape, Stream, make_stream
from spela_mcu.continual.yardsticks import class_means, neighbours_in_same_bytes
from spela_mcu.data.dataset import Dataset
from spela_mcu.errors import UserError
from spela_mcu.pipeline import Overrides, completed
from spela_mcu.progress import Progress, silent
from spela_mcu.spec.model import ModelSpec

Run = Callable[[ModelSpec, Stream, int], StreamOutcome]
"""Learns a stream: model, stream, samples to rehearse after each later experience."""


@dataclass(frozen=True)
class StreamContender:
    """One row.

    Attributes:
        run: a module-level function, so that other processes find it.
    """

    name: str
    title: str
    run: Run


CONTENDERS = (
    StreamContender("spela_rehearsing", "SPELA, rehearsing", as_the_model_says),
    StreamContender("spela_spare_classes", "SPELA, no memory", without_rehearsal),
    StreamContender("spela_naive", "SPELA, naive", naive),
    StreamContender("spela_joint", "SPELA, all at once", jointly),
    StreamContender("backprop", "backpropagation", backpropagated),
    StreamContender("neighbours", "nearest neighbours", neighbours_in_same_bytes),
    StreamContender("class_means", "nearest class mean", class_means),
)


def compare_stream(
    model: Path,
    spec: ModelSpec,
    dataset: Dataset,
    kind: Kind,
    shape: Shape,
    *,
    steps: int,
    seeds: int,
    command: str,
    jobs: int = -1,
    dask: str | None = None,
    progress: Progress = silent,
) -> StreamComparison:
    """Has every contender learn the stream with every seed.

    Args:
        model: the model.yaml that the spec was read from.
        spec: the model.
        dataset: what is cut into a stream, by each seed in another order.
        kind: what distinguishes the experiences.
        shape: how many classes and samples they have.
        steps: samples that are rehearsed after each later experience.
        seeds: of weights, embeddings, the order of classes and samples: 0 to seeds - 1.
        command: what was typed, kept with the results.
        jobs: processes; -1 for one per processor core.
        dask: address of a Dask scheduler whose workers run the contenders instead.
        progress: told how far the work is.

    Raises:
        UserError: the data make no such stream, the model has a convolution or names no rehearsal;
            or Dask cannot be used.
    """
    if spec.learning.rehearsal is None:
        raise UserError(
            "the model rehearses nothing, so that it would only be compared with itself",
            key="learning.rehearsal",
            mend="add learning: {rehearsal: {samples: 20}}",
        )
    specs = {seed: Overrides(seed=seed).apply(spec) for seed in range(seeds)}
    streams = {seed: make_stream(kind, dataset, shape, seed) for seed in specs}
    tasks = [(contender, seed) for contender in CONTENDERS for seed in specs]
    outcomes: dict[tuple[str, int], StreamOutcome] = {}
    from joblib import Parallel, delayed

    progress("learners", 0, len(tasks))
    with workers(dask):
        found = Parallel(n_jobs=jobs, return_as="generator_unordered")(
            delayed(_run)(contender, seed, specs[seed], streams[seed], steps)
            for contender, seed in tasks
        )
        for name, seed, outcome in found:
            outcomes[name, seed] = outcome
            progress("learners", len(outcomes), len(tasks))
    experiences = list(streams[0].experiences)
    return StreamComparison(
        model=model.absolute(),
        spec=completed(spec, dataset),
        kind=kind,
        shape=shape,
        steps=steps,
        seeds=tuple(specs),
        learned=tuple(len(one.train) for one in experiences),
        tested=tuple(len(one.test) for one in experiences),
        standings=tuple(
            StreamStanding(one.name, one.title, tuple(outcomes[one.name, seed] for seed in specs))
            for one in CONTENDERS
        ),
        versions=versions(),
        command=command,
    )


def _run(
    contender: StreamContender, seed: int, spec: ModelSpec, stream: Stream, steps: int
) -> tuple[str, int, StreamOutcome]:
    return contender.name, seed, contender.run(spec, stream, steps)

"""All contenders on the same split, over several seeds: in parallel, resumable, with provenance."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from spela_mcu.contenders import own_head
from spela_mcu.contenders.backprop import backpropagated
from spela_mcu.contenders.contender import Contender, Cost, Outcome
from spela_mcu.contenders.cost import cost_of_inference, cost_of_learning
from spela_mcu.contenders.results import ResultDirectory
from spela_mcu.contenders.spela import (
    learned_from_scratch,
    quantized_after_training,
    trained_with_loss,
)
from spela_mcu.contenders.standings import Comparison, Skipped, Standing, versions
from spela_mcu.contenders.tflite import NEEDS, of_spela_weights, trained_in_keras
from spela_mcu.contenders.workers import workers
from spela_mcu.data.dataset import Dataset
from spela_mcu.firmware.board import Board
from spela_mcu.fixed_point.plan import float_embeddings
from spela_mcu.pipeline import Overrides, check_memory, completed, target_board
from spela_mcu.progress import Progress, silent
from spela_mcu.reference.network import FloatNetwork
from spela_mcu.reference.run import training_digest
from spela_mcu.spec.learning import Format
from spela_mcu.spec.model import ModelSpec
from spela_mcu.spec.network import LOSSES


def contenders(spec: ModelSpec) -> tuple[Contender, ...]:
    """The rows of a comparison, in the order shown."""
    floats = [
        Contender(f"spela_float_{loss}", f"SPELA float, {loss}", partial(trained_with_loss, loss))
        for loss in LOSSES
    ]
    ours = f"spela_float_{spec.network.loss}"
    integers = [
        Contender(
            f"spela_{weights}",
            f"SPELA {weights} from scratch",
            partial(learned_from_scratch, weights),
        )
        for weights in _formats(spec)
    ]
    return (
        *floats,
        *integers,
        Contender(
            "spela_quantized", "SPELA float, then int8", quantized_after_training, after=ours
        ),
        Contender("backprop", "backpropagation, float", backpropagated),
        Contender("tflm", "TFLM int8, from Keras", trained_in_keras, needs=NEEDS),
        Contender(
            "tflm_of_spela",
            "SPELA float, then TFLM",
            of_spela_weights,
            after=ours,
            needs=NEEDS,
        ),
    )


def _formats(spec: ModelSpec) -> tuple[Format, ...]:
    """Formats in which the model's layers can learn."""
    return ("int8", "int12", "int16") if spec.network.has_convolutions else ("int8", "int16")


@dataclass(frozen=True)
class Task:
    """One contender with one seed."""

    contender: Contender
    seed: int
    digest: str


def compare(
    model: Path,
    spec: ModelSpec,
    dataset: Dataset,
    directory: Path,
    *,
    seeds: int,
    command: str,
    jobs: int = -1,
    dask: str | None = None,
    progress: Progress = silent,
) -> Comparison:
    """Runs every contender with every seed, except those whose result is in the directory.

    Args:
        model: the model.yaml that the spec was read from.
        spec: the model.
        dataset: one split for all.
        directory: gets a file for every result as it comes, so that nothing is done twice.
        seeds: of weights, embeddings and the order of samples: 0 to seeds - 1.
        command: what was typed, kept with the results.
        jobs: processes; -1 for one per processor core.
        dask: address of a Dask scheduler whose workers run the contenders instead.
        progress: told how far the work is.

    Raises:
        UserError: there is no such board, or the model does not fit it; Dask is not installed, or
            no scheduler answers at the address; or a contender's own error.
    """
    board = target_board(spec, model, Overrides())
    spec = completed(spec, dataset)
    check_memory(spec, dataset, board, model)
    able, skipped = _able(contenders(spec), spec)
    if spec.network.backbone is not None:
        cannot = own_head.check(spec, dataset)
        able = (*able, own_head.CONTENDER) if cannot is None else able
        skipped = skipped if cannot is None else (*skipped, cannot)
    known = versions()
    specs = {seed: Overrides(seed=seed).apply(spec) for seed in range(seeds)}
    digests = {seed: _digest(specs[seed], dataset, known) for seed in specs}
    results = ResultDirectory(directory, versions=known, command=command)
    tasks = [Task(one, seed, digests[seed]) for one in able for seed in specs]
    outcomes: dict[tuple[str, int], Outcome] = {}
    for task in tasks:
        found = results.load(task.contender.name, task.seed, task.digest)
        if found is not None and _has_form(found, specs[task.seed], dataset):
            outcomes[task.contender.name, task.seed] = found

    def finished(task: Task, outcome: Outcome) -> None:
        results.save(task.contender.name, task.seed, task.digest, outcome)
        outcomes[task.contender.name, task.seed] = outcome
        progress("contenders", len(outcomes), len(tasks))

    progress("contenders", len(outcomes), len(tasks))
    for goes_on in (False, True):  # a contender that takes another's network waits for it
        left = [
            task
            for task in tasks
            if (task.contender.after is not None) == goes_on
            and (task.contender.name, task.seed) not in outcomes
        ]
        networks = {
            task: outcomes[task.contender.after, task.seed].network
            if task.contender.after
            else None
            for task in left
        }
        calls = [(task, specs[task.seed], networks[task]) for task in left]
        for task, outcome in _parallel(calls, dataset, jobs, dask):
            finished(task, outcome)
    costs = _costs(
        spec, dataset, board, outcomes, directory=directory / "firmware", progress=progress
    )
    return Comparison(
        model=model.absolute(),
        spec=spec,
        samples=(len(dataset.train), len(dataset.validation), len(dataset.test)),
        seeds=tuple(specs),
        standings=tuple(
            Standing(
                one,
                tuple(outcomes[one.name, seed].accuracy for seed in specs),
                costs.get(one.name, outcomes[one.name, 0].cost),
            )
            for one in able
        ),
        skipped=skipped,
        versions=known,
        command=command,
    )


def _has_form(outcome: Outcome, spec: ModelSpec, dataset: Dataset) -> bool:
    """Whether a stored network, if there is one, fits this model."""
    if outcome.network is None:
        return True
    embeddings = float_embeddings(spec, dataset.classes)
    return outcome.network.has_form_of(
        FloatNetwork.untrained(
            spec.network, dataset.inputs, dataset.classes, embeddings, dataset.taps
        )
    )


def _able(
    all_: tuple[Contender, ...], spec: ModelSpec
) -> tuple[tuple[Contender, ...], tuple[Skipped, ...]]:
    able, skipped = [], []
    for contender in all_:
        if contender.run is of_spela_weights and spec.network.has_convolutions:
            skipped.append(
                Skipped(
                    contender,
                    "no .tflite is made of convolutions that learned by themselves",
                    "the row of TFLM from Keras has the same convolutions",
                )
            )
            continue
        missing = [name for name in contender.needs if importlib.util.find_spec(name) is None]
        if missing:
            reason = f"{' and '.join(missing)} not installed"
            skipped.append(Skipped(contender, reason, "pip install --pre 'spela-mcu[reference]'"))
        else:
            able.append(contender)
    return tuple(able), tuple(skipped)


def _digest(spec: ModelSpec, dataset: Dataset, versions: dict[str, str]) -> str:
    """Digest of all that decides a result with one seed."""
    trained = training_digest(spec, dataset, float_embeddings(spec, dataset.classes))
    sections = spec.model_dump(mode="json", include={"fixed_point", "learning"})
    text = json.dumps([trained, sections, versions], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _run(task: Task, spec: ModelSpec, dataset: Dataset, network: Any) -> tuple[Task, Outcome]:  # noqa: ANN401
    return task, task.contender.run(spec, dataset, network)


def _parallel(
    calls: list[tuple[Task, ModelSpec, Any]], dataset: Dataset, jobs: int, dask: str | None
) -> Iterator[tuple[Task, Outcome]]:
    """Runs tasks in other processes, or on a cluster; yields them as they finish."""
    if not calls:
        return
    from joblib import Parallel, delayed

    with workers(dask):
        parallel = Parallel(n_jobs=jobs, return_as="generator_unordered")
        yield from parallel(
            delayed(_run)(task, spec, dataset, network) for task, spec, network in calls
        )


def _costs(
    spec: ModelSpec,
    dataset: Dataset,
    board: Board,
    outcomes: dict[tuple[str, int], Outcome],
    *,
    directory: Path,
    progress: Progress,
) -> dict[str, Cost]:
    """What the integer contenders cost on the model's board; it does not depend on the seed."""
    trained = outcomes[f"spela_float_{spec.network.loss}", 0].network
    assert trained is not None
    measure: dict[str, Callable[[], Cost]] = {
        **{
            f"spela_{weights}": partial(
                cost_of_learning, spec, dataset, board, weights, directory / weights
            )
            for weights in _formats(spec)
        },
        "spela_quantized": lambda: cost_of_inference(
            Overrides(seed=0).apply(spec), dataset, board, trained, directory / "inference"
        ),
    }
    costs = {}
    for done, (name, cost) in enumerate(measure.items()):
        progress("firmware", done, len(measure))
        costs[name] = cost()
    progress("firmware", len(measure), len(measure))
    return costs

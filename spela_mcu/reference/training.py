"""Trains the float reference on the host: epochs, a falling learning rate, early stopping."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spela_mcu.data.dataset import Dataset, Split
from spela_mcu.errors import UserError
from spela_mcu.progress import Progress, progress_bars, silent
from spela_mcu.reference.network import FloatNetwork
from spela_mcu.spec.learning import Learning, Training
from spela_mcu.spec.model import ModelSpec


@dataclass(frozen=True)
class EpochRecord:
    """One epoch of training; every tuple has one entry per exit.

    Attributes:
        epoch: counted from 1.
        learning_rate: of this epoch.
        train_accuracy: share of correct predictions, each made just before learning the sample.
        validation_accuracy: after the epoch.
        updated: share of samples that changed the layer; below 1 with the margin loss.
    """

    epoch: int
    learning_rate: float
    train_accuracy: tuple[float, ...]
    validation_accuracy: tuple[float, ...]
    updated: tuple[float, ...]


@dataclass(frozen=True)
class TrainingResult:
    """A trained network and how it came about.

    Attributes:
        network: the weights of the best epoch.
        history: every epoch run, in order.
        best_epoch: counted from 1; the one with the highest validation accuracy at the last exit,
            on a tie the latest: it has seen more samples at a lower learning rate.
    """

    network: FloatNetwork
    history: tuple[EpochRecord, ...]
    best_epoch: int


def online_learning_rates(learning: Learning, steps: int) -> NDArray[np.float64]:
    """The learning rate of each of the device's first steps, float64 [steps].

    It is held for `rate_halvings` intervals of `halve_rate_every` samples, then halved
    `rate_halvings` times: at the end of the last of these, and after each further interval.
    """
    halvings = np.zeros(steps, dtype=np.int64)
    if learning.interval:
        most = learning.rate_halvings
        intervals = np.arange(steps) // learning.interval
        halvings = np.clip(intervals - most + 1, 0, most)
    return np.ldexp(learning.first_rate, -halvings)


def train(
    spec: ModelSpec,
    dataset: Dataset,
    embeddings: Sequence[NDArray[np.float64]],
    *,
    progress: bool = True,
) -> TrainingResult:
    """Trains the network of a model.yaml; the same bits every time on one machine.

    Args:
        spec: its sections network and training are used.
        dataset: train is learned; validation decides when to stop and which epoch is best;
            test is not looked at.
        embeddings: one [classes, units] array per layer.
        progress: show progress on standard error.

    Raises:
        UserError: nothing to learn from or to validate on, or the weights overflow.
    """
    for part, split in (("train", dataset.train), ("validation", dataset.validation)):
        if not len(split):
            raise UserError(f"the {part} part has no samples", key="data", mend="give more data")
    training = spec.training
    network = FloatNetwork.untrained(
        spec.network, dataset.inputs, dataset.classes, embeddings, dataset.taps
    )
    rng = np.random.default_rng(training.seed)
    history: list[EpochRecord] = []
    best, best_accuracy, best_network = 0, -1.0, network
    improved = 0  # the epoch that last surpassed, not merely equalled, all before it
    what, samples = "training", len(dataset.train)
    with progress_bars() if progress else nullcontext(silent) as show:
        for epoch in range(1, training.epochs + 1):
            rate = training.learning_rate * training.decay ** (epoch - 1)
            batches = _batches(dataset.train, training.batch_size, rng)
            place = (epoch - 1) * samples, training.epochs * samples
            batches = _counted(batches, show, what, *place)
            record = _train_epoch(network, dataset, batches, epoch, rate)
            history.append(record)
            what = f"training, {_description(record, training)}"
            show(what, epoch * samples, training.epochs * samples)
            accuracy = record.validation_accuracy[-1]
            if accuracy > best_accuracy:
                improved = epoch
            if accuracy >= best_accuracy:
                best, best_accuracy, best_network = epoch, accuracy, network.copy()
            if epoch - improved >= training.patience:
                break
    return TrainingResult(best_network, tuple(history), best)


def _train_epoch(
    network: FloatNetwork,
    dataset: Dataset,
    batches: Iterator[Split],
    epoch: int,
    learning_rate: float,
) -> EpochRecord:
    right = np.zeros(len(network.layers))
    updated = np.zeros(len(network.layers))
    for batch in batches:
        learned = network.learn(batch.x, batch.y, learning_rate)
        right += (learned.predictions == batch.y).sum(axis=1)
        updated += learned.updated.sum(axis=1)
    try:
        validation = network.accuracy(dataset.validation.x, dataset.validation.y)
    except FloatingPointError as error:
        raise _overflow(f"the weights overflowed in epoch {epoch}") from error
    samples = len(dataset.train)
    return EpochRecord(
        epoch=epoch,
        learning_rate=learning_rate,
        train_accuracy=tuple((right / samples).tolist()),
        validation_accuracy=validation,
        updated=tuple((updated / samples).tolist()),
    )


def _overflow(reason: str) -> UserError:
    mend = f"lower it; {Training().learning_rate} suits most data"
    return UserError(reason, key="training.learning_rate", mend=mend)


def _batches(split: Split, size: int, rng: np.random.Generator) -> Iterator[Split]:
    """The samples in a new random order; the last batch holds what is left."""
    order = rng.permutation(len(split))
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        yield split.take(rows)


def _counted(
    batches: Iterator[Split], show: Progress, what: str, done: int, total: int
) -> Iterator[Split]:
    """The same batches; what is done is shown when the next one is asked for."""
    for batch in batches:
        yield batch
        done += len(batch)
        show(what, done, total)


def _description(record: EpochRecord, training: Training) -> str:
    exits = " / ".join(f"{share:.1%}" for share in record.validation_accuracy)
    return f"epoch {record.epoch}/{training.epochs}, validation {exits}"

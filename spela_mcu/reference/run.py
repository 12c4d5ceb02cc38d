"""A training run on disk: the network, its metrics, its learning curve; reused when unchanged."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from spela_mcu import __version__
from spela_mcu.data.dataset import Dataset
from spela_mcu.errors import UserError
from spela_mcu.files import MEBIBYTE, locked, make_directory, read_bounded, write_whole
from spela_mcu.pictures.learning_curve import draw_learning_curve
from spela_mcu.reference.network import FloatNetwork
from spela_mcu.reference.storage import FORMAT_VERSION, load_saved, save_network
from spela_mcu.reference.training import EpochRecord, TrainingResult, train
from spela_mcu.spec.model import ModelSpec

NETWORK_FILE: Final = "network.npz"
METRICS_FILE: Final = "metrics.json"
CURVE_FILE: Final = "learning_curve.png"
METRICS_BYTES: Final = 64 * MEBIBYTE


class Accuracy(BaseModel):
    """Share of correct predictions per exit, 0 to 1, on each part of the data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: tuple[float, ...]
    validation: tuple[float, ...]
    test: tuple[float, ...]


class Metrics(BaseModel):
    """What metrics.json holds.

    Attributes:
        name: the model's name.
        training_digest: of everything that determines the result; see `training_digest`.
        network_seed: of weights and embeddings.
        training_seed: of the order of samples.
        best_epoch: counted from 1; its weights are the saved ones.
        accuracy: of the saved weights.
        history: one record per epoch.
        versions: of spela-mcu, Python, numpy and torch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    training_digest: str
    network_seed: int
    training_seed: int
    best_epoch: int
    accuracy: Accuracy
    history: tuple[EpochRecord, ...]
    versions: dict[str, str]


@dataclass(frozen=True)
class TrainedRun:
    """A trained network with its metrics.

    Attributes:
        directory: where its three files are.
        reused: whether it was read from the directory, as nothing that it depends on has changed.
    """

    network: FloatNetwork
    metrics: Metrics
    directory: Path
    reused: bool


def training_digest(
    spec: ModelSpec, dataset: Dataset, embeddings: Sequence[NDArray[np.float64]]
) -> str:
    """SHA-256, in hex, of everything that determines a training run's result.

    That is the sections data, network and training as canonical JSON, the samples and labels
    themselves (a file's content may change under the same name), the embeddings, and the
    version of spela-mcu.
    """
    sections = spec.model_dump(mode="json", include={"data", "network", "training"})
    if not spec.network.exits_at:
        del sections["network"]["exits_at"]  # as it was before there were any
    stamp = {"spela_mcu": __version__, "format": FORMAT_VERSION, **sections}
    canonical = json.dumps(stamp, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode())
    parts = (dataset.train, dataset.validation, dataset.test)
    for array in (*embeddings, *(array for part in parts for array in (part.x, part.y))):
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def trained(
    spec: ModelSpec,
    dataset: Dataset,
    embeddings: Sequence[NDArray[np.float64]],
    directory: Path,
    *,
    progress: bool = True,
) -> TrainedRun:
    """Trains and saves a network, or reuses the one in the directory if it would be the same.

    Files of a damaged run, or of one with other data or settings, are replaced.

    Args:
        spec: the model.
        dataset: what `load_dataset` returned for it.
        embeddings: one [classes, units] array per layer.
        directory: of the run; created when absent.
        progress: see `train`.

    Raises:
        UserError: as `train` and `save_run`.
    """
    with locked(directory):  # after waiting for a run with the same settings, it is there
        run = known_run(spec, dataset, embeddings, directory)
        if run is not None:
            return run
        digest = training_digest(spec, dataset, embeddings)
        result = train(spec, dataset, embeddings, progress=progress)
        return save_run(directory, spec, dataset, result, digest)


def known_run(
    spec: ModelSpec, dataset: Dataset, embeddings: Sequence[NDArray[np.float64]], directory: Path
) -> TrainedRun | None:
    """The run in a directory, if training would give the same result; see `trained`."""
    try:
        run = load_run(directory)
    except UserError:
        return None
    if run.metrics.training_digest != training_digest(spec, dataset, embeddings):
        return None
    start = FloatNetwork.untrained(
        spec.network, dataset.inputs, dataset.classes, embeddings, dataset.taps
    )
    return run if run.network.has_form_of(start) else None


def save_run(
    directory: Path, spec: ModelSpec, dataset: Dataset, result: TrainingResult, digest: str
) -> TrainedRun:
    """Measures the network on all parts of the data and writes the run's three files.

    Raises:
        UserError: the directory is a file.
        OSError: it cannot be written to.
    """
    network = result.network
    accuracy = Accuracy(
        train=network.accuracy(dataset.train.x, dataset.train.y),
        validation=network.accuracy(dataset.validation.x, dataset.validation.y),
        test=network.accuracy(dataset.test.x, dataset.test.y),
    )
    metrics = Metrics(
        name=spec.name,
        training_digest=digest,
        network_seed=spec.network.seed,
        training_seed=spec.training.seed,
        best_epoch=result.best_epoch,
        accuracy=accuracy,
        history=result.history,
        versions={
            "spela_mcu": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "torch": torch.__version__,
        },
    )
    make_directory(directory)
    curve = draw_learning_curve(result.history, result.best_epoch, title=spec.name)
    write_whole(directory / CURVE_FILE, curve)
    write_whole(directory / METRICS_FILE, f"{metrics.model_dump_json(indent=2)}\n".encode())
    # Last, since `load_run` considers a run complete when both digests are equal.
    save_network(directory / NETWORK_FILE, network, digest)
    return TrainedRun(network, metrics, directory, reused=False)


def load_run(directory: Path) -> TrainedRun:
    """Reads what `save_run` wrote.

    Raises:
        UserError: a file is missing or damaged, or the files belong to different runs.
    """
    saved = load_saved(directory / NETWORK_FILE)
    path = directory / METRICS_FILE
    try:
        metrics = Metrics.model_validate_json(read_bounded(path, METRICS_BYTES))
    except (OSError, UserError, ValidationError) as error:
        raise UserError(
            "is missing, damaged or not the metrics of a run",
            file=path,
            mend="train again: spela-mcu train model.yaml",
        ) from error
    exits = {len(shares) for _, shares in metrics.accuracy}
    if metrics.training_digest != saved.training_digest or exits != {len(saved.network.layers)}:
        raise UserError(
            f"belongs to another run than {NETWORK_FILE}",
            file=path,
            mend="train again: spela-mcu train model.yaml",
        )
    return TrainedRun(saved.network, metrics, directory, reused=True)

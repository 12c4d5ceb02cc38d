"""Oddities of samples and labels: seldom meant, and easily mistaken for a good accuracy."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spela_mcu.data.csv_columns import in_yaml
from spela_mcu.notice import Notice, listed
from spela_mcu.spec.document import quoted

_ORDERED_SHARE = 0.98  # of a column's changes go one way; a clock may be set back now and then
_LEAST_CHANGES = 8  # fewer may go one way by chance
_MAJORITY = 0.9
_MISSING = {"nan", "<na>", "n/a", "#n/a"}


def odd_columns(
    x: NDArray[Any], names: Sequence[str], classes: int, *, ignorable: bool
) -> Iterator[Notice]:
    """Looks at the columns of a table.

    Args:
        x: samples [n, inputs] in the order recorded.
        names: of the inputs.
        classes: number of classes.
        ignorable: whether `data.ignore` can leave columns out.
    """
    low, high = x.min(axis=0), x.max(axis=0)
    constant = np.flatnonzero(low == high).tolist()
    if len(constant) == x.shape[1]:
        return  # nothing to learn from, which is no single column's fault
    counting = _counting(x, low, high, classes)
    if counting:
        yield Notice(
            f"{_columns([names[at] for at in counting])} in the order of the samples, as a time "
            "stamp or an index does: a network may learn when a sample was taken, not what it is",
            _leave_out([names[at] for at in counting], ignorable=ignorable),
        )
    if constant:
        found = [names[at] for at in constant]
        yield Notice(
            f"{listed(found)} {'has' if len(found) == 1 else 'have'} one value in all samples",
            _leave_out(found, ignorable=ignorable),
        )
    twins = list(_twins(x, set(constant)))
    if twins:
        pairs = [f"{names[copy]} is {names[first]}" for first, copy in twins]
        yield Notice(
            f"columns repeat others: {listed(pairs)}",
            _leave_out([names[copy] for _, copy in twins], ignorable=ignorable),
        )


def odd_labels(names: Sequence[str], counts: Sequence[int]) -> Iterator[Notice]:
    """Looks at the classes.

    Args:
        names: of the classes.
        counts: number of samples of each.
    """
    forms: dict[str, list[str]] = {}
    for name in names:
        form = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
        forms.setdefault(form, []).append(name)
    for alike in forms.values():
        if len(alike) > 1:
            yield Notice(
                f"the labels {listed([quoted(name) for name in alike])} differ only in case, "
                "spaces or Unicode form, and are classes of their own",
                "write them alike if they are one class",
            )
    for name in names:
        if name.strip().lower() in _MISSING:
            yield Notice(
                f"the label {quoted(name)} is a class, though it mostly stands for a missing label",
                "remove these samples, or give the class another name",
            )
    share = max(counts) / sum(counts)
    if share > _MAJORITY:
        name = names[int(np.argmax(counts))]
        yield Notice(
            f"{share:.1%} of the samples are {quoted(name)}: always guessing it is right as often",
            "look at the balanced accuracy, or take more samples of the other classes",
        )


def _counting(x: NDArray[Any], low: NDArray[Any], high: NDArray[Any], classes: int) -> list[int]:
    """Columns that keep rising or falling, or hold consecutive whole numbers in any order."""
    rises = np.count_nonzero(x[1:] > x[:-1], axis=0)
    falls = np.count_nonzero(x[1:] < x[:-1], axis=0)
    changes = rises + falls
    ordered = np.maximum(rises, falls) >= _ORDERED_SHARE * changes
    found = set(np.flatnonzero(ordered & (changes >= max(_LEAST_CHANGES, classes))).tolist())
    if len(x) > _LEAST_CHANGES:
        span = high.astype(np.float64) - low
        for index in np.flatnonzero(span == len(x) - 1).tolist():
            values = np.unique(x[:, index].astype(np.float64))
            if len(values) == len(x) and np.all(np.diff(values) == 1):
                found.add(index)
    return sorted(found)


def _twins(x: NDArray[Any], without: set[int]) -> Iterator[tuple[int, int]]:
    """Columns equal to an earlier one, as (the first such, the column)."""
    first: dict[bytes, int] = {}
    for index in range(x.shape[1]):
        if index not in without:
            at = first.setdefault(x[:, index].tobytes(), index)
            if at != index:
                yield at, index


def _columns(names: list[str]) -> str:
    return f"{listed(names)} {'counts' if len(names) == 1 else 'count'}"


def _leave_out(names: list[str], *, ignorable: bool) -> str:
    if not ignorable:
        return "leave out what tells nothing; for pictures and signals state network.input_shape"
    return f"leave it out if it tells nothing: data.ignore: {in_yaml(names)}"

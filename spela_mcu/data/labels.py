"""Turns labels of any kind into class names and numbers 0 .. classes-1."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spela_mcu.data.raw import RawData, RawPart, sample_error
from spela_mcu.errors import UserError
from spela_mcu.spec.document import quoted
from spela_mcu.spec.limits import MAX_CLASSES


@dataclass(frozen=True)
class NumberedLabels:
    """Labels as numbers.

    Attributes:
        class_names: name of each class.
        samples: int64 [n], labels of the source's samples.
        test: int64 [m], labels of its test part, if it has one.
    """

    class_names: tuple[str, ...]
    samples: NDArray[np.int64]
    test: NDArray[np.int64] | None


def number_labels(raw: RawData, stated: tuple[str, ...] | None) -> NumberedLabels:
    """Numbers the classes of a data set.

    Text labels are numbered in sorted order, integer labels numerically, unless the classes are
    stated: then labels are the stated names, or numbers that count them from 0.

    Args:
        raw: the data, with integers or texts as labels.
        stated: `network.classes`.

    Raises:
        UserError: a label is not one of the classes, a class has no samples or too few to split, or
            there are too few or too many classes.
    """
    samples = _plain(raw.samples)
    test = None if raw.test is None else _plain(raw.test)
    if raw.class_names is not None:
        if stated is not None and len(stated) != len(raw.class_names):
            raise UserError(
                f"names {len(stated)} classes, but the data have {len(raw.class_names)}",
                mend=f"name these, or remove the key: {', '.join(raw.class_names)}",
                key="network.classes",
            )
        names, values = stated or raw.class_names, list(range(len(raw.class_names)))
    elif stated is not None:
        names, values = stated, _stated_values(samples, stated)
    else:
        values = np.unique(samples).tolist()
        names = tuple(str(value) for value in values)
    numbers = NumberedLabels(
        names,
        _numbered(raw, samples, names, values),
        None if test is None else _numbered(raw, test, names, values, part="test "),
    )
    _check_counts(numbers, own_test=test is not None)
    return numbers


def _plain(part: RawPart) -> NDArray[Any]:
    """Labels as an array of integers or of texts."""
    labels = part.labels
    if labels.ndim != 1:
        raise UserError(
            f"labels must be one number or text a sample, got an array of shape {labels.shape}",
            mend="give a one-dimensional array; for one-hot labels y.argmax(axis=1)",
            key="data",
        )
    if labels.dtype.kind == "f" and np.all(np.isfinite(labels)) and np.all(labels % 1 == 0):
        return _whole(labels)
    if labels.dtype.kind == "u":
        return labels
    if labels.dtype.kind in "ib":
        return labels.astype(np.int64)
    if labels.dtype.kind == "S":
        return np.char.decode(labels, "utf-8", "replace")
    if labels.dtype.kind in "UT" or all(isinstance(label, str) for label in labels):
        return labels.astype(str)
    raise UserError(
        "labels must be whole numbers or texts"
        + (", got fractions" if labels.dtype.kind == "f" else f", got {labels.dtype}"),
        mend="SPELA classifies: give each sample the number or name of its class",
        key="data",
    )


def _whole(labels: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    exact = 2 ** (np.finfo(labels.dtype).nmant + 1)  # above it, whole numbers may share a float
    most = float(np.abs(labels).max(initial=0))
    if most > exact:
        raise UserError(
            f"the label {most:.17g} is too large for {labels.dtype}, which holds whole numbers "
            f"exactly up to {exact}",
            mend="give the labels as integers or as texts",
            key="data",
        )
    return labels.astype(np.int64)


def whole_number(text: str) -> int | None:
    """The whole number that a text stands for, without passing through float.

    ``7``, ``+7``, ``007``, ``7.0`` and ``7e0`` are 7. None for anything else and for what int64
    cannot hold.
    """
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    if "_" in text or not value.is_finite() or value.adjusted() > 18:
        return None
    whole = value.to_integral_value()
    return int(whole) if whole == value and -(2**63) <= whole < 2**63 else None


def _stated_values(labels: NDArray[Any], stated: tuple[str, ...]) -> list[Any]:
    """The label value of each stated class: its name or its position."""
    if labels.dtype.kind == "U":
        return list(stated)
    if {str(label) for label in np.unique(labels)} <= set(stated):
        # Labels 1..7 with classes "1".."7" are names. A stated name that is not a number has no
        # label then, which `_check_counts` reports.
        return [int(name) if re.fullmatch("-?[0-9]+", name) else None for name in stated]
    return list(range(len(stated)))


def _numbered(
    raw: RawData, labels: NDArray[Any], names: tuple[str, ...], values: list[Any], part: str = ""
) -> NDArray[np.int64]:
    number_of = {value: number for number, value in enumerate(values) if value is not None}
    unique, inverse = np.unique(labels, return_inverse=True)
    numbers = np.array([number_of.get(value, -1) for value in unique.tolist()], dtype=np.int64)
    y: NDArray[np.int64] = numbers[inverse]
    if np.any(y < 0):
        index = int(np.argmax(y < 0))
        label = labels[index]
        shown = quoted(str(label)) if labels.dtype.kind == "U" else f"{label}"
        if labels.dtype.kind == "U" or values != list(range(len(names))):
            known = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
            reason, mend = f"label {shown} is none of the classes", f"the classes are {known}"
        else:
            reason = (
                f"label {shown} is out of range: {len(names)} classes are 0 to {len(names) - 1}"
            )
            mend = "count labels from 0, or correct network.classes"
        raise sample_error(raw, index, reason, mend, part=part)
    return y


def _check_counts(labels: NumberedLabels, *, own_test: bool) -> None:
    names = labels.class_names
    if len(names) < 2:
        raise UserError(
            f"all labels are {quoted(names[0])}: there is nothing to tell apart",
            mend="give samples of two classes or more, and check the column or array of labels",
            key="data",
        )
    if len(names) > MAX_CLASSES:
        raise UserError(
            f"the labels have {len(names)} different values, more than {MAX_CLASSES} classes",
            mend="check the column or array of labels: it must name classes, not measure a value",
            key="data",
        )
    counts = np.bincount(labels.samples, minlength=len(names))
    if labels.test is not None:
        _check_least(names, np.bincount(labels.test, minlength=len(names)), 1, "test samples")
    kind = "training samples" if own_test else "samples"
    # At least one sample for training, one for validation and, unless given separately, one for
    # test.
    _check_least(names, counts, 2 if own_test else 3, kind)


def _check_least(names: tuple[str, ...], counts: NDArray[np.intp], least: int, kind: str) -> None:
    poorest = int(counts.argmin())
    count = int(counts[poorest])
    if count >= least:
        return
    has = f"has no {kind}" if count == 0 else f"has only {count} of the {least} {kind} it needs"
    raise UserError(
        f"class {quoted(names[poorest])} {has}",
        mend="add samples of it, or remove the class",
        key="data",
    )

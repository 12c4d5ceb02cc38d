"""How commands show what was read of a model's data."""

from __future__ import annotations

from rich.text import Text

from spela_mcu.cli.console import stderr, stdout
from spela_mcu.data.dataset import Dataset
from spela_mcu.notice import Notice

_CLASSES_SHOWN = 10


def show_data(dataset: Dataset) -> None:
    """Prints samples, inputs, classes, range and what is left out; notices go to stderr."""
    parts = (dataset.train, dataset.validation, dataset.test)
    total = sum(map(len, parts))
    lines = [
        f"{total:,} samples ({len(dataset.train):,} to train, {len(dataset.validation):,} to "
        f"validate, {len(dataset.test):,} to test) of {_inputs(dataset)}",
        f"{dataset.classes} classes: {_classes(dataset, total)}",
    ]
    origin = dataset.origin
    if origin is not None:
        lines[0] = f"{origin.source}: {lines[0]}"
        lines.append(f"values {origin.low:.6g} to {origin.high:.6g}, scaling {origin.scaling}")
        if origin.left_out:
            lines.append(f"left out: {', '.join(origin.left_out)}")
    for line in lines:
        stdout.print(line, soft_wrap=True, markup=False)
    show_notices(dataset.notices)


def show_notices(notices: tuple[Notice, ...]) -> None:
    """Prints what is odd, each with its mend, on stderr."""
    for notice in notices:
        text = Text()
        text.append("warning: ", style="bold yellow").append(notice.reason)
        text.append("\n  mend: ", style="green").append(notice.mend)
        stderr.print(text, soft_wrap=True)


def data_summary(dataset: Dataset) -> dict[str, object]:
    """What `show_data` prints, for --json."""
    origin = dataset.origin
    return {
        "source": None if origin is None else origin.source,
        "samples": {
            "train": len(dataset.train),
            "validation": len(dataset.validation),
            "test": len(dataset.test),
        },
        "inputs": dataset.inputs,
        "input_shape": list(dataset.input_shape),
        "sample_shape": list(dataset.sample_shape),
        "classes": dict(zip(dataset.class_names, dataset.class_counts, strict=True)),
        "range": None if origin is None else [origin.low, origin.high],
        "scaling": None if origin is None else origin.scaling,
        "left_out": [] if origin is None else list(origin.left_out),
        "warnings": [{"reason": one.reason, "mend": one.mend} for one in dataset.notices],
    }


def _inputs(dataset: Dataset) -> str:
    if dataset.backbone is not None:
        shape = " x ".join(map(str, dataset.sample_shape))
        return f"{shape} values, of which the backbone makes {dataset.inputs} features"
    shape = " x ".join(map(str, dataset.input_shape))
    return f"{shape} inputs" if len(dataset.input_shape) > 1 else f"{dataset.inputs} inputs"


def _classes(dataset: Dataset, total: int) -> str:
    counts = sorted(
        zip(dataset.class_names, dataset.class_counts, strict=True), key=lambda pair: -pair[1]
    )
    shown = [
        f"{name!r} {count:,} ({count / total:.1%})" if not index else f"{name!r} {count:,}"
        for index, (name, count) in enumerate(counts[:_CLASSES_SHOWN])
    ]
    rest = len(counts) - _CLASSES_SHOWN
    return ", ".join(shown) + (f" and {rest} more" if rest > 0 else "")

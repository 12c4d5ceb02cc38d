"""Dense networks learned on the chip: pictures, digits, small tables."""

from __future__ import annotations

from experiments.studies.settings import (
    DIGITS,
    FASHION,
    FROM_NOTHING,
    GESTURES,
    MNIST,
    TABLES,
    dense_layers,
)
from experiments.studies.study import Row, Study

_INT8 = "int8"
_TABLES = {  # function of tables.py: rows, of which 0.69 are learned from; what it is
    "degrees": (600, "degrees, 1 input"),
    "rings": (600, "rings, 2 inputs"),
    "petals": (150, "iris, petals, 2 inputs"),
    "iris": (150, "iris, 4 inputs"),
    "wine_6": (178, "wine, 6 of its inputs"),
    "cancer_6": (569, "breast cancer, 6 of its inputs"),
    "wine_9": (178, "wine, 9 of its inputs"),
    "cancer_10": (569, "breast cancer, 10 of its inputs"),
    "wine": (178, "wine, 13 inputs"),
    "cancer": (569, "breast cancer, 30 inputs"),
}


def _bias(function: str) -> tuple[Row, Row]:
    """A table without and with a bias; the rate is halved in the second half of 60 passes."""
    rows, name = _TABLES[function]
    both = {
        "data.function": f"experiments/models/tables.py:{function}",
        "learning.halve_rate_every": round(3.5 * rows),
    }
    return (
        Row(f"{name}, no bias", {**both, "network.bias": False}),
        Row(f"{name}, bias", {**both, "network.bias": True}),
    )


_FLOAT = Row("float", options={"by": "float"})
_INT16 = {"fixed_point.weights": "int16"}
_NEAREST = {"fixed_point.rounding": "nearest"}

_FORMATS = (
    _FLOAT,
    Row(_INT8),
    Row("int16", _INT16),
    Row("int8, nearest", _NEAREST),
)

_SUMMED = tuple(
    Row(f"int8, {batch} updates summed", {"learning.batch": batch}) for batch in (8, 16)
)

_PER_WEIGHT = Row("int8, a random number a weight", options={"by": "per_weight"})
_ROOTS = {"power": 0.5}
_WIDE = dense_layers(1000, 34)
_PAPER = {**_WIDE, "training.learning_rate": 2.5, "training.decay": 0.9}


def _few_shot(samples: int) -> tuple[Row, ...]:
    """1 % and 5 % of `samples` training ones, five passes; SPELA's rate halves after each pass."""
    learners = {
        "margin, int8": ({}, {"by": "chip"}),
        "cosine, float": ({"network.loss": "cosine"}, {"by": "float"}),
        "backpropagation": ({}, {"by": "backprop"}),
    }
    return tuple(
        Row(
            f"{100 * share:.0f} %: {name}",
            {**_WIDE, **settings, "learning.halve_rate_every": round(share * samples)},
            {**options, "share": share, "epochs": 5},
        )
        for share in (0.01, 0.05)
        for name, (settings, options) in learners.items()
    )


_BATCHES = (1, 2, 4, 8)


def _batch(batch: int) -> str:
    return "single updates" if batch == 1 else f"{batch} summed"


def _summed_pictures(share: float, samples: int) -> tuple[Row, ...]:
    """So few samples, five passes, by batch; the rate halves after each pass."""
    return tuple(
        Row(
            f"{samples} pictures, {_batch(batch)}",
            {"learning.batch": batch, "learning.halve_rate_every": samples},
            {"share": share, "epochs": 5},
        )
        for batch in _BATCHES
    )


def _summed_tables(function: str) -> tuple[Row, ...]:
    """A table, 100 of its samples once or all ten times, by batch."""
    learned = round(0.69 * _TABLES[function][0])
    extents = {
        "100 samples": ({}, {"share": 100 / learned, "epochs": 1}),
        "ten passes": ({"learning.halve_rate_every": round(10 * learned / 12)}, {"epochs": 10}),
    }
    return tuple(
        Row(
            f"{_TABLES[function][1]}, {extent}, {_batch(batch)}",
            {
                "data.function": f"experiments/models/tables.py:{function}",
                "learning.batch": batch,
                **dense_layers(16, 8),
                **settings,
            },
            options,
        )
        for extent, (settings, options) in extents.items()
        for batch in _BATCHES
    )


STUDIES: dict[str, Study] = {
    "fashion": Study(
        "Fashion-MNIST, 784-128-34, int8 learned from scratch beside float", FASHION,
        (
            *_FORMATS,
            *_SUMMED,
            Row("int8, square roots", options=_ROOTS),
            Row("float, square roots", options={"by": "float", **_ROOTS}),
        ),
        seeds=3, reference="float",
    ),
    "fashion_wide": Study(
        "Fashion-MNIST, 784-1000-34", FASHION,
        (
            Row(_INT8, _WIDE),
            Row("float", _WIDE, {"by": "float"}),
            Row("int8, square roots", _WIDE, _ROOTS),
            Row("int8, 16 updates summed, square roots", {**_WIDE, "learning.batch": 16}, _ROOTS),
            Row("int8, 16 updates summed, 20 passes, square roots",
                {**_WIDE, "learning.batch": 16, "learning.epochs": 20,
                 "learning.halve_rate_every": 100_000}, _ROOTS),
            Row("float, square roots", _WIDE, {"by": "float", **_ROOTS}),
            Row("the paper's loss, float, in batches",
                {**_PAPER, "network.loss": "cosine", "data.scaling": "global"},
                {"by": "batches", "epochs": 20}),
            Row("margin, float, in batches", {**_PAPER, "training.learning_rate": 1.0},
                {"by": "batches", "epochs": 20}),
            Row("backpropagation", _WIDE, {"by": "backprop", "epochs": 20}),
            Row("backpropagation, square roots", _WIDE,
                {"by": "backprop", "epochs": 20, **_ROOTS}),
        ),
        seeds=3,
    ),
    "mnist": Study(
        "10,000 digits of MNIST, 784-128-34, int8 learned from scratch beside float", MNIST,
        (
            *_FORMATS,
            *_SUMMED, _PER_WEIGHT,
            Row("int8, shifted by up to a pixel", options={"shift": 1}),
            Row("float, shifted by up to a pixel", options={"by": "float", "shift": 1}),
        ),
        seeds=5, reference="float",
    ),
    "mnist_wide": Study(
        "10,000 digits of MNIST, 784-1000-34", MNIST,
        (
            Row(_INT8, _WIDE),
            Row("int8, shifted by up to a pixel", _WIDE, {"shift": 1}),
            Row("the paper's loss, float, in batches",
                {**_PAPER, "training.batch_size": 50, "network.loss": "cosine",
                 "data.scaling": "global"}, {"by": "batches", "epochs": 20}),
            Row("margin, float, in batches",
                {**_PAPER, "training.batch_size": 50, "training.learning_rate": 1.0},
                {"by": "batches", "epochs": 20}),
            Row("backpropagation", _WIDE, {"by": "backprop", "epochs": 20}),
        ),
        seeds=3,
    ),
    "digits": Study(
        "Digits, 64-48-32, int8 learned from scratch beside float", DIGITS,
        (*_FORMATS,
            *_SUMMED, _PER_WEIGHT), seeds=12, reference="float",
    ),
    "few_shot_fashion": Study(
        "Few samples of Fashion-MNIST, 784-1000-34, 5 passes", FASHION, _few_shot(60_000), seeds=3,
    ),
    "few_shot_mnist": Study(
        "Few samples of MNIST's 8,000, 784-1000-34, 5 passes", MNIST, _few_shot(8_000), seeds=3,
    ),
    "batch_pictures": Study(
        "Updates summed: few samples of Fashion-MNIST, 784-128-34, 5 passes", FASHION,
        (*_summed_pictures(0.002, 120), *_summed_pictures(0.01, 600)), seeds=6,
    ),
    "batch_tables": Study(
        "Updates summed: small tables, 16-8 units", TABLES,
        (*_summed_tables("cancer"), *_summed_tables("wine")), seeds=24,
    ),
    "effects": Study(
        "One thing changed at a time: MNIST's 8,000, int8, 784-128-34", MNIST,
        (
            Row("as it is"),
            Row("loss cosine", {"network.loss": "cosine"}),
            Row("loss log_cosine", {"network.loss": "log_cosine"}),
            *(Row(f"margin {m}", {"network.margin": m}) for m in (0.05, 0.2, 0.3)),
            *(Row(f"scaling {s}", {"data.scaling": s}) for s in ("global",)),
            *(Row(f"embedding {e}", {"network.embedding": e}) for e in ("orthogonal", "random")),
            *(Row(f"{w}-34", dense_layers(w, 34)) for w in (32, 64, 256)),
            *(Row(f"128-{w}", dense_layers(128, w)) for w in (16, 64, 128)),
            Row("128 alone", dense_layers(128)),
            Row("128-64-34", dense_layers(128, 64, 34)),
            *(Row(f"leaky_relu, slope 2^-{s}",
                  dense_layers(128, 34, activation="leaky_relu", negative_slope=2.0**-s))
              for s in (3, 7)),
            Row("rate 0.1", {"learning.learning_rate": 0.1}),
            Row("rate 0.5", {"learning.learning_rate": 0.5}),
            Row("last layer's rate 0.1", options={"rate_shifts": [0, 1]}),
            Row("last layer's rate 0.4", options={"rate_shifts": [0, -1]}),
            Row("rate never halved", {"learning.halve_rate_every": 0}),
            Row("int16", _INT16),
            Row("int8, nearest", _NEAREST),
        ),
        seeds=3, reference="as it is",
    ),
    "narrow": Study(
        "Digits: the last layer's width and the choice of embeddings, int8", DIGITS,
        tuple(
            Row(f"48-{width}, {words}", dense_layers(48, width), options)
            for width in (12, 16, 32, 64)
            for words, options in (
                ("best of 32", {}), ("the first", {"embeddings": "first"}),
            )
        ),
        seeds=12,
    ),
    "bias": Study(
        "With and without a bias: tables of few inputs, 24-12 units, int8, per_feature", TABLES,
        tuple(row for function in _TABLES for row in _bias(function)), seeds=12,
    ),
    "bias_pictures": Study(
        "With and without a bias: digits, 64 inputs", DIGITS,
        (Row("digits, no bias"), Row("digits, bias", {"network.bias": True})), seeds=8,
    ),
    "bias_signals": Study(
        "With and without a bias: gestures, 108 inputs", GESTURES,
        (
            Row("gestures, no bias", FROM_NOTHING),
            Row("gestures, bias", {**FROM_NOTHING, "network.bias": True}),
        ), seeds=4,
    ),
}  # fmt: skip

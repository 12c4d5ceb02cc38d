"""Which runs make up which table of docs/accuracy.md and docs/continual.md."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.tasks import Task

FASHION, MNIST = "experiments/models/fashion.yaml", "experiments/models/mnist.yaml"
DIGITS, GESTURES = "examples/digits/model.yaml", "examples/gestures/dense.yaml"
TABLES, CIFAR = "experiments/models/tables.yaml", "experiments/models/cifar.yaml"
STREAM_DIGITS = "experiments/models/stream_digits.yaml"
STREAM_KEYWORDS = "experiments/models/stream_keywords.yaml"
STREAM_GESTURES = "experiments/models/stream_gestures.yaml"
STREAM_FASHION = "experiments/models/stream_fashion.yaml"
STREAM_OBJECTS = "experiments/models/stream_objects.yaml"
CLUSTERS = "experiments/models/clusters.yaml"


@dataclass(frozen=True)
class Row:
    """One row of a table: how it differs from the study's model."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """One table.

    Attributes:
        model: the model.yaml that the rows vary.
        seeds: runs per row.
        reference: the row that the others are compared with, seed by seed; None: no comparison.
        measure: see `experiments.run.MEASURES`.
    """

    title: str
    model: str
    rows: tuple[Row, ...]
    seeds: int
    reference: str | None = None
    measure: str = "learn"

    def tasks(self, name: str, seeds: int | None = None) -> list[Task]:
        """Every run, all rows of one seed before the next seed."""
        digest = hashlib.sha256(Path(self.model).read_bytes()).hexdigest()[:16]
        return [
            Task(
                study=name,
                row=row.name,
                measure=self.measure,
                model=self.model,
                model_digest=digest,
                settings=row.settings,
                options={"by": "chip", **row.options} if self.measure == "learn" else row.options,
                seed=seed,
            )
            for seed in range(seeds or self.seeds)
            for row in self.rows
        ]


def _layers(*units: int, **others: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"network.layers": [{"units": u, **others} for u in units]}


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


_LEAKY = {"activation": "leaky_relu", "negative_slope": 0.125}


def _narrow(function: str, *units: int) -> tuple[Row, ...]:
    """A narrow network, with relu and leaky_relu, on the chip and in float."""
    data = {"data.function": f"experiments/models/clusters.py:{function}"}
    shape = "-".join(map(str, units))
    return tuple(
        Row(
            f"{shape}, {function} classes, {activation}, {by}",
            {**data, **_layers(*units, **(_LEAKY if activation == "leaky_relu" else {}))},
            {"by": by},
        )
        for activation in ("relu", "leaky_relu")
        for by in ("chip", "float")
    )


def _worn(samples: int) -> tuple[Row, ...]:
    """After a number of random labels: relu and leaky_relu, without and with weight decay."""
    return tuple(
        Row(
            f"{samples:,} random labels, {activation}{', weight decay' if decays else ''}",
            {
                "data.function": "experiments/models/clusters.py:five",
                "learning.weight_decay": decays,
                **_layers(17, 9, **(_LEAKY if activation == "leaky_relu" else {})),
            },
            {"by": "chip", "random": samples},
        )
        for activation in ("relu", "leaky_relu")
        for decays in (False, True)
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

_FROM_NOTHING = {"learning.start": "untrained", "learning.learning_rate": 0.2}
_WINDOWS = {  # fifteen passes, of which the first half with the full rate
    **_FROM_NOTHING,
    "learning.epochs": 15,
    "learning.halve_rate_every": 4_265,
}
_OVER_TIME = {
    "network.input_shape": [9, 1, 12],
    "network.layers": [
        {"kind": "convolution", "filters": 16, "pool": 1},
        {"kind": "convolution", "filters": 32},
    ],
}
_ROOTS = {"power": 0.5}
_WIDE = _layers(1000, 34)
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


def _rules(
    layers: list[list[int]],
    margin_rate: float = 1.0,
    **options: Any,  # noqa: ANN401
) -> tuple[Row, ...]:
    """Float rules of convolutions, on the same samples."""
    return tuple(
        Row(
            name,
            {"network.margin": 0.2},
            {"rule": rule, "loss": loss, "rate": rate, **options, "layers": layers},
        )
        for name, rule, loss, rate in (
            ("projection, margin: the chip's", "projection", "margin", margin_rate),
            ("projection, softmax over cosines", "projection", "softmax", 0.15),
            ("linear read-out, softmax", "linear", "softmax", 0.15),
            ("no projection, margin", "none", "margin", 1.0),
            ("no projection, softmax over cosines", "none", "softmax", 0.5),
            ("the whole map to 100, log_cosine", "whole", "log_cosine", 2.0),
            ("backpropagation", "backprop", "softmax", 0.1),
        )
    )


_MIRRORED = {"mirror": True}
_SHARE_MIRRORED = {"share": 0.2, **_MIRRORED}


def _convolutions(*filters: int) -> dict[str, Any]:
    """Such as in the model.yaml, of so many filters."""
    return {"network.layers": [{"kind": "convolution", "filters": one} for one in filters]}


_SMALL_CIFAR = {
    "network.loss": "softmax",
    **_convolutions(16, 32, 54),
    "fixed_point.weights": "int16",
    "learning.epochs": 4,
    "learning.halve_rate_every": 3_333,
}
_FASHION_CHIP = {
    "network.margin": 0.2, "learning.epochs": 10, "learning.halve_rate_every": 50_000,
}  # fmt: skip


def _filters(*layers: int | tuple[int, int]) -> dict[str, Any]:
    """Convolutions of so many filters, or filters and pool."""
    sides = [(layer, 2) if isinstance(layer, int) else layer for layer in layers]
    return {
        "network.input_shape": [28, 28],
        "network.layers": [{"kind": "convolution", "filters": f, "pool": p} for f, p in sides],
    }


_DIGITS_CHIP = {
    **_filters(16, 32, (64, 1)),
    "network.margin": 0.2, "learning.epochs": 10, "learning.halve_rate_every": 6_667,
}  # fmt: skip


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
                **_layers(16, 8),
                **settings,
            },
            options,
        )
        for extent, (settings, options) in extents.items()
        for batch in _BATCHES
    )


def _rehearsing(samples: int, ratio: int = 1) -> dict[str, Any]:
    return {"learning.rehearsal": {"samples": samples, "ratio": ratio}}


def _learners(**options: Any) -> tuple[Row, ...]:  # noqa: ANN401
    """The learners of `compare --stream`, on the same stream."""
    names = {
        "rehearsing": "SPELA, rehearsing",
        "no memory": "SPELA, no memory",
        "naive": "SPELA, naive",
        "jointly": "SPELA, all at once",
        "backprop": "backpropagation, rehearsing, float",
        "neighbours": "nearest neighbours, as many bytes",
        "class means": "nearest class mean",
    }
    return tuple(Row(name, options={"by": by, **options}) for by, name in names.items())


_MEANS: dict[str, Any] = {"learning.rehearsal": {"keep": "means", "ratio": 4}}


def _without_samples(settings: dict[str, Any], name: str = "", **options: Any) -> tuple[Row, ...]:  # noqa: ANN401
    """Learners that keep no samples."""
    return (
        Row(f"prototypes: embeddings from means{name}", settings, {"by": "prototypes", **options}),
        Row(f"means rehearsed{name}", {**settings, **_MEANS}, {"by": "rehearsing", **options}),
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
            *(Row(f"{w}-34", _layers(w, 34)) for w in (32, 64, 256)),
            *(Row(f"128-{w}", _layers(128, w)) for w in (16, 64, 128)),
            Row("128 alone", _layers(128)),
            Row("128-64-34", _layers(128, 64, 34)),
            *(Row(f"leaky_relu, slope 2^-{s}",
                  _layers(128, 34, activation="leaky_relu", negative_slope=2.0**-s))
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
            Row(f"48-{width}, {words}", _layers(48, width), options)
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
            Row("gestures, no bias", _FROM_NOTHING),
            Row("gestures, bias", {**_FROM_NOTHING, "network.bias": True}),
        ), seeds=4,
    ),
    "convolution": Study(
        "Convolutions: float rules, 16-32-64 filters, 10,000 pictures of Fashion-MNIST", FASHION,
        _rules([[16, 2], [32, 2], [64, 1]], share=1 / 6, epochs=4, batch=16),
        seeds=3, reference="backpropagation", measure="convolution",
    ),
    "convolution_rules": Study(
        "Convolutions: float rules on CIFAR-10, 32-64-128 filters, twelve passes", CIFAR,
        _rules([[32, 2], [64, 2], [128, 2]], 2.0, epochs=12, batch=32, mirror=True),
        seeds=3, reference="backpropagation", measure="convolution",
    ),
    "convolution_few": Study(
        "Convolutions: float rules on CIFAR-10, 2,500 pictures, three passes", CIFAR,
        _rules([[32, 2], [64, 2], [128, 2]], share=0.05, epochs=3, batch=16, tested=0.2),
        seeds=1, measure="convolution",
    ),
    "paper_convolution": Study(
        "The paper's own convolutional network, float", CIFAR,
        (
            Row("2,500 pictures, 3 and 3 passes",
                options={"epochs": [3, 3], "share": 0.05, "tested": 0.2}),
            Row("all pictures, 3 and 2 passes", options={"epochs": [3, 2]}),
            Row("all pictures, 15 and 10 passes", options={"epochs": [15, 10]}),
        ), seeds=1, measure="paper_convolution",
    ),
    "stream_digits": Study(
        "Digits: five classes, then one by one", STREAM_DIGITS,
        (
            *_learners(),
            *(
                Row(f"{name}, 64-48-32", _layers(48, 32), {"by": by})
                for by, name in (
                    ("rehearsing", "SPELA, rehearsing"), ("jointly", "SPELA, all at once"),
                    ("no memory", "SPELA, no memory"), ("naive", "SPELA, naive"),
                )
            ),
            *_without_samples(_layers(48, 32), ", 64-48-32"),
            *(
                Row(f"rehearsing {n} samples a class", _rehearsing(n), {"by": "rehearsing"})
                for n in (5, 10, 40)
            ),
            Row("rehearsing beside teaching only", options={"by": "rehearsing", "steps": 0}),
            Row("four beside each, none alone", _rehearsing(20, 4),
                {"by": "rehearsing", "steps": 0}),
            Row("rehearsing 1,000 alone", options={"by": "rehearsing", "steps": 1000}),
            *_without_samples({}),
        ), seeds=5, measure="stream",
    ),
    "stream_keywords": Study(
        "Keywords: ten known, two taught from 20 samples each", STREAM_KEYWORDS,
        (*_learners(first=10, shots=20), *_without_samples({}, first=10, shots=20)),
        seeds=8, measure="stream",
    ),
    "few_shots": Study(
        "Keywords: ten known, two taught from few samples", STREAM_KEYWORDS,
        tuple(
            Row(f"{shots} sample{'s' * (shots > 1)}: {name}",
                options={"by": by, "first": 10, "shots": shots})
            for shots in (1, 5, 20)
            for by, name in (
                ("rehearsing", "gradient steps, rehearsing"), ("prototypes", "prototypes"),
                ("class means", "nearest class mean"),
            )
        ), seeds=8, measure="stream",
    ),
    "stream_fashion": Study(
        "Fashion-MNIST: five classes, then one by one", STREAM_FASHION,
        (
            *_learners(),
            Row("rehearsing 40 samples a class", _rehearsing(40), {"by": "rehearsing"}),
            Row("four beside each", _rehearsing(20, 4), {"by": "rehearsing"}),
            Row("four beside each, 40 samples a class", _rehearsing(40, 4), {"by": "rehearsing"}),
            Row("rehearsing 3,000 alone", options={"by": "rehearsing", "steps": 3000}),
            *_without_samples({}),
        ),
        seeds=3, measure="stream",
    ),
    "stream_objects": Study(
        "CIFAR-10, features of ResNet-8: five classes, then one by one", STREAM_OBJECTS,
        (*_learners(), *_without_samples({})), seeds=3, measure="stream",
    ),
    "stream_wearers": Study(
        "Gestures: four people after each other", STREAM_GESTURES,
        (*_learners(kind="new-user"), *_without_samples({}, kind="new-user")[1:]),
        seeds=3, measure="stream",
    ),
    "stream_instances": Study(
        "Digits: new samples of the same classes, in five parts", STREAM_DIGITS,
        (*_learners(kind="new-instance"), *_without_samples({}, kind="new-instance")[1:]),
        seeds=3, measure="stream",
    ),
    "forget": Study(
        "Digits: what remains of a class that is forgotten", STREAM_DIGITS,
        tuple(
            Row(name, options={"how": how})
            for how, name in (
                ("not at all", "known"), ("hidden", "no longer answered"),
                ("forgotten", "forgotten"), ("relearned", "the others learned anew from memory"),
                ("retrained", "trained without it"),
            )
        ) + tuple(
            Row(name, {"learning.rehearsal": {"keep": "means"}}, {"how": how})
            for how, name in (
                ("forgotten", "forgotten, means kept"),
                ("relearned", "the others learned anew from means"),
            )
        ), seeds=10, measure="forget",
    ),
    "unknown": Study(
        "Digits: a class held out, by cosine and by margin", DIGITS,
        (Row("64-48-32"),), seeds=10, measure="unknown",
    ),
    "labels": Study(
        "Digits, once: which labels a device asks for", DIGITS,
        tuple(
            Row(name, {"learning.halve_rate_every": 0}, options)
            for name, options in (
                ("all", {"share": 1.0}),
                *((f"margin below {m} of theta", {"margin": m}) for m in (1.0, 0.5, 0.25)),
                *((f"{100 * s:.0f} % at random", {"share": s}) for s in (0.55, 0.35, 0.25)),
            )
        ), seeds=5, measure="labels",
    ),
    "rare_labels": Study(
        "Digits, once, one class of which few were taught: which labels a device asks for",
        STREAM_DIGITS,
        tuple(
            Row(name, options=options)
            for name, options in (
                ("none", {"share": 0.0}), ("all", {"share": 1.0}),
                ("margin below theta", {"margin": 1.0}),
                ("or below twice theta where the class is rare: spela_wants_label", {}),
                ("margin below twice theta", {"margin": 2.0}),
            )
        ), seeds=10, measure="rare_labels",
    ),
    "limits": Study(
        "Digits: limits that follow what is taught, beside frozen ones", STREAM_DIGITS,
        tuple(
            Row(f"{what}, by {by}",
                {"exits.unknown_by": by, "exits.unknown_share": 0.05,
                 "learning.rehearsal": None}, options)
            for what, options in (
                ("more of the same", {}), ("turned by 25 degrees", {"drift": "rotated"}),
                ("of less contrast", {"drift": "rescaled"}),
            )
            for by in ("margin", "cosine")
        ), seeds=4, measure="limits",
    ),
    "convolution_chip": Study(
        "Convolutions learned on the chip: Fashion-MNIST, ten passes, <= 128 KB", FASHION,
        (
            *(
                Row(f"20-40-64, {loss}, filters int16",
                    {**_FASHION_CHIP, **_filters(20, 40, (64, 1)), "network.loss": loss,
                     "fixed_point.weights": "int16"})
                for loss in ("margin", "softmax")
            ),
            Row("24-48-72, margin, filters int12",
                {**_FASHION_CHIP, **_filters(24, 48, (72, 1)), "fixed_point.weights": "int12"}),
            *(
                Row(f"24-48-96, {loss}, int8",
                    {**_FASHION_CHIP, **_filters(24, 48, (96, 1)), "network.loss": loss})
                for loss in ("margin", "softmax")
            ),
            Row("24-48-96, margin, float",
                {**_FASHION_CHIP, **_filters(24, 48, (96, 1))}, {"by": "float"}),
            Row("dense 140-34, margin, int8", {**_FASHION_CHIP, **_layers(140, 34)}),
        ), seeds=3,
    ),
    "convolution_digits": Study(
        "Convolutions: 8,000 digits of MNIST, 16-32-64, the last not pooled, ten passes", MNIST,
        (
            Row("margin, int8", _DIGITS_CHIP),
            Row("margin, filters int12", {**_DIGITS_CHIP, "fixed_point.weights": "int12"}),
            Row("margin, float", _DIGITS_CHIP, {"by": "float"}),
            Row("softmax, int8", {**_DIGITS_CHIP, "network.loss": "softmax"}),
        ), seeds=3, reference="margin, float",
    ),
    "convolution_cifar": Study(
        "Convolutions learned on the chip: CIFAR-10, twelve passes, <= 256 KB", CIFAR,
        (
            *(
                Row(f"32-64-108, {loss}, {name}",
                    {"network.loss": loss, "learning.learning_rate": rate,
                     "fixed_point.weights": weights}, _MIRRORED)
                for loss, rate, name, weights in (
                    ("softmax", 0.4, "filters int16", "int16"),
                    ("margin", 0.2, "filters int16", "int16"),
                    ("softmax", 0.2, "int8", "int8"),
                    ("margin", 0.2, "int8", "int8"),
                )
            ),
            Row("32-64-128, softmax, filters int12",
                {**_convolutions(32, 64, 128), "network.loss": "softmax",
                 "learning.learning_rate": 0.2, "fixed_point.weights": "int12"}, _MIRRORED),
            Row("32-64-108, softmax, float",
                {"network.loss": "softmax", "learning.learning_rate": 0.4},
                {"by": "float", **_MIRRORED}),
            Row("dense 78-34, margin, int8",
                {**_layers(78, 34), "network.loss": "margin"}, _MIRRORED),
        ), seeds=3,
    ),
    "convolution_bits": Study(
        "Convolutions: bits of their weights, CIFAR-10, 10,000 pictures four times", CIFAR,
        tuple(
            Row(name, _SMALL_CIFAR, {"filter_bits": bits, **_SHARE_MIRRORED})
            for name, bits in (
                ("8 bits: int8", [8, 8, 8]),
                ("9 bits", [9, 9, 9]),
                ("10 bits", [10, 10, 10]),
                ("12 bits", [12, 12, 12]),
                ("12 bits in the first, 8 in the others", [12, 8, 8]),
                ("12 bits in the first two, 8 in the last", [12, 12, 8]),
            )
        ), seeds=2,
    ),
    "convolution_rounding": Study(
        "Convolutions: what rounding adds to updates, CIFAR-10, 10,000 pictures four times", CIFAR,
        tuple(
            Row(f"{bits} bits, {when}", _SMALL_CIFAR,
                {"learned": learned, "filter_bits": [bits] * 3, **_SHARE_MIRRORED})
            for bits in (8, 12)
            for when, learned in (("at the full rate", 0.5), ("at a 64th of it", 0.99))
        ), seeds=1, measure="rounding",
    ),
    "convolution_signals": Study(
        "Convolutions learned on the chip: gestures, 9 rows of 12 statistics, by wearer", GESTURES,
        (
            Row("dense 64-32, margin, int8", _WINDOWS),
            *(
                Row(f"convolutions 16-32, {loss}, {name}",
                    {**_WINDOWS, **_OVER_TIME, "network.loss": loss,
                     "fixed_point.weights": weights})
                for loss in ("margin", "softmax")
                for name, weights in (("int8", "int8"), ("filters int16", "int16"))
            ),
        ), seeds=4,
    ),
    "silent": Study(
        "Narrow networks: silent layers and dead units", CLUSTERS,
        tuple(
            row
            for function, units in (
                ("two", (2,)), ("two", (2, 2)), ("three", (3,)), ("three", (4, 3)),
                ("three", (16, 12)),
            )
            for row in _narrow(function, *units)
        ), seeds=3, measure="silent",
    ),
    "worn": Study(
        "After many random labels: what true ones still teach", CLUSTERS,
        (*_worn(0), *_worn(400_000)), seeds=3, measure="worn",
    ),
    "drift": Study(
        "Drift: MNIST's digits, trained in float, going on in int8", MNIST,
        tuple(
            Row(f"{drift}, rate {rate}",
                {"learning.start": "trained", "learning.learning_rate": rate,
                 "training.epochs": 10},
                {"drift": drift})
            for drift in ("rotated", "noisier", "rescaled") for rate in (0.02, 0.1)
        ),
        seeds=5, measure="drift",
    ),
    "wearer": Study(
        "A new wearer: gestures, trained on the nine others in float, going on in int8", GESTURES,
        (
            *(Row(f"rate {r}", {"learning.learning_rate": r}) for r in (0.01, 0.03, 0.1)),
            *(
                Row(f"convolutions 16-32, rate {r}",
                    {**_OVER_TIME, "network.margin": 0.2, "learning.learning_rate": r})
                for r in (0.01, 0.03, 0.1)
            ),
        ), seeds=10, measure="wearer",
    ),
}  # fmt: skip
"""By the name that the command takes; the cheap ones take seconds per run."""

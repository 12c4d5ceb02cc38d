"""Convolutions: rules in float, and what the chip learns."""

from __future__ import annotations

from typing import Any

from experiments.studies.settings import (
    CIFAR,
    FASHION,
    FROM_NOTHING,
    GESTURES,
    MNIST,
    OVER_TIME,
    dense_layers,
)
from experiments.studies.study import Row, Study

_WINDOWS = {  # fifteen passes, of which the first half with the full rate
    **FROM_NOTHING,
    "learning.epochs": 15,
    "learning.halve_rate_every": 4_265,
}


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

STUDIES: dict[str, Study] = {
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
            Row("all pictures, one pass each", options={"epochs": [1, 1]}),
            Row("all pictures, 15 and 10 passes", options={"epochs": [15, 10]}),
        ), seeds=1, measure="paper_convolution",
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
            Row("dense 140-34, margin, int8", {**_FASHION_CHIP, **dense_layers(140, 34)}),
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
                {**dense_layers(78, 34), "network.loss": "margin"}, _MIRRORED),
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
                    {**_WINDOWS, **OVER_TIME, "network.loss": loss,
                     "fixed_point.weights": weights})
                for loss in ("margin", "softmax")
                for name, weights in (("int8", "int8"), ("filters int16", "int16"))
            ),
        ), seeds=4,
    ),
}  # fmt: skip

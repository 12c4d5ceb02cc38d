"""Networks at their limits: silent layers, and after many random labels."""

from __future__ import annotations

from experiments.studies.settings import CLUSTERS, dense_layers
from experiments.studies.study import Row, Study

_LEAKY = {"activation": "leaky_relu", "negative_slope": 0.125}


def _narrow(function: str, *units: int) -> tuple[Row, ...]:
    """A narrow network, with relu and leaky_relu, on the chip and in float."""
    data = {"data.function": f"experiments/models/clusters.py:{function}"}
    shape = "-".join(map(str, units))
    return tuple(
        Row(
            f"{shape}, {function} classes, {activation}, {by}",
            {**data, **dense_layers(*units, **(_LEAKY if activation == "leaky_relu" else {}))},
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
                **dense_layers(17, 9, **(_LEAKY if activation == "leaky_relu" else {})),
            },
            {"by": "chip", "random": samples},
        )
        for activation in ("relu", "leaky_relu")
        for decays in (False, True)
    )


STUDIES: dict[str, Study] = {
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
}  # fmt: skip

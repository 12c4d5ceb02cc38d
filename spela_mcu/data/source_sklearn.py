"""The data sets that scikit-learn ships."""

from __future__ import annotations

import numpy as np

from spela_mcu.data.raw import RawData, RawPart
from spela_mcu.spec.data import SklearnData


def read(data: SklearnData) -> RawData:
    """Loads one of scikit-learn's bundled sets; digits come as [8, 8] images."""
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{data.dataset}")()
    x = bunch.images if data.dataset == "digits" else bunch.data
    return RawData(
        RawPart(np.asarray(x), np.asarray(bunch.target)),
        class_names=tuple(str(name) for name in bunch.target_names),
        columns=tuple(str(name) for name in bunch.feature_names),
    )

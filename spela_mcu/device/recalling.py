"""A device with a backbone whose host keeps the features for it, as its flash could."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spela_mcu.device.answers import Learned
from spela_mcu.device.device import SAME_SAMPLE, Device, Transport
from spela_mcu.fixed_point.early_exit import EarlyAnswer
from spela_mcu.fixed_point.exit_answer import ExitAnswer


class RecallingDevice(Device):
    """Computes each sample's features once, and gets them back whenever the sample comes again.

    `infer_last` alone always computes: it is what is measured.
    """

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport)
        self._kept: dict[bytes, NDArray[np.int8]] = {}

    def infer(self, sample: NDArray[np.int8]) -> tuple[ExitAnswer, ...]:
        """As `Device.infer`."""
        return super().infer(self._recalled(sample))

    def infer_early(self, sample: NDArray[np.int8]) -> EarlyAnswer:
        """As `Device.infer_early`."""
        return super().infer_early(self._recalled(sample))

    def features(self, sample: NDArray[np.int8]) -> NDArray[np.int8]:
        """As `Device.features`."""
        return super().features(self._recalled(sample))

    def learn(self, sample: NDArray[np.int8], label: int, *, digest: bool = True) -> Learned:
        """As `Device.learn`."""
        return super().learn(self._recalled(sample), label, digest=digest)

    def _recalled(self, sample: NDArray[np.int8]) -> NDArray[np.int8]:
        if not sample.size:
            return SAME_SAMPLE
        name = sample.tobytes()
        if name in self._kept:
            self.recall(self._kept[name])
        else:
            self._kept[name] = super().features(sample)
        return SAME_SAMPLE

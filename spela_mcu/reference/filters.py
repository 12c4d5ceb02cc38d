"""A convolution in floats: from its input map to the next one, and what its filters learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.nn.grad import conv2d_weight

from spela_mcu.fixed_point.maps import Window, cells


class FloatMap(NamedTuple):
    """A convolution's map for n samples.

    Attributes:
        seen: [n, channels, rows, columns], the input map.
        values: [n, pooled positions, filters].
        places: int64, alike: the position, before pooling, that each maximum comes from.
    """

    seen: Tensor
    values: Tensor
    places: Tensor

    @property
    def onward(self) -> Tensor:
        """The next layer's inputs, [n, pooled positions * filters]."""
        return self.values.flatten(1)


@dataclass(frozen=True, eq=False)
class FloatFilters:
    """A convolution's filters; the layer that holds them is its read-out.

    Attributes:
        weight: [filters, patch], a patch in the order rows, columns, channels; learning changes it
            in place.
        window: its geometry.
    """

    weight: NDArray[np.float32]
    window: Window

    def __post_init__(self) -> None:
        if self.weight.shape != (self.window.filters, self.window.patch):
            raise ValueError("filters must be [filters, patch]")

    def map(self, x: Tensor) -> FloatMap:
        """The map of samples [n, rows * columns * channels]."""
        window = self.window
        seen = x.reshape(-1, *window.map).permute(0, 3, 1, 2).contiguous()
        sums = functional.conv2d(
            seen, self._kernel(), stride=tuple(window.stride), padding=self._padding
        )
        pooled, places = functional.max_pool2d(sums.relu(), window.pool, return_indices=True)
        return FloatMap(seen, *(one.flatten(2).transpose(1, 2) for one in (pooled, places)))

    def cells(self, map: FloatMap) -> Tensor:
        """The map summed over the read-out's cells, [n, cells * filters]."""
        n, _, filters = map.values.shape
        sums = map.values.new_zeros(n, self.window.grid.area, filters)
        return sums.index_add_(1, self._cells, map.values).flatten(1)

    def learn(self, map: FloatMap, error: Tensor, learning_rate: float) -> None:
        """One step, the sum over samples and over positions whose value is above zero.

        Args:
            map: what `map` made before the step.
            error: [n, cells * filters], minus the loss's gradient with respect to the cells' sums.
            learning_rate: by which the step is multiplied.
        """
        window = self.window
        n, filters = len(error), window.filters
        by_cell = error.reshape(n, window.grid.area, filters)
        share = by_cell.index_select(1, self._cells) * (map.values > 0)
        height, width, _ = window.convolved
        slopes = share.new_zeros(n, filters, height * width)
        slopes.scatter_(2, map.places.transpose(1, 2), share.transpose(1, 2))
        step = conv2d_weight(  # type: ignore[no-untyped-call]
            map.seen,
            list(self._kernel().shape),
            slopes.reshape(n, filters, height, width),
            stride=tuple(window.stride),
            padding=self._padding,
        )
        rows = step.permute(0, 2, 3, 1).reshape(filters, window.patch)
        torch.from_numpy(self.weight).add_(rows, alpha=learning_rate)

    def _kernel(self) -> Tensor:
        window = self.window
        shape = (window.filters, *window.kernel, window.map.channels)
        return torch.from_numpy(self.weight).reshape(shape).permute(0, 3, 1, 2)

    @property
    def _padding(self) -> tuple[int, int]:
        rows, columns = self.window.kernel
        return (rows - 1) // 2, (columns - 1) // 2

    @property
    def _cells(self) -> Tensor:
        return torch.from_numpy(cells(self.window))

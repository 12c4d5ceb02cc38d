"""Maps of a convolution: which values a window sees, which positions a cell sums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spela_mcu.backbone.graph import Shape
from spela_mcu.fixed_point.arithmetic import Int64


class Sides(NamedTuple):
    """A size along rows and along columns."""

    rows: int
    columns: int

    @property
    def area(self) -> int:
        """Rows times columns."""
        return self.rows * self.columns


@dataclass(frozen=True)
class Window:
    """How a convolution walks over its input map.

    Along an axis where the map has the length 1, as signals have, every side is 1.

    Attributes:
        map: the input map.
        filters: channels of the output.
        kernel: odd sides; the map is padded with zeros so that its middle meets every position.
        stride: from one middle to the next.
        pool: sides of the blocks, without overlap, of which each leaves its maximum; rows and
            columns of the map that fill no block are dropped.
        grid: of cells, over which the read-out sums the pooled map.
    """

    map: Shape
    filters: int
    kernel: Sides
    stride: Sides
    pool: Sides
    grid: Sides

    @classmethod
    def of(
        cls, map: Shape, filters: int, *, kernel: int, stride: int, pool: int, grid: int
    ) -> Window:
        """The window with equal sides along both axes, as far as the map has them."""
        lengths = (map.height, map.width)

        def sides(size: int) -> Sides:
            return Sides(*(size if length > 1 else 1 for length in lengths))

        window = cls(map, filters, sides(kernel), sides(stride), sides(pool), Sides(1, 1))
        pooled = window.pooled
        return cls(
            map,
            filters,
            window.kernel,
            window.stride,
            window.pool,
            Sides(min(grid, pooled.height), min(grid, pooled.width)),
        )

    @property
    def patch(self) -> int:
        """Values that a filter sees at once: the inputs of a unit."""
        return self.kernel.area * self.map.channels

    @property
    def convolved(self) -> Shape:
        """The map before pooling."""
        return Shape(
            -(-self.map.height // self.stride.rows),
            -(-self.map.width // self.stride.columns),
            self.filters,
        )

    @property
    def pooled(self) -> Shape:
        """The map after pooling: the next layer's inputs."""
        return Shape(
            self.convolved.height // self.pool.rows,
            self.convolved.width // self.pool.columns,
            self.filters,
        )

    @property
    def cell_inputs(self) -> int:
        """Values that the read-out sees: the cells' sums, cell by cell."""
        return self.grid.area * self.filters


def patches(window: Window, values: Int64) -> Int64:
    """What the filters see at each position that is pooled.

    Args:
        window: how the convolution walks.
        values: the input map [rows, columns, channels].

    Returns:
        [positions, patch], positions row by row of the convolved map less what pooling drops, a
        patch in the order rows, columns, channels.
    """
    used_rows = window.pooled.height * window.pool.rows
    used_columns = window.pooled.width * window.pool.columns
    beside = [((side - 1) // 2,) * 2 for side in window.kernel]
    around = np.pad(values, [*beside, (0, 0)])
    views = np.lib.stride_tricks.sliding_window_view(around, window.kernel, axis=(0, 1))
    views = views[:: window.stride.rows, :: window.stride.columns][:used_rows, :used_columns]
    ordered = views.transpose(0, 1, 3, 4, 2)
    return np.ascontiguousarray(ordered).reshape(used_rows * used_columns, window.patch)


def pool(window: Window, outputs: Int64) -> tuple[Int64, NDArray[np.int64]]:
    """The maxima of the blocks, and where they come from.

    Args:
        window: how the convolution walks.
        outputs: [positions, filters], at the positions of `patches`.

    Returns:
        Maxima [pooled positions, filters], and the position of each, the first of equal ones in the
        order rows, columns.
    """
    pooled, sides = window.pooled, window.pool
    shape = (pooled.height, sides.rows, pooled.width, sides.columns)
    by_side = np.arange(len(outputs)).reshape(shape)
    positions = by_side.transpose(0, 2, 1, 3).reshape(pooled.positions, sides.area)
    blocks = outputs[positions]  # [pooled positions, area, filters]
    first = blocks.argmax(axis=1)
    places = np.take_along_axis(positions, first, axis=1)
    return np.take_along_axis(blocks, first[:, None], axis=1)[:, 0], places


def cells(window: Window) -> NDArray[np.int64]:
    """The cell of each pooled position, both counted row by row."""
    pooled = window.pooled
    rows = np.arange(pooled.height) * window.grid.rows // pooled.height
    columns = np.arange(pooled.width) * window.grid.columns // pooled.width
    return (rows[:, None] * window.grid.columns + columns).reshape(-1)


def cell_sums(window: Window, values: Int64) -> Int64:
    """Sums of the pooled map [pooled positions, filters] over the cells, [cells * filters]."""
    sums = np.zeros((window.grid.area, window.filters), np.int64)
    np.add.at(sums, cells(window), values)
    return sums.reshape(-1)

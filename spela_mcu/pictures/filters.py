"""What convolutions have learned, as pictures: the first one's filters, and maps of one sample."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from spela_mcu.commands.report import Filters

A_ROW = 16
"""Tiles beside one another."""
INCHES = 0.35
"""Of a row of tiles."""


def tiles_height(found: Sequence[Filters]) -> float:
    """Inches for the first convolution's filters and all maps, with their titles."""
    rows = [-(-len(one.weights) // A_ROW) for one in found]
    maps = [3 if _is_signal(one) else count for one, count in zip(found, rows, strict=True)]
    return 0.5 * (1 + len(found)) + INCHES * (rows[0] + sum(maps))


def paint_filters(figure: Figure, found: Sequence[Filters]) -> None:
    """The first convolution's filters, and below them every convolution's map of one sample.

    A filter's tile has the colours of its channels if it has three, else their mean; the map of a
    signal is one picture, filters by steps.
    """
    all_axes = figure.subplots(len(found) + 1, 1, squeeze=False)[:, 0]
    for axes in all_axes:
        axes.set_axis_off()
        axes.title.set_fontsize(10)
    all_axes[0].imshow(tiles(_filter_tiles(found[0])), cmap="gray", aspect="equal")
    all_axes[0].set_title("filters of layer 0", fontsize=10)
    for index, (axes, one) in enumerate(zip(all_axes[1:], found, strict=True)):
        if _is_signal(one):
            axes.imshow(one.map[:, 0].T, cmap="magma", aspect="auto", interpolation="nearest")
        else:
            axes.imshow(tiles(np.moveaxis(one.map, 2, 0) / 127), cmap="magma", aspect="equal")
        axes.set_title(f"map of layer {2 * index}", fontsize=10)


def tiles(pictures: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pictures [n, rows, columns], or with colours, beside and below one another.

    There are gaps between them, of nothing or, with colours, of white.
    """
    count, rows, columns = pictures.shape[:3]
    across = min(A_ROW, count)
    down = -(-count // across)
    colours = pictures.shape[3:]
    gap = np.nan if not colours else 1.0
    sheet = np.full((down * (rows + 1) - 1, across * (columns + 1) - 1, *colours), gap)
    for index, picture in enumerate(pictures):
        top, left = index // across * (rows + 1), index % across * (columns + 1)
        sheet[top : top + rows, left : left + columns] = picture
    return sheet


def _is_signal(one: Filters) -> bool:
    return bool(one.map.shape[1] == 1)


def _filter_tiles(one: Filters) -> NDArray[np.float64]:
    """Filters [n, rows, columns] or [n, rows, columns, 3], each from 0 to 1."""
    weights = one.weights.astype(np.float64)
    if _is_signal(one):  # steps by channels
        weights = weights[:, :, 0]
    elif weights.shape[3] != 3:
        weights = weights.mean(axis=3)
    axes = tuple(range(1, weights.ndim))
    low = weights.min(axis=axes, keepdims=True)
    spread = np.maximum(weights.max(axis=axes, keepdims=True) - low, 1)
    found: NDArray[np.float64] = (weights - low) / spread
    return found

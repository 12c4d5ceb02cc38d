"""A window that moves over a feature map: what convolutions and pools have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from spela_mcu.backbone.graph import Shape
from spela_mcu.backbone.view import CONVERT_AGAIN, OperatorView

MOST: Final = 255
"""Of every number of a window."""

Scalar = TypeVar("Scalar", bound=np.generic)


class Pair(NamedTuple):
    """Something for rows and for columns."""

    height: int
    width: int


@dataclass(frozen=True)
class Window:
    """Output position (y, x) sees input rows y * stride - padding + dilation * (0 ... size - 1).

    Attributes:
        size: rows and columns of the window, before dilation.
        stride: steps of the input from one output position to the next.
        dilation: distance of the window's taps.
        padding: rows above and columns to the left of the input that the first window covers.
            What it covers below and to the right follows from the shapes.
    """

    size: Pair
    stride: Pair
    dilation: Pair
    padding: Pair

    @property
    def reach(self) -> Pair:
        """Rows and columns from the first tap to the last."""
        return Pair(
            (self.size.height - 1) * self.dilation.height + 1,
            (self.size.width - 1) * self.dilation.width + 1,
        )

    @property
    def is_point(self) -> bool:
        """Whether each output position sees the input position of the same place alone."""
        return self.reach == (1, 1) and self.stride == (1, 1)

    def padded(self, maps: NDArray[Scalar], output: Shape, fill: float) -> NDArray[Scalar]:
        """Maps [samples, rows, columns, channels] with all that the windows cover around them."""
        after = [
            max(0, (count - 1) * stride + reach - padding - size)
            for count, stride, reach, padding, size in zip(
                output[:2], self.stride, self.reach, self.padding, maps.shape[1:3], strict=True
            )
        ]
        around = ((0, 0), (self.padding.height, after[0]), (self.padding.width, after[1]), (0, 0))
        if not any(map(any, around)):
            return maps
        return np.pad(maps, around, constant_values=fill)

    def taps(self, padded: NDArray[Scalar], output: Shape) -> NDArray[Scalar]:
        """A view [samples, rows, columns, window rows, window columns, channels], not writable."""
        samples, row, column, channel = padded.strides
        return as_strided(
            padded,
            (len(padded), output.height, output.width, *self.size, padded.shape[3]),
            (
                samples,
                row * self.stride.height,
                column * self.stride.width,
                row * self.dilation.height,
                column * self.dilation.width,
                channel,
            ),
            writeable=False,
        )

    def lead(self, source: Shape, output: Shape, *, begun: int) -> int:
        """See `LoweredOperator.lead`, for kernels that go from position to position, by rows.

        Args:
            source: shape of the input.
            output: shape of the output.
            begun: positions that a kernel has begun to write while it still reads the inputs of
                the first of them.
        """
        rows, columns = np.arange(output.height), np.arange(output.width)
        first_row = np.maximum(rows * self.stride.height - self.padding.height, 0)
        first_column = np.maximum(columns * self.stride.width - self.padding.width, 0)
        # What is still needed from a position on: its own window, or the next row's first.
        own_row = first_row * source.width * source.channels
        next_row = np.append(own_row[1:], own_row[-1] + source.width * source.channels)
        written = (columns + begun) * output.channels
        ahead = int((written - first_column * source.channels).max()) - own_row
        ahead = np.maximum(ahead, int(written[-1]) - next_row)
        most = int((ahead + rows * output.width * output.channels).max())
        return min(max(0, most), output.size)


def window_of(view: OperatorView, size: Pair, *, dilated: bool) -> Window:
    """The window of an operator, from its options and shapes.

    Args:
        view: the operator.
        size: rows and columns of the window.
        dilated: its options hold a dilation.

    Raises:
        UserError: it is too large, or the output's shape does not follow from it.
    """
    stride = Pair(view.option("stride_height"), view.option("stride_width"))
    dilation = Pair(1, 1)
    if dilated:
        dilation = Pair(view.option("dilation_height"), view.option("dilation_width"))
    window = Window(size, stride, dilation, Pair(0, 0))
    if not all(0 < number <= MOST for number in (*size, *stride, *dilation, *window.reach)):
        raise view.fault(
            f"its window of {size.height} x {size.width}, strides {tuple(stride)} and dilations "
            f"{tuple(dilation)} reaches farther than {MOST}"
        )
    source, output = view.shape(view.source()), view.shape(view.target)
    padding = [0, 0]
    for axis in (0, 1):
        reach = window.reach[axis]
        match view.operator.options["padding"]:
            case "SAME":
                count = -(-source[axis] // stride[axis])
                padding[axis] = max(0, (count - 1) * stride[axis] + reach - source[axis]) // 2
            case "VALID":
                count = (source[axis] + stride[axis] - reach) // stride[axis]
            case other:
                raise view.fault(f"its padding is {other}", CONVERT_AGAIN)
        if count != output[axis]:
            raise view.fault(
                f"its output has the shape {tuple(output)}, which does not follow from the input "
                f"{tuple(source)}",
                CONVERT_AGAIN,
            )
    return Window(size, stride, dilation, Pair(*padding))

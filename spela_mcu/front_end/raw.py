"""What a sensor's readings are as integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spela_mcu.errors import UserError
from spela_mcu.spec.front_end import Readings

Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class RawReadings:
    """Readings as a chip gets them.

    Attributes:
        values: int32 [..., axes], within the type's range.
        clipped: bool, of the same shape: outside of that range or at an end of it, where a sensor
            that is driven too far stays.
    """

    values: Int32
    clipped: NDArray[np.bool_]


def limits(kind: Readings) -> tuple[int, int]:
    """The least and the greatest value of a type of readings."""
    info = np.iinfo(kind)
    return int(info.min), int(info.max)


def to_raw(
    values: NDArray[Any], kind: Readings, full_scale: float | tuple[float, ...] | None
) -> RawReadings:
    """Readings as integers: ``clip(rint(value * greatest / full_scale))`` in double precision.

    Args:
        values: [..., axes], finite.
        kind: their type on the chip.
        full_scale: what the greatest value of the type stands for, of all axes or each; None: the
            values are raw ones already, whole numbers.

    Raises:
        UserError: raw values are not whole numbers, or there are not as many axes.
    """
    low, high = limits(kind)
    if full_scale is not None:
        scale = np.asarray(full_scale, np.float64)
        if scale.ndim and len(scale) != values.shape[-1]:
            raise UserError(
                f"states {len(scale)} axes, but a reading has {values.shape[-1]}",
                mend="write one number for all axes, or one for each",
                key="front_end.full_scale",
            )
        exact = np.rint(values.astype(np.float64) * high / scale)
    else:
        exact = values.astype(np.float64)
        if not np.array_equal(exact, np.rint(exact)):
            odd = float(exact[exact != np.rint(exact)][0])
            raise UserError(
                f"readings are raw values, whole numbers, but the data hold {odd:g}",
                mend="state front_end.full_scale: the value, in the unit of the data, for which "
                "the sensor gives its greatest number",
                key="front_end.full_scale",
            )
    clipped = (exact <= low) | (exact >= high)
    if kind == "uint8":
        clipped = exact >= high  # 0 is the value at rest of many
    return RawReadings(np.clip(exact, low, high).astype(np.int32), clipped)


def signals(raw: Int32, kind: Readings, shift: int) -> Int32:
    """Raw readings as signals of 16 bits: int32 ones rounded after a shift right, and clipped."""
    if kind != "int32":
        return raw
    wide = raw.astype(np.int64)
    rounded: Int64 = (wide + ((1 << shift) >> 1)) >> shift
    return rounded.clip(-32768, 32767).astype(np.int32)

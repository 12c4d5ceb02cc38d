"""A front end as the C structures of spela_front_end.h: the one list of their fields."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spela_mcu.fixed_point.fields import POINTER, Field, number, packed, structure
from spela_mcu.fixed_point.layout import rounded_up
from spela_mcu.front_end.plan import FrontEndPlan, SpectrumPlan, StatisticsPlan
from spela_mcu.front_end.tables import hann, twiddles
from spela_mcu.spec.front_end import READINGS, STATISTICS

SCALE = np.dtype([("offset", "<i4"), ("factor", "<u2"), ("shift", "u1")], align=True)
"""spela_scale_t."""

SPECTRUM_FIELDS = (
    Field("window", POINTER),
    Field("twiddles", POINTER),
    Field("first", POINTER),
    Field("weights", POINTER),
    Field("points", "uint16"),
    Field("bands", "uint16"),
)
"""spela_spectrum_t."""

FRONT_END_FIELDS = (
    Field("state", POINTER),
    Field("ring", POINTER),
    Field("sums", POINTER),
    Field("sample", POINTER),
    Field("work", POINTER),
    Field("scales", POINTER),
    Field("spectrum", POINTER),
    Field("skip", "uint32"),
    Field("capacity", "uint16"),
    Field("span", "uint16"),
    Field("hop", "uint16"),
    Field("rows", "uint16"),
    Field("kept", "uint16"),
    Field("channels", "uint16"),
    Field("averaged", "uint16"),
    Field("axes", "uint8"),
    Field("row", "uint8"),
    Field("statistics", "uint8"),
    Field("shift", "uint8"),
    Field("scales_alike", "uint8"),
)
"""spela_front_end_t; the last is a bool there."""

STATE_BYTES = 36
"""sizeof(spela_front_end_state_t) on a 32-bit core."""

ROW_SIGNALS, ROW_STATISTICS, ROW_SPECTRUM = 0, 1, 2

RING = "ring"
PARTS = ("statistics", "spectrum")
"""Parts of the runtime that a front end may need, beside the ring of readings."""


@dataclass(frozen=True, eq=False)
class FrontEndStructure:
    """A front end's constants and the sizes of what it points to.

    Attributes:
        readings: the number of their type, for the digest.
        scalars: the fields of spela_front_end_t that are not pointers.
        scales: `SCALE` records.
        spectrum: those of spela_spectrum_t, if rows hold one.
        tables: what its pointers point to, by name; uint16, but twiddles uint32.
        ring, sums, sample, work: elements of the buffers in RAM; 0: there is none.
        parts: of the runtime that it needs.
    """

    readings: int
    scalars: dict[str, int]
    scales: NDArray[np.void]
    spectrum: dict[str, int]
    tables: dict[str, NDArray[np.unsignedinteger]]
    ring: int
    sums: int
    sample: int
    work: int
    parts: tuple[str, ...]

    @property
    def flash_bytes(self) -> int:
        """Flash of all constants."""
        tables = sum(rounded_up(table.nbytes, 4) for table in self.tables.values())
        spectrum = structure(SPECTRUM_FIELDS).itemsize if self.spectrum else 0
        return structure(FRONT_END_FIELDS).itemsize + self.scales.nbytes + spectrum + tables

    @property
    def ram_bytes(self) -> int:
        """RAM of state and buffers."""
        buffers = (2 * self.ring, 4 * self.sums, self.sample, 4 * self.work)
        return STATE_BYTES + sum(rounded_up(size, 4) for size in buffers)

    @property
    def content(self) -> bytes:
        """All that decides what it computes, for digests."""
        return b"".join(
            (
                number(self.readings, "uint8"),
                packed(FRONT_END_FIELDS, self.scalars),
                packed(SPECTRUM_FIELDS, self.spectrum),
                *(bytes(record.tobytes()[:7]) for record in self.scales),
                *(table.tobytes() for table in self.tables.values()),
            )
        )


def front_end_structure(plan: FrontEndPlan) -> FrontEndStructure:
    """The structures of a front end whose scales are known."""
    row, spectrum = plan.row, {}
    tables: dict[str, NDArray[np.unsignedinteger]] = {}
    kind = ROW_SIGNALS
    if isinstance(row, StatisticsPlan):
        kind = ROW_STATISTICS
    elif isinstance(row, SpectrumPlan):
        kind = ROW_SPECTRUM
        spectrum = {"points": row.points, "bands": len(row.peaks)}
        pairs = twiddles(row.points).astype("<i2")
        tables = {
            "window": hann(plan.span).astype("<u2"),
            "twiddles": np.ascontiguousarray(pairs).view("<u4").ravel(),
            "first": row.bands.first.astype("<u2"),
            "weights": row.bands.weights.astype("<u2"),
        }
    wanted = row.of if isinstance(row, StatisticsPlan) else ()
    scales = np.zeros(len(plan.scales), SCALE)
    for name in ("offset", "factor", "shift"):
        scales[name] = [getattr(one, name) for one in plan.scales]
    return FrontEndStructure(
        readings=READINGS.index(plan.readings),
        scalars={
            "skip": plan.skip,
            "capacity": plan.capacity,
            "span": plan.span,
            "hop": plan.hop,
            "rows": plan.rows,
            "kept": plan.kept,
            "channels": plan.channels,
            "averaged": plan.averaged,
            "axes": len(plan.axes),
            "row": kind,
            "statistics": sum(1 << at for at, name in enumerate(STATISTICS) if name in wanted),
            "shift": plan.shift,
            "scales_alike": int(len(plan.scales) == 1),
        },
        scales=scales,
        spectrum=spectrum,
        tables=tables,
        ring=plan.capacity * len(plan.axes),
        sums=len(plan.axes) if plan.averaged > 1 else 0,
        sample=plan.inputs,
        work=spectrum["points"] // 2 if spectrum else 0,
        parts=(
            RING,
            *(part for part, used in zip(PARTS, (wanted, spectrum), strict=True) if used),
        ),
    )

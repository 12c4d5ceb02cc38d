"""A front end as C source, for the templates."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from spela_mcu import __version__
from spela_mcu.firmware.literals import literal, number_lines
from spela_mcu.firmware.templates import render
from spela_mcu.fixed_point.fields import POINTER
from spela_mcu.fixed_point.layout import rounded_up
from spela_mcu.front_end.plan import FrontEndPlan, Signals, SpectrumPlan
from spela_mcu.front_end.structures import (
    FRONT_END_FIELDS,
    FrontEndStructure,
    front_end_structure,
)

_TITLES = {
    "window": "The first half of the frame's window, Q15.",
    "twiddles": "cos, and -sin in the upper half, Q15.",
    "first": "The first bin between two bands' peaks.",
    "weights": "How much of each bin goes to the band above, Q15.",
}


@dataclass(frozen=True)
class TableView:
    """A constant array."""

    name: str
    title: str
    type: str
    count: int
    lines: str


@dataclass(frozen=True)
class FrontEndView:
    """A front end for the templates."""

    name: str
    digest_hex: str
    plan: FrontEndPlan
    made: FrontEndStructure

    @property
    def version(self) -> str:
        """Of the generator."""
        return __version__

    @property
    def macro(self) -> str:
        """What macros begin with."""
        return self.name.upper()

    @property
    def padded_sample(self) -> int:
        """Bytes of the sample, so that what follows is aligned."""
        return rounded_up(self.made.sample, 4)

    @property
    def axes(self) -> str:
        """The axes' names, as a comment may hold them."""
        return ", ".join(re.sub(r"[^ -)+-~]", "?", name) for name in self.plan.axes)

    @property
    def rate(self) -> str:
        """Readings a second, as a literal."""
        rate = self.plan.rate or 0
        return f"{int(rate)}U" if rate == int(rate) else repr(float(rate))

    @property
    def description(self) -> tuple[str, ...]:
        """What it does, in lines."""
        return tuple(described(self.plan))

    @property
    def scales(self) -> list[tuple[int, int, int]]:
        """Offset, factor and shift of each."""
        return [tuple(record) for record in self.made.scales.tolist()]

    @property
    def tables(self) -> tuple[TableView, ...]:
        """The tables of a spectrum."""
        return tuple(
            TableView(
                name,
                _TITLES[name],
                f"{table.dtype.name}_t",
                len(table),
                re.sub(r"(\d),", r"\1U,", number_lines(table)),
            )
            for name, table in self.made.tables.items()
        )

    @property
    def members(self) -> tuple[tuple[str, str], ...]:
        """Those of spela_front_end_t that are not pointers."""
        return tuple(
            (
                field.name,
                str(bool(self.made.scalars[field.name])).lower()
                if field.name == "scales_alike"
                else literal(field, self.made.scalars[field.name]),
            )
            for field in FRONT_END_FIELDS
            if field.type != POINTER
        )


def front_end_files(name: str, digest: int, plan: FrontEndPlan) -> dict[str, str]:
    """The texts of <name>_front_end.h and .c."""
    view = FrontEndView(name, f"0x{digest:08X}", plan, front_end_structure(plan))
    return {
        f"{name}_front_end.h": render("front_end.h.j2", f=view),
        f"{name}_front_end.c": render("front_end.c.j2", f=view),
    }


def described(plan: FrontEndPlan) -> Iterator[str]:
    """What a front end does, in lines of plain words."""
    seconds = "" if plan.rate is None else f" ({plan.window / plan.rate:g} s)"
    yield f"A sample is of {plan.window} readings{seconds}; the next one begins {plan.step} later."
    if plan.averaged > 1:
        yield f"The mean of each {plan.averaged} readings takes their place."
    if isinstance(plan.row, Signals):
        yield f"It holds {plan.rows} rows of {plan.channels} values."
        return
    what = "band powers" if isinstance(plan.row, SpectrumPlan) else "figures"
    each = f"{len(plan.row.of_axis)} {what} of each axis"
    if plan.rows == 1:
        yield f"It holds {each}."
    else:
        yield f"It holds {plan.rows} rows of {each}, over {plan.span} readings, {plan.hop} apart."

"""The C that turns raw values into a model's inputs: names and scalings, from templates."""

from __future__ import annotations

from dataclasses import dataclass

from spela_mcu import __version__
from spela_mcu.data.dataset import InputScaling
from spela_mcu.firmware.lines import Line, lines
from spela_mcu.firmware.literals import ScalingLiteral, c_string
from spela_mcu.firmware.templates import render


@dataclass(frozen=True)
class _View:
    """What the templates need; a single scaling if all inputs are scaled alike.

    Attributes:
        lines: those that replace the scalings on the chip; empty: some scaling has none.
    """

    name: str
    macro: str
    version: str
    inputs: int
    input_names: tuple[str, ...]
    scalings: tuple[ScalingLiteral, ...]
    lines: tuple[Line, ...]

    @property
    def scaling_index(self) -> str:
        return "0" if len(self.scalings) == 1 else "i"

    @property
    def call(self) -> str:
        at = f"[{self.scaling_index}]"
        if self.lines:
            return f"spela_quantize_line(raw[i], &lines{at})"
        return f"spela_quantize(raw[i], &scalings{at})"


def quantizer_files(
    name: str, scaling: InputScaling, input_names: tuple[str, ...]
) -> dict[str, str]:
    """The texts of <name>_quantize.h and .c, and of <name>_quantize_float.h for hosts.

    Args:
        name: the model's name.
        scaling: how raw values are scaled.
        input_names: one per input.
    """
    if len(set(zip(scaling.offset.tolist(), scaling.scale.tolist(), strict=True))) == 1:
        scaling = InputScaling(scaling.offset[:1], scaling.scale[:1])
    view = _View(
        name=name,
        macro=name.upper(),
        version=__version__,
        inputs=len(input_names),
        input_names=tuple(c_string(text) for text in input_names),
        scalings=tuple(
            ScalingLiteral.of(offset, scale)
            for offset, scale in zip(scaling.offset, scaling.scale, strict=True)
        ),
        lines=lines(scaling) or (),
    )
    return {
        f"{name}_quantize.h": render("quantize.h.j2", q=view),
        f"{name}_quantize.c": render("quantize.c.j2", q=view),
        f"{name}_quantize_float.h": render("quantize_float.h.j2", q=view),
    }

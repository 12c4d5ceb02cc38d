"""Python's values as C literals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spela_mcu.fixed_point.fields import Field


def c_string(text: str) -> str:
    """A C string literal of any text: UTF-8, everything but plain ASCII as octal escapes."""
    plain = (
        chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}"
        for byte in text.encode()
    )
    return f'"{"".join(plain)}"'


def number_lines(values: NDArray[Any]) -> str:
    """Numbers as the lines of an initialiser, 16 in each."""
    numbers = values.ravel().tolist()
    rows = (numbers[first : first + 16] for first in range(0, len(numbers), 16))
    return "\n".join(f"    {', '.join(map(str, row))}," for row in rows)


def literal(field: Field, value: int) -> str:
    """A number as the type of its field has it in C."""
    return f"{value}U" if field.type.startswith("u") else str(value)


@dataclass(frozen=True)
class ScalingLiteral:
    """One offset and scale: as the bits of a binary32, and in readable form."""

    offset_bits: str
    scale_bits: str
    offset: str
    scale: str

    @classmethod
    def of(cls, offset: np.float32, scale: np.float32) -> ScalingLiteral:
        """From the values."""
        return cls(_bits(offset), _bits(scale), f"{offset:.8e}", f"{scale:.8e}")


def _bits(value: np.float32) -> str:
    return f"0x{np.float32(value).view(np.uint32):08X}"

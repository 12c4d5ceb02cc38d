"""Lists of the fields of C structures, and the bytes that follow from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

POINTER = "pointer"


@dataclass(frozen=True)
class Field:
    """A member of a structure.

    Attributes:
        name: in C; ``exit.embedding_shift`` lies in the structure ``exit``.
        type: the scalar's type in C without ``_t``, or ``pointer``.
    """

    name: str
    type: str


def structure(fields: Sequence[Field]) -> np.dtype[np.void]:
    """The layout of a structure in a 32-bit core's memory."""
    inner: dict[str, list[Field]] = {}
    for field in fields:
        name, _, rest = field.name.partition(".")
        inner.setdefault(name, []).append(Field(rest, field.type))
    members = [
        (name, structure(parts) if parts[0].name else np.dtype(_stored(parts[0].type)))
        for name, parts in inner.items()
    ]
    return np.dtype(members, align=True)


def _stored(kind: str) -> str:
    return "uint32" if kind == POINTER else kind


def packed(fields: Sequence[Field], scalars: Mapping[str, int]) -> bytes:
    """Little endian, without padding or pointers, in the order of the list."""
    return b"".join(
        number(scalars[field.name], field.type) for field in fields if field.name in scalars
    )


def number(value: int, kind: str) -> bytes:
    """A number of a type of C, little endian."""
    size = np.dtype(kind).itemsize
    return value.to_bytes(size, "little", signed=not kind.startswith("u"))

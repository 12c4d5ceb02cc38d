"""Notices: what is not an error but seldom meant, shown beside the results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_LISTED = 6


@dataclass(frozen=True)
class Notice:
    """Something that users should know about their model or data.

    Attributes:
        reason: what was found, as a clause without a full stop.
        mend: what to do about it if it is not meant.
    """

    reason: str
    mend: str

    def __str__(self) -> str:
        return f"{self.reason}\n  mend: {self.mend}"


def listed(names: Sequence[str]) -> str:
    """Names as part of a sentence, cut short if there are many.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    if len(names) > _LISTED:
        return f"{', '.join(names[: _LISTED - 1])} and {len(names) - _LISTED + 1} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

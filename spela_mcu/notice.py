"""What is no error but seldom meant: told beside the results, never in their place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Notice:
    """Something about a user's model or data that they should know of.

    Attributes:
        reason: what was found, as a clause without a full stop.
        mend: what to do about it if it is not meant.
    """

    reason: str
    mend: str

    def __str__(self) -> str:
        return f"{self.reason}\n  mend: {self.mend}"

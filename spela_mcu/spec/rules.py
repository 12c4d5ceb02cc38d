"""Shared by the validators of `spela_mcu.spec.model`."""

from __future__ import annotations

from pydantic_core import PydanticCustomError


def impossible(reason: str, mend: str, key: str = "") -> PydanticCustomError:
    """The error that a validator raises.

    Args:
        reason: what is wrong.
        mend: what to do about it.
        key: the key at fault inside the section, if the validator sees the whole section.
    """
    # The texts go into the context, so that braces in a user's value are never taken for a format.
    context = {"reason": reason, "mend": mend, "key": key}
    return PydanticCustomError("impossible", "{reason}", context)

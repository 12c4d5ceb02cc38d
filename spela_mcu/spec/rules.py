"""What the validators of `spela_mcu.spec.model` share."""

from __future__ import annotations

from pydantic_core import PydanticCustomError


def impossible(reason: str, mend: str, key: str = "") -> PydanticCustomError:
    """An error of a validator.

    Args:
        reason: what is wrong.
        mend: what to do about it.
        key: the key inside the section at fault, where a validator sees the whole section.
    """
    # The texts go in the context, so that braces in a user's value are never taken for a format.
    context = {"reason": reason, "mend": mend, "key": key}
    return PydanticCustomError("impossible", "{reason}", context)

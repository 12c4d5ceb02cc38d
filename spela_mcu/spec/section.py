"""The base of all that a model.yaml may say."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A mapping in model.yaml: immutable, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def tuple_from_list(value: object) -> object:
    """YAML's lists as the tuples of sections, which are strict; anything else as it is."""
    return tuple(value) if isinstance(value, list) else value

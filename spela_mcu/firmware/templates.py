"""Jinja as this project uses it: strict, and adding no white space of its own."""

from __future__ import annotations

from functools import lru_cache

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from spela_mcu.resources import resource_directory


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(resource_directory("templates")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # the output is C, not HTML
    )


def render(template: str, **names: object) -> str:
    """The text of `template` (a path in templates/) with `names` filled in."""
    return _environment().get_template(template).render(**names)

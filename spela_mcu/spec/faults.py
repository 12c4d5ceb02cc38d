"""pydantic's findings about a model.yaml, as errors that a user can mend."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from spela_mcu.errors import UserError, UserErrors
from spela_mcu.spec.document import Document, KeyPath, dotted, quoted
from spela_mcu.spec.fields import (
    DATA_SECTIONS,
    LAYER_SECTIONS,
    LAYERS,
    choices,
    default_text,
    field_at,
    one_of,
    section_at,
    sections,
    wanted,
)

_SOURCE = ("data", "source")
_KIND = "kind"
_SHOWN_ERRORS = 8  # more would not fit on one screen


def user_error(document: Document, error: ValidationError) -> UserError:
    """All of pydantic's findings as one error, in the order of the file's lines."""
    findings = error.errors(include_url=False)
    paths = [_path_of(finding) for finding in findings]
    found: dict[KeyPath, UserError] = {}
    for path, finding in zip(paths, findings, strict=True):
        # pydantic omits faulty items before it counts: only the items are at fault.
        echo = finding["type"] == "too_short" and any(
            other[: len(path)] == path and len(other) > len(path) for other in paths
        )
        if not echo:
            found.setdefault(path, _translate(document, path, finding))
    errors = sorted(found.values(), key=lambda one: one.line or 0)
    if len(errors) == 1:
        return errors[0]
    if len(errors) > _SHOWN_ERRORS:
        rest = len(errors) - _SHOWN_ERRORS + 1
        errors = errors[: _SHOWN_ERRORS - 1]
        errors.append(UserError(f"{rest} more errors", mend="mend these first", file=document.file))
    return UserErrors(errors)


def nearest(word: str, words: list[str] | tuple[str, ...]) -> str | None:
    """The word most like the given one, if one is close enough."""
    matches = get_close_matches(word.lower(), words, n=1, cutoff=0.6)
    return matches[0] if matches else None


def _path_of(finding: ErrorDetails) -> KeyPath:
    path: KeyPath = finding["loc"]
    if path[:1] == ("data",) and len(path) > 1:
        path = (path[0], *path[2:])  # pydantic names the source there
        if path[1:2] == ("label",):
            path = path[:2]  # and here the branches of text | whole number
        elif path[1:2] in (("features",), ("ignore",)):
            path = path[:3]
    if path[:2] == ("learning", "halve_rate_every"):
        path = path[:2]  # here the branches of whole number | auto
    if path[:2] == LAYERS and len(path) > 3:
        path = (*path[:3], *path[4:])  # pydantic names the kind there
    if finding["type"].startswith("union_tag"):
        path = (*path, _KIND if path[:2] == LAYERS else "source")
    if finding["type"] == "missing" and path and isinstance(path[-1], int):
        path = path[:-1]  # an item too few: the list is at fault
    if finding["type"] == "impossible" and finding["ctx"]["key"]:
        path = (*path, finding["ctx"]["key"])
    return path


def _translate(document: Document, path: KeyPath, finding: ErrorDetails) -> UserError:
    field = field_at(path, document.data)
    value = finding["input"]
    kind = finding["type"]
    if kind.startswith("union_tag"):
        value = value.get(path[-1]) if isinstance(value, Mapping) else None
        kind = "missing" if kind == "union_tag_not_found" else "literal_error"
    if kind == "impossible":
        reason, mend = finding["ctx"]["reason"], finding["ctx"]["mend"]
    elif kind == "extra_forbidden":
        reason, mend = _unknown_key(document, path)
    elif kind == "missing" and not isinstance(finding["loc"][-1], int):
        reason, mend = "this key is missing", _request(path, field)
    elif kind == "literal_error" and path != ("learning", "halve_rate_every"):
        names = () if field is None else choices(field)
        if path == _SOURCE or field is None:
            names = tuple(LAYER_SECTIONS if path[-1] == _KIND else DATA_SECTIONS)
        reason, mend = _unknown_choice(path, names, value)
    elif kind == "string_pattern_mismatch":
        reason = f"{_shown(value)} does not fit"
        mend = f"write {field.description}" if field else "write it otherwise"
    else:
        reason, mend = _wrong_value(path, field, value)
    return UserError(
        reason, mend=mend, file=document.file, line=document.line_of(path), key=dotted(path)
    )


def _unknown_key(document: Document, path: KeyPath) -> tuple[str, str]:
    section = section_at(path[:-1], document.data)
    names = list(section.model_fields) if section else []
    word = str(path[-1])
    homes = [name for name, model in sections().items() if word in model.model_fields]
    if homes:
        where = f"under {' or '.join(homes)}" if homes[0] else "at the top level"
        return "unknown key", f'"{word}" belongs {where}'
    likely = nearest(word, names)
    if likely is not None:
        return "unknown key", f'did you mean "{likely}"?'
    return "unknown key", f"remove it; the keys here are {', '.join(names)}"


def _unknown_choice(path: KeyPath, names: tuple[str, ...], value: object) -> tuple[str, str]:
    likely = nearest(value, names) if isinstance(value, str) else None
    mend = f'did you mean "{likely}"?' if likely else f"write one of them, {path[-1]}: {names[0]}"
    return f"must be {one_of(names)}, got {_shown(value)}", mend


def _wrong_value(path: KeyPath, field: FieldInfo | None, value: object) -> tuple[str, str]:
    if field is None:
        return f"must be a mapping (key: value lines), got {_shown(value)}", "write key: value"
    want = wanted(field)
    if isinstance(path[-1], int):  # an item of a list
        items = {
            "a list of whole numbers": "a whole number",
            "a list of texts": "text",
            "a list of texts or whole numbers": "text or a whole number",
        }
        of_others = "a mapping" if "mappings" in want else "a number"
        want = items.get(want.removesuffix(", one or more"), of_others)
    reason = f"must be {want}, got {_shown(value)}"
    if isinstance(value, str) and "number" in want and _is_number(value):
        return reason, f"remove the quotes: {value.strip()}"
    if isinstance(value, bool | int | float) and want in ("text", "a path"):
        return reason, f'put it in quotes: "{_yaml(value)}"'
    if isinstance(value, float) and "whole" in want and value.is_integer() and abs(value) < 2**53:
        return reason, f"write {int(value)}"
    if value is None and "mapping" in want:
        return reason, "give its keys below it, indented, or remove the line if it is optional"
    return reason, _request(path, field)


def _request(path: KeyPath, field: FieldInfo | None) -> str:
    if path == _SOURCE:
        return f"write source: {one_of(tuple(DATA_SECTIONS))}"
    if field is None:
        return "see docs/model-yaml.md"
    name = next(part for part in reversed(path) if isinstance(part, str))
    default = default_text(field)
    about = f"{name}: {wanted(field)}" + (f" ({field.description})" if field.description else "")
    return f"give {about}" if default is None else f"leave it out for {default}, or give {about}"


def _shown(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case str():
            return f"the text {quoted(value)}"
        case bool() | int() | float():
            return _yaml(value)
        case list() | tuple():
            return f"a list of {len(value)} item{'' if len(value) == 1 else 's'}"
        case _:
            return "a mapping"


def _yaml(value: Any) -> str:  # noqa: ANN401
    return str(value).lower() if isinstance(value, bool) else f"{value!r:.40}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

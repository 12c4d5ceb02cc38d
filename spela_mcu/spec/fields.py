"""What each key of model.yaml takes, in words: for errors and for the reference manual."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic.fields import FieldInfo

from spela_mcu.spec.data import Data
from spela_mcu.spec.document import KeyPath
from spela_mcu.spec.model import ModelSpec
from spela_mcu.spec.network import Layer
from spela_mcu.spec.section import Section

_WORDS: dict[object, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
}
_PLURALS: dict[object, str] = {
    int: "whole numbers",
    float: "numbers",
    str: "texts",
    str | int: "texts or whole numbers",
}

DATA_SECTIONS: dict[str, type[Section]] = {
    get_args(section.model_fields["source"].annotation)[0]: section
    for section in get_args(get_args(Data)[0])
}
"""The section of each data source, by the name of the source."""

LAYER_SECTIONS: dict[str, type[Section]] = {
    get_args(tag)[1].tag: get_args(tag)[0] for tag in get_args(get_args(Layer)[0])
}
"""The section of each kind of layer, by its name."""

LAYERS: KeyPath = ("network", "layers")


def sections() -> dict[str, type[Section]]:
    """The sections of a model.yaml by their dotted key, data's sources as ``data (csv)``."""
    found: dict[str, type[Section]] = {"": ModelSpec}
    for name, field in ModelSpec.model_fields.items():
        section = _section_of(field.annotation)
        if name == "data":
            found |= {f"data ({source})": model for source, model in DATA_SECTIONS.items()}
        elif section is not None:
            found[name] = section
            for inner, inner_field in section.model_fields.items():
                if (name, inner) == LAYERS:
                    found |= {f"{name}.{inner}[] ({k})": one for k, one in LAYER_SECTIONS.items()}
                elif (item := _section_of(inner_field.annotation)) is not None:
                    listed = get_origin(inner_field.annotation) is tuple
                    found[f"{name}.{inner}{'[]' if listed else ''}"] = item
    return found


def section_at(path: KeyPath, data: Any) -> type[Section] | None:  # noqa: ANN401
    """The section for the mapping at a path; None if there is none.

    Args:
        path: the path of the mapping.
        data: the file's plain values, which determine the source whose keys `data` takes, and the
            kinds of layers.
    """
    section: type[Section] | None = ModelSpec
    for at, part in enumerate(path):
        if isinstance(part, int):
            if path[:at] == LAYERS:
                section = _layer_section(data["network"]["layers"][part])
            continue  # items of other lists: `section` is already theirs
        if section is None or part not in section.model_fields:
            return None
        annotation = section.model_fields[part].annotation
        if part == "data":
            source = data.get("data", {}).get("source")
            section = DATA_SECTIONS.get(source) if isinstance(source, str) else None
        else:
            section = _section_of(annotation)
    return section


def _layer_section(layer: Any) -> type[Section] | None:  # noqa: ANN401
    kind = layer.get("kind", "dense") if isinstance(layer, dict) else "dense"
    return LAYER_SECTIONS.get(kind) if isinstance(kind, str) else None


def field_at(path: KeyPath, data: Any) -> FieldInfo | None:  # noqa: ANN401
    """The field that a key path names; None if it names none."""
    names = [part for part in path if isinstance(part, str)]
    if not names:
        return None
    cut = len(path) - 1 - path[::-1].index(names[-1])
    section = section_at(path[:cut], data)
    return None if section is None else section.model_fields.get(names[-1])


def choices(field: FieldInfo) -> tuple[str, ...]:
    """The values of a field that takes a fixed set of texts or numbers, else ()."""
    annotation = _without_none(field.annotation)
    return tuple(map(str, get_args(annotation))) if get_origin(annotation) is Literal else ()


def one_of(names: tuple[str, ...]) -> str:
    """A choice in words: ``relu or leaky_relu``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def wanted(field: FieldInfo) -> str:
    """What a field takes, in words: ``a whole number from 2 to 4096``."""
    names = choices(field)
    if names:
        return one_of(names)
    annotation = _without_none(field.annotation)
    if get_origin(annotation) is tuple:
        item, *rest = get_args(annotation)
        plural = _plural(item)
        if rest != [...]:
            return f"a list of {len(rest) + 1} {plural}"
        return f"a list of {plural}" + (", one or more" if _limit(field, "min_length") else "")
    if get_origin(annotation) in (types.UnionType, Union):
        ways = [way for way in get_args(annotation) if way is not type(None)]
        return " or ".join(dict.fromkeys(map(_alternative, ways)))
    if _limit(field, "max_length") == 1:
        return "one character"
    return _WORDS.get(annotation, "a mapping") + _bounds(field, whole=annotation is int)


def _plural(item: object) -> str:
    if get_origin(item) is Literal:
        return ", ".join(get_args(item))
    return _PLURALS.get(item, "mappings")


def _alternative(annotation: object) -> str:
    if get_origin(annotation) is Literal:
        return one_of(get_args(annotation))
    if get_origin(annotation) is tuple:
        return f"a list of {_PLURALS[get_args(annotation)[0]]}"
    if get_origin(annotation) is Annotated:
        inner, bounds, *_ = get_args(annotation)
        return _WORDS[inner] + _bounds(bounds, whole=inner is int)
    return _WORDS.get(annotation, "a mapping")


def default_text(field: FieldInfo) -> str | None:
    """A field's default as written in YAML; None if the key is required or has none."""
    if field.is_required() or field.default is None or isinstance(field.default, Section):
        return None
    text: str = yaml.safe_dump(field.default, default_flow_style=True, width=1000)
    return text.removesuffix("...\n").strip()


def _limit(field: FieldInfo, name: str) -> Any:  # noqa: ANN401
    return next((getattr(limit, name) for limit in field.metadata if hasattr(limit, name)), None)


def _bounds(field: FieldInfo, *, whole: bool) -> str:
    low = high = None
    low_word, high_word = "from", "at most"
    for limit in field.metadata:
        if (value := getattr(limit, "ge", None)) is not None:
            low = value
        elif (value := getattr(limit, "gt", None)) is not None:
            low, low_word = value, "above"
        elif (value := getattr(limit, "le", None)) is not None:
            high = value
        elif (value := getattr(limit, "lt", None)) is not None:
            high, high_word = (value - 1, "at most") if whole else (value, "below")
    if low is not None and high is not None:
        inclusive = low_word == "from" and high_word == "at most"
        return f" from {low} to {high}" if inclusive else f" {low_word} {low}, {high_word} {high}"
    if low is not None:
        return f" above {low}" if low_word == "above" else f", {low} or more"
    return "" if high is None else f" {high_word} {high}"


def _without_none(annotation: object) -> Any:  # noqa: ANN401
    if get_origin(annotation) is Annotated:
        return _without_none(get_args(annotation)[0])
    parts = [part for part in get_args(annotation) if part is not type(None)]
    optional = type(None) in get_args(annotation)
    return parts[0] if optional and len(parts) == 1 else annotation


def _section_of(annotation: object) -> type[Section] | None:
    """The section that a field holds, by itself or as the items of a list."""
    annotation = _without_none(annotation)
    inner = get_args(annotation)
    holder = inner[0] if get_origin(annotation) in (tuple, types.UnionType) else annotation
    return holder if isinstance(holder, type) and issubclass(holder, Section) else None

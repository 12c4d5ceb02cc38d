"""A YAML file as plain values, together with the line of every key."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from spela_mcu.errors import UserError, UserErrors
from spela_mcu.files import check_regular

KeyPath = tuple[str | int, ...]
"""The path of a value: ("network", "layers", 0, "units")."""

Value = str | int | float | bool | None | list["Value"] | dict[str, "Value"]

STARTER_MEND = "`spela-mcu init DIR` writes one to start from"

_TAG = "tag:yaml.org,2002:"


class _CoreLoader(yaml.SafeLoader):
    """PyYAML with the plain scalars of YAML 1.2's core schema, which editors use.

    PyYAML's own are those of YAML 1.1: 1e-2 is text, `no` a boolean, 010 eight, 1:30 ninety.
    """

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML's own class attribute


for _name, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
):
    _CoreLoader.add_implicit_resolver(_TAG + _name, re.compile(rf"(?:{_pattern})\Z"), _first)


_SCALARS: dict[str, Callable[[str], Value]] = {
    _TAG + "str": str,
    _TAG + "null": lambda text: None,
    _TAG + "bool": lambda text: text.lower() == "true",
    _TAG + "int": lambda text: int(text, 0 if text.startswith(("0o", "0x")) else 10),
    _TAG + "float": lambda text: float(re.sub(r"\.(inf|nan)", r"\1", text.lower())),
}


@dataclass(frozen=True)
class Document:
    """A YAML file that has been read.

    Attributes:
        file: the file, as the user named it.
        data: the top-level mapping.
        lines: the 1-based line of every key and list item.
    """

    file: Path
    data: dict[str, Value]
    lines: dict[KeyPath, int]

    def line_of(self, path: KeyPath) -> int | None:
        """The line of a key, or of the nearest enclosing key that the file has."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)


def dotted(path: KeyPath) -> str:
    """The usual spelling of a key path.

    >>> dotted(("network", "layers", 0, "units"))
    'network.layers[0].units'
    """
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if part.isprintable() else quoted(part))
    return text


def quoted(text: str) -> str:
    """A user's text for an error message: quoted, cut short, safe for a terminal.

    >>> quoted("two")
    '"two"'
    """
    shown = text if len(text) <= 40 else text[:37] + "..."
    return f'"{shown}"' if shown.isprintable() else f'"{repr(shown)[1:-1]}"'


def key_path(key: str) -> KeyPath:
    """The inverse of `dotted`.

    >>> key_path("network.layers[0].units")
    ('network', 'layers', 0, 'units')
    """
    parts = re.findall(r"\[(\d+)\]|([^.\[\]]+)", key)
    return tuple(int(index) if index else name for index, name in parts)


def read_document(file: Path, mend: str = STARTER_MEND) -> Document:
    """Reads a YAML file whose top level is a mapping.

    Args:
        file: the file.
        mend: what to do about a file that is missing, empty or of another kind.

    Raises:
        UserError: the file cannot be read, is not UTF-8, is not YAML, holds no mapping, names a
            key twice, or uses what a model.yaml does not need (aliases, tags).
    """
    text = _read_text(file)
    try:
        root = yaml.compose(text, Loader=_CoreLoader)
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(file, error) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UserError(
            f"the character U+{ord(text[error.position]):04X} may not stand in YAML",
            mend="save the file as plain UTF-8 text",
            file=file,
            line=line,
        ) from error
    except RecursionError as error:
        raise UserError(
            "lists or mappings are nested too deeply",
            mend="no key needs more than five levels",
            file=file,
        ) from error
    if root is None:
        raise UserError("the file is empty", mend=mend, file=file)
    if not isinstance(root, yaml.MappingNode):
        raise UserError(
            "the file must hold a mapping (key: value lines) at its top level",
            mend=mend,
            file=file,
            line=root.start_mark.line + 1,
        )
    reader = _NodeReader(file)
    data = reader.value(root, ())
    if reader.errors:
        raise reader.errors[0] if len(reader.errors) == 1 else UserErrors(reader.errors)
    assert isinstance(data, dict)
    return Document(file, data, reader.lines)


def _read_text(file: Path) -> str:
    try:
        check_regular(file)
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        reason, mend = "no such file", "check the path; `spela-mcu init DIR` writes a model.yaml"
    except IsADirectoryError:
        reason, mend = "is a directory", f"name the file in it, for example {file / 'model.yaml'}"
    except UnicodeDecodeError:
        reason, mend = "is not UTF-8 text", "save the file as UTF-8"
    except OSError as error:
        reason, mend = f"cannot be read: {error.strerror}", "check the path and its permissions"
    raise UserError(reason, mend=mend, file=file)


def _syntax_error(file: Path, error: yaml.MarkedYAMLError) -> UserError:
    mark = error.problem_mark or error.context_mark
    problem = ", ".join(part for part in (error.context, error.problem) if part)
    problem = problem.replace("'<stream end>'", "the end of the file")
    if "\\t" in problem:
        mend = "indent with spaces; YAML allows no tabs there"
    elif "mapping values" in problem:
        mend = 'put text that holds ": " in quotes, and give keys of one mapping the same indent'
    elif "expected a single document" in problem:
        mend = "remove the line --- between documents; one file describes one model"
    elif "expected ',' or" in problem:
        mend = "close the bracket, and separate its items with commas"
    else:
        mend = "check indent, quotes and brackets at this place and in the line before"
    return UserError(
        f"YAML syntax error at column {mark.column + 1}: {problem}" if mark else problem,
        mend=mend,
        file=file,
        line=mark.line + 1 if mark else None,
    )


def _short(node: yaml.Node) -> str:
    return str(node.tag).replace(_TAG, "!!")


class _NodeReader:
    """Turns nodes into values, noting the line of each key and every error on the way."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.lines: dict[KeyPath, int] = {}
        self.errors: list[UserError] = []
        self._seen: set[int] = set()

    def value(self, node: yaml.Node, path: KeyPath) -> Value:
        if id(node) in self._seen:  # an alias refers to a node already met
            return self._fault("aliases (*name) are not supported", "write the value out", path)
        self._seen.add(id(node))
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            items: list[Value] = []
            for index, item in enumerate(node.value):
                self.lines[*path, index] = item.start_mark.line + 1
                items.append(self.value(item, (*path, index)))
            return items
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        return self._fault(f"the tag {_short(node)} is not supported", "remove the tag", path)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> Value:
        values: dict[str, Value] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self.lines.setdefault(path, line)
                self._fault("a key must be a word", "write key: value", path, line)
                continue
            key = str(key_node.value)
            key_at = (*path, key)
            if key in values:
                self._fault(
                    f"the key stands here a second time, first in line {self.lines[key_at]}",
                    "keep one of the two",
                    key_at,
                    line,
                )
                continue
            self.lines[key_at] = line
            values[key] = self.value(value_node, key_at)
        return values

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Value:
        text = str(node.value)
        read = _SCALARS.get(node.tag)
        if read is None:
            return self._fault(f"the tag {_short(node)} is not supported", "remove the tag", path)
        try:
            return read(text)
        except ValueError:  # an explicit tag that does not fit, or a number of 4300 digits
            reason = f"{quoted(text)} cannot be read as {_short(node)}"
            return self._fault(reason, "write a plain number", path)

    def _fault(self, reason: str, mend: str, path: KeyPath, line: int | None = None) -> Value:
        line = line or self.lines.get(path)
        self.errors.append(
            UserError(reason, mend=mend, file=self.file, line=line, key=dotted(path) or None)
        )
        return None

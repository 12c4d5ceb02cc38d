"""What Arduino's lint and its registry demand of a library, held against one that is not on disk.

Source: Arduino's library specification 1.5, and the rules of arduino-lint for libraries in the
library manager. PlatformIO's demands on library.json come after them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

PROPERTIES = (
    *("name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url"),
    *("architectures", "includes"),
)
CATEGORIES = (
    *("Display", "Communication", "Signal Input/Output", "Sensors", "Device Control", "Timing"),
    *("Data Storage", "Data Processing", "Other"),
)
KEYWORDS = ("KEYWORD1", "KEYWORD2", "KEYWORD3", "LITERAL1")
SEMVER = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
LIBRARY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def complaints(files: dict[str, str]) -> list[str]:
    """What is wrong with a library's files, by path; empty if it could be published."""
    properties = dict(
        line.split("=", 1) for line in files.get("library.properties", "").splitlines() if line
    )
    found = [f"no {file}" for file in ("README.md", "LICENSE") if not files.get(file)]
    found += _of_properties(properties)
    found += _of_sources(files, properties)
    found += _of_examples(files)
    found += _of_keywords(files.get("keywords.txt", ""))
    found += _of_platformio(files, properties)
    return found


def _of_properties(properties: dict[str, str]) -> Iterator[str]:
    for key in PROPERTIES:
        if not properties.get(key, "").strip():
            yield f"library.properties has no {key}"
    for key in set(properties) - {
        *PROPERTIES,
        "depends",
        "dot_a_linkage",
        "precompiled",
        "ldflags",
    }:
        yield f"library.properties: {key} is not a property"
    name = properties.get("name", "")
    if not LIBRARY_NAME.fullmatch(name) or name.lower().startswith("arduino"):
        yield f"{name!r} is no name of a library"
    if not SEMVER.fullmatch(properties.get("version", "")):
        yield "the version is not that of semantic versioning"
    if properties.get("category") not in CATEGORIES:
        yield f"{properties.get('category')!r} is no category"
    if properties.get("paragraph", "").startswith(properties.get("sentence", "") or "\0"):
        yield "the paragraph repeats the sentence"
    if not properties.get("url", "").startswith("https://"):
        yield "the url is none"
    if "*" in properties.get("architectures", "*") or " " in properties.get("architectures", " "):
        yield "architectures must be named, without spaces: AVR is not among them"


def _of_sources(files: dict[str, str], properties: dict[str, str]) -> Iterator[str]:
    sources = {path for path in files if path.startswith("src/")}
    names = {PurePosixPath(path).name for path in sources}
    for include in properties.get("includes", "").split(","):
        if include not in names:
            yield f"includes names {include}, which is not in src/"
    if f"{properties.get('name')}.h" not in names:
        yield "no header has the library's name"
    for path in files:
        if not all(FILE_NAME.fullmatch(part) for part in PurePosixPath(path).parts):
            yield f"{path} has a name that is not allowed"
        if PurePosixPath(path).parts[0] not in {"src", "examples", "extras"} and "/" in path:
            yield f"{path} is in a directory that a library does not have"
    for path in sources:
        if "/" in path.removeprefix("src/"):
            yield f"{path}: only src/ itself is searched for headers"
        for header in re.findall(r'#include "([^"]+)"', files[path]):
            if header not in names and not _is_conditional(files[path], header):
                yield f"{path} includes {header}, which is not there"
    for path, text in files.items():
        if path.endswith((".h", ".c")) and "SPDX-License-Identifier" not in text:
            yield f"{path} names no licence"


def _is_conditional(text: str, header: str) -> bool:
    """Whether a header is included only if a macro is defined that says the library has it."""
    return bool(
        re.search(
            rf'#if[^\n]*SPELA_(?:WITH|INFERENCE)[^\n]*\n(?:#include .*\n)*#include "{header}"', text
        )
    )


def _of_examples(files: dict[str, str]) -> Iterator[str]:
    folders = {PurePosixPath(path).parts[1] for path in files if path.startswith("examples/")}
    if not folders:
        yield "no examples"
    for folder in folders:
        if f"examples/{folder}/{folder}.ino" not in files:
            yield f"examples/{folder} has no sketch of its name"


def _of_keywords(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if line and not line.startswith("#"):
            fields = line.split("\t")
            if len(fields) != 2 or fields[1] not in KEYWORDS:  # separated by one true tab
                yield f"keywords.txt: {line!r}"


def _of_platformio(files: dict[str, str], properties: dict[str, str]) -> Iterator[str]:
    manifest = json.loads(files.get("library.json", "{}"))
    for key in ("name", "version", "description", "keywords", "license", "authors", "headers"):
        if not manifest.get(key):
            yield f"library.json has no {key}"
    for key in ("name", "version"):
        if manifest.get(key) != properties.get(key):
            yield f"library.json and library.properties have another {key}"
    if f"src/{manifest.get('headers')}" not in files:
        yield "library.json names a header that is not there"

"""The table of all keys in docs/model-yaml.md: ``python -m spela_mcu.spec.reference FILE``."""

from __future__ import annotations

import sys
from pathlib import Path

from pydantic.fields import FieldInfo

from spela_mcu.spec.data import DataSection
from spela_mcu.spec.fields import default_text, sections, wanted
from spela_mcu.spec.section import Section

BEGIN = "<!-- keys: begin (python -m spela_mcu.spec.reference docs/model-yaml.md) -->"
END = "<!-- keys: end -->"


def key_tables() -> str:
    """One Markdown table per section: key, what it takes, default, meaning."""
    tables = []
    for name, section in sections().items():
        shared = DataSection.model_fields if name.startswith("data (") else {}
        if name == "data (sklearn)":
            tables.append(_table("`data`, every source", DataSection, {}))
        title = f"`{name}`" if name else "Top level"
        if name.startswith("data ("):
            title = f"`data` with `source: {name[6:-1]}`"
        tables.append(_table(title, section, shared))
    return "\n".join(tables)


def updated(page: str) -> str:
    """The page with the tables between its two markers updated."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n\n{key_tables()}\n{END}{tail}"


def _table(title: str, section: type[Section], without: dict[str, FieldInfo]) -> str:
    lines = [f"### {title}", "", (section.__doc__ or "").partition("\n\n")[0], ""]
    lines += ["| key | value | default | meaning |", "|---|---|---|---|"]
    for key, field in section.model_fields.items():
        if key in without:
            continue
        default = default_text(field)
        shown = "required" if field.is_required() else "" if default is None else f"`{default}`"
        meaning = field.description or ("names the source" if key == "source" else "")
        cells = (f"`{key}`", wanted(field), shown, meaning)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(updated(path.read_text(encoding="utf-8")), encoding="utf-8")

"""MISRA C:2012 over all of the library but backbones, by cppcheck's add-on; against docs/misra.md.

From the repository's root:

    python -m benchmarks.misra --check docs/misra.md

A rule that the page does not list is told, with its places, and so is a required one that is broken
more often than the page says. Under half a minute.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

SOURCES = tuple(
    f"firmware/{part}" for part in ("spela", "store", "front_end", "continual", "convolution")
)

# What only some models have is looked at too.
_PARTS = ("SOFTMAX", "CONVOLUTION", "INT12", "CONTINUAL", "MEANS", "MEMORY_IN_FLASH", "FRONT_END")

# cppcheck does not read the compiler's headers, but these macros are in every constant.
_CONSTANTS = {
    "UINT16_C(x)": "x##U",
    "UINT32_C(x)": "x##U",
    "INT32_C(x)": "x",
    "UINT64_C(x)": "x##ULL",
    "INT64_C(x)": "x##LL",
}

_ROW = re.compile(r"\| (\d+\.\d+) \| (advisory|required|mandatory) \| (\d+) \|")


@dataclass(frozen=True)
class Allowance:
    """What the page says of a rule.

    Attributes:
        count: how often it was broken, or seems to be, when the page was written.
    """

    category: str
    count: int


def violations() -> dict[str, list[str]]:
    """The places (file:line) where each rule is broken, the add-on says."""
    command = [str(Path(sys.executable).parent / "cppcheck"), "--quiet", "--std=c99"]
    command += ["--language=c", "--enable=style", "--addon=misra", "--max-configs=1"]
    command += ["--platform=unix32", "--inline-suppr", "--template={file}:{line} {id}"]
    command += [f"-D{macro}={value}" for macro, value in _CONSTANTS.items()]
    command += [f"-DSPELA_WITH_{part}" for part in _PARTS]
    command += [f"-I{source}" for source in SOURCES]
    done = subprocess.run([*command, *SOURCES], capture_output=True, text=True, check=False)
    found = defaultdict(list)
    for place, rule in set(re.findall(r"^(\S+) misra-c2012-(\S+)$", done.stderr, re.MULTILINE)):
        found[rule].append(place)
    if not found:
        raise click.ClickException(f"the add-on found nothing at all\n{done.stdout}{done.stderr}")
    return dict(found)


def faults(found: Mapping[str, list[str]], allowed: Mapping[str, Allowance]) -> list[str]:
    """What is not as the page says."""
    said = []
    for rule, places in sorted(found.items()):
        allowance = allowed.get(rule, Allowance("required", 0))
        if rule not in allowed or (
            allowance.category != "advisory" and len(places) > allowance.count
        ):
            said.append(
                f"rule {rule}: {len(places)} places, {allowance.count} are accounted for:\n  "
                + "\n  ".join(sorted(places))
            )
    return said


@click.command()
@click.option("--check", "page", required=True, type=click.Path(exists=True, path_type=Path))
def main(page: Path) -> None:
    """Compares what the add-on finds with a page's table."""
    allowed = {
        rule: Allowance(category, int(count))
        for rule, category, count in _ROW.findall(page.read_text(encoding="utf-8"))
    }
    said = faults(violations(), allowed)
    if said:
        said.append(f"mend it, or justify it in {page}")
        raise click.ClickException("\n".join(said))


if __name__ == "__main__":
    main()

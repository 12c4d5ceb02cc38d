"""What ``spela-mcu compare --stream`` prints."""

from __future__ import annotations

import json
from pathlib import Path

from rich.table import Table

from spela_mcu.cli.console import print_json, stdout
from spela_mcu.continual.standings import FIGURES, StreamComparison, stream_file
from spela_mcu.files import write_whole


def show(found: StreamComparison, directory: Path, *, as_json: bool) -> None:
    """Keeps a comparison in the directory, and prints it."""
    report = found.to_json()
    content = (json.dumps(report, indent=2) + "\n").encode()
    write_whole(directory / stream_file(found.kind), content)
    if as_json:
        print_json(report)
        return
    count = len(found.seeds)
    table = Table(
        title=f"{found.spec.name}, {found.kind}: {len(found.learned)} experiences; % of "
        f"{sum(found.tested):,} test samples, mean of {count} seed{'s' * (count > 1)} ± standard "
        f"deviation",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    used = [name for name in FIGURES if any(one.figure(name) for one in found.standings)]
    table.add_column("", no_wrap=True)
    for name in used:
        table.add_column(FIGURES[name], justify="right")
    table.add_column("bytes", justify="right")
    for one in found.standings:
        size = one.runs[0].bytes
        table.add_row(
            one.title,
            *(_cell(one.figure(name), with_spread=name == "final") for name in used),
            "" if size is None else f"{size:,}",
        )
    stdout.print(table)
    stdout.print(
        f"learned: {', '.join(f'{one:,}' for one in found.learned)} samples; {found.steps} "
        "rehearsed after each later experience. average: mean over the experiences; forgot: since "
        "it was known best; BWT, FWT: backward and forward transfer; lost: by the first "
        "experience; later: accuracy on the others; bytes: weights and what is kept",
        soft_wrap=True,
    )
    stdout.print(f"results: {directory / stream_file(found.kind)}", soft_wrap=True, markup=False)


def _cell(pair: tuple[float, float | None] | None, *, with_spread: bool) -> str:
    if pair is None:
        return ""
    mean, spread = pair
    beside = "" if spread is None or not with_spread else f" ± {100 * spread:.1f}"
    return f"{100 * mean:.1f}{beside}"

"""``spela-mcu doctor``: can this machine do the job?"""

from __future__ import annotations

import dataclasses

import click
from rich.table import Table
from rich.text import Text

from spela_mcu.cli.console import print_json, stderr, stdout
from spela_mcu.commands.doctor import Check, examine, is_ready


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """Show what is installed, what for, and how to get the rest.

    Exits with 0 if the main job (generate, build, simulate, verify) can run here, else with 1.
    """
    with stderr.status("looking ..."):
        checks = examine()
    ready = is_ready(checks)
    if as_json:
        print_json({"ready": ready, "checks": [dataclasses.asdict(check) for check in checks]})
    else:
        stdout.print(_table(checks))
        stdout.print(_verdict(checks))
    context.exit(0 if ready else 1)


def _table(checks: list[Check]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("", "", "found", "what for"):
        table.add_column(heading, overflow="fold")
    for check in checks:
        mark, found = Text("ok", "green"), Text(check.version or "")
        if check.version is None:
            mark = Text("no", "red" if check.role == "required" else "yellow")
            found = Text("; ".join(filter(None, (check.problem, check.mend))), "yellow")
        table.add_row(mark, Text(check.name), found, Text(check.purpose))
    return table


def _verdict(checks: list[Check]) -> Text:
    if is_ready(checks):
        return Text("ready: the main job can run here", "green")
    lacking = [c.name for c in checks if c.role == "required" and c.version is None]
    if not any(c.version for c in checks if c.role == "compiler"):
        lacking.append("an embedded compiler (one of those above)")
    return Text("not ready: lacks " + ", ".join(lacking), "red")

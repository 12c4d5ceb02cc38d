"""``spela-mcu device PORT classes``, ``rehearse`` and ``forget``: classes that come and go."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.markup import escape
from rich.table import Table

from spela_mcu.cli.console import print_json, stdout
from spela_mcu.cli.device_options import Line, line_options
from spela_mcu.cli.device_view import say
from spela_mcu.cli.options import COUNT, json_option
from spela_mcu.commands.device_classes import known_classes, label_to_forget, rehearse
from spela_mcu.device.answers import Saved
from spela_mcu.progress import progress_bars

save_option = click.option("--save", is_flag=True, help="Save to flash at the end.")


@click.command("classes")
@line_options
@json_option
def classes_command(*, line: Line, as_json: bool) -> None:
    """Show which classes the device knows.

    And of how many samples of each, those of the factory among them.
    """
    with line.open() as session:
        classes, names = known_classes(session.device), session.class_names
    rows = [
        (label, name, one.seen)
        for label, (name, one) in enumerate(zip(names, classes, strict=True))
        if one.is_active
    ]
    spare = len(classes) - len(rows)
    if as_json:
        shown = [{"label": label, "name": name, "seen": seen} for label, name, seen in rows]
        print_json({"classes": shown, "spare": spare})
        return
    table = Table("label", "class", box=None, pad_edge=False)
    table.add_column("samples seen", justify="right")
    for label, name, seen in rows:
        table.add_row(str(label), escape(name), f"{seen:,}")
    stdout.print(table)
    say(f"{spare} spare")


@click.command("rehearse")
@click.argument("steps", type=COUNT)
@save_option
@line_options
@json_option
def rehearse_command(*, line: Line, steps: int, save: bool, as_json: bool) -> None:
    """Have the device learn STEPS samples of its memory again.

    That keeps new classes apart from old ones.
    """
    with line.open() as session:
        with progress_bars() as progress:
            rehearse(session.device, steps, progress)
        saved = session.device.save() if save else None
        digest = session.device.counters().digest
    if as_json:
        print_json({"steps": steps, "learned": f"0x{digest:08X}", "saved": _saved(saved)})
        return
    say(f"{steps} samples rehearsed\nlearned state 0x{digest:08X}")
    _say_saved(saved)


@click.command("forget")
@click.argument("name")
@save_option
@line_options
@json_option
def forget_command(*, line: Line, name: str, save: bool, as_json: bool) -> None:
    """Have the device forget the class NAME.

    It is never answered any more, and its samples leave the memory. States that were saved or
    exported before still know it.
    """
    with line.open() as session:
        label = label_to_forget(session, name)
        session.device.forget(label)
        saved = session.device.save() if save else None
    if as_json:
        print_json({"label": label, "name": name, "saved": _saved(saved)})
        return
    say(f"forgot {name}")
    _say_saved(saved)


def _saved(saved: Saved | None) -> dict[str, int] | None:
    return None if saved is None else asdict(saved)


def _say_saved(saved: Saved | None) -> None:
    if saved is not None:
        say(f"saved: {saved.bytes:,} bytes, save number {saved.saves}")

"""``spela-mcu device``: talk to a device, teach it, keep and compare what it learned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import click
import numpy as np
from rich.markup import escape
from rich.table import Table

from spela_mcu.cli.console import print_json, stdout
from spela_mcu.cli.device_classes import (
    classes_command,
    forget_command,
    rehearse_command,
)
from spela_mcu.cli.device_options import PARTS, Line, line_options, sample_options
from spela_mcu.cli.device_view import (
    difference_summary,
    difference_view,
    guard_text,
    info_summary,
    say,
    statistics_summary,
    statistics_view,
)
from spela_mcu.cli.device_watch import monitor_command, record_command
from spela_mcu.cli.options import COUNT, json_option
from spela_mcu.commands.device import Session
from spela_mcu.commands.device_classes import label_to_teach, rehearse, relabelled
from spela_mcu.commands.device_difference import difference
from spela_mcu.commands.device_samples import (
    STDIN,
    Chosen,
    Part,
    labelled,
    open_stream,
)
from spela_mcu.commands.device_stream import Answered, Tally, infer, learn
from spela_mcu.device.answers import Saved, StoreStatus
from spela_mcu.device.device import Device
from spela_mcu.errors import UserError
from spela_mcu.files import check_file
from spela_mcu.fixed_point.arithmetic import ONE_Q14
from spela_mcu.fixed_point.early_exit import UNKNOWN
from spela_mcu.progress import progress_bars
from spela_mcu.store.export import read_export, write_export
from spela_mcu.store.payload import learned_state, write_payload

ROWS_SHOWN = 20
_START = {
    StoreStatus.OK: "a learned state, which it goes on with",
    StoreStatus.EMPTY: "nothing",
    StoreStatus.CORRUPT: "a learned state that is not whole; it has its factory weights",
    StoreStatus.FOREIGN: "what another model has learned; it has its factory weights",
    StoreStatus.OTHER_FORMAT: "a state in a format that it cannot read; it has its factory weights",
}


@click.group()
@click.argument("port")
@click.pass_context
def command(context: click.Context, port: str) -> None:
    """Talk to the device on PORT: teach it, save and compare what it learned.

    PORT is a serial port, or a simulated board: sim:renode, sim:qemu or sim:unicorn. A simulated
    board starts anew with each command, as after a power cut, and keeps its flash in a file.
    """
    context.obj = port


@command.command("info")
@line_options
@json_option
def _info(*, line: Line, as_json: bool) -> None:
    """Show what the device runs.

    And what it has learned, and found in flash when it started.
    """
    with line.open() as session:
        info = session.info
        digest = session.device.counters().digest
    if as_json:
        print_json({**info_summary(info), "learned": f"0x{digest:08X}"})
        return
    say(f"{info.name}: {info.inputs} inputs, {info.layers} layers, {info.classes} classes")
    say(f"model 0x{info.digest:08X}, learned state 0x{digest:08X}, arena {info.arena_bytes} bytes")
    if not info.can_save:
        say("it keeps nothing in flash: what it learns is lost with power")
        return
    say(f"in flash at its start: {_START[info.start]}")
    say(f"a checkpoint can {'' if info.can_checkpoint else 'not '}be kept")
    if info.is_frozen:
        say("learning is frozen")


@command.command("infer")
@sample_options
@line_options
@json_option
def _infer(*, line: Line, chosen: Chosen, as_json: bool) -> None:
    """Have the device answer SAMPLES.

    SAMPLES are a .csv, an .npz, or - for lines of the standard input. With -m their values are raw,
    and quantised as the model.yaml says; without, they are int8 already. A label may follow the
    values of a line.
    """
    tally, answers = Tally(), []
    at_once = chosen.file == STDIN and not as_json
    with line.open() as session, progress_bars() as progress:
        names = session.class_names
        for answer in infer(session.device, open_stream(session, chosen), tally, progress):
            if at_once:
                say(_told(answer, names))
            else:
                answers.append(answer)
    if as_json:
        print_json(
            {
                "samples": tally.samples,
                "accuracy": tally.accuracy,
                "answers": [_answer_summary(answer) for answer in answers],
            }
        )
        return
    if not at_once:
        stdout.print(_answers_table(answers, names))
    if len(answers) > ROWS_SHOWN:
        say(f"... and {len(answers) - ROWS_SHOWN} more (--json shows all)")
    if tally.accuracy is not None:
        say(f"accuracy on {tally.labelled} samples: {100 * tally.accuracy:.2f} %")


@command.command("learn")
@sample_options
@click.option(
    "--class",
    "name",
    metavar="NAME",
    help="All are of this class; if the device knows none of this name, it is added.",
)
@click.option(
    "--rehearse", "steps", type=COUNT, help="Then rehearse so many samples of the memory."
)
@click.option("--save", is_flag=True, help="Save to flash at the end.")
@line_options
@json_option
def _learn(
    *,
    line: Line,
    chosen: Chosen,
    name: str | None,
    steps: int | None,
    save: bool,
    as_json: bool,
) -> None:
    """Have the device learn SAMPLES.

    SAMPLES, with labels, are those of `infer`; each is learned once, in their order. The accuracy
    shown is that of the answers that the device gave before it learned each.
    """
    tally, back = Tally(), 0
    with line.open() as session:
        stream = open_stream(session, chosen)
        if name is not None:
            stream = relabelled(stream, label_to_teach(session, name))
        with progress_bars() as progress:
            for answer in learn(session.device, stream, tally, progress):
                back += answer.went_back
            if steps is not None:
                rehearse(session.device, steps, progress)
        saved = session.device.save() if save else None
        digest = session.device.counters().digest
    if as_json:
        print_json(
            {
                "samples": tally.samples,
                "accuracy_before": tally.accuracy,
                "recent_accuracy_before": tally.recent,
                "went_back": back,
                "learned": f"0x{digest:08X}",
                "saved": None if saved is None else asdict(saved),
            }
        )
        return
    say(f"{tally.samples} samples learned; before each: {tally.told() or 'nothing answered'}")
    if back:
        say(f"the guard went back {back} times")
    say(f"learned state 0x{digest:08X}")
    if saved is not None:
        _say_saved("saved", saved)


@command.command("stats")
@line_options
@json_option
def _stats(*, line: Line, as_json: bool) -> None:
    """Show the figures of learning.

    Updates made and skipped, and what became of each layer and each class. With a guard, how many
    of its samples are right, which applies pending updates.
    """
    with line.open() as session:
        statistics, names = session.device.statistics(), session.class_names
        guard = session.device.guard() if session.info.has_guard else None
    if as_json:
        print_json(
            {
                **statistics_summary(statistics, names),
                "guard": None if guard is None else asdict(guard),
            }
        )
        return
    stdout.print(statistics_view(statistics, names))
    if guard is not None:
        say(f"\n{guard_text(guard)}")


def _state_command(name: str, help_text: str, done: str, act: Callable[[Device], Saved]) -> None:
    """A subcommand that saves or loads a state."""

    @command.command(name, help=help_text)
    @line_options
    @json_option
    def _act(*, line: Line, as_json: bool) -> None:
        with line.open() as session:
            saved = act(session.device)
        if as_json:
            print_json(asdict(saved))
        else:
            _say_saved(done, saved)


_state_command("save", "Save what was learned to flash.", "saved",
               Device.save)  # fmt: skip
_state_command("load", "Go back to what was saved.", "loaded", Device.load)
_state_command("checkpoint", "Keep it in flash, to be rolled back to.",
               "checkpoint kept", Device.checkpoint)  # fmt: skip
_state_command("rollback", "Go back to the checkpoint.", "rolled back", Device.rollback)


@command.command("export")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@line_options
@json_option
def _export(*, line: Line, file: Path, as_json: bool) -> None:
    """Write what was learned to FILE."""
    check_file(file)
    with line.open() as session, progress_bars() as progress:
        payload = session.device.export_payload(lambda done, total: progress("export", done, total))
        write_export(file, session.info.digest, payload)
    if as_json:
        print_json({"file": str(file), "bytes": len(payload)})
    else:
        say(f"wrote {file}: {len(payload):,} bytes of learned state")


@command.command("import")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@line_options
@json_option
def _import(*, line: Line, file: Path, as_json: bool) -> None:
    """Give the device what FILE holds.

    FILE is an export. The device saves it and goes on with it, or changes nothing.
    """
    state = read_export(file)
    with line.open() as session, progress_bars() as progress:
        _check_export(session, state.digest, file)
        saved = session.device.import_payload(
            state.payload, state.digest, lambda done, total: progress("import", done, total)
        )
    if as_json:
        print_json(asdict(saved))
    else:
        _say_saved("imported and saved", saved)


@command.command("diff")
@click.argument("export", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--learned", metavar="SAMPLES", help="The reference has learned these, as `learn` takes them."
)
@click.option(
    "--split",
    type=PARTS,
    help="The reference has learned this part of the model.yaml's data.",
)
@click.option("--samples", type=COUNT, help="At most so many of them.")
@line_options
@json_option
def _diff(
    *,
    line: Line,
    export: Path | None,
    learned: str | None,
    split: Part | None,
    samples: int | None,
    as_json: bool,
) -> int:
    """Tell how what was learned differs.

    From EXPORT, a file, or from the reference of -m. The reference is the network as it left the
    factory; with --split or --learned, after it has learned these samples in Python. Exits with 0
    if they are equal, with 1 if not. The format of a convolution's weights is known from -m.
    """
    chosen = Chosen(learned, split, samples)
    if export is not None and chosen:
        raise click.UsageError("EXPORT excludes --learned and --split")
    state = None if export is None else read_export(export)
    with line.open() as session:
        if state is not None and export is not None:
            _check_export(session, state.digest, export)
            other, what = state.payload, str(export)
        else:
            other, what = _reference(session, chosen)
        payload = session.device.export_payload()
    found = difference(payload, other, session.formats)
    if as_json:
        print_json(difference_summary(found))
    else:
        stdout.print(difference_view(found, "the device", what))
    return 0 if found.is_equal else 1


command.add_command(classes_command)
command.add_command(rehearse_command)
command.add_command(forget_command)
command.add_command(record_command)
command.add_command(monitor_command)


def _reference(session: Session, chosen: Chosen) -> tuple[bytes, str]:
    """The payload of the reference, and what it is in words."""
    prepared = session.prepared
    network, what = prepared.network(), "the network as it left the factory"
    if chosen:
        stream, count, front = open_stream(session, chosen), 0, network.plan.front
        with progress_bars() as progress:
            for x, label in labelled(stream.samples):
                network.learn(x if front is None else front.inputs(x[np.newaxis])[0], label)
                count += 1
                progress("the reference learns", count, stream.total or count)
        what = f"the reference after {count} samples"
    return write_payload(network.plan, learned_state(network)), what


def _check_export(session: Session, digest: int, file: Path) -> None:
    if digest != session.info.digest:
        raise UserError(
            f"holds what the model 0x{digest:08X} has learned, and the device runs "
            f'"{session.info.name}" 0x{session.info.digest:08X}',
            mend="take an export of a device with the same firmware",
            file=file,
        )


def _say_saved(done: str, saved: Saved) -> None:
    say(f"{done}: {saved.bytes:,} bytes, save number {saved.saves}")


def _told(answer: Answered, names: Sequence[str]) -> str:
    said = answer.prediction
    known = "" if answer.label is None else f", label {names[answer.label]}"
    cosine, margin = said.cosine / ONE_Q14, said.margin / ONE_Q14
    name = "unknown" if said.label == UNKNOWN else names[said.label]
    return f"{name} (cosine {cosine:+.2f}, margin {margin:.2f}){known}"


def _answer_summary(answer: Answered) -> dict[str, object]:
    said = answer.prediction
    return {
        "label": answer.label,
        "predicted": said.label,
        "cosine": said.cosine / ONE_Q14,
        "margin": said.margin / ONE_Q14,
    }


def _answers_table(answers: Sequence[Answered], names: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("sample", "label", "class (cosine, margin)"):
        table.add_column(column, justify="right")
    for index, answer in enumerate(answers[:ROWS_SHOWN]):
        said = answer.prediction
        text = escape(_told(Answered(None, said), names))
        wrong = answer.label is not None and answer.label != said.label
        label = "" if answer.label is None else escape(names[answer.label])
        table.add_row(str(index), label, f"[red]{text}[/]" if wrong else text)
    return table

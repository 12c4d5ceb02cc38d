"""``spela-mcu simulate``: samples in, the simulated chip's answers out."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from rich.markup import escape
from rich.table import Table

from spela_mcu.cli.console import print_json, stderr, stdout
from spela_mcu.cli.interactive import interact
from spela_mcu.cli.options import COUNT, json_option, simulator_option
from spela_mcu.device.device import Device
from spela_mcu.device.samples import Samples, read_samples, samples_of_model
from spela_mcu.firmware.build import build_with
from spela_mcu.firmware.directory import ProjectDirectory, read_project
from spela_mcu.firmware.project import SAMPLES
from spela_mcu.firmware.toolchain import CompilerChoice
from spela_mcu.fixed_point.arithmetic import ONE_Q14
from spela_mcu.fixed_point.exit_answer import ExitAnswer
from spela_mcu.progress import progress_bars
from spela_mcu.simulators.choice import SimulatorChoice, find_simulator

ROWS_SHOWN = 20

Answers = list[tuple[ExitAnswer, ...]]


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option(
    "--input", "input_file", type=click.Path(dir_okay=False, path_type=Path),
    help="Samples: .npz with int8 x [n, inputs] and perhaps y [n], or .csv of integers, "
    "the label perhaps last.  [default: the project's samples.csv]",
)  # fmt: skip
@click.option(
    "--data", "model", type=click.Path(dir_okay=False, path_type=Path),
    help="Samples: the test part of this model.yaml's data.",
)  # fmt: skip
@click.option("--samples", "limit", type=COUNT, help="At most so many samples.")
@click.option(
    "--compiler", type=click.Choice(["auto", "gcc", "zig"]), default="auto", show_default=True,
    help="What to build with, if there is no build yet.",
)  # fmt: skip
@click.option(
    "--interactive",
    is_flag=True,
    help="A prompt at the board's serial line, in place of all samples at once.",
)
@simulator_option()
@json_option
def command(
    *,
    directory: Path,
    input_file: Path | None,
    model: Path | None,
    limit: int | None,
    compiler: CompilerChoice,
    interactive: bool,
    simulator_choice: SimulatorChoice,
    as_json: bool,
) -> None:
    """Run the generated project in DIRECTORY on its simulated board, and show its answers.

    Builds it if needed. Exits with 1 if the firmware takes a fault or hangs.
    """
    if input_file is not None and model is not None:
        raise click.UsageError("--input and --data exclude each other")
    if interactive and as_json:
        raise click.UsageError("--interactive and --json exclude each other")
    project = read_project(directory)
    samples = (
        read_samples(input_file or directory / SAMPLES, project.inputs, project.classes)
        if model is None
        else samples_of_model(model, project.inputs, project.classes)
    ).first(limit)
    simulator = find_simulator(project.board, simulator_choice)
    with stderr.status("building ..."):
        build = build_with(directory, compiler)
    stderr.print(f"simulating {project.board.title} in {simulator} ...")
    if interactive:
        with simulator.start(build) as machine:
            interact(machine, samples)
        return
    with simulator.start(build) as machine, progress_bars() as progress:
        device = Device(machine)
        answers: Answers = []
        for index, sample in enumerate(samples.x):
            answers.append(device.infer(sample))
            progress("inference", index + 1, len(samples.x))
    if as_json:
        print_json(_summary(project, samples, answers, str(simulator)))
    else:
        _print(project, samples, answers)


def _accuracy(samples: Samples, answers: Answers) -> list[float] | None:
    """Share of correct answers per exit."""
    if samples.y is None:
        return None
    labels: NDArray[np.int64] = np.array([[one.label for one in exits] for exits in answers])
    return [float(share) for share in (labels == samples.y[:, None]).mean(axis=0)]


def _summary(
    project: ProjectDirectory, samples: Samples, answers: Answers, simulator: str
) -> dict[str, object]:
    return {
        "name": project.name,
        "board": project.board.id,
        "core": project.board.core,
        "simulator": simulator,
        "classes": project.class_names,
        "samples": len(answers),
        "accuracy": _accuracy(samples, answers),
        "answers": [
            {
                "label": None if samples.y is None else int(samples.y[index]),
                "exits": [
                    {
                        "label": one.label,
                        "cosine": one.cosine / ONE_Q14,
                        "margin": one.margin / ONE_Q14,
                        "scores": one.scores.tolist(),
                    }
                    for one in exits
                ],
            }
            for index, exits in enumerate(answers)
        ],
    }


def _print(project: ProjectDirectory, samples: Samples, answers: Answers) -> None:
    title = f"{project.name} on {project.board.title}: class (cosine, margin)"
    stdout.print(title, soft_wrap=True, markup=False)
    table = Table(box=None, pad_edge=False)
    table.add_column("sample", justify="right")
    if samples.y is not None:
        table.add_column("label", justify="right")
    for index in range(project.layers):
        table.add_column(f"exit {index}", justify="right")
    names = [escape(name) for name in project.class_names]
    for index, exits in enumerate(answers[:ROWS_SHOWN]):
        cells = [str(index)]
        if samples.y is not None:
            cells.append(names[samples.y[index]])
        for one in exits:
            right = samples.y is None or one.label == samples.y[index]
            text = f"{names[one.label]} ({one.cosine / ONE_Q14:+.2f}, {one.margin / ONE_Q14:.2f})"
            cells.append(text if right else f"[red]{text}[/]")
        table.add_row(*cells)
    stdout.print(table)
    if len(answers) > ROWS_SHOWN:
        stdout.print(f"... and {len(answers) - ROWS_SHOWN} more (--json shows all)")
    accuracy = _accuracy(samples, answers)
    if accuracy is not None:
        shares = ", ".join(f"exit {n} {100 * share:.2f} %" for n, share in enumerate(accuracy))
        stdout.print(f"accuracy on {len(answers)} samples: {shares}")

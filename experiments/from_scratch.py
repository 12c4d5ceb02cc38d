"""Learned from scratch: integers against float, from the same weights, over the same samples.

The figures of docs/accuracy.md. From the repository's root:

    python -m experiments.from_scratch examples/digits/model.yaml --epochs 10 --seeds 8
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from joblib import Parallel, delayed  # type: ignore[import-untyped]
from numpy.typing import NDArray
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

from experiments.independent_dither import IndependentDitherNetwork
from experiments.tables import accuracy_table, quantization_table
from spela_mcu import __version__
from spela_mcu.data.dataset import quantize_inputs
from spela_mcu.errors import UserError
from spela_mcu.fixed_point.network import IntegerNetwork, LayerQuantization
from spela_mcu.fixed_point.plan import make_plan
from spela_mcu.pipeline import Overrides, Prepared, learning_stream, prepare
from spela_mcu.reference.training import online_learning_rates
from spela_mcu.simulation.host import HostNetwork
from spela_mcu.spec.model import ModelSpec

PROCESSES = 2
SAMPLES_AT_ONCE = 4096
"""Samples copied per call: bounds the memory, not the result."""

SETTABLE = ("network", "learning")
"""Sections that --set may change: those that say how a network learns."""

FLOAT = "float"
PER_WEIGHT = "int8, stochastic, a number per weight"
CONTENDERS = {
    PER_WEIGHT: {"weights": "int8", "rounding": "stochastic"},
    FLOAT: {},
    "int16, stochastic": {"weights": "int16", "rounding": "stochastic"},
    "int8, stochastic": {"weights": "int8", "rounding": "stochastic"},
    "int8, nearest": {"weights": "int8", "rounding": "nearest"},
}
"""Number formats by the name of their row; the slow ones first, so that no process idles last."""


@dataclass(frozen=True)
class Task:
    """One contender, to learn from one seed's weights in one seed's order."""

    contender: str
    seed: int
    epochs: int


@dataclass(frozen=True)
class Result:
    """What came of it.

    Attributes:
        accuracy: of each exit on the test part, 0 to 1.
        quantization: what the format did to each layer; empty where nothing counts it.
    """

    task: Task
    accuracy: tuple[float, ...]
    quantization: tuple[LayerQuantization, ...]


def changed(spec: ModelSpec, settings: dict[str, Any]) -> ModelSpec:
    """The spec with other values at dotted keys.

    Raises:
        UserError: there is no such key, or the value is not one for it.
    """
    sections = spec.model_dump()
    for key, value in settings.items():
        section, _, name = key.partition(".")
        if section not in sections or name not in sections[section]:
            raise UserError("unknown key", key=key)
        sections[section][name] = value
    try:
        return ModelSpec.model_validate(sections)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(first["msg"], key=".".join(map(str, first["loc"]))) from error


def at_start(prepared: Prepared, task: Task) -> Prepared:
    """The model with the contender's number format and the seed's untrained weights."""
    formats = {f"fixed_point.{key}": value for key, value in CONTENDERS[task.contender].items()}
    spec = changed(prepared.spec, {"network.seed": task.seed, **formats})
    plan = make_plan(spec, prepared.dataset.inputs, prepared.dataset.classes)
    return replace(prepared, spec=spec, plan=plan, network=IntegerNetwork.untrained(plan))


def stream(
    prepared: Prepared, epochs: int
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64], slice]]:
    """The training samples in the device's order, in parts, and which steps each part is."""
    train = prepared.dataset.train
    order = learning_stream(len(train), epochs * len(train), prepared.spec.network.seed)
    for start in range(0, len(order), SAMPLES_AT_ONCE):
        rows = order[start : start + SAMPLES_AT_ONCE]
        yield train.x[rows], train.y[rows], slice(start, start + len(rows))


def learned(prepared: Prepared, task: Task) -> Result:
    """Lets a contender learn, and measures it on the test part."""
    start, test = at_start(prepared, task), prepared.dataset.test
    if task.contender == FLOAT:
        twin = start.float_twin()
        steps = task.epochs * len(prepared.dataset.train)
        rates = online_learning_rates(start.spec.learning, steps)
        for x, y, part in stream(start, task.epochs):
            twin.learn_online(x, y, rates[part])
        return Result(task, twin.accuracy(test.x, test.y), ())
    network = (
        IndependentDitherNetwork.untrained(start.plan)
        if task.contender == PER_WEIGHT
        else HostNetwork(start.plan, None)
    )
    for x, y, _ in stream(start, task.epochs):
        network.partial_fit(quantize_inputs(x), y)
    right = network.predict_exits(quantize_inputs(test.x)) == test.y
    return Result(task, tuple(right.mean(axis=1).tolist()), ())


def counted(prepared: Prepared, task: Task) -> Result:
    """Lets the numpy reference learn, which alone counts all that the format does."""
    start, test = at_start(prepared, task), prepared.dataset.test
    for x, y, _ in stream(start, task.epochs):
        start.network.partial_fit(quantize_inputs(x), y)
    right = start.network.predict_exits(quantize_inputs(test.x)) == test.y
    return Result(task, tuple(right.mean(axis=1).tolist()), start.network.quantization())


def measure(prepared: Prepared, contenders: list[str], epochs: int, seeds: int) -> list[Result]:
    """All contenders with all seeds, and one epoch of each format with every effect counted."""
    jobs = [
        delayed(learned)(prepared, Task(c, s, epochs)) for c in contenders for s in range(seeds)
    ]
    formats = [c for c in contenders if c not in (FLOAT, PER_WEIGHT)]
    jobs += [delayed(counted)(prepared, Task(c, 0, 1)) for c in formats]
    console = Console(stderr=True)
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        results = Parallel(PROCESSES, return_as="generator_unordered")(jobs)
        return list(bar.track(results, total=len(jobs), description=prepared.spec.name))


def _settings(
    context: click.Context, option: click.Parameter, values: tuple[str, ...]
) -> dict[str, Any]:
    settings = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not equals or key.partition(".")[0] not in SETTABLE:
            raise click.BadParameter(f"{value!r} is not KEY=VALUE with a key in {SETTABLE}")
        try:
            settings[key] = json.loads(text)
        except ValueError:
            settings[key] = text
    return settings


@click.command()
@click.argument("model", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--epochs", type=click.IntRange(1), help="Passes [default: model.yaml's].")
@click.option("--seeds", type=click.IntRange(3), default=3, show_default=True)
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", callback=_settings,
    help="Another value than model.yaml's, for example network.loss=cosine (repeatable).",
)  # fmt: skip
@click.option(
    "--draw-per-weight", is_flag=True,
    help="Stochastic rounding with a random number per weight as well (slow: in numpy).",
)  # fmt: skip
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path),
    help="Write every run's figures to this file.",
)  # fmt: skip
def command(
    *,
    model: Path,
    epochs: int | None,
    seeds: int,
    settings: dict[str, Any],
    draw_per_weight: bool,
    json_file: Path | None,
) -> None:
    """Let float and integer networks learn MODEL's data from scratch; print Markdown tables.

    All contenders of a seed start from the same untrained weights and see the same samples in
    the same order at the same learning rates.
    """
    try:
        prepared = prepare(model, Overrides(start="untrained"))
        prepared = replace(prepared, spec=changed(prepared.spec, settings))
    except UserError as error:
        raise click.ClickException(str(error)) from error
    epochs = epochs or prepared.spec.learning.epochs
    contenders = [name for name in CONTENDERS if name != PER_WEIGHT or draw_per_weight]
    results = measure(prepared, contenders, epochs, seeds)
    if json_file is not None:
        _write_json(json_file, prepared, results)
    runs = {
        (result.task.contender, result.task.seed): result.accuracy
        for result in results
        if not result.quantization
    }
    shares = {c: np.array([runs[c, s] for s in range(seeds)]) for c in contenders}
    shares = {FLOAT: shares.pop(FLOAT), **shares}
    click.echo(f"{_described(prepared, epochs, seeds)}\n\n{accuracy_table(shares, FLOAT)}\n")
    effects = {r.task.contender: r.quantization for r in results if r.quantization}
    in_order = {c: effects[c] for c in contenders if c in effects}
    click.echo(f"The first epoch with seed 0:\n\n{quantization_table(in_order)}")


def _write_json(file: Path, prepared: Prepared, results: list[Result]) -> None:
    report = {
        "model": prepared.spec.name,
        "network": prepared.spec.network.model_dump(mode="json", exclude={"seed"}),
        "learning": prepared.spec.learning.model_dump(mode="json", exclude={"epochs"}),
        "results": [asdict(result) for result in results],
        "versions": {
            "spela_mcu": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
        },
    }
    partial = file.with_name(file.name + ".partial")
    partial.write_text(json.dumps(report, indent=2) + "\n")
    partial.replace(file)


def _described(prepared: Prepared, epochs: int, seeds: int) -> str:
    network, learning, data = prepared.spec.network, prepared.spec.learning, prepared.dataset
    widths = "-".join(map(str, (data.inputs, *(layer.units for layer in network.layers))))
    loss = f"margin {network.margin:g}" if network.loss == "margin" else network.loss
    every = learning.halve_rate_every
    halved = f", halved after every {every:,} samples" if every else ""
    return (
        f"{prepared.spec.name}: {widths}, loss {loss}, learning rate {learning.first_rate:g}"
        f"{halved}; {epochs} x {len(data.train):,} samples learned, {len(data.test):,} tested, "
        f"{seeds} seeds"
    )


if __name__ == "__main__":
    command()

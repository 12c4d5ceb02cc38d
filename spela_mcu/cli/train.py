"""``spela-mcu train``: the float reference."""

from __future__ import annotations

from pathlib import Path

import click
from rich.table import Table

from spela_mcu.cli.console import print_json, stdout
from spela_mcu.cli.options import SEED, json_option, model_argument
from spela_mcu.data.load import load_dataset
from spela_mcu.fixed_point.plan import float_embeddings
from spela_mcu.pipeline import Overrides, work_directory
from spela_mcu.spec.load import load_spec


@click.command()
@model_argument
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path),
    help="Directory for network, metrics and learning curve [default: build/training].",
)  # fmt: skip
@click.option("--seed", type=SEED, help="Another seed than model.yaml's.")
@json_option
def command(model: Path, output: Path | None, seed: int | None, as_json: bool) -> None:
    """Train the float reference of MODEL (a model.yaml) and save it with its metrics.

    A run whose data and settings have not changed is reused.
    """
    from spela_mcu.reference.run import trained

    spec = Overrides(seed=seed).apply(load_spec(model))
    dataset = load_dataset(spec, model, progress=not as_json)
    run = trained(
        spec,
        dataset,
        float_embeddings(spec, dataset.classes),
        output or work_directory(model) / "training",
        progress=not as_json,
    )
    if as_json:
        print_json({"directory": str(run.directory), **run.metrics.model_dump(mode="json")})
        return
    table = Table(title=f"{spec.name}: float reference, best of epoch {run.metrics.best_epoch}")
    for heading in ("exit", "train %", "validation %", "test %"):
        table.add_column(heading, justify="right")
    accuracy = run.metrics.accuracy
    for exit_, shares in enumerate(
        zip(accuracy.train, accuracy.validation, accuracy.test, strict=True)
    ):
        table.add_row(str(exit_), *(f"{100 * share:.2f}" for share in shares))
    stdout.print(table)
    stdout.print(f"{'unchanged, reused' if run.reused else 'saved'}: {run.directory}")

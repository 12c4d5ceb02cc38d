"""``spela-mcu train``: the float reference."""

from __future__ import annotations

from pathlib import Path

import click
from rich.table import Table

from spela_mcu.cli.console import print_json, stdout
from spela_mcu.cli.data import data_summary, show_data, show_notices
from spela_mcu.cli.options import SEED, json_option, model_argument, output_directory
from spela_mcu.data.load import load_dataset
from spela_mcu.fixed_point.plan import float_embeddings
from spela_mcu.pipeline import Overrides, completed
from spela_mcu.proof.accuracy import (
    balanced_accuracy,
    commonest_class,
    majority_share,
    tested_after,
)
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

    directory = output_directory(output, model, "training")
    spec = Overrides(seed=seed).apply(load_spec(model))
    dataset = load_dataset(spec, model, progress=True)
    if as_json:
        show_notices(dataset.notices)
    else:
        show_data(dataset)
    spec = completed(spec, dataset)
    run = trained(
        spec,
        dataset,
        float_embeddings(spec, dataset.classes),
        directory,
        progress=True,
    )
    test = dataset.test
    majority = majority_share(dataset, test.y)
    balanced = [balanced_accuracy(labels, test.y) for labels in run.network.predict(test.x)]
    if as_json:
        print_json(
            {
                "directory": str(run.directory),
                **run.metrics.model_dump(mode="json"),
                "balanced_accuracy": balanced,
                "majority_share": majority,
                "data": data_summary(dataset),
            }
        )
        return
    table = Table(title=f"{spec.name}: float reference, best of epoch {run.metrics.best_epoch}")
    for heading in ("exit", "train %", "validation %", "test %", "test, balanced %"):
        table.add_column(heading, justify="right")
    accuracy = run.metrics.accuracy
    for exit_, shares in enumerate(
        zip(accuracy.train, accuracy.validation, accuracy.test, balanced, strict=True)
    ):
        table.add_row(str(exit_), *(f"{100 * share:.2f}" for share in shares))
    stdout.print(table)
    learned = tested_after(len(test), run.metrics.best_epoch, len(dataset.train))
    stdout.print(f"float network, {learned}", soft_wrap=True)
    commonest = dataset.class_names[commonest_class(dataset)]
    stdout.print(
        f'always guessing "{commonest}": {100 * majority:.2f} % of the test samples',
        soft_wrap=True,
        markup=False,
    )
    stdout.print(f"{'unchanged, reused' if run.reused else 'saved'}: {run.directory}")

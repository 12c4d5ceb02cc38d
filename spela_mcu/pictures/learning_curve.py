"""The learning curve of a training run, as a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from spela_mcu.reference.training import EpochRecord


def draw_learning_curve(history: Sequence[EpochRecord], best_epoch: int, *, title: str) -> bytes:
    """Accuracy of each exit over the epochs, as a PNG.

    Solid: validation, after the epoch. Dashed: training, each sample just before it is learned.
    The dotted line marks the epoch whose weights are kept.
    """
    # A Figure without pyplot needs no window system and shares no state with the caller.
    figure = Figure(figsize=(7.0, 4.5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    epochs = [record.epoch for record in history]
    marker = "o" if len(epochs) == 1 else None  # a line needs two points
    for index in range(len(history[0].validation_accuracy)):
        validation = [record.validation_accuracy[index] for record in history]
        training = [record.train_accuracy[index] for record in history]
        colour, name = f"C{index}", f"exit {index}"
        axes.plot(epochs, validation, color=colour, marker=marker, label=f"{name}, validation")
        axes.plot(
            epochs,
            training,
            "--",
            color=colour,
            marker=marker,
            alpha=0.6,
            label=f"{name}, training",
        )
    axes.axvline(best_epoch, color="black", linestyle=":", linewidth=1, label="kept")
    axes.set(title=title, xlabel="epoch", ylabel="accuracy")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1.0))
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize="small", ncols=2, loc="lower right")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()

"""A report's pictures as SVG, still readable on a phone."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from spela_mcu.commands.report import Measurements
from spela_mcu.contenders.standings import KeptStanding
from spela_mcu.continual.standings import KeptLearner
from spela_mcu.fixed_point.arithmetic import ONE_Q14, Int64
from spela_mcu.pictures.filters import paint_filters, tiles_height
from spela_mcu.pictures.front_end import paint_samples
from spela_mcu.report.trade_off import trade_off

Axes = Any  # matplotlib's type declarations are unreliable

FLOAT, INTEGER, DEVICE = "0.45", "#0b6e99", "#c2410c"
EXIT_STYLES = ("-", "--", "-.", ":")
"""Of the last exit, the one before it, and so on; the last style of all further ones."""
LEGEND_COLUMNS = 4
BINS = 10
NUMBERS_UP_TO = 12
"""The confusion matrix shows numbers up to this many classes."""

STYLE: Any = {  # matplotlib types each key by itself
    "font.size": 10,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "spela-mcu",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica", "sans-serif"],
}


def draw(paint: Callable[[Figure], None], *, height: float = 2.9) -> str:
    """An SVG 4.4 inches wide; the same figure gives the same text."""
    with mpl.rc_context(STYLE):
        # A Figure without pyplot needs no window system and shares no state.
        figure = Figure(figsize=(4.4, height), layout="constrained")
        paint(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def pictures(found: Measurements) -> dict[str, str]:
    """All pictures, by name."""
    classes = len(found.prepared.dataset.class_names)
    layers = len(found.weights)
    exits = len(found.curve[0].integer_accuracy)
    drawn = {
        "learning": draw(
            lambda figure: _learning(figure, found),
            height=2.9 + 0.2 * -(-(exits + 3) // LEGEND_COLUMNS),
        ),
        "confusion": draw(
            lambda figure: _confusion(figure, found), height=min(4.4, 2.2 + 0.2 * classes)
        ),
        "reliability": draw(lambda figure: _reliability(figure, found)),
        "weights": draw(lambda figure: _weights(figure, found), height=0.7 + 1.5 * layers),
        "halvings": draw(lambda figure: _halvings(figure, found), height=2.2),
    }
    data = found.prepared.dataset
    plan = data.front_end
    if plan is not None:
        drawn["samples"] = draw(lambda figure: paint_samples(figure, data, plan), height=3.4)
    if found.filters:
        height = tiles_height(found.filters)
        drawn["filters"] = draw(lambda figure: paint_filters(figure, found.filters), height=height)
    if exits > 1:
        drawn["early_exit"] = draw(lambda figure: _early_exit(figure, found))
    if found.held_out:
        drawn["roc"] = draw(lambda figure: _roc(figure, found), height=3.4)
    return drawn


def draw_comparison(contenders: tuple[KeptStanding, ...]) -> str:
    """Accuracy at the last exit of each contender of a compare.json."""

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        means = [100 * one.accuracy_mean[-1] for one in contenders]
        spreads = [
            100 * one.accuracy_spread[-1] if one.accuracy_spread else 0.0 for one in contenders
        ]
        colours = [INTEGER if one.name.startswith("spela") else FLOAT for one in contenders]
        places = np.arange(len(contenders))[::-1]
        axes.errorbar(means, places, xerr=spreads, fmt="none", ecolor=FLOAT, capsize=3)
        axes.scatter(means, places, c=colours, zorder=3)
        axes.set_yticks(places, [one.title for one in contenders])
        axes.set_xlabel("test accuracy, %")

    return draw(paint, height=0.8 + 0.27 * len(contenders))


def draw_stream(learners: tuple[KeptLearner, ...]) -> str:
    """Accuracy on all that was learned so far, after each experience of a stream."""

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        for one in learners:
            known = [(at, share) for at, share in enumerate(one.curve) if share is not None]
            places = [at for at, _ in known]
            shares = [100 * share for _, share in known]
            if len(known) == 1:  # it learned everything at once
                axes.axhline(shares[0], color="0.6", linewidth=0.8, linestyle="--", label=one.title)
            else:
                ours = one.name.startswith("spela")
                axes.plot(places, shares, "o-" if ours else "o:", markersize=3.5, label=one.title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="experiences after the first", ylabel="accuracy on all learned so far, %")
        axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.2))

    return draw(paint, height=4.6)


def _learning(figure: Figure, found: Measurements) -> None:
    axes = figure.add_subplot()
    steps = [point.steps for point in found.curve]
    last = len(found.curve[0].integer_accuracy) - 1
    styles = EXIT_STYLES[: last + 1] + (EXIT_STYLES[-1],) * (last + 1 - len(EXIT_STYLES))
    for exit_, style in enumerate(reversed(styles)):
        floats = [100 * point.float_accuracy[exit_] for point in found.curve]
        axes.plot(steps, floats, color=FLOAT, linestyle=style)
        ours = [100 * point.integer_accuracy[exit_] for point in found.curve]
        axes.plot(steps, ours, color=INTEGER, linestyle=style)
        axes.plot([], [], color="black", linestyle=style, label=f"exit {exit_}")
    axes.plot([], [], color=FLOAT, label="float")
    axes.plot([], [], color=INTEGER, label="integer")
    device = found.verification.curve
    axes.plot(
        [point.steps for point in device],
        [100 * point.accuracy[-1] for point in device],
        "o",
        color=DEVICE,
        markersize=4,
        label=f"device, exit {last}",
    )
    axes.set_xscale("symlog", linthresh=10)
    axes.set_xlim(0, None)
    axes.set(xlabel="samples learned", ylabel="test accuracy, %")
    figure.legend(fontsize=8.5, loc="outside lower center", ncols=LEGEND_COLUMNS)


def confusion_matrix(found: Measurements) -> Int64:
    """How often the last exit takes class [row] for class [column] in the test part."""
    classes, y = found.prepared.dataset.classes, found.test_labels
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (y, found.answers.labels[-1]), 1)
    return matrix


def _confusion(figure: Figure, found: Measurements) -> None:
    axes = figure.add_subplot()
    matrix = confusion_matrix(found)
    names = found.prepared.dataset.class_names
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.grid(visible=False)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    if len(names) <= NUMBERS_UP_TO:
        axes.set_xticks(range(len(names)), names, rotation=60, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(names)), names)
        for (row, column), count in np.ndenumerate(matrix):
            if count:
                colour = "white" if shares[row, column] > 0.5 else "black"
                axes.text(
                    column, row, str(count), ha="center", va="center", fontsize=8, color=colour
                )
    axes.set(xlabel="answered", ylabel="true class")


def reliability(margins: Int64, right: NDArray[np.bool_]) -> list[tuple[float, float, int]]:
    """Mean margin, share of correct answers and number of samples, by tenths of the samples."""
    order = np.argsort(margins, kind="stable")
    parts = [part for part in np.array_split(order, BINS) if len(part)]
    return [
        (float(margins[part].mean() / ONE_Q14), float(right[part].mean()), len(part))
        for part in parts
    ]


def _reliability(figure: Figure, found: Measurements) -> None:
    axes = figure.add_subplot()
    for exit_, margins in enumerate(found.answers.margins):
        right = found.answers.labels[exit_] == found.test_labels
        rows = reliability(margins, right)
        axes.plot(
            [row[0] for row in rows],
            [100 * row[1] for row in rows],
            marker="o",
            markersize=3.5,
            label=f"exit {exit_}",
        )
    axes.set(xlabel="margin (mean of a tenth of the samples)", ylabel="right answers, %")
    axes.legend(fontsize=8.5, loc="lower right")


def _early_exit(figure: Figure, found: Measurements) -> None:
    axes = figure.add_subplot()
    y, plan = found.test_labels, found.prepared.plan
    saved, accuracy = trade_off(plan, found.answers, y)
    axes.plot(saved, accuracy, color=INTEGER, label="any threshold at exit 0")
    early = found.early
    axes.plot(
        [100 * (1 - early.macs.mean() / plan.infer_macs)],
        [100 * np.mean(early.labels == y)],
        "o",
        color=DEVICE,
        label="calibrated",
    )
    axes.axvline(0, color="0.6", linewidth=0.8)
    axes.set(xlabel="multiply-accumulates saved, %", ylabel="test accuracy, %")
    axes.legend(fontsize=8.5)


def _roc(figure: Figure, found: Measurements) -> None:
    axes = figure.add_subplot()
    for one in found.held_out:
        axes.plot(100 * one.false_alarms, 100 * one.hits, label=f"{one.name}: area {one.area:.2f}")
    axes.plot([0, 100], [0, 100], color="0.6", linewidth=0.8, linestyle="--")
    axes.set(xlabel="known samples called unknown, %", ylabel="held-out class called unknown, %")
    axes.legend(fontsize=8.5, loc="lower right")


def _weights(figure: Figure, found: Measurements) -> None:
    all_axes = figure.subplots(len(found.weights), 1, squeeze=False)[:, 0]
    for index, (axes, one) in enumerate(zip(all_axes, found.weights, strict=True)):
        axes.stairs(100 * one.before, one.edges, color=FLOAT, label="at the start")
        axes.stairs(
            100 * one.after, one.edges, color=INTEGER, fill=True, alpha=0.6, label="learned"
        )
        axes.set(ylabel="% of weights", title=f"layer {index}")
        axes.title.set_fontsize(10)
    all_axes[0].legend(fontsize=8.5)
    all_axes[-1].set_xlabel("weight, integer")


def _halvings(figure: Figure, found: Measurements) -> None:
    axes = figure.add_subplot()
    steps = [point.steps for point in found.curve]
    for index in range(len(found.weights)):
        counts = [point.halvings[index] for point in found.curve]
        axes.step(steps, counts, where="post", marker="o", markersize=3, label=f"layer {index}")
    axes.set_xscale("symlog", linthresh=10)
    axes.set_ylim(-0.1, max(1, *(max(point.halvings) for point in found.curve)) + 0.3)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="samples learned", ylabel="times halved")
    axes.legend(fontsize=8.5, loc="upper left")

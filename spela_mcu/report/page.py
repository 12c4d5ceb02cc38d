"""A report as one self-contained HTML file: text, tables and pictures."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from spela_mcu import __version__
from spela_mcu.backbone.graph import short_name
from spela_mcu.commands.report import Measurements
from spela_mcu.contenders.standings import KeptComparison
from spela_mcu.continual.standings import FIGURES, KeptStreamComparison
from spela_mcu.firmware.front_end import described
from spela_mcu.fixed_point.arithmetic import ONE_Q14
from spela_mcu.fixed_point.early_exit import exit_macs
from spela_mcu.fixed_point.layer import LayerPlan
from spela_mcu.fixed_point.plan import FixedPointPlan
from spela_mcu.pictures.report import confusion_matrix
from spela_mcu.pipeline import Prepared
from spela_mcu.proof.accuracy import balanced_accuracy, majority_share
from spela_mcu.resources import resource_directory


@dataclass(frozen=True)
class Table:
    """Rows of text; the first column holds headings, the others figures."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def report_page(
    found: Measurements,
    pictures: dict[str, str],
    comparison: KeptComparison | None,
    *,
    command: str,
    versions: dict[str, str],
    streams: tuple[KeptStreamComparison, ...] = (),
) -> str:
    """The page.

    Args:
        found: what was measured.
        pictures: SVGs by name.
        comparison: a compare.json of this model, if there is one.
        command: what was typed.
        versions: of the packages used.
        streams: comparisons of this model on streams.
    """
    prepared, verification = found.prepared, found.verification
    plan, data = prepared.plan, prepared.dataset
    early, y = found.early, found.test_labels
    full = 100 * float(np.mean(found.answers.labels[-1] == y))
    left_early = 100 * float(np.mean(early.exits < len(plan.layers) - 1))
    return str(
        _environment()
        .get_template("report.html.j2")
        .render(
            name=prepared.spec.name,
            version=__version__,
            command=command,
            versions=versions,
            spec=prepared.spec,
            plan=plan,
            data=data,
            widths=_widths(plan),
            backbone=_backbone(prepared),
            front_end=() if data.front_end is None else tuple(described(data.front_end)),
            drawn=prepared.drawn,
            test_count=len(y),
            tested=found.tested,
            verification=verification,
            curve_samples=found.curve_samples,
            accuracy=_accuracy(found),
            majority=100 * majority_share(data, y),
            balanced=100 * balanced_accuracy(found.answers.labels[-1], y),
            per_class=_per_class(found),
            confusions=confusions(found),
            exits=_exits(found),
            early={
                "asked": prepared.spec.exits.early,
                "any": any(layer.exit.exit_margin for layer in found.early_plan.layers),
                "single": len(plan.layers) == 1,
                "share": left_early,
                "saved": 100 * (1 - float(early.macs.mean()) / plan.infer_macs),
                "full": full,
                "accuracy": 100 * float(np.mean(early.labels == y)),
                "unknown": 100 * float(early.unknown.mean()),
                "loss_points": prepared.spec.exits.loss_points,
                "validation": len(data.validation),
            },
            held_out=_held_out(found) if found.held_out else None,
            quantization=_quantization(found),
            memory=_memory(found),
            instructions=_instructions(found),
            comparison=comparison,
            contenders=None if comparison is None else _contenders(comparison),
            streams=[(one, stream_table(one)) for one in streams],
            picture={name: _image(svg) for name, svg in pictures.items()},
        )
    )


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(resource_directory("templates")),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["commas"] = lambda value: f"{value:,}"
    return environment


def _image(svg: str) -> Markup:
    """The address (data URL) that holds a picture."""
    return Markup("data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode())


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"


def _accuracy(found: Measurements) -> Table:
    right = (found.answers.labels == found.test_labels).mean(axis=1)
    in_full = found.trained_in_full
    rows = []
    for exit_, share in enumerate(right.tolist()):
        rows.append(
            (
                f"exit {exit_}",
                "" if in_full is None else _percent(in_full[exit_]),
                _percent(found.float_learned[exit_]),
                _percent(found.integer_learned[exit_]),
                _percent(share),
            )
        )
    return Table(
        ("", "float, trained in full", "float, learned alike", "integer, learned", "as used"),
        tuple(rows),
    )


def _held_out(found: Measurements) -> Table:
    rows = (
        (
            one.name,
            f"{one.unknown:,}",
            f"{one.known:,}",
            f"{one.area:.3f}",
            f"{one.margin_area:.3f}",
        )
        for one in found.held_out
    )
    headings = ("held out", "its samples", "known samples", "area, by cosine", "area, by margin")
    return Table(headings, tuple(rows))


def _per_class(found: Measurements) -> Table:
    y, names = found.test_labels, found.prepared.dataset.class_names
    right = found.answers.labels == y
    rows = []
    for label, name in enumerate(names):
        of_class = right[:, y == label]
        shares = [_percent(float(row.mean())) if row.size else "-" for row in of_class]
        rows.append((name, f"{of_class.shape[1]:,}", *shares))
    exits = tuple(f"exit {k}" for k in range(len(right)))
    return Table(("class", "samples", *exits), tuple(rows))


def _exits(found: Measurements) -> Table:
    plan, early, y = found.early_plan, found.early, found.test_labels
    macs, full = exit_macs(plan), found.prepared.plan.infer_macs
    rows = []
    for index, layer in enumerate(plan.layers):
        here = early.exits == index
        last = index == len(plan.layers) - 1
        right = float(np.mean(early.labels[here] == y[here])) if here.any() else None
        rows.append(
            (
                f"exit {index}",
                "the rest" if last else _q14(layer.exit.exit_margin, "nobody"),
                f"{100 * float(here.mean()):.1f}",
                "-" if right is None else _percent(right),
                f"{macs[index]:,}",
                f"{100 * (1 - macs[index] / full):+.1f}",
                _q14(layer.exit.reject_cosine, "none"),
            )
        )
    headings = ("", "margin from", "leave here %", "of them right %", "MACs", "MACs saved %")
    return Table((*headings, "unknown below cosine"), tuple(rows))


def _q14(value: int, none: str) -> str:
    return f"{value / ONE_Q14:.4f}" if value else none


def _quantization(found: Measurements) -> Table:
    layers = found.verification.quantization
    rows = [
        (
            f"layer {index}",
            f"{layer.updates:,}",
            f"{100 * layer.rounded_to_zero:.1f}",
            f"{100 * layer.saturated:.2f}",
            f"{layer.multipliers_clipped:,}",
            str(found.curve[-1].halvings[index]),
            f"{100 * weights.at_end:.2f}",
            f"{silent.dead_units} of {silent.units}",
            f"{100 * silent.silent_share:.1f}",
        )
        for index, (layer, weights, silent) in enumerate(
            zip(layers, found.weights, found.verification.silence, strict=True)
        )
    ]
    headings = ("", "updates", "to zero %", "ran into the end %", "clipped", "halvings")
    return Table((*headings, "weights at the end %", "dead units", "silent %"), tuple(rows))


def _memory(found: Measurements) -> Table:
    build, memory = found.verification.build, found.prepared.memory
    board = memory.board
    rows = [
        ("flash, measured", f"{build.flash_bytes:,}", _of(build.flash_bytes, board.flash.bytes)),
        ("RAM, measured", f"{build.ram_bytes:,}", _of(build.ram_bytes, board.ram.bytes)),
        ("RAM: weights", f"{memory.weights:,}", _of(memory.weights, board.ram.bytes)),
        ("RAM: buffers", f"{memory.buffers:,}", _of(memory.buffers, board.ram.bytes)),
        ("RAM: pending updates", f"{memory.pending:,}", _of(memory.pending, board.ram.bytes)),
        ("RAM: application", f"{memory.application:,}", _of(memory.application, board.ram.bytes)),
        ("RAM: stack reserved", f"{memory.stack:,}", _of(memory.stack, board.ram.bytes)),
        ("stack used at most", f"{found.verification.stack_bytes:,}", ""),
    ]
    if memory.front_end:
        size = f"{memory.front_end:,}"
        rows.insert(5, ("RAM: front end", size, _of(memory.front_end, board.ram.bytes)))
    if memory.rehearsal is not None:
        room = memory.rehearsal.region.bytes
        rows.insert(1, ("flash: samples rehearsed", f"{room:,}", _of(room, board.flash.bytes)))
    return Table(("", "bytes", "of the board's"), tuple(rows))


def _widths(plan: FixedPointPlan) -> str:
    """Inputs and units of the layers behind one another; taps are named in `_backbone`."""
    layers = plan.layers[plan.taps :]
    return "-".join(map(str, (layers[0].layer_inputs - plan.bias, *map(_width, layers))))


def _width(layer: LayerPlan) -> str:
    """What a layer hands on: its units, or the sides and channels of its map."""
    if layer.convolution is None:
        return str(layer.units)
    return "x".join(map(str, layer.convolution.window.pooled))


def _backbone(prepared: Prepared) -> str:
    """The frozen network in front of the layers, in words; empty if there is none."""
    file, plan = prepared.spec.network.backbone, prepared.dataset.backbone
    if file is None or plan is None:
        return ""
    shape = " x ".join(map(str, plan.sample.shape))
    return (
        f"Its inputs are the {plan.features.shape.size} features that the frozen backbone "
        f"{file.name}, cut at {short_name(plan.cut)}, makes of a sample of {shape} values, with "
        f"{plan.macs:,} multiply-accumulates." + _taps(prepared)
    )


def _taps(prepared: Prepared) -> str:
    """The exits within it, in words; empty if there are none."""
    plan, backbone = prepared.plan, prepared.dataset.backbone
    if backbone is None or not plan.taps:
        return ""
    taps = zip(backbone.taps, plan.layers[: plan.taps], strict=False)
    exits = " and ".join(
        f"exit {number}, a layer of {layer.units} units, the means of the {layer.inputs} channels "
        f"of {short_name(tap.activation.name)}"
        for number, (tap, layer) in enumerate(taps)
    )
    return f" On its way it gives {exits}."


def _of(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %"


def _instructions(found: Measurements) -> Table:
    plan, verification = found.prepared.plan, found.verification
    recalled = ", its features recalled" if verification.recalls else ""
    learned = plan.macs if verification.recalls else plan.infer_macs
    counts = [
        ("inference at the last exit", verification.infer_instructions, plan.infer_macs),
        (f"learning step{recalled}, mean", verification.learn_instructions, learned),
    ]
    if plan.batch > 1:
        longest = verification.learn_instructions_most
        counts.append(("longest learning step: it applies what is pending", longest, learned))
    rows = [
        (what, f"{count:,}", f"{count / macs:.2f}")
        for what, count, macs in counts
        if count is not None
    ]
    return Table(("", "instructions", "per multiply-accumulate"), tuple(rows))


def _contenders(comparison: KeptComparison) -> Table:
    rows = []
    for one in comparison.contenders:
        mean, spread, cost = one.accuracy_mean[-1], one.accuracy_spread, one.cost
        shown = _percent(mean) + (f" ± {_percent(spread[-1])}" if spread else "")
        figures: tuple[int | None, ...] = (None,) * 4
        if cost is not None:
            sizes = (cost.flash_bytes, cost.ram_bytes)
            figures = (*sizes, cost.instructions, cost.learn_instructions)
        rows.append((one.title, shown, *("-" if n is None else f"{n:,}" for n in figures)))
    headings = ("", "last exit %", "flash, bytes", "RAM, bytes", "inference, instr.")
    return Table((*headings, "learning, instr."), tuple(rows))


def stream_table(comparison: KeptStreamComparison) -> Table:
    """The learners of a stream, and the figures that any of them has."""
    learners = comparison.learners
    used = [name for name in FIGURES if any(one.mean.get(name) is not None for one in learners)]
    rows = []
    for one in learners:
        cells = []
        for name in used:
            mean, spread = one.mean.get(name), one.spread.get(name)
            shown = "-" if mean is None else f"{100 * mean:.1f}"
            cells.append(shown + ("" if spread is None else f" ± {100 * spread:.1f}"))
        rows.append((one.title, *cells, "-" if one.bytes is None else f"{one.bytes:,}"))
    headings = ("", *(f"{FIGURES[name]} %" for name in used), "bytes")
    return Table(headings, tuple(rows))


def confusions(found: Measurements, most: int = 3) -> list[tuple[str, str, int]]:
    """The commonest mistakes of the last exit: true class, answered class, count."""
    matrix = confusion_matrix(found)
    np.fill_diagonal(matrix, 0)
    names = found.prepared.dataset.class_names
    order = np.argsort(-matrix, axis=None, kind="stable")[:most]
    places = [np.unravel_index(at, matrix.shape) for at in order]
    return [
        (names[row], names[column], int(matrix[row, column]))
        for row, column in places
        if matrix[row, column]
    ]

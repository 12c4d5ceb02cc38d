"""What `device` shows of a device: tables, and the live view of `monitor`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from spela_mcu.cli.console import stdout
from spela_mcu.commands.device import Session
from spela_mcu.commands.device_difference import Difference, Pair
from spela_mcu.device.answers import GuardFigures, Info, Statistics

BARS = "▁▂▃▄▅▆▇█"
POINTS_SHOWN = 60


def say(text: str) -> None:
    """Prints a line on stdout."""
    stdout.print(text, markup=False, soft_wrap=True)


def info_summary(info: Info) -> dict[str, object]:
    """INFO as JSON."""
    return {
        **asdict(info),
        "digest": f"0x{info.digest:08X}",
        "start": info.start.name,
    }


def statistics_summary(statistics: Statistics, names: Sequence[str]) -> dict[str, object]:
    """STATISTICS as JSON; margins are cosines, drift is the last answers' less the mean."""
    return {
        **{key: value for key, value in asdict(statistics).items() if isinstance(value, int)},
        "layers": [asdict(layer) for layer in statistics.layers],
        "classes": [
            {
                "name": name,
                "learned": one.learned,
                "right": one.right,
                "answered": one.answered,
                "mean_margin": one.confidence,
                "drift": one.drift,
            }
            for name, one in zip(names, statistics.classes, strict=True)
        ],
    }


def statistics_view(statistics: Statistics, names: Sequence[str]) -> RenderableType:
    """The figures of learning, of layers and of classes."""
    learned = sum(one.learned for one in statistics.classes)
    right = sum(one.right for one in statistics.classes)
    head = Table(box=None, pad_edge=False, show_header=False)
    head.add_column()
    head.add_column(justify="right")
    for what, number in (
        ("samples learned", f"{learned:,}"),
        ("  right before they were", _share(right, learned)),
        ("layer updates made", f"{statistics.updates:,}"),
        ("  skipped: nothing to learn", f"{statistics.skipped:,}"),
        ("multipliers clipped", f"{statistics.clipped:,}"),
        ("layers silent", f"{statistics.silent:,}"),
        ("answered as unknown", f"{statistics.unknown:,}"),
    ):
        head.add_row(what, number)
    layers = _table("layer", "saturated weights", "halvings", "pending updates")
    for index, layer in enumerate(statistics.layers):
        numbers = (layer.saturated, layer.halvings, layer.pending)
        layers.add_row(str(index), *(f"{number:,}" for number in numbers))
    classes = _table("class", "learned", "right", "answered", "mean margin", "drift")
    for name, one in zip(names, statistics.classes, strict=True):
        classes.add_row(
            escape(name),
            f"{one.learned:,}",
            _share(one.right, one.learned),
            f"{one.answered:,}",
            "" if one.confidence is None else f"{one.confidence:.3f}",
            "" if one.drift is None else f"{one.drift:+.3f}",
        )
    return Group(head, Text(), layers, Text(), classes)


def guard_text(guard: GuardFigures) -> str:
    """What the guard has seen, in a line."""
    least = max(guard.baseline - guard.drop, 0)
    return (
        f"guard: {guard.right} of {guard.samples} samples right, {guard.baseline} at the "
        f"checkpoint; below {least} it goes back, which it did {guard.times_back} times; it looks "
        f"every {guard.interval} samples learned"
    )


def difference_summary(found: Difference) -> dict[str, object]:
    """A difference as JSON."""
    return {"equal": found.is_equal, **asdict(found)}


def difference_view(found: Difference, one: str, other: str) -> RenderableType:
    """A difference in words and a table."""
    if found.is_equal:
        weights = sum(layer.weights for layer in found.layers)
        parts: list[RenderableType] = [
            Text(
                f"equal: {one} and {other} agree in all {weights:,} weights, and in all else that "
                "later answers depend on"
            )
        ]
    else:
        parts = [Text(f"different: {one}, and {other}"), _layers_differing(found)]
        if not found.random.is_equal:
            parts.append(Text("random numbers: the generators are in different states"))
    told = [f"{name} {_both(pair)}" for name, pair in found.counters.items() if not pair.is_equal]
    if told:
        parts.append(Text(f"counters: {', '.join(told)}".replace("_", " ")))
    return Group(*parts)


def _layers_differing(found: Difference) -> Table:
    table = _table("layer", "weights", "differ", "largest", "mean", "halvings", "pending updates")
    for index, layer in enumerate(found.layers):
        if layer.is_equal:
            table.add_row(str(index), f"{layer.weights:,}", "equal")
            continue
        pending = _both(layer.pending)
        if layer.pending.is_equal and not layer.same_pending:
            pending += ", not the same"
        table.add_row(
            str(index),
            f"{layer.weights:,}",
            f"{layer.differing:,}",
            str(layer.largest),
            f"{layer.mean:.2f}",
            _both(layer.halvings),
            pending,
        )
    return table


@dataclass
class Monitor:
    """What the live view remembers.

    Attributes:
        session: the device.
        accuracy: of the last stretches of samples, oldest first.
        note: a line below the heading.
    """

    session: Session
    accuracy: list[float] = field(default_factory=list)
    note: str = ""

    def add(self, accuracy: float) -> None:
        """Adds a point to the curve."""
        self.accuracy = [*self.accuracy, accuracy][-POINTS_SHOWN:]

    def view(self, statistics: Statistics) -> RenderableType:
        """The whole view."""
        info = self.session.info
        parts: list[RenderableType] = [Text(f"{info.name}  0x{info.digest:08X}", style="bold")]
        if self.note:
            parts.append(Text(self.note))
        if self.accuracy:
            curve = "".join(BARS[round(share * (len(BARS) - 1))] for share in self.accuracy)
            parts.append(Text(f"accuracy {curve} {100 * self.accuracy[-1]:.1f} %"))
        parts += [Text(), statistics_view(statistics, self.session.class_names)]
        return Group(*parts)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for index, name in enumerate(columns):
        table.add_column(name, justify="right" if index else "left")
    return table


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else ""


def _both(pair: Pair) -> str:
    return f"{pair.one:,}" if pair.is_equal else f"{pair.one:,} and {pair.other:,}"

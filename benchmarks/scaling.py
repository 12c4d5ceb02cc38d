"""How the cost of a call grows with the network: instructions against multiply-accumulates.

From the repository's root:

    python -m benchmarks.scaling --core cortex-m4 --picture docs/scaling.png
"""

from __future__ import annotations

import io
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.contender import Shape, Spela
from benchmarks.measurement import Measurement, measure
from benchmarks.program import Tools
from benchmarks.report import Benchmark, Report, Table, report_options
from spela_mcu.cores import CORES
from spela_mcu.firmware.toolchain import OPTIMIZATIONS, Optimization, find_compiler
from spela_mcu.progress import progress_bars

SHAPES = tuple(
    Shape(inputs, hidden, 32)
    for inputs, hidden in (
        (32, 32), (64, 48), (128, 64), (256, 64), (256, 128), (512, 128), (784, 128), (784, 192),
        (1024, 256), (1024, 512),
    )
)  # fmt: skip
"""From two thousand to half a million weights."""


@dataclass(frozen=True)
class Line:
    """Instructions = fixed + per_mac * MACs, by least squares of relative residuals.

    Attributes:
        worst: the largest residual, as a share of what was measured.
    """

    fixed: float
    per_mac: float
    worst: float

    def at(self, macs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Instructions that the line predicts."""
        return self.fixed + self.per_mac * macs


def fit(macs: NDArray[np.float64], instructions: NDArray[np.float64]) -> Line:
    """The line through some points; relative, so that small networks count like large ones."""
    matrix = np.column_stack((np.ones_like(macs), macs)) / instructions[:, None]
    (fixed, per_mac), *_ = np.linalg.lstsq(matrix, np.ones_like(macs), rcond=None)
    residuals = (fixed + per_mac * macs) / instructions - 1
    return Line(float(fixed), float(per_mac), float(np.abs(residuals).max()))


def draw(core: str, macs: NDArray[np.float64], counts: dict[str, NDArray[np.float64]]) -> bytes:
    """Points and lines as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for name, instructions in counts.items():
        line = fit(macs, instructions)
        (points,) = axes.loglog(macs, instructions, "o", label=name)
        axes.loglog(
            macs, line.at(macs), color=points.get_color(),
            label=f"{line.fixed:,.0f} + {line.per_mac:.2f} MACs",
        )  # fmt: skip
    axes.set_xlabel("multiply-accumulates of an inference")
    axes.set_ylabel("instructions")
    axes.set_title(f"One call on {core}")
    axes.legend()
    picture = io.BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()


def tables(
    core: str, found: list[Measurement], counts: dict[str, NDArray[np.float64]]
) -> tuple[Table, ...]:
    """The points, and the lines through them."""
    macs = _macs(found)
    lines = {name: fit(macs, instructions) for name, instructions in counts.items()}
    points = tuple(
        (
            str(one.shape),
            f"{one.shape.macs:,}",
            *(f"{values[row]:,.0f}" for values in counts.values()),
            *(f"{values[row] / one.shape.macs:.2f}" for values in counts.values()),
        )
        for row, one in enumerate(found)
    )
    fits = tuple(
        (name, f"{line.fixed:,.0f}", f"{line.per_mac:.3f}", f"{100 * line.worst:.1f} %")
        for name, line in lines.items()
    )
    heads = ("network", "MACs", *counts, *(f"{name}, per MAC" for name in counts))
    return (
        Table(f"Instructions of one call on {core}", heads, points),
        Table(
            "Straight lines through them",
            ("", "fixed", "per MAC", "largest residual"),
            fits,
        ),
    )


def _macs(found: list[Measurement]) -> NDArray[np.float64]:
    return np.array([one.shape.macs for one in found], float)


@click.command(cls=Benchmark)
@click.option("--core", type=click.Choice(CORES), default="cortex-m4", show_default=True)
@click.option(
    "--optimization", "level", type=click.Choice(OPTIMIZATIONS), default="O2", show_default=True
)
@click.option(
    "--picture", type=click.Path(dir_okay=False, path_type=Path), help="Where to draw it (PNG)."
)
@report_options
def command(
    *,
    core: str,
    level: Optimization,
    picture: Path | None,
    as_json: bool,
    markdown: Path | None,
) -> None:
    """Count instructions over sizes of networks, and fit a straight line."""
    tools = Tools(find_compiler(), level)
    found = []
    with tempfile.TemporaryDirectory() as scratch, progress_bars() as progress:
        for done, shape in enumerate(SHAPES):
            progress("measuring", done, len(SHAPES))
            found.append(measure(Spela(), shape, core, tools, Path(scratch)))
    counts = {
        "infer": np.array([one.infer.instructions for one in found]),
        "learn": np.array([one.learn.instructions for one in found if one.learn is not None]),
    }
    if picture is not None:
        picture.write_bytes(draw(core, _macs(found), counts))
    lines = {name: asdict(fit(_macs(found), values)) for name, values in counts.items()}
    points = [
        {"network": str(one.shape), "macs": one.shape.macs}
        | {name: values[row] for name, values in counts.items()}
        for row, one in enumerate(found)
    ]
    words = ["python -m benchmarks.scaling", f"--core {core}"]
    words += [f"--optimization {level}"] * (level != "O2")
    conditions = (f"{tools.compiler.version}, -{level}; {found[0].simulator}",)
    Report(
        "scaling",
        " ".join(words),
        conditions,
        tables(core, found, counts),
        {"conditions": conditions, "lines": lines, "points": points},
    ).emit(as_json=as_json, markdown=markdown)


if __name__ == "__main__":
    command()

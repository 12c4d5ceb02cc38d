"""The picture of the demo: the device's learning curve."""

from __future__ import annotations

import io

from spela_mcu.commands.verify import Verification


def draw_device_curve(found: Verification) -> bytes:
    """The device's accuracy per exit over the samples it learned, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.2), layout="constrained")
    axes = figure.add_subplot()
    steps = [point.steps for point in found.curve]
    for exit_ in range(len(found.device_accuracy)):
        shares = [100 * point.accuracy[exit_] for point in found.curve]
        axes.plot(steps, shares, marker="o", markersize=3.5, label=f"device, exit {exit_}")
    if found.trained is not None:
        axes.axhline(
            100 * found.trained.accuracy[-1],
            color="0.5",
            linestyle="--",
            label="float, trained in full",
        )
    axes.set_xlabel("samples learned on the chip")
    axes.set_ylabel("test accuracy, %")
    axes.set_title(f"{found.prepared.spec.name}: learning on {found.build.project.board.core}")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()

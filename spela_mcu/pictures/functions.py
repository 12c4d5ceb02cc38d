"""The picture of `bench`: where the instructions are spent."""

from __future__ import annotations

import io
import itertools

import numpy as np

from spela_mcu.commands.bench import Bench


def draw_functions(found: Bench) -> bytes:
    """The instructions of each call by function, as a PNG."""
    from matplotlib.figure import Figure

    costs = found.costs()
    names = dict.fromkeys(itertools.chain.from_iterable(c.functions for c in costs.values()))
    shown = [
        name
        for name in names
        if any(c.functions.get(name, 0) > 0.01 * c.instructions for c in costs.values())
    ]
    figure = Figure(figsize=(8.0, 1.6 + 0.6 * len(costs)), layout="constrained")
    axes = figure.add_subplot()
    left = np.zeros(len(costs))
    for name in [*shown, "others"]:
        parts = np.array(
            [
                sum(
                    n
                    for function, n in cost.functions.items()
                    if function == name or (name == "others" and function not in shown)
                )
                for cost in costs.values()
            ]
        )
        axes.barh(list(costs), parts / found.macs, left=left / found.macs, label=name)
        left += parts
    axes.invert_yaxis()
    axes.set_xlabel("instructions per multiply-accumulate of an inference")
    axes.set_title(f"{found.prepared.spec.name} on {found.board.core}, {found.build.optimization}")
    axes.legend(fontsize="small", ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.3))
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()

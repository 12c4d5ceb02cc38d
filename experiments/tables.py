"""Results as Markdown tables."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spela_mcu.fixed_point.network import LayerQuantization


def accuracy_table(shares: dict[str, NDArray[np.float64]], reference: str) -> str:
    """Accuracy per exit, mean and standard deviation over seeds, in %.

    Args:
        shares: of right answers, [seeds, exits], by name of the row.
        reference: the row against which the others' last exits stand, seed by seed.
    """
    exits = shares[reference].shape[1]
    heads = ["learned in", *(f"exit {k}" for k in range(exits)), f"last exit, above {reference}"]
    rows = []
    for name, share in shares.items():
        cells = [_mean_and_deviation(100 * share[:, k]) for k in range(exits)]
        above = 100 * (share[:, -1] - shares[reference][:, -1])
        rows.append([name, *cells, "" if name == reference else _mean_and_deviation(above, "+")])
    return _markdown(heads, rows)


def quantization_table(found: dict[str, tuple[LayerQuantization, ...]]) -> str:
    """What each integer format did to the updates, layer by layer."""
    heads = ["learned in", "layer", "updates", "rounded to zero, %", "saturated, %", "clipped"]
    rows = [
        [
            name,
            str(index),
            f"{layer.updates:,}",
            f"{100 * layer.rounded_to_zero:.1f}",
            f"{100 * layer.saturated:.2f}",
            f"{layer.multipliers_clipped:,}",
            str(layer.halvings),
        ]
        for name, layers in found.items()
        for index, layer in enumerate(layers)
    ]
    return _markdown([*heads, "halvings"], rows)


def _mean_and_deviation(values: NDArray[np.float64], sign: str = "") -> str:
    return f"{values.mean():{sign}.2f} ± {values.std(ddof=1):.2f}"


def _markdown(heads: list[str], rows: list[list[str]]) -> str:
    rule = ["---", *["---:"] * (len(heads) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [heads, rule, *rows])

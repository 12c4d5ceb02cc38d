"""Which runs make up a table of docs/accuracy.md and docs/continual.md; one module a subject."""

from __future__ import annotations

from experiments.studies import convolution, dense, drift, streams, wear
from experiments.studies.study import Row, Study

__all__ = ["STUDIES", "Row", "Study"]

STUDIES: dict[str, Study] = {
    **dense.STUDIES,
    **convolution.STUDIES,
    **streams.STUDIES,
    **wear.STUDIES,
    **drift.STUDIES,
}
"""By the name that the command takes; the cheap ones take seconds per run."""

"""Networks trained in float that go on learning where the data change."""

from __future__ import annotations

from experiments.studies.settings import GESTURES, MNIST, OVER_TIME
from experiments.studies.study import Row, Study

STUDIES: dict[str, Study] = {
    "drift": Study(
        "Drift: MNIST's digits, trained in float, going on in int8", MNIST,
        tuple(
            Row(f"{drift}, rate {rate}",
                {"learning.start": "trained", "learning.learning_rate": rate,
                 "training.epochs": 10},
                {"drift": drift})
            for drift in ("rotated", "noisier", "rescaled") for rate in (0.02, 0.1)
        ),
        seeds=5, measure="drift",
    ),
    "wearer": Study(
        "A new wearer: gestures, trained on the nine others in float, going on in int8", GESTURES,
        (
            *(Row(f"rate {r}", {"learning.learning_rate": r}) for r in (0.01, 0.03, 0.1)),
            *(
                Row(f"convolutions 16-32, rate {r}",
                    {**OVER_TIME, "network.margin": 0.2, "learning.learning_rate": r})
                for r in (0.01, 0.03, 0.1)
            ),
        ), seeds=10, measure="wearer",
    ),
}  # fmt: skip

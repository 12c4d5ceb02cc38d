"""Windows of a smartwatch's motion sensor: seven shoulder exercises by ten people.

The recordings ship with seglearn (Burns et al., Physiological Measurement 39, 2018): 140
recordings of about half a minute, 50 readings a second of acceleration (in g) and rate of turn
(in rad/s), three axes each, with the watch on the left or right wrist.
"""

import numpy as np
from numpy.typing import NDArray
from seglearn.datasets import load_watch

WINDOW = 100  # readings: 2 s, about one repetition of an exercise
STEP = 50  # from one window to the next, as front_end.step in model.yaml
EXERCISES = {
    "PEN": "pendulum",
    "ABD": "abduction",
    "FEL": "forward elevation",
    "IR": "internal rotation",
    "ER": "external rotation",
    "TRAP": "trapezius row",
    "ROW": "bent-over row",
}


def windows() -> tuple[NDArray[np.float32], NDArray[np.str_], NDArray[np.int64]]:
    """Readings, labels and subjects for `source: python`.

    Returns:
        x: float32 [n, 100, 6], readings by axes (ax, ay, az in g, wx, wy, wz in rad/s).
        y: [n], names of the exercises.
        groups: [n], numbers of the subjects; no subject is in two parts of the split.
    """
    recordings = load_watch()
    names = recordings["y_labels"]
    x, y, groups = [], [], []
    for signal, label, subject in zip(
        recordings["X"], recordings["y"], recordings["subject"], strict=True
    ):
        for start in range(0, len(signal) - WINDOW + 1, STEP):
            x.append(signal[start : start + WINDOW])
            y.append(EXERCISES[names[int(label)]])
            groups.append(int(subject))
    return np.asarray(x, dtype=np.float32), np.asarray(y), np.asarray(groups)

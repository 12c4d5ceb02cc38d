"""Windows of a smartwatch's motion sensor: seven shoulder exercises by ten people.

The recordings ship with seglearn (Burns et al., Physiological Measurement 39, 2018): 140
recordings of about half a minute, 50 samples a second of acceleration (in g) and rate of turn
(in rad/s), three axes each, with the watch on the left or right wrist.
"""

import numpy as np
from numpy.typing import NDArray
from seglearn.datasets import load_watch

WINDOW = 100  # samples: 2 s, about one repetition of an exercise
STEP = 50  # samples from one window to the next: windows overlap by half
AVERAGED = 4  # samples averaged to one point: 12.5 points a second are enough for an arm
FULL_SCALE = np.array([4, 4, 4, 12, 12, 12], dtype=np.float32)  # g and rad/s; few samples exceed it
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
    """Samples, labels and subjects for `source: python`.

    Returns:
        x: float32 [n, 25, 6], points by axes (ax, ay, az, wx, wy, wz), 1 at full scale.
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
            window = signal[start : start + WINDOW]
            points = window.reshape(WINDOW // AVERAGED, AVERAGED, len(FULL_SCALE)).mean(axis=1)
            x.append(points / FULL_SCALE)
            y.append(EXERCISES[names[int(label)]])
            groups.append(int(subject))
    return np.asarray(x, dtype=np.float32), np.asarray(y), np.asarray(groups)

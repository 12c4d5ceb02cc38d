"""Synthesises build/recordings: the vibration of bearings, sound and worn, of ten machines.

    python examples/vibration/prepare.py

A machine turns at a speed of its own and has a resonance of its own. A fault of a bearing's race or
ball strikes it at a rate that follows from the speed, and the blow rings at the resonance; a shaft
out of balance swings once a turn.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent / "build"
RATE = 1600
SECONDS = 2.0
MACHINES, TAKES = 10, 2
STRIKES = {"sound": 0.0, "outer race": 3.6, "inner race": 5.4, "ball": 2.3, "unbalanced": 0.0}
"""Blows a turn, in each state."""

Float = NDArray[np.float64]


def main() -> None:
    """Writes a folder for each state, and a file for each recording."""
    rng = np.random.default_rng(0)
    count = 0
    for machine in range(MACHINES):
        speed, resonance = rng.uniform(22, 30), rng.uniform(420, 560)
        for state in STRIKES:
            for take in range(TAKES):
                directory = HERE / "recordings" / state
                directory.mkdir(parents=True, exist_ok=True)
                readings = vibration(state, speed, resonance, rng)
                write(directory / f"machine{machine}_{take}.csv", readings)
                count += 1
    print(f"wrote {count} recordings into {HERE / 'recordings'}")


def vibration(state: str, speed: float, resonance: float, rng: np.random.Generator) -> Float:
    """Acceleration [readings, 2] in g: across the shaft, and along it."""
    time = np.arange(int(RATE * SECONDS)) / RATE
    turn = speed * (1 + 0.01 * rng.normal()) * time + rng.uniform()
    swing = 0.9 if state == "unbalanced" else 0.15
    radial = swing * np.sin(2 * np.pi * turn) + 0.1 * np.sin(4 * np.pi * turn + rng.uniform(0, 6))
    if STRIKES[state]:
        blows = np.diff(np.floor(STRIKES[state] * turn), prepend=0) > 0
        strength = rng.uniform(1.2, 2.4, len(time))
        if state == "inner race":  # it passes through the load once a turn
            strength *= 0.55 + 0.45 * np.cos(2 * np.pi * turn)
        ringing = np.exp(-time[:160] * 120) * np.sin(2 * np.pi * resonance * time[:160])
        radial += np.convolve(blows * strength, ringing)[: len(time)]
    noise = rng.normal(0, 0.12, (len(time), 2))
    axial = 1 + 0.4 * np.roll(radial, 2)  # the sensor stands upright: 1 g
    both: Float = np.column_stack((radial, axial)) + noise
    return both


def write(file: Path, readings: Float) -> None:
    """A CSV with a timestamp a line, in microseconds."""
    lines = ["us,radial,axial\n"]
    lines += [
        f"{round(number * 1e6 / RATE)},{radial:.4f},{axial:.4f}\n"
        for number, (radial, axial) in enumerate(readings)
    ]
    file.write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()

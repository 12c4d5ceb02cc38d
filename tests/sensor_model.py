"""A model on a made-up sensor: three kinds of vibration on two axes."""

from pathlib import Path

import numpy as np
import yaml

RATE, WINDOW = 200, 128


def windows(count=240, seed=0):
    """Readings float [n, 128, 2], and their labels: hums of three pitches, in noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    time = np.arange(WINDOW) / RATE
    pitch = np.array([8, 20, 45])[labels] * rng.uniform(0.95, 1.05, count)
    phase = rng.uniform(0, 2 * np.pi, (count, 2))
    wave = np.sin(2 * np.pi * pitch[:, None, None] * time[:, None] + phase[:, None])
    wave *= rng.uniform(0.3, 1.5, (count, 1, 1))
    return wave + rng.normal(0, 0.1, wave.shape) + np.array([0, 1]), labels


def write_model(directory: Path, board="stm32f4_discovery", **front_end):
    """A model.yaml with this front end, beside its data."""
    x, y = windows()
    np.savez(directory / "data.npz", x=x, y=y)
    spec = {
        "name": "hum",
        "data": {"source": "npz", "path": "data.npz"},
        "front_end": {"full_scale": 4.0, "rate": RATE, **front_end},
        "network": {"layers": [{"units": 12}, {"units": 8}]},
        "training": {"epochs": 4},
        "target": {"board": board},
    }
    path = directory / "model.yaml"
    path.write_text(yaml.safe_dump(spec))
    return path

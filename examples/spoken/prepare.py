"""Puts recordings of words, WORD_SPEAKER_NUMBER.wav, into build/recordings.

    python examples/spoken/prepare.py [--recordings DIRECTORY]

With a directory of WAV files that are called so (the Free Spoken Digit Dataset's, for one), they
are brought to 16 kHz and 16 bits. Without one, "words" of tones and chirps are synthesised, said by
twelve voices.
"""

from __future__ import annotations

import argparse
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent / "build"
RATE = 16000
SPEAKERS, TAKES = 12, 6
WORDS = {
    "beep": (900, 900),
    "hum": (250, 250),
    "rise": (400, 1800),
    "fall": (1800, 400),
    "dip": (1500, 500, 1500),
    "arch": (500, 1500, 500),
}
"""The pitch of each word as it goes on, Hz."""

Float = NDArray[np.float64]


def main() -> None:
    """Copies the recordings or makes them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--recordings", type=Path)
    directory = parser.parse_args().recordings
    target = HERE / "recordings"
    target.mkdir(parents=True, exist_ok=True)
    files = sorted(directory.glob("*.wav")) if directory else []
    for file in files:
        write(target / file.name, read(file))
    if not directory:
        rng = np.random.default_rng(0)
        voices = rng.uniform((0.85, 0.7), (1.2, 1.1), (SPEAKERS, 2))
        for speaker, voice in enumerate(voices):
            for word in WORDS:
                for take in range(TAKES):
                    write(target / f"{word}_voice{speaker}_{take}.wav", said(word, voice, rng))
    print(f"wrote {len(list(target.glob('*.wav')))} recordings into {target}")


def said(word: str, voice: Float, rng: np.random.Generator) -> Float:
    """A word as a voice says it, with overtones, in a noisy room."""
    height, overtones = voice
    length = int(RATE * rng.uniform(0.45, 0.8))
    points = np.array(WORDS[word]) * height * rng.uniform(0.95, 1.05)
    pitch = np.interp(np.linspace(0, 1, length), np.linspace(0, 1, len(points)), points)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    sound = sum(np.sin(n * phase + rng.uniform(0, 6)) * overtones**n / n for n in (1, 2, 3))
    loud = np.sin(np.linspace(0, np.pi, length)) ** 0.5 * rng.uniform(0.1, 0.4)
    noisy: Float = loud * sound + rng.normal(0, rng.uniform(0.003, 0.02), length)
    return noisy


def read(file: Path) -> Float:
    """A recording of 16 bits, brought to 16 kHz."""
    with wave.open(str(file), "rb") as stream:
        if stream.getsampwidth() != 2:
            raise SystemExit(f"{file} is not of 16 bits")
        channels, rate = stream.getnchannels(), stream.getframerate()
        content = np.frombuffer(stream.readframes(stream.getnframes()), "<i2")
    sound = content.reshape(-1, channels).mean(axis=1) / 32768
    at = np.arange(0, len(sound), rate / RATE)
    return np.interp(at, np.arange(len(sound)), sound)


def write(file: Path, sound: Float) -> None:
    """A WAV file of 16 bits."""
    with wave.open(str(file), "wb") as stream:
        stream.setnchannels(1)
        stream.setsampwidth(2)
        stream.setframerate(RATE)
        stream.writeframes(np.rint(sound.clip(-1, 1) * 32767).astype("<i2").tobytes())


if __name__ == "__main__":
    main()

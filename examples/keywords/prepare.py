"""Puts keywords.tflite and keywords.npz into build/, where the example's model.yaml has them.

    python examples/keywords/prepare.py [--mlperf DIRECTORY]

With MLPerf Tiny's files (kws_ref_model.tflite, kws01.npz; the directory can also be named by
SPELA_MLPERF_TINY) they are copied. Without them, words are synthesised: a small network is trained
on ten of them in Keras, and twelve others are what the chip then learns.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent / "build"
RATE = 8000
FRAMES, COEFFICIENTS = 49, 10
KNOWN, NEW = 10, 12
KNOWN_SAMPLES, SAMPLES = 150, 83  # of each word; of the new ones as many as in MLPerf's thousand
EPOCHS = 8

Float = NDArray[np.float64]


def main() -> None:
    """Copies the files or makes them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--mlperf", default=os.environ.get("SPELA_MLPERF_TINY"))
    directory = parser.parse_args().mlperf
    HERE.mkdir(exist_ok=True)
    if directory:
        shutil.copyfile(Path(directory) / "kws_ref_model.tflite", HERE / "keywords.tflite")
        with np.load(Path(directory) / "kws01.npz") as arrays:
            np.savez_compressed(HERE / "keywords.npz", x=arrays["x"], y=arrays["y"])
    else:
        synthesise()
    print(f"wrote {HERE / 'keywords.tflite'} and {HERE / 'keywords.npz'}")


def synthesise() -> None:
    """Trains on some words, and writes others."""
    from spela_mcu.backbone.load import read_backbone
    from spela_mcu.backbone.network import quantize
    from spela_mcu.contenders.tflite import convert_to_int8

    rng = np.random.default_rng(0)
    words = [rng.uniform((300, 900), (900, 2800), (3, 2)) for _ in range(KNOWN + NEW)]
    known, known_labels = recordings(words[:KNOWN], KNOWN_SAMPLES, rng)
    new, new_labels = recordings(words[KNOWN:], SAMPLES, rng)
    model = trained(known, known_labels)
    (HERE / "keywords.tflite").write_bytes(convert_to_int8(model, known[:200]))
    samples = quantize(read_backbone(HERE / "keywords.tflite"), new)
    np.savez_compressed(HERE / "keywords.npz", x=samples, y=new_labels)


def recordings(
    words: list[Float], count: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Spectral coefficients [n, 49, 10, 1] of words said by many voices, and their labels."""
    labels = np.repeat(np.arange(len(words)), count)
    rng.shuffle(labels)
    x = np.stack([coefficients(said(words[label], rng)) for label in labels])
    return x[..., np.newaxis].astype(np.float32), labels


def said(word: Float, rng: np.random.Generator) -> Float:
    """One second of a word: pulses of a voice through two resonances, which glide."""
    voice, pitch = rng.uniform(0.92, 1.08), rng.uniform(90, 220)
    start, length = rng.uniform(0.05, 0.3), rng.uniform(0.45, 0.65)
    time = np.arange(RATE) / RATE
    at = np.clip((time - start) / length, 0, 1) * (len(word) - 1)
    loud = ((time > start) & (time < start + length)) * (0.6 + 0.4 * np.cos(6 * at) ** 2)
    points = range(len(word))
    resonances = [(voice * np.interp(at, points, word[:, k])).astype(np.float32) for k in range(2)]
    frequencies = pitch * np.arange(1, int(RATE / 2 / pitch), dtype=np.float32)[:, np.newaxis]
    gains = sum(1 / (1 + ((frequencies - one) / 90) ** 2) for one in resonances)
    phases = rng.uniform(0, 2 * np.pi, frequencies.shape)
    angles = (2 * np.pi * frequencies * time + phases).astype(np.float32)
    sound = (gains * np.sin(angles)).sum(axis=0)
    noisy: Float = loud * sound + rng.normal(size=RATE) * rng.uniform(0.05, 0.4)
    return noisy


def coefficients(sound: Float) -> Float:
    """The cepstrum [49, 10] of 40 ms every 20 ms."""
    from scipy.fft import dct

    starts = np.linspace(0, RATE - 320, FRAMES, dtype=int)
    frames = np.stack([sound[at : at + 320] for at in starts])
    power = np.abs(np.fft.rfft(frames * np.hanning(320), axis=1)) ** 2
    edges = 700 * (10 ** (np.linspace(0.05, 1.0, 25) * np.log10(1 + RATE / 1400)) - 1)
    bins = np.round(edges / (RATE / 2) * (power.shape[1] - 1)).astype(int)
    pairs = zip(bins[:-2], bins[2:], strict=True)
    bands = [power[:, low : max(high, low + 1)].sum(axis=1) for low, high in pairs]
    cepstrum: Float = dct(np.log(np.stack(bands, axis=1) + 1e-3), norm="ortho")[:, :COEFFICIENTS]
    return cepstrum


def trained(x: NDArray[np.float32], labels: NDArray[np.int64]) -> object:
    """A small network of depthwise separable convolutions."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((FRAMES, COEFFICIENTS, 1)),
            layers.Conv2D(32, (10, 4), strides=2, padding="same", activation="relu"),
            layers.DepthwiseConv2D(3, padding="same", activation="relu"),
            layers.Conv2D(48, 1, activation="relu"),
            layers.DepthwiseConv2D(3, padding="same", activation="relu"),
            layers.Conv2D(64, 1, activation="relu"),
            layers.AveragePooling2D((25, 5)),
            layers.Flatten(),
            layers.Dense(KNOWN, activation="softmax"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(2e-3),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(x, labels, epochs=EPOCHS, batch_size=32, verbose=2)
    return model


if __name__ == "__main__":
    main()

"""Small data sets and models for the tests of the float reference."""

import numpy as np
from sklearn.datasets import load_digits

from spela_mcu.data.dataset import Dataset, InputScaling, Split
from spela_mcu.embedding import class_embeddings
from spela_mcu.spec.data import SklearnData
from spela_mcu.spec.learning import Training
from spela_mcu.spec.model import ModelSpec
from spela_mcu.spec.network import Dense, Network


def dataset_of(x, y, classes, sizes):
    """The first samples for training, the next for validation, the rest for testing."""
    x, y = x.astype(np.float32), y.astype(np.int64)
    parts = np.split(np.arange(len(y)), np.cumsum(sizes))
    width = x.shape[1]
    return Dataset(
        name="test",
        input_shape=(width,),
        class_names=tuple(str(label) for label in range(classes)),
        scaling=InputScaling(np.zeros(width, np.float32), np.ones(width, np.float32)),
        **{
            part: Split(x[rows], y[rows])
            for part, rows in zip(("train", "validation", "test"), parts, strict=True)
        },
    )


def digits():
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    return dataset_of(x[order] / 16, y[order], 10, (1300, 144))


def blobs(seed=0, n=120, noise=0.05):
    """Three classes about three corners: a layer tells them apart after a few samples."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    return dataset_of(np.eye(3)[y] + noise * rng.standard_normal((n, 3)), y, 3, (n // 2, n // 4))


def model(units=(8,), training=None, **network):
    return ModelSpec(
        name="test",
        data=SklearnData(source="sklearn"),
        network=Network(layers=tuple(Dense(units=width) for width in units), **network),
        training=Training(**(training or {})),
    )


def embeddings(spec, dataset):
    return [
        class_embeddings("simplex", dataset.classes, layer.units, seed=index)
        for index, layer in enumerate(spec.network.layers)
    ]

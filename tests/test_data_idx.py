"""Directories in MNIST's format."""

import gzip
import struct

import numpy as np
import pytest
from data_models import spec_of

from spela_mcu.data import load_dataset
from spela_mcu.data.source_idx import read_idx
from spela_mcu.errors import UserError

Y6 = np.array([0, 1] * 3)


def idx_bytes(array, kind=0x08):
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape)
    return header + array.tobytes()


@pytest.fixture
def idx_directory(tmp_path):
    rng = np.random.default_rng(0)
    for part, n in (("train", 60), ("t10k", 20)):
        images = rng.integers(1, 256, (n, 4, 3), dtype=np.uint8)
        labels = (np.arange(n) % 4).astype(np.uint8)
        images[:, 0, 0] = labels + 1  # so that a sample betrays its label
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx_bytes(images))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    return tmp_path


def idx_dataset(directory, network=(), **keys):
    source = {"source": "idx", "path": str(directory), "input_range": [0, 255], **keys}
    return load_dataset(spec_of(source, **dict(network)))


def test_idx(idx_directory):
    dataset = idx_dataset(idx_directory)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (52, 8, 20)
    assert dataset.input_shape == (4, 3)
    assert dataset.class_names == ("0", "1", "2", "3")
    assert np.array_equal(dataset.test.y, np.arange(20) % 4)
    for part in (dataset.train, dataset.validation, dataset.test):
        assert np.array_equal(np.rint(part.x[:, 0] * 255) - 1, part.y)


def test_idx_gzipped_and_with_dots(idx_directory, tmp_path_factory):
    other = tmp_path_factory.mktemp("gz")
    for file in idx_directory.iterdir():
        name = file.name.replace("-idx", ".idx") + ".gz"
        (other / name).write_bytes(gzip.compress(file.read_bytes()))
    plain, zipped = idx_dataset(idx_directory), idx_dataset(other)
    assert np.array_equal(plain.train.x, zipped.train.x)


def test_idx_limits(idx_directory):
    dataset = idx_dataset(idx_directory, train_limit=30, test_limit=9)
    for part in (dataset.train, dataset.validation, dataset.test):
        assert np.array_equal(np.rint(part.x[:, 0] * 255) - 1, part.y)
    assert len(dataset.train) + len(dataset.validation) == 30
    assert len(dataset.test) == 9
    everything = idx_dataset(idx_directory, train_limit=1000, test_limit=1000)
    assert len(everything.train) + len(everything.validation) == 60


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [(0x09, ">i1"), (0x0B, ">i2"), (0x0C, ">i4"), (0x0D, ">f4"), (0x0E, ">f8")],
)
def test_idx_number_types(tmp_path, kind, dtype):
    array = np.array([[-1, 2], [3, 100]]).astype(dtype)
    (tmp_path / "file").write_bytes(idx_bytes(array, kind))
    got = read_idx(tmp_path / "file")
    assert got.tolist() == [[-1, 2], [3, 100]]
    assert got.dtype.isnative


def alter(content, at, new):
    return content[:at] + new + content[at + len(new) :]


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("train-images-idx3-ubyte", lambda c: b"", "is not an IDX file: it begins with nothing"),
        ("train-images-idx3-ubyte", lambda c: c[:9], "is not an IDX file"),
        ("train-images-idx3-ubyte", lambda c: alter(c, 2, b"\x07"), "begins with 00 00 07 03"),
        ("train-images-idx3-ubyte", lambda c: alter(c, 0, b"\x1f\x8b"), "not an IDX file"),
        ("train-images-idx3-ubyte", lambda c: c[:-1], "says 60 x 4 x 3, which is 736 bytes, but"),
        ("train-images-idx3-ubyte", lambda c: c + b"0", "but it has 737"),
        ("train-images-idx3-ubyte", lambda c: alter(c, 4, b"\xff" * 12), "4294967295 x 42949672"),
        ("train-labels-idx1-ubyte", lambda c: idx_bytes(Y6.astype("u1")), "holds 6 labels for"),
        ("train-labels-idx1-ubyte", lambda c: idx_bytes(np.zeros((60, 1), "u1")), "one dimension"),
        ("train-images-idx3-ubyte", lambda c: idx_bytes(np.zeros(60, "u1")), "two dimensions"),
        (
            "t10k-images-idx3-ubyte",
            lambda c: idx_bytes(np.zeros((20, 3, 3), "u1")),
            "a training sample has shape [4, 3], but a test sample [3, 3]",
        ),
        ("train-labels-idx1-ubyte", lambda c: alter(c, 20, b"\x09"), 'class "9" has no test'),
        ("t10k-labels-idx1-ubyte", lambda c: alter(c, 20, b"\x09"), "test sample 12 (counted"),
        ("t10k-labels-idx1-ubyte", None, "holds no t10k-labels-idx1-ubyte, gzipped (.gz) or not"),
    ],
)
def test_idx_faults(idx_directory, name, change, message):
    file = idx_directory / name
    if change is None:
        file.unlink()
    else:
        file.write_bytes(change(file.read_bytes()))
    with pytest.raises(UserError) as caught:
        idx_dataset(idx_directory)
    assert message in caught.value.reason


def test_idx_damaged_gzip(idx_directory):
    file = idx_directory / "train-images-idx3-ubyte"
    content = gzip.compress(file.read_bytes())
    file.unlink()
    for damaged in (content[:-20], b"no gzip", alter(content, 40, b"\0\0\0\0\0\0\0\0")):
        file.with_name(file.name + ".gz").write_bytes(damaged)
        with pytest.raises(UserError, match="cannot be decompressed"):
            idx_dataset(idx_directory)


def test_idx_stated_classes_and_missing_directory(idx_directory):
    dataset = idx_dataset(idx_directory, {"classes": ["a", "b", "c", "d"]})
    assert dataset.class_names == ("a", "b", "c", "d")
    with pytest.raises(UserError, match="label 3 is out of range"):
        idx_dataset(idx_directory, {"classes": ["a", "b", "c"]})
    with pytest.raises(UserError, match="no such directory"):
        idx_dataset(idx_directory / "none")
    with pytest.raises(UserError, match="is not a directory"):
        idx_dataset(idx_directory / "train-images-idx3-ubyte")

"""CIFAR and SVHN as their authors publish them."""

import numpy as np
import pytest
from data_models import spec_of

from spela_mcu.data import load_dataset
from spela_mcu.errors import UserError

NAMES = [f"name{number}" for number in range(100)]


def rows(labels, classes):
    """Rows of a .bin: labels, then a picture of planes that differ in every pixel and plane."""
    labels = np.asarray(labels, np.uint8)
    planes = np.arange(len(labels) * 3072, dtype=np.int64) * 7 % 251
    return np.hstack([labels.reshape(len(labels), -1), planes.reshape(len(labels), -1)]).astype(
        "u1"
    )


def planes(row):
    return row[-3072:].reshape(3, 32, 32)


@pytest.fixture
def ten(tmp_path):
    for number in range(5):
        rows([number, number + 5, number, number + 5], 10).tofile(
            tmp_path / f"data_batch_{number + 1}.bin"
        )
    rows(range(10), 10).tofile(tmp_path / "test_batch.bin")
    (tmp_path / "batches.meta.txt").write_text("\n".join(NAMES[:10]) + "\n\n")
    return tmp_path


@pytest.fixture
def hundred(tmp_path):
    pairs = [(fine // 5, fine) for fine in range(100)]
    rows(pairs * 2, 100).tofile(tmp_path / "train.bin")
    rows(pairs, 100).tofile(tmp_path / "test.bin")
    (tmp_path / "fine_label_names.txt").write_text("\n".join(NAMES))
    return tmp_path


@pytest.fixture
def svhn(tmp_path):
    from scipy.io import savemat

    for name, count in (("train", 40), ("test", 20)):
        x = (np.arange(32 * 32 * 3 * count) * 7 % 251).astype(np.uint8)
        y = (np.arange(count) % 10 + 1).astype(np.uint8).reshape(-1, 1)
        savemat(tmp_path / f"{name}_32x32.mat", {"X": x.reshape(32, 32, 3, count), "y": y})
    return tmp_path


def dataset_of(source, directory, **keys):
    data = {"source": source, "path": str(directory), "input_range": [0, 255], **keys}
    return load_dataset(spec_of(data, layers=[{"units": 128}]))


def error_of(source, directory, **keys):
    with pytest.raises(UserError) as caught:
        dataset_of(source, directory, **keys)
    assert caught.value.mend
    return caught.value


def pictures(part):
    return np.rint(part.x * 255).astype(np.uint8).reshape(-1, 32, 32, 3)


def test_cifar_10(ten):
    dataset = dataset_of("cifar", ten)
    assert dataset.input_shape == (32, 32, 3)
    assert dataset.class_names == tuple(NAMES[:10])
    assert len(dataset.train) + len(dataset.validation) == 20
    assert dataset.test.y.tolist() == list(range(10))
    file = np.fromfile(ten / "test_batch.bin", np.uint8).reshape(10, 3073)
    for picture, row in zip(pictures(dataset.test), file, strict=True):
        for channel in range(3):
            assert np.array_equal(picture[..., channel], planes(row)[channel])


def test_cifar_100(hundred):
    dataset = dataset_of("cifar", hundred)
    assert dataset.class_names == tuple(NAMES)
    assert dataset.test.y.tolist() == list(range(100))
    coarse = dataset_of("cifar", hundred, labels="coarse")
    assert coarse.class_names == tuple(str(number) for number in range(20))
    assert coarse.test.y.tolist() == [fine // 5 for fine in range(100)]
    assert np.array_equal(coarse.test.x, dataset.test.x)


def test_svhn(svhn):
    from scipy.io import loadmat

    dataset = dataset_of("svhn", svhn)
    assert dataset.input_shape == (32, 32, 3)
    assert dataset.class_names == tuple("0123456789")
    assert dataset.test.y.tolist() == [*range(1, 10), 0] * 2
    x = loadmat(svhn / "test_32x32.mat")["X"]
    assert np.array_equal(pictures(dataset.test), np.moveaxis(x, 3, 0))


@pytest.mark.parametrize(("source", "fixture"), [("cifar", "ten"), ("svhn", "svhn")])
def test_limits(request, source, fixture):
    directory = request.getfixturevalue(fixture)
    dataset = dataset_of(source, directory, test_limit=19, train_limit=999)
    whole = dataset_of(source, directory)
    assert len(dataset.test) == min(len(whole.test), 19)
    assert len(dataset.train) == len(whole.train)


def cut(file, count=-1):
    file.write_bytes(file.read_bytes()[:count])


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("data_batch_1.bin", lambda f: f.unlink(), "holds neither data_batch_1.bin (CIFAR-10) nor"),
        ("data_batch_3.bin", lambda f: f.unlink(), "no such file"),
        ("test_batch.bin", lambda f: f.unlink(), "no such file"),
        ("data_batch_2.bin", cut, "has 12291 bytes, which is not a number of rows of 3073"),
        ("data_batch_2.bin", lambda f: cut(f, 0), "has 0 bytes"),
        ("test_batch.bin", lambda f: rows([1, 10], 10).tofile(f), "row 1 (counted from 0) has the"),
        ("batches.meta.txt", lambda f: cut(f, 30), "names 5 classes, but the set has 10"),
    ],
)
def test_cifar_faults(ten, name, change, message):
    change(ten / name)
    error = error_of("cifar", ten)
    assert message in error.reason
    assert error.file == (ten if "neither" in message else ten / name)


def test_cifar_keys(ten):
    assert "CIFAR-10 has one kind of labels" in error_of("cifar", ten, labels="coarse").reason
    assert "no such directory" in error_of("cifar", ten / "none").reason
    assert "is not a directory" in error_of("cifar", ten / "test_batch.bin").reason


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.unlink(), "no such file"),
        (lambda f: cut(f, 5000), "is not a MATLAB file up to version 7, or is damaged"),
        (lambda f: f.write_bytes(b""), "is not a MATLAB file up to version 7, or is damaged"),
        (lambda f: f.write_bytes(b"text" * 99), "is not a MATLAB file up to version 7"),
    ],
)
def test_svhn_faults(svhn, change, message):
    change(svhn / "test_32x32.mat")
    error = error_of("svhn", svhn)
    assert message in error.reason
    assert error.file == svhn / "test_32x32.mat"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"X": np.zeros((32, 32, 3, 4), "u1")}, "does not hold pictures X"),
        ({"X": np.zeros((32, 32, 3, 4), "u1"), "y": np.ones((3, 1))}, "does not hold pictures X"),
        ({"X": np.zeros((32, 32, 3, 2)), "y": np.ones((2, 1))}, "does not hold pictures X"),
        ({"X": np.zeros((32, 32, 3, 2), "u1"), "y": np.array([[10], [0]])}, "the label 0 of pict"),
        ({"X": np.zeros((32, 32, 3, 2), "u1"), "y": np.array([[1.5], [1]])}, "the label 1.5 of"),
    ],
)
def test_svhn_of_something_else(svhn, content, message):
    from scipy.io import savemat

    savemat(svhn / "train_32x32.mat", content)
    assert message in error_of("svhn", svhn).reason

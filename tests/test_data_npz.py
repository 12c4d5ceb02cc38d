"""Arrays saved by numpy."""

import numpy as np
import pytest
from data_models import npz_error, samples, spec_of

from spela_mcu.data import load_dataset
from spela_mcu.errors import UserError


def test_npz(tmp_path):
    x, y = samples(30).reshape(30, 3, 1), np.array(["b", "a", "c"] * 10)
    np.savez_compressed(tmp_path / "t.npz", signal=x, kind=y)
    source = {"source": "npz", "path": str(tmp_path / "t.npz"), "x": "signal", "y": "kind"}
    dataset = load_dataset(spec_of(source))
    assert dataset.input_shape == (3, 1)
    assert dataset.class_names == ("a", "b", "c")
    reshaped = load_dataset(spec_of(source, input_shape=[1, 3]))
    assert reshaped.input_shape == (1, 3)
    assert np.array_equal(reshaped.train.x, dataset.train.x)


def test_npz_of_single_values(tmp_path):
    np.savez(tmp_path / "t.npz", x=np.arange(1, 13), y=np.arange(12) % 2 == 0)
    dataset = load_dataset(spec_of({"source": "npz", "path": str(tmp_path / "t.npz")}))
    assert dataset.input_shape == (1,)
    assert dataset.class_names == ("0", "1")


Y6 = np.array([0, 1] * 3)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": samples(6)}, 'holds no array "y"'),
        ({"x": samples(6), "y": Y6[:5]}, "there are 6 samples, but 5 labels"),
        ({"x": samples(0), "y": Y6[:0]}, "there are no samples"),
        ({"x": samples(6, 0), "y": Y6}, "a sample has 0 values"),
        ({"x": samples(6), "y": np.eye(6)}, "labels must be one number or text a sample"),
        ({"x": samples(6), "y": Y6 / 2}, "labels must be whole numbers or texts, got fractions"),
        ({"x": samples(6), "y": Y6 * np.nan}, "labels must be whole numbers or texts"),
        ({"x": samples(6), "y": Y6 * 1j}, "got complex128"),
        ({"x": samples(6) * 1j, "y": Y6}, "samples must be real numbers, got complex64"),
        ({"x": np.array(["1"] * 6), "y": Y6}, "samples must be real numbers"),
        ({"x": np.array([{}] * 6, dtype=object), "y": Y6}, "holds Python objects"),
        ({"x": np.float32(3), "y": Y6}, "is a single value"),
        ({"x": np.full((6, 2), np.inf), "y": Y6}, "sample 0 (counted from 0), column 0: "),
        ({"x": samples(600), "y": np.arange(600) % 300}, "more than 256 classes"),
    ],
)
def test_npz_faults(tmp_path, arrays, message):
    error = npz_error(tmp_path, **arrays)
    assert message in error.reason
    assert error.mend
    assert error.file or error.key


def test_values_too_large_for_float32(tmp_path):
    x = samples(6).astype(np.float64)
    x[4, 1] = -1e300
    assert "sample 4 (counted from 0), column 1: the value -1e+300 is not finite" in str(
        npz_error(tmp_path, x=x, y=Y6)
    )


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"text", b"\x93NUMPY"])
def test_npz_that_is_none(tmp_path, content):
    file = tmp_path / "t.npz"
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"is not an \.npz file, or is damaged"):
        load_dataset(spec_of({"source": "npz", "path": str(file)}))


def test_npz_that_is_cut_or_altered(tmp_path):
    file = tmp_path / "t.npz"
    np.savez_compressed(file, x=samples(60), y=Y6.repeat(10))
    content = file.read_bytes()
    for damaged in (content[:-30], content[:200] + b"\xff" * 50 + content[250:]):
        file.write_bytes(damaged)
        with pytest.raises(UserError, match="damaged"):
            load_dataset(spec_of({"source": "npz", "path": str(file)}))


def test_npy_is_no_npz(tmp_path):
    np.save(tmp_path / "t.npy", samples(6))
    with pytest.raises(UserError, match="holds a single array"):
        load_dataset(spec_of({"source": "npz", "path": str(tmp_path / "t.npy")}))


@pytest.mark.parametrize("source", ["npz", "csv"])
def test_files_that_cannot_be_read(tmp_path, source):
    for path, message in ((tmp_path / "none", "no such file"), (tmp_path, "is a directory")):
        with pytest.raises(UserError, match=message) as caught:
            load_dataset(spec_of({"source": source, "path": str(path)}))
        assert caught.value.file == path

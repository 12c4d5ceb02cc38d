"""Labels to class names and numbers."""

import numpy as np
import pytest
from data_models import csv_spec, npz_error, samples, spec_of

from spela_mcu.data import load_dataset
from spela_mcu.errors import UserError


@pytest.mark.parametrize(
    ("classes", "labels", "message"),
    [
        (["a", "b"], [0, 1, 2] * 3, "sample 2 (counted from 0): label 2 is out of range"),
        (["a", "b"], [-1, 0, 1] * 3, "sample 0 (counted from 0): label -1 is out of range"),
        (["a", "b", "c"], [0, 1] * 3, 'class "c" has no samples'),
        (["1", "2", "x"], [1, 2] * 3, 'class "x" has no samples'),
        (["1", "2"], [1, 2, 3] * 3, "label 3 is out of range: 2 classes are 0 to 1"),
    ],
)
def test_labels_against_stated_classes(tmp_path, classes, labels, message):
    arrays = {"x": samples(len(labels)), "y": np.array(labels)}
    if labels[:2] == [1, 2] and "3" not in classes and 3 in labels:
        message = "label 2 is out of range"  # 1 is in range, counted from 0
    assert message in npz_error(tmp_path, {"classes": classes}, **arrays).reason


def test_numbers_may_be_names(tmp_path):
    np.savez(tmp_path / "t.npz", x=samples(9), y=np.array([5, 7, 6] * 3))
    spec = spec_of({"source": "npz", "path": str(tmp_path / "t.npz")}, classes=["7", "6", "5"])
    dataset = load_dataset(spec)
    assert dataset.class_names == ("7", "6", "5")
    assert np.bincount(dataset.train.y).tolist() == [1, 1, 1]


def csv_of_labels(tmp_path, *labels):
    text = "a,kind\n" + "".join(f"{i},{label}\n" for i in range(1, 4) for label in labels)
    return csv_spec(tmp_path / "t.csv", text)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        # Neighbours that are one number in float64.
        (["9007199254740993", "9007199254740992"], ("9007199254740992", "9007199254740993")),
        (["9223372036854775807", "-1"], ("-1", "9223372036854775807")),
        # What int64 cannot hold stays the text that it is.
        (["9223372036854775808", "5"], ("5", "9223372036854775808")),
        (["1e300", "2"], ("1e300", "2")),
        (["1e999999999", "x"], ("1e999999999", "x")),
        (["-0", "+1"], ("0", "1")),
    ],
)
def test_whole_labels_are_exact(tmp_path, labels, names):
    dataset = load_dataset(csv_of_labels(tmp_path, *labels))
    assert dataset.class_names == names
    assert np.bincount(dataset.train.y).tolist() == [1, 1]
    assert dataset.notices == ()


def test_labels_of_one_number_are_one_class_and_told(tmp_path):
    dataset = load_dataset(csv_of_labels(tmp_path, "01", "1", "1e3", "1000", "2.0"))
    assert dataset.class_names == ("1", "2", "1000")
    assert [str(notice) for notice in dataset.notices] == [
        'the labels "01", "1" are the same number, and one class, "1"\n'
        "  mend: write them alike; to keep them apart, put a letter before each",
        'the labels "1e3", "1000" are the same number, and one class, "1000"\n'
        "  mend: write them alike; to keep them apart, put a letter before each",
    ]


def test_a_label_that_is_missing_among_numbers_names_its_line(tmp_path):
    with pytest.raises(UserError) as caught:
        load_dataset(csv_of_labels(tmp_path, "0", "1", "NaN"))
    assert caught.value.line == 4
    assert caught.value.reason == 'the label "NaN" stands for a missing one'


@pytest.mark.parametrize(
    ("dtype", "label"),
    [("float64", 2.0**53 + 2), ("float64", 1e300), ("float32", 2.0**24 + 2), ("float16", 4096.0)],
)
def test_labels_too_large_for_a_float_are_refused(tmp_path, dtype, label):
    error = npz_error(tmp_path, x=samples(6), y=np.array([0, label] * 3, dtype=dtype))
    assert f"is too large for {dtype}" in error.reason
    assert error.mend == "give the labels as integers or as texts"


def test_labels_of_all_of_uint64(tmp_path):
    np.savez(tmp_path / "t.npz", x=samples(6), y=np.array([2**64 - 1, 2**64 - 2] * 3, np.uint64))
    dataset = load_dataset(spec_of({"source": "npz", "path": str(tmp_path / "t.npz")}))
    assert dataset.class_names == ("18446744073709551614", "18446744073709551615")


def test_a_stated_name_that_looks_like_a_number(tmp_path):
    arrays = {"x": samples(6), "y": np.array([1, 2] * 3)}
    assert (
        'class "--5" has no samples'
        in npz_error(tmp_path, {"classes": ["1", "2", "--5"]}, **arrays).reason
    )

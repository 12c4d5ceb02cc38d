"""Tables. Malformed ones are in test_malformed.py."""

import gzip
import io
import zipfile
from functools import partial

import numpy as np
import pytest
from data_models import csv_spec
from rich.console import Console

from spela_mcu.data import load_dataset, source_csv
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
    dataset = load_dataset(csv_spec(tmp_path / "t.csv", text, label="kind", scaling="global"))
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
        ("a,kind\n1e39,x\n" * 3, "the value 1e39 is beyond float32 (3.4e+38)"),
        ("a,kind\n1,x\n" * 3, '"a" is not a number'),
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


# ------------------------------------------------------ as other programs write it


def same_as_plain(tmp_path, text, **keys):
    """Whether a file reads like the plain one."""
    wanted = load_dataset(csv_spec(tmp_path / "plain.csv", "a,b,kind\n" + ROWS))
    got = load_dataset(csv_spec(tmp_path / "t.csv", text, **keys))
    assert got.class_names == wanted.class_names
    assert got.input_shape == wanted.input_shape
    for part in ("train", "validation", "test"):
        assert np.array_equal(getattr(got, part).x, getattr(wanted, part).x)
        assert np.array_equal(getattr(got, part).y, getattr(wanted, part).y)
    return got


TABLE = "a,b,kind\n" + ROWS


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (TABLE.replace(",", "   "), {"delimiter": "whitespace"}),
        (TABLE.replace(",", " \t ").replace("\n", "  \n"), {"delimiter": "whitespace"}),
        ("".join(f"  {row}\n" for row in ROWS.replace(",", "  ").splitlines()),
         {"delimiter": "whitespace", "header": False}),
        (TABLE.replace("\n", ",\n"), {}),
        (TABLE.replace("\n", ",\n"), {"label": "kind"}),
        (ROWS.replace("\n", ",\n"), {"header": False}),
        ("a,b,kind\n" + ROWS.replace("\n", ",\n"), {}),
        ("a,b,kind,\n" + ROWS, {}),
        (TABLE.replace("\n", ",\n").replace(",", "\t"), {"delimiter": "\t"}),
        (ROWS.replace("\n", ";\n"), {"header": False}),
        (ROWS.replace("\n", ";\r\n"), {"header": False}),
        ("a,b,kind\n" + ROWS.replace("\n", ";\n"), {}),
        (TABLE.replace(",", ";").replace(".", ","), {"delimiter": ";", "decimal": ","}),
        (TABLE.replace(",", "  ").replace(".", ","), {"delimiter": "whitespace", "decimal": ","}),
        ("# by hand\n" + TABLE.replace("2,1.0", "# 9,9,9\n2,1.0"), {"comment": "#"}),
        ("sep=,\n" + TABLE, {}),
        ("sep=;\r\n" + TABLE.replace(",", ";"), {}),
        ('"sep=;"\n' + TABLE.replace(",", ";"), {"delimiter": ";"}),
        ("SEP=\t\n" + ROWS.replace(",", "\t"), {"header": False}),
        ("\ufeffsep=;\n" + TABLE.replace(",", ";"), {}),
    ],
)  # fmt: skip
def test_csv_as_programs_write_it(tmp_path, text, keys):
    same_as_plain(tmp_path, text, **keys)


def test_csv_gzipped_is_known_by_its_content(tmp_path):
    file = tmp_path / "t.csv"
    spec = csv_spec(file, TABLE)
    plain = load_dataset(spec)
    content = gzip.compress(file.read_bytes())
    file.write_bytes(content)
    assert np.array_equal(load_dataset(spec).train.x, plain.train.x)
    file.write_bytes(content[:-9])
    with pytest.raises(UserError, match="cannot be decompressed") as caught:
        load_dataset(spec)
    assert caught.value.mend == "the file was cut off or altered: copy it again"


def test_csv_true_and_false_are_one_and_zero(tmp_path):
    text = "on,a,kind\n" + "True,1,x\nFALSE,2,y\n" * 6
    dataset = load_dataset(csv_spec(tmp_path / "t.csv", text))
    plain = load_dataset(
        csv_spec(tmp_path / "t.csv", text.replace("True", "1").replace("FALSE", "0"))
    )
    assert np.array_equal(dataset.train.x, plain.train.x)


def test_csv_labels_keep_the_commas_of_their_names(tmp_path):
    text = "a;kind\n" + "1,5;red, big\n2,5;1,5\n" * 3
    dataset = load_dataset(csv_spec(tmp_path / "t.csv", text, delimiter=";", decimal=","))
    assert dataset.class_names == ("1,5", "red, big")


def test_csv_quotes_inside_a_cell_are_text(tmp_path):
    text = "a,kind\n" + '1,5" pipe\n2,x\n' * 3 + 'bad,5" pipe\n'
    spec = csv_spec(tmp_path / "t.csv", text)
    with pytest.raises(UserError) as caught:
        load_dataset(spec)
    assert caught.value.line == 8
    (tmp_path / "t.csv").write_text(text.replace("bad", "3"))
    assert load_dataset(spec).class_names == ('5" pipe', "x")


WORKBOOK = io.BytesIO()
with zipfile.ZipFile(WORKBOOK, "w") as _archive:
    _archive.writestr("xl/workbook.xml", "")
EXCEL = "is an Excel workbook, not text", "save the sheet as CSV (in Excel: CSV UTF-8)"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(WORKBOOK.getvalue(), EXCEL, id="workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", EXCEL),
        (b"PK\x03\x04 cut", ("is a zip archive, not text", "unpack it, and name the file in it")),
        (b"PAR1", ("is a Parquet file, not text", "save it as CSV")),
        ("a,kind\n".encode("utf-16"), ("is UTF-16 text", "save it as UTF-8 (in Excel: CSV UTF-8)")),
    ],
)
def test_csv_that_is_something_else(tmp_path, content, message):
    spec = csv_spec(tmp_path / "t.csv", "")
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_dataset(spec)
    assert (caught.value.reason, caught.value.mend) == message


IGNORE = "write a number, or leave the column out, data.ignore: "


@pytest.mark.parametrize(
    ("text", "keys", "message"),
    [
        ("1   2  x\n", {}, ":1: the first row has a single cell when cut at \",\"\n"
         "  mend: set delimiter: whitespace"),
        ("a b kind\n1   2  x\n", {"delimiter": " "}, ":2: the row has several spaces in turn\n"
         "  mend: set delimiter: whitespace"),
        ("a;kind\n1,5;x\n", {"delimiter": ";"}, ':2: column a: "1,5" is not a number\n'
         '  mend: set data.decimal: ","'),
        ("a,b,kind\n1,5,2,5,x\n", {}, ":2: the row has 5 cells, the first row 3\n"
         '  mend: if "," is a decimal comma too, save the file with ";" between cells, and set '
         'delimiter: ";" and decimal: ","'),
        ("a;kind\n1.234,5;x\n", {"delimiter": ";", "decimal": ","},
         ':2: column a: "1.234,5" is not a number\n  mend: remove the points between thousands'),
        ("# by hand\na,kind\n1,x\n", {}, ':1: the first row has a single cell when cut at ","\n'
         '  mend: set data.comment: "#" if the line is a comment'),
        ("a,kind\n1,x\n# paused\n1,x\n", {}, ':3: the row begins with "#"\n'
         '  mend: set data.comment: "#"'),
        ("sep=;\na;kind\n", {"delimiter": ","}, ':1: the first line says that ";" stands between '
         'cells, data.delimiter that "," does\n  mend: remove data.delimiter, or the first line'),
        ('a,kind\n1,x\n"2,x\n3,x\n', {}, ":3: a quote is opened here and never closed\n"
         '  mend: close it, or remove it; inside a quoted cell a quote is written twice: ""'),
        ('a,kind\n1,x\n"2,x\n3,"x"\n', {}, ":3: a quote is opened here and never closed\n"
         '  mend: close it, or remove it; inside a quoted cell a quote is written twice: ""'),
        ('a,kind\n1,x\n"2,x\n1,x"\n', {}, ":3: the row has 1 cells, the first row 2\n"
         "  mend: close the quote that is open at the line's end; write a quote in a cell as \"\""),
        ("a,kind\n1e300,x\n", {}, ":2: column a: the value 1e300 is beyond float32 (3.4e+38)\n"
         "  mend: correct it, remove the row, or rescale the column"),
        ("a,kind\n-Inf,x\n", {}, ":2: column a: the value -Inf is not finite\n"
         "  mend: fill it in, or remove the row"),
        ("time,a,unit,kind\n10:30,1,mV,x\n", {}, ':2: column time: "10:30" is not a number\n'
         f"  mend: {IGNORE}[time, unit]"),
        ("time,a,unit,kind\n10:30,1,mV,x\n", {"ignore": ["time"]},
         f':2: column unit: "mV" is not a number\n  mend: {IGNORE}[time, unit]'),
        ("10:30,1,x\n", {"header": False},
         f':1: column 0: "10:30" is not a number\n  mend: {IGNORE}[0]'),
        ("time,a,kind\n10:30,1,x\n", {"features": ["a", "time"]},
         ':2: column time: "10:30" is not a number\n'
         "  mend: write a number, or leave the column out, data.features: [a]"),
        ("a,kind\n1,x\nTrue,x\n", {}, ':3: column a: "True" is not a number\n'
         "  mend: write 1 for True and 0 for False"),
        ("1,2,x\n3,4,x\n", {}, ":1: the first row should name the columns, but is a sample like "
         "those below it\n  mend: set data.header: false"),
    ],
)  # fmt: skip
def test_csv_mends(tmp_path, text, keys, message):
    with pytest.raises(UserError) as caught:
        load_dataset(csv_spec(tmp_path / "t.csv", text, **keys))
    assert str(caught.value) == f"{tmp_path / 't.csv'}{message}"


# ------------------------------------------------------------------ choice of columns


WIDE = "time,a,unit,b,kind\n" + "".join(f"10:{i},{i},mV,{i * i},k{i % 2}\n" for i in range(1, 21))


@pytest.mark.parametrize(
    ("keys", "columns"),
    [
        ({"ignore": ["time", "unit"]}, ("a", "b")),
        ({"ignore": [0, 2, "b"]}, ("a",)),
        ({"features": ["a", "b"]}, ("a", "b")),
        ({"features": ["b", 1]}, ("b", "a")),
        ({"features": [-2], "label": "kind"}, ("b",)),
    ],
)
def test_csv_columns_are_chosen(tmp_path, keys, columns):
    dataset = load_dataset(csv_spec(tmp_path / "t.csv", WIDE, **keys))
    assert dataset.input_names == columns
    raw = dataset.train.x / dataset.scaling.scale + dataset.scaling.offset
    if columns == ("b", "a"):
        np.testing.assert_allclose(raw[:, 0], raw[:, 1] ** 2, rtol=1e-4)  # float32, and back


def test_csv_ignored_columns_still_count_as_cells(tmp_path):
    with pytest.raises(UserError, match="the row has 6 cells, the first row 5"):
        load_dataset(csv_spec(tmp_path / "t.csv", WIDE + "10:1,1,m,V,1,k0\n", ignore=[0, 2]))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"ignore": ["tine"]}, 'no column is named "tine"\n  mend: did you mean "time"?'),
        ({"features": [7]}, "data.features: there is no column 7: the first row has 5 cells"),
        ({"ignore": ["kind"]}, "data.ignore: column kind is the label"),
        ({"features": ["a", "kind"]}, "data.features: column kind is the label"),
        ({"ignore": [0, 1, 2, 3]}, "data.ignore: no column is left as a feature"),
    ],
)
def test_csv_columns_that_cannot_be_chosen(tmp_path, keys, message):
    with pytest.raises(UserError) as caught:
        load_dataset(csv_spec(tmp_path / "t.csv", WIDE, **keys))
    assert message in str(caught.value)


def test_csv_tells_how_much_is_read(tmp_path):
    spec = csv_spec(tmp_path / "t.csv", "a,kind\n" + "1,x\n2,y\n" * 5000)
    shares = []
    source_csv.read(spec.data, shares.append)
    assert len(shares) == 10
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] == 1


def test_csv_shows_its_progress_on_a_terminal(tmp_path, monkeypatch):
    spec = csv_spec(tmp_path / "[t].csv", "a,kind\n" + "1,x\n2,y\n" * 5000)
    shown = io.StringIO()
    terminal = partial(Console, file=shown, force_terminal=True)
    monkeypatch.setattr("spela_mcu.data.load.Console", lambda **_: terminal())
    load_dataset(spec, progress=True)
    assert "reading [t].csv" in shown.getvalue()
    assert "100%" in shown.getvalue()
    before = shown.getvalue()
    load_dataset(spec)
    assert shown.getvalue() == before

"""A function of the user's as a data source."""

import sys

import numpy as np
import pytest
from data_models import python_spec, spec_of

from spela_mcu.data import load_dataset
from spela_mcu.errors import UserError


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
        ("def read():\n    raise GeneratorExit\n", "read() cannot be used: GeneratorExit", 2),
        ("import os\ndef read():\n    os._exit(0)\n", "cannot be used: SystemExit: 0", 3),
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


def test_parts_keep_whose_each_sample_is(tmp_path):
    body = "def read(): return [[i] for i in range(60)], [0, 1] * 30, [i // 6 for i in range(60)]\n"
    found = load_dataset(python_spec(tmp_path, body), tmp_path / "model.yaml")
    parts = found.train, found.validation, found.test
    for one in parts:
        raw = np.rint(one.x[:, 0] / found.scaling.scale[0] + found.scaling.offset[0])
        assert one.groups.tolist() == (raw // 6).tolist()
    assert not set(found.train.groups) & set(found.test.groups)


TABLE = "def read():\n    x, y = [[i, i % 5 + 0.5] for i in range(12)], [0, 1] * 6\n"


@pytest.mark.parametrize(
    "tensors",
    [
        "torch.tensor(x, requires_grad=True), torch.tensor(y)",
        "torch.tensor(x).bfloat16(), torch.tensor(y)",
        "[torch.tensor(row, requires_grad=True) for row in x], torch.tensor(y)",
        "[torch.tensor(row).bfloat16() for row in x], [torch.tensor(label) for label in y]",
    ],
)
def test_python_tensors(tmp_path, tensors):
    plain = load_dataset(python_spec(tmp_path, TABLE + "    return x, y\n"))
    got = load_dataset(python_spec(tmp_path, f"import torch\n{TABLE}    return {tensors}\n"))
    assert np.array_equal(got.train.x, plain.train.x)
    assert np.array_equal(got.train.y, plain.train.y)


def test_python_prints_go_to_stderr(tmp_path, capfd):
    talk = "    import os\n    print('one')\n    os.write(1, b'two')\n    os.system('echo three')\n"
    body = TABLE + talk + "    if os.fork() == 0: os._exit(3)\n    return x, y\n"
    load_dataset(python_spec(tmp_path, body))
    print("four")
    said = capfd.readouterr()
    assert said.out == "four\n"
    assert sorted(said.err.replace("two", "two\n").split()) == ["one", "three", "two"]

"""docs/python.md is true, and the package's own names are all there, and cost nothing."""

import doctest
import subprocess
import sys
from pathlib import Path

import pytest

import spela_mcu

WALK = Path(__file__).parents[1] / "docs" / "python.md"


def test_the_walk_prints_what_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = doctest.testfile(str(WALK), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert found.attempted > 30
    assert found.failed == 0


@pytest.mark.parametrize("name", spela_mcu.__all__)
def test_each_public_name_is_there(name):
    assert getattr(spela_mcu, name) is not None


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys, spela_mcu; "
        "print([name for name in ('numpy', 'torch', 'pydantic') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'spela'"):
        _ = spela_mcu.spela

"""Every malformed file is refused with exactly the message beside it.

A case is NAME.yaml (with NAME.csv, if it is the data that are at fault) and NAME.txt, what the
user reads. A message is changed by hand.
"""

from pathlib import Path

import pytest

from spela_mcu.data import load_dataset
from spela_mcu.errors import UserError
from spela_mcu.spec.load import load_spec

CASES = sorted((Path(__file__).parent / "malformed").glob("*.yaml"))


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_message(file):
    with pytest.raises(UserError) as caught:
        load_dataset(load_spec(file), file)
    message = str(caught.value).replace(f"{file.parent}/", "")
    assert message + "\n" == file.with_suffix(".txt").read_text()
    assert len(message.splitlines()) <= 24, "more than one screen"
    assert max(map(len, message.splitlines())) <= 160


def test_there_are_cases():
    assert len(CASES) >= 40

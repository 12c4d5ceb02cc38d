"""The .tflite's own classifier in compare: only where its outputs are known to be the classes."""

import numpy as np
import pytest
import yaml
from keyword_model import write_model
from sklearn.datasets import load_digits

from spela_mcu.contenders import own_head
from spela_mcu.data.load import load_dataset
from spela_mcu.spec.load import load_spec

NAMES = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])


def model(directory, names, classes=None):
    """Digits whose labels are these names."""
    path = write_model(directory)
    x, y = load_digits(return_X_y=True)
    np.savez(directory / "data.npz", x=x[:300], y=names[y[:300]])
    spec = yaml.safe_load(path.read_text())
    spec["data"] = {"source": "npz", "path": "data.npz"}
    if classes is not None:
        spec["network"]["classes"] = classes
    path.write_text(yaml.safe_dump(spec))
    spec = load_spec(path)
    return spec, load_dataset(spec, path)


def test_outputs_are_the_classes_in_their_order(tmp_path):
    answers = []
    for labels, classes in ((np.arange(10), None), (NAMES, NAMES.tolist())):
        spec, dataset = model(tmp_path, labels, classes)
        assert own_head.check(spec, dataset) is None
        answers.append(own_head.own_head(spec, dataset, None).accuracy)
    assert answers[0] == answers[1] != (0.0,)


@pytest.mark.parametrize("labels", [NAMES, np.arange(1, 11)])
def test_classes_of_another_order_are_left_out(tmp_path, labels):
    skipped = own_head.check(*model(tmp_path, labels))
    assert "may have another order" in skipped.reason
    assert "network.classes" in skipped.mend


def test_another_number_of_classes_is_left_out(tmp_path):
    skipped = own_head.check(*model(tmp_path, np.arange(10) // 2))
    assert "it tells 10 classes, and the data have 5" in skipped.reason

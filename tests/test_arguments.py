"""What the networks take for samples and labels, and refuse before they learn: all alike."""

import numpy as np
import pandas as pd
import pytest
from test_integer_network import make_plan, make_spec

from spela_mcu.embedding import class_embeddings
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.host.network import HostNetwork
from spela_mcu.reference.network import FloatNetwork
from spela_mcu.spec.network import Dense, Network

INPUTS, CLASSES = 5, 3
SAMPLES = np.random.default_rng(0).integers(-128, 128, (40, INPUTS)).astype(np.int8)
LABELS = np.arange(40) % CLASSES

FORMS = {
    "lists": (SAMPLES.tolist(), LABELS.tolist()),
    "tuples": (tuple(map(tuple, SAMPLES.tolist())), tuple(LABELS.tolist())),
    "int64": (SAMPLES.astype(np.int64), LABELS),
    "big endian": (SAMPLES.astype(">i2"), LABELS.astype(">i4")),
    "uint8 labels": (SAMPLES, LABELS.astype(np.uint8)),
    "uint64 labels": (SAMPLES, LABELS.astype(np.uint64)),
    "DataFrame": (pd.DataFrame(SAMPLES.astype(np.int32)), pd.Series(LABELS)),
    "pandas' Int64": (pd.DataFrame(SAMPLES).astype("Int64"), pd.Series(LABELS).astype("Int64")),
    "objects": (SAMPLES.astype(object), LABELS.astype(object)),
    "Fortran order": (np.asfortranarray(SAMPLES), LABELS),
    "every other": (np.repeat(SAMPLES, 2, axis=0)[::2], np.repeat(LABELS, 2)[::2]),
    "backwards": (SAMPLES[:, ::-1].copy()[:, ::-1], LABELS[::-1].copy()[::-1]),
    "no sample": ([], []),
    "no rows": (SAMPLES[:0], LABELS[:0]),
}

REFUSED = {
    "float labels": (SAMPLES, LABELS / 1, "labels must be whole numbers 0 .. 2, not float64"),
    "text labels": (SAMPLES, LABELS.astype(str), "labels must be whole numbers 0 .. 2, not <U21"),
    "fewer labels": (SAMPLES, LABELS[:-1], "40 samples need labels [40], one each, not [39]"),
    "more labels": (SAMPLES[:-1], LABELS, "39 samples need labels [39], one each, not [40]"),
    "a column": (SAMPLES, LABELS[:, None], "40 samples need labels [40], one each, not [40, 1]"),
    "one label": (SAMPLES, 2, "40 samples need labels [40], one each, not []"),
    "a negative label": (SAMPLES, LABELS - 1, "labels must lie in 0 .. 2, but one is -1"),
    "a label too great": (SAMPLES, LABELS + 1, "labels must lie in 0 .. 2, but one is 3"),
    "a huge label": (SAMPLES[:2], [0, 1 << 70], f"labels must lie in 0 .. 2, but one is {1 << 70}"),
    "2^64 - 1": (SAMPLES[:2], np.array([0, -1]).astype(np.uint64), f"but one is {(1 << 64) - 1}"),
    "a wrong width": (SAMPLES[:, 1:], LABELS, "samples must be [n, 5], not [40, 4]"),
    "one sample": (SAMPLES[0], [0], "samples must be [n, 5], not [5]"),
    "pictures": (SAMPLES[:, None], LABELS, "samples must be [n, 5], not [40, 1, 5]"),
    "ragged": ([[1] * 5, [1] * 4], [0, 1], "samples must form an array, but their rows differ"),
}

REFUSED_OF_INTEGERS = {
    "floats": (SAMPLES / 1, LABELS, "samples must be whole numbers -128 .. 127, not float64; quan"),
    "float16": (SAMPLES.astype(np.float16), LABELS, "not float16; quantize_inputs makes int8"),
    "128": (SAMPLES.astype(int) + 128, LABELS, "samples must lie in -128 .. 127, but one is "),
    "uint8": (SAMPLES.view(np.uint8), LABELS, "samples must lie in -128 .. 127, but one is "),
    "texts": (SAMPLES.astype(str), LABELS, "samples must be whole numbers -128 .. 127, not <U"),
}


def both():
    plan = make_plan(make_spec(), INPUTS, CLASSES)
    return IntegerNetwork.untrained(plan), HostNetwork(plan, None)


def float_network():
    network = Network(layers=(Dense(units=4),))
    directions = class_embeddings("simplex", CLASSES, 4, seed=0)
    return FloatNetwork.untrained(network, INPUTS, CLASSES, [directions])


@pytest.mark.parametrize("form", FORMS)
def test_any_form_of_the_same_numbers_is_learned_alike(form):
    samples, labels = FORMS[form]
    n = len(samples)
    expected = IntegerNetwork.untrained(make_plan(make_spec(), INPUTS, CLASSES))
    for sample, label in zip(SAMPLES[:n], LABELS[:n], strict=True):
        expected.learn(sample, int(label))
    for network in both():
        assert network.partial_fit(samples, labels).digest() == expected.digest()
        assert np.array_equal(network.predict(samples), expected.predict(SAMPLES[:n]))
        fitted = network.fit(samples, labels, epochs=2).digest()
        assert fitted == expected.fit(SAMPLES[:n], LABELS[:n], epochs=2).digest()
        expected.reset()
        expected.partial_fit(SAMPLES[:n], LABELS[:n])
    if n:
        ours = float_network()
        twin = ours.copy()
        learned = ours.learn_online(samples, labels, [0.1] * n)
        wanted = twin.learn_online(SAMPLES.astype(np.float32), LABELS, np.full(n, 0.1))
        assert np.array_equal(learned.predictions, wanted.predictions)
        assert np.array_equal(ours.layers[0].weight, twin.layers[0].weight)


def test_arrays_that_cannot_be_written_are_read():
    samples = SAMPLES.copy()
    samples.flags.writeable = False
    ours, theirs = both()
    assert (
        ours.partial_fit(samples, LABELS).digest() == theirs.partial_fit(samples, LABELS).digest()
    )


@pytest.mark.parametrize("case", REFUSED | REFUSED_OF_INTEGERS)
def test_what_does_not_fit_is_refused_before_anything_is_learned(case):
    samples, labels, message = (REFUSED | REFUSED_OF_INTEGERS)[case]
    for network in both():
        before = network.digest()
        for method in (network.partial_fit, network.fit, network.score):
            with pytest.raises(ValueError, match=r".") as raised:
                method(samples, labels)
            assert message in str(raised.value)
            assert "\n" not in str(raised.value)
        assert network.digest() == before


@pytest.mark.parametrize("case", REFUSED)
def test_the_float_network_refuses_the_same(case):
    samples, labels, message = REFUSED[case]
    network = float_network()
    weights = network.layers[0].weight.copy()
    for method in (
        lambda: network.learn(samples, labels, 0.1),
        lambda: network.learn_online(samples, labels, [0.1] * len(samples)),
        lambda: network.accuracy(samples, labels),
    ):
        with pytest.raises(ValueError, match=r".") as raised:
            method()
        assert message in str(raised.value)
    assert np.array_equal(network.layers[0].weight, weights)


@pytest.mark.parametrize(
    ("sample", "label", "message"),
    [
        (SAMPLES[:1], 0, "one sample must be [5], not [1, 5]"),
        (SAMPLES[0, 1:], 0, "samples must be [n, 5], not [1, 4]"),
        (SAMPLES[0] / 1, 0, "not float64"),
        (SAMPLES[0], 3, "labels must lie in 0 .. 2, but one is 3"),
        (SAMPLES[0], -1, "labels must lie in 0 .. 2, but one is -1"),
        (SAMPLES[0], 1.0, "labels must be whole numbers 0 .. 2, not float64"),
        (SAMPLES[0], "1", "labels must be whole numbers 0 .. 2, not <U1"),
    ],
)
def test_a_single_sample_is_checked_alike(sample, label, message):
    for network in both():
        before = network.digest()
        with pytest.raises(ValueError, match=r".") as raised:
            network.learn(sample, label)
        assert message in str(raised.value)
        assert network.digest() == before
    if label == 0:
        for network in both():
            with pytest.raises(ValueError, match=r"."):
                network.infer(sample)
        with pytest.raises(ValueError, match=r"."):
            both()[1].infer_early(sample)


def test_a_single_sample_may_be_a_list_or_strided():
    ours, theirs = both()
    wide = np.repeat(SAMPLES[0], 2)[::2]
    for network in (ours, theirs):
        for sample in (wide, wide.tolist(), wide.astype(np.int32)):
            network.learn(sample, np.int16(1))
    assert ours.digest() == theirs.digest()
    assert [one.label for one in ours.infer(wide)] == [one.label for one in theirs.infer(wide)]


def test_scoring_nothing_is_refused():
    for network in both():
        with pytest.raises(ValueError, match="no samples"):
            network.score([], [])

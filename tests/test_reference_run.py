"""Runs on disk: what is written is what is read, and damage is told, not guessed around."""

import io
import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference_data import blobs, embeddings, model

from spela_mcu.data.dataset import Split
from spela_mcu.errors import UserError
from spela_mcu.pictures.learning_curve import draw_learning_curve
from spela_mcu.reference import run as run_module
from spela_mcu.reference.network import FloatLayer, FloatNetwork
from spela_mcu.reference.run import load_run, trained, training_digest
from spela_mcu.reference.storage import FORMAT_VERSION, load_network, save_network
from spela_mcu.spec.learning import Learning
from spela_mcu.spec.model import Target


def network(seed=0):
    rng = np.random.default_rng(seed)
    sizes = ((5, 6, 0.0), (6, 4, 0.25))
    layers = tuple(
        FloatLayer(
            rng.standard_normal((units, inputs)).astype(np.float32),
            rng.standard_normal((3, units)).astype(np.float32),
            slope,
        )
        for inputs, units, slope in sizes
    )
    return FloatNetwork(layers, "log_cosine", 0.45, True)


def assert_same(one, other):
    assert (one.loss, one.margin, one.normalize_inputs) == (
        other.loss,
        other.margin,
        other.normalize_inputs,
    )
    for a, b in zip(one.layers, other.layers, strict=True):
        assert a.negative_slope == b.negative_slope
        for mine, theirs in ((a.weight, b.weight), (a.embedding, b.embedding)):
            assert mine.dtype == theirs.dtype
            np.testing.assert_array_equal(mine, theirs)


def run(directory, spec=None, dataset=None):
    spec, dataset = spec or model(training={"epochs": 2}), dataset or blobs()
    return trained(spec, dataset, embeddings(spec, dataset), directory, progress=False)


# ------------------------------------------------------------------- the network's file


def test_a_network_is_read_as_it_was_saved(tmp_path):
    save_network(tmp_path / "a.npz", network())
    save_network(tmp_path / "b.npz", network())
    loaded = load_network(tmp_path / "a.npz")
    assert_same(loaded, network())
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    loaded.learn(np.ones((1, 5), np.float32), np.array([0]), 0.1)  # its weights may be changed
    assert_same(load_network(tmp_path / "a.npz"), network())


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The bytes of a saved network, and a place to put altered ones."""
    path = tmp_path_factory.mktemp("saved") / "network.npz"
    save_network(path, network())
    return path.read_bytes(), path.with_name("altered.npz")


def refused(path, reason="damaged"):
    with pytest.raises(UserError, match=reason) as caught:
        load_network(path)
    assert caught.value.file == path
    assert caught.value.mend


@given(data=st.data())
def test_a_network_cut_short_is_refused(saved, data):
    content, path = saved
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    refused(path)


@given(data=st.data())
def test_an_altered_byte_is_refused_or_harmless(saved, data):
    """Checksums guard the numbers; a byte of the container itself may mean nothing."""
    content, path = saved
    at, mask = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(1, 255))
    path.write_bytes(content[:at] + bytes([content[at] ^ mask]) + content[at + 1 :])
    try:
        loaded = load_network(path)
    except UserError:
        return
    assert_same(loaded, network())


INVALID = {
    "loss": np.array("hinge"),
    "margin": np.array("wide"),
    "negative_slope": np.zeros(3),  # of a layer that is not there
    "weight_0": np.zeros((6, 5)),  # float64
    "weight_1": np.zeros((4, 7), np.float32),  # more inputs than units before
    "embedding_0": np.full((3, 6), np.nan, np.float32),
    "embedding_1": np.zeros((4, 4), np.float32),  # another number of classes
    "format_version": np.array("new"),
}


@pytest.mark.parametrize("name", INVALID)
@pytest.mark.parametrize("missing", [False, True])
def test_an_invalid_or_missing_member_is_refused(saved, name, missing):
    content, path = saved
    with np.load(io.BytesIO(content)) as arrays:
        members = {key: arrays[key] for key in arrays.files}
    del members[name]
    np.savez(path, **members, **({} if missing else {name: INVALID[name]}))
    refused(path)


def test_float64_is_refused(saved):
    content, path = saved
    with np.load(io.BytesIO(content)) as arrays:
        wide = {name: array.astype(float) for name, array in arrays.items() if "_0" in name}
        np.savez(path, **{**arrays, **wide})
    refused(path)


def test_another_version_is_named(saved):
    content, path = saved
    with np.load(io.BytesIO(content)) as arrays:
        np.savez(path, **{**arrays, "format_version": np.array(FORMAT_VERSION + 1)})
    refused(path, f"format {FORMAT_VERSION + 1}, this version reads format {FORMAT_VERSION}")


def test_other_files_are_refused_and_no_pickle_is_run(tmp_path):
    path = tmp_path / "network.npz"
    refused(path, "no trained network here")
    for content in (b"", b"text", pickle.dumps(Trap())):
        path.write_bytes(content)
        refused(path)
    np.savez(path, format_version=np.array(FORMAT_VERSION), loss=np.array(Trap(), dtype=object))
    refused(path)
    with path.open("wb") as stream:
        np.save(stream, np.zeros(3))
    refused(path)
    refused(tmp_path, "is a directory")
    assert not Trap.sprung


class Trap:
    """Tells when it is unpickled."""

    sprung = False

    def __setstate__(self, state):
        Trap.sprung = True

    def __getstate__(self):
        return 1


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "network.npz"
    save_network(path, network(0))
    before = path.read_bytes()

    def fail(self, target):
        raise OSError("no space left")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        save_network(path, network(1))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# ---------------------------------------------------------------------------- the run


def test_a_run_leaves_network_metrics_and_picture(tmp_path):
    directory = tmp_path / "deep" / "run"
    spec, dataset = model((8, 6), training={"epochs": 3, "seed": 4}, seed=9), blobs()
    result = run(directory, spec, dataset)
    assert not result.reused
    assert result.directory == directory
    assert sorted(path.name for path in directory.iterdir()) == [
        "learning_curve.png",
        "metrics.json",
        "network.npz",
    ]
    assert_same(load_network(directory / "network.npz"), result.network)
    metrics = json.loads((directory / "metrics.json").read_text())
    for part in ("train", "validation", "test"):
        split = getattr(dataset, part)
        assert metrics["accuracy"][part] == list(result.network.accuracy(split.x, split.y))
    assert (metrics["network_seed"], metrics["training_seed"]) == (9, 4)
    assert [record["epoch"] for record in metrics["history"]] == [1, 2, 3]
    assert set(metrics["versions"]) == {"spela_mcu", "python", "numpy", "torch"}
    assert len(metrics["training_digest"]) == 64
    again = load_run(directory)
    assert again.metrics == result.metrics
    assert again.reused


def test_an_unchanged_run_is_reused(tmp_path, monkeypatch):
    first = run(tmp_path)
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}
    spec = model(training={"epochs": 2}).model_copy(
        update={"learning": Learning(epochs=9), "target": Target(optimization="Os")}
    )
    monkeypatch.setattr(run_module, "train", None)  # would fail if it were called
    second = run(tmp_path, spec)
    assert second.reused
    assert second.metrics == first.metrics
    assert_same(second.network, first.network)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files


def test_a_changed_run_is_trained_again(tmp_path):
    run(tmp_path)
    for _ in range(2):
        other = run(tmp_path, dataset=blobs(seed=1))
    assert other.reused
    assert not run(tmp_path).reused


def test_whatever_decides_the_result_has_a_digest_of_its_own():
    spec, dataset = model(), blobs()
    relabelled = dataset.test.y.copy()
    relabelled[0] = (relabelled[0] + 1) % 3
    data = spec.data.model_copy(update={"seed": 5})
    vectors = embeddings(spec, dataset)
    inputs = [
        (spec, dataset, vectors),
        (model(training={"epochs": 3}), dataset, vectors),
        (model(margin=0.2), dataset, vectors),
        (spec.model_copy(update={"data": data}), dataset, vectors),
        (spec, blobs(seed=1), vectors),
        (spec, replace(dataset, test=Split(dataset.test.x, relabelled)), vectors),
        (spec, dataset, [-layer for layer in vectors]),
    ]
    digests = {training_digest(*each) for each in inputs}
    assert len(digests) == len(inputs)
    assert training_digest(*inputs[0]) in digests


@pytest.mark.parametrize("name", ["network.npz", "metrics.json"])
@pytest.mark.parametrize("content", [None, b"", b"{}"])
def test_a_damaged_run_is_told_and_retrained(tmp_path, name, content):
    first = run(tmp_path)
    path = tmp_path / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_run(tmp_path)
    assert caught.value.file == path
    second = run(tmp_path)
    assert not second.reused
    assert second.metrics == first.metrics
    assert_same(second.network, first.network)


def test_files_of_two_runs_do_not_pass_for_one(tmp_path):
    run(tmp_path / "a")
    run(tmp_path / "b", model(training={"epochs": 3}))
    (tmp_path / "b" / "metrics.json").replace(tmp_path / "a" / "metrics.json")
    with pytest.raises(UserError, match="another run"):
        load_run(tmp_path / "a")


def test_a_file_in_the_directory_s_place_is_told(tmp_path):
    (tmp_path / "run").write_text("mine")
    for directory in (tmp_path / "run", tmp_path / "run" / "deeper"):
        with pytest.raises(UserError, match="not a directory"):
            run(directory)
    assert (tmp_path / "run").read_text() == "mine"


def test_the_learning_curve_is_a_picture_even_of_one_epoch(tmp_path):
    history = run(tmp_path, model((8, 6), training={"epochs": 3})).metrics.history
    many, one = (
        draw_learning_curve(part, 1, title="test_curve") for part in (history, history[:1])
    )
    for picture in (many, one):
        assert picture.startswith(b"\x89PNG")
        assert len(picture) > 5000
    assert many == draw_learning_curve(history, 1, title="test_curve")
    assert many != one

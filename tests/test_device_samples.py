"""Samples for a device from files, as its model.yaml says: readings of a sensor, a backbone's."""

import io
from types import SimpleNamespace

import keyword_model
import numpy as np
import pytest
import sensor_model
import yaml
from click.testing import CliRunner

from spela_mcu.backbone.network import quantize
from spela_mcu.cli.device import command
from spela_mcu.commands.device import Known, Session
from spela_mcu.commands.device_samples import Chosen, open_stream
from spela_mcu.errors import UserError
from spela_mcu.front_end.raw import to_raw
from spela_mcu.front_end.rows import samples
from spela_mcu.pipeline import prepare


def session_of(path):
    """A session with a device that runs the model."""
    prepared = prepare(path)
    digest, plan = prepared.source().digest, prepared.plan
    info = SimpleNamespace(
        flags=0, digest=digest, inputs=plan.sample_inputs, classes=plan.classes, name="toy"
    )
    return Session(SimpleNamespace(name=lambda label: ""), info, Known(None, path))


def read(session, file, **keys):
    """Samples [n, inputs] and labels of a file."""
    found = list(open_stream(session, Chosen(str(file), None, **keys)).samples)
    return np.array([one.x for one in found]), [one.label for one in found]


@pytest.fixture(scope="module")
def sensing(tmp_path_factory):
    """A model of windows of 128 readings, every 64."""
    directory = tmp_path_factory.mktemp("sensing")
    path = sensor_model.write_model(directory, statistics={"length": 32}, step=64)
    spec = yaml.safe_load(path.read_text()) | {"learning": {"start": "untrained"}}
    path.write_text(yaml.safe_dump(spec))
    return session_of(path)


def lines_of(x, label):
    return [f"{a:.6f},{b:.6f},{label}" for a, b in x]


def test_readings_become_the_samples_of_the_front_end(sensing, tmp_path, monkeypatch):
    """Recordings end with a blank line, and with another label; no sample spans two."""
    x, _ = sensor_model.windows(6, seed=3)
    stream = x.reshape(-1, 2).round(6)
    parts = [(stream[:200], 0), (stream[200:400], 0), (stream[400:720], 2)]
    lines = ["a0,a1,label"]
    for number, (readings, label) in enumerate(parts):
        lines += [""] * (number == 1) + lines_of(readings, label)
    file = tmp_path / "recorded.csv"
    file.write_text("\n".join(lines))
    plan = sensing.prepared.dataset.front_end
    wanted, labels = [], []
    for readings, label in parts:
        raw = to_raw(readings, "int16", 4.0).values
        starts = range(0, len(raw) - 127, 64)
        wanted.append(samples(plan, np.stack([raw[at : at + 128] for at in starts])))
        labels += [label] * len(starts)
    found, told = read(sensing, file)
    assert np.array_equal(found, np.concatenate(wanted))
    assert told == labels == [0] * 4 + [2] * 4
    monkeypatch.setattr("sys.stdin", io.StringIO(file.read_text()))
    assert np.array_equal(read(sensing, "-", limit=3)[0], found[:3])


def test_windows_of_readings_are_samples(sensing, tmp_path):
    x, y = sensor_model.windows(5, seed=4)
    np.savez(tmp_path / "windows.npz", x=x, y=y)
    found, labels = read(sensing, tmp_path / "windows.npz")
    plan = sensing.prepared.dataset.front_end
    assert np.array_equal(found, samples(plan, to_raw(x, "int16", 4.0).values))
    assert labels == y.tolist()
    np.savez(tmp_path / "flat.npz", x=x.reshape(5, -1))
    with pytest.raises(UserError, match=r"not numbers \[n, 128, 2\], readings of each axis"):
        read(sensing, tmp_path / "flat.npz")


@pytest.mark.parametrize(
    ("line", "reason"),
    [("0.5", "a reading has 2 values, and here are 1"), ("0.5,nan,1", "a value is not finite")],
)
def test_a_line_that_is_no_reading_is_told(sensing, tmp_path, line, reason):
    file = tmp_path / "bad.csv"
    file.write_text(f"0.1,0.2,1\n{line}\n")
    with pytest.raises(UserError, match=reason) as told:
        read(sensing, file)
    assert told.value.line == 2


def test_a_backbones_int8_samples_are_taken_as_they_are(tmp_path):
    """Where the array is int8; in a table, where the model's own data are."""
    path = keyword_model.write_model(tmp_path)
    x = np.random.default_rng(0).integers(0, 17, (40, 64))
    real = session_of(path)
    backbone = real.prepared.dataset.backbone
    ready = quantize(backbone, x.astype(np.float32))
    np.savez(tmp_path / "real.npz", x=x)
    np.savez(tmp_path / "ready.npz", x=ready)
    np.savetxt(tmp_path / "real.csv", x, fmt="%d", delimiter=",")
    np.savetxt(tmp_path / "ready.csv", ready, fmt="%d", delimiter=",")
    for name in ("real.npz", "ready.npz", "real.csv"):
        assert np.array_equal(read(real, tmp_path / name)[0], ready), name
    np.savez(tmp_path / "data.npz", x=ready, y=np.arange(40) % 4)
    spec = yaml.safe_load(path.read_text())
    spec["data"] = {"source": "npz", "path": "data.npz"}
    path.write_text(yaml.safe_dump(spec))
    own = session_of(path)
    for name in ("real.npz", "ready.npz", "ready.csv"):
        assert np.array_equal(read(own, tmp_path / name)[0], ready), name
    (tmp_path / "far.csv").write_text(",".join(["300"] * 64))
    with pytest.raises(UserError, match="whole numbers from -128 to 127"):
        read(own, tmp_path / "far.csv")


def test_readings_are_recorded_for_a_front_end(sensing, tmp_path):
    """What is recorded can be asked at once."""
    file = tmp_path / "new.csv"
    words = ["-", "record", str(file), "--label", "0", "-m", str(sensing.known.model)]
    for _ in range(2):
        done = CliRunner().invoke(command, words, input="0.5,1\n" * 130)
        assert done.exit_code == 0, done.output
    assert file.read_text().startswith("a0,a1,label\n0.5,1,0\n")
    found, labels = read(sensing, file)
    assert len(found) == 2
    assert labels == [0, 0]

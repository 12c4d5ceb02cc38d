"""Recordings as data: CSV as recorders write it, WAV, and what can be wrong with them."""

import re
import wave

import numpy as np
import pytest
import yaml

from spela_mcu.data.load import load_dataset
from spela_mcu.data.source_series import read
from spela_mcu.errors import UserError
from spela_mcu.spec.data import SeriesData
from spela_mcu.spec.load import load_spec


def section(path, **keys):
    stated = {"rate": 100.0, "window": 4, "axes": ["x", "y"], **keys}
    return SeriesData.model_validate({"source": "series", "path": path, **stated})


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def rows(numbers, head="x,y\n"):
    return head + "".join(f"{n},{-n}\n" for n in numbers)


def sound(path, values, rate=100, channels=1, width=2):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as stream:
        stream.setnchannels(channels)
        stream.setsampwidth(width)
        stream.setframerate(rate)
        stream.writeframes(np.asarray(values, "<i2").tobytes())
    return path


def test_a_folder_a_class_and_windows_that_overlap(tmp_path):
    write(tmp_path / "up" / "a.csv", rows(range(8)))
    write(tmp_path / "down" / "a.csv", rows(range(10, 15)))
    raw = read(section(tmp_path, step=2))
    assert raw.samples.labels.tolist() == ["down", "up", "up", "up"]
    assert raw.samples.x[..., 0].tolist() == [
        [10, 11, 12, 13],
        [0, 1, 2, 3],
        [2, 3, 4, 5],
        [4, 5, 6, 7],
    ]
    assert raw.samples.x.dtype == np.int64
    assert len(set(raw.groups)) == 2
    assert raw.recordings[1].lines.tolist() == list(range(2, 10))


def test_blank_lines_part_windows_as_gesture_recorders_write_them(tmp_path):
    text = (
        "x,y\n"
        + rows(range(4), "")
        + "\n"
        + rows(range(4, 8), "")
        + "\n\nx,y\n"
        + rows(range(5), "")
    )
    write(tmp_path / "punch" / "a.csv", text)
    raw = read(section(tmp_path))
    assert raw.samples.x[:, 0, 0].tolist() == [0, 4, 0]
    assert len(set(raw.groups)) == 3


def test_one_file_with_columns_for_all(tmp_path):
    lines = [
        f"{who},{what},{n // 5},{n * 10},{n},{-n}"
        for n, who, what in [
            (n, "ann" if n < 10 else "bob", "walk" if n % 10 < 5 else "run") for n in range(20)
        ]
    ]
    file = write(tmp_path / "all.csv", "who,what,take,ms,x,y\n" + "\n".join(lines) + "\n")
    raw = read(
        section(
            file, label_column="what", group_column="who", recording_column="take", time_column="ms"
        )
    )
    assert raw.samples.labels.tolist() == ["walk", "run", "walk", "run"]
    assert raw.groups.tolist() == ["ann", "ann", "bob", "bob"]


def test_names_of_files_tell_label_and_group(tmp_path):
    for name in ("zero_ann_1", "zero_bob_1", "one_ann_7"):
        sound(tmp_path / f"{name}.wav", range(4))
    pattern = r"(?P<label>[^_]+)_(?P<group>[^_]+)_\d+"
    raw = read(section(tmp_path, axes=["sound"], file_names=pattern))
    assert raw.samples.labels.tolist() == ["one", "zero", "zero"]
    assert raw.groups.tolist() == ["ann", "ann", "bob"]
    assert raw.samples.x.shape == (3, 4, 1)


def test_lines_of_numbers_without_a_header(tmp_path):
    """As a data forwarder prints them."""
    write(tmp_path / "idle" / "a.csv", rows([1.5, 2, 3, 4], ""))
    raw = read(section(tmp_path))
    assert raw.samples.x.tolist() == [[[1.5, -1.5], [2, -2], [3, -3], [4, -4]]]


def test_axes_are_read_by_name(tmp_path):
    write(tmp_path / "a" / "a.csv", "y,t,x\n" + "1,0,2\n" * 4)
    raw = read(section(tmp_path))
    assert raw.samples.x[0, 0].tolist() == [2, 1]
    assert re.search(r"a\.csv:1: the columns are in another order", raw.notices[0].reason)


def test_no_window_spans_a_gap(tmp_path):
    times = [*range(0, 60, 10), *range(100, 150, 10)]
    text = "t,x,y\n" + "".join(f"{t},{n},0\n" for n, t in enumerate(times))
    write(tmp_path / "a" / "a.csv", text)
    raw = read(section(tmp_path, time_column="t", step=1))
    assert raw.samples.x[:, 0, 0].tolist() == [0, 1, 2, 6, 7]
    assert re.search(
        r"a\.csv:8: readings are missing before this line, 4\.0", raw.notices[0].reason
    )


def test_short_recordings(tmp_path):
    write(tmp_path / "a" / "long.csv", rows(range(4)))
    write(tmp_path / "a" / "short.csv", rows([7, 8]))
    raw = read(section(tmp_path))
    assert len(raw.samples.x) == 1
    assert "short.csv:2" in raw.notices[0].reason
    filled = read(section(tmp_path, fill=True))
    assert filled.samples.x[1, :, 0].tolist() == [0, 7, 8, 0]


@pytest.mark.parametrize(
    ("text", "keys", "line", "reason"),
    [
        (rows(range(4), "x,z\n"), {}, 1, 'no column is named "y"'),
        (rows(range(4), ""), {"axes": ["x"]}, 1, "a line has 2 numbers, but data.axes names 1"),
        (rows(range(4), ""), {"label_column": "l"}, 1, "the first line names no columns"),
        ("x,y\n1,2\n3\n", {}, 3, "the line has 1 cells, the first one 2"),
        ("x,y\n1,2\n3,oops\n", {}, 3, '"oops" is not a number'),
        ("x,y\n1,2\n3,\n", {}, 3, "a value is missing"),
        ("t,x,y\n0,1,1\n20,1,1\n40,1,1\n", {"time_column": "t"}, 2, "come 50 times a second"),
        ("t,x,y\n0,1,1\n10,1,1\n10,1,1\n", {"time_column": "t"}, 4, "not later than the one"),
        ("t,x,y\n0,1,1\nx,1,1\n", {"time_column": "t"}, 3, "is no timestamp"),
        ("", {}, None, "the file is empty"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path, text, keys, line, reason):
    file = write(tmp_path / "a" / "a.csv", text)
    with pytest.raises(UserError, match=re.escape(reason)) as told:
        read(section(tmp_path, **keys))
    assert (told.value.file, told.value.line) == (file, line)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ({"rate": 200}, "has 200 samples a second, but data.rate is 100"),
        ({"channels": 2}, "has 2 channels, but data.axes names 1"),
        ({"width": 1}, "has samples of 8 bits"),
    ],
)
def test_sounds_of_another_kind_are_told(tmp_path, made, reason):
    sound(tmp_path / "a" / "a.wav", range(8), **made)
    with pytest.raises(UserError, match=reason):
        read(section(tmp_path, axes=["sound"]))


def test_files_that_cannot_be_used_are_told(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read(section(tmp_path / "none"))
    with pytest.raises(UserError, match="holds no recordings"):
        read(section(tmp_path))
    write(tmp_path / "a.wav", "no sound")
    with pytest.raises(UserError, match="no WAV file"):
        read(section(tmp_path, axes=["sound"]))
    (tmp_path / "a.wav").unlink()
    write(tmp_path / "a.csv", rows(range(3)))
    with pytest.raises(UserError, match="nothing tells the label"):
        read(section(tmp_path))
    write(tmp_path / "b" / "a.csv", rows(range(3)))
    (tmp_path / "a.csv").unlink()
    with pytest.raises(UserError, match="no recording is as long as a window of 4"):
        read(section(tmp_path))
    with pytest.raises(UserError, match=r"does not match data\.file_names"):
        read(section(tmp_path, file_names="(?P<label>x+)"))


def test_from_recordings_to_samples(tmp_path):
    """Clipped readings are told with their place, and recordings stay on one side of the split."""
    rng = np.random.default_rng(0)
    for label, peak in (("calm", 300), ("wild", 40000)):
        for take in range(6):
            values = rng.integers(-peak, peak, 40).clip(-32768, 32767)
            write(tmp_path / "data" / label / f"{take}.csv", rows(values.tolist()))
    spec = {
        "name": "shake",
        "data": {"source": "series", "path": "data", "rate": 100, "window": 8, "step": 4,
                 "axes": ["x", "y"], "test_fraction": 0.4, "validation_fraction": 0.3},
        "front_end": {"statistics": {}},
        "network": {"layers": [{"units": 4}]},
    }  # fmt: skip
    path = write(tmp_path / "model.yaml", yaml.safe_dump(spec))
    dataset = load_dataset(load_spec(path), path)
    assert dataset.front_end.axes == ("x", "y")
    assert (dataset.front_end.step, dataset.front_end.rate) == (4, 100)
    assert dataset.columns[:2] == ("x mean", "x deviation")
    told = [notice.reason for notice in dataset.notices]
    assert any(
        re.search(r"of the readings of x are at an end of int16.*wild.*\.csv:\d+", one)
        for one in told
    )
    taken = [set(map(bytes, part.readings)) for part in (dataset.train, dataset.test)]
    assert not taken[0] & taken[1]

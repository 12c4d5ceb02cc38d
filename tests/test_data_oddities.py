"""What was read is shown, and what is odd about it is told; what is not odd is not."""

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner
from data_models import csv_spec, spec_of

from spela_mcu.cli.generate import command as generate
from spela_mcu.cli.train import command as train
from spela_mcu.cli.verify import command as verify
from spela_mcu.data import load_dataset

RNG = np.random.default_rng(0)
NOISE = RNG.random(60)
ORDER = (
    "in the order of the samples, as a time stamp or an index does: a network may learn when a "
    "sample was taken, not what it is"
)


def notices(tmp_path, header, *columns, labels=("x", "y"), **keys):
    rows = zip(*columns, *[np.resize(labels, len(columns[0]))], strict=True)
    text = f"{header}\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)
    dataset = load_dataset(csv_spec(tmp_path / "t.csv", text, **keys))
    return [(notice.reason, notice.mend) for notice in dataset.notices]


def leave(names):
    return f"leave it out if it tells nothing: data.ignore: {names}"


@pytest.mark.parametrize(
    ("header", "column", "name"),
    [
        ("time,a,kind", 1.7e6 + np.arange(60) * 50, "time"),
        ("time,a,kind", np.arange(60) // 5, "time"),
        ("time,a,kind", -(np.arange(60.0) ** 3), "time"),
        ("time,a,kind", np.r_[np.arange(59), 3], "time"),  # set back once
        (",a,kind", np.arange(60), "0"),  # as pandas writes its index
        ("Unnamed: 0,a,kind", np.arange(60), '"Unnamed: 0"'),
        ("row,a,kind", RNG.permutation(60) + 1, "row"),  # shuffled after it was counted
    ],
)
def test_a_column_that_counts_is_told(tmp_path, header, column, name):
    shown = name.strip('"')
    assert notices(tmp_path, header, column, NOISE) == [
        (f"{shown} counts {ORDER}", leave(f"[{name}]"))
    ]
    ignored = 0 if name == "0" else shown
    assert notices(tmp_path, header, column, NOISE, ignore=[ignored]) == []


def test_constant_and_repeated_columns_are_told(tmp_path):
    found = notices(tmp_path, "a,b,c,d,e,kind", NOISE, NOISE, NOISE * 0 + 2, NOISE**2, NOISE)
    assert found == [
        ("c has one value in all samples", leave("[c]")),
        ("columns repeat others: b is a and e is a", leave("[b, e]")),
    ]


def test_labels_that_look_alike_are_told(tmp_path):
    labels = ["Fig", "fig", "big  fig", "Big fig", "caf\u00e9", "cafe\u0301", "NaN", "pear"]
    reasons = [reason for reason, _ in notices(tmp_path, "a,kind", NOISE[:48], labels=labels)]
    end = "differ only in case, spaces or Unicode form, and are classes of their own"
    assert sorted(reasons) == sorted(
        [
            f'the labels "Fig" and "fig" {end}',
            f'the labels "Big fig" and "big  fig" {end}',
            f'the labels "cafe\u0301" and "caf\u00e9" {end}',
            'the label "NaN" is a class, though it mostly stands for a missing label',
        ]
    )


def test_one_class_above_nine_tenths_is_told(tmp_path):
    assert notices(tmp_path, "a,kind", NOISE, labels=["x"] * 9 + ["y"]) == []
    assert notices(tmp_path, "a,kind", NOISE, labels=["x"] * 19 + ["y"]) == [
        (
            '95.0% of the samples are "x": always guessing it is right as often',
            "look at the balanced accuracy, or take more samples of the other classes",
        )
    ]


@pytest.mark.parametrize("dataset", ["digits", "iris", "wine", "breast_cancer"])
def test_known_tables_have_nothing_odd(dataset):
    loaded = load_dataset(spec_of({"source": "sklearn", "dataset": dataset}))
    assert loaded.notices == ()
    assert loaded.origin.source == f"sklearn {dataset}"


# --------------------------------------------------------------------- what is shown


@pytest.fixture
def model(tmp_path):
    rows = "".join(
        f"{i},{value:.4f},{value * value:.4f},{'ok' if i % 20 else 'worn'}\n"
        for i, value in enumerate(np.random.default_rng(0).uniform(-3, 5, 400))
    )
    (tmp_path / "pump.csv").write_text("# by hand\ntime,pressure,flow,state\n" + rows)
    (tmp_path / "model.yaml").write_text(
        "name: pump\n"
        'data: {source: csv, path: pump.csv, comment: "#", features: [time, pressure]}\n'
        "network: {layers: [{units: 4}]}\ntraining: {epochs: 2}\nlearning: {start: untrained}\n"
    )
    return tmp_path / "model.yaml"


@pytest.mark.parametrize("command", [train, generate])
def test_what_was_read_is_shown(model, command):
    done = CliRunner().invoke(command, [str(model)], catch_exceptions=False)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()[:4]
    assert lines[:2] == [
        "csv pump.csv: 400 samples (288 to train, 32 to validate, 80 to test) of 2 inputs",
        "2 classes: 'ok' 380 (95.0%), 'worn' 20",
    ]
    assert re.fullmatch(r"values -2\.9\d* to 399, scaling per_feature", lines[2])
    assert lines[3] == "left out: column flow, 1 line of comment"
    assert done.stderr.count("warning: ") == 2
    assert "data.ignore: [time]" in done.stderr
    if command is train:
        assert 'always guessing "ok": 95.00 % of the test samples' in done.stdout
        assert "test, balanced %" in done.stdout
        assert re.search(
            r"\nfloat network, tested on 80 samples after (1 pass|2 passes) over 288 training ",
            done.stdout,
        )


@pytest.mark.parametrize("command", [train, generate])
def test_what_was_read_is_in_the_json(model, command):
    done = CliRunner().invoke(command, [str(model), "--json"], catch_exceptions=False)
    found = json.loads(done.stdout)
    data = found["data"]
    assert data["source"] == "csv pump.csv"
    assert data["samples"] == {"train": 288, "validation": 32, "test": 80}
    assert data["classes"] == {"ok": 380, "worn": 20}
    assert data["scaling"] == "per_feature"
    assert data["left_out"] == ["column flow", "1 line of comment"]
    assert [sorted(warning) for warning in data["warnings"]] == [["mend", "reason"]] * 2
    if command is train:
        assert found["majority_share"] == 0.95
        assert len(found["balanced_accuracy"]) == 1


def test_warnings_go_beside_a_proof(model):
    brief = ["--simulator", "unicorn", "--no-stress", "--learn-steps", "2"]
    done = CliRunner().invoke(verify, [str(model), *brief, "--json"])
    json.loads(done.stdout)
    assert done.stderr.count("warning: ") == 2

"""The report: figures that are the measured ones, on a page that a phone can show."""

import json
import re

import browser
import numpy as np
import pytest
from click.testing import CliRunner
from test_verify import write_model

from spela_mcu.cli.report import command
from spela_mcu.commands.report import curve_steps
from spela_mcu.contenders.standings import settings_digest
from spela_mcu.data.load import load_dataset
from spela_mcu.errors import UserError
from spela_mcu.fixed_point.early_exit import Answers
from spela_mcu.fixed_point.plan import make_plan
from spela_mcu.pictures.report import reliability
from spela_mcu.report.rejection import held_out_classes, roc, without
from spela_mcu.report.trade_off import trade_off
from spela_mcu.spec.load import load_spec

pytestmark = pytest.mark.xdist_group("report")  # what they look at takes its time to make

PHONE = 360
NAMES = ["<script>alert(1)</script>", "a & b", *(f"a class with a long name {n}" for n in range(3))]


def invoke(*arguments):
    done = CliRunner().invoke(command, [*map(str, arguments), "--json", "--learn-steps", "60"])
    if done.exception is not None:
        raise done.exception
    return json.loads(done.stdout)


def model_in(directory):
    return write_model(
        directory,
        inputs=12,
        units=(24, 20, 12),
        classes=len(NAMES),
        samples=500,
        network={"classes": NAMES},
        training={"epochs": 3},
        learning={"start": "untrained", "epochs": 2, "batch": 3},
        exits={"early": True, "loss_points": 3.0},
    )


def comparison_of(model, name="One"):
    return {
        "model": str(model.absolute()),
        "settings": settings_digest(load_spec(model)),
        "command": "spela-mcu compare",
        "seeds": [0, 1],
        "contenders": [
            {
                "name": "spela_int8",
                "title": name,
                "accuracy_mean": [0.91, 0.87654],
                "accuracy_spread": [0.01, 0.02],
                "cost": {
                    "flash_bytes": 12345,
                    "ram_bytes": 678,
                    "instructions": None,
                    "note": "the whole firmware",
                },
            }
        ],
        "skipped": [{"title": "TFLM", "reason": "not installed"}],
        "same_weights_points_above_tflm": None,
    }


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report with everything in it: its JSON, and the page."""
    directory = tmp_path_factory.mktemp("report")
    model = model_in(directory)
    compared = directory / "build" / "compare"
    compared.mkdir(parents=True)
    (compared / "compare.json").write_text(json.dumps(comparison_of(model)))
    found = invoke(model)
    return found, (directory / "build" / "report" / "report.html").read_text()


def test_the_page_needs_nothing_but_itself(report):
    found, page = report
    references = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"'\s)>]*)""", page)
    assert len(references) == len(found["pictures"])
    assert all(one.startswith("data:image/svg+xml;base64,") for one in references)
    assert "<script" not in page
    assert NAMES[0].replace("<", "&lt;").replace(">", "&gt;") in page


def test_the_page_shows_what_was_measured(report):
    found, page = report
    verification = found["verification"]
    assert verification["bit_exact"]
    for figure in ("flash_bytes", "ram_bytes", "infer_instructions", "learn_instructions"):
        assert f"{verification[figure]:,}" in page
    assert f"{verification['learn_instructions_most']:,}" in page
    assert "stochastic rounding of the sum of 3 updates" in page
    assert "the whole state after each of 60 learning steps" in page
    assert re.search(r"tested on \d+ samples after 2 passes over \d+ training samples\.", page)
    for section in ("Accuracy", "Learning", "Early exit", "Unknown samples", "What integers do"):
        assert f"<h2>{section}</h2>" in page
    assert "87.65 ± 2.00" in page
    assert "12,345" in page
    assert "Left out: TFLM, not installed" in page
    expected = {"learning", "confusion", "reliability", "weights", "halvings", "early_exit", "roc"}
    assert found["pictures"].keys() == expected | {"comparison"}


@pytest.mark.skipif(browser.CHROMIUM is None, reason="chromium is not on PATH")
@pytest.mark.parametrize("width", [PHONE, 390, 1100])
def test_nothing_overflows_in_a_real_browser(report, width, tmp_path):
    found, page = report
    picture = tmp_path / "page.png"
    seen = browser.look(page, width, screenshot=picture)
    assert seen["innerWidth"] == width
    assert seen["scrollWidth"] <= width
    assert seen["viewport"] == "width=device-width, initial-scale=1"
    assert seen["heading"] == "awkward"
    assert seen["scripts"] == 0
    assert len(seen["images"]) == len(found["pictures"])
    for natural, shown in seen["images"]:
        assert natural > 0, "a picture that the browser cannot read"
        assert shown > 0.7 * min(width, 544), "a picture too small to be read"
    assert seen["tables"] >= 8
    assert seen["wideTables"] == 0, "a table hides its last columns"
    assert seen["stacked"] == (seen["manyColumns"] if width < 640 else 0)
    assert seen["manyColumns"] > 5
    if width == PHONE:
        assert seen["scrollHeight"] > 3000
    colours = picture_colours(picture)
    assert colours > 50, "the page is blank"


def picture_colours(file):
    from PIL import Image

    with Image.open(file) as image:
        pixels = np.asarray(image.convert("RGB").resize((250, 1000))).reshape(-1, 3)
    return len(np.unique(pixels, axis=0))


@pytest.mark.skipif(browser.CHROMIUM is None, reason="chromium is not on PATH")
def test_a_table_that_is_too_wide_is_seen(report):
    _, page = report
    wide = page.replace("@media (max-width: 40rem)", "@media (max-width: 1rem)")
    assert wide != page
    assert browser.look(wide, PHONE)["wideTables"] > 0
    broken = wide.replace(".scroll { overflow-x: auto;", ".scroll {")
    assert broken != wide
    assert browser.look(broken, PHONE)["scrollWidth"] > PHONE


def test_a_directory_without_a_comparison_is_an_error(tmp_path):
    with pytest.raises(UserError, match="holds no comparison"):
        invoke(tmp_path)
    (tmp_path / "compare.json").write_text("[]")
    with pytest.raises(UserError, match="damaged"):
        invoke(tmp_path)


def test_a_comparison_of_other_settings_is_left_out(tmp_path):
    model = write_model(
        tmp_path, inputs=5, units=(8,), classes=2, training={"epochs": 1}, learning={"epochs": 1}
    )
    run = tmp_path / "run"
    run.mkdir()
    stale = comparison_of(model) | {"settings": "others"}
    (run / "compare.json").write_text(json.dumps(stale))
    done = CliRunner().invoke(command, [str(run), "-o", str(tmp_path / "out")])
    page = (tmp_path / "out" / "report.html").read_text()
    assert "the comparison, of other settings, is left out" in done.stdout
    assert not (tmp_path / "out" / "pictures" / "comparison.svg").exists()
    tested = (
        r"tested on \d+ samples with the float reference's weights, before it learns on the chip"
    )
    assert re.search(rf"\nnetwork as used: \d+\.\d\d %, {tested}\n", done.stdout)
    assert re.search(tested.replace("'", "&#39;"), page)
    assert "Not measured yet" in page
    # One exit, two classes, a trained start: what cannot be shown is said.
    assert "The network has a single exit." in page
    assert "With fewer than three classes none can be held out." in page
    assert "as it is flashed" in page


# ------------------------------------------------------------------------------- parts


def test_roc_is_the_share_below_every_threshold():
    known, unknown = np.array([5, 7, 7, 9]), np.array([1, 5, 7])
    false_alarms, hits = roc(known, unknown)
    for limit, alarm, hit in zip([1, 5, 7, 9, 10], false_alarms, hits, strict=True):
        assert (alarm, hit) == (np.mean(known < limit), np.mean(unknown < limit))
    same = roc(known, known)
    assert np.trapezoid(same[1], same[0]) == pytest.approx(0.5)


def test_a_held_out_class_is_never_learned(tmp_path):
    spec = load_spec(model_in(tmp_path))
    dataset = load_dataset(spec, None)
    part = without(dataset, 1)
    assert part.class_names == (NAMES[0], *NAMES[2:])
    assert len(part.train) == np.count_nonzero(dataset.train.y != 1)
    names = np.array(dataset.class_names)[dataset.train.y[dataset.train.y != 1]]
    assert (np.array(part.class_names)[part.train.y] == names).all()
    found = held_out_classes(spec, dataset)
    assert [one.name for one in found] == [NAMES[0], NAMES[2], NAMES[4]]
    for one in found:
        assert one.known + one.unknown == len(dataset.test)
        assert 0 <= one.area <= 1
        assert one.hits[-1] == one.false_alarms[-1] == 1


def test_trade_off_goes_from_all_to_none(tmp_path):
    spec = load_spec(model_in(tmp_path))
    plan = make_plan(spec, 12, 5)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, (3, 200))
    answers = Answers(labels, labels * 0, rng.integers(1, 9000, (3, 200)))
    saved, accuracy = trade_off(plan, answers, labels[2])
    assert accuracy[0] == pytest.approx(100 * np.mean(labels[0] == labels[2]))
    assert accuracy[-1] > 99  # hardly anybody leaves: the last exit is right
    assert saved[0] == max(saved) > 0 > saved[-1]


def test_reliability_counts_every_sample_once():
    margins = np.arange(105) * 100
    rows = reliability(margins, margins > 5000)
    assert sum(count for *_, count in rows) == 105
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    assert (rows[0][1], rows[-1][1]) == (0.0, 1.0)


@pytest.mark.parametrize("total", [1, 7, 12, 60, 12950, 270_000])
def test_curves_begin_at_the_start_and_end_at_the_end(total):
    steps = curve_steps(total)
    assert (steps[0], steps[-1]) == (0, total)
    assert steps == sorted(set(steps))

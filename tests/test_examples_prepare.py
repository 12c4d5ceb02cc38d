"""What the examples' prepare.py make can be used: synthetic words, pictures of an archive."""

import importlib.util
import io
import os
import shutil
import sys
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from keyword_model import digits_backbone
from PIL import Image

from spela_mcu.data.load import load_dataset
from spela_mcu.pipeline import prepare
from spela_mcu.spec.load import load_spec

FOLDER = os.environ.get("SPELA_MLPERF_TINY", "")
EXAMPLES = Path(__file__).parents[1] / "examples"


def script(example, directory, monkeypatch):
    """The module prepare.py of an example, which writes into `directory`."""
    spec = importlib.util.spec_from_file_location(
        f"{example}_prepare", EXAMPLES / example / "prepare.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "HERE", directory / "build")
    monkeypatch.setattr(sys, "argv", ["prepare.py"])
    monkeypatch.delenv("SPELA_MLPERF_TINY", raising=False)
    shutil.copyfile(EXAMPLES / example / "model.yaml", directory / "model.yaml")
    return module


def test_words_are_synthesised(tmp_path, monkeypatch):
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    words = script("keywords", tmp_path, monkeypatch)
    for name, fewer in (("KNOWN_SAMPLES", 4), ("SAMPLES", 10), ("EPOCHS", 1)):
        monkeypatch.setattr(words, name, fewer)
    words.main()
    found = prepare(tmp_path / "model.yaml")
    assert found.dataset.sample_shape == (49, 10, 1)
    assert (found.dataset.inputs, found.dataset.classes) == (64, 12)
    assert found.dataset.test.samples.std() > 20


@pytest.mark.skipif(not FOLDER, reason="SPELA_MLPERF_TINY names no directory with the models")
def test_words_may_leave_within_the_backbone(tmp_path, monkeypatch):
    words = script("keywords", tmp_path, monkeypatch)
    monkeypatch.setattr(sys, "argv", ["prepare.py", "--mlperf", FOLDER])
    words.main()
    shutil.copyfile(EXAMPLES / "keywords" / "early.yaml", tmp_path / "early.yaml")
    plan = prepare(tmp_path / "early.yaml").plan
    assert plan.taps == 2
    assert any(layer.exit.exit_margin for layer in plan.layers[:2])


def test_pictures_of_an_archive_are_unpacked(tmp_path, monkeypatch, capsys):
    objects = script("objects", tmp_path, monkeypatch)
    digits_backbone(tmp_path / "pretrainedResnet_quant.tflite")
    rng = np.random.default_rng(0)
    with ZipFile(tmp_path / "pictures.zip", "w") as archive:
        for part in ("train", "test"):
            for kind in ("cat", "dog"):
                for number in range(objects.OF_EACH + 2):
                    content = io.BytesIO()
                    pixels = rng.integers(0, 256, (4, 4, 3)).astype(np.uint8)
                    Image.fromarray(pixels).save(content, "png")
                    archive.writestr(f"cifar/{part}/{kind}/{number:04}.png", content.getvalue())
        archive.writestr("cifar/README", "pictures")
    asked = ["--mlperf", str(tmp_path), "--pictures", str(tmp_path / "pictures.zip")]
    monkeypatch.setattr(sys, "argv", ["prepare.py", *asked])
    objects.main()
    assert (tmp_path / "build/objects.tflite").is_file()
    for part in ("train", "test"):
        found = sorted((tmp_path / "build/pictures" / part / "cat").iterdir())
        assert [file.name for file in found] == [f"{n:04}.png" for n in range(objects.OF_EACH)]
    assert "wrote" in capsys.readouterr().out


def test_bearings_are_synthesised(tmp_path, monkeypatch):
    bearings = script("vibration", tmp_path, monkeypatch)
    monkeypatch.setattr(bearings, "SECONDS", 0.5)
    bearings.main()
    file = tmp_path / "model.yaml"
    dataset = load_dataset(load_spec(file), file)
    assert dataset.input_shape == (3, 48)
    assert dataset.class_names == tuple(sorted(bearings.STRIKES))
    assert not dataset.notices
    assert dataset.train.inputs.std() > 20


def test_words_of_tones_and_chirps_are_synthesised(tmp_path, monkeypatch):
    spoken = script("spoken", tmp_path, monkeypatch)
    for name, fewer in (("SPEAKERS", 6), ("TAKES", 1)):
        monkeypatch.setattr(spoken, name, fewer)
    spoken.main()
    file = tmp_path / "model.yaml"
    dataset = load_dataset(load_spec(file), file)
    assert (dataset.input_shape, dataset.classes) == ((40, 20), 6)
    assert dataset.train.inputs.std() > 20
    asked = ["prepare.py", "--recordings", str(tmp_path / "build" / "recordings")]
    monkeypatch.setattr(spoken, "HERE", tmp_path / "again")
    monkeypatch.setattr(sys, "argv", asked)
    spoken.main()
    one = "recordings/hum_voice3_0.wav"
    copied = (tmp_path / "again" / one).read_bytes()
    assert len(copied) == len((tmp_path / "build" / one).read_bytes())

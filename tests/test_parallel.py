"""Commands that run at the same time on one model, in the same directories: all succeed."""

import json
import subprocess
import sys

import pytest
from test_verify import write_model


@pytest.fixture
def model(tmp_path):
    """A small model; all that is made of it lies beside it."""
    return write_model(tmp_path, inputs=13, units=(17, 9), classes=3, training={"epochs": 3})


def together(*commands):
    """Runs commands at the same time; what each printed as JSON."""
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", "spela_mcu", *map(str, command), "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for command in commands
    ]
    results = []
    for run in runs:
        out, said = run.communicate(timeout=600)
        assert run.returncode in (0, 1), said  # 1: not as accurate as is asked for
        assert "Traceback" not in said
        results.append(json.loads(out))
    return results


def test_verify_with_two_seeds(model):
    brief = ("--learn-steps", 3, "--samples", 2, "--simulator", "unicorn", "--no-stress")
    found = together(("verify", model, *brief), ("verify", model, *brief, "--seed", 5))
    assert all(one["bit_exact"] for one in found)


def test_train_with_two_seeds_and_one_of_them_twice(model):
    runs = (("train", model), ("train", model, "--seed", 5), ("train", model))
    first, other, same = together(*runs)
    assert first["network_seed"] == same["network_seed"] != other["network_seed"]
    assert first["accuracy"] == same["accuracy"]


def test_generate_two_models_into_one_directory(model):
    out = model.parent / "out"
    found = together(
        ("generate", model, "-o", out), ("generate", model, "-o", out, "--inference-only")
    )
    manifest = json.loads((out / "project.json").read_text())
    assert f"0x{manifest['model']['digest']:08X}" in {one["model_digest"] for one in found}

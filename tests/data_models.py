"""Models of data alone, for the tests of data sources."""

import numpy as np
import pytest

from spela_mcu.data import load_dataset
from spela_mcu.errors import UserError
from spela_mcu.spec.load import load_spec
from spela_mcu.spec.model import ModelSpec


def spec_of(source, /, **network):
    """A model of such data."""
    network = {"layers": [{"units": 32}], **network}
    return ModelSpec.model_validate({"name": "test", "data": source, "network": network})


def samples(n, features=3, seed=0):
    return np.random.default_rng(seed).integers(0, 100, (n, features)).astype(np.float32)


def csv_spec(path, text, encoding="utf-8", network=(), **keys):
    path.write_text(text, encoding=encoding, newline="")
    return spec_of({"source": "csv", "path": str(path), **keys}, **dict(network))


def python_spec(directory, body, name="read"):
    (directory / "model.yaml").write_text(
        f"name: test\ndata: {{source: python, function: 'source.py:{name}'}}\n"
        "network: {layers: [{units: 16}]}\n"
    )
    (directory / "source.py").write_text(body)
    return load_spec(directory / "model.yaml")


def npz_error(tmp_path, network=(), **arrays):
    np.savez(tmp_path / "t.npz", **arrays)
    with pytest.raises(UserError) as caught:
        load_dataset(spec_of({"source": "npz", "path": str(tmp_path / "t.npz")}, **dict(network)))
    return caught.value

"""Raw inputs to network inputs."""

import numpy as np
import pytest
from data_models import spec_of

from spela_mcu.data import load_dataset
from spela_mcu.data.scaling import apply_scaling, measure_scaling


@pytest.mark.parametrize(
    ("raw", "stated", "scale"),
    [
        ([[0, 50], [200, 10]], None, 1 / 200),
        ([[20, 50], [200, 10]], None, 1 / 200),  # zero stays zero, 10 is no offset
        ([[-300, 50], [200, 10]], None, 1 / 300),
        ([[0, 50], [200, 10]], (0.0, 255.0), 1 / 255),
        ([[0, 50], [200, 10]], (-400.0, 255.0), 1 / 400),
    ],
)
def test_global_scaling(raw, stated, scale):
    x = np.array(raw, dtype=np.float32)
    scaling = measure_scaling(x, "global", stated)
    assert scaling.offset.tolist() == [0, 0]
    assert scaling.scale.tolist() == [np.float32(scale)] * 2
    assert np.array_equal(apply_scaling(x, scaling), x * np.float32(scale))


def test_scaling_centred_takes_each_mean_off_and_the_scale_of_global():
    x = np.array([[0, 50], [200, 10], [100, 30]], dtype=np.uint8)
    scaling = measure_scaling(x, "centred", (0.0, 250.0))
    assert scaling.offset.tolist() == [100, 30]
    assert scaling.scale.tolist() == [np.float32(1 / 250)] * 2
    assert np.allclose(apply_scaling(x, scaling).mean(axis=0), 0, atol=1e-7)  # float32
    assert measure_scaling(x, "centred", None).scale.tolist() == [np.float32(1 / 200)] * 2


def test_scaling_per_feature():
    x = np.array([[0, 10, 7, 1e-44], [4, 30, 7, 0], [1, 20, 7, 0]], dtype=np.float32)
    scaling = measure_scaling(x, "per_feature", None)
    assert scaling.offset.tolist()[:3] == [2, 20, 7]
    assert scaling.scale.tolist() == [0.5, np.float32(0.1), 0, 0]
    assert apply_scaling(x, scaling).tolist() == [[-1, -1, 0, 0], [1, 1, 0, 0], [-0.5, 0, 0, 0]]


def test_scaling_is_measured_on_the_training_part_alone(tmp_path):
    """Whatever lies in the other parts, only the training part's maximum becomes 1."""
    x = np.arange(1, 41, dtype=np.float32).reshape(-1, 1) ** 3
    y = np.arange(40) % 2
    np.savez(tmp_path / "t.npz", x=x, y=y)
    above = 0
    for seed in range(20):
        source = {"source": "npz", "path": str(tmp_path / "t.npz"), "seed": seed}
        dataset = load_dataset(spec_of(source))
        assert dataset.train.x.max() == 1
        above += max(dataset.test.x.max(), dataset.validation.x.max()) > 1
    assert above > 0


def test_uint8_and_wide_values_scale_alike():
    x = np.arange(256, dtype=np.uint8).reshape(-1, 2)
    wide = x.astype(np.float64)
    one = apply_scaling(x, measure_scaling(x, "global", None))
    two = apply_scaling(wide, measure_scaling(wide, "global", None))
    assert np.array_equal(one, two)

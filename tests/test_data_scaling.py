"""Raw inputs to network inputs."""

import numpy as np
import pytest
from data_models import spec_of

from spela_mcu.data import load_dataset, quantize_inputs
from spela_mcu.data.scaling import apply_scaling, measure_scaling
from spela_mcu.errors import UserError


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
        source = {
            "source": "npz",
            "path": str(tmp_path / "t.npz"),
            "seed": seed,
            "scaling": "global",
        }
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


# ------------------------------------------------------------- the choice of a scaling


def npz_spec(tmp_path, x, y=None, network=(), **keys):
    y = np.arange(len(x)) % 2 if y is None else y
    np.savez(tmp_path / "t.npz", x=x, y=y)
    source = {"source": "npz", "path": str(tmp_path / "t.npz"), **keys}
    return spec_of(source, **dict(network))


@pytest.mark.parametrize(
    ("shape", "keys", "network", "kind"),
    [
        ((3,), {}, {}, "per_feature"),
        ((), {}, {}, "per_feature"),
        ((3, 2), {}, {}, "global"),
        ((3, 2, 1), {}, {}, "global"),
        ((6,), {}, {"input_shape": [3, 2]}, "global"),  # a flat picture, told to be one
        ((6,), {"input_range": [0, 200]}, {}, "global"),
        ((6,), {"scaling": "global"}, {}, "global"),
        ((6,), {"scaling": "centred"}, {}, "centred"),
        ((3, 2), {"scaling": "per_feature"}, {}, "per_feature"),
    ],
)
def test_scaling_suits_the_samples(tmp_path, shape, keys, network, kind):
    x = np.random.default_rng(0).integers(50, 150, (40, *shape))
    spec = npz_spec(tmp_path, x, network=network, **keys)
    stated = npz_spec(tmp_path, x, network=network, **{**keys, "scaling": kind})
    got, wanted = load_dataset(spec), load_dataset(stated)
    assert np.array_equal(got.scaling.offset, wanted.scaling.offset)
    assert np.array_equal(got.scaling.scale, wanted.scaling.scale)
    assert np.array_equal(got.train.x, wanted.train.x)


@pytest.mark.parametrize(
    ("dataset", "kind"),
    [("digits", "global"), ("iris", "per_feature"), ("wine", "per_feature")],
)
def test_scaling_of_sklearns_sets(dataset, kind):
    source = {"source": "sklearn", "dataset": dataset}
    got, wanted = load_dataset(spec_of(source)), load_dataset(spec_of({**source, "scaling": kind}))
    assert np.array_equal(got.train.x, wanted.train.x)
    assert got.notices == ()


def plant(n=200):
    """Six inputs of some units around 20, and a pressure in pascal."""
    rng = np.random.default_rng(0)
    return np.column_stack([rng.normal(20, 3, (n, 6)), rng.uniform(0, 101325, n)])


LOST = (
    "scaling {} leaves 6 of 7 inputs fewer than 16 of the 255 steps of int8: "
    "x0, x1, x2, x3, x4 and x5"
)
MEND = "set data.scaling: per_feature, which gives each input a range of its own"


def test_a_table_keeps_its_small_inputs(tmp_path):
    dataset = load_dataset(npz_spec(tmp_path, plant()))
    assert dataset.notices == ()
    used = np.ptp(quantize_inputs(dataset.train.x).astype(int), axis=0)
    assert used.tolist() == [254] * 7


@pytest.mark.parametrize("kind", ["global", "centred"])
def test_inputs_that_a_stated_scaling_erases_are_told(tmp_path, kind):
    notice = load_dataset(npz_spec(tmp_path, plant(), scaling=kind)).notices[0]
    assert (notice.reason, notice.mend) == (LOST.format(kind), MEND)


def test_inputs_that_no_stated_scaling_erases_are_refused(tmp_path):
    with pytest.raises(UserError) as caught:
        load_dataset(npz_spec(tmp_path, plant().reshape(-1, 7, 1)))
    assert caught.value.key == "data.scaling"
    assert caught.value.reason == LOST.format("global")
    assert caught.value.mend == f"{MEND}; global can be stated too"


def test_a_stated_range_that_is_far_too_wide(tmp_path):
    x = np.random.default_rng(0).random((60, 2))
    notice = load_dataset(npz_spec(tmp_path, x, scaling="global", input_range=[0, 255])).notices[0]
    assert "leaves 2 of 2 inputs fewer than 16" in notice.reason
    assert notice.mend.startswith("state the range of the raw inputs as data.input_range")


def test_pixels_that_are_seldom_lit_are_no_loss(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (200, 4, 4))
    x[:, 0] = 0
    x[7, 0, 0] = 3
    assert load_dataset(npz_spec(tmp_path, x)).notices == ()


OUTLIERS = (
    "is made by a few outliers, which leave all others fewer than 16 of the 255 steps of int8"
)


@pytest.mark.parametrize("kind", ["per_feature", "global", "centred"])
def test_a_range_made_by_outliers_is_told(tmp_path, kind):
    x = np.random.default_rng(0).normal(0, 1, (150, 3))
    x[10:14, 1] = 1e6
    x[14:16, 2] = -1e6
    dataset = load_dataset(npz_spec(tmp_path, x, scaling=kind))
    reasons = [notice.reason for notice in dataset.notices]
    if kind == "per_feature":
        assert reasons == [f"the range of x1 and x2 {OUTLIERS}"]
    else:
        assert "leaves 1 of 3 inputs fewer than 16" in reasons[0] or OUTLIERS in reasons[0]


@pytest.mark.parametrize(
    "column",
    [
        np.random.default_rng(0).lognormal(0, 1, 500),
        np.random.default_rng(0).standard_t(2, 500),
        np.random.default_rng(0).exponential(1, 500),
        np.where(
            np.arange(500) % 25, 0, np.random.default_rng(2).uniform(0, 255, 500)
        ),  # a pixel that is seldom lit
        np.r_[np.zeros(499), 1],
        np.arange(500) % 2,
    ],
)
def test_a_wide_distribution_is_no_outlier(tmp_path, column):
    x = np.column_stack([column, np.random.default_rng(1).random(500)])
    assert load_dataset(npz_spec(tmp_path, x)).notices == ()


def test_a_dark_corner_of_a_picture_is_no_loss(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (200, 4, 4))
    x[:, 0, 0] %= 4
    assert load_dataset(npz_spec(tmp_path, x)).notices == ()
    x[:, 0] %= 4
    with pytest.raises(UserError, match="leaves 4 of 16 inputs"):
        load_dataset(npz_spec(tmp_path, x))
    with pytest.raises(UserError, match="every training input is zero"):
        load_dataset(npz_spec(tmp_path, x * 0, scaling="per_feature"))

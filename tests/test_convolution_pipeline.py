"""Models with convolutions, from model.yaml to the proof."""

import numpy as np
import pytest
import torch
from convolutional import plan_of, stream

from spela_mcu.commands.device_difference import difference
from spela_mcu.commands.report import _weights, measure
from spela_mcu.commands.verify import verify
from spela_mcu.contenders.backprop import network_of
from spela_mcu.data.load import load_dataset
from spela_mcu.device.device import Device
from spela_mcu.device.twin import Twin
from spela_mcu.errors import UserError, UserErrors
from spela_mcu.fixed_point.early_exit import exit_macs
from spela_mcu.fixed_point.layout import padded
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.host.network import HostNetwork
from spela_mcu.pictures.filters import tiles
from spela_mcu.pictures.report import pictures as draw_pictures
from spela_mcu.pipeline import Overrides, completed, prepare
from spela_mcu.proof.equality import find_state_difference
from spela_mcu.proof.silence import silence, silence_warnings
from spela_mcu.proof.stress import STRESSORS, hard_stream, steps_for, stressed
from spela_mcu.simulators.choice import simulator_named
from spela_mcu.spec.load import load_spec
from spela_mcu.spec.model import ModelSpec
from spela_mcu.spec.network import Dense
from spela_mcu.store.payload import learned_state, write_payload

SHAPE = (6, 7, 2)
TWO = "[{kind: convolution, filters: 4, grid: 2, readout: 4}, {units: 6}]"


def written(directory, layers=TWO, network="", rest=""):
    """A model.yaml with such layers."""
    path = directory / "model.yaml"
    path.write_text(
        "name: pictures\ndata: {source: npz, path: pictures.npz}\n"
        f"network:\n  layers: {layers}\n{network}{rest}"
    )
    return path


@pytest.fixture
def pictures(tmp_path):
    """A directory with samples [n, 6, 7, 2] of three classes."""
    x, y = stream(SHAPE, 150, noise=60)
    np.savez(tmp_path / "pictures.npz", x=x.reshape(-1, *SHAPE), y=y)
    return tmp_path


# ------------------------------------------------------------------------- the key


@pytest.mark.parametrize(
    ("layers", "network", "rest", "key", "reason"),
    [
        ("[{kind: conv, filters: 4}]", "", "", "layers[0].kind", "must be dense or convolution"),
        ("[{kind: [], filters: 4}]", "", "", "layers[0].kind", "must be dense or convolution"),
        ("[{kind: convolution}]", "", "", "layers[0].filters", "missing"),
        ("[{kind: convolution, filters: 4, kernel: 4}]", "", "", "layers[0].kernel", "1, 3, 5 or"),
        ("[{kind: convolution, filters: 1}]", "", "", "layers[0].filters", "from 2 to"),
        ("[{kind: dense, units: 4, filters: 4}]", "", "", "layers[0].filters", "unknown key"),
        (
            "[{units: 8}, {kind: convolution, filters: 4}]",
            "",
            "",
            "layers[1].kind",
            "a dense layer leaves none",
        ),
        (TWO, "  bias: true\n", "", "network.bias", "no bias"),
        (TWO, "  backbone: a.tflite\n", "", "network.backbone", "no map"),
        (TWO, "", "learning: {batch: 8}\n", "learning.batch", "cannot be summed"),
        (
            "[{units: 8}, {units: 6}]",
            "",
            "fixed_point: {weights: int12}\n",
            "fixed_point.weights",
            "has no convolutions",
        ),
        (
            "[{kind: convolution, filters: 4, readout: 2}]",
            "  classes: [a, b, c, d]\n",
            "",
            "layers[0].readout",
            "too few",
        ),
    ],
)
def test_what_convolutions_cannot_be_is_told(tmp_path, layers, network, rest, key, reason):
    with pytest.raises(UserError) as raised:
        load_spec(written(tmp_path, layers, network, rest))
    error = raised.value
    first = error.errors[0] if isinstance(error, UserErrors) else error
    assert first.key.endswith(key)
    assert reason in first.reason
    assert first.line is not None
    assert first.mend


def test_a_batch_on_the_command_line_is_refused(pictures):
    with pytest.raises(UserError, match="cannot be summed"):
        prepare(written(pictures), Overrides(batch=4, start="untrained"))


def test_a_format_of_filters_on_the_command_line_is_refused_without_any(pictures):
    dense = written(pictures, layers="[{units: 6}]")
    with pytest.raises(UserError, match="has no convolutions") as raised:
        prepare(dense, Overrides(weights="int12", start="untrained"))
    assert "int8" in raised.value.mend


def test_samples_without_positions_are_refused(tmp_path):
    np.savez(tmp_path / "pictures.npz", x=np.arange(600.0).reshape(100, 6), y=np.arange(100) % 2)
    with pytest.raises(UserError, match="needs samples of") as raised:
        prepare(written(tmp_path), Overrides(start="untrained"))
    assert raised.value.key == "network.input_shape"


def test_kind_is_dense_by_default_and_changes_no_digest():
    data = {"name": "a", "data": {"source": "sklearn"}, "network": {"layers": [{"units": 4}]}}
    said = {**data, "network": {"layers": [{"kind": "dense", "units": 4}]}}
    plain, spelt = ModelSpec.model_validate(data), ModelSpec.model_validate(said)
    assert plain.network.layers == (Dense(units=4),)
    assert plain.model_dump(mode="json") == spelt.model_dump(mode="json")
    assert "kind" not in plain.model_dump(mode="json")["network"]["layers"][0]


# -------------------------------------------------------------------- the pipeline


def test_the_shape_comes_from_the_data(pictures):
    spec = load_spec(written(pictures))
    dataset = load_dataset(spec)
    assert spec.network.input_shape is None
    assert completed(spec, dataset).network.input_shape == SHAPE
    prepared = prepare(written(pictures), Overrides(start="untrained"))
    assert prepared.plan.inputs == 84
    assert not prepared.plan.bias


@pytest.mark.parametrize("weights", ["int8", "int12"])
def test_it_starts_trained(pictures, weights):
    prepared = prepare(
        written(pictures, rest="training: {epochs: 5}\n"), Overrides(weights=weights)
    )
    network, test = prepared.network(), prepared.dataset.test
    host = HostNetwork.of(network)
    assert host.digest() == network.digest()
    found = network.predict_exits(test.inputs)
    assert np.array_equal(found, host.predict_exits(test.inputs))
    assert np.mean(found == prepared.trained.predict(test.x)) > 0.9  # float against integers
    assert (found == test.y).mean() > 0.9
    if weights == "int12":
        only_infers(prepared, network, found)


def only_infers(prepared, learns, answers):
    """Without learning there are no residuals: as int8, it answers alike."""
    made = prepared.source(inference_only=True)
    assert (made.weights, "int12" in made.source, "12 bits" in made.source) == (
        "int8",
        False,
        False,
    )
    assert "12 bits" in prepared.source().source
    fixed = learns.inferring()
    assert [one.format for one in fixed.plan.matrices] == ["int8"] * 3
    assert np.array_equal(fixed.predict_exits(prepared.dataset.test.inputs), answers)
    again = prepare(prepared.path, Overrides(weights="int12"), inference_only=True)
    assert again.source(inference_only=True).digest == made.digest
    residuals = learns.packed_weights(0)[len(fixed.packed_weights(0)) :]
    assert learns.packed_weights(0) == fixed.packed_weights(0) + residuals
    assert made.table_bytes == prepared.source().table_bytes - len(residuals)


def test_early_exit_counts_what_is_computed(pictures):
    prepared = prepare(
        written(pictures, rest="exits: {early: true}\n"), Overrides(start="untrained")
    )
    plan = prepared.plan
    convolution = plan.layers[0]
    window = convolution.convolution.window
    map_macs = 6 * 6 * 18 * 4  # the last column fills no block
    assert (window.pooled.positions, convolution.forward_macs) == (9, map_macs)
    first = map_macs + 16 * 4 + 3 * 4
    found = exit_macs(plan)
    assert found[0] == first
    between = first if plan.layers[0].exit.exit_margin else map_macs
    assert found[1] == between + 36 * 6 + 3 * 6
    assert plan.macs == map_macs + 36 * 6 + 3 * 6


def test_silence_is_told_of_filters_and_read_outs(pictures):
    prepared = prepare(written(pictures), Overrides(start="untrained"))
    dead = [weights.copy() for weights in prepared.initial]
    dead[0][1] = 0
    test = prepared.dataset.test.inputs
    found = silence(IntegerNetwork(prepared.plan, tuple(dead)), test)
    assert [layer.units for layer in found] == [4, 4, 6]
    assert found[0].dead_units == 1
    dead[0][:] = 0
    found = silence(IntegerNetwork(prepared.plan, tuple(dead)), test)
    assert [layer.silent_share for layer in found] == [1, 1, 1]
    said = silence_warnings(found)
    assert [warning.partition(" has")[0] for warning in said] == ["layer 0", "layer 2"]
    assert "4 of its 4 filters" in said[0]


@pytest.mark.parametrize("weights", ["int8", "int12"])
@pytest.mark.parametrize("stressor", STRESSORS, ids=lambda one: one.loss)
def test_stress_reaches_every_matrix(pictures, stressor, weights):
    prepared = prepare(written(pictures), Overrides(start="untrained", weights=weights))
    model = stressed(prepared, stressor)
    network, host = model.network(), HostNetwork(model.plan, None)
    for lesson in hard_stream(model.plan, steps_for(model.plan)):
        network.learn(lesson.inputs, lesson.label)
        host.learn(lesson.inputs, lesson.label)
        assert network.digest() == host.digest()
    for layer in network.quantization():
        assert layer.updates > 500
        assert layer.multipliers_clipped > 0
        assert layer.saturated > 0


@pytest.mark.needs_simulator("unicorn")
@pytest.mark.parametrize("loss", ["margin", "softmax"])
def test_verify_proves_it(pictures, loss):
    path = written(pictures, network=f"  loss: {loss}\n")
    prepared = prepare(path, Overrides(start="untrained"))
    build = prepared.deploy(pictures / "firmware")
    found = verify(prepared, build, simulator_named("unicorn"), learn_steps=30)
    assert found.learning.difference is None
    assert found.inference.difference is None
    assert found.learning.steps == 30
    assert len(found.quantization) == len(found.silence) == 3
    assert found.inference.labels.shape[0] == 2


@pytest.mark.needs_simulator("unicorn")
def test_a_report_shows_filters_and_maps(pictures):
    rest = "learning: {start: untrained, epochs: 1}\n"
    prepared = prepare(written(pictures, rest=rest), Overrides(weights="int12"))
    found = measure(prepared, pictures, device_steps=10)
    (filters,) = found.filters
    assert filters.weights.shape == (4, 3, 3, 2)
    assert filters.map.shape == (3, 3, 4)
    assert filters.map.max() > 0
    drawn = draw_pictures(found)
    assert {"filters", "learning", "early_exit"} <= set(drawn)
    assert drawn["filters"].count("<image") == 2


def test_the_report_counts_weights_at_an_end_as_the_chip_does():
    """Of 12 bits, those whose part that answers stands there."""
    plan = plan_of(SHAPE, [{"kind": "convolution", "filters": 4}], fixed_point={"weights": "int12"})
    every = np.arange(-2056, 2040).reshape(64, 64)
    assert _weights(plan.matrices[0], every, every).at_end == 2 * 16 / 4096
    assert _weights(plan.matrices[1], every, every).at_end == 2 / 4096  # -128 and 127


def test_tiles_are_laid_out_in_rows():
    sheet = tiles(np.arange(18 * 6.0).reshape(18, 2, 3))
    assert sheet.shape == (5, 63)
    assert np.array_equal(sheet[3:5, 4:7], [[102, 103, 104], [105, 106, 107]])
    assert np.isnan(sheet[2]).all()


@pytest.mark.parametrize(("weights", "layer"), [("int16", 1), ("int12", 0)])
def test_a_difference_names_the_layer_of_the_chip(pictures, weights, layer):
    """The read-out's, which is int8 beside int16; or the filters', in a residual."""
    prepared = prepare(written(pictures), Overrides(start="untrained", weights=weights))
    changed = tuple(weights.copy() for weights in prepared.initial)
    changed[layer][2, 5] ^= 1
    device = Device(Twin(IntegerNetwork(prepared.plan, changed), prepared.source()))
    network = prepared.network()
    found = find_state_difference(network, device, 0)
    assert (found.layer, found.what, found.index) == (layer, "weight", (2, 5))
    assert (found.reference, found.device) == (
        prepared.initial[layer][2, 5],
        prepared.initial[layer][2, 5] ^ 1,
    )
    payload = write_payload(prepared.plan, learned_state(network))
    formats = [matrix.format for matrix in prepared.plan.matrices]
    differing = difference(device.export_payload(), payload, formats).layers
    sizes = [padded(one.units) * padded(one.inputs) for one in prepared.plan.matrices]
    assert [one.weights for one in differing] == sizes
    assert [one.differing for one in differing] == [int(index == layer) for index in range(3)]
    assert differing[layer].largest == 1


def test_backpropagation_has_the_same_layers(pictures):
    spec = load_spec(written(pictures))
    dataset = load_dataset(spec)
    network = network_of(completed(spec, dataset), dataset.inputs, dataset.classes)
    sizes = [tuple(one.shape) for one in network.parameters()]
    assert sizes == [(4, 2, 3, 3), (4,), (6, 36), (6,), (3, 6), (3,)]
    assert network(torch.tensor(dataset.test.x)).shape == (len(dataset.test), 3)

"""The integer step of a convolution against automatic differentiation of the same loss."""

import numpy as np
import pytest
import torch
from convolutional import plan_of, stream
from torch.nn import functional

from spela_mcu.fixed_point.convolution import convolve, read_out
from spela_mcu.fixed_point.convolution_learning import factors, filter_sums
from spela_mcu.fixed_point.learning import direction
from spela_mcu.fixed_point.maps import cells
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.spec.network import LOSSES

SHAPE = (12, 11, 3)
MARGIN = 1.0
LEARNING = {"start": "untrained", "learning_rate": 0.02}
LAYER = {"kind": "convolution", "filters": 8, "grid": 3, "readout": 6}


def float_slopes(layer, weights, sample, label, alive, loss):
    """Of the loss along the integer weights of filters and read-out, in float64.

    What int8 rounds to 0 in the map, where `alive` is 0, passes no error on: the one difference
    beside rounding.
    """
    window = layer.convolution.window
    filters, readout = (torch.tensor(one, dtype=torch.float64) for one in weights)
    filters.requires_grad_()
    readout.requires_grad_()
    x = torch.tensor(sample, dtype=torch.float64).reshape(1, *window.map).permute(0, 3, 1, 2)
    kernel = filters.reshape(window.filters, *window.kernel, window.map.channels)
    sums = functional.conv2d(x, kernel.permute(0, 3, 1, 2), padding=1)
    pooled = functional.max_pool2d(functional.relu(sums), tuple(window.pool))[0]
    place = torch.tensor(cells(window))
    by_cell = torch.zeros(window.grid.area, window.filters, dtype=torch.float64)
    by_cell = by_cell.index_add(0, place, pooled.flatten(1).T * torch.tensor(alive))
    projection = readout @ by_cell.flatten()
    embedding = torch.tensor(layer.exit.embedding, dtype=torch.float64)
    cosines = embedding @ projection / projection.norm() / 2.0**layer.exit.embedding_shift
    if loss == "margin":
        others = cosines.clone()
        others[label] = -torch.inf
        value = functional.relu(MARGIN - (cosines[label] - others.max()))
    elif loss == "softmax":
        value = functional.cross_entropy(8 * cosines, torch.tensor(label)) / 8
    else:
        value = -cosines[label] if loss == "cosine" else torch.log(2 - cosines[label])
    return [one.numpy() for one in torch.autograd.grad(value, (filters, readout))]


@pytest.mark.parametrize("weights", ["int8", "int12"])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_step_is_the_gradient(loss, weights):
    """Within what int8 maps, cells and projections resolve, one part in twenty of its length."""
    network = {"loss": loss, "margin": MARGIN}
    formats = {"weights": weights}
    plan = plan_of(SHAPE, [LAYER], network=network, learning=LEARNING, fixed_point=formats)
    layer, network = plan.layers[0], IntegerNetwork.untrained(plan)
    filters, readout = (state.weights for state in network.layers)
    answering = layer.convolution.answering(filters)
    samples, labels = stream(SHAPE, 8)
    for sample, label in zip(samples.astype(np.int64), labels, strict=True):
        map = convolve(layer.convolution, filters, sample)
        reading = read_out(layer, readout, map)
        towards = direction(plan, layer, reading.output, int(label))
        alive = map.block.values > 0
        slopes = float_slopes(layer, (answering, readout), sample, int(label), alive, loss)
        if towards is None:
            assert loss == "softmax" or all(not one.any() for one in slopes)
            continue
        found = factors(
            layer,
            map,
            reading,
            towards,
            readout,
            readout_rate_shift=layer.learner.rate_shift,
            filters_rate_shift=layer.convolution.learner.rate_shift,
        )
        steps = (
            filter_sums(layer.convolution, map, found.filters),
            np.outer(found.readout, reading.cells.values),
        )
        for matrix, step, slope in zip(plan.matrices, steps, slopes, strict=True):
            # the slope along a weight of 12 bits is that along what answers, which is its 16th
            below = 2 ** (matrix.weight_bits - matrix.answering_bits)
            expected = -LEARNING["learning_rate"] * matrix.weight_scale**2 / below * slope
            error = step / 2.0**matrix.learner.update_shift - expected
            assert np.linalg.norm(error) < 0.05 * np.linalg.norm(expected)

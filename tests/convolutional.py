"""Small networks of convolutions and dense layers."""

import by_the_book
import convolution_by_the_book
import numpy as np

from spela_mcu.fixed_point.layout import FORMAT_BITS
from spela_mcu.fixed_point.plan import make_plan
from spela_mcu.spec.model import ModelSpec

CLASSES = 3


def spec_of(shape, layers, **sections):
    """A model of such layers: mappings as in model.yaml."""
    network = {"layers": layers, "input_shape": list(shape), **sections.pop("network", {})}
    return ModelSpec.model_validate(
        {"name": "small", "data": {"source": "sklearn"}, "network": network, **sections}
    )


def plan_of(shape, layers, **sections):
    sections.setdefault("learning", {"start": "untrained", "learning_rate": 0.2})
    return make_plan(spec_of(shape, layers, **sections), int(np.prod(shape)), CLASSES)


def stream(shape, count, seed=0, noise=40):
    """Samples of three classes, and their labels."""
    rng = np.random.default_rng(seed)
    size = int(np.prod(shape))
    means = np.random.default_rng(99).integers(-100, 101, (CLASSES, size))
    labels = rng.integers(0, CLASSES, count)
    samples = np.clip(means[labels] + rng.normal(0, noise, (count, size)), -128, 127)
    return samples.astype(np.int8), labels


def book_matrix(weights, matrix, exit_=None, leak=0, width=0):
    return by_the_book.Layer(
        weights.tolist(),
        [] if exit_ is None else exit_.embedding.tolist(),
        matrix.weight_bits,
        matrix.learner.update_shift,
        0 if exit_ is None else exit_.embedding_shift,
        matrix.learner.rate_mantissa,
        matrix.learner.rate_shift,
        leak,
        width=width,
    )


def book_convolution(layer, filters, readout):
    """A convolution, read from the text."""
    window = layer.convolution.window
    sides = (window.kernel, window.stride, window.pool, window.grid)
    width = FORMAT_BITS[layer.convolution.format] / 8
    return convolution_by_the_book.Convolution(
        *window.map,
        *map(tuple, sides),
        book_matrix(filters, layer.convolution, width=width),
        book_matrix(readout, layer, layer.exit),
    )


def book_network(network):
    """The same network, read from the text."""
    plan, convolutions, dense = network.plan, [], []
    for index, layer in enumerate(plan.layers):
        own = plan.matrix_index(index)
        if layer.convolution is None:
            made = book_matrix(network.initial[own], layer, layer.exit, layer.leak_shift)
            dense.append(made)
        else:
            pair = network.initial[own - 1 : own + 1]
            convolutions.append(book_convolution(layer, *pair))
    return convolution_by_the_book.ConvolutionalNetwork(
        dense,
        plan.loss,
        plan.rounding,
        plan.margin,
        plan.halve_rate_every,
        plan.rate_halvings,
        plan.dither_seed,
        convolutions=tuple(convolutions),
    )

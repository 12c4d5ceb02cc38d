"""What spela_init accepts: each bound of docs/arithmetic.md at its end, and one beyond."""

from dataclasses import dataclass, field, replace

import pytest
from convolutional import plan_of

from spela_mcu.fixed_point.layout import padded
from spela_mcu.host.network import HostNetwork, _library

INT16, NEAREST, INFERENCE_ONLY, BIAS, WEIGHT_DECAY = 1, 2, 4, 8, 16


@dataclass
class Layer:
    """A layer whose embeddings and weights are zero but where they are said to be something."""

    inputs: int = 3
    units: int = 5
    bits: int = 8
    k: int = 6
    leak: int = 0
    kind: int = 0
    embeddings: dict = field(default_factory=dict)  # by class and unit; None: a null pointer
    weights: dict | None = None  # by place in memory


@dataclass
class Model:
    """A model that is accepted, unless a test says otherwise."""

    layers: list
    classes: int = 7
    loss: int = 2
    flags: int = 0
    batch: int = 1
    layer_count: int | None = None

    def is_accepted(self):
        """Whether spela_init finds nothing wrong but the arena, which is empty."""
        ffi, library = _library()
        kept = []

        def table(kind, size, filled):
            data = ffi.new(f"{kind}[]", size)
            for place, value in filled.items():
                data[place] = value
            kept.append(data)
            return data

        layers = ffi.new("spela_layer_t[]", max(len(self.layers), 1))
        for entry, layer in zip(layers, self.layers, strict=False):
            entry.inputs, entry.units, entry.weight_bits = layer.inputs, layer.units, layer.bits
            entry.kind = layer.kind
            entry.leak_shift, entry.exit.embedding_shift = layer.leak, layer.k
            columns = padded(layer.units)
            if layer.embeddings is not None:
                places = {
                    c // 4 * 4 * columns + j // 4 * 16 + c % 4 * 4 + j % 4: value
                    for (c, j), value in layer.embeddings.items()
                }
                entry.exit.embeddings = table("int8_t", padded(self.classes) * columns, places)
            if layer.weights is not None:
                kind = "int16_t" if self.flags & INT16 else "int8_t"
                entry.weights = table(kind, columns * padded(layer.inputs), layer.weights)
        model = ffi.new("spela_model_t *")
        model.layers, model.classes = layers, self.classes
        model.layer_count = len(self.layers) if self.layer_count is None else self.layer_count
        model.loss, model.flags, model.batch = self.loss, self.flags, self.batch
        arena = ffi.new("uint64_t[]", 1)
        status = library.spela_init(ffi.new("spela_t **"), model, arena, 0)
        assert status in (library.SPELA_ERROR_ARENA, library.SPELA_ERROR_MODEL)
        return status == library.SPELA_ERROR_ARENA


def chain(*units, inputs=3, **keys):
    """Layers one behind the other."""
    found = []
    for width in units:
        found.append(Layer(inputs, width, **keys))
        inputs = width
    return found


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (Model(chain(5)), True),
        (Model([], layer_count=0), False),
        (Model(chain(*[5] * 16)), True),
        (Model(chain(*[5] * 17)), False),
        (Model(chain(5), classes=2), True),
        (Model(chain(5), classes=1), False),
        (Model(chain(5), classes=0), False),
        (Model(chain(2), classes=65535), True),
        (Model(chain(5), loss=0), True),
        (Model(chain(5), loss=2), True),
        (Model(chain(5), loss=3), True),
        (Model(chain(5), loss=4), False),
        (Model(chain(5), batch=0), False),
        (Model(chain(5), batch=64), True),
        (Model(chain(5), batch=65), False),
        (Model(chain(5), flags=NEAREST), True),
        (Model(chain(5), flags=BIAS), True),
        (Model(chain(2, inputs=2), flags=BIAS), True),
        (Model(chain(2, inputs=1), flags=BIAS), False),
        (Model(chain(5), flags=WEIGHT_DECAY), True),
        (Model(chain(5), flags=32), False),
        (Model(chain(5), flags=128), False),
        (Model(chain(5, 4, 6, 2)), True),
    ],
)
def test_bounds_of_a_model(model, expected):
    assert model.is_accepted() == expected


LAYER_BOUNDS = [
    ("units", [2, 7], [0, 1]),
    ("k", [0, 6, 14], [15, 16, 255]),
    ("leak", [0, 1, 30], [31, 32, 255]),
    ("bits", [8], [0, 7, 9, 16, 255]),
    ("kind", [0], [1, 255]),
]


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(("name", "accepted", "refused"), LAYER_BOUNDS)
def test_bounds_of_a_layer(place, name, accepted, refused):
    """Of the first layer, one between, and the last."""
    for expected, values in ((True, accepted), (False, refused)):
        for value in values:
            model = Model(chain(6, 9, 8))
            setattr(model.layers[place], name, value)
            if name == "units" and place < 2:
                model.layers[place + 1].inputs = value
            assert model.is_accepted() == expected, value


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_widest_layer(place):
    for units, expected in ((4096, True), (4097, False)):
        widths = [4, 4, 4]
        widths[place] = units
        assert Model(chain(*widths)).is_accepted() == expected


@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_a_layer_must_have(place):
    model = Model(chain(6, 9, 8))
    model.layers[place].embeddings = None
    assert not model.is_accepted()
    model = Model(chain(6, 9, 8, weights={}), flags=INFERENCE_ONLY)
    assert model.is_accepted()
    model.layers[place].weights = None
    assert not model.is_accepted()


def test_inputs():
    assert not Model(chain(2, inputs=0)).is_accepted()
    assert Model(chain(2, inputs=1)).is_accepted()
    assert Model(chain(2, inputs=65535)).is_accepted()
    for place in (1, 2):
        for step in (-1, 1):
            model = Model(chain(6, 9, 8))
            model.layers[place].inputs += step
            assert not model.is_accepted()


@pytest.mark.parametrize(
    ("inputs", "bits"), [(256, 16), (512, 15), (1024, 14), (2048, 13), (4096, 12), (32768, 9)]
)
@pytest.mark.parametrize("place", [0, 1])
def test_the_bound_of_sums(inputs, bits, place):
    """inputs * 2^7 * 2^(bits-1) <= 2^30, with int16 weights."""
    if place == 1 and inputs > 2048:
        return  # one more would be refused as the width of the layer before
    for width, of_bits, expected in (
        (inputs, bits, True),
        (inputs - 1, bits, True),
        (inputs + 1, bits, False),
        (inputs, bits + 1, False),
    ):
        layers = chain(width if place else 3, 2)
        layers[place].inputs, layers[place].bits = width, of_bits
        assert Model(layers, flags=INT16).is_accepted() == expected


@pytest.mark.parametrize("bits", [7, 8, 16, 17])
def test_bits_of_int16_weights(bits):
    expected = 8 <= bits <= 16
    for place in (0, 1):
        model = Model(chain(4, 5), flags=INT16)
        model.layers[place].bits = bits
        assert model.is_accepted() == expected


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("c", [0, 1, 3, 4, 8, 9])
@pytest.mark.parametrize(
    ("k", "longest", "too_long"),
    [
        (0, (1,), (1, 1)),  # 9/8 * 1
        (1, (2,), (2, 1)),  # 4.5
        (2, (4, 1, 1), (3, 3, 1)),  # 18
        (3, (-8, 2, 2), (8, 3)),  # 72
        (6, (-67, 10, 4, -1, 1, 1), (67, 10, 4, 2)),  # 4608
        (7, (-128, 45, 4, 2, 1, 1, 1), (-128, 45, 4, 2, 2)),  # 18432
    ],
)
def test_the_length_of_embeddings(place, c, k, longest, too_long):
    """At most sqrt(9/8): in the first class, the last and others; in the first and last units."""
    squares = sum(e * e for e in too_long)
    assert sum(e * e for e in longest) <= 9 * 4**k / 8 < squares <= 9 * 4**k / 8 + 1
    for units, first in ((7, 0), (7, 7 - len(too_long)), (19, 12)):
        for vector, expected in ((longest, True), (too_long, False)):
            model = Model(chain(units, units, k=k), classes=10)
            start = min(first, units - len(vector))
            model.layers[place].embeddings = {(c, start + j): e for j, e in enumerate(vector)}
            assert model.is_accepted() == expected


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("flags", [INT16, INT16 | INFERENCE_ONLY])
@pytest.mark.parametrize("bits", [8, 9, 15])
def test_the_range_of_int16_weights(place, flags, bits):
    half = 1 << (bits - 1)
    size = padded(6) * padded(6)
    for at in (0, 1, size // 2, size - 1):
        for value, expected in (
            (half - 1, True),
            (-half, True),
            (half, False),
            (-half - 1, False),
            (-32768, False),
            (32767, False),
        ):
            model = Model(chain(6, 6, inputs=6, bits=bits, weights={}), flags=flags)
            model.layers[place].weights = {at: value}
            assert model.is_accepted() == expected, (at, value)


def test_whole_int16_range_of_16_bits():
    weights = {0: -32768, 35: 32767}
    assert Model(chain(6, inputs=6, bits=16, weights=weights), flags=INT16).is_accepted()


@pytest.mark.parametrize("bits", [7, 8, 9, 11, 12, 13, 16])
def test_bits_of_filters(bits):
    """8, or 12 of which the upper 8 answer; no other layer has 12."""
    layers = [{"kind": "convolution", "filters": 4, "readout": 4}, {"units": 5}]
    plan = plan_of((6, 5, 2), layers, fixed_point={"weights": "int12" if bits == 12 else "int8"})
    convolution, dense = plan.layers

    def is_accepted(*changed):
        try:
            HostNetwork(replace(plan, layers=changed), None)
        except ValueError as error:
            assert "SPELA_ERROR_MODEL" in str(error)
            return False
        return True

    filters = replace(convolution.convolution, weight_bits=bits)
    assert is_accepted(replace(convolution, convolution=filters), dense) == (bits in (8, 12))
    assert is_accepted(replace(convolution, weight_bits=bits), dense) == (bits == 8)
    assert is_accepted(convolution, replace(dense, weight_bits=bits)) == (bits == 8)

"""numpy and C against a third reading of docs/arithmetic.md, and at the edges of its rules."""

from dataclasses import replace

import by_the_book
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_integer_network import LOSSES, make_spec, stream
from toy import with_thresholds

from spela_mcu.fixed_point.early_exit import all_answers, answer_early, infer_early
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import derived_seed, make_plan, scale_embeddings
from spela_mcu.host.network import HostNetwork

ARENA_SAMPLES = 3
"""Which word of the arena counts samples: behind the model's address and the dither's state."""


def by_book(network):
    """The same network, read from the text."""
    plan = network.plan
    layers = [
        by_the_book.Layer(
            w=weights.tolist(),
            e=layer.exit.embedding.tolist(),
            b=layer.weight_bits,
            U=layer.learner.update_shift,
            k=layer.exit.embedding_shift,
            A=layer.learner.rate_mantissa,
            B=layer.learner.rate_shift,
            leak=layer.leak_shift,
            exit_margin=layer.exit.exit_margin,
            reject_cosine=layer.exit.reject_cosine,
        )
        for layer, weights in zip(plan.layers, network.initial, strict=True)
    ]
    return by_the_book.Network(
        layers,
        plan.loss,
        plan.rounding,
        plan.margin,
        plan.halve_rate_every,
        plan.rate_halvings,
        plan.dither_seed,
        plan.bias,
        plan.batch,
    )


def with_layer(plan, index, **changes):
    """The plan with other attributes of a layer, those of its exit and learner included."""
    layer = plan.layers[index]
    for part in ("exit", "learner"):
        own = getattr(layer, part)
        inner = {name: changes.pop(name) for name in set(changes) & set(vars(own))}
        layer = replace(layer, **{part: replace(own, **inner)})
    layers = list(plan.layers)
    layers[index] = replace(layer, **changes)
    return replace(plan, layers=tuple(layers))


class Three:
    """One network three times, which must agree in everything."""

    def __init__(self, plan, initial=None):
        self.numpy = (
            IntegerNetwork.untrained(plan)
            if initial is None
            else IntegerNetwork(plan, tuple(np.array(w, np.int64) for w in initial))
        )
        self.c = HostNetwork(plan, None) if initial is None else HostNetwork.of(self.numpy)
        self.book = by_book(self.numpy)
        self.agree()

    def agree(self):
        assert self.numpy.digest() == self.c.digest() == self.book.digest()
        counters = self.c.counters()
        assert counters["multipliers_clipped"] == self.book.clipped
        assert sum(count.multipliers_clipped for count in self.numpy.counts) == self.book.clipped

    def set_samples(self, samples):
        """As if so many had been learned."""
        self.numpy.samples = self.book.samples = samples
        words = self.c._ffi.cast("uint32_t *", self.c._arena)
        assert words[ARENA_SAMPLES] == 0
        words[ARENA_SAMPLES] = samples
        self.agree()
        assert self.c.counters()["samples"] == samples

    def infer(self, sample):
        """Every exit's (label, cosine, margin, scores)."""
        sample = np.array(sample, np.int8)
        found = self.book.infer(sample.tolist())
        for network in (self.numpy, self.c):
            answers = network.infer(sample)
            assert found == [(a.label, a.cosine, a.margin, a.scores.tolist()) for a in answers]
        return found

    def infer_early(self, sample):
        """(label, exit, cosine, margin)."""
        sample = np.array(sample, np.int8)
        found = self.book.infer_early(sample.tolist())
        for one in (infer_early(self.numpy, sample), self.c.infer_early(sample)):
            assert found == (one.label, one.exit, one.cosine, one.margin)
        early = answer_early(self.numpy.plan, all_answers(self.numpy, sample[np.newaxis]))
        assert early.exits.tolist() == [found[1]]
        assert early.unknown.tolist() == [found[0] == 65535]
        return found

    def learn(self, sample, label):
        """Every layer's multipliers; None where it does not learn."""
        sample = np.array(sample, np.int8)
        assert self.numpy.learn(sample, label) == self.c.learn(sample, label)
        found = self.book.learn(sample.tolist(), label)
        self.agree()
        return found


# ------------------------------------------------------------------- any network


@given(
    inputs=st.integers(1, 18),
    units=st.lists(st.integers(2, 12), min_size=1, max_size=3),
    classes=st.integers(2, 9),
    loss=st.sampled_from(LOSSES),
    weights=st.sampled_from(["int8", "int16"]),
    activation=st.sampled_from(["relu", "leaky_relu"]),
    rounding=st.sampled_from(["stochastic", "nearest"]),
    learning_rate=st.floats(1e-3, 10),
    rate_halvings=st.integers(0, 5),
    bias=st.booleans(),
    batch=st.sampled_from([1, 1, 2, 3, 8, 64]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=40, deadline=None)
def test_numpy_and_c_are_what_the_text_says(inputs, units, classes, loss, weights, **keys):
    spec = make_spec(units, loss, weights, halve_rate_every=3, **keys)
    three = Three(make_plan(spec, inputs, classes))
    samples, labels = stream(inputs, classes, 15, keys["seed"], low=-128)
    samples[3] = 0
    samples[7] = -128
    for sample, label in zip(samples, labels.tolist(), strict=True):
        three.infer(sample)
        three.infer_early(sample)
        three.learn(sample, label)


# --------------------------------------------------------------------- the edges


def small(weights="int8", loss="cosine", inputs=2, units=2, classes=2, **keys):
    """The plan of one layer."""
    keys = {"rounding": "nearest", **keys}
    return make_plan(make_spec((units,), loss, weights, **keys), inputs, classes)


@pytest.mark.parametrize(("start", "slope_shift"), [(1, 0), (-1, 1)])
def test_a_shift_of_30_is_the_last_that_moves_a_weight(start, slope_shift):
    # Sums (1, 256) or, leaky, (-1, 256): h = (0, 64), block shift 2, N = 2^12, t = 9, I = 2^16.
    # Both classes score 0, so v = u = (-2 * 67 * 2^8, 0) for class 1: as far as vectors go, since
    # 67^2 is just below 9/8 * 64^2. r = 65535 * 2^16 >> 18 = 16383, and u * r = -1.05 * 2^29.
    activation = "leaky_relu" if slope_shift else "relu"
    plan = with_layer(
        small("int16", "margin", activation=activation),
        0,
        embedding=np.array([[67, 0], [-67, 0]]),
        embedding_shift=6,
        rate_mantissa=65535,
        leak_shift=slope_shift,
    )
    steps = [(28, -2, 1), (29, -1, 1), (30, -1, 1), (31, 0, 0), (32, 0, 0)]
    steps += [(shift, -(2**15), 2**14) for shift in (1, 0, -1, -2, -40)]  # below 0 is 0: clipped
    for shift, multiplier, moved in steps:
        rate_shift = shift - slope_shift - (27 + 2 - 9)
        three = Three(with_layer(plan, 0, rate_shift=rate_shift), [[[start, 0], [0, -2]]])
        assert three.learn([1, -128], 1) == [[multiplier, 0]]
        for weights in (three.numpy.layers[0].weights, three.c.weights(0)):
            assert weights[:, 1].tolist() == [moved, -2], shift


@pytest.mark.parametrize("slope_shift", range(1, 11))
def test_small_sums_below_zero(slope_shift):
    """Down to -1, which becomes 0 at every slope, in a block that needs no shift."""
    plan = with_layer(small(inputs=1, units=6, classes=3), 0, leak_shift=slope_shift)
    for largest in (0, 3, 90):
        three = Three(plan, [[[-1], [-2], [-3], [-4], [-100], [largest]]])
        three.infer([1])
        three.infer([-1])
        three.learn([1], 1)


@pytest.mark.parametrize("slope_shift", [1, 2, 5, 10])
@pytest.mark.parametrize("weights", ["int8", "int16"])
def test_a_greatest_activation_of_minus_a_power_of_two(weights, slope_shift):
    plan = small(weights, activation="leaky_relu", classes=3, inputs=1)
    plan = with_layer(plan, 0, leak_shift=slope_shift)
    for power in range(plan.layers[0].weight_bits - 1):
        three = Three(plan, [[[2**power], [0]]])
        ((*_, scores),) = three.infer([-128])
        exponent = 7 + power - slope_shift
        expected = -(2 ** min(exponent, 6)) if exponent >= 0 else 0  # -64: bits(2^7) - 7 = 1
        embedding = plan.layers[0].exit.embedding
        assert scores == (embedding[:, 0] * expected).tolist()
        three.learn([-128], 1)


def test_a_layer_is_halved_fifteen_times_and_no_more():
    # Every multiplier is clipped, so that weights stand at their ends at every scan.
    plan = small(inputs=4, units=4, classes=3, activation="leaky_relu")
    three = Three(with_layer(plan, 0, rate_shift=-200))
    samples, labels = stream(4, 3, 256)
    for scan in range(1, 18):
        for sample, label in zip(samples, labels.tolist(), strict=True):
            three.learn(sample, label)
        assert three.book.layers[0].halvings == min(scan, 15)
        assert three.c.halvings(0) == min(scan, 15)
    assert three.c.counters()["halvings"] == 15
    assert three.numpy.saturated(0) > 0
    assert three.c.counters()["layer_updates"] == 17 * 256
    assert three.c.counters()["multipliers_clipped"] > 0


@pytest.mark.parametrize(
    ("units", "inputs", "ends"), [(8, 16, 2), (5, 13, 1), (10, 13, 2), (3, 3, 0)]
)
@pytest.mark.parametrize("weights", ["int8", "int16"])
def test_more_than_one_weight_in_64_at_an_end_halves(units, inputs, ends, weights):
    plan = small(weights, inputs=inputs, units=units)
    plan = with_layer(plan, 0, rate_shift=100)  # which moves nothing, but counts
    least, greatest = plan.layers[0].weight_min, plan.layers[0].weight_max
    for at_ends in (ends, ends + 1):
        initial = np.full((units, inputs), greatest - 1)
        initial[-1] = least + 1
        initial.flat[: at_ends // 2] = greatest
        initial.flat[initial.size - (at_ends + 1) // 2 :] = least
        three = Three(plan, [initial.tolist()])
        for scan in (0, 1, 1):
            assert three.c.halvings(0) == (scan if at_ends > ends else 0)
            for _ in range(256):
                three.learn([1] * inputs, 0)


@pytest.mark.parametrize("rounding", ["stochastic", "nearest"])
def test_a_reset_after_halvings_forgets_them(rounding):
    plan = make_plan(make_spec((6, 4), "cosine", rounding=rounding, learning_rate=5.0), 5, 3)
    three, samples, labels = Three(plan), *stream(5, 3, 700)
    start = three.numpy.digest()
    for _ in range(2):
        for sample, label in zip(samples, labels.tolist(), strict=True):
            three.learn(sample, label)
        assert max(three.c.halvings(index) for index in range(2)) > 0
        assert max(three.c.weights(0).max(), three.c.weights(1).max()) > 0
        three.numpy.reset()
        three.c.reset()
        three.book = by_book(three.numpy)
        three.agree()
        assert three.c.digest() == start
        assert set(three.c.counters().values()) == {0}
        assert [three.c.halvings(index) for index in range(2)] == [0, 0]


@pytest.mark.parametrize("rate_halvings", [0, 1, 6])
def test_samples_stop_at_their_greatest_number(rate_halvings):
    plan = small(units=6, classes=3, halve_rate_every=1, rate_halvings=rate_halvings)
    three = Three(plan)
    three.set_samples(2**32 - 3)
    for expected in (2**32 - 2, 2**32 - 1, 2**32 - 1, 2**32 - 1):
        assert three.learn([100, -3], 1) != [None]
        assert three.c.counters()["samples"] == three.numpy.samples == expected


def test_labels_need_more_than_a_byte():
    plan = make_plan(make_spec((5, 4), "margin"), 6, 300)
    three = Three(plan)
    samples, _ = stream(6, 300, 40, low=-128)
    labels = [255, 256, 257, 299, 1, 43, 0, 44] * 5  # 43 and 44 are the low bytes of 299 and 300
    for sample, label in zip(samples, labels, strict=True):
        three.learn(sample, label)
    answers = [three.infer(sample)[-1][0] for sample in samples]
    assert max(answers) >= 256
    for sample, answer in zip(samples, answers, strict=True):
        three.learn(sample, answer)  # the best class other than this one: not the same by a byte
    for network in (three.numpy, three.c):
        with pytest.raises(ValueError, match=r"299|LABEL"):
            network.learn(samples[0], 300)
    three.agree()


@given(seed=st.integers(0, 2**32 - 1), weights=st.sampled_from(["int8", "int16"]))
@settings(max_examples=15, deadline=None)
def test_thresholds_are_met_by_what_equals_them(seed, weights):
    plan = make_plan(make_spec((7, 5), weights=weights, seed=seed), 6, 4)
    initial = IntegerNetwork.untrained(plan).initial
    sample = stream(6, 4, 1, seed)[0][0]
    (_, cosine, margin, _), (_, last_cosine, _, _) = Three(plan, initial).infer(sample)

    def early(exit_margin, *rejects):
        return Three(with_thresholds(plan, [(exit_margin, rejects[0]), (0, rejects[1])]), initial)

    if margin > 0:
        assert early(margin, 0, 0).infer_early(sample)[1] == 0
        assert early(margin + 1, 0, 0).infer_early(sample)[1] == 1
        assert early(margin - 1 or -1, 0, 0).infer_early(sample)[1] == 0
        if cosine not in (0, -1):
            assert early(margin, cosine, 0).infer_early(sample)[0] != 65535
            assert early(margin, cosine + 1, 0).infer_early(sample)[0] == 65535
    if last_cosine not in (0, -1):
        assert early(0, 0, last_cosine).infer_early(sample)[0] != 65535
        assert early(0, 0, last_cosine + 1).infer_early(sample)[0] == 65535


def test_a_margin_that_equals_theta_learns_nothing():
    plan = make_plan(make_spec((6,), "margin"), 5, 3)
    samples, labels = stream(5, 3, 30)
    for sample, label in zip(samples, labels.tolist(), strict=True):
        three = Three(plan)
        book, layer = three.book, three.book.layers[0]
        out = book.forward(layer, sample.tolist())
        if out.I:
            wrong = by_the_book.argmax(out.s, without=label)
            found = out.cos(label, layer.k) - out.cos(wrong, layer.k)
            for theta, learns in ((found, False), (found + 1, True), (found - 1, False)):
                factors = Three(replace(plan, margin=theta)).learn(sample, label)
                assert (factors != [None]) == learns


def test_a_confidence_beyond_two_is_clipped():
    # 67 / 64 on either side: cosines of +-17152, since vectors may be a little too long
    plan = with_layer(small(), 0, embedding=np.array([[67, 0], [-67, 0]]), embedding_shift=6)
    three = Three(plan, [[[64, 0], [0, 64]]])
    assert three.infer([1, 0]) == [(0, 17152, 32767, [67 * 64, -67 * 64])]


def test_a_zero_activation_answers_class_0_and_learns_nothing():
    three = Three(small(classes=3), [[[1, 0], [0, 1]]])
    assert three.infer([-5, -6]) == [(0, 0, 0, [0, 0, 0])]
    assert three.learn([-5, -6], 2) == [None]
    assert three.c.counters()["samples"] == 1
    assert three.c.counters()["layer_updates"] == 0


@pytest.mark.parametrize("sums", [(127, 127, 127, 127, 31, 7, 3)])
def test_a_length_whose_inverse_is_two_to_the_15(sums):
    three = Three(small(inputs=1, units=len(sums), classes=3), [[[w] for w in sums]])
    found = three.book.forward(three.book.layers[0], [1])
    assert found.I == 2**15, sum(value * value for value in found.h)
    three.infer([1])
    assert three.learn([1], 1) != [None]


@pytest.mark.parametrize("length", [1, 2, 4, 8, 16, 32, 64])
def test_lengths_whose_inverse_is_two_to_the_16(length):
    plan = with_layer(small(classes=2), 0, embedding=np.array([[45, 45], [64, 0]]))
    plan = with_layer(plan, 0, embedding_shift=6)
    three = Three(plan, [[[length, 0], [0, length]]])
    assert three.book.forward(three.book.layers[0], [1, 0]).I == 2**16
    assert three.infer([1, 0])[0][:2] == (1, 16384)
    assert three.infer([0, 1])[0][:2] == (0, 11520)  # 45 / 64
    three.learn([1, 0], 0)
    three.learn([0, 1], 1)


# ------------------------------------------------------- the plan, in numbers

# These were computed from the text, in fractions. Host, chip and float reference share the plan, so
# that no comparison among them would see it change.


def test_the_rate_of_an_untrained_network():
    # 0.1 * 2^14 * inputs / 6 * 2^16 = 232644061.9 and 304226850.1
    plan = make_plan(make_spec((17, 9)), 13, 3)
    first, second = plan.layers
    assert (first.weight_bits, first.learner.update_shift) == (8, 16)
    assert (first.learner.rate_mantissa, first.learner.rate_shift) == (56798, -12)
    assert (second.learner.rate_mantissa, second.learner.rate_shift) == (37137, -13)
    # 0.1 * 2^(2 * 16 - 2) * 13 / 6 * 2^8 = 59556879837.9; 784 inputs leave 14 bits
    (wide,) = make_plan(make_spec((17,), weights="int16"), 13, 3).layers
    assert (wide.weight_bits, wide.learner.update_shift) == (16, 8)
    assert (wide.learner.rate_mantissa, wide.learner.rate_shift) == (56798, -20)
    (wide,) = make_plan(make_spec((17,), weights="int16"), 784, 3).layers
    assert (wide.weight_bits, wide.learner.rate_mantissa, wide.learner.rate_shift) == (
        14,
        53521,
        -22,
    )


@pytest.mark.parametrize(
    ("rate", "mantissa", "shift"),
    [
        (2.0**-8, 32768, -7),  # with S = 2^7 and U = 16: the rate times 2^30
        (2.0**-8 - 2.0**-24, 65535, -6),
        (2.0**-8 - 2.0**-25, 32768, -7),  # 65535.5 becomes 2^16, hence 2^15 and one power more
        (2.0**-8 * (1 + 1.5 * 2.0**-15), 32770, -7),  # ties to even
        (2.0**-8 * (1 + 0.5 * 2.0**-15), 32768, -7),
    ],
)
def test_the_rate_of_a_trained_network_and_its_rounding(rate, mantissa, shift):
    trained = [np.array([[127 / 128, 0.25], [0, 0]], np.float32)]  # S = 127 / (127 / 128)
    (layer,) = make_plan(make_spec((2,), learning_rate=rate), 2, 2, trained).layers
    assert layer.weight_scale == 128
    assert (layer.learner.rate_mantissa, layer.learner.rate_shift) == (mantissa, shift)


def test_trained_weights_are_rounded_to_even():
    halves = [1, 3, -1, -3, 5, 253, -253, 254, -254]  # times a half, at a scale of 2^7
    trained = [np.array([halves, [0] * 9], np.float32) / 256]
    plan = make_plan(make_spec((2,)), 9, 2, trained)
    (weights,) = IntegerNetwork.quantized(plan, trained).initial
    assert weights[0].tolist() == [0, 2, 0, -2, 2, 126, -126, 127, -127]


def test_theta_and_slopes():
    def theta(margin):
        return make_plan(
            make_spec((2,)).model_copy(
                update={"network": make_spec((2,)).network.model_copy(update={"margin": margin})}
            ),
            2,
            2,
        ).margin

    assert theta(0.3) == 4915  # 4915.2
    assert [theta(halves / 2**15) for halves in (1, 3, 5)] == [0, 2, 2]
    assert theta(2) == 32767
    assert small(activation="leaky_relu").layers[0].leak_shift == 3  # 0.125
    assert small().layers[0].leak_shift == 0


@pytest.mark.parametrize(
    ("largest", "power", "entry"),
    [
        (1.0, 6, 64),
        (0.9962, 6, 64),  # 127.51
        (0.996, 7, 127),  # 127.488
        (0.99605, 6, 64),  # 127.4944 would round to 127 as well, but the bound is 127.49
        (0.5, 7, 64),
        (0.498, 8, 127),
    ],
)
def test_the_embeddings_power(largest, power, entry):
    rest = np.sqrt(1 - largest**2)
    vectors = np.zeros((2, 12))
    vectors[0, 0] = -largest
    vectors[0, 1:11] = rest / np.sqrt(10)
    vectors[1, :] = 12**-0.5
    scaled, found = scale_embeddings(vectors)
    assert (found, scaled[0, 0]) == (power, -entry)


def test_embeddings_are_rounded_to_even():
    vectors = np.array([[1, 0.5 / 64, 1.5 / 64, -2.5 / 64, 3.5 / 64, 3.25 / 64, -3.75 / 64]])
    scaled, power = scale_embeddings(vectors)
    assert power == 6
    assert scaled.tolist() == [[64, 0, 2, -2, 4, 3, -4]]


def test_seeds():
    # SeedSequence is O'Neill's seed_seq with numpy's constants
    seeds = {
        0: [2968811710, 3964924996, 3141116543, 3884535365],
        1: [1835504127, 1189033389, 1596810411, 3755104110],
        12345: [2688385916, 671067976, 3322904825, 161081206],
        2**32 - 1: [1992424968, 989230592, 1874926788, 2428816189],
    }
    for seed, expected in seeds.items():
        assert [derived_seed(seed, purpose) for purpose in (-1, 0, 1, 15)] == expected
    plan = make_plan(make_spec((3, 2), seed=12345), 2, 2)
    assert plan.dither_seed == 2688385916
    assert [layer.seed for layer in plan.layers] == [671067976, 3322904825]


@pytest.mark.parametrize(("bits", "expected"), [(8, "int8"), (16, "int16")])
def test_untrained_weights_are_the_texts(bits, expected):
    network = IntegerNetwork.untrained(make_plan(make_spec((5, 3), weights=expected), 7, 2))
    for layer, weights in zip(network.plan.layers, network.initial, strict=True):
        drawn = by_the_book.drawn_weights(layer.seed, layer.inputs, layer.units, bits)
        assert weights.tolist() == drawn
    theirs = HostNetwork(network.plan, None)
    for index, weights in enumerate(network.initial):
        assert (theirs.weights(index) == weights).all()

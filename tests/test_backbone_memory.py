"""The arena of a backbone: no map is overwritten while it is still to be read."""

import numpy as np
import pytest
from backbone_graphs import graphs
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from tflite_files import Layers, TfliteModel

from spela_mcu.backbone import memory, operator
from spela_mcu.backbone.depthwise import Depthwise
from spela_mcu.backbone.load import read_backbone
from spela_mcu.backbone.memory import Lifetime, Overlap, lay_out
from spela_mcu.backbone.network import run_all


def needed_by(step, at, shape):
    """Mask of the input's elements that output position `at` is computed from, by trial.

    A change of any other element leaves that position as it is: what the forward pass of a
    changed input shows, without a look at windows and leads.
    """
    lowered = step.operator
    rng = np.random.default_rng(0)
    mask = np.zeros(lowered.input.size, bool)
    base = [rng.integers(-128, 128, (1, *lowered.input)).astype(np.int8) for _ in step.sources]
    changed = np.repeat(base[0].reshape(1, -1), lowered.input.size, 0)
    places = np.arange(lowered.input.size)
    for value in (-128, 127, 0, 55):
        changed[places, places] = value
        maps = [changed.reshape(-1, *lowered.input)]
        maps += [np.repeat(one, lowered.input.size, 0) for one in base[1:]]
        outputs = lowered.forward(*maps).reshape(lowered.input.size, -1, lowered.output.channels)
        reference = lowered.forward(*base).reshape(-1, lowered.output.channels)
        mask |= (outputs[:, at] != reference[at]).any(1)
    return mask


def first_overwritten(plan):
    """A step and position whose inputs a kernel as slow as is allowed would find overwritten."""
    for step in plan.steps:
        lowered, target = step.operator, plan.activations[step.target]
        elementwise = isinstance(lowered, operator.ElementwiseOperator)
        if elementwise:
            # Element by element: it must not begin behind an input with which it shares memory.
            for index in step.sources:
                source = plan.activations[index]
                apart = source.offset + source.shape.size <= target.offset
                if not apart and target.offset > source.offset:
                    return step, 0
            continue
        (index,) = step.sources
        source = plan.activations[index]
        if isinstance(lowered, Depthwise):
            # Channel by channel: what is written before must not lie in those still to be read.
            copies, channels = lowered.channel_multiplier, lowered.output.channels
            written = target.offset + np.arange(lowered.output.size).reshape(-1, channels)
            read = source.offset + np.arange(lowered.input.size).reshape(-1, channels // copies)
            for channel in range(1, channels):
                if np.isin(written[:, :channel], read[:, channel // copies :]).any():
                    return step, channel
            continue
        positions = lowered.output.positions
        for at in range(positions):
            end = min(at + operator.POSITIONS_AT_ONCE, positions) * lowered.output.channels
            read = source.offset + np.flatnonzero(needed_by(step, at, lowered.input))
            if ((read >= target.offset) & (read < target.offset + end)).any():
                return step, at
    return None


@seed(30)
@settings(max_examples=12)
@given(graphs(most=3, largest=5))
def test_no_input_is_overwritten_before_it_is_read(tmp_path_factory, graph):
    model, _ = graph
    file = tmp_path_factory.mktemp("memory") / "model.tflite"
    file.write_bytes(model.build())
    assert first_overwritten(read_backbone(file)) is None


CONVOLUTION = ("CONV_2D", (4, 3, 3, 4), 0)
DEPTHWISE = ("DEPTHWISE_CONV_2D", (1, 3, 3, 4), 3)


def chain(directory, kind, shape, axis):
    """Two convolutions and the layer that is cut off."""
    options = {"DepthMultiplier": 1} if axis == 3 else {}
    model = TfliteModel()
    layers = Layers(model, np.random.default_rng(1))
    source = model.sample((1, 6, 6, 4))
    for _ in range(2):
        source = layers.weighted(
            kind,
            source,
            shape,
            axis,
            (1, 6, 6, 4),
            Padding="SAME",
            StrideH=1,
            StrideW=1,
            DilationHFactor=1,
            DilationWFactor=1,
            **options,
        )
    layers.weighted("FULLY_CONNECTED", source, (2, 144), 0, (1, 2), per_channel=False)
    file = directory / "chain.tflite"
    file.write_bytes(model.build())
    return file


def test_a_lead_that_is_too_small_is_seen(tmp_path, monkeypatch):
    file = chain(tmp_path, *CONVOLUTION)
    assert first_overwritten(read_backbone(file)) is None
    monkeypatch.setattr(operator, "POSITIONS_AT_ONCE", 4)
    monkeypatch.setattr("spela_mcu.backbone.window.POSITIONS_AT_ONCE", 3)
    assert first_overwritten(read_backbone(file)) is not None


def test_maps_of_one_chain_share_memory(tmp_path):
    plan = read_backbone(chain(tmp_path, *CONVOLUTION))
    # A row and two positions before the input, and a group of four positions.
    lead = (6 + 1 + 4) * 4
    assert [step.operator.lead for step in plan.steps] == [lead, lead]
    assert plan.arena_bytes == 144 + 2 * lead
    samples = np.zeros((2, 144), np.int8)
    assert [one.shape for one in run_all(plan, samples)] == [(2, 6, 6, 4)] * 3
    assert read_backbone(chain(tmp_path, *DEPTHWISE)).arena_bytes == 144


def test_maps_share_memory_by_whole_units_only():
    maps = [Lifetime(96, 0, 1), Lifetime(96, 0, 1), Lifetime(96, 1, 1)]
    overlaps = [Overlap(0, 2, 0, 12), Overlap(1, 2, 0, 12)]
    offsets = lay_out(maps, overlaps).offsets
    for source in (0, 1):
        distance = offsets[source] - offsets[2]
        assert abs(distance) >= 96 or (distance >= 0 and distance % 12 == 0)
    assert (
        lay_out(
            [Lifetime(96, 0, 1), Lifetime(4, 0, 1), Lifetime(96, 1, 1)], [Overlap(0, 2, 0, 12)]
        ).size
        == 100
    )


def lifetimes(draw_count):
    return st.lists(
        st.tuples(st.integers(1, 40), st.integers(0, 8), st.integers(0, 4)).map(
            lambda one: Lifetime(one[0], one[1], one[1] + one[2])
        ),
        min_size=1,
        max_size=draw_count,
    )


@seed(31)
@settings(max_examples=200)
@given(lifetimes(12))
def test_maps_alive_together_lie_apart(maps):
    layout = lay_out(maps, [])
    for number, one in enumerate(maps):
        at = layout.offsets[number]
        assert at % memory.ALIGNMENT == 0
        assert at >= 0
        assert at + one.size <= layout.size
        for other in range(number):
            there = maps[other]
            if there.first <= one.last and one.first <= there.last:
                where = layout.offsets[other]
                assert at + one.size <= where or where + there.size <= at


@pytest.mark.parametrize(("lead", "size"), [(0, 100), (8, 108), (100, 200)])
def test_two_maps_with_a_lead(lead, size):
    maps = [Lifetime(100, 0, 0), Lifetime(100, 0, 1)]
    assert lay_out(maps, [Overlap(0, 1, lead)]).size == size
    assert lay_out(maps, []).size == 200


def test_many_maps_take_seconds_at_most():
    """Maps that all live together, as a damaged file may hold them."""
    maps = [Lifetime(1 + number % 7, 0, 1000) for number in range(400)]
    assert lay_out(maps, []).size >= sum(one.size for one in maps)

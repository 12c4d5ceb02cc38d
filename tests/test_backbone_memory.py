"""The arena of a backbone: no map is overwritten while it is still to be read."""

import numpy as np
import pytest
from backbone_graphs import graphs
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from tflite_files import WINDOW, Layers, TfliteModel

from spela_mcu.backbone import memory, operator
from spela_mcu.backbone.depthwise import Depthwise
from spela_mcu.backbone.load import read_backbone
from spela_mcu.backbone.mean import Mean
from spela_mcu.backbone.memory import Lifetime, Overlap, lay_out
from spela_mcu.backbone.network import run_all
from spela_mcu.backbone.pad import Pad
from spela_mcu.backbone.pool import AveragePool, MaxPool
from spela_mcu.backbone.structures import scratch_bytes
from spela_mcu.backbone.window import Window


def needed_by(step, at):
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


def overwritten(step, source, target):
    """A place at which a kernel would find an input overwritten; None if there is none.

    Args:
        step: the step of a plan.
        source: offset of an input.
        target: offset of the output.
    """
    lowered = step.operator
    if isinstance(lowered, operator.ElementwiseOperator):
        # Element by element: the output must not begin behind an input that shares its memory.
        return 0 if source < target < source + lowered.input.size else None
    if isinstance(lowered, Depthwise | Mean):
        # Channel by channel: what is written before must not lie in those still to be read.
        channels = lowered.output.channels
        copies = channels // lowered.input.channels
        written = target + np.arange(lowered.output.size).reshape(-1, channels)
        read = source + np.arange(lowered.input.size).reshape(-1, lowered.input.channels)
        for channel in range(1, channels):
            if np.isin(written[:, :channel], read[:, channel // copies :]).any():
                return channel
        return None
    if isinstance(lowered, Pad):
        # Element by element of the output, margin and all.
        inner = tuple(map(slice, lowered.before, np.add(lowered.before, lowered.input)))
        before = np.arange(lowered.output.size).reshape(lowered.output)[inner].ravel()
        read = source + np.arange(lowered.input.size)
        late = (read >= target) & (read < target + before)
        return int(late.argmax()) if late.any() else None
    begun = 1 if isinstance(lowered, AveragePool | MaxPool) else 0
    for at in range(lowered.output.positions):
        end = target + (at + begun) * lowered.output.channels
        read = source + np.flatnonzero(needed_by(step, at))
        if ((read >= target) & (read < end)).any():
            return at
    return None


def first_overwritten(plan):
    """A step and a place at which its kernel would find an input overwritten."""
    for step in plan.steps:
        for index in step.sources:
            source, target = plan.activations[index].offset, plan.activations[step.target].offset
            place = overwritten(step, source, target)
            if place is not None:
                return step, place
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
            **WINDOW,
            **options,
        )
    layers.weighted("FULLY_CONNECTED", source, (2, 144), 0, (1, 2), per_channel=False)
    file = directory / "chain.tflite"
    file.write_bytes(model.build())
    return file


def test_a_lead_that_is_too_small_is_seen(tmp_path, monkeypatch):
    file = chain(tmp_path, *CONVOLUTION)
    assert first_overwritten(read_backbone(file)) is None
    lead = Window.lead
    monkeypatch.setattr(Window, "lead", lambda *a, **k: lead(*a, **k) - memory.ALIGNMENT)
    assert first_overwritten(read_backbone(file)) is not None


def test_maps_of_one_chain_share_memory(tmp_path):
    plan = read_backbone(chain(tmp_path, *CONVOLUTION))
    lead = (6 + 1) * 4  # a row and a position
    assert [step.operator.lead for step in plan.steps] == [lead, lead]
    scratch = max(scratch_bytes(step.operator) for step in plan.steps)
    assert plan.arena_bytes <= 144 + 2 * lead + scratch + memory.SCRATCH_ALIGNMENT
    samples = np.zeros((2, 144), np.int8)
    assert [one.shape for one in run_all(plan, samples)] == [(2, 6, 6, 4)] * 3
    plan = read_backbone(chain(tmp_path, *DEPTHWISE))
    assert plan.arena_bytes == 144 + scratch_bytes(plan.steps[0].operator)


def test_scratch_lies_apart_from_all_that_lives(tmp_path):
    plan = read_backbone(chain(tmp_path, *CONVOLUTION))
    for step in plan.steps:
        end = step.scratch + scratch_bytes(step.operator)
        assert step.scratch % memory.SCRATCH_ALIGNMENT == 0
        assert end <= plan.arena_bytes
        for index in (*step.sources, step.target):
            one = plan.activations[index]
            assert end <= one.offset or one.offset + one.shape.size <= step.scratch


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

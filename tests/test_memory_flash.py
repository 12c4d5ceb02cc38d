"""A memory in flash: in every bit the memory in RAM, on flash that forgives nothing and fails."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from flash_network import (
    KINDS,
    STORE_ERROR_FLASH,
    STORE_OK,
    FlashError,
    compile_flash_library,
    flash_network,
)
from test_continual import INPUTS, make_spec, stream

from spela_mcu.fixed_point.continual import factory_memory
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import make_plan
from spela_mcu.host.network import HostNetwork
from spela_mcu.store.payload import learned_state, read_payload, write_payload

RINGS = {
    "tight": {"unit": 4, "block": 64, "blocks": 9},
    "two blocks": {"unit": 8, "block": 512, "blocks": 2},
    "pages": {"unit": 256, "block": 1024, "blocks": 8},
}
"""15 samples of 20 bytes: a block has room for 2, 21 and 3."""

ROOMY = {"unit": 4, "block": 128, "blocks": 9}
"""Flash may refuse some records, and there is still room."""

RING, FIND = "spela_memory_ring.c", "spela_memory_ring_find.c"
FAULTS = {
    "a sample is not moved": (RING, "!move_record(network, &places[i])", "false"),
    "a CRC is not looked at": (RING, "place[words - 1U] == spela_record_crc(network)", "true"),
    "a copy is not looked at": (RING, "!pass_record(network, record, record, &copied)", "false"),
    "what was programmed is not read back": (RING, "if (difference != 0U)", "if (false)"),
    "the head begins where it was": (FIND, "ring->number = number;", "ring->number = 0U;"),
    "a record that may be torn is taken": (
        FIND,
        "return is_begun(network, record + 1U);",
        "return true;",
    ),
    "what is forgotten stays": (
        RING,
        "!clear_block(network) || !begin_block(network)",
        "!clear_block(network)",
    ),
}


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return compile_flash_library(tmp_path_factory.mktemp("flash"))


def plan_of(batch=1, **keys):
    spec = make_spec(2, {"samples": 3, "memory": "flash", "ratio": 2} | keys, batch=batch)
    return make_plan(spec, INPUTS, 3)


def with_factory(plan):
    """The plan with a memory that holds samples at the start, of one class fewer than it may."""
    samples, labels = stream(3, 9, seed=5)
    memory = factory_memory(samples, np.array(labels), 3, plan.continual.capacity, seed=1)
    return replace(plan, continual=replace(plan.continual, memory=memory))


def exported(network):
    """What a save of the reference writes, without what only a device has."""
    return write_payload(network.plan, learned_state(network))


def live_through(networks, count, *, compare):
    """Teaches, forgets, adds and resets; `compare` is called after each step."""
    samples, labels = stream(5, count, seed=3)
    for step, (sample, label) in enumerate(zip(samples, labels, strict=True)):
        active = np.flatnonzero(networks[0].active).tolist()
        for network in networks:
            if step % 29 == 28:
                network.forget(active[step % len(active)])
            if step == count // 2:
                network.reset()
            network.learn(sample, label)
            if step % 5 == 4:
                network.rehearse(2)
        compare()
    return samples, labels


@pytest.mark.parametrize(("ring", "batch"), list(zip(RINGS, (3, 1, 1), strict=True)))
def test_it_is_the_memory_in_ram_bit_by_bit(library, ring, batch):
    plan = with_factory(plan_of(batch))
    ours, theirs = (
        IntegerNetwork.untrained(plan),
        flash_network(library, plan, **RINGS[ring]),
    )

    def compare():
        assert ours.digest() == theirs.digest()

    live_through((ours, theirs), 90, compare=compare)
    assert theirs.operations("ERASE") >= RINGS[ring]["blocks"]
    assert theirs.export() == exported(ours)
    store = theirs.store()
    assert theirs.save(store) == STORE_OK
    digest = ours.digest()
    ours.learn(*last_lesson())
    theirs.learn(*last_lesson())
    assert ours.digest() == theirs.digest() != digest
    assert theirs.load(theirs.store()) == STORE_OK  # as a roll-back does
    assert theirs.digest() == digest
    theirs.restart()
    assert theirs.digest() == IntegerNetwork.untrained(plan).digest()
    assert theirs.load(theirs.store()) == STORE_OK
    assert theirs.digest() == digest
    assert theirs.flash.ring_misuses() == 0


def last_lesson():
    samples, labels = stream(3, 1, seed=9)
    return samples[0], labels[0]


def test_what_the_factory_gave_is_not_copied_and_all_blocks_wear_alike(library):
    plan = with_factory(plan_of())
    network = flash_network(library, plan, unit=4, block=64, blocks=9)
    assert network.operations("ERASE") == network.operations("PROGRAM") == 0
    store = network.store()
    assert network.save(store) == STORE_OK
    erased = network.operations("ERASE")
    assert network.load(network.store()) == STORE_OK
    assert network.operations("ERASE") == erased, "what the factory gave is in the model"
    sample, _ = last_lesson()
    for _ in range(9):  # each start goes on behind the block of the one before
        network.restart()
        network.learn(sample, 4)
    assert network.operations("ERASE") == erased + 9
    numbers = np.frombuffer(network.content()[: 9 * 64], "<u4").reshape(9, -1)[:, :2]
    assert (numbers[:, 0] == ~numbers[:, 1]).all()
    assert sorted(numbers[:, 0].tolist()) == list(range(1, 10))
    assert network.flash.ring_misuses() == 0


@pytest.mark.parametrize("ring", RINGS)
def test_a_start_writes_only_what_is_not_surely_there(library, ring):
    network = flash_network(library, plan_of(), **RINGS[ring])
    samples, labels = stream(5, 40, seed=11)
    for sample, label in zip(samples, labels, strict=True):
        network.learn(sample, label)
    assert network.save(network.store()) == STORE_OK
    digest = network.digest()
    written = [start_again(network, digest) for _ in range(5)]
    assert written[-1] == 0, written  # and so each start after it


def start_again(network, digest):
    """How many records a start and a load write."""
    kept, erased = network.operations("PROGRAM"), network.operations("ERASE")
    network.restart()
    assert network.load(network.store()) == STORE_OK
    assert network.digest() == digest
    assert network.flash.ring_misuses() == 0
    return network.operations("PROGRAM") - kept + network.operations("ERASE") - erased


def test_what_may_be_torn_is_written_anew(library):
    network = flash_network(library, plan_of(), **ROOMY)
    samples, _ = stream(1, 3)
    for sample in samples[:2]:
        network.learn(sample, 0)
    assert network.save(network.store()) == STORE_OK  # which seals the second
    network.learn(samples[2], 0)
    digest = network.digest()
    assert network.save(network.store()) == STORE_OK
    unsealed = network.content()
    assert start_again(network, digest) == 0
    seal = 8 + 4 * 20
    assert unsealed[seal : seal + 4] == b"\0\0\0\0"
    network.flash.ring_erase_unit(seal)  # as if the power had failed after the last record
    assert start_again(network, digest) > 0


@pytest.mark.parametrize("ring", RINGS)
def test_nothing_of_a_forgotten_class_is_left(library, ring):
    network = flash_network(library, plan_of(), **RINGS[ring])
    samples, labels = stream(5, 60, seed=7)
    for sample, label in zip(samples, labels, strict=True):
        network.learn(sample, label)
    own = [sample.tobytes() for sample, label in zip(samples, labels, strict=True) if label == 2]
    assert sum(sample in network.content() for sample in own) > 3  # dead ones as well
    network.forget(2)
    assert not any(sample in network.content() + network.arena() for sample in own)


def slots_are_taught(plan, payload, taught):
    """Whether all that a state remembers was taught, with that label."""
    state = read_payload(plan, payload)
    return all(
        slot.tobytes() in taught[label]
        for label, one in enumerate(state.classes)
        for slot in one.slots
    )


def go_wrong(library, plan, ring, kind, after):
    """Lives through with an operation that fails.

    Returns:
        What was said, step by step: a digest, or None where flash was reported to have refused;
        how often that kind of operation was asked for; and whether all was well with the rest.
    """
    network = flash_network(library, plan, **ring)
    network.fail(kind, after)
    samples, labels = stream(5, 24, seed=3)
    taught = [set() for _ in range(5)]
    if plan.continual.memory is not None:
        for label, slots in enumerate(plan.continual.memory.slots):
            taught[label] |= {slot.tobytes() for slot in slots}
    said = []

    def call(step):
        try:
            step()
        except FlashError:
            said.append(None)
        else:
            said.append(network.digest() or None)

    for step, (sample, label) in enumerate(zip(samples, labels, strict=True)):
        taught[label].add(sample.tobytes())
        call(lambda sample=sample, label=label: network.learn(sample, label))
        if step == 15:
            call(lambda label=label: network.forget(label))
    call(lambda: network.rehearse(6))
    payload = network.export()
    is_sound = payload == b"" or slots_are_taught(plan, payload, taught)
    if payload == b"":
        said.append(None)
    return said, network.operations(kind), is_sound and network.flash.ring_misuses() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_each_operation_that_fails_is_told_and_teaches_nothing_wrong(library, kind):
    plan, ring = with_factory(plan_of()), ROOMY
    expected, count, is_sound = go_wrong(library, plan, ring, kind, 1 << 30)
    assert is_sound and None not in expected and count > 10
    told = 0
    for after in range(0, count, max(count // 60, 1)):
        said, _, is_sound = go_wrong(library, plan, ring, kind, after)
        assert is_sound, after
        first = said.index(None) if None in said else len(said)
        assert said[:first] == expected[:first], after
        if kind.startswith(("ERASE", "PROGRAM")):  # nothing that was kept is lost by it
            assert said.count(None) <= 1, after
        told += None in said
    assert told > 10


@pytest.mark.parametrize("seed", range(6))
def test_any_ring_is_the_memory_in_ram(library, seed):
    rng = np.random.default_rng(seed)
    plan = with_factory(plan_of()) if seed % 2 else plan_of()
    unit = int(rng.choice([4, 8, 16, 64, 256]))
    record = -(-20 // unit) * unit
    block = max(8, unit) + record * int(rng.integers(1, 9))
    records = (block - max(8, unit)) // record
    ring = {"unit": unit, "block": block, "blocks": 15 // records + 2 + int(rng.integers(0, 3))}
    ours, theirs = HostNetwork(plan, None), flash_network(library, plan, **ring)
    store, saved = theirs.store(), None
    for step in range(360):
        sample, label = rng.integers(-127, 128, INPUTS).astype(np.int8), int(rng.integers(0, 5))
        for network in (ours, theirs):
            network.learn(sample, label)
            if step % 97 == 50:
                network.forget(label)
            if step % 200 == 150:
                network.reset()
        assert ours.digest() == theirs.digest(), (ring, step)
        if step == 300:
            assert theirs.save(store) == STORE_OK
            saved = theirs.digest()
    theirs.restart()
    assert theirs.load(theirs.store()) == STORE_OK
    assert theirs.digest() == saved
    assert theirs.flash.ring_misuses() == 0


def test_flash_that_takes_nothing_more_leaves_what_was_kept(library):
    plan = plan_of(samples=15)
    network = flash_network(library, plan, unit=4, block=1024, blocks=3)
    samples, _ = stream(1, 40)
    for sample in samples[:5]:
        network.learn(sample, 0)
    for sample in samples[5:]:
        network.fail("PROGRAM")
        with pytest.raises(FlashError):
            network.learn(sample, 0)
        assert network.digest() != 0
    state = read_payload(plan, network.export())
    assert state.classes[0].seen == 5
    assert [slot.tobytes() for slot in state.classes[0].slots] == [
        sample.tobytes() for sample in samples[:5]
    ]
    network.fail("READ", 1 << 30)  # flash is well again
    network.learn(samples[0], 0)
    assert network.flash.ring_misuses() == 0


def test_a_save_and_a_load_say_what_flash_refuses(library):
    plan = plan_of()
    network = flash_network(library, plan, **RINGS["tight"])
    samples, labels = stream(3, 20)
    for sample, label in zip(samples, labels, strict=True):
        network.learn(sample, label)
    store = network.store()
    assert network.save(store) == STORE_OK
    digest = network.digest()
    network.fail("READ_WRONG", 2)
    assert network.save(store) == STORE_ERROR_FLASH
    network.fail("READ")
    assert network.export() == b""
    network.fail("READ")
    assert network.digest() == 0
    assert network.digest() == digest
    network.fail("PROGRAM_TORN", 5)  # while its samples are written anew
    assert network.load(network.store()) == STORE_ERROR_FLASH
    assert network.digest() == IntegerNetwork.untrained(plan).digest(), "it is as after a reset"
    assert network.load(network.store()) == STORE_OK
    assert network.digest() == digest
    assert network.flash.ring_misuses() == 0


@pytest.mark.parametrize(
    "ring",
    [
        {"unit": 4, "block": 64, "blocks": 8},  # room for 14 of 15 samples beside the spare block
        {"unit": 4, "block": 24, "blocks": 99},  # a block has no room for a sample
        {"unit": 4, "block": 1024, "blocks": 1},
        {"unit": 2, "block": 1024, "blocks": 4},
        {"unit": 12, "block": 1020, "blocks": 4},
        {"unit": 512, "block": 4096, "blocks": 4},
        {"unit": 8, "block": 4, "blocks": 4},
        {"unit": 4, "block": 0xFFFFFFFC, "blocks": 2},
        {"unit": 4, "block": 1024, "blocks": 0x10000},
    ],
)
def test_a_ring_that_cannot_be_is_refused(library, ring):
    with pytest.raises(ValueError, match="ERROR_MODEL"):
        flash_network(library, plan_of(), **ring)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault, tmp_path):
    library = compile_flash_library(tmp_path, FAULTS[fault])
    with pytest.raises((AssertionError, FlashError, ValueError)):
        test_it_is_the_memory_in_ram_bit_by_bit(library, "tight", 1)
        test_nothing_of_a_forgotten_class_is_left(library, "tight")
        test_what_may_be_torn_is_written_anew(library)
        test_what_the_factory_gave_is_not_copied_and_all_blocks_wear_alike(library)
        for kind in ("PROGRAM_IGNORED", "READ_WRONG"):
            test_each_operation_that_fails_is_told_and_teaches_nothing_wrong(library, kind)

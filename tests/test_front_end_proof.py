"""The proof of front ends, with the device's twin in place of chips."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.front_end_case import source_of
from benchmarks.front_end_proof import CHAINS, expected, prove
from spela_mcu.device.twin import Twin

WINDOWS = 24


def device(network):
    """A device that nothing was built for."""
    return Twin(network, source_of(network))


@pytest.mark.parametrize("case", CHAINS, ids=lambda case: case.title)
def test_a_chain_is_proved_value_by_value(case):
    """Readings one by one, as the chip takes them, give what whole windows do."""
    wanted = expected(case, WINDOWS)
    outcome = prove(wanted, device(wanted.network))
    assert outcome.differences == 0
    assert outcome.values == WINDOWS * (wanted.front_end.inputs + 3 + 4)
    assert len(np.unique(wanted.samples)) > 20


def test_a_difference_is_counted():
    wanted = expected(CHAINS[0], WINDOWS)
    network = wanted.network
    scales = tuple(replace(one, offset=one.offset + 1) for one in wanted.front_end.scales)
    other = replace(wanted.front_end, scales=scales)
    network = type(network)(replace(network.plan, front_end=other), network.initial)
    assert prove(wanted, device(network)).differences > 0

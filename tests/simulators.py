"""Simulators that may be missing: a test that needs one says so by a marker.

    @pytest.mark.needs_simulator("qemu")

skips the test, with the reason, where there is no QEMU, and fails it where
SPELA_REQUIRE_SIMULATORS says that there must be. A module says it by `pytestmark`, a parameter
by `pytest.param(..., marks=...)`.
"""

import pytest

from spela_mcu.simulators.choice import REQUIRE_VARIABLE, is_required, simulator_named


def need_simulator(name):
    """Skips the running test, or fails it, if a simulator is not installed."""
    simulator = simulator_named(name)
    if simulator.is_installed():
        return
    reason = f"{name} is not installed ({simulator.mend})"
    if is_required(name):
        pytest.fail(f"{reason}, and {REQUIRE_VARIABLE} requires it", pytrace=False)
    pytest.skip(reason)

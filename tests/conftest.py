"""Settings of every test process."""

import os

# Before numpy and torch are imported: pytest-xdist already keeps every core busy, and threads of
# theirs on top make the tests several times slower.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402
from simulators import need_simulator  # noqa: E402

# Time says nothing about arithmetic, and a busy machine must not fail a test.
settings.register_profile("spela", deadline=None, print_blob=True)
settings.load_profile("spela")


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "needs_simulator(name): skipped, or failed if required, without a simulator"
    )


@pytest.hookimpl(tryfirst=True)  # before the fixtures, which start machines
def pytest_runtest_setup(item):
    for mark in item.iter_markers("needs_simulator"):
        need_simulator(*mark.args)

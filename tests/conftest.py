"""Settings of every test process."""

import os

# Before numpy and torch are imported: pytest-xdist already keeps every core busy, and threads of
# theirs on top make the tests several times slower.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402
from object_cache import ObjectCache  # noqa: E402
from simulators import need_simulator  # noqa: E402

from spela_mcu.firmware import build  # noqa: E402

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


@pytest.fixture(scope="session", autouse=True)
def compile_object(tmp_path_factory):
    """Compiles one C file in a directory, unless some test of this run has; builds do so too."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    cache = ObjectCache(shared / "objects", build._run)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "_run", cache)
        yield cache


@pytest.fixture
def compile_anew(compile_object, monkeypatch):
    """Builds compile everything themselves."""
    monkeypatch.setattr(build, "_run", compile_object.run)

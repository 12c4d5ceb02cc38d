"""Long work shows that it goes on, on a terminal and off it; stdout is for results."""

import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spela_mcu import progress


def test_off_a_terminal_a_line_now_and_then(monkeypatch, capsys):
    times = itertools.count(0.0, 4.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(times))
    with progress.progress_bars() as show:
        for done in range(1, 11):
            show("learning", 100 * done, 1000)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [f"learning: {n} of 1,000" for n in (300, 600, 900)]


CHILD = """
import os, sys, time
from spela_mcu.contenders.workers import workers
from joblib import Parallel, delayed

def work():
    open(os.path.join(sys.argv[1], str(os.getpid())), "w").close()
    time.sleep(600)

with workers(None):
    Parallel(n_jobs=2)(delayed(work)() for _ in range(2))
"""


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(CHILD)
    pids = tmp_path / "pids"
    pids.mkdir()
    parent = subprocess.Popen([sys.executable, str(script), str(pids)])
    try:
        wait_until(lambda: len(list(pids.iterdir())) == 2)
    finally:
        parent.kill()
        parent.wait()
    wait_until(lambda: not any(alive(int(file.name)) for file in pids.iterdir()))


def alive(pid):
    try:
        os.kill(pid, 0)
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def wait_until(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)

"""Files: whole or not at all, links followed, one run at a time, and no pipe waited for."""

import errno
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from spela_mcu.errors import UserError
from spela_mcu.files import (
    LOCK_FILE,
    check_regular,
    disk_error,
    locked,
    make_directory,
    read_bounded,
    write_whole,
)
from spela_mcu.host.network import compile_library


def test_a_link_is_followed_and_stays(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_text("old")
    (tmp_path / "link").symlink_to("real/file")
    write_whole(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "file").read_text() == "new"
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["file"]


def test_an_error_names_the_file_and_not_the_one_beside_it(tmp_path):
    (tmp_path / "taken" / "x").mkdir(parents=True)
    with pytest.raises(OSError) as raised:
        write_whole(tmp_path / "taken", b"")
    assert raised.value.filename == str(tmp_path / "taken")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(UserError, match="is a pipe, a socket or a device"):
            check_regular(place)
    (tmp_path / "large").write_bytes(bytes(11))
    assert read_bounded(tmp_path / "large", 11) == bytes(11)
    with pytest.raises(UserError, match="is larger than"):
        read_bounded(tmp_path / "large", 10)


def test_directories_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    for name, words in {
        "file": "is not a directory",
        "dangling": "is a symbolic link to nowhere, which is no directory",
        "dangling/deeper": "is a symbolic link to nowhere, which is no directory",
        "file/deeper": "is not a directory",
        "loop": "is a symbolic link to loop",
        "loop/deeper": "symbolic links lead in a circle",
        "x" * 300: "the name is too long",
    }.items():
        with pytest.raises(UserError, match=words):
            make_directory(tmp_path / name)
    assert disk_error(FileNotFoundError(errno.ENOENT, "No such file")) is None


# ------------------------------------------------------------------------------ locks

HOLDER = """
import sys, time
from pathlib import Path
from spela_mcu.files import locked
with locked(Path(sys.argv[1])):
    print("has it", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def holder(directory, seconds):
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(directory), str(seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_second_run_waits_and_says_for_whom(tmp_path):
    directory = tmp_path / "out"
    first = holder(directory, 2)
    assert first.stdout.readline() == "has it\n"
    started = time.monotonic()
    second = holder(directory, 0)
    _, said = second.communicate(timeout=120)
    assert time.monotonic() - started > 1
    assert f"waiting for process {first.pid} (" in said
    assert f"which is at work in {directory}" in said
    first.communicate(timeout=60)


def test_a_directory_that_was_made_for_nothing_goes_again(tmp_path):
    with locked(tmp_path / "out"):
        assert (tmp_path / "out").is_dir()
    assert not (tmp_path / "out").exists()


def test_a_run_that_is_killed_locks_nothing(tmp_path):
    (tmp_path / "mine").write_text("")
    first = holder(tmp_path, 600)
    assert first.stdout.readline() == "has it\n"
    first.kill()
    first.communicate()
    with locked(tmp_path), locked(tmp_path):
        assert (tmp_path / LOCK_FILE).exists()
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


COUNTER = """
import sys
import tempfile
from pathlib import Path
from spela_mcu.files import locked
directory = Path(sys.argv[1])
for _ in range(50):
    with locked(directory):
        file = directory / "count"
        count = int(file.read_text()) if file.exists() else 0
        file.write_text(str(count + 1))
"""


def test_locks_hold_under_contention(tmp_path):
    """Lock files come and go all the time here: nobody may enter by one that is gone."""
    runs = [
        subprocess.Popen([sys.executable, "-c", COUNTER, str(tmp_path / "out")]) for _ in range(4)
    ]
    assert [run.wait(timeout=300) for run in runs] == [0] * 4
    assert (tmp_path / "out" / "count").read_text() == "200"


def test_a_full_disk_is_told_by_the_host_compiler_too(tmp_path, monkeypatch):
    """Whether it is the compiler that meets it, or this program."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compiler = tmp_path / "full"
    compiler.write_text("#!/bin/sh\necho 'as: out.o: No space left on device' >&2; exit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    (tmp_path / "one.c").write_text("int one;\n")
    with pytest.raises(UserError, match="no space is left on the disk"):
        compile_library("one", [tmp_path / "one.c"])

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", full)
    with pytest.raises(UserError, match="no space is left on the disk"):
        compile_library("one", [tmp_path / "one.c"])

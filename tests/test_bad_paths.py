"""Every path that a command takes, and every file that it reads, as something it cannot be.

The paths come from the commands themselves, so that a new option is tested as soon as it is there.
"""

import importlib
import os
import re
import signal
import sys
from contextlib import contextmanager

import click
import pytest
from toy import toy

from spela_mcu.cli.main import COMMANDS, main
from spela_mcu.errors import UserError
from spela_mcu.files import check_directory
from spela_mcu.firmware.directory import write_project
from spela_mcu.pipeline import training_directory

LONGEST_S = 30
"""What waits for a pipe waits for ever."""

MODEL = """\
name: small
data:
  {data}
network:
  layers:
    - units: 3
"""

SKLEARN = "source: sklearn\n  dataset: iris"


def as_file(path):
    path.write_text("")
    return path


def as_directory(path):
    path.mkdir()
    return path


def as_link(target):
    def made(path):
        path.symlink_to(target)
        return path

    return made


def as_pipe(path):
    os.mkfifo(path)
    return path


def as_noise(path):
    path.write_bytes(bytes(range(256)))
    return path


def as_unreadable(path):
    path.write_text("")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("as root every file can be read")
    return path


def in_read_only_directory(path):
    path.mkdir(mode=0o555)
    if os.access(path, os.W_OK):
        pytest.skip("as root every directory can be written to")
    return path / "new"


def long_name(path):
    return path.with_name("x" * 300)


def not_utf8(make):
    return lambda path: make(path.with_name(os.fsdecode(b"caf\xe9")))


ANYWHERE = {
    "dangling link": as_link("nowhere/deeper"),
    "link in a circle": as_link("bad.yaml"),
    "long name": long_name,
    "pipe": as_pipe,
}
NO_DIRECTORY = ANYWHERE | {"file": as_file, "name not UTF-8": not_utf8(as_file)}
NO_FILE = ANYWHERE | {"directory": as_directory, "name not UTF-8": not_utf8(as_directory)}
NO_INPUT = NO_FILE | {"empty": as_file, "noise": as_noise, "unreadable": as_unreadable}
NO_OUTPUT = {"read-only directory": in_read_only_directory}

INPUT_DIRECTORIES = {"directory"}
OUTPUT_DIRECTORIES = {("init", "directory"), *((name, "output") for name in COMMANDS)}
OUTPUT_FILES = {"markdown_file"}
PATHS_AS_TEXT = {"board"}


def wrong_paths(command, parameter):
    if (command, parameter) in OUTPUT_DIRECTORIES:
        return NO_DIRECTORY | NO_OUTPUT
    if parameter in INPUT_DIRECTORIES:
        return NO_DIRECTORY
    return NO_FILE | NO_OUTPUT if parameter in OUTPUT_FILES else NO_INPUT


def cases():
    for name in COMMANDS:
        command = importlib.import_module(f"spela_mcu.cli.{name}").command
        for parameter in command.params:
            if isinstance(parameter.type, click.Path) or parameter.name in PATHS_AS_TEXT:
                for kind, make in wrong_paths(name, parameter.name).items():
                    which = f"{name} {parameter.name}: {kind}"
                    yield pytest.param(command, name, parameter, make, id=which)


@contextmanager
def time_limit(seconds):
    def end(*_):
        raise AssertionError(f"no end after {seconds} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs a command in this process; gives its exit code and what it said on stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["spela-mcu", *map(str, words)])
        with time_limit(LONGEST_S), pytest.raises(SystemExit) as ended:
            try:
                main()
            except UnicodeError as error:  # pytest-xdist could not pass on what it quotes
                raise AssertionError(ascii(error)) from None
        return ended.value.code, capsys.readouterr().err

    return run


def one_error(code, said):
    assert code == 2, said
    assert len(re.findall("^error: ", said, re.MULTILINE | re.IGNORECASE)) == 1, said
    assert "Traceback" not in said


@pytest.mark.parametrize(("command", "name", "parameter", "make"), list(cases()))
def test_a_path_that_cannot_be(command, name, parameter, make, tmp_path, run):
    wrong = make(tmp_path / "bad.yaml")
    words = [name]
    for one in command.params:
        if one is parameter:
            words += [wrong] if isinstance(one, click.Argument) else [one.opts[0], wrong]
        elif isinstance(one, click.Argument) and one.name == "directory":
            write_project(toy().project, tmp_path / "project")
            words.append(tmp_path / "project")
        elif isinstance(one, click.Argument):
            words.append(tmp_path / "model.yaml")
            words[-1].write_text(MODEL.format(data=SKLEARN))
    one_error(*run(*words))


DATA = {
    "csv": ("data.csv", "source: csv\n  path: data.csv\n  label: y"),
    "npz": ("data.npz", "source: npz\n  path: data.npz"),
    "idx": ("train-images-idx3-ubyte", "source: idx\n  path: ."),
    "idx.gz": ("train-images-idx3-ubyte.gz", "source: idx\n  path: ."),
    "python": ("data.py", "source: python\n  function: data.py:load"),
}


@pytest.mark.parametrize(
    "kind", ["dangling link", "pipe", "directory", "empty", "noise", "unreadable"]
)
@pytest.mark.parametrize("source", DATA)
def test_data_that_cannot_be(source, kind, tmp_path, run):
    file, data = DATA[source]
    (tmp_path / "model.yaml").write_text(MODEL.format(data=data))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(bytes.fromhex("00000801 00000000"))
    NO_INPUT[kind](tmp_path / file)
    one_error(*run("generate", "model.yaml"))


@pytest.mark.parametrize("kind", NO_INPUT)
@pytest.mark.parametrize("suffix", [".csv", ".npz"])
def test_samples_that_cannot_be(suffix, kind, tmp_path, run):
    write_project(toy().project, tmp_path / "project")
    wrong = NO_INPUT[kind](tmp_path / f"bad{suffix}")
    one_error(*run("simulate", "project", "--input", wrong))


@pytest.mark.parametrize("name", ["null\\0", "half a pair \\ud800"])
def test_names_that_no_file_can_have(name, tmp_path, run):
    data = f'source: csv\n  path: "{name}"\n  label: y'
    (tmp_path / "model.yaml").write_text(MODEL.format(data=data))
    one_error(*run("train", "model.yaml"))


# ------------------------------------------------------------------------------ read-only models

TRAINED = MODEL.format(data=SKLEARN) + "training:\n  epochs: 1\nlearning:\n  start: trained\n"


def test_with_an_output_nothing_is_made_beside_the_model(tmp_path, run):
    (tmp_path / "model.yaml").write_text(TRAINED)
    (tmp_path / "build").write_text("nothing can be made here")
    assert run("generate", "model.yaml", "-o", "out") == (0, "")
    assert (tmp_path / "out" / "project.json").is_file()
    assert [file.name for file in (tmp_path / "cache").rglob("network.npz")] == ["network.npz"]
    assert (tmp_path / "build").is_file()


def test_a_directory_that_may_not_be_written_to_counts_as_well(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model = tmp_path / "model.yaml"
    assert training_directory(model) == tmp_path / "build" / "training"
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    assert training_directory(model).is_relative_to(tmp_path / "cache" / "spela-mcu")
    with pytest.raises(UserError, match="permission denied"):
        check_directory(tmp_path / "new")


@pytest.mark.parametrize(
    "name", ["train", "generate", "verify", "demo", "compare", "report", "bench"]
)
def test_no_place_for_results_is_told_before_the_work(name, tmp_path, run, monkeypatch):
    def work(*_, **__):
        raise AssertionError("work was begun")

    monkeypatch.setattr("spela_mcu.pipeline.load_dataset", work)
    command = importlib.import_module(f"spela_mcu.cli.{name}")
    if hasattr(command, "load_dataset"):
        monkeypatch.setattr(command, "load_dataset", work)
    (tmp_path / "model.yaml").write_text(TRAINED)
    (tmp_path / "build").write_text("nothing can be made here")
    one_error(*run(name, "model.yaml"))

"""The prompt at a simulated board, in the simulator that is always there."""

import pytest
from click.testing import CliRunner
from toy import toy, toy_samples

from spela_mcu.cli.simulate import command
from spela_mcu.device.protocol import Command, encode_frame, request
from spela_mcu.firmware.build import build_project
from spela_mcu.firmware.directory import write_project
from spela_mcu.firmware.project import generate_project
from spela_mcu.firmware.toolchain import find_compiler

CASE = toy("stm32f4_discovery")
X, Y = toy_samples(CASE, 5)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    directory = tmp_path_factory.mktemp("interactive") / "p"
    base = CASE.project
    write_project(generate_project(base.model, base.board, samples=(X, Y)), directory)
    build_project(directory, find_compiler())
    return directory


@pytest.fixture
def say(project):
    """What the prompt answers to some lines."""

    def run(*lines):
        arguments = [str(project), "--interactive", "--simulator", "unicorn"]
        done = CliRunner().invoke(command, arguments, input="".join(f"{line}\n" for line in lines))
        assert done.exit_code == 0, done.output
        return done.stdout

    return run


def test_the_device_answers(say):
    network = CASE.network()
    exits = network.infer(X[2])
    told = say("info", "infer 2", "learn 2", f"learn 3 {(Y[3] + 1) % 5}", "counters", "quit")
    assert "toy: 13 inputs, 2 layers, 5 classes" in told
    assert f"sample 2, label {Y[2]}" in told
    for index, answer in enumerate(exits):
        assert f"exit {index}: class {answer.label} (cosine {answer.cosine / 16384:+.2f}" in told
    network.learn(X[2], int(Y[2]))
    assert f"digest of the learned state 0x{network.digest():08X}" in told
    network.learn(X[3], int(Y[3] + 1) % 5)
    assert "2 samples, " in told
    assert f"digest 0x{network.digest():08X}" in told


def test_reset_forgets(say):
    fresh = f"digest 0x{CASE.network().digest():08X}"
    told = say("counters", "learn 0", "counters", "reset", "counters")
    assert told.count("0 samples, 0 updates of layers") == told.count(fresh) == 2
    assert "1 samples, " in told


def test_bytes_as_they_are(say):
    info = encode_frame(request(Command.INFO)).hex()
    told = say(f"bytes {info}", "bytes 02", "bytes 03 00", "bytes xyz", "info")
    assert "INFO, " in told
    assert b"toy".hex() in told
    assert "(no answer)" in told
    assert "NONE: MALFORMED" in told
    assert "'xyz' is not hexadecimal" in told
    assert "toy: 13 inputs" in told


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("infer 9", "there is no sample 9\n  mend: they are 0 to 4"),
        ("infer", "a sample is a number, not nothing"),
        ("infer -1", "a sample is a number, not -1"),
        (
            "learn 0 99",
            "the device refused LEARN: the label is not below the model's number of classes",
        ),
        ("learn 0 x", "a label is a number, not x"),
        ("fly", "there is no command fly"),
        ("monitor cpu PC", "there is no command monitor"),
    ],
)
def test_what_is_wrong_is_said_and_the_next_line_works(say, line, words):
    told = say(line, "", "info")
    assert f"error: {words}" in told
    assert "toy: 13 inputs" in told


def test_help_lists_the_commands(say):
    assert "bytes" in say("help")
    assert "learn N [LABEL]" in say("help learn")


def test_interactive_and_json_exclude_each_other(project):
    done = CliRunner().invoke(command, [str(project), "--interactive", "--json"])
    assert done.exit_code == 2

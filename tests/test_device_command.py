"""`spela-mcu device`: a simulated board in Unicorn, and a serial port with one behind it."""

import json
import os
import shutil
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from serial_board import serial_board
from toy import toy, toy_samples

from spela_mcu.cli.device import command
from spela_mcu.commands import device as device_module
from spela_mcu.data import source_series
from spela_mcu.data.dataset import quantize_inputs
from spela_mcu.data.load import load_dataset
from spela_mcu.data.scaling import apply_scaling
from spela_mcu.device import serial_line
from spela_mcu.errors import UserError
from spela_mcu.firmware.build import build_project
from spela_mcu.firmware.directory import write_project
from spela_mcu.firmware.project import generate_project
from spela_mcu.firmware.toolchain import find_compiler
from spela_mcu.pipeline import prepare
from spela_mcu.simulators.choice import simulator_named
from spela_mcu.simulators.renode_process import shared_renode
from spela_mcu.spec.load import load_spec
from spela_mcu.store.export import export_state, import_state

CASE = toy("mps2-an386")
X, Y = toy_samples(CASE, 40)
FACTORY, LEARNED = CASE.network(), CASE.network().partial_fit(X, Y)
SIMULATED = "sim:unicorn"


def run(port, *words, stdin=None):
    """What a command prints; `error` is the UserError that it raised."""
    done = CliRunner().invoke(command, [port, *map(str, words)], input=stdin)
    if done.exception is not None and not isinstance(done.exception, (SystemExit, UserError)):
        raise done.exception
    error = done.exception if isinstance(done.exception, UserError) else None
    # Outside of the command line a subcommand's own exit code is its value.
    return SimpleNamespace(out=done.stdout, code=done.exit_code, error=error)


def told(port, *words, stdin=None):
    """The JSON that a command prints."""
    done = run(port, *words, "--json", stdin=stdin)
    assert done.error is None, done.error
    return json.loads(done.out)


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    directory = tmp_path_factory.mktemp("device") / "p"
    base = CASE.project
    write_project(generate_project(base.model, base.board, samples=(X, Y)), directory)
    return build_project(directory, find_compiler())


@pytest.fixture
def project(build):
    """A project, its board's flash erased."""
    (build.project.path / "build" / device_module.FLASH_FILE).unlink(missing_ok=True)
    return build.project.path


@pytest.fixture
def board(build, monkeypatch):
    """A serial port with the board behind it."""
    monkeypatch.setattr(serial_line, "FIRST_ANSWER_S", 2.0)
    with simulator_named("unicorn").start(build) as machine, serial_board() as line:
        line.serve(machine.exchange)
        yield line


def learned_digest(port, project):
    return told(port, "info", "-p", project)["learned"]


# ------------------------------------------------------------------- a simulated board


def test_what_is_saved_outlives_the_power_and_the_rest_does_not(project):
    samples = project / "samples.csv"
    first = told(SIMULATED, "info", "-p", project)
    assert (first["start"], first["learned"]) == ("EMPTY", f"0x{FACTORY.digest():08X}")
    lost = told(SIMULATED, "learn", samples, "-p", project)
    assert (lost["samples"], lost["saved"]) == (40, None)
    assert lost["learned"] == f"0x{LEARNED.digest():08X}"
    assert learned_digest(SIMULATED, project) == f"0x{FACTORY.digest():08X}"
    kept = told(SIMULATED, "learn", samples, "--save", "-p", project)
    assert kept["saved"]["saves"] == 1
    again = told(SIMULATED, "info", "-p", project)
    assert (again["start"], again["learned"]) == ("OK", f"0x{LEARNED.digest():08X}")
    answers = told(SIMULATED, "infer", samples, "-p", project)
    predicted = [one["predicted"] for one in answers["answers"]]
    assert predicted == LEARNED.predict(X).tolist()
    assert answers["accuracy"] == LEARNED.score(X, Y)


def test_checkpoint_and_rollback(project):
    one, two = project / "samples.csv", [project / "samples.csv", "--samples", 5]
    assert told(SIMULATED, "learn", one, "--save", "-p", project)["saved"]
    assert told(SIMULATED, "checkpoint", "-p", project)["saves"] == 1
    told(SIMULATED, "learn", *two, "--save", "-p", project)
    assert learned_digest(SIMULATED, project) != f"0x{LEARNED.digest():08X}"
    assert "rolled back: " in run(SIMULATED, "rollback", "-p", project).out
    assert told(SIMULATED, "load", "-p", project)["saves"] == 2
    assert told(SIMULATED, "save", "-p", project)["saves"] == 3


def test_export_import_and_diff(project, tmp_path):
    file, samples = tmp_path / "a.state", project / "samples.csv"
    told(SIMULATED, "learn", samples, "--save", "-p", project)
    assert "wrote " in run(SIMULATED, "export", file, "-p", project).out
    assert run(SIMULATED, "diff", file, "-p", project).out.startswith("equal: ")
    assert import_state(CASE.network(), file).digest() == LEARNED.digest()
    (project / "build" / device_module.FLASH_FILE).unlink()
    found = told(SIMULATED, "diff", file, "-p", project)
    by = [abs(a.weights - b.weights) for a, b in zip(FACTORY.layers, LEARNED.layers, strict=True)]
    assert not found["equal"]
    assert [layer["differing"] for layer in found["layers"]] == [np.count_nonzero(d) for d in by]
    assert [layer["largest"] for layer in found["layers"]] == [d.max() for d in by]
    assert found["counters"]["samples"] == {"one": 0, "other": 40}
    assert run(SIMULATED, "diff", file, "-p", project).out.startswith("different: ")
    words = [SIMULATED, "diff", str(file), "-p", str(project)]
    assert command.main(words, standalone_mode=False) == 1
    told(SIMULATED, "import", file, "-p", project)
    assert learned_digest(SIMULATED, project) == f"0x{LEARNED.digest():08X}"
    # And the other way: what Python has learned.
    export_state(CASE.network().partial_fit(X[:3], Y[:3]), file, CASE.project.model.digest)
    told(SIMULATED, "import", file, "-p", project)
    assert learned_digest(SIMULATED, project) != f"0x{LEARNED.digest():08X}"
    assert told(SIMULATED, "diff", file, "-p", project)["equal"]


def test_statistics(project):
    told(SIMULATED, "learn", project / "samples.csv", "--save", "-p", project)
    found = told(SIMULATED, "stats", "-p", project)
    assert [one["learned"] for one in found["classes"]] == np.bincount(Y, minlength=5).tolist()
    assert sum(one["answered"] for one in found["classes"]) == len(Y)
    assert found["classes"][0]["name"] == "class 0"
    assert "layer updates made" in run(SIMULATED, "stats", "-p", project).out


def test_monitor_shows_one_view(project):
    done = run(SIMULATED, "monitor", project / "samples.csv", "--learn", "--once", "-p", project)
    assert done.code == 0
    assert "40 of 40 samples learned" in done.out
    assert "accuracy " in done.out
    assert "class 4" in done.out


def test_monitor_ends_with_the_interrupt(project, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("spela_mcu.cli.device_watch.time.sleep", interrupted)
    assert run(SIMULATED, "monitor", "-p", project).code == 0


@pytest.mark.needs_simulator("qemu")
def test_the_interrupt_is_not_for_qemu(build):
    with simulator_named("qemu").start(build) as machine:
        assert os.getpgid(machine._process.pid) != os.getpgrp()


def test_lines_of_the_standard_input(project):
    lines = "".join(",".join(map(str, row)) + f",class {y}\n" for row, y in zip(X, Y, strict=True))
    done = run(SIMULATED, "infer", "-", "-p", project, stdin=lines)
    answers = FACTORY.predict(X)
    assert [line.split(" (")[0] for line in done.out.splitlines()[:-1]] == [
        f"class {label}" for label in answers
    ]
    bad = run(SIMULATED, "infer", "-", "-p", project, stdin="1,2,3\n")
    assert bad.error.reason == "a sample has 13 values, and here are 3 cells"
    raw = run(SIMULATED, "learn", "-", "-p", project, stdin=",".join(["0.5"] * 13) + ",1\n")
    assert "raw ones need their model.yaml" in raw.error.reason
    text = run(SIMULATED, "learn", "-", "-p", project, stdin=",".join(["0"] * 13) + ",cat\n")
    assert text.error.reason == '"cat" is none of the classes'
    none = run(SIMULATED, "learn", "-", "-p", project, stdin=",".join(["0"] * 13) + "\n")
    assert none.error.reason == "sample 1 has no label"


# ------------------------------------------------------------------------ a model.yaml


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model of raw values, and the table that they are in."""
    directory = tmp_path_factory.mktemp("model")
    rng = np.random.default_rng(5)
    names = np.array(["idle", "walk", "run"])[np.arange(60) % 3]
    rows = rng.normal(0, 5, (60, 4)).round(2) + (np.arange(60) % 3)[:, None] * 9
    text = "ax,ay,az,g,state\n" + "".join(
        ",".join(map(str, row)) + f",{name}\n" for row, name in zip(rows, names, strict=True)
    )
    (directory / "table.csv").write_text(text)
    (directory / "model.yaml").write_text(
        "name: motion\ndata: {source: csv, path: table.csv, label: state, scaling: per_feature}\n"
        "network:\n  layers: [{units: 8}, {units: 6}]\n"
        "learning: {start: untrained}\ntarget: {board: mps2-an386}\n"
    )
    return directory / "model.yaml"


def test_a_model_names_firmware_samples_scaling_and_reference(model, tmp_path):
    done = told(SIMULATED, "learn", "--split", "train", "--save", "-m", model)
    prepared = prepare(model)
    train = prepared.dataset.train
    network = prepared.network().partial_fit(train.samples, train.y)
    assert done["learned"] == f"0x{network.digest():08X}"
    assert run(SIMULATED, "diff", "--split", "train", "-m", model).out.startswith("equal: ")
    factory = run(SIMULATED, "diff", "-m", model)
    assert factory.out.startswith("different: ")
    assert "left the factory" in factory.out
    # Raw values, from a table and from arrays: quantised as the data are. The table has all parts.
    table = np.genfromtxt(model.parent / "table.csv", delimiter=",", skip_header=1)[:, :4]
    arrays = tmp_path / "raw.npz"
    np.savez(arrays, x=table, y=np.array(["idle", "walk", "run"] * 20))
    of_table = told(SIMULATED, "infer", model.parent / "table.csv", "-m", model)
    of_arrays = told(SIMULATED, "infer", arrays, "-m", model)
    assert of_table == of_arrays
    dataset = load_dataset(load_spec(model), model)
    x = quantize_inputs(apply_scaling(table, dataset.scaling))
    assert [one["predicted"] for one in of_table["answers"]] == network.predict(x).tolist()
    assert [dataset.class_names[one["label"]] for one in of_table["answers"][:2]] == [
        "idle",
        "walk",
    ]


@pytest.mark.needs_simulator("renode")
def test_what_is_taught_in_renode_is_there_after_a_power_cut(model, tmp_path):
    # A chip's own flash controller, by its driver.
    for name in ("table.csv", "model.yaml"):
        text = (model.parent / name).read_text().replace("mps2-an386", "stm32f4_discovery")
        (tmp_path / name).write_text(text)
    words = ("-m", tmp_path / "model.yaml")
    taught = ("--split", "train", "--samples", 20)
    before = told("sim:renode", "learn", *taught, "--save", *words)
    # Ctrl-C, which ends `monitor`, is not for the simulator.
    assert os.getpgid(shared_renode(shutil.which("renode")).pid) != os.getpgrp()
    assert told("sim:renode", "info", *words)["learned"] == before["learned"]
    assert run("sim:renode", "diff", *taught, *words).out.startswith("equal: ")
    prepared = prepare(tmp_path / "model.yaml")
    train, test = prepared.dataset.train, prepared.dataset.test
    network = prepared.network().partial_fit(train.samples[:20], train.y[:20])
    answers = told("sim:unicorn", "infer", "--split", "test", *words)["answers"]
    assert [one["predicted"] for one in answers] == network.predict(test.samples).tolist()


# --------------------------------------------------------------------------- recording


def test_what_is_recorded_is_a_source_of_data(model, tmp_path):
    file = tmp_path / "table.csv"
    told("-", "record", file, "--label", "idle", "-m", model, stdin="1,2,3,4\nhello\n2 3 4 5\n")
    done = told("-", "record", file, "--label", "run", "-m", model, stdin="7;8;9;9.5\n1,2,3\n")
    assert (done["samples"], done["skipped"]) == (1, 1)
    assert file.read_text() == "ax,ay,az,g,state\n1,2,3,4,idle\n2,3,4,5,idle\n7,8,9,9.5,run\n"
    many = "".join(f"{n},{2 * n},{n % 7},{n % 3},{'up' if n % 2 else 'down'}\n" for n in range(40))
    other = tmp_path / "many.csv"
    told("-", "record", other, stdin=many)
    (tmp_path / "model.yaml").write_text(
        "name: many\ndata: {source: csv, path: many.csv, label: label}\n"
        "network:\n  layers: [{units: 8}]\n"
    )
    dataset = load_dataset(load_spec(tmp_path / "model.yaml"), tmp_path / "model.yaml")
    assert (dataset.inputs, dataset.class_names) == (4, ("down", "up"))
    refused = run("-", "record", other, "--label", "up", stdin="1,2\n")
    assert refused.error.reason.startswith("has the columns x0, x1, x2, ... label (5)")


def test_readings_are_recorded_for_a_series(tmp_path):
    """Each command is a recording; with --bare, as a data forwarder prints them."""
    model = tmp_path / "model.yaml"
    model.write_text(
        "name: watch\ndata: {source: series, path: takes, rate: 50, axes: [x, y], window: 2, "
        "label_column: label}\nnetwork:\n  layers: [{units: 8}]\n"
    )
    file = tmp_path / "takes" / "a.csv"
    file.parent.mkdir()
    for label in ("up", "down"):
        told("-", "record", file, "--label", label, "-m", model, stdin="1,2\n3,4\n")
    assert file.read_text() == "x,y,label\n1,2,up\n3,4,up\n\n1,2,down\n3,4,down\n"
    raw = source_series.read(load_spec(model).data)
    assert raw.samples.labels.tolist() == ["up", "down"]
    bare = tmp_path / "bare.csv"
    for _ in range(2):
        told("-", "record", bare, "--bare", stdin="1, 2.5\nready\n3\t4\n")
    assert bare.read_text() == "1,2.5\n3,4\n\n1,2.5\n3,4\n"


def test_a_board_that_prints_samples_is_recorded(tmp_path):
    with serial_board() as board:
        board.say(b"%d,%d\r\n" % (number, number + 1) for number in range(10_000))
        done = told(board.port, "record", tmp_path / "a.csv", "--label", "x", "--samples", 4)
    assert done["samples"] == 4
    head, *rows = (tmp_path / "a.csv").read_text().splitlines()
    first = int(rows[0].split(",")[0])
    assert first > 0  # what came first may have begun before the port was opened
    assert head == "x0,x1,label"
    assert rows == [f"{number},{number + 1},x" for number in range(first, first + 4)]


def test_a_simulated_board_sends_no_samples(tmp_path):
    assert "sends no samples" in run(SIMULATED, "record", tmp_path / "a.csv").error.reason


# ----------------------------------------------------------------------- a serial port


def test_a_board_on_a_serial_port_keeps_on_between_commands(board, project, tmp_path):
    told(board.port, "learn", project / "samples.csv", "-p", project)
    assert told(board.port, "info")["learned"] == f"0x{LEARNED.digest():08X}"
    told(board.port, "export", tmp_path / "a.state")
    assert import_state(CASE.network(), tmp_path / "a.state").digest() == LEARNED.digest()
    answers = told(board.port, "infer", project / "samples.csv")["answers"]
    assert [one["predicted"] for one in answers] == LEARNED.predict(X).tolist()


def test_there_is_no_such_port():
    error = run("/dev/ttyNone", "info").error
    assert error.reason == ("the port /dev/ttyNone cannot be opened: No such file or directory")
    assert "port" in error.mend
    assert "sim:renode" in error.mend
    assert run("sim:foo", "info").error.reason == "there is no simulated board sim:foo"
    assert "cannot be opened" in run("no://thing", "info").error.reason


def test_a_port_is_used_by_one_program(board):
    with serial_line.SerialLine(board.port):
        assert run(board.port, "info").error.reason == f"another program uses the port {board.port}"


@contextmanager
def served(answer, monkeypatch):
    monkeypatch.setattr(serial_line, "FIRST_ANSWER_S", 0.1)
    with serial_board() as line:
        line.serve(answer)
        yield line


def test_nothing_answers(monkeypatch):
    with served(lambda _: b"", monkeypatch) as line:
        error = run(line.port, "info").error
    assert error.reason == f"{line.port}: the device does not answer"
    assert "baud rate" in error.mend
    assert error.exit_code == 2


@pytest.mark.parametrize("said", [b"Hello, world\r\n", b"\x05abcd\0", b"\xff\xff\0\0\x01\0"])
def test_something_else_answers(said, monkeypatch):
    with served(lambda _: said, monkeypatch) as line:
        error = run(line.port, "info").error
    assert error.reason.startswith(line.port)
    assert "115200 baud" in error.mend or "baud rate" in error.mend


def test_the_board_is_unplugged(build, project):
    with simulator_named("unicorn").start(build) as machine, serial_board() as line:
        line.serve(lambda frame: machine.exchange(frame) if len(line.received) < 300 else None)
        error = run(line.port, "learn", project / "samples.csv").error
    assert error.reason.startswith(f"the port {line.port} is gone")
    assert error.exit_code == 2


def test_an_answer_that_is_lost_is_asked_for_again(build, project, monkeypatch):
    monkeypatch.setattr(device_module, "ANSWER_S", 0.2)
    monkeypatch.setattr(serial_line, "FIRST_ANSWER_S", 2.0)
    with simulator_named("unicorn").start(build) as machine, serial_board() as line:
        count = 0

        def lossy(frame):
            nonlocal count
            count += 1
            answer = machine.exchange(frame)
            return b"" if count % 7 == 0 else answer

        line.serve(lossy)
        done = told(line.port, "learn", project / "samples.csv", "--samples", 20)
    expected = CASE.network().partial_fit(X[:20], Y[:20])
    assert done["learned"] == f"0x{expected.digest():08X}"


def test_another_model_is_refused(board, project, model, tmp_path):
    error = run(board.port, "learn", "--split", "train", "-m", model).error
    assert error.reason.startswith('the device runs another model: "toy" is 0x')
    file = tmp_path / "a.state"
    network = prepare(model).network()
    export_state(network, file, prepare(model).source().digest)
    for subcommand in ("import", "diff"):
        assert "holds what the model 0x" in run(board.port, subcommand, file).error.reason
    file.write_bytes(file.read_bytes()[:-1])
    assert "is damaged" in run(board.port, "import", file).error.reason
    assert "No such file" in run(board.port, "import", tmp_path / "none").error.reason


def test_paths_that_cannot_be(project, tmp_path):
    pipe, none = tmp_path / "pipe.csv", tmp_path / "none"
    os.mkfifo(pipe)
    at = ("-p", project)
    wrong = {
        ("info", "-p", none): "no such directory",
        ("info",): "a simulated board needs a firmware",
        ("export", none / "a.state", *at): "no such directory",
        ("export", pipe, *at): "is a pipe, a socket or a device",
        ("import", pipe, *at): "is a pipe, a socket or a device",
        ("diff", pipe, *at): "is a pipe, a socket or a device",
        ("infer", pipe, *at): "is a pipe, a socket or a device",
        ("infer", tmp_path / "a.txt", *at): "is neither .npz nor .csv",
        ("infer", none.with_suffix(".csv"), *at): "no such file",
        ("infer", *at): "no samples are named",
        ("learn", "--split", "test", *at): "no model.yaml is named",
        ("diff", *at): "no model.yaml is named",
    }
    for words, reason in wrong.items():
        error = run(SIMULATED, *words).error
        assert error is not None, words
        assert reason in error.reason, words
        assert error.mend, words
    assert "is a pipe" in run("-", "record", pipe, stdin="1,2,x\n").error.reason


def test_a_board_without_a_store_says_so(tmp_path):
    base = CASE.project
    bare = base.board.model_copy(update={"store": None, "rehearsal": None})
    write_project(generate_project(base.model, bare), tmp_path / "p")
    error = run(SIMULATED, "save", "-p", tmp_path / "p").error
    assert error.reason == "the device refused SAVE: the board keeps no such state in flash"
    assert "lost with power" in run(SIMULATED, "info", "-p", tmp_path / "p").out

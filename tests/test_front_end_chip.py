"""A front end from model.yaml to the chip: samples, scores and weights of raw readings."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from faulty_build import build_faulty
from host_process import SANITIZED, sanitizing_compilers
from sensor_model import write_model

from spela_mcu.commands.report import measure
from spela_mcu.commands.verify import verify
from spela_mcu.data.load import load_dataset
from spela_mcu.device.device import SAME_SAMPLE, Device
from spela_mcu.device.protocol import (
    Command,
    DeviceError,
    ProtocolError,
    Status,
    decode_frame,
    encode_frame,
    request,
)
from spela_mcu.device.twin import Twin
from spela_mcu.errors import UserError
from spela_mcu.firmware.memory import FAULT_STACK_BYTES
from spela_mcu.firmware.stack import worst_case_stack
from spela_mcu.firmware.toolchain import WARNING_FLAGS
from spela_mcu.front_end.rows import samples
from spela_mcu.pictures.report import pictures
from spela_mcu.pipeline import prepare
from spela_mcu.report.page import report_page
from spela_mcu.simulators.choice import find_simulator
from spela_mcu.simulators.unicorn import UnicornSimulator
from spela_mcu.spec.load import load_spec

SPECTRUM = {"spectrum": {"points": 64, "hop": 32, "bands": 8}, "step": 64}
MODELS = {
    "microbit": SPECTRUM,
    "bluepill": {"readings": "int32", "shift": 16, "statistics": {"length": 32}},
    "stm32f4_discovery": SPECTRUM,
    "mps3-an547": {"readings": "int8", "decimate": 4},
    "riscv-virt": {"log_mel": {"frame_ms": 25, "hop_ms": 20, "bands": 10}, "rate": 2000},
}
"""A core each: M0, M3, M4, M55 and RV32IMC."""

QEMU = pytest.mark.needs_simulator("qemu")
CORES = [pytest.param(one, marks=QEMU if one == "mps3-an547" else ()) for one in MODELS]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The models and their builds, each made once."""
    found = {}

    def make(board):
        if board not in found:
            directory = tmp_path_factory.mktemp(board)
            prepared = prepare(write_model(directory, board, **MODELS[board]))
            found[board] = prepared, prepared.deploy(directory / "firmware")
        return found[board]

    return make


def fast_simulator(board):
    """Unicorn where it knows the core, as it starts at once."""
    return find_simulator(board, "unicorn" if "unicorn" in board.simulators.names else "qemu")


@pytest.mark.parametrize("board", CORES)
def test_equal_in_every_bit(made, board):
    """Raw readings in, samples, scores and weights out."""
    prepared, build = made(board)
    simulator = fast_simulator(prepared.board)
    found = verify(prepared, build, simulator, learn_steps=40, samples=25)
    assert found.difference is None
    assert found.bit_exact
    assert build.warnings == ""
    assert build.ram_bytes == prepared.memory.ram
    assert build.flash_bytes <= prepared.memory.flash
    stack = worst_case_stack(build.read_elf())
    assert stack.bytes <= prepared.memory.stack - FAULT_STACK_BYTES, stack.path
    assert found.stack_bytes <= stack.bytes


def test_a_stream_slides(made):
    """A device that is never restarted gives the samples of overlapping windows."""
    prepared, build = made("stm32f4_discovery")
    plan, readings = prepared.dataset.front_end, prepared.dataset.test.readings
    assert plan.kept == 1
    stream = readings[:6].reshape(-1, 2)
    starts = range(0, len(stream) - plan.window + 1, plan.step)
    wanted = samples(plan, np.stack([stream[at : at + plan.window] for at in starts]).astype(int))
    with UnicornSimulator().start(build) as machine:
        device, found = Device(machine), []
        with pytest.raises(DeviceError) as refused:
            device.infer(SAME_SAMPLE)
        assert refused.value.status == Status.NOT_READY
        for at in range(0, len(stream), 32):
            if device.push(stream[at : at + 32]):
                found.append(device.sample())
                assert np.array_equal(device.sample(), found[-1])
        assert np.array_equal(found, wanted)


def requests(prepared, count):
    """Frames: readings in parts and in floods, some of them wrong, and what takes a sample."""
    rng = np.random.default_rng(0)
    stream = prepared.dataset.test.readings[:40].reshape(-1, 2).repeat(8, axis=0)
    most = max(prepared.plan.inputs, 64) // stream[0].nbytes
    ask = [Command.SAMPLE, Command.INFER, Command.INFER_EARLY, Command.LEARN, Command.INFER_LAST]
    at, is_flood = 0, False
    for number in range(count):
        kind, command, argument, data = rng.random(), Command.PUSH, 0, b""
        is_flood = is_flood != (number % 60 == 59)
        if kind < 0.7 or is_flood:
            size = most if is_flood else int(rng.integers(most + 1))
            data, at = stream[at : at + size].tobytes(), at + size
        elif kind < 0.98:
            command = ask[rng.integers(len(ask))]
        elif kind < 0.99:
            data = bytes(rng.integers(1, 7))
        else:
            argument = int(rng.integers(1, 3))
        payload = request(command, number=number, argument=argument, data=data)
        yield encode_frame(payload)


@pytest.mark.parametrize("board", ["bluepill", "stm32f4_discovery"])
def test_the_twin_takes_readings_as_the_device(made, board):
    """Also where its ring is full, its sample not complete, or a request wrong."""
    prepared, build = made(board)
    twin = Twin(prepared.network(), prepared.source(), flash=None)
    statuses = set()
    with UnicornSimulator().start(build) as machine:
        for frame in requests(prepared, 400):
            answer = twin.exchange(frame)
            assert machine.exchange(frame) == answer
            statuses.add(decode_frame(answer[:-1])[1])
    wanted = {Status.OK, Status.NOT_READY, Status.LENGTH, Status.ERROR_ARGUMENT}
    assert statuses == wanted
    device = Device(twin)
    device.push(prepared.dataset.test.readings[0], restart=True)
    with pytest.raises(ProtocolError, match=r"took \d+ of \d+ readings"):
        device.push(np.concatenate(prepared.dataset.test.readings[:5]))


@pytest.mark.parametrize(
    ("board", "file", "right", "wrong"),
    [
        ("stm32f4_discovery", "spela_fft.c", "a = half(e)", "a = half(f)"),
        ("stm32f4_discovery", "spela_fft.c", "ROUNDING 0x8000", "ROUNDING 0"),
        ("microbit", "spela_spectrum.c", "+ 0x4000, 15U", "+ 0x3FFF, 15U"),
        ("bluepill", "spela_statistics.c", "deviations + (span >> 1)", "deviations + (span >> 2)"),
        ("bluepill", "spela_rows.h", "(count >> 1)", "(count >> 2)"),
        ("bluepill", "spela_front_end.c", "product + half", "product"),
    ],
)
def test_a_planted_fault_is_found(made, board, file, right, wrong):
    prepared, build = made(board)
    faulty = build_faulty(build.project.path, file, right, wrong, "front_end")
    simulator = fast_simulator(prepared.board)
    found = verify(prepared, faulty, simulator, learn_steps=3, samples=9)
    assert not found.bit_exact
    assert re.search(r"sample\[\d+\] is", found.difference)


def test_models_differ_by_their_front_end(made, tmp_path):
    """What was learned with another front end is another model's."""
    prepared, _ = made("stm32f4_discovery")
    other = replace(prepared.plan, front_end=replace(prepared.plan.front_end, readings="int8"))
    assert prepared.source().digest != replace(prepared, plan=other).source().digest


@pytest.mark.parametrize(
    ("keys", "reason", "key"),
    [
        ({"full_scale": None}, "readings are raw values, whole numbers", "front_end.full_scale"),
        ({"full_scale": [1.0, 2.0, 3.0]}, "states 3 axes, but a reading has 2", "full_scale"),
        ({"decimate": 5}, "the window of 128 is no multiple", "front_end.decimate"),
        ({"statistics": {"length": 200}}, "a row takes 200 readings", "front_end.statistics"),
        (
            {"spectrum": {"points": 64, "hop": 32}, "step": 40},
            "rows are 32 readings apart, but samples 40",
            "front_end.spectrum",
        ),
        ({"spectrum": {"points": 32, "bands": 50}}, "has no bin", "front_end.spectrum.bands"),
        ({"spectrum": {"points": 64, "high": 120}}, "from 0 to 100 Hz", "front_end.spectrum.high"),
        ({"spectrum": {"points": 64}, "rate": None}, "only with the rate", "front_end.spectrum"),
        ({"log_mel": {"frame_ms": 64}, "rate": 50000}, "1024 at most", "front_end.log_mel"),
    ],
)
def test_what_cannot_be_is_told(tmp_path, keys, reason, key):
    path = write_model(tmp_path, **keys)
    with pytest.raises(UserError, match=reason) as told:
        load_dataset(load_spec(path), path)
    assert told.value.key.endswith(key) or key in told.value.key
    assert told.value.line is not None


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"spectrum": {"points": 48}}, "a power of two, got 48"),
        ({"spectrum": {"points": 64}, "statistics": {}}, "either statistics or spectrum"),
        ({"shift": 3}, "int16 readings are not shifted"),
        ({"scale": {"range": [2, 1]}}, "must ascend"),
        ({"statistics": {"of": ["mean", "mean"]}}, "twice"),
        ({"full_scale": 0}, "above 0"),
    ],
)
def test_what_model_yaml_must_not_say(tmp_path, keys, reason):
    with pytest.raises(UserError, match=reason) as told:
        load_spec(write_model(tmp_path, **keys))
    assert told.value.line is not None


def test_a_backbone_takes_no_front_ends_features(tmp_path):
    path = write_model(tmp_path)
    spec = yaml.safe_load(path.read_text())
    (tmp_path / "words.tflite").write_bytes(b"")
    spec["network"]["backbone"] = "words.tflite"
    path.write_text(yaml.safe_dump(spec))
    with pytest.raises(UserError, match="takes those that it was trained on") as told:
        load_spec(path)
    assert "layers learn from the front end's features" in told.value.mend


def test_clipped_readings_are_told(tmp_path):
    path = write_model(tmp_path, full_scale=1.0)
    notices = [notice.reason for notice in load_dataset(load_spec(path), path).notices]
    assert any(re.search(r"% of the readings of a1 are at an end of int16", one) for one in notices)


README = Path(__file__).parents[1] / "README.md"
PROGRAM = re.search(r"```c sensor\.c\n(.*?)```", README.read_text("utf-8"), re.DOTALL)[1]
HARNESS = Path(__file__).parent / "c" / "readme_sensor.c"


@pytest.mark.parametrize("language", ["c", "c++"])
def test_the_readmes_program_answers_readings(made, tmp_path, language):
    """From an interrupt's reading to an answer, in no more than fifteen lines beside #include."""
    code = [line for line in PROGRAM.splitlines() if re.search(r"[^\s}]", line)]
    assert len([line for line in code if not line.startswith("#")]) <= 15
    compilers = sanitizing_compilers()
    if "gcc" not in compilers or (language == "c++" and shutil.which("g++") is None):
        pytest.skip("gcc is not on PATH, or has no sanitizers")
    prepared, build = made("stm32f4_discovery")
    project = build.project.path
    (tmp_path / "program.c").write_text(PROGRAM)
    head = (
        '#include <stdint.h>\n#ifdef __cplusplus\nextern "C"\n#endif\nvoid sensor_show(uint16_t);\n'
    )
    (tmp_path / "sensor.h").write_text(head)
    folders = [tmp_path, *(project / one for one in ("model", "spela", "front_end", "store"))]
    includes = [f"-I{folder}" for folder in folders]
    flags = [*WARNING_FLAGS, "-Werror", *SANITIZED, *includes, "-DSPELA_WITH_FRONT_END"]
    plain = [one for one in flags if "prototypes" not in one]
    objects = []
    for folder in ("model", "spela", "front_end"):
        for source in sorted((project / folder).glob("*.c")):
            objects.append(tmp_path / f"{source.stem}.o")
            command = ["gcc", "-std=c99", *plain, "-c", str(source), "-o", str(objects[-1])]
            subprocess.run(command, check=True)
    compiler = ["gcc", "-std=c99"] if language == "c" else ["g++", "-std=c++17", "-xc++"]
    target = tmp_path / "harness.o"
    subprocess.run([*compiler, *plain, "-c", str(HARNESS), "-o", str(target)], check=True)
    program = tmp_path / "program"
    linked = [*map(str, objects), str(target), "-o", str(program)]
    subprocess.run(["gcc", *SANITIZED, *linked, "-lstdc++"], check=True)
    test = prepared.test_samples(6)
    plan, stream = prepared.dataset.front_end, test.readings.reshape(-1, 2)
    shown = subprocess.run([program], input=stream.tobytes(), capture_output=True, check=True)
    starts = range(0, len(stream) - plan.window + 1, plan.step)
    windows = np.stack([stream[at : at + plan.window] for at in starts]).astype(int)
    network = prepared.network()
    wanted = [network.infer(one)[-1].label for one in samples(plan, windows)]
    assert list(map(int, shown.stdout.split())) == wanted
    assert len(set(wanted)) > 1


def test_the_report_shows_samples(made, tmp_path):
    prepared, _ = made("stm32f4_discovery")
    found = measure(prepare(prepared.path, train=True), tmp_path / "report", device_steps=3)
    drawn = pictures(found)
    assert drawn["samples"].startswith("<svg")
    page = report_page(found, drawn, None, command="", versions={})
    assert "A sample is of 128 readings (0.64 s); the next one begins 64 later." in page
    assert "RAM: front end" in page

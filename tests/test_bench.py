"""What `spela-mcu bench` reports is what the simulator, the ELF and the plan say."""

import json
import re
from dataclasses import replace

import pytest
from click.testing import CliRunner
from test_verify import write_model
from toy import with_thresholds

from spela_mcu.cli.bench import _latency, command
from spela_mcu.commands.bench import bench, board_for, prepare_bench
from spela_mcu.device.device import Device
from spela_mcu.errors import UserError
from spela_mcu.firmware.board import board_directory, load_board
from spela_mcu.firmware.elf import runtime_text_bytes
from spela_mcu.pictures.functions import draw_functions
from spela_mcu.pipeline import Overrides

pytestmark = pytest.mark.xdist_group("bench")  # one model is measured

KEYS = {
    "core", "simulator", "compiler", "infer_macs", "infer_instructions",
    "infer_instructions_per_mac", "learn_instructions", "learn_instructions_per_mac",
    "learn_average_instructions_per_mac", "text_bytes", "ram_beyond_weights_bytes", "stack_bytes",
    "estimated_cycles", "functions",
}  # fmt: skip


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    directory = tmp_path_factory.mktemp("bench")
    model = write_model(directory, inputs=13, units=(17, 9), classes=3, samples=60)
    prepared, simulator = prepare_bench(model, Overrides(), None, "unicorn")
    return bench(prepared, directory / "build", simulator), simulator


def test_the_report_is_whole_and_consistent(found):
    report = found[0].to_json()
    assert set(report) >= KEYS
    json.dumps(report, allow_nan=False)
    macs = report["infer_macs"]
    assert macs == 13 * 17 + 17 * 9 + 9 * 3  # the last: scores of the exit
    assert report["infer_instructions_per_mac"] == pytest.approx(
        report["infer_instructions"] / macs, abs=1 / macs
    )
    for name, functions in report["functions"].items():
        total = report[f"{name}_instructions"]
        assert sum(functions.values()) == pytest.approx(total, abs=len(functions))
        assert report["estimated_cycles"][name] > total
    # Every layer updated costs more than the mean, which costs more than inference alone.
    assert (
        report["learn_instructions"]
        > report["learn_average_instructions_per_mac"] * macs
        > report["infer_instructions"]
    )
    assert 0 < report["stack_bytes"] <= report["stack_bound_bytes"]
    assert report["ram_beyond_weights_bytes"] == found[0].prepared.memory.buffers
    assert found[0].prepared.memory.pending == 0
    assert report["infer_early_instructions"] is None
    assert report["longest_step_instructions"] > report["learn_instructions"]
    assert re.fullmatch(
        r"the longest learning step of those counted took [0-9,]+ instructions, an estimated "
        r"[0-9.]+ ms: [0-9.]+ times the mean",
        _latency(found[0]),
    )


def test_steps_that_keep_and_steps_that_apply(tmp_path):
    model = write_model(
        tmp_path, inputs=13, units=(17, 9), classes=3, samples=60, network={"loss": "cosine"}
    )
    prepared, simulator = prepare_bench(model, Overrides(batch=4), None, "unicorn")
    # nearly all leave at the first exit
    prepared = replace(prepared, plan=with_thresholds(prepared.plan, [(1, 0), (0, 0)]))
    done = bench(prepared, tmp_path / "build", simulator)
    report = done.to_json()
    assert report["batch"] == 4
    keeping, applying = done.learn_keeping, done.learn_applying
    assert done.learn.calls == keeping.calls + applying.calls
    # almost all samples update both layers, so that every fourth applies both
    assert applying.calls == pytest.approx(done.learn.calls / 4, abs=2)
    mean = sum(cost.calls * cost.instructions for cost in (keeping, applying)) / done.learn.calls
    assert done.learn.instructions == pytest.approx(mean)
    assert report["longest_step_instructions"] >= report["learn_applying_instructions"] > mean
    assert report["ram_beyond_weights_bytes"] > prepared.memory.buffers
    assert done.infer_early.calls == len(prepared.dataset.test)
    assert 0.5 < report["infer_early_instructions"] / report["infer_instructions"] < 1
    assert "4 updates of a layer are summed and applied at once" in _latency(done)


def test_the_inference_counted_is_a_plain_call(found):
    bench_, simulator = found
    samples = bench_.prepared.test_samples(8).samples
    with simulator.start(bench_.build) as machine:
        device = Device(machine)
        with machine.counting("spela_infer") as calls:
            for sample in samples:
                device.infer_last(sample)
    counts = [call.instructions for call in calls]
    assert bench_.infer.instructions == sum(counts) / len(counts)


def test_runtime_code_is_that_of_its_sources(found):
    elf = found[0].build.read_elf()
    code = runtime_text_bytes(found[0].build.elf)
    functions = {f.name: f.bytes for f in elf.functions}
    store = ("spela_store_", "spela_slot", "spela_stream_", "spela_is_", "spela_flash_")
    ours = {
        n: size
        for n, size in functions.items()
        if n.startswith("spela_") and not n.startswith(store)
    }
    foreign = {"main", "Reset_Handler", "protocol_answer", "frame_read", "memcpy"}
    assert foreign & set(functions)
    # Static functions of the runtime come on top, the application's never.
    assert (
        sum(ours.values())
        <= code
        <= sum(functions.values()) - sum(functions.get(name, 0) for name in foreign)
    )
    assert found[0].text_bytes == code > found[0].text_bytes_inference_only > 1000


def test_the_picture_is_a_picture(found):
    assert draw_functions(found[0]).startswith(b"\x89PNG")


def test_a_core_finds_its_board():
    own = load_board("stm32f4_discovery")
    assert board_for(own, "cortex-m4", "unicorn") is own
    with pytest.raises(UserError, match="no board with a cortex-m55") as raised:
        board_for(own, "cortex-m55", "unicorn")
    assert raised.value.key == "--core"


def test_a_board_of_the_models_own(tmp_path):
    board = load_board("mps2-an386")
    text = (board_directory() / "mps2-an386.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(text.replace("id: mps2-an386", "id: mine"))
    model = write_model(
        tmp_path, inputs=5, units=(6,), classes=3, samples=60, target={"board": "./mine.yaml"}
    )
    prepared, _ = prepare_bench(model, Overrides(), None, "unicorn")
    assert prepared.board.id == "mine"
    elsewhere, _ = prepare_bench(model, Overrides(), "cortex-m3", "unicorn")
    assert elsewhere.board.core == "cortex-m3" != board.core


def test_renode_cannot_tell_functions_apart(tmp_path):
    model = write_model(tmp_path, inputs=5, units=(6,), classes=3, samples=60)
    with pytest.raises(UserError, match="not of each function"):
        prepare_bench(model, Overrides(), None, "renode")


def test_the_command(tmp_path):
    model = write_model(tmp_path, inputs=5, units=(6,), classes=3, samples=60)
    done = CliRunner().invoke(command, [str(model), "--simulator", "unicorn"])
    assert done.exit_code == 0, done.output
    assert "inference" in done.stdout
    assert "without learning" in done.stdout
    assert (tmp_path / "build" / "bench" / "cortex-m4" / "instructions.png").exists()
    listed = CliRunner().invoke(command, [str(model), "--simulator", "unicorn", "--json"])
    assert set(json.loads(listed.stdout)) >= KEYS

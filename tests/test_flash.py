"""Flashing, as far as it goes without a probe: pyOCD's own classes, held to their signatures."""

import dataclasses
import json
from unittest import mock

import pytest
from click.testing import CliRunner
from toy import build_toy, toy

from spela_mcu.cli.flash import command
from spela_mcu.commands.flash import FlashError, flash
from spela_mcu.errors import UserError

pytest.importorskip("pyocd", reason="flashing needs spela-mcu[flash]")
from pyocd.core import exceptions, session
from pyocd.core.helpers import ConnectHelper
from pyocd.core.target import Target
from pyocd.flash.eraser import FlashEraser
from pyocd.flash.loader import FlashLoader
from pyocd.probe.debug_probe import DebugProbe

SESSION = session.Session


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    return build_toy(toy("stm32f4_discovery"), tmp_path_factory.mktemp("flash") / "p")


def probe(unique_id):
    one = mock.create_autospec(DebugProbe, instance=True)
    one.unique_id, one.description = unique_id, "A probe"
    return one


class Chip:
    """Flash that remembers what pyOCD's loader was given; autospec holds us to its signatures."""

    def __init__(self, monkeypatch, *, probes=("0123",), lost=None, bad_bit=None, end=1 << 32):
        self.memory, self.options, self.resets = {}, None, 0
        self._pending = []

        def connected(blocking=True, unique_id=None, is_explicit=False):
            assert not blocking, "a command must not wait for a probe for ever"
            return [probe(one) for one in probes if unique_id is None or unique_id in one]

        def open_session(a_probe, options=None, **rest):
            self.options = options
            if lost:
                raise lost
            opened = mock.MagicMock(spec=SESSION)
            opened.__enter__.return_value = opened
            opened.__exit__.return_value = None
            opened.target = mock.create_autospec(Target, instance=True)
            opened.target.read_memory_block8.side_effect = self.read
            opened.target.reset.side_effect = lambda *_: setattr(self, "resets", self.resets + 1)
            return opened

        def make_loader(a_session, progress=None, **options):
            loader = mock.create_autospec(FlashLoader, instance=True)
            loader.add_data.side_effect = self.add
            loader.commit.side_effect = lambda: (self.commit(bad_bit), progress(1.0))
            return loader

        self._end = end
        monkeypatch.setattr(ConnectHelper, "get_all_connected_probes", staticmethod(connected))
        monkeypatch.setattr(session, "Session", open_session)
        monkeypatch.setattr("pyocd.flash.loader.FlashLoader", make_loader)

    def add(self, address, data):
        if address + len(data) > self._end:
            raise ValueError("no flash memory region")
        self._pending.append((address, data))

    def commit(self, bad_bit):
        for address, data in self._pending:
            self.memory |= {address + i: byte for i, byte in enumerate(data)}
        if bad_bit is not None:
            self.memory[bad_bit] ^= 1

    def read(self, address, size):
        return [self.memory[address + i] for i in range(size)]


def test_flash_holds_the_program_and_the_board_is_reset(build, monkeypatch):
    chip = Chip(monkeypatch)
    seen = []
    flashed = flash(build, progress=lambda *step: seen.append(step))
    for address, data in build.read_elf().load_segments:
        assert bytes(chip.read(address, len(data))) == data
    assert flashed.bytes == build.flash_bytes == len(chip.memory)
    assert (flashed.target, flashed.probe) == ("stm32f407vgtx", "A probe 0123")
    assert chip.options["target_override"] == "stm32f407vgtx"
    assert chip.resets == 1
    assert ("programming", 100, 100) in seen
    assert seen[-1][0] == "verifying"


def test_a_wrong_bit_is_found_by_the_verify(build, monkeypatch):
    chip = Chip(monkeypatch, bad_bit=0x08000123)
    with pytest.raises(FlashError, match="at 0x08000123") as raised:
        flash(build)
    assert raised.value.exit_code == 1
    assert chip.resets == 0


def test_a_chip_without_flash_there_is_refused_whole(build, monkeypatch):
    chip = Chip(monkeypatch, end=0x08000100)
    with pytest.raises(FlashError, match="has no flash at 0x08000000"):
        flash(build)
    assert not chip.memory


@pytest.mark.parametrize(
    ("probes", "wanted", "words"),
    [
        ((), None, "no debug probe is connected"),
        (("0123",), "99", 'no debug probe whose unique id holds "99"'),
        (("0123", "4567"), None, "2 debug probes are connected: 0123"),
    ],
)
def test_a_probe_must_be_there_and_be_one(build, monkeypatch, probes, wanted, words):
    Chip(monkeypatch, probes=probes)
    with pytest.raises(UserError, match=words) as raised:
        flash(build, wanted)
    assert raised.value.exit_code == 2
    assert raised.value.mend


def test_one_of_several_probes(build, monkeypatch):
    Chip(monkeypatch, probes=("0123", "4567"))
    assert flash(build, "45").probe == "A probe 4567"


def test_what_pyocd_cannot_do_is_told(build, monkeypatch):
    Chip(monkeypatch, lost=exceptions.TargetSupportError("target type not recognized"))
    with pytest.raises(UserError, match="does not know the chip stm32f407vgtx") as raised:
        flash(build)
    assert "pack install" in raised.value.mend
    Chip(monkeypatch, lost=exceptions.TransferError("no ACK"))
    with pytest.raises(FlashError, match="could not be flashed: no ACK"):
        flash(build)


def test_a_board_that_no_probe_reaches(build):
    board = build.project.board.model_copy(update={"pyocd": None})
    other = dataclasses.replace(build, project=dataclasses.replace(build.project, board=board))
    with pytest.raises(UserError, match="no probe flashes the board"):
        flash(other)


def test_without_pyocd(build, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pyOCD is not installed"):
        flash(build)


def test_without_any_probe_for_real(build):
    """pyOCD itself, on a machine without probes."""
    if ConnectHelper.get_all_connected_probes(blocking=False):
        pytest.skip("a debug probe is connected to this machine")
    with pytest.raises(UserError, match="no debug probe is connected"):
        flash(build)


def test_the_command(build, monkeypatch):
    Chip(monkeypatch)
    directory = str(build.project.path)
    done = CliRunner().invoke(command, [directory, "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["bytes"] == build.flash_bytes
    assert report["verified"] is True
    shown = CliRunner().invoke(command, [directory])
    assert "written to stm32f407vgtx and verified" in shown.stdout


def test_what_was_learned_is_erased_only_when_asked_for(build, monkeypatch):
    chip, erased = Chip(monkeypatch), []
    eraser = mock.create_autospec(FlashEraser)
    eraser.Mode = FlashEraser.Mode
    eraser.return_value.erase.side_effect = erased.extend
    monkeypatch.setattr("pyocd.flash.eraser.FlashEraser", eraser)
    flash(build)
    assert chip.options["chip_erase"] == "sector"
    assert not erased
    store = build.project.board.store
    assert not any(store.holds(address) for address in chip.memory)
    flash(build, erase_learned=True)
    assert erased == ["0x8080000-0x8100000"]
    board = build.project.board.model_copy(update={"store": None, "rehearsal": None})
    bare = dataclasses.replace(build, project=dataclasses.replace(build.project, board=board))
    with pytest.raises(UserError, match="keeps nothing"):
        flash(bare, erase_learned=True)

import json
import sys

import pytest
from click.testing import CliRunner

from spela_mcu.cli.doctor import command
from spela_mcu.commands import doctor
from spela_mcu.commands.doctor import Check, examine, is_ready


def check(name="x", role="required", version="1.0", **more):
    return Check(name, "purpose of it", role, version, **more)


@pytest.mark.parametrize(
    ("checks", "ready"),
    [
        ([check(), check(role="compiler")], True),
        ([check(), check(role="compiler"), check(role="compiler", version=None)], True),
        ([check(), check(role="compiler"), check(role="optional", version=None)], True),
        ([check(), check(role="compiler", version=None)], False),
        ([check(version=None), check(role="compiler")], False),
    ],
)
def test_ready_means_all_required_and_one_compiler(checks, ready):
    assert is_ready(checks) is ready


def test_json_names_what_the_main_job_uses():
    """On the machine that runs the tests the main job must be able to run."""
    result = CliRunner().invoke(command, ["--json"])
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert report["ready"] is True
    found = {entry["name"]: entry for entry in report["checks"]}
    assert found["numpy"]["version"] == sys.modules["numpy"].__version__
    assert found["unicorn"]["role"] == "required"
    assert {n for n, entry in found.items() if entry["role"] == "compiler"} == {
        "arm-none-eabi-gcc",
        "ziglang",
    }
    assert all(entry["version"] or entry["mend"] for entry in report["checks"])


def test_what_is_missing_is_named_with_its_mend(monkeypatch):
    checks = [
        check("numpy"),
        check("unicorn", version=None, problem="ImportError: libX", mend="pip install unicorn"),
        check("gcc", "compiler", None, mend="apt install gcc"),
    ]
    monkeypatch.setattr("spela_mcu.cli.doctor.examine", lambda: checks)
    result = CliRunner().invoke(command, env={"COLUMNS": "200"})
    assert result.exit_code == 1
    assert "ImportError: libX; pip install unicorn" in result.stdout
    assert "not ready: lacks unicorn, an embedded compiler" in result.stdout


def test_a_broken_package_is_not_taken_for_an_installed_one(monkeypatch, tmp_path):
    (tmp_path / "spela_broken.py").write_text("raise OSError('libfoo.so: cannot open')")
    (tmp_path / "spela_dependent.py").write_text("import spela_not_there")
    monkeypatch.syspath_prepend(tmp_path)
    assert doctor._package("spela_broken", "-").problem == "OSError: libfoo.so: cannot open"
    assert "spela_not_there" in doctor._package("spela_dependent", "-").problem
    absent = doctor._package("spela_absent", "-", extra="examples")
    assert (absent.version, absent.problem, absent.role) == (None, "", "optional")


@pytest.mark.parametrize(
    ("script", "version"),
    [
        ("echo 'tool (Distribution 15:9.9.rel1-1) 12.2.1 20221205'", "12.2.1"),
        ("echo 'Tool v1.16.1.0'; echo '  build: 2.3'", "1.16.1.0"),
        ("echo none", None),
        ("echo 1.2; exit 3", None),
    ],
)
def test_a_programs_version(monkeypatch, tmp_path, script, version):
    program = tmp_path / "spela-probe"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    found = doctor._program("spela-probe", "-", mend="-")
    assert found.version == version
    assert bool(found.problem) is (version is None)


@pytest.mark.needs_simulator("qemu")
def test_qemus_plugin_is_built_and_loaded(monkeypatch, tmp_path):
    assert doctor._qemu_plugin().version == "builds and loads"
    broken = tmp_path / "qemu-system-arm"
    broken.write_text("#!/bin/sh\necho 'no plugins here' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = doctor._qemu_plugin()
    assert found.version is None
    assert "no plugins here" in found.problem
    assert found.mend


def test_examine_without_programs_on_path(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    absent = {entry.name for entry in examine() if entry.version is None}
    assert {"arm-none-eabi-gcc", "host C compiler", "qemu-system-arm", "renode"} <= absent
    assert "QEMU's plugin" in absent
    assert "ziglang" not in absent

import importlib
import json
import re
import shlex
import subprocess
import sys
import types
from pathlib import Path

import click
import pytest

from spela_mcu import __version__
from spela_mcu.cli import main as cli_main
from spela_mcu.cli.console import ERRORS_SHOWN, print_json
from spela_mcu.errors import UserError, UserErrors

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "numpy", "sklearn", "matplotlib", "mlxtend", "unicorn", "pydantic")


def run_module(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from spela_mcu.cli.main import main; main()", *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )


@pytest.fixture
def run_command(monkeypatch):
    """Runs main() with a given function in the place of a command, and returns the exit code."""

    def run(function) -> int:
        module = types.ModuleType("spela_mcu.cli.doctor")
        module.command = click.Command("doctor", callback=function)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(sys, "argv", ["spela-mcu", "doctor"])
        with pytest.raises(SystemExit) as leaving:
            cli_main.main()
        return leaving.value.code

    return run


def raiser(error: BaseException):
    def command() -> None:
        raise error

    return command


def test_help_lists_every_command_and_imports_nothing_heavy():
    script = (
        "import sys\n"
        "from spela_mcu.cli.main import main\n"
        "sys.argv = ['spela-mcu', '--help']\n"
        "try:\n    main()\n"
        "finally:\n"
        f"    print('IMPORTED', [name for name in {HEAVY} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert "IMPORTED []" in done.stdout
    for name, text in cli_main.COMMANDS.items():
        assert f"\n  {name} " in done.stdout
        assert text in done.stdout


@pytest.mark.parametrize("name", cli_main.COMMANDS)
def test_every_listed_command_exists_and_explains_itself(name):
    command = importlib.import_module(f"spela_mcu.cli.{name}").command
    assert isinstance(command, click.Command)
    assert command.help
    assert all(option.help for option in command.params if isinstance(option, click.Option))


def test_every_command_module_is_listed():
    modules = {path.stem for path in Path(cli_main.__file__).parent.glob("*.py")}
    with_command = {
        name
        for name in modules - {"__init__", "main"}
        if hasattr(importlib.import_module(f"spela_mcu.cli.{name}"), "command")
    }
    assert with_command == set(cli_main.COMMANDS)


def test_version():
    done = run_module("--version")
    assert done.returncode == 0
    assert __version__ in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("verfy",), "Did you mean 'verify'"),
        (("schema", "--jsn"), "No such option"),
        (("schema", "surplus"), "unexpected extra argument"),
    ],
)
def test_wrong_usage_ends_with_2(arguments, message):
    done = run_module(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stdout == ""


def test_user_error_is_one_message_with_place_key_reason_and_mend(run_command, capsys):
    error = UserError(
        "no such key [bold]",
        mend="did you mean 'units'?",
        file="a/model.yaml",
        line=7,
        key="n.unit",
    )
    assert run_command(raiser(error)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "error: a/model.yaml:7: n.unit: no such key [bold]\n  mend: did you mean 'units'?\n"
    )


def test_many_user_errors_stay_on_one_screen(run_command, capsys):
    errors = [UserError(f"reason {n}", mend="mend it") for n in range(ERRORS_SHOWN + 5)]
    assert run_command(raiser(UserErrors(errors))) == 2
    err = capsys.readouterr().err
    assert f"reason {ERRORS_SHOWN - 1}\n" in err
    assert f"reason {ERRORS_SHOWN}\n" not in err
    assert "... and 5 more errors" in err
    assert len(err.splitlines()) < 24


def test_an_unwritable_place_is_a_user_error(run_command, capsys):
    error = PermissionError(13, "Permission denied", "/somewhere/model.yaml")
    assert run_command(raiser(error)) == 2
    assert "/somewhere/model.yaml: permission denied" in capsys.readouterr().err


def test_interrupted_ends_with_130(run_command):
    assert run_command(raiser(KeyboardInterrupt())) == 130


def test_a_commands_own_exit_code_is_kept(run_command):
    assert run_command(lambda: None) == 0
    assert run_command(lambda: click.get_current_context().exit(1)) == 1
    assert run_command(raiser(SystemExit(1))) == 1


def test_a_defect_is_not_dressed_up_as_a_user_error(monkeypatch, run_command):
    with pytest.raises(ZeroDivisionError):
        run_command(raiser(ZeroDivisionError()))
    with pytest.raises(FileNotFoundError):
        run_command(raiser(FileNotFoundError(2, "No such file", "x")))


def test_a_reader_that_goes_away_is_met_quietly():
    with subprocess.Popen(
        [sys.executable, "-c", "from spela_mcu.cli.main import main; main()", "schema"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.close()  # before the first byte is written
        assert process.stderr.read() == b""
    assert process.returncode == cli_main.EXIT_BROKEN_PIPE


def test_print_json_is_a_document_and_nothing_else(capsys):
    value = {"text": "x" * 300 + " [bold]y[/bold] ü", "list": [1, 0.5, None, True]}
    print_json(value)
    assert json.loads(capsys.readouterr().out) == value
    with pytest.raises(ValueError, match="not JSON compliant"):
        print_json(float("nan"))


def test_schema_prints_json():
    done = run_module("schema")
    assert done.returncode == 0
    assert json.loads(done.stdout)["properties"]["network"]


def test_init_writes_a_model_and_refuses_to_overwrite_it(tmp_path):
    directory = tmp_path / "new [b]"  # brackets: not rich's markup
    first = run_module("init", str(directory))
    assert first.returncode == 0, first.stderr
    (model,) = directory.rglob("*.yaml")
    assert str(model) in first.stdout
    before = model.read_bytes()
    second = run_module("init", str(directory))
    assert second.returncode == 2
    assert "Traceback" not in second.stderr
    assert model.read_bytes() == before


def test_suggested_commands_can_be_pasted_whatever_their_paths_hold(tmp_path):
    made = run_module("init", str(tmp_path / "my pump's"))
    suggested = made.stdout.split("next:", 1)[1].strip()
    assert shlex.split(suggested) == ["spela-mcu", "verify", str(tmp_path / "my pump's/model.yaml")]


def test_no_command_prints_a_path_in_a_command_line_unquoted():
    """Whoever suggests a command to run goes through `command_line`."""
    for file in (ROOT / "spela_mcu").rglob("*.py"):
        for line in file.read_text(encoding="utf-8").splitlines():
            assert not re.search(r"spela-mcu [a-z]+ [^`'\"]*\{", line), f"{file}: {line.strip()}"

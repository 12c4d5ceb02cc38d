"""``spela-mcu``: the group of commands, and the place where errors become exit codes."""

from __future__ import annotations

import importlib
import io
import os
import sys
from typing import Final, NoReturn

import click

from spela_mcu import __version__
from spela_mcu.errors import UserError
from spela_mcu.quiet import silence_tensorflow

EXIT_INTERRUPTED: Final = 130
EXIT_BROKEN_PIPE: Final = 1

# The help texts are here because the commands' modules import numpy, torch and the like: a module
# is imported only when its command runs, so that --help answers at once.
COMMANDS: Final[dict[str, str]] = {
    "init": "Write a commented starter model.yaml that works as it is.",
    "schema": "Print the JSON Schema of model.yaml, for editors.",
    "train": "Train the float reference and save it with its metrics.",
    "generate": "Write the C project of a model, if it fits the board.",
    "build": "Compile a generated project: ELF, hex, bin and sizes.",
    "flash": "Write a built project to its board, through a debug probe.",
    "device": "Talk to a device: teach it, save and compare what it learned.",
    "simulate": "Run a built project on a simulated board.",
    "verify": "Prove device and integer reference equal, bit for bit.",
    "bench": "Measure instructions, memory and estimated time on a core.",
    "matrix": "Prove it on every core, simulator, compiler and level.",
    "demo": "Do all of it and print one summary.",
    "compare": "Compare accuracy and cost with backpropagation and TFLM.",
    "report": "Show all that can be measured of a model on one page.",
    "boards": "List the boards a project can be generated for.",
    "doctor": "Show what is installed, what for, and how to get the rest.",
}


class LazyGroup(click.Group):
    """Lists its commands from a table of help texts, and imports one only to run it.

    Command ``name`` is the object ``command`` of the module ``spela_mcu.cli.<name>``.
    """

    def __init__(self, help_texts: dict[str, str], **attributes: object) -> None:
        super().__init__(**attributes)  # type: ignore[arg-type]
        for name, text in help_texts.items():
            self.add_command(click.Command(name, short_help=text))

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the work, not of the alphabet."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Replaces the placeholder, which only has a help text, by the real command."""
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None:
            command = importlib.import_module(f"spela_mcu.cli.{name}").command
        return name, command, rest


cli = LazyGroup(
    COMMANDS,
    name="spela-mcu",
    help="Networks that keep learning on a microcontroller, proved bit for bit.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
click.version_option(__version__, prog_name="spela-mcu")(cli)


def main() -> NoReturn:
    """Entry point of the console script: runs a command and leaves with its exit code.

    0: done; 1: the command's own "no" (not bit-exact, not ready) or a defect, with a traceback;
    2: an error that the user can mend; 130: interrupted.
    """
    sys.exit(_flushed(_run()))


def _run() -> int:
    silence_tensorflow()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files may be no UTF-8
    try:
        # Not standalone: click would end an interrupted command with 1, as if it had said "no".
        result = cli.main(prog_name="spela-mcu", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except UserError as error:
        return _report(error)
    except OSError as error:
        from spela_mcu.files import disk_error

        told = disk_error(error)
        if told is None:
            raise
        return _report(told)
    except MemoryError:
        return _report(
            UserError(
                "there is not enough memory", mend="close other programs, or take fewer samples"
            )
        )
    return result if isinstance(result, int) else 0


def _report(error: UserError) -> int:
    from spela_mcu.cli.console import print_error

    print_error(error)
    return error.exit_code


def _flushed(exit_code: int) -> int:
    """Flushes stdout while a reader that has gone (``| head``) can still be handled quietly."""
    try:
        sys.stdout.flush()
    except OSError as error:
        # What is left in the buffer has nowhere to go; Python would complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return EXIT_BROKEN_PIPE
        reason = f"the output cannot be written: {(error.strerror or str(error)).lower()}"
        return _report(UserError(reason, mend="let it go to a place with free space"))
    return exit_code

"""A prompt on the serial line of a simulated board."""

from __future__ import annotations

import cmd
import re

from spela_mcu.cli.console import stdout
from spela_mcu.device.answers import Prediction
from spela_mcu.device.device import Device
from spela_mcu.device.protocol import (
    Command,
    DeviceFaultError,
    ProtocolError,
    Status,
    decode_frame,
    parse_answer,
)
from spela_mcu.device.samples import Samples
from spela_mcu.errors import UserError
from spela_mcu.fixed_point.arithmetic import ONE_Q14
from spela_mcu.fixed_point.exit_answer import ExitAnswer
from spela_mcu.simulators.base import Machine
from spela_mcu.simulators.renode import RenodeMachine


def interact(machine: Machine, samples: Samples | None) -> None:
    """Reads commands until the user quits.

    Args:
        machine: a board that runs the application.
        samples: the samples that `infer` and `learn` take by number; None: there are none.
    """
    prompt = _RenodePrompt if isinstance(machine, RenodeMachine) else _Prompt
    prompt(machine, samples).cmdloop()


class _Prompt(cmd.Cmd):
    """The commands; their docstrings are the user's help."""

    prompt = "spela> "
    intro = 'The board waits. "help" lists the commands, "quit" or Ctrl-D ends.'

    def __init__(self, machine: Machine, samples: Samples | None) -> None:
        super().__init__()
        self._machine = machine
        self._device = Device(machine)
        self._samples = samples

    def onecmd(self, line: str) -> bool:
        """Runs one line; an error is shown, and the prompt goes on."""
        try:
            return bool(super().onecmd(line))
        except (UserError, ValueError) as error:
            _say(f"error: {error}")
            return False

    def emptyline(self) -> bool:
        """An empty line does nothing (cmd's default is the last command again)."""
        return False

    def default(self, line: str) -> None:
        """Handles the end of the input and unknown commands."""
        raise UserError(f"there is no command {line.split(maxsplit=1)[0]}", mend="help")

    def do_info(self, _: str) -> None:
        """Usage: info. What the device runs."""
        info = self._device.info()
        _say(
            f"{info.name}: {info.inputs} inputs, {info.layers} layers, {info.classes} classes, "
            f"digest 0x{info.digest:08X}, arena {info.arena_bytes} bytes"
        )

    def do_infer(self, words: str) -> None:
        """Usage: infer N. Classifies sample N at every exit."""
        index = self._index(words)
        samples = self._known_samples()
        answers = self._device.infer(samples.x[index])
        label = "" if samples.y is None else f", label {samples.y[index]}"
        _say(f"sample {index}{label}")
        for exit_, answer in enumerate(answers):
            _say(f"  exit {exit_}: {_answer(answer)}")

    def do_learn(self, words: str) -> None:
        """Usage: learn N [LABEL]. Learns sample N, with its own label or another."""
        number, _, label = words.partition(" ")
        index = self._index(number)
        samples = self._known_samples()
        if label:
            wanted = _number(label, "a label")
        elif samples.y is not None:
            wanted = int(samples.y[index])
        else:
            raise UserError("the samples have no labels", mend="learn N LABEL")
        learned = self._device.learn(samples.x[index], wanted)
        _say(f"sample {index} as class {wanted}; before, it was {_answer(learned.prediction)}")
        _say(f"  digest of the learned state 0x{learned.digest or 0:08X}")

    def do_counters(self, _: str) -> None:
        """Usage: counters. What has been learned so far."""
        found = self._device.counters()
        _say(
            f"{found.samples} samples, {found.layer_updates} updates of layers, "
            f"{found.multipliers_clipped} clipped, {found.halvings} halvings, "
            f"{found.silent} silent layers, digest 0x{found.digest:08X}"
        )

    def do_reset(self, _: str) -> None:
        """Usage: reset. Forgets everything learned."""
        self._device.reset()

    def do_bytes(self, words: str) -> None:
        """Usage: bytes HEX. Sends these bytes as they are, and shows what comes back."""
        try:
            data = bytes.fromhex(words)
        except ValueError as error:
            raise UserError(f"{words!r} is not hexadecimal", mend="bytes 02 01 00") from error
        answer = self._machine.pass_bytes(data)
        _say(answer.hex(" ") or "(no answer)")
        for frame in filter(None, answer.split(b"\0")):
            _say(f"  {_frame(frame)}")

    def do_quit(self, _: str) -> bool:
        """Usage: quit. Ends the simulation."""
        return True

    def do_EOF(self, _: str) -> bool:  # noqa: N802 - cmd's name
        """Ctrl-D: ends the simulation."""
        _say("")
        return True

    def _known_samples(self) -> Samples:
        if self._samples is None:
            raise UserError(
                "there are no samples", mend="name some with --input, or a model.yaml with --data"
            )
        return self._samples

    def _index(self, word: str) -> int:
        count = len(self._known_samples().x)
        index = _number(word, "a sample")
        if index >= count:
            raise UserError(f"there is no sample {index}", mend=f"they are 0 to {count - 1}")
        return index


class _RenodePrompt(_Prompt):
    _machine: RenodeMachine

    def do_monitor(self, words: str) -> None:
        """Usage: monitor COMMAND. Runs a command of Renode's monitor, such as `monitor cpu PC`."""
        _say(self._machine.monitor(words))


def _say(text: str) -> None:
    stdout.print(text, markup=False, highlight=False, soft_wrap=True)


def _number(word: str, what: str) -> int:
    if not re.fullmatch(r"\d{1,9}", word.strip()):
        raise UserError(f"{what} is a number, not {word.strip() or 'nothing'}")
    return int(word)


def _answer(answer: ExitAnswer | Prediction) -> str:
    cosine, margin = answer.cosine / ONE_Q14, answer.margin / ONE_Q14
    return f"class {answer.label} (cosine {cosine:+.2f}, margin {margin:.2f})"


def _frame(frame: bytes) -> str:
    """A frame of the device in words."""
    try:
        answer = parse_answer(decode_frame(frame))
    except ProtocolError as error:
        return error.reason
    code, body = answer.command, answer.body
    if code == Command.FAULT:
        return DeviceFaultError(body).reason
    known = code in Command.__members__.values()
    name = Command(code).name if known else f"command {code}"
    meaning = "" if answer.status == Status.OK else f": {answer.status.name}"
    return f"{name}{meaning}{f', {len(body)} bytes: {body.hex()}' if body else ''}"

"""A function of the user's as a data source."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from spela_mcu.data.files import EXAMPLES_EXTRA
from spela_mcu.data.raw import RawData, RawPart
from spela_mcu.errors import UserError
from spela_mcu.spec.data import PythonData

_KEY = "data.function"
_EXTRA_PACKAGES = {"mlxtend", "seglearn"}


def read(data: PythonData) -> RawData:
    """Imports and calls the function.

    Raises:
        UserError: it cannot be imported, raises, or does not return ``(x, y)`` or ``(x, y,
            groups)`` of equal length.
    """
    place, _, name = data.function.rpartition(":")
    file = Path(place) if place.endswith(".py") else None
    if file is not None and not file.is_file():
        raise UserError(
            "no such file", mend=f"correct {_KEY}; it is relative to model.yaml", file=file
        )
    with _errors_of_user(place, name, file), _importable(file), _output_apart(), _exit_caught():
        module = importlib.import_module(place) if file is None else module_of(file)
        function = _function(module, name, file)
        result = function()
    return _checked(result, name, file)


def module_of(file: Path) -> ModuleType:
    """Imports a file of the user's."""
    name = f"spela_mcu_data_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses, for one, look up their module there
    spec.loader.exec_module(module)
    return module


def _function(module: ModuleType, name: str, file: Path | None) -> Callable[[], object]:
    function = getattr(module, name, None)
    if not callable(function):
        names = [
            key
            for key, value in vars(module).items()
            if callable(value) and getattr(value, "__module__", "") == module.__name__
        ]
        raise UserError(
            f'defines no function "{name}"' if file else f'{module.__name__} has no "{name}"',
            mend=f"name one of its functions: {', '.join(names)}" if names else "define it",
            file=file,
            key=None if file else _KEY,
        )
    return function  # type: ignore[no-any-return]


@contextmanager
def _importable(file: Path | None) -> Iterator[None]:
    """Lets a file import its neighbours, as it could when run."""
    if file is None:
        yield
        return
    directory = str(file.parent)
    sys.path.insert(0, directory)
    try:
        yield
    finally:
        sys.path.remove(directory)


@contextmanager
def _output_apart() -> Iterator[None]:
    """Sends what the user's code prints to stderr: stdout is for results, or for JSON only."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)  # for output that bypasses Python: C libraries, child processes
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


@contextmanager
def _exit_caught() -> Iterator[None]:
    """Turns os._exit into SystemExit, lest the command end there as if it had succeeded."""
    process, leave = os.getpid(), os._exit

    def caught(status: int) -> NoReturn:
        if os.getpid() != process:  # a forked child may end so
            leave(status)
        raise SystemExit(status)

    os._exit = caught
    try:
        yield
    finally:
        os._exit = leave


@contextmanager
def _errors_of_user(place: str, name: str, file: Path | None) -> Iterator[None]:
    """Turns exceptions of the user's code into errors that name its line."""
    try:
        yield
    except (UserError, KeyboardInterrupt):
        raise
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        missing = "no such module" if place.partition(".")[0] == package else "needs a package"
        raise UserError(
            f"{missing}: {package}",
            mend=EXAMPLES_EXTRA if package in _EXTRA_PACKAGES else f"install {package}",
            file=file,
            line=_line_in(file, error),
            key=_KEY if file is None else None,
        ) from error
    except BaseException as error:  # including SystemExit and GeneratorExit
        what = str(error).partition("\n")[0]
        raise UserError(
            f"{name}() cannot be used: {type(error).__name__}" + (f": {what}" if what else ""),
            mend="mend the function; it must run without arguments",
            file=file,
            line=_line_in(file, error),
            key=_KEY if file is None else None,
        ) from error


def _line_in(file: Path | None, error: BaseException) -> int | None:
    if isinstance(error, SyntaxError) and file is not None and error.filename == str(file):
        return error.lineno
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if file is not None and frame.filename == str(file)]
    return lines[-1] if lines else None


def _checked(result: Any, name: str, file: Path | None) -> RawData:  # noqa: ANN401
    if not isinstance(result, tuple) or len(result) not in (2, 3):
        got = f"{len(result)} values" if isinstance(result, tuple) else type(result).__name__
        raise _misuse(f"{name}() must return (x, y) or (x, y, groups), got {got}", file)
    names = ("x", "y", "groups")
    x, y, *groups = (
        _array(value, f"{name}()'s {what}", file)
        for what, value in zip(names, result, strict=False)
    )
    if groups and groups[0].shape != (len(y),):
        raise _misuse(
            f"{name}() returns {len(y)} labels, but groups of shape {groups[0].shape}", file
        )
    return RawData(
        RawPart(x, y),
        groups=groups[0] if groups else None,
        file=file,
        columns=_columns(result[0], x),
    )


def _columns(samples: object, x: NDArray[Any]) -> tuple[str, ...] | None:
    """The columns of a DataFrame, pandas' or another's."""
    columns = getattr(samples, "columns", None)
    if columns is None or x.ndim != 2 or len(columns) != x.shape[1]:
        return None
    return tuple(str(column) for column in columns)


def _array(value: object, what: str, file: Path | None) -> NDArray[Any]:
    try:
        array = np.asarray(_without_gradient(value))
    except (ValueError, TypeError, RuntimeError) as error:
        if "inhomogeneous" in str(error):
            raise _misuse(f"{what} is ragged: its samples differ in length", file) from error
        reason = str(error).partition("\n")[0]
        raise _misuse(f"{what} cannot be made an array: {reason}", file) from error
    if array.ndim == 0:
        raise _misuse(f"{what} must be an array with one entry a sample", file)
    return array


def _without_gradient(value: object) -> object:
    """A tensor of torch, or a list of them, as numpy takes it."""
    torch = sys.modules.get("torch")
    if torch is None:  # there can be no tensor yet
        return value
    if isinstance(value, list | tuple) and value and isinstance(value[0], torch.Tensor):
        return [_without_gradient(item) for item in value]
    if not isinstance(value, torch.Tensor):
        return value
    tensor = value.detach().cpu()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def _misuse(reason: str, file: Path | None) -> UserError:
    return UserError(
        reason,
        mend="return arrays of equal length: x [n, ...], y [n] and, if wanted, groups [n]",
        file=file,
        key=None if file else _KEY,
    )

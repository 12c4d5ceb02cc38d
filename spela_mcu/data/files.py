"""Errors in opening data files, in words."""

from __future__ import annotations

from pathlib import Path

from spela_mcu.errors import UserError

EXAMPLES_EXTRA = "pip install 'spela-mcu[examples]'"


def open_error(error: OSError, file: Path) -> UserError:
    """The user's version of an OSError about a data file."""
    if isinstance(error, FileNotFoundError):
        reason, mend = "no such file", "correct data.path; it is relative to model.yaml"
    elif isinstance(error, IsADirectoryError):
        reason, mend = "is a directory", "correct data.path: it must name a file"
    elif isinstance(error, PermissionError):
        reason, mend = "may not be read", "change the file's permissions"
    else:
        reason, mend = f"cannot be read: {error.strerror or error}", "check the file"
    return UserError(reason, mend=mend, file=file)


def check_is_directory(directory: Path) -> None:
    """Checks that a directory of data is there.

    Raises:
        UserError: it is not.
    """
    if not directory.is_dir():
        raise UserError(
            "is not a directory" if directory.exists() else "no such directory",
            mend="correct data.path; it is relative to model.yaml",
            file=directory,
        )

"""The error that users are meant to read."""

from __future__ import annotations

from pathlib import Path


class UserError(Exception):
    """Something in the user's files, data or machine that the user can mend.

    The command line prints it on one screen and exits with `exit_code`; every other
    exception is a defect of spela-mcu.

    Args:
        reason: what is wrong, as a clause without a full stop.
        mend: what to do about it.
        file: the file at fault, if one is.
        line: the 1-based line in it, if known.
        key: the dotted key (``network.layers[0].units``) or column at fault.
    """

    exit_code = 2

    def __init__(
        self,
        reason: str,
        *,
        mend: str = "",
        file: Path | str | None = None,
        line: int | None = None,
        key: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.mend = mend
        self.file = None if file is None else Path(file)
        self.line = line
        self.key = key

    def __str__(self) -> str:
        place = "" if self.file is None else str(self.file)
        if self.line is not None:
            place += f":{self.line}"
        head = ": ".join(part for part in (place, self.key or "", self.reason) if part)
        return f"{head}\n  mend: {self.mend}" if self.mend else head


class UserErrors(UserError):
    """Several user errors found in one pass, so that a single run shows them all."""

    def __init__(self, errors: list[UserError]) -> None:
        super().__init__(f"{len(errors)} errors")
        self.errors = tuple(errors)

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)

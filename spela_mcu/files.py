"""Files on disk: read up to a limit, written whole or not at all, by one run at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shlex
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from spela_mcu.errors import UserError
from spela_mcu.progress import note

OWN_PREFIX: Final = ".spela-mcu."
"""Names of files that exist beside the results only during a run."""

LOCK_FILE: Final = OWN_PREFIX + "lock"

MEBIBYTE: Final = 1 << 20


def cache_directory() -> Path:
    """Where this user's programs keep what can be made again (XDG base directories)."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "spela-mcu"


_SPACE = "free some, or name a place on another disk"
_PLACE = "check the permissions there, or name another place"
_DISK_ERRORS: Final = {
    errno.ENOSPC: ("no space is left on the disk", _SPACE),
    errno.EDQUOT: ("the disk quota is used up", _SPACE),
    errno.EFBIG: ("the file would be larger than is allowed", "raise the limit (ulimit -f)"),
    errno.EACCES: ("permission denied", _PLACE),
    errno.EPERM: ("the operation is not permitted", _PLACE),
    errno.EROFS: ("the file system is read-only", "name another place"),
    errno.ENAMETOOLONG: ("the name is too long", "name a shorter one"),
    errno.ELOOP: ("symbolic links lead in a circle", "correct the links, or name another place"),
    errno.ENOTDIR: ("a part of the path is a file, not a directory", "correct the path"),
    errno.EISDIR: ("is a directory", "name a file"),
    errno.EIO: ("the disk fails (input/output error)", "check it, or name another place"),
    errno.EMFILE: ("too many files are open", "raise the limit (ulimit -n)"),
    errno.ENFILE: ("too many files are open on this machine", "close some programs"),
}


NO_SPACE: Final = re.compile(
    r"no space left|NoSpaceLeft|disk quota exceeded|DiskQuota|file too large|FileTooBig"
    r"|file size limit exceeded",
    re.IGNORECASE,
)
"""What compilers and linkers say when they cannot write (with LC_ALL=C)."""


def disk_error(error: OSError, file: Path | str | None = None) -> UserError | None:
    """An OSError about the user's disk in words; None if it is some other error.

    Args:
        error: what was raised.
        file: the file, in case the error names none.
    """
    if "No usable temporary directory" in str(error):
        return UserError(
            "no directory for temporary files can be written to",
            mend="free some space in /tmp, or let TMPDIR name another directory",
        )
    if error.errno not in _DISK_ERRORS:
        return None
    reason, mend = _DISK_ERRORS[error.errno]
    place = error.filename if isinstance(error.filename, str | Path) else None
    return UserError(reason, mend=mend, file=place or file)


def check_regular(file: Path) -> None:
    """Checks that a file can be read from beginning to end.

    Reading a pipe would wait for a writer that may never come.

    Raises:
        UserError: it is a pipe, a socket or a device, or no file can be called so.
        OSError: it does not exist, or cannot be looked at.
    """
    try:
        mode = file.stat().st_mode
    except ValueError as error:  # a null, or half a pair of surrogates
        raise UserError(
            f"no file can have this name: {str(file)!r}", mend="correct the path"
        ) from error
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise UserError(
            "is a pipe, a socket or a device",
            mend="name a file; what a pipe gives can be saved to one first",
            file=file,
        )


def read_bounded(file: Path, most_bytes: int) -> bytes:
    """The content of a file that should not be large.

    Raises:
        UserError: it is not a file (see `check_regular`), or is larger.
        OSError: it cannot be read.
    """
    check_regular(file)
    with file.open("rb") as stream:
        content = stream.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise UserError(
            f"is larger than {most_bytes / MEBIBYTE:g} MiB",
            mend="check that it is the file you mean",
            file=file,
        )
    return content


def check_directory(directory: Path) -> None:
    """Makes sure that a directory can be made and written to, and leaves the disk as it is.

    A full one that may not be written to is left to its writer, which may find all done.

    Raises:
        UserError: something else is in its place, or the disk refuses.
        OSError: it cannot be looked at.
    """
    try:
        with suppress(FileNotFoundError, NotADirectoryError):
            directory.lstat()
        place = next(one for one in (directory, *directory.parents) if os.path.lexists(one))
        if not place.is_dir():
            if place.is_symlink():
                raise UserError(
                    f"is a symbolic link to {place.readlink()}, which is no directory",
                    mend="make that directory, or remove the link",
                    file=place,
                )
            raise UserError("is not a directory", mend="name another directory", file=place)
        writable = os.access(place, os.W_OK | os.X_OK)
        if not writable and not (place == directory and any(place.iterdir())):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))
    except OSError as error:
        told = disk_error(error, directory)
        if told is None:
            raise
        raise told from error


def check_file(file: Path) -> None:
    """Makes sure that `write_whole` can write a file, and leaves the disk as it is.

    Raises:
        UserError: something else than a file stands in its place, or the disk does not let it.
        OSError: it cannot be looked at.
    """
    try:
        with suppress(FileNotFoundError, NotADirectoryError):
            check_regular(file)
            if file.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(file))
    except OSError as error:
        told = disk_error(error, file)
        if told is None:
            raise
        raise told from error
    directory = Path(os.path.realpath(file)).parent
    check_directory(directory)
    if not directory.is_dir():
        raise UserError("no such directory", mend="make it, or name another place", file=directory)


def make_directory(directory: Path) -> None:
    """Makes a directory and its parents; a link to a directory counts as one.

    Raises:
        UserError: something else is in its place, or the disk refuses.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        check_directory(directory)
        told = disk_error(error, directory)
        if told is None:
            raise
        raise told from error


def write_whole(path: Path, content: bytes | str) -> None:
    """Writes a file whole or not at all; its directory must exist.

    A link is followed: the file that it points to is replaced. A pipe or a device is not.

    Args:
        path: the file.
        content: bytes, or text to be written as UTF-8.

    Raises:
        UserError: it is a pipe, a socket or a device.
        OSError: it cannot be written.
    """
    target = Path(os.path.realpath(path))
    with suppress(FileNotFoundError):
        check_regular(target)
    # Beside the file, since a rename is atomic only within one file system.
    temporary = target.with_name(OWN_PREFIX + secrets.token_hex(8))
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        temporary.replace(target)
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error  # not the one beside it
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


_locked: set[Path] = set()
"""The directories that this process has locked."""


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keeps other runs out of a directory for as long as this one writes to it.

    A second run waits and says for which one. The lock is the kernel's (flock), so it ends with the
    process that holds it, however that ends. Within one process it can be nested.

    Args:
        directory: made if it does not exist, and removed again if it is empty at the end.

    Raises:
        UserError: it is not a directory, or cannot be made.
        OSError: the disk fails.
    """
    place = Path(os.path.realpath(directory))
    if place in _locked:
        yield
        return
    existed = place.is_dir()
    make_directory(directory)
    descriptor = _acquired(place / LOCK_FILE, directory)
    _locked.add(place)
    try:
        yield
    finally:
        _locked.discard(place)
        # Removed while still locked: a waiting run finds that it is gone, and starts again.
        if descriptor is not None:
            with suppress(OSError):
                (place / LOCK_FILE).unlink(missing_ok=True)
            os.close(descriptor)
        if not existed:
            with suppress(OSError):
                place.rmdir()


def _acquired(file: Path, directory: Path) -> int | None:
    """A descriptor of the locked lock file; None where nothing can be written."""
    told = False
    while True:
        make_directory(file.parent)  # the run that held the lock may have removed it
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                return None  # what cannot be written, such as a finished build, is only read
            raise
        try:
            if not _try_lock(descriptor):
                if not told:
                    note(f"waiting for {_holder(descriptor)}, which is at work in {directory} ...")
                    told = True
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_at(descriptor, file):
                _sign(descriptor)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _sign(descriptor: int) -> None:
    """Writes who holds the lock, for those who wait; not essential, so a full disk is no error."""
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    words = f"process {os.getpid()} ({command})"
    with suppress(OSError):
        os.truncate(descriptor, 0)
        os.write(descriptor, words.encode(errors="backslashreplace"))


def _try_lock(descriptor: int) -> bool:
    """Whether the lock was free; always so on a file system without locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP):
            raise
    return True


def _is_at(descriptor: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:
        return False


def _holder(descriptor: int) -> str:
    words = os.pread(descriptor, 300, 0).decode(errors="replace")
    return words if words.isprintable() and words else "another run of spela-mcu"

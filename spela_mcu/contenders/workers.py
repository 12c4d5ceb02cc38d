"""Where joblib's work runs: on this machine, or on the workers of an existing Dask scheduler."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from spela_mcu.errors import UserError

CONNECT_TIMEOUT_S = 10
WATCH_EVERY_S = 1.0


def end_with_parent(parent: int) -> None:
    """Ends this process once its parent has ended, even if the parent was killed.

    A worker waits for work on a pipe whose other end it holds as well, so it would wait for ever.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_EVERY_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def workers(dask: str | None) -> Iterator[None]:
    """Within the block, joblib's calls go to the scheduler at the address; None: to this machine.

    Raises:
        UserError: distributed is not installed, or nothing answers at the address.
    """
    from joblib import parallel_config

    if dask is None:
        watched = {"initializer": end_with_parent, "initargs": (os.getpid(),)}
        with parallel_config(backend="loky", **watched):
            yield
        return
    try:
        import distributed
    except ModuleNotFoundError as error:
        raise UserError(
            "the package distributed is not installed",
            mend="pip install distributed, or leave --dask out",
            key="--dask",
        ) from error
    connect: Any = distributed.Client  # it is not typed
    try:
        client = connect(dask, timeout=CONNECT_TIMEOUT_S)
    except (OSError, ValueError) as error:
        raise UserError(
            f"no Dask scheduler answers at {dask}: {error}",
            mend="start one (dask scheduler, dask worker ADDRESS), or leave --dask out",
            key="--dask",
        ) from error
    with client, parallel_config(backend="dask"):
        yield

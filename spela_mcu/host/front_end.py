"""A front end run by the chip's C, compiled for this machine."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from cffi import FFI
from numpy.typing import NDArray

from spela_mcu.front_end.plan import FrontEndPlan
from spela_mcu.front_end.structures import front_end_structure
from spela_mcu.host.network import compile_library, declarations
from spela_mcu.resources import resource_directory

CData: TypeAlias = Any  # cffi declares no types of its own


@lru_cache(maxsize=1)
def _library() -> tuple[FFI, CData]:
    firmware = resource_directory("firmware")
    here, runtime = firmware / "front_end", firmware / "spela"
    library = compile_library("front_end", sorted(here.glob("*.c")), (here, runtime))
    ffi = FFI()
    ffi.cdef(declarations((here / "spela_front_end.h").read_text()))
    return ffi, ffi.dlopen(str(library))


class HostFrontEnd:
    """Takes readings one by one, as a chip does.

    Args:
        plan: with its scales.
    """

    def __init__(self, plan: FrontEndPlan) -> None:
        self._plan = plan
        self._ffi, self._c = _library()
        made = front_end_structure(plan)
        ffi = self._ffi
        self._state = ffi.new("spela_front_end_state_t *")
        self._kept: list[Any] = []
        scales = ffi.new("spela_scale_t[]", len(made.scales))
        for scale, record in zip(scales, made.scales, strict=True):
            for name in made.scales.dtype.names or ():
                setattr(scale, name, int(record[name]))
        members: dict[str, Any] = dict(made.scalars)
        members |= {
            "state": self._state,
            "ring": self._keep("int16_t[]", made.ring),
            "sums": self._keep("int32_t[]", made.sums),
            "sample": self._keep("int8_t[]", made.sample),
            "work": self._keep("uint32_t[]", made.work),
            "scales": scales,
            "spectrum": self._spectrum(made.spectrum, made.tables),
        }
        self._kept.append(scales)
        self._front_end = ffi.new("spela_front_end_t *", members)
        self._push = getattr(self._c, f"spela_push_{plan.readings}")

    def push(self, reading: NDArray[np.int32]) -> bool:
        """Takes one raw reading [axes]; says whether there was room."""
        values = self._ffi.new(f"{self._plan.readings}_t[]", reading.tolist())
        return bool(self._push(self._front_end, values))

    def ready(self) -> bool:
        """Whether a sample is complete."""
        return bool(self._c.spela_sample_ready(self._front_end))

    def take(self) -> NDArray[np.int8]:
        """The complete sample [inputs]."""
        sample = self._c.spela_sample_take(self._front_end)
        return np.frombuffer(self._ffi.buffer(sample, self._plan.inputs), np.int8).copy()

    def restart(self) -> None:
        """Forgets all readings."""
        self._c.spela_front_end_restart(self._front_end)

    @property
    def lost(self) -> int:
        """Readings that found no room."""
        return int(self._state.lost)

    def _keep(self, kind: str, values: Any) -> CData:  # noqa: ANN401
        made = self._ffi.new(kind, values)
        self._kept.append(made)
        return made

    def _spectrum(self, scalars: dict[str, int], tables: dict[str, NDArray[Any]]) -> CData:
        if not scalars:
            return self._ffi.NULL
        pointers = {
            name: self._keep(f"{table.dtype.name}_t[]", table.tolist())
            for name, table in tables.items()
        }
        return self._keep("spela_spectrum_t *", {**scalars, **pointers})

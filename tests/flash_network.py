"""A network of the host's C whose memory lies in flash: that of tests/c/ring_flash.c."""

import atexit
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

from cffi import FFI
from host_process import plant

from spela_mcu.host.network import HostNetwork, declarations, host_compiler
from spela_mcu.resources import resource_directory

PROGRAMS = Path(__file__).parent / "c"
FIRMWARE = resource_directory("firmware")
FOLDERS = ("spela", "continual", "store")
KINDS = (
    "ERASE",
    "ERASE_IGNORED",
    "PROGRAM",
    "PROGRAM_TORN",
    "PROGRAM_IGNORED",
    "READ",
    "READ_WRONG",
)
ADDRESS, SIZE = 0x40000, 0x20000
STORE_OK, STORE_ERROR_FLASH = 0, 7


class FlashError(ValueError):
    """The runtime answers that flash has refused."""


def compile_flash_library(directory, change=None):
    """The runtime, its store and the flash as one library, in which undefined behaviour traps.

    Args:
        directory: where it is made.
        change: (file, right, wrong) of a fault in the runtime.
    """
    command = [*host_compiler(), "-std=c99", "-O1", "-fPIC", "-fsanitize=undefined"]
    command += ["-fsanitize-undefined-trap-on-error"]
    parts = ("CONTINUAL", "MEMORY_IN_FLASH")
    command += [f"-DSPELA_WITH_{part}" for part in parts]
    command += [f"-I{folder}" for folder in (*(FIRMWARE / name for name in FOLDERS), PROGRAMS)]
    sources = [source for name in FOLDERS for source in (FIRMWARE / name).glob("*.c")]
    if change is not None:
        changed = directory / change[0]
        changed.write_text((FIRMWARE / "continual" / changed.name).read_text())
        plant(changed, *change[1:])
        sources = [changed if source.name == changed.name else source for source in sources]
    objects = [_object(tuple(command), source, source.read_text()) for source in sources]
    library = directory / "library.so"
    objects += [_object(tuple(command), PROGRAMS / "ring_flash.c", "")]
    subprocess.run([*command, "-shared", *map(str, objects), "-o", str(library)], check=True)
    return library


@lru_cache
def _object(command, source, text):
    """A source, compiled once; `text` is what tells a planted fault."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    made = folder / f"{source.stem}.o"
    subprocess.run([*command, "-c", str(source), "-o", str(made)], check=True)
    return made


@lru_cache
def open_library(library):
    ffi = FFI()
    for header in ("spela/spela.h", "continual/spela_continual.h", "store/spela_store.h"):
        ffi.cdef(declarations((FIRMWARE / header).read_text()))
    ffi.cdef(declarations((PROGRAMS / "ring_flash.h").read_text()))
    return ffi, ffi.dlopen(str(library))


def flash_network(library, plan, *, unit, block, blocks, initial=None):
    """A class of networks with a memory in flash of such a geometry, and a store behind it."""

    class FlashNetwork(HostNetwork):
        _open = staticmethod(lambda: open_library(library))
        _placed = staticmethod(lambda plan: plan)

        def __init__(self):
            self.flash = self._open()[1]
            self.flash.ring_start(block)
            super().__init__(plan, initial)

        def restart(self):
            """A power cut, after which RAM holds anything."""
            size = self._ffi.sizeof(self._arena)
            self._ffi.memmove(self._arena, b"\xa5" * size, size)
            handle = self._ffi.new("spela_t **")
            self._check(self._library.spela_init(handle, self._model, self._arena, size))

        def arena(self):
            return bytes(self._ffi.buffer(self._arena))

        def _make_continual(self, made):
            continual = super()._make_continual(made)
            self.unit = self._ffi.new("uint32_t[]", unit // 4)
            self.chip = self._ffi.new("spela_store_t *", {"unit_bytes": unit, "buffer": self.unit})
            self.ring = self._ffi.new("spela_memory_flash_t *", (self.chip, ADDRESS, block, blocks))
            continual.flash = self.ring
            return continual

        def _check(self, status):
            if status == self._library.SPELA_ERROR_FLASH:
                raise FlashError
            super()._check(status)

        def fail(self, kind, after=0):
            self.flash.ring_fail(KINDS.index(kind), after)

        def operations(self, kind):
            return self.flash.ring_operations(KINDS.index(kind))

        def content(self):
            return bytes(self._ffi.buffer(self.flash.ring_content(), SIZE))

        def store(self):
            size = self._library.spela_store_slot_bytes(self._network, unit)
            slot = -(-size // block) * block
            begin = ADDRESS + SIZE // block * block - 2 * slot
            self.store_unit = self._ffi.new("uint32_t[]", unit // 4)
            slots = [(begin, slot), (begin + slot, slot)]
            return self._ffi.new(
                "spela_store_t *",
                {"slots": slots, "unit_bytes": unit, "buffer": self.store_unit},
            )

        def save(self, store):
            return self._library.spela_store_save(store, self._network)

        def load(self, store):
            return self._library.spela_store_load(store, self._network)

        def export(self):
            """What a save would write, asked for in odd pieces; empty: it cannot be read."""
            null = self._ffi.NULL
            size = self._library.spela_store_export(null, self._network, 0, null, 0)
            data = self._ffi.new("uint8_t[]", size + 1)
            for offset in range(0, size, 37):
                count = min(37, size - offset)
                piece = data + offset
                if self._library.spela_store_export(null, self._network, offset, piece, count) == 0:
                    return b""
            return bytes(self._ffi.buffer(data, size))

    return FlashNetwork()

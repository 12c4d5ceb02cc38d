"""The chip's C, compiled for this machine and called in process.

It is the same source that is flashed: it learns tens of thousands of samples a second, equal to the
chip in every bit.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
from cffi import FFI
from numpy.typing import ArrayLike, NDArray

from spela_mcu.data.arguments import int8_sample
from spela_mcu.errors import UserError
from spela_mcu.files import NO_SPACE, cache_directory, disk_error
from spela_mcu.fixed_point.arena import ALIGNMENT, arena_bytes
from spela_mcu.fixed_point.classifier import Classifier
from spela_mcu.fixed_point.early_exit import EarlyAnswer
from spela_mcu.fixed_point.exit_answer import ExitAnswer
from spela_mcu.fixed_point.layout import unpack
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import FixedPointPlan
from spela_mcu.fixed_point.structures import ContinualStructure, model_structure
from spela_mcu.resources import resource_directory

CData: TypeAlias = Any  # cffi declares no types of its own


def host_compiler() -> list[str]:
    """The command of a C compiler for this machine.

    Raises:
        UserError: there is none.
    """
    for name in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        if name and shutil.which(name):
            return [name]
    try:
        import ziglang
    except ImportError:
        raise UserError(
            "no C compiler for this machine",
            mend="install gcc or clang, or pip install 'spela-mcu[zig]'",
        ) from None
    return [str(Path(ziglang.__file__).parent / "zig"), "cc"]


def declarations(header: str) -> str:
    """The C declarations of spela.h as cffi reads them, without comments or preprocessor lines."""
    text = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    text = re.sub(r"#ifdef __cplusplus.*?#endif", "", text, flags=re.DOTALL)
    return "\n".join(line for line in text.splitlines() if not line.startswith("#"))


def compile_library(
    name: str,
    sources: list[Path],
    includes: Sequence[Path] = (),
    defines: tuple[str, ...] = (),
) -> Path:
    """Compiles C into a shared library for this machine, unless it is in the cache already.

    Args:
        name: prefix of the library's file name.
        sources: what to compile.
        includes: directories of headers, which are part of what the cache compares.
        defines: macros.

    Raises:
        UserError: there is no compiler, it fails, or the cache cannot be written.
    """
    command = [*host_compiler(), "-std=c99", "-O3", "-fPIC", "-shared"]
    command += [f"-D{define}" for define in defines]
    contents = list(sources)
    for directory in includes:
        command.append(f"-I{directory}")
        contents += sorted(directory.glob("*.h"))
    content = b"".join(path.read_bytes() for path in contents)
    digest = hashlib.sha256(content + " ".join(command).encode()).hexdigest()[:16]
    library = cache_directory() / f"{name}-{digest}.so"
    if library.exists():
        return library
    try:
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent) as scratch:
            built = Path(scratch) / library.name
            run = subprocess.run(
                [*command, *map(str, sources), "-o", str(built)],
                capture_output=True,
                text=True,
                env=os.environ | {"LC_ALL": "C"},  # NO_SPACE is English
                check=False,
            )
            if run.returncode != 0 and NO_SPACE.search(run.stderr):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(library.parent))
            if run.returncode != 0:
                raise UserError(
                    f"the host compiler failed:\n{run.stderr}",
                    mend="check the compiler that CC names",
                )
            built.replace(library)
    except OSError as error:
        raise disk_error(error, library.parent) or UserError(
            f"cannot compile into the cache: {error}",
            mend="let XDG_CACHE_HOME name a directory that can be written",
            file=library.parent,
        ) from error
    return library


@lru_cache(maxsize=1)
def _library() -> tuple[FFI, CData]:
    firmware = resource_directory("firmware")
    runtime = firmware / "spela"
    convolution, continual = firmware / "convolution", firmware / "continual"
    places = (runtime, convolution, continual, firmware / "host")
    sources = [source for place in places for source in sorted(place.glob("*.c"))]
    parts = ("CONVOLUTION", "INT12", "SOFTMAX", "TAPS", "CONTINUAL", "MEANS")
    defines = ("SPELA_HOST_KERNELS", *(f"SPELA_WITH_{part}" for part in parts))
    library = compile_library("spela", sources, (runtime, convolution, continual), defines)
    ffi = FFI()
    for header in (runtime / "spela.h", continual / "spela_continual.h"):
        ffi.cdef(declarations(header.read_text()))
    return ffi, ffi.dlopen(str(library))


def _set(structure: CData, name: str, value: CData) -> None:
    """Sets the member of a C structure that a dotted name leads to."""
    *outer, last = name.split(".")
    for part in outer:
        structure = getattr(structure, part)
    setattr(structure, last, value)


class HostNetwork(Classifier):
    """A network run by the C runtime on this machine; the same calls as `IntegerNetwork`."""

    def __init__(self, plan: FixedPointPlan, initial: tuple[NDArray[np.int64], ...] | None) -> None:
        """Lays the network out.

        Args:
            plan: the network's formats.
            initial: each layer's weights [units, inputs]; None: the C code draws them itself.
        """
        self.plan = plan
        self._ffi, self._library = self._open()
        self._kept: list[CData] = []
        self._model = self._make_model(initial)
        size = arena_bytes(self._placed(plan), inference_only=False)
        self._arena = self._ffi.new("uint64_t[]", size // ALIGNMENT)
        handle = self._ffi.new("spela_t **")
        self._check(self._library.spela_init(handle, self._model, self._arena, size))
        self._network = handle[0]
        self._result = self._ffi.new("spela_result_t *")

    _open = staticmethod(_library)
    _placed = staticmethod(FixedPointPlan.in_ram)  # this machine has no flash

    @classmethod
    def of(cls, network: IntegerNetwork) -> Self:
        """The same network in its initial state."""
        return cls(network.plan, network.initial)

    def _table(self, content: bytes) -> CData:
        data = self._ffi.new("int8_t[]", len(content))
        self._ffi.memmove(data, content, len(content))
        self._kept.append(data)
        return data

    def _make_model(self, initial: tuple[NDArray[np.int64], ...] | None) -> CData:
        made = model_structure(self.plan, initial)
        layers = self._ffi.new("spela_layer_t[]", len(made.layers))
        for index, layer in enumerate(made.layers):
            for name, value in layer.scalars.items():
                _set(layers[index], name, value)
            for name, content in layer.tables.items():
                if content is not None:
                    _set(layers[index], name, self._table(content))
            if layer.window is not None:
                window = self._ffi.new("spela_window_t *")
                for name, value in layer.window.items():
                    _set(window, name, value)
                self._kept.append(window)
                layers[index].window = window
        self._kept.append(layers)
        model = self._ffi.new("spela_model_t *")
        model.layers = layers
        for name, value in made.scalars.items():
            _set(model, name, value)
        if made.continual is not None:
            model.continual = self._make_continual(made.continual)
        return model

    def _make_continual(self, made: ContinualStructure) -> CData:
        continual = self._ffi.new("spela_continual_t *")
        for name, value in made.scalars.items():
            _set(continual, name, value)
        if made.memory is not None and made.seen is not None:
            continual.memory = self._table(made.memory)
            continual.seen = self._ffi.cast("uint32_t *", self._table(made.seen))
        if made.limits is not None:
            continual.limits = self._ffi.cast("int16_t *", self._table(made.limits))
        self._kept.append(continual)
        return continual

    def _check(self, status: int) -> None:
        if status != self._library.SPELA_OK:
            raise ValueError(
                f"the runtime answers {self._ffi.typeof('spela_status_t').elements[status]}"
            )

    def _pointer(self, sample: NDArray[np.int8]) -> CData:
        return self._ffi.from_buffer("int8_t[]", sample)

    def _infer(self, sample: NDArray[np.int8]) -> tuple[ExitAnswer, ...]:
        pointer, result = self._pointer(sample), self._result
        answers = []
        for index in range(len(self.plan.layers)):
            self._check(
                self._library.spela_infer_exit(self._network, pointer, len(sample), index, result)
            )
            scores = self._ffi.unpack(self._library.spela_scores(self._network), self.plan.classes)
            answers.append(ExitAnswer(result.label, result.cosine, result.margin, np.array(scores)))
        return tuple(answers)

    def infer_early(self, sample: ArrayLike) -> EarlyAnswer:
        """The answer to one sample [inputs] by early exit."""
        values, result = int8_sample(sample, self.plan.inputs), self._result
        self._check(
            self._library.spela_infer_early(
                self._network, self._pointer(values), len(values), result
            )
        )
        return EarlyAnswer(result.label, result.exit, result.cosine, result.margin)

    def _predict_exits(self, samples: NDArray[np.int8]) -> NDArray[np.int64]:
        labels = np.empty((len(self.plan.layers), len(samples)), np.int64)
        for n, sample in enumerate(samples):
            pointer = self._pointer(sample)
            for index in range(len(labels)):
                self._check(
                    self._library.spela_infer_exit(
                        self._network, pointer, len(sample), index, self._result
                    )
                )
                labels[index, n] = self._result.label
        return labels

    def _learn(self, sample: NDArray[np.int8], label: int) -> int:
        self._check(
            self._library.spela_learn(
                self._network, self._pointer(sample), len(sample), label, self._result
            )
        )
        return int(self._result.label)

    def flush(self) -> None:
        """Applies all pending updates; inference does so by itself."""
        self._check(self._library.spela_flush(self._network))

    def reset(self) -> None:
        """Forgets everything learned."""
        self._check(self._library.spela_reset(self._network))

    @property
    def active(self) -> NDArray[np.bool_]:
        """Which classes are active, [classes]."""
        if self.plan.continual is None:
            return np.ones(self.plan.classes, np.bool_)
        known = self._ffi.new("spela_class_t *")
        found = np.empty(self.plan.classes, np.bool_)
        for label in range(len(found)):
            self._check(self._library.spela_class(self._network, label, known))
            found[label] = known.is_active != 0
        return found

    def add_class(self) -> int:
        """Makes the first spare class active; returns its label."""
        label = self._ffi.new("uint16_t *")
        self._check(self._library.spela_add_class(self._network, label))
        return int(label[0])

    def wants_label(self, label: int, margin: int) -> bool:
        """Whether it is worth to ask for the label of a sample, by what was answered."""
        self._result.label, self._result.margin = label, margin
        return bool(self._library.spela_wants_label(self._network, self._result))

    def rehearse(self, steps: int) -> None:
        """Learns so many samples of the memory again."""
        self._check(self._library.spela_rehearse(self._network, steps))

    def forget(self, label: int) -> None:
        """Forgets a class: it is spare from now on."""
        self._check(self._library.spela_forget(self._network, label))

    def digest(self) -> int:
        """CRC-32 of the learned state."""
        return int(self._library.spela_digest(self._network))

    def weights(self, index: int) -> NDArray[np.int64]:
        """The weights [units, inputs] of one of the plan's matrices."""
        view = self._ffi.new("spela_layer_view_t *")
        self._check(self._library.spela_view(self._network, index, view))
        data = bytes(self._ffi.buffer(view.weights, view.weight_bytes))
        matrix = self.plan.matrices[index]
        return unpack(data, matrix.units, matrix.inputs, matrix.format)

    def all_weights(self) -> tuple[NDArray[np.int64], ...]:
        """The weights of all of the plan's matrices, in their order."""
        return tuple(self.weights(index) for index in range(len(self.plan.matrices)))

    def halvings(self, index: int) -> int:
        """How often the weights of one of the plan's matrices were halved."""
        view = self._ffi.new("spela_layer_view_t *")
        self._check(self._library.spela_view(self._network, index, view))
        return int(view.halvings)

    def counters(self) -> dict[str, int]:
        """The counts samples, layer_updates, multipliers_clipped, halvings and silent."""
        counters = self._ffi.new("spela_counters_t *")
        self._check(self._library.spela_counters(self._network, counters))
        return {
            name: int(getattr(counters, name))
            for name, _ in self._ffi.typeof("spela_counters_t").fields
        }

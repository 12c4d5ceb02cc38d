"""The contenders: our runtime, and peers in checkouts whose paths the user gives."""

from __future__ import annotations

import subprocess
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from benchmarks.program import C_DIRECTORY, FLOAT_UNITS, Program
from spela_mcu import __version__
from spela_mcu.cores import CORES, CORTEX_M
from spela_mcu.data.dataset import InputScaling
from spela_mcu.errors import UserError
from spela_mcu.firmware.model import model_source
from spela_mcu.firmware.runtime import runtime_defines
from spela_mcu.fixed_point.arena import buffer_bytes
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import FixedPointPlan, make_plan
from spela_mcu.resources import resource_directory
from spela_mcu.simulators.base import Machine
from spela_mcu.spec.data import SklearnData
from spela_mcu.spec.model import ModelSpec
from spela_mcu.spec.network import Dense, Network

CLASSES = 10
WEIGHT_SEED, SAMPLE_SEED = 2, 1


@dataclass(frozen=True)
class Shape:
    """A network of two dense layers."""

    inputs: int
    hidden: int
    outputs: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """From ``784-128-34``.

        Raises:
            ValueError: it is not three widths.
        """
        inputs, hidden, outputs = (int(width) for width in text.split("-"))
        if min(inputs, hidden, outputs) < 1:
            raise ValueError(f"{text} has a width below 1")
        return cls(inputs, hidden, outputs)

    def __str__(self) -> str:
        return f"{self.inputs}-{self.hidden}-{self.outputs}"

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the two layers: what every contender must do."""
        return self.inputs * self.hidden + self.hidden * self.outputs

    @property
    def defines(self) -> tuple[str, ...]:
        """The shape as macros for the C."""
        widths = {"INPUTS": self.inputs, "HIDDEN": self.hidden, "OUTPUTS": self.outputs}
        return (*(f"{name}={width}" for name, width in widths.items()), f"CLASSES={CLASSES}")

    def plan(self) -> FixedPointPlan:
        """Our network of this shape; with the cosine loss, every step updates every layer."""
        layers = (Dense(units=self.hidden), Dense(units=self.outputs))
        spec = ModelSpec(
            name="benchmark",
            data=SklearnData(source="sklearn"),
            network=Network(layers=layers, loss="cosine"),
        )
        return make_plan(spec, self.inputs, CLASSES)


class Contender(ABC):
    """A library that infers, and perhaps learns.

    Attributes:
        name: as shown in tables.
        folder: a directory that is in the path of all its sources, and of no others.
        learns: whether it learns.
        number: the type of its numbers.
    """

    name: str
    folder: str
    learns: bool
    number: str

    @abstractmethod
    def version(self) -> str:
        """The version of its sources."""

    @abstractmethod
    def program(self, shape: Shape, directory: Path) -> Program:
        """Its C for a network; generated files go to `directory`."""

    def runs_on(self, core: str) -> bool:
        """Whether it is measured on a core."""
        return True

    @abstractmethod
    def check(self, machine: Machine, shape: Shape, sample: NDArray[np.int64]) -> None:
        """Checks that after a first inference, of `sample`, the machine holds the right result.

        Raises:
            UserError: it holds another: something else than this network was measured.
        """


class Spela(Contender):
    """Our runtime."""

    name = "spela"
    folder = "spela"
    learns = True
    number = "int8"

    def version(self) -> str:
        """See `Contender`."""
        return __version__

    def program(self, shape: Shape, directory: Path) -> Program:
        """See `Contender`."""
        network = IntegerNetwork.untrained(shape.plan())
        scaling = InputScaling(
            np.zeros(shape.inputs, np.float32), np.ones(shape.inputs, np.float32)
        )
        names = tuple(f"class {index}" for index in range(CLASSES))
        model = model_source("benchmark", network, names, scaling, drawn=True)
        out = directory / f"model-{shape}"
        out.mkdir(parents=True, exist_ok=True)
        for file, text in model.files.items():
            (out / file).write_text(text, encoding="utf-8")
        runtime = resource_directory("firmware") / "spela"
        inference_bytes = buffer_bytes(network.plan, inference_only=True)
        return Program(
            sources=(C_DIRECTORY / "spela.c", *out.glob("*.c"), *sorted(runtime.glob("*.c"))),
            includes=(out, runtime),
            defines=(
                *shape.defines,
                f"INFERENCE_ARENA_BYTES={inference_bytes}U",
                *runtime_defines(model.weights, model.batch, inference_only=False),
            ),
            own=True,
        )

    def check(self, machine: Machine, shape: Shape, sample: NDArray[np.int64]) -> None:
        """See `Contender`; `spela-mcu verify` shows that our runtime is right."""


class _Peer(Contender):
    """A peer's library, in a checkout."""

    needed: tuple[str, ...]
    repository: str
    main: str
    needs_float = False
    number = "int8"

    def __init__(self, checkout: Path, option: str) -> None:
        mend = f"{option} takes the directory of a checkout of {self.repository}"
        if not checkout.is_dir():
            raise UserError("no such directory", mend=mend, file=checkout, key=option)
        missing = [path for path in self.needed if not (checkout / path).is_file()]
        if missing:
            raise UserError(
                f"is no checkout of {self.name}, or of a version with another layout: there is "
                f"no {missing[0]}",
                mend=mend,
                file=checkout,
                key=option,
            )
        self.checkout = checkout.resolve()

    def version(self) -> str:
        """See `Contender`."""
        try:
            done = subprocess.run(
                ["git", "-C", str(self.checkout), "describe", "--tags", "--always", "--dirty"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return "of unknown version"
        return done.stdout.strip() or "of unknown version"

    @abstractmethod
    def _sources(self) -> list[Path]: ...

    @abstractmethod
    def _includes(self) -> tuple[str, ...]: ...

    def program(self, shape: Shape, directory: Path) -> Program:
        """See `Contender`."""
        return Program(
            sources=(C_DIRECTORY / self.main, *self._sources()),
            includes=tuple(self.checkout / path for path in self._includes()),
            defines=shape.defines,
            own=False,
            needs_float=self.needs_float,
            stack_bytes=self._stack_bytes(shape),
        )

    def runs_on(self, core: str) -> bool:
        """On Arm's cores, for which it was written."""
        return CORES[core].family == CORTEX_M

    def _stack_bytes(self, shape: Shape) -> int:
        return 0x2000

    def _differs(self) -> UserError:
        return UserError(
            f"{self.name} answers something else than the network that was to be measured",
            mend="take another version, or mend the program in benchmarks/c",
            file=self.checkout,
        )


class CmsisNn(_Peer):
    """Arm's kernels: inference in int8."""

    name = "CMSIS-NN"
    folder = "Source"
    learns = False
    repository = "https://github.com/ARM-software/CMSIS-NN"
    main = "cmsis_nn.c"
    needed = (
        "Include/arm_nnfunctions.h",
        "Source/FullyConnectedFunctions/arm_fully_connected_s8.c",
        "Source/FullyConnectedFunctions/arm_fully_connected_get_buffer_sizes_s8.c",
        "Source/FullyConnectedFunctions/arm_vector_sum_s8.c",
        "Source/NNSupportFunctions/arm_nn_vec_mat_mult_t_s8.c",
    )

    def _sources(self) -> list[Path]:
        return [self.checkout / path for path in self.needed if path.endswith(".c")]

    def _includes(self) -> tuple[str, ...]:
        return ("Include",)

    def check(self, machine: Machine, shape: Shape, sample: NDArray[np.int64]) -> None:
        """See `Contender`; it requantises by a rounded product with 2^-10."""
        hidden, output = drawn_weights(shape)
        expected = np.clip(_requantized(hidden @ sample), 0, 127)
        found = np.frombuffer(_read(machine, "benchmark_hidden", shape.hidden), np.int8)
        # A tolerance of one: CMSIS-NN rounds twice, halves away from zero, in its own way.
        first_is_right = np.abs(found - expected).max() <= 1
        expected = np.clip(_requantized(output @ found.astype(np.int64)), -128, 127)
        found = np.frombuffer(_read(machine, "benchmark_output", shape.outputs), np.int8)
        if not first_is_right or np.abs(found - expected).max() > 1:
            raise self._differs()


class Aifes(_Peer):
    """Fraunhofer's library: inference and backpropagation in float32."""

    name = "AIfES"
    folder = "src"
    learns = True
    number = "float32"
    repository = "https://github.com/Fraunhofer-IMS/AIfES_for_Arduino"
    main = "aifes.c"
    needs_float = True
    needed = (
        "src/aifes.h",
        "src/basic/base/aialgo/aialgo_sequential_training.c",
        "src/basic/default/ailayer/ailayer_dense_default.c",
    )

    def runs_on(self, core: str) -> bool:
        """On cores with a floating-point unit: without one it is several times slower."""
        return core in FLOAT_UNITS

    def _sources(self) -> list[Path]:
        folders = (self.checkout / "src" / path for path in ("basic/base", "basic/default", "core"))
        return sorted(path for folder in folders for path in folder.rglob("*.c"))

    def _includes(self) -> tuple[str, ...]:
        return ("src",)

    def _stack_bytes(self, shape: Shape) -> int:
        # An update takes a copy of a layer's gradients on the stack.
        return 0x2000 + -(-4 * shape.macs // 0x1000) * 0x1000

    def check(self, machine: Machine, shape: Shape, sample: NDArray[np.int64]) -> None:
        """See `Contender`."""
        flat = draws(WEIGHT_SEED, shape.macs) / 1024
        first = flat[: shape.inputs * shape.hidden].reshape(shape.inputs, shape.hidden)
        second = flat[shape.inputs * shape.hidden :].reshape(shape.hidden, shape.outputs)
        sums = np.maximum((sample / 128) @ first, 0) @ second
        expected = np.exp(sums - sums.max())
        expected /= expected.sum()
        found = np.frombuffer(_read(machine, "benchmark_output", 4 * shape.outputs), np.float32)
        # AIfES has its own exponential, quick and accurate to a few percent.
        if not np.allclose(found, expected, rtol=0.1, atol=1e-6):
            raise self._differs()


def draws(seed: int, n: int) -> NDArray[np.int64]:
    """The numbers of draw() in benchmarks/c/main.c: the upper byte of a generator's states."""
    values, state = np.empty(n, np.int64), seed
    for index in range(n):
        state = (state * 1664525 + 1013904223) % 2**32
        byte = state >> 24
        values[index] = max(byte - 256 if byte > 127 else byte, -127)
    return values


def drawn_weights(shape: Shape) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The weights of CMSIS-NN's layers: [hidden, inputs] and [outputs, hidden]."""
    flat = draws(WEIGHT_SEED, shape.macs)
    split = shape.hidden * shape.inputs
    return (
        flat[:split].reshape(shape.hidden, shape.inputs),
        flat[split:].reshape(shape.outputs, shape.hidden),
    )


def _requantized(sums: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.rint(sums / 2**10).astype(np.int64)


def _read(machine: Machine, symbol: str, length: int) -> bytes:
    return machine.read_memory(machine.build.read_elf().by_name[symbol].address, length)

"""A backbone's features beside those of TensorFlow Lite Micro, where that is installed."""

from __future__ import annotations

import re
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spela_mcu.backbone.plan import BackbonePlan
from spela_mcu.backbone.read import read_graph
from spela_mcu.quiet import captured_output


@dataclass(frozen=True)
class TflmComparison:
    """What TensorFlow Lite Micro made of the same samples.

    Attributes:
        samples: number of samples whose features were compared.
        differing: features that differ, over all samples.
        arena_bytes: its arena for the whole .tflite.
    """

    samples: int
    differing: int
    arena_bytes: int


def why_not_compared(file: Path) -> str:
    """Why TensorFlow Lite Micro cannot run a .tflite here; empty if it can."""
    if find_spec("tflite_micro") is None:
        return "tflite-micro is not installed (pip install --pre 'spela-mcu[reference]')"
    graph = read_graph(file)
    if [graph.tensors[index].type for index in graph.inputs] != ["int8"]:
        return "the .tflite does not take int8 samples"
    return ""


def compare_with_tflm(
    file: Path, backbone: BackbonePlan, samples: NDArray[np.int8], features: NDArray[np.int8]
) -> TflmComparison | None:
    """Runs the .tflite of a backbone in TensorFlow Lite Micro, with its reference kernels.

    In a process of its own: TensorFlow Lite Micro ends the process where a model does not suit it,
    and where libraries are loaded that do not suit it, such as torch's.

    Args:
        file: the .tflite.
        backbone: what was made of it.
        samples: int8 [n, sample's inputs].
        features: what a device made of them, int8 [n, features].

    Returns:
        None if TensorFlow Lite Micro does not run the .tflite.
    """
    graph = read_graph(file)
    (index,) = (
        index
        for operator in graph.operators
        for index in operator.outputs
        if graph.tensors[index].name == backbone.cut
    )
    shape = graph.tensors[graph.inputs[0]].shape
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        ran = process.submit(_run, file.read_bytes(), samples.reshape(-1, *shape), index)
        try:
            theirs, arena_bytes = ran.result()
        except BrokenProcessPool:
            return None
    theirs = theirs.reshape(len(samples), -1)
    at_the_cut = features[:, -theirs.shape[1] :]  # it has no taps
    differing = int(np.count_nonzero(theirs != at_the_cut))
    return TflmComparison(len(samples), differing, arena_bytes)


def _run(content: bytes, samples: NDArray[np.int8], index: int) -> tuple[NDArray[np.int8], int]:
    """What a tensor holds for each sample, and the bytes of the arena."""
    from tflite_micro.python.tflite_micro import runtime

    maps = []
    with captured_output():
        interpreter = runtime.Interpreter.from_bytes(
            content,
            intrepreter_config=runtime.InterpreterConfig.kPreserveAllTensors,
            arena_size=max(4_000_000, 10 * len(content)),
        )
        for sample in samples:
            interpreter.set_input(sample, 0)
            interpreter.invoke()
            maps.append(interpreter.GetTensor(index, 0)["tensor_data"].copy())
        plain = runtime.Interpreter.from_bytes(content)
    with captured_output() as said:
        plain.print_allocations()
    return np.stack(maps), told_arena(said())


def told_arena(said: str) -> int:
    """The size of the arena in what `print_allocations` says."""
    found = re.search(r"Arena allocation total (\d+) bytes", said)
    if found is None:
        raise ValueError(f"the interpreter does not tell the size of its arena: {said!r}")
    return int(found[1])

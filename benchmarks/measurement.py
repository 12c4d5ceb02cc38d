"""One contender on one core: instructions and memory."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contender import SAMPLE_SEED, Contender, Shape, draws
from benchmarks.program import Tools, build_program, place_for
from spela_mcu.device.protocol import decode_frame, encode_frame
from spela_mcu.firmware.elf import runtime_text_bytes
from spela_mcu.firmware.toolchain import Optimization
from spela_mcu.simulators.base import Call, Machine, SimulationError

INFERENCES, LEARNING_STEPS = 2, 2
"""Calls counted, after a first one that is not; their cost hardly differs."""


@dataclass(frozen=True)
class Count:
    """Instructions of one call, as the mean of several: in total and by function."""

    instructions: float
    functions: Mapping[str, float]


@dataclass(frozen=True)
class Measurement:
    """What a network costs a contender on a core.

    Attributes:
        contender, version, number: its name, its version, and the type of its numbers.
        infer: one inference.
        learn: one learning step that updates every weight; None: it does not learn.
        weight_bytes: its parameters.
        infer_bytes, learn_bytes: RAM beyond them, to infer and to learn; the stack, and
            descriptions of layers not included.
        stack_bytes: the most stack in use.
        text_bytes: its linked code, without the C library's.
        active: units that were not zero in the last counted step; 0 if unknown.
        float_unit: whether it was compiled for the core's floating-point unit.
        compiler, simulator, optimization: what it was built and run with.
    """

    contender: str
    version: str
    number: str
    core: str
    shape: Shape
    infer: Count
    learn: Count | None
    weight_bytes: int
    infer_bytes: int
    learn_bytes: int | None
    stack_bytes: int
    text_bytes: int
    active: int
    float_unit: bool
    compiler: str
    simulator: str
    optimization: Optimization

    def per_mac(self, count: Count) -> float:
        """Instructions for each multiply-accumulate of the two layers."""
        return count.instructions / self.shape.macs


def measure(
    contender: Contender,
    shape: Shape,
    core: str,
    tools: Tools,
    directory: Path,
) -> Measurement:
    """Builds a contender's program and counts its instructions.

    Args:
        contender: who.
        shape: the network.
        core: the core to run on; `place_for` chooses the simulator.
        tools: what builds it.
        directory: for generated files.

    Raises:
        UserError: nothing simulates the core, or it does not build or compute what it should.
        SimulationError: the program faults or hangs.
    """
    place = place_for(core)
    program = contender.program(shape, directory)
    name = f"{contender.name}-{shape}-{core}-{tools.optimization}"
    build = build_program(name, program, place, tools, directory)
    with place.simulator.start(build) as machine:
        _step(machine, b"I")
        contender.check(machine, shape, draws(SAMPLE_SEED, shape.inputs))
        infer = _counted(machine, "benchmark_infer", b"I", INFERENCES)
        learn = None
        if contender.learns:
            _step(machine, b"L")
            learn = _counted(machine, "benchmark_learn", b"L", LEARNING_STEPS)
            _step(machine, b"I")  # the contender keeps values of the previous step
        facts = build.read_elf().by_name["benchmark_facts"].address
        weights, infer_bytes, learn_bytes, active = struct.unpack(
            "<4I", machine.read_memory(facts, 16)
        )
        stack_bytes = machine.stack_high_water_bytes()
    return Measurement(
        contender=contender.name,
        version=contender.version(),
        number=contender.number,
        core=core,
        shape=shape,
        infer=infer,
        learn=learn,
        weight_bytes=weights,
        infer_bytes=infer_bytes,
        learn_bytes=learn_bytes or None,
        stack_bytes=stack_bytes,
        text_bytes=runtime_text_bytes(build.elf, contender.folder),
        active=active,
        float_unit=program.needs_float and place.board.fpu,
        compiler=tools.compiler.version,
        simulator=str(place.simulator),
        optimization=tools.optimization,
    )


def _step(machine: Machine, request: bytes) -> None:
    answer = decode_frame(machine.exchange(encode_frame(request)).rstrip(b"\0"))
    if answer != request + bytes(3):  # its status and its number
        raise SimulationError(f"the program answers {answer.hex()}", file=machine.build.elf)


def _counted(machine: Machine, symbol: str, request: bytes, times: int) -> Count:
    with machine.counting(symbol) as calls:
        for _ in range(times):
            _step(machine, request)
    return _mean(calls)


def _mean(calls: Sequence[Call]) -> Count:
    functions: Counter[str] = Counter()
    for call in calls:
        functions.update(call.functions)
    return Count(
        sum(call.instructions for call in calls) / len(calls),
        {name: count / len(calls) for name, count in functions.most_common()},
    )

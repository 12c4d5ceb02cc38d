"""From a part of a graph to lowered operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from spela_mcu.backbone import (
    add,
    convolution,
    depthwise,
    fully_connected,
    mean,
    multiply,
    pad,
    pool,
    rescale,
)
from spela_mcu.backbone.cut import SAME_BYTES, Part
from spela_mcu.backbone.operator import LoweredOperator
from spela_mcu.backbone.plan import Activation, Step
from spela_mcu.backbone.tap import MOST_POSITIONS, Tap, tap_of
from spela_mcu.backbone.view import ANOTHER_LAYER, CONVERT_AGAIN, INTEGERS_ONLY, OperatorView
from spela_mcu.errors import UserError

KINDS: Final[dict[str, Callable[[OperatorView], LoweredOperator]]] = {
    "ADD": add.lower,
    "AVERAGE_POOL_2D": pool.lower_average,
    "CONV_2D": convolution.lower,
    "DEPTHWISE_CONV_2D": depthwise.lower,
    "FULLY_CONNECTED": fully_connected.lower,
    "MAX_POOL_2D": pool.lower_max,
    "MEAN": mean.lower,
    "MUL": multiply.lower,
    "PAD": pad.lower,
    "PADV2": pad.lower,
    "QUANTIZE": rescale.lower_quantize,
    "RELU": rescale.lower_relu,
    "RELU6": rescale.lower_relu6,
}
"""Kinds of operators that compute, by their name in TensorFlow Lite's schema."""

MENDS: Final = {
    "SPACE_TO_BATCH_ND": "convert the model with a fixed batch (keras.Input(..., batch_size=1)): "
    "a dilated convolution then remains one",
    "DEQUANTIZE": INTEGERS_ONLY,
    "SOFTMAX": "choose a cut before it, such as its input",
}
"""How to do without a kind of operator, where something better can be said than in general."""


@dataclass(frozen=True, eq=False)
class Lowered:
    """A part of a graph in integers.

    Attributes:
        activations: first the sample, then what each step writes; not yet placed.
        steps: in the order in which they run; the last one writes the features. An exit's tap runs
            right after the step whose map it reads.
    """

    activations: tuple[Activation, ...]
    steps: tuple[Step, ...]


def lower(part: Part) -> Lowered:
    """The operators of `part` in integers.

    Raises:
        UserError: an operator is not supported: it is named with the tensor that it writes, and
            the reason.
    """
    graph = part.graph
    numbers = {part.sample: 0}
    activations = [_activation(OperatorView(graph, part.operators[0]), part.sample)]
    steps: list[Step] = []
    for operator in part.operators:
        view = OperatorView(graph, operator)
        if operator.kind in SAME_BYTES:
            _check_same_bytes(view)
            numbers[operator.outputs[0]] = numbers[operator.inputs[0]]
            if operator.outputs[0] in part.exits:
                raise _misplaced(
                    part,
                    operator.outputs[0],
                    "has the bytes of another tensor in another shape",
                    f"choose {graph.tensors[operator.inputs[0]].name!r}",
                )
            continue
        if operator.kind not in KINDS:
            reason = "this kind of operator is not supported"
            raise view.fault(reason, MENDS.get(operator.kind, ANOTHER_LAYER))
        lowered = KINDS[operator.kind](view)
        sources = tuple(numbers[index] for index in operator.inputs if index in numbers)
        numbers[operator.outputs[0]] = len(activations)
        steps.append(Step(lowered, sources, len(activations)))
        activations.append(_activation(view, operator.outputs[0]))
        if operator.outputs[0] in part.exits:
            tap = _tap(part, operator.outputs[0], activations[-1])
            steps.append(Step(tap, (len(activations) - 1,), len(activations)))
            activations.append(replace(activations[-1], shape=tap.output))
    if part.exits:
        _check_taps(part, steps)
    return Lowered(tuple(activations), tuple(steps))


def _tap(part: Part, tensor: int, map: Activation) -> Tap:
    if map.shape.positions > MOST_POSITIONS:
        raise _misplaced(
            part,
            tensor,
            f"has {map.shape.positions} positions, of which {MOST_POSITIONS} can be averaged",
            "choose a later tensor",
        )
    return tap_of(map.shape, map.zero_point)


def _check_taps(part: Part, steps: Sequence[Step]) -> None:
    """A sample that left at an exit goes on without itself: its memory may be another's by then."""
    first = next(number for number, step in enumerate(steps) if isinstance(step.operator, Tap))
    tensor = part.exits[0]
    if isinstance(steps[-1].operator, Tap):
        raise _misplaced(
            part, tensor, "has the bytes of the features", "leave it out: the layers sit there"
        )
    if any(0 in step.sources for step in steps[first:]):
        raise _misplaced(
            part,
            tensor,
            "is computed before the sample was read for the last time",
            "choose a later tensor",
        )


def _misplaced(part: Part, tensor: int, reason: str, mend: str) -> UserError:
    number = part.exits.index(tensor)
    return UserError(
        f"{part.graph.tensors[tensor].name!r} cannot have an exit: it {reason}",
        mend=mend,
        file=part.graph.file,
        key=f"network.exits_at[{number}]",
    )


def _activation(view: OperatorView, index: int) -> Activation:
    tensor = view.graph.tensors[index]
    scale, zero_point = view.quantization(tensor)
    return Activation(tensor.name, view.shape(tensor), scale, zero_point)


def _check_same_bytes(view: OperatorView) -> None:
    source, target = view.source(), view.target
    if view.quantization(source) != view.quantization(target):
        raise view.fault("it changes the scale", CONVERT_AGAIN)
    if view.shape(source).size != view.shape(target).size:
        raise view.fault("it changes the number of elements", CONVERT_AGAIN)

"""The part of a graph that leads from a sample to the features."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from spela_mcu.backbone.graph import ABSENT, Graph, Operator, Tensor, short_name
from spela_mcu.backbone.view import INTEGERS_ONLY
from spela_mcu.errors import UserError

FEATURES: Final = "features"
"""The cut that need not be named: the input of the last FULLY_CONNECTED."""

SAME_BYTES: Final = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
"""Kinds that give the same bytes another shape, which the file states. Where the batch was open
when the model was converted, operators stand before them that compute it: these are not needed."""

MOST_NAMES: Final = 200
LONGEST_NAME: Final = 500
"""Among these, one is looked for that is like a wrong name."""


@dataclass(frozen=True, eq=False)
class Part:
    """The part of a graph before a cut.

    Attributes:
        operators: those that the features depend on, in the order in which they run.
        sample: index of the tensor that a sample is.
        features: index of the tensor at the cut.
        exits: indices of the tensors before it that exits sit on.
    """

    graph: Graph
    operators: tuple[Operator, ...]
    sample: int
    features: int
    exits: tuple[int, ...] = ()


def cut_graph(graph: Graph, cut: str = FEATURES, exits_at: Sequence[str] = ()) -> Part:
    """The part of `graph` before the tensor that `cut` names, with exits on tensors within it.

    A QUANTIZE of the model's float or uint8 input is dropped: samples are quantised before they
    reach the backbone, by the same rule.

    Raises:
        UserError: there is no such tensor, nothing computes it, it depends on several inputs, or
            the model computes in floats.
    """
    features = _default(graph) if cut == FEATURES else _named(graph, cut, "network.cut")
    operators = _needed(graph, features)
    sample, operators = _sample(graph, operators, features)
    if not operators:
        raise nothing_computed(graph, features)
    _check_integers(graph, operators)
    exits = tuple(
        _within(graph, operators, name, f"network.exits_at[{number}]")
        for number, name in enumerate(exits_at)
    )
    return Part(graph, operators, sample, features, exits)


def nothing_computed(graph: Graph, features: int) -> UserError:
    """The error of a cut at the model's input."""
    return UserError(
        f"nothing is computed between the input and the cut at {graph.tensors[features].name!r}",
        mend="choose a later cut: " + _choices(graph),
        file=graph.file,
        key="network.cut",
    )


def _default(graph: Graph) -> int:
    dense = [one for one in graph.operators if one.kind == "FULLY_CONNECTED" and one.inputs]
    if not dense:
        raise UserError(
            "has no FULLY_CONNECTED before which it could be cut",
            mend="name the tensor that holds the features: " + _choices(graph),
            file=graph.file,
            key="network.cut",
        )
    return dense[-1].inputs[0]


def _within(graph: Graph, operators: tuple[Operator, ...], name: str, key: str) -> int:
    """A tensor by its name that is computed on the way to the features."""
    found = _named(graph, name, key)
    written = [index for one in operators[:-1] for index in one.outputs if index != ABSENT]
    if found not in written:
        names = _names(graph, written)
        raise UserError(
            f"{name!r} is not computed on the way to the features",
            mend="choose a tensor before the cut: " + ", ".join(map(repr, names[-12:])),
            file=graph.file,
            key=key,
        )
    return found


def _named(graph: Graph, name: str, key: str) -> int:
    found = [index for index in _activations(graph) if graph.tensors[index].name == name]
    found = found or [
        index for index in _activations(graph) if short_name(graph.tensors[index].name) == name
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(
            f"{len(found)} tensors are called {name!r}",
            mend="choose one with a name of its own: " + _choices(graph),
            file=graph.file,
            key=key,
        )
    names = [one for one in _names(graph, _activations(graph)) if len(one) < LONGEST_NAME]
    close = get_close_matches(name, names[-MOST_NAMES:], n=3, cutoff=0.3)
    raise UserError(
        f"has no feature map called {name!r}",
        mend=f"choose {', or '.join(map(repr, close))}" if close else _choices(graph),
        file=graph.file,
        key=key,
    )


def _names(graph: Graph, indices: Sequence[int]) -> list[str]:
    """What to call tensors in model.yaml: by their short names where no other has the same."""
    count = Counter(short_name(graph.tensors[index].name) for index in _activations(graph))
    names = [graph.tensors[index].name for index in indices]
    return [short if count[short := short_name(name)] == 1 else name for name in names]


def _activations(graph: Graph) -> list[int]:
    return [index for index, tensor in enumerate(graph.tensors) if _is_activation(tensor)]


def _is_activation(tensor: Tensor) -> bool:
    return tensor.data is None and tensor.type == "int8"


def _choices(graph: Graph, most: int = 12) -> str:
    """Names of feature maps, the last ones if there are many."""
    written = [index for one in graph.operators for index in one.outputs if index != ABSENT]
    names = _names(graph, [index for index in written if _is_activation(graph.tensors[index])])
    return ", ".join(map(repr, names[-most:])) or "it has no int8 feature map; " + INTEGERS_ONLY


def _needed(graph: Graph, features: int) -> tuple[Operator, ...]:
    """The operators that `features` depends on."""
    wanted, needed = {features}, []
    for operator in reversed(graph.operators):
        if wanted.intersection(operator.outputs):
            needed.append(operator)
            wanted.update(index for index in _read(operator) if index != ABSENT)
    written: set[int] = set()
    for operator in reversed(needed):
        for index in _read(operator):
            computed = index == ABSENT or graph.tensors[index].data is not None or index in written
            if not computed and index not in graph.inputs:
                raise graph.fault(
                    operator,
                    f"nothing has computed its input {graph.tensors[index].name!r}",
                    "convert or download the model again",
                )
        if written.intersection(operator.outputs):
            raise graph.fault(
                operator, "it writes a tensor twice", "convert or download the model again"
            )
        written.update(operator.outputs)
    return tuple(reversed(needed))


def _read(operator: Operator) -> tuple[int, ...]:
    """The tensors whose values an operator depends on."""
    return operator.inputs[:1] if operator.kind in SAME_BYTES else operator.inputs


def _sample(
    graph: Graph, operators: tuple[Operator, ...], features: int
) -> tuple[int, tuple[Operator, ...]]:
    """The tensor that a sample is, and the operators behind it."""
    read = {index for operator in operators for index in _read(operator)} | {features}
    inputs = [index for index in graph.inputs if index in read]
    if len(inputs) != 1:
        names = ", ".join(repr(graph.tensors[index].name) for index in inputs)
        raise UserError(
            f"the features depend on {len(inputs)} inputs ({names})",
            mend="use a model with one input",
            file=graph.file,
        )
    (sample,) = inputs
    readers = [operator for operator in operators if sample in operator.inputs]
    if graph.tensors[sample].type != "int8" and [one.kind for one in readers] == ["QUANTIZE"]:
        return readers[0].outputs[0], tuple(one for one in operators if one is not readers[0])
    return sample, operators


def _check_integers(graph: Graph, operators: tuple[Operator, ...]) -> None:
    """A model that computes in floats gets one answer, whatever its first operator is."""
    for operator in operators:
        types = [graph.tensors[index].type for index in operator.outputs if index != ABSENT]
        if not {"float32", "float16"}.intersection(types):
            continue
        weights = [graph.tensors[index] for index in operator.inputs if index != ABSENT]
        dynamic = any(one.type == "int8" and one.data is not None for one in weights)
        raise graph.fault(
            operator,
            "the model has int8 weights but computes in floats (dynamic-range quantisation)"
            if dynamic
            else "the model computes in floats",
            INTEGERS_ONLY,
        )

"""How two learned states differ, layer by layer; from their payloads alone (docs/store.md)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from spela_mcu.errors import UserError
from spela_mcu.fixed_point.layout import numbers_in
from spela_mcu.spec.learning import Format
from spela_mcu.store.payload import (
    LAYER,
    NETWORK,
    PENDING,
    WEIGHTS,
    Counters,
    split_sections,
)


@dataclass(frozen=True)
class Pair:
    """The same number of two states."""

    one: int
    other: int

    @property
    def is_equal(self) -> bool:
        """Whether they agree."""
        return self.one == self.other


@dataclass(frozen=True)
class LayerDifference:
    """How a layer differs.

    Attributes:
        weights: values compared, those included that only fill up rows and are always 0.
        differing: of them.
        largest: greatest magnitude of a difference, in units of the last bit.
        mean: magnitude of the differences, on average over those that differ; 0: none does.
        halvings: of each; a halving is one step of the layer's exponent.
        updates: of each, since weights were last scanned for a halving.
        pending: updates of each that are not applied yet.
        same_pending: whether these are equal.
    """

    weights: int
    differing: int
    largest: int
    mean: float
    halvings: Pair
    updates: Pair
    pending: Pair
    same_pending: bool

    @property
    def is_equal(self) -> bool:
        """Whether nothing differs that later answers depend on."""
        numbers = (self.halvings, self.updates, self.pending)
        return not self.differing and self.same_pending and all(one.is_equal for one in numbers)


@dataclass(frozen=True)
class Difference:
    """How two states of a network differ.

    Attributes:
        random: states of the generator of random numbers.
        counters: by name, as in `Counters`; later answers do not depend on them.
    """

    layers: tuple[LayerDifference, ...]
    random: Pair
    counters: dict[str, Pair]

    @property
    def is_equal(self) -> bool:
        """Whether both give the same answers for ever, whatever they learn."""
        return self.random.is_equal and all(layer.is_equal for layer in self.layers)


@dataclass
class _Layer:
    updates: int
    halvings: int
    pending: int
    weights: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    updates_kept: bytes = b""


@dataclass(frozen=True)
class _State:
    random: int
    counters: tuple[int, ...]
    layers: list[_Layer]


def difference(one: bytes, other: bytes, formats: Sequence[Format]) -> Difference:
    """Compares two payloads of the same model.

    Args:
        one: a payload.
        other: the payload that it is compared with.
        formats: of each layer's weights.

    Raises:
        UserError: one is not a payload, or they are of different models.
    """
    states = [_state(payload, formats) for payload in (one, other)]
    shapes = [[layer.weights.size for layer in state.layers] for state in states]
    if shapes[0] != shapes[1]:
        raise UserError(
            "the states are of networks of different shape", mend="compare states of one model"
        )
    names = [one.name for one in fields(Counters)]
    pairs = zip(*(state.counters for state in states), strict=True)
    return Difference(
        tuple(_layer(*pair) for pair in zip(*(state.layers for state in states), strict=True)),
        Pair(*(state.random for state in states)),
        {name: Pair(*pair) for name, pair in zip(names, pairs, strict=True)},
    )


def _layer(one: _Layer, other: _Layer) -> LayerDifference:
    by = np.abs(one.weights - other.weights)
    differing = int(np.count_nonzero(by))
    return LayerDifference(
        weights=by.size,
        differing=differing,
        largest=int(by.max(initial=0)),
        mean=float(by.sum()) / differing if differing else 0.0,
        halvings=Pair(one.halvings, other.halvings),
        updates=Pair(one.updates, other.updates),
        pending=Pair(one.pending, other.pending),
        same_pending=one.updates_kept == other.updates_kept,
    )


def _state(payload: bytes, formats: Sequence[Format]) -> _State:
    network: tuple[int, ...] | None = None
    layers: list[_Layer] = []
    try:
        for section in split_sections(payload):
            if section.tag == NETWORK:
                network = struct.unpack("<6I", section.content)
            elif section.tag == LAYER:
                layers.append(_Layer(*struct.unpack("<3I", section.content)))
            elif section.tag == WEIGHTS:
                weights = numbers_in(section.content, formats[section.index])
                layers[section.index].weights = weights
            elif section.tag == PENDING:
                layers[section.index].updates_kept = section.content
    except (struct.error, IndexError, ValueError) as error:
        raise _damaged() from error
    if network is None:
        raise _damaged()
    return _State(network[0], network[1:], layers)


def _damaged() -> UserError:
    return UserError("what is to be compared is not a learned state", mend="export it again")

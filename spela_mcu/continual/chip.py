"""SPELA as it learns a stream on the chip: the firmware's C on this machine."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spela_mcu.continual.learner import StreamOutcome, at_the_end, follow
from spela_mcu.continual.stream import Stream
from spela_mcu.data.dataset import Dataset, Split
from spela_mcu.fixed_point.layout import FORMAT_BITS
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import FixedPointPlan, float_embeddings, make_plan
from spela_mcu.host.network import HostNetwork
from spela_mcu.pipeline import completed, learning_parts, with_memory
from spela_mcu.reference.training import train
from spela_mcu.spec.model import ModelSpec


@dataclass(frozen=True, eq=False)
class ChipLearner:
    """A network in the chip's arithmetic.

    Attributes:
        steps: samples rehearsed after each experience, beyond those that the model's ratio says.
    """

    network: HostNetwork
    steps: int

    @property
    def bytes(self) -> int:
        """Weights and memory."""
        return learned_bytes(self.network.plan)

    def learn(self, samples: Split) -> None:
        """Teaches the samples once each, then rehearses."""
        self.network.partial_fit(samples.inputs, samples.y)
        if self.steps:
            self.network.rehearse(self.steps)

    def predict(self, samples: Split) -> NDArray[np.int64]:
        """Labels of the last exit, [n]."""
        return self.network.predict(samples.inputs)


def learned_bytes(plan: FixedPointPlan) -> int:
    """Bytes of a network's weights and of what it keeps to rehearse."""
    weights = sum(one.macs * FORMAT_BITS[one.format] // 8 for one in plan.matrices)
    continual = plan.continual
    return weights + (0 if continual is None else continual.kept_bytes(plan.classes, plan.inputs))


def as_the_model_says(spec: ModelSpec, stream: Stream, steps: int) -> StreamOutcome:
    """Classes to come are spare, and what the model says is rehearsed."""
    return _followed(with_spare_classes(spec, stream), stream, steps)


def without_rehearsal(spec: ModelSpec, stream: Stream, _: int) -> StreamOutcome:
    """Classes to come are spare; nothing is kept."""
    return _followed(without_memory(with_spare_classes(spec, stream)), stream, 0)


def naive(spec: ModelSpec, stream: Stream, _: int) -> StreamOutcome:
    """A network that is told nothing of a stream: all classes can be answered from the start."""
    plain = _closed(spec)
    start = _with_all_classes(stream)
    return follow(stream, ChipLearner(started(plain, start), 0), untrained(plain, start))


def jointly(spec: ModelSpec, stream: Stream, _: int) -> StreamOutcome:
    """All experiences at once, as often and in such an order as the model says: an upper bound."""
    return at_the_end(stream, ChipLearner(started(_closed(spec), stream.everything), 0))


def with_spare_classes(spec: ModelSpec, stream: Stream) -> ModelSpec:
    """The model of a device that is made when only the first experience is known."""
    spare = stream.classes - stream.start.classes
    network = spec.network.model_copy(update={"spare_classes": spare, "classes": None})
    return spec.model_copy(update={"network": network})


def without_memory(spec: ModelSpec) -> ModelSpec:
    """The model without rehearsal."""
    return spec.model_copy(
        update={"learning": spec.learning.model_copy(update={"rehearsal": None})}
    )


def without_names(spec: ModelSpec) -> ModelSpec:
    """The model without spare classes, and without the classes' names, whatever their order."""
    network = spec.network.model_copy(update={"spare_classes": 0, "classes": None})
    return spec.model_copy(update={"network": network})


def _closed(spec: ModelSpec) -> ModelSpec:
    """The model of a device that does without what streams ask for."""
    return without_memory(without_names(spec))


def _with_all_classes(stream: Stream) -> Dataset:
    return replace(stream.start, class_names=stream.everything.class_names)


def _followed(spec: ModelSpec, stream: Stream, steps: int) -> StreamOutcome:
    learner = ChipLearner(started(spec, stream.start), steps if spec.learning.rehearsal else 0)
    return follow(stream, learner, untrained(spec, stream.start))


def untrained(spec: ModelSpec, known: Dataset) -> ChipLearner:
    """A network that has learned nothing."""
    return ChipLearner(HostNetwork(make_plan(spec, known.inputs, known.classes), None), 0)


def started(spec: ModelSpec, known: Dataset) -> HostNetwork:
    """A network that knows a data set: from float training, or taught, as the model starts."""
    spec = completed(spec, known)
    if spec.learning.start == "untrained":
        network = HostNetwork(make_plan(spec, known.inputs, known.classes), None)
        for samples, labels in learning_parts(spec, known):
            network.partial_fit(samples, labels)
        return network
    embeddings = float_embeddings(spec, known.classes)
    weights = train(spec, known, embeddings, progress=False).network.matrices
    plan = make_plan(spec, known.inputs, known.classes, weights)
    return HostNetwork.of(IntegerNetwork.quantized(with_memory(plan, spec, known), weights))

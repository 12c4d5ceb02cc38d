"""SPELA's contenders: trained in float, quantised after training, or learned in integers."""

from __future__ import annotations

from dataclasses import replace

from spela_mcu.contenders.contender import Outcome
from spela_mcu.data.dataset import Dataset
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import float_embeddings, make_plan
from spela_mcu.host.network import HostNetwork
from spela_mcu.pipeline import Overrides, front_plan, learning_parts
from spela_mcu.reference.network import FloatNetwork
from spela_mcu.spec.learning import Format
from spela_mcu.spec.model import ModelSpec


def learns_from_scratch(spec: ModelSpec, dataset: Dataset) -> ModelSpec:
    """The spec of a network that starts untrained.

    The rate of a model.yaml that starts trained is meant for further learning; a network that
    starts from nothing takes the default of untrained ones, halved after each pass.
    """
    if spec.learning.start == "untrained":
        return spec
    learning = {"start": "untrained", "learning_rate": None, "halve_rate_every": len(dataset.train)}
    return spec.model_copy(update={"learning": spec.learning.model_copy(update=learning)})


def trained_in_float(spec: ModelSpec, dataset: Dataset, _: FloatNetwork | None) -> Outcome:
    """The float reference, trained in full with the spec's loss."""
    from spela_mcu.reference.training import train

    embeddings = float_embeddings(spec, dataset.classes)
    network = train(spec, dataset, embeddings, progress=False).network
    return Outcome(network.accuracy(dataset.test.x, dataset.test.y), network=network)


def trained_with_loss(
    loss: str, spec: ModelSpec, dataset: Dataset, _: FloatNetwork | None
) -> Outcome:
    """The float reference, trained in full with one of the three losses."""
    network = spec.network.model_copy(update={"loss": loss})
    return trained_in_float(spec.model_copy(update={"network": network}), dataset, None)


def quantized_network(spec: ModelSpec, dataset: Dataset, trained: FloatNetwork) -> IntegerNetwork:
    """A trained float network as int8, as a firmware would start with it."""
    weights = trained.matrices
    plan = make_plan(
        Overrides(weights="int8").apply(spec),
        dataset.inputs,
        dataset.classes,
        weights,
        dataset.taps,
    )
    return IntegerNetwork.quantized(replace(plan, front=front_plan(dataset)), weights)


def quantized_after_training(
    spec: ModelSpec, dataset: Dataset, trained: FloatNetwork | None
) -> Outcome:
    """The float reference's weights in the chip's arithmetic, int8."""
    assert trained is not None
    return Outcome(_accuracy(HostNetwork.of(quantized_network(spec, dataset, trained)), dataset))


def learned_from_scratch(
    weights: Format, spec: ModelSpec, dataset: Dataset, _: FloatNetwork | None
) -> Outcome:
    """Learned from random weights of a format, sample by sample, in the chip's arithmetic."""
    spec = learns_from_scratch(Overrides(weights=weights).apply(spec), dataset)
    network = HostNetwork(make_plan(spec, dataset.inputs, dataset.classes, taps=dataset.taps), None)
    for samples, labels in learning_parts(spec, dataset):
        network.partial_fit(samples, labels)
    return Outcome(_accuracy(network, dataset))


def _accuracy(network: HostNetwork, dataset: Dataset) -> tuple[float, ...]:
    right = network.predict_exits(dataset.test.inputs) == dataset.test.y
    return tuple(right.mean(axis=1).tolist())

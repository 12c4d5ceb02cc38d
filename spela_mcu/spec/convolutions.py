"""What a model of convolutions cannot do."""

from __future__ import annotations

from spela_mcu.errors import UserError
from spela_mcu.spec.model import ModelSpec
from spela_mcu.spec.network import Convolution


def convolution_faults(spec: ModelSpec) -> list[UserError]:
    """What stands beside a model's convolutions that they cannot do, or that they alone can."""
    network = spec.network
    if not network.has_convolutions:
        return _faults_without(spec)
    found = []
    convolves = [isinstance(layer, Convolution) for layer in network.layers]
    if not all(convolves[: sum(convolves)]):
        index = convolves.index(True, convolves.index(False))
        found.append(
            UserError(
                "a convolution needs a map, and a dense layer leaves none",
                mend="put all convolutions before the dense layers",
                key=f"network.layers[{index}].kind",
            )
        )
    if network.bias:
        found.append(
            UserError(
                "convolutions have no bias",
                mend="remove bias",
                key="network.bias",
            )
        )
    if network.backbone is not None:
        found.append(
            UserError(
                "the features of a backbone are no map for a convolution",
                mend="remove backbone, or use dense layers behind it",
                key="network.backbone",
            )
        )
    if spec.learning.batch > 1:
        found.append(
            UserError(
                f"updates of convolutions cannot be summed: a batch of {spec.learning.batch}",
                mend="remove batch: filters sum each update over all positions as it is",
                key="learning.batch",
            )
        )
    return found


def _faults_without(spec: ModelSpec) -> list[UserError]:
    """What a model without convolutions has no use for."""
    if spec.fixed_point.weights != "int12":
        return []
    return [
        UserError(
            "int12 is a format of filters, and the model has no convolutions",
            mend="set it to int8, with learning.batch against the noise of rounding, or to int16",
            key="fixed_point.weights",
        )
    ]

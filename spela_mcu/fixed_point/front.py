"""What stands before the first layer: a frozen backbone, and the scaling of its features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spela_mcu.backbone.network import run
from spela_mcu.backbone.plan import BackbonePlan
from spela_mcu.backbone.tables import BackboneStructure, backbone_structure
from spela_mcu.data.dataset import InputScaling, quantize_inputs
from spela_mcu.data.features import feature_values
from spela_mcu.data.scaling import apply_scaling
from spela_mcu.fixed_point.fields import POINTER, Field, packed, structure

FRONT_FIELDS = (
    Field("backbone", POINTER),
    Field("scalings", POINTER),
    Field("scaling_count", "uint32"),
    Field("zero_point", "int8"),
)
"""spela_front_t."""

SCALING = np.dtype([("offset", "<f4"), ("scale", "<f4")])
"""spela_scaling_t; there the same bits are uint32."""


@dataclass(frozen=True, eq=False)
class FrontPlan:
    """From a sample to the first layer's inputs, which are the backbone's features, scaled.

    Attributes:
        scaling: of features less their zero point.
    """

    backbone: BackbonePlan
    scaling: InputScaling

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the runtime that the backbone needs."""
        return backbone_structure(self.backbone).parts

    def inputs(self, samples: NDArray[np.int8]) -> NDArray[np.int8]:
        """The first layer's inputs [n, features] for samples [n, sample's inputs]."""
        values = feature_values(self.backbone, run(self.backbone, samples))
        return quantize_inputs(apply_scaling(values, self.scaling))


@dataclass(frozen=True, eq=False)
class FrontStructure:
    """What stands before the layers, as C structures.

    Attributes:
        scalars: the fields of spela_front_t that are not pointers.
        scalings: `SCALING` records: one for each feature, or a single one if all are alike.
    """

    backbone: BackboneStructure
    scalars: dict[str, int]
    scalings: NDArray[np.void]

    @property
    def flash_bytes(self) -> int:
        """Flash of all structures and tables."""
        return structure(FRONT_FIELDS).itemsize + self.scalings.nbytes + self.backbone.flash_bytes

    @property
    def content(self) -> bytes:
        """All that the model's digest depends on."""
        return packed(FRONT_FIELDS, self.scalars) + self.scalings.tobytes() + self.backbone.content


def front_structure(front: FrontPlan) -> FrontStructure:
    """The structures of what stands before the layers."""
    scalings = np.empty(len(front.scaling.scale), SCALING)
    scalings["offset"], scalings["scale"] = front.scaling.offset, front.scaling.scale
    if len(np.unique(scalings)) == 1:
        scalings = scalings[:1]
    return FrontStructure(
        backbone=backbone_structure(front.backbone),
        scalars={
            "scaling_count": len(scalings),
            "zero_point": front.backbone.features.zero_point,
        },
        scalings=scalings,
    )

"""Front ends to measure and to prove, each before a small network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spela_mcu.data.dataset import InputScaling
from spela_mcu.firmware.board import Board
from spela_mcu.firmware.build import Build
from spela_mcu.firmware.deploy import deploy
from spela_mcu.firmware.model import ModelSource, model_source
from spela_mcu.firmware.project import generate_project
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import make_plan
from spela_mcu.front_end.make import make_front_end
from spela_mcu.front_end.plan import FrontEndPlan, measured_scales
from spela_mcu.front_end.rows import features
from spela_mcu.spec.data import SklearnData
from spela_mcu.spec.front_end import FrontEnd
from spela_mcu.spec.model import ModelSpec
from spela_mcu.spec.network import Dense, Network

CLASSES = 4


@dataclass(frozen=True, eq=False)
class Case:
    """A front end.

    Attributes:
        window: readings of a sample.
        keys: of model.yaml's front_end; step: the window when absent.
    """

    title: str
    axes: int
    window: int
    rate: float
    keys: Mapping[str, Any]

    def plan(self, readings: NDArray[np.int32]) -> FrontEndPlan:
        """Its plan, with scales measured on windows of raw readings [n, window, axes]."""
        section = FrontEnd.model_validate(self.keys)
        names = tuple(f"a{index}" for index in range(self.axes))
        step = section.step or self.window
        plan = make_front_end(section, names, self.window, step=step, rate=self.rate)
        if plan.scales:
            return plan
        found = features(plan, readings).astype(np.int64)
        return replace(plan, scales=measured_scales(found, section.scale.per, 3))


def network_behind(front_end: FrontEndPlan) -> IntegerNetwork:
    """A small untrained network for a front end's samples."""
    spec = ModelSpec(
        name="benchmark",
        data=SklearnData(source="sklearn"),
        network=Network(layers=(Dense(units=8),), bias=False),
    )
    plan = make_plan(spec, front_end.inputs, CLASSES)
    return IntegerNetwork.untrained(replace(plan, front_end=front_end))


def source_of(network: IntegerNetwork) -> ModelSource:
    """The network and its front end as C."""
    scaling = InputScaling(*(np.ones(network.plan.inputs, np.float32) for _ in range(2)))
    names = tuple(map(str, range(CLASSES)))
    return model_source("benchmark", network, names, scaling, drawn=True)


def built(network: IntegerNetwork, board: Board, directory: Path) -> Build:
    """The firmware of both, by gcc."""
    return deploy(generate_project(source_of(network), board), directory, "gcc")

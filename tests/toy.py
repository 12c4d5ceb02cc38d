"""Small networks and their firmware, for tests that need a project, a build or a machine."""

import re
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from spela_mcu.data.dataset import InputScaling
from spela_mcu.firmware.board import load_board
from spela_mcu.firmware.build import build_with
from spela_mcu.firmware.directory import write_project
from spela_mcu.firmware.model import model_source
from spela_mcu.firmware.project import FirmwareProject, generate_project
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import make_plan
from spela_mcu.spec.data import SklearnData
from spela_mcu.spec.learning import Exits, FixedPoint, Learning, Rehearsal
from spela_mcu.spec.model import ModelSpec
from spela_mcu.spec.network import Dense, Network


@dataclass(frozen=True)
class Toy:
    """A network and the project generated from it; `network()` is fresh each time."""

    spec: ModelSpec
    inputs: int
    classes: int
    project: FirmwareProject
    thresholds: tuple[tuple[int, int], ...] = ()

    def network(self):
        return IntegerNetwork.untrained(
            with_thresholds(make_plan(self.spec, self.inputs, self.classes), self.thresholds)
        )


def own_headers(text):
    """The headers that a file includes, but those that not every project has."""
    parts = "BACKBONE|CONVOLUTION|INT12|CONTINUAL"
    condition = rf"#if(?:def SPELA_WITH_(?:{parts})|ndef SPELA_INFERENCE_ONLY)\n"
    text = re.sub(rf"{condition}(?:#include .*\n)+#endif\n", "", text)
    return re.findall(r'#include "([^"]+)"', text)


def with_thresholds(plan, thresholds):
    """The plan with (exit_margin, reject_cosine) of each layer; without any, as it is."""
    if not thresholds:
        return plan
    layers = tuple(
        layer.with_thresholds(exit_margin=margin, reject_cosine=cosine)
        for layer, (margin, cosine) in zip(plan.layers, thresholds, strict=True)
    )
    return replace(plan, layers=layers)


def toy_spec(
    layers=(17, 9),
    weights="int8",
    *,
    bias=False,
    name="toy",
    batch=1,
    spare=0,
    rehearsed=0,
    memory="ram",
    unknown_by=None,
):
    rehearsal = None
    if rehearsed == "means":
        rehearsal = Rehearsal(keep="means")
    elif rehearsed:
        rehearsal = Rehearsal(samples=rehearsed, memory=memory)
    return ModelSpec(
        name=name,
        data=SklearnData(source="sklearn"),
        network=Network(
            layers=tuple(Dense(units=units) for units in layers), bias=bias, spare_classes=spare
        ),
        fixed_point=FixedPoint(weights=weights),
        learning=Learning(batch=batch, rehearsal=rehearsal),
        exits=Exits(unknown_share=0.1, unknown_by=unknown_by),
    )


@lru_cache
def toy(
    board="mps2-an386",
    *,
    inputs=13,
    layers=(17, 9),
    classes=5,
    weights="int8",
    drawn=True,
    inference_only=False,
    thresholds=(),
    bias=False,
    name="toy",
    batch=1,
    store=True,
    guard=None,
    spare=0,
    rehearsed=0,
    memory="ram",
    unknown_by=None,
):
    """13-17-9 with 5 classes: no width is a multiple of four.

    Args:
        spare: further classes, that come and go.
        rehearsed: samples of a class that are kept; or "means".
        memory: where the samples are.
        unknown_by: as in model.yaml.
    """
    spec = toy_spec(
        layers,
        weights,
        bias=bias,
        name=name,
        batch=batch,
        spare=spare,
        rehearsed=rehearsed,
        memory=memory,
        unknown_by=unknown_by,
    )
    plan = with_thresholds(make_plan(spec, inputs, classes), thresholds)
    network = IntegerNetwork.untrained(plan)
    scaling = InputScaling(np.zeros(inputs, np.float32), np.ones(inputs, np.float32))
    names = tuple(f"class {index}" for index in range(plan.classes))
    model = model_source(
        spec.name, network, names, scaling, drawn=drawn, inference_only=inference_only
    )
    described = load_board(board)
    if not store:
        described = described.model_copy(update={"store": None, "rehearsal": None})
    project = generate_project(model, described, inference_only=inference_only, guard=guard)
    return Toy(spec, inputs, classes, project, thresholds)


def build_toy(toy, directory, compiler="auto", optimization=None):
    write_project(toy.project, directory)
    return build_with(directory, compiler, optimization)


RECURSE = """
uint32_t eat(uint32_t n);
uint32_t eat(uint32_t n) { volatile uint32_t a[8]; a[0] = n; return (n ? eat(n - 1) : 0) + a[0]; }
"""


class Broken:
    """A toy's project whose firmware goes wrong; only what differs is compiled anew."""

    def __init__(self, toy, directory):
        self._files = toy.project.files
        self._directory = directory
        write_project(toy.project, directory)

    def build(self, line, uart=()):
        """Builds it.

        Args:
            line: C at the start of main; it may call eat(n), which eats n stack frames.
            uart: pairs of what to replace in the UART's driver, and by what.
        """
        start = "int main(void) {\n    port_init();\n"
        main, driver = self._files["application/main.c"], self._files["port/uart.c"]
        assert start in main
        for old, new in uart:
            assert old in driver
            driver = driver.replace(old, new)
        main = main.replace(start, RECURSE + start + line + "\n")
        (self._directory / "application" / "main.c").write_text(main)
        (self._directory / "port" / "uart.c").write_text(driver)
        return build_with(self._directory, "auto", "O1")


def toy_samples(toy, n, seed=0):
    """Samples int8 [n, inputs] over the whole range, and labels [n]."""
    generator = np.random.default_rng(seed)
    x = generator.integers(-127, 128, (n, toy.inputs)).astype(np.int8)
    return x, generator.integers(0, toy.classes, n)

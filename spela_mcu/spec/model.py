"""What a model.yaml may say: the pydantic models, the first stage of the pipeline."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from spela_mcu.spec.data import Data
from spela_mcu.spec.front_end import FrontEnd
from spela_mcu.spec.learning import Exits, FixedPoint, Guard, Learning, Training
from spela_mcu.spec.network import Network
from spela_mcu.spec.section import Section


class Target(Section):
    """Where the firmware runs and how it is built."""

    board: str = Field(
        "stm32f4_discovery", description="name of a board, or path of a board file of your own"
    )
    compiler: Literal["auto", "gcc", "zig"] = Field(
        "auto", description="auto: the core's gcc (arm-none-eabi-gcc) when it is on PATH, else zig"
    )
    optimization: Literal["O0", "O1", "O2", "O3", "Os"] = Field(
        "O2", description="the compiler's optimisation level"
    )


class Verify(Section):
    """What accuracy `spela-mcu verify` accepts; integers are compared for equality regardless."""

    tolerance_points: float = Field(
        1.5,
        ge=0,
        le=100,
        description="points of accuracy the device may stand below float networks that start and "
        "learn alike; what is shown to be further below fails (docs/evaluation.md)",
    )


class ModelSpec(Section):
    """A complete model.yaml."""

    name: str = Field(
        pattern=r"^[a-z][a-z0-9_]{0,30}$",
        description="a C identifier in lower case, 31 letters at most; generated names begin so",
    )
    data: Data = Field(description="where samples and labels come from")
    front_end: FrontEnd | None = Field(
        None, description="from a sensor's raw readings to the samples, on the chip as in training"
    )
    network: Network = Field(description="the network's shape and loss")
    training: Training = Field(Training(), description="training of the float reference")
    fixed_point: FixedPoint = Field(FixedPoint(), description="number formats on the chip")
    learning: Learning = Field(Learning(), description="learning on the device")
    exits: Exits = Field(Exits(), description="early exit and rejection")
    guard: Guard = Field(Guard(), description="a way back when learning goes wrong")
    target: Target = Field(Target(), description="board and compiler")
    verify: Verify = Field(Verify(), description="what verify accepts")

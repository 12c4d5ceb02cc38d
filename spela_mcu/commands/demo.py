"""The whole job on one model: learned in one simulator, confirmed in the others."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from spela_mcu.backbone.plan import BackbonePlan
from spela_mcu.commands.verify import Verification, verify
from spela_mcu.device.device import Device
from spela_mcu.firmware.build import Build
from spela_mcu.pipeline import Prepared
from spela_mcu.progress import Progress, silent
from spela_mcu.proof.equality import Probes, compare_inference, compare_learning
from spela_mcu.proof.tflm import TflmComparison, compare_with_tflm, why_not_compared
from spela_mcu.simulators.base import Simulator
from spela_mcu.simulators.choice import simulator_named

CURVE_POINTS = 12

CONFIRMED_STEPS, CONFIRMED_SAMPLES = 20, 10
"""Samples learned and inferred in each other simulator, and compared alike."""

TFLM_SAMPLES = 20
"""Test samples whose features are compared with TensorFlow Lite Micro's."""


@dataclass(frozen=True)
class Confirmation:
    """The same build in another simulator.

    Attributes:
        steps, samples: learned and inferred; every learned state and every score compared.
        difference: the first one, in words; None if there is none.
    """

    simulator: str
    steps: int
    samples: int
    difference: str | None


@dataclass(frozen=True)
class Demo:
    """What the whole job gave.

    Attributes:
        verification: of the simulator in which the device learned.
        confirmations: of the other ones.
        tflm: of a backbone; None if there is none, or if it was not compared.
        tflm_absent: why it was not; empty if it was, or if there is no backbone.
    """

    verification: Verification
    confirmations: tuple[Confirmation, ...]
    tflm: TflmComparison | None
    tflm_absent: str

    @property
    def backbone(self) -> BackbonePlan | None:
        """The frozen network in front of the layers, if there is one."""
        return self.verification.prepared.dataset.backbone

    @property
    def passed(self) -> bool:
        """Whether nothing differs, and the device is not shown to be below float."""
        confirmed = all(one.difference is None for one in self.confirmations)
        as_tflm = self.tflm is None or self.tflm.differing == 0
        return self.verification.passed and confirmed and as_tflm

    def to_json(self) -> dict[str, object]:
        """The summary as plain data."""
        return {
            **self.verification.to_json(),
            "passed": self.passed,
            "confirmations": [asdict(one) for one in self.confirmations],
            "tflm": None if self.tflm is None else asdict(self.tflm),
            "learning_curve": [
                {"steps": point.steps, "accuracy": point.accuracy}
                for point in self.verification.curve
            ],
        }


def demo(
    prepared: Prepared,
    build: Build,
    simulator: Simulator,
    others: tuple[Simulator, ...],
    progress: Progress = silent,
) -> Demo:
    """Has a build learn what model.yaml says, and proves it.

    Args:
        prepared: the model.
        build: its firmware.
        simulator: the device learns there.
        others: in each of these it learns and infers a little as well.
        progress: told how far the work is.

    Raises:
        SimulationError: the firmware faults or hangs.
    """
    steps = prepared.spec.learning.epochs * len(prepared.dataset.train)
    found = verify(
        prepared, build, simulator, learn_steps=steps, checkpoints=CURVE_POINTS, progress=progress
    )
    confirmations = []
    for number, other in enumerate(others):
        progress("other simulators", number, len(others))
        confirmations.append(_confirmed(prepared, build, other))
    tflm, absent = _compared_with_tflm(prepared)
    return Demo(found, tuple(confirmations), tflm, absent)


def other_simulators(prepared: Prepared, simulator: Simulator) -> tuple[Simulator, ...]:
    """Those that are installed and know the board, besides one."""
    board = prepared.board
    known = [simulator_named(name, board.family) for name in board.simulators.names]
    return tuple(one for one in known if one.name != simulator.name and one.is_installed())


def _confirmed(prepared: Prepared, build: Build, simulator: Simulator) -> Confirmation:
    probes, reference = Probes.of(prepared.test_samples(CONFIRMED_SAMPLES)), prepared.network()
    stream = prepared.learning_samples(CONFIRMED_STEPS)
    with simulator.start(build) as machine:
        device = Device(machine)
        learning = compare_learning(reference, device, stream)
        inference = compare_inference(reference, device, probes)
    difference = learning.difference or inference.difference
    return Confirmation(
        str(simulator),
        learning.steps,
        len(probes),
        None if difference is None else str(difference),
    )


def _compared_with_tflm(prepared: Prepared) -> tuple[TflmComparison | None, str]:
    file, backbone = prepared.spec.network.backbone, prepared.dataset.backbone
    extracted = prepared.test_samples(TFLM_SAMPLES).extracted
    if file is None or backbone is None or extracted is None:
        return None, ""
    absent = why_not_compared(file)
    if absent:
        return None, absent
    found = compare_with_tflm(file, backbone, extracted.samples, extracted.features)
    return found, "" if found else "it does not run the .tflite"

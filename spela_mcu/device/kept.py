"""What a device keeps beside its network's state: settings, names and figures (docs/protocol.md).

As kept_t of firmware/application/application.h, which is saved in flash as it lies in RAM.
"""

from __future__ import annotations

import struct
from dataclasses import astuple, dataclass, field, replace
from typing import Self

from spela_mcu.device.answers import NAME_BYTES, ClassFigures, Rate, Thresholds
from spela_mcu.errors import UserError
from spela_mcu.fixed_point.early_exit import UNKNOWN
from spela_mcu.fixed_point.layer_state import COUNTER_MAX
from spela_mcu.fixed_point.layout import rounded_up
from spela_mcu.fixed_point.plan import FixedPointPlan

NO_BASELINE = 0xFFFF
RECENT_SHIFT = 4
"""A new margin counts a sixteenth in `ClassFigures.recent`."""

_CLASS = struct.Struct("<qIIIi")
_LAYER = struct.Struct("<Hhhh")
_REST = struct.Struct("<IHHHBB")


@dataclass
class Kept:
    """Settings, names and figures.

    Attributes:
        classes: figures of each class.
        rates, thresholds: of each layer as the chip numbers them; filters have no thresholds.
        unknown: samples answered as unknown.
        baseline: of the guard.
        guard: the guard that it is of, `GuardSamples.tag`; 0: none.
        since_look: samples learned since the guard last looked.
        times_back: that the guard went back.
        names: of each class, NAME_BYTES filled up with zeros.
    """

    classes: list[ClassFigures]
    rates: list[Rate]
    thresholds: list[Thresholds]
    names: list[bytes]
    unknown: int = 0
    baseline: int = NO_BASELINE
    since_look: int = 0
    times_back: int = 0
    is_frozen: bool = field(default=False)
    guard: int = 0

    @classmethod
    def of(cls, plan: FixedPointPlan) -> Self:
        """What leaves the factory."""
        thresholds = [Thresholds(0, 0)] * len(plan.matrices)
        for index, layer in enumerate(plan.layers):
            own = Thresholds(layer.exit.exit_margin, layer.exit.reject_cosine)
            thresholds[plan.matrix_index(index)] = own
        return cls(
            [ClassFigures(0, 0, 0, 0, 0)] * plan.classes,
            [Rate(one.learner.rate_mantissa, one.learner.rate_shift) for one in plan.matrices],
            thresholds,
            [bytes(NAME_BYTES)] * plan.classes,
        )

    def applied(self, plan: FixedPointPlan) -> FixedPointPlan:
        """The plan with these rates and thresholds: a network of it computes as the device."""
        plan = plan.with_learners(
            replace(matrix.learner, rate_mantissa=rate.mantissa, rate_shift=rate.shift)
            for matrix, rate in zip(plan.matrices, self.rates, strict=True)
        )
        limits = [self.thresholds[plan.matrix_index(index)] for index in range(len(plan.layers))]
        layers = tuple(
            layer.with_thresholds(exit_margin=limit.exit_margin, reject_cosine=limit.reject_cosine)
            for layer, limit in zip(plan.layers, limits, strict=True)
        )
        return replace(plan, layers=layers)

    def count_answer(self, label: int, margin: int) -> None:
        """Counts a sample that the network answered."""
        if label == UNKNOWN:
            self.unknown = _counted(self.unknown)
            return
        old = self.classes[label]
        if old.answered == COUNTER_MAX:
            return
        scaled = margin << 16
        recent = scaled
        if old.answered:
            half = 1 << (RECENT_SHIFT - 1)
            recent = old.recent + ((scaled - old.recent + half) >> RECENT_SHIFT)
        self.classes[label] = replace(
            old, margins=old.margins + margin, answered=old.answered + 1, recent=recent
        )

    def count_learned(self, label: int, *, is_right: bool) -> None:
        """Counts a sample that was learned."""
        old = self.classes[label]
        self.classes[label] = replace(
            old,
            learned=_counted(old.learned),
            right=_counted(old.right) if is_right else old.right,
        )

    def to_bytes(self) -> bytes:
        """As it is saved with a state."""
        rest = _REST.pack(
            self.unknown,
            self.baseline,
            self.since_look,
            self.times_back,
            self.is_frozen,
            self.guard,
        )
        content = (
            b"".join(_CLASS.pack(*astuple(one)) for one in self.classes)
            + b"".join(
                _LAYER.pack(*astuple(rate), *astuple(limit))
                for rate, limit in zip(self.rates, self.thresholds, strict=True)
            )
            + rest
            + b"".join(self.names)
        )
        return content.ljust(rounded_up(len(content), 8), b"\0")

    @classmethod
    def from_bytes(cls, plan: FixedPointPlan, content: bytes) -> Self:
        """What a state was saved with.

        Raises:
            UserError: it has another size than a device of this plan saves.
        """
        kept = cls.of(plan)
        if len(content) != len(kept.to_bytes()):
            raise UserError(
                f"the state's settings and figures are {len(content)} bytes, and a device of this "
                f"model has {len(kept.to_bytes())}",
                mend="read it with the version and model that wrote it",
            )
        at = 0
        for index in range(plan.classes):
            kept.classes[index] = ClassFigures(*_CLASS.unpack_from(content, at))
            at += _CLASS.size
        for index in range(len(plan.matrices)):
            mantissa, shift, margin, cosine = _LAYER.unpack_from(content, at)
            kept.rates[index] = Rate(mantissa, shift)
            kept.thresholds[index] = Thresholds(margin, cosine)
            at += _LAYER.size
        unknown, baseline, since, back, frozen, guard = _REST.unpack_from(content, at)
        kept.unknown, kept.baseline, kept.since_look = unknown, baseline, since
        kept.times_back, kept.is_frozen, kept.guard = back, bool(frozen), guard
        at += _REST.size
        for index in range(plan.classes):
            kept.names[index] = content[at : at + NAME_BYTES]
            at += NAME_BYTES
        return kept


def _counted(counter: int) -> int:
    return min(counter + 1, COUNTER_MAX)

"""Classes of a device that come and go, by the names that people know them by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from spela_mcu.commands.device import Session
from spela_mcu.commands.device_samples import Stream
from spela_mcu.commands.device_tables import Sample
from spela_mcu.device.answers import KnownClass
from spela_mcu.device.device import Device
from spela_mcu.device.protocol import DeviceError, Status
from spela_mcu.errors import UserError
from spela_mcu.progress import Progress


def known_classes(device: Device) -> tuple[KnownClass, ...]:
    """What a device knows of its classes.

    Raises:
        UserError: its classes stay as they are.
    """
    try:
        return device.classes()
    except DeviceError as error:
        if error.status != Status.UNKNOWN:
            raise
        raise UserError(
            "the device's classes stay as they are",
            mend="set network.spare_classes or learning.rehearsal in its model.yaml, generate, "
            "build and flash",
        ) from error


def label_of(names: Sequence[str], classes: Sequence[KnownClass], name: str) -> int | None:
    """The label of an active class by its name; None: no active class has it."""
    for label, (known, own) in enumerate(zip(classes, names, strict=True)):
        if known.is_active and own == name:
            return label
    return None


def label_to_teach(session: Session, name: str) -> int:
    """The label of a class, which is added if the device has none of this name.

    Raises:
        UserError: its classes stay as they are, none is spare, or it cannot have this name.
    """
    classes = known_classes(session.device)
    label = label_of(session.class_names, classes, name)
    if label is not None:
        return label
    if all(one.is_active for one in classes):
        raise UserError(
            f'the device knows no class "{name}", and none of its {len(classes)} is spare',
            mend="let it forget one, or generate the model with more spare_classes",
        )
    return session.device.add_class(name)


def label_to_forget(session: Session, name: str) -> int:
    """The label of an active class.

    Raises:
        UserError: no class has this name.
    """
    classes = known_classes(session.device)
    label = label_of(session.class_names, classes, name)
    if label is None:
        active = [own for own, one in zip(session.class_names, classes, strict=True)
                  if one.is_active]  # fmt: skip
        raise UserError(
            f'the device knows no class "{name}"', mend=f"it knows {', '.join(active) or 'none'}"
        )
    return label


def relabelled(stream: Stream, label: int) -> Stream:
    """The same samples, all of one class."""

    def samples() -> Iterator[Sample]:
        for sample in stream.samples:
            yield Sample(sample.x, label)

    return Stream(samples(), stream.total)


def rehearse(device: Device, steps: int, progress: Progress) -> None:
    """Has a device learn samples of its memory again.

    Raises:
        UserError: its memory is empty, or its classes stay as they are.
    """
    if not any(one.seen for one in known_classes(device)):
        raise UserError(
            "the device has nothing to rehearse",
            mend="teach it something; a model.yaml needs learning.rehearsal",
        )
    device.rehearse(steps, lambda done, total: progress("rehearsing", done, total))

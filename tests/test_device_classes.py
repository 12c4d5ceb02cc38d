"""Classes of a device by their names: what `spela-mcu device` does about them."""

import pytest
from toy import toy, toy_samples

from spela_mcu.commands.device import Known, Session
from spela_mcu.commands.device_classes import (
    known_classes,
    label_to_forget,
    label_to_teach,
    rehearse,
    relabelled,
)
from spela_mcu.commands.device_samples import Stream
from spela_mcu.commands.device_tables import Sample
from spela_mcu.device.device import Device
from spela_mcu.device.twin import Twin
from spela_mcu.errors import UserError
from spela_mcu.progress import silent

CASE = toy(classes=3, spare=1, rehearsed=4)
FIXED = toy()


def session(case=CASE, twin=None):
    device = Device(twin or Twin(case.network(), case.project.model))
    return Session(device, device.info(), Known(None, None))


def test_a_class_is_added_by_its_name_and_forgotten():
    twin = Twin(CASE.network(), CASE.project.model)
    device = session(twin=twin).device
    assert label_to_teach(session(twin=twin), "1") == 1
    assert label_to_teach(session(twin=twin), "lamp") == 3
    assert label_to_teach(session(twin=twin), "lamp") == 3  # it is known now
    x, _ = toy_samples(CASE, 6)
    stream = relabelled(Stream((Sample(sample, None) for sample in x), len(x)), 3)
    for sample in stream.samples:
        device.learn(sample.x, sample.label)
    assert [one.seen for one in known_classes(device)] == [0, 0, 0, 6]
    done = []
    rehearse(device, 40, lambda what, at, total: done.append(at))
    assert done == [16, 32, 40]
    assert isinstance(device.ask(x[0]).wants_label, bool)

    with pytest.raises(UserError, match='knows no class "fan", and none of its 4 is spare'):
        label_to_teach(session(twin=twin), "fan")
    with pytest.raises(UserError, match='knows no class "fan"') as refused:
        label_to_forget(session(twin=twin), "fan")
    assert "it knows 0, 1, 2, lamp" in str(refused.value)
    device.forget(label_to_forget(session(twin=twin), "lamp"))
    assert device.name(3) is None
    assert not known_classes(device)[3].is_active
    assert device.statistics().classes[3].learned == 0


def test_what_there_is_not_is_refused():
    with pytest.raises(UserError, match="nothing to rehearse"):
        rehearse(session().device, 4, silent)
    with pytest.raises(UserError, match="classes stay as they are"):
        label_to_teach(session(FIXED), "lamp")
    with pytest.raises(UserError, match="cannot be named"):
        label_to_teach(session(), "a name that is far too long")

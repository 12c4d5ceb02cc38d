"""A device in Python: docs/protocol.md once more, with the integer network in place of the chip's.

What it answers to any stream of frames is, in every bit, what the firmware answers. Tests compare
the two; a host can be tried on it without a simulator.

Its modules are those of firmware/application/.
"""

from spela_mcu.device.twin.application import Flash, State
from spela_mcu.device.twin.protocol import Twin

__all__ = ["Flash", "State", "Twin"]

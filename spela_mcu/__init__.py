"""spela-mcu: networks that keep learning on a microcontroller.

The names below are those that docs/python.md describes. Each is imported when first used, so that
the command line does not wait for what it does not need.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spela_mcu.data.dataset import Dataset, quantize_inputs
    from spela_mcu.data.load import load_dataset
    from spela_mcu.device.device import Device
    from spela_mcu.errors import UserError
    from spela_mcu.fixed_point.network import IntegerNetwork
    from spela_mcu.host.network import HostNetwork
    from spela_mcu.pipeline import Overrides, Prepared, prepare
    from spela_mcu.reference.network import FloatNetwork
    from spela_mcu.simulators.choice import find_simulator
    from spela_mcu.spec.load import load_spec
    from spela_mcu.store.export import export_state, import_state

__version__ = "0.1.0"

_HOMES = {
    "Dataset": "data.dataset",
    "Device": "device.device",
    "FloatNetwork": "reference.network",
    "HostNetwork": "host.network",
    "IntegerNetwork": "fixed_point.network",
    "Overrides": "pipeline",
    "Prepared": "pipeline",
    "UserError": "errors",
    "export_state": "store.export",
    "find_simulator": "simulators.choice",
    "import_state": "store.export",
    "load_dataset": "data.load",
    "load_spec": "spec.load",
    "prepare": "pipeline",
    "quantize_inputs": "data.dataset",
}

__all__ = [
    "Dataset",
    "Device",
    "FloatNetwork",
    "HostNetwork",
    "IntegerNetwork",
    "Overrides",
    "Prepared",
    "UserError",
    "__version__",
    "export_state",
    "find_simulator",
    "import_state",
    "load_dataset",
    "load_spec",
    "prepare",
    "quantize_inputs",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

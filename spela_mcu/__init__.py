"""spela-mcu: networks that keep learning on a microcontroller."""

__version__ = "0.1.0"

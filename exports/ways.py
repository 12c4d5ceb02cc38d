"""All ways, in the order in which they are shown."""

from __future__ import annotations

from exports import (
    arduino_ways,
    cmake_ways,
    esp_idf_ways,
    firmware_ways,
    micropython_ways,
    platformio_ways,
    zephyr_ways,
)

WAYS = (
    *firmware_ways.WAYS,
    *cmake_ways.WAYS,
    *arduino_ways.WAYS,
    *platformio_ways.WAYS,
    *zephyr_ways.WAYS,
    *esp_idf_ways.WAYS,
    *micropython_ways.WAYS,
)

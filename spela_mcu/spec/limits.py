"""Bounds that several sections of a model.yaml share."""

MAX_CLASSES = 256
MAX_INPUTS = 65535

UINT16_MAX = 2**16 - 1
UINT32_MAX = 2**32 - 1
"""Limit of seeds and sample counts: the chip holds them in 32 bits."""

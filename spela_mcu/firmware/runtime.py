"""The part of the runtime that a model needs: folders, and macros that leave out the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from spela_mcu.backbone.tables import TAPS
from spela_mcu.spec.learning import Format

BACKBONE_DIRECTORY: Final = "backbone"
CONVOLUTION_DIRECTORY: Final = "convolution"
FRONT_END_DIRECTORY: Final = "front_end"
CONTINUAL_DIRECTORY: Final = "continual"
STORE_DIRECTORY: Final = "store"
INFERENCE_ONLY_DEFINE: Final = "SPELA_INFERENCE_ONLY"
SINGLE_UPDATES_DEFINE: Final = "SPELA_SINGLE_UPDATES"
WIDTH_DEFINES: Final[dict[Format, str]] = {
    "int8": "SPELA_INT8_ONLY",
    "int12": "SPELA_INT8_ONLY",
    "int16": "SPELA_INT16_ONLY",
}
"""Macros that leave out the kernels for weights of the other width; int12 answers as int8 does."""

INT12_DEFINE: Final = "SPELA_WITH_INT12"

CONVOLUTION_DEFINE: Final = "SPELA_WITH_CONVOLUTION"
CONTINUAL_DEFINE: Final = "SPELA_WITH_CONTINUAL"
MEANS_DEFINE: Final = "SPELA_WITH_MEANS"
MEMORY_IN_FLASH_DEFINE: Final = "SPELA_WITH_MEMORY_IN_FLASH"
SOFTMAX_DEFINE: Final = "SPELA_WITH_SOFTMAX"
BACKBONE_DEFINE: Final = "SPELA_WITH_BACKBONE"
TAPS_DEFINE: Final = "SPELA_WITH_TAPS"
PART_DEFINES: Final = {
    "convolution": "SPELA_NO_CONVOLUTION",
    "depthwise": "SPELA_NO_DEPTHWISE",
    "pools": "SPELA_NO_POOL",
    "elementwise": "SPELA_NO_ELEMENTWISE",
    "padding": "SPELA_NO_PAD",
}
"""Macros that leave out kinds of a backbone's operators, by the part of the runtime."""

FRONT_END_DEFINE: Final = "SPELA_WITH_FRONT_END"
FRONT_END_DEFINES: Final = {
    "statistics": "SPELA_NO_STATISTICS",
    "spectrum": "SPELA_NO_SPECTRUM",
}
"""Macros that leave out kinds of a front end's rows, by the part of the runtime."""


def runtime_directories(
    backbone_parts: Sequence[str] = (),
    *,
    inference_only: bool,
    has_convolutions: bool = False,
    front_end_parts: Sequence[str] = (),
    is_continual: bool = False,
) -> tuple[str, ...]:
    """The directories of a library's C, here as in firmware/, but for the model's, the first.

    Args:
        backbone_parts: see `runtime_defines`.
        inference_only: nothing is learned, and so nothing is kept in flash.
        has_convolutions: see `runtime_defines`.
        front_end_parts: see `runtime_defines`.
        is_continual: see `runtime_defines`.
    """
    return (
        "model",
        "spela",
        *(() if inference_only else (STORE_DIRECTORY,)),
        *((BACKBONE_DIRECTORY,) if backbone_parts else ()),
        *((CONVOLUTION_DIRECTORY,) if has_convolutions else ()),
        *((FRONT_END_DIRECTORY,) if front_end_parts else ()),
        *((CONTINUAL_DIRECTORY,) if is_continual else ()),
    )


def runtime_defines(
    weights: Format,
    batch: int = 1,
    backbone_parts: Sequence[str] = (),
    *,
    has_convolutions: bool = False,
    front_end_parts: Sequence[str] = (),
    is_continual: bool = False,
    keeps_means: bool = False,
    has_memory_in_flash: bool = False,
    has_softmax: bool = False,
    inference_only: bool,
) -> tuple[str, ...]:
    """Macros for compiling the runtime and everything that includes its headers.

    Args:
        weights: the format of the model's weights.
        batch: updates of a layer that the model sums; for 1, sums are left out.
        backbone_parts: of the runtime, that a backbone needs; without any there is none.
        has_convolutions: whether some of the layers that learn are convolutions.
        front_end_parts: of the runtime, that a front end needs; without any there is none.
        is_continual: whether classes come and go.
        keeps_means: whether means of such classes are kept, not samples.
        has_memory_in_flash: whether samples that are rehearsed lie in flash.
        has_softmax: whether the loss is softmax.
        inference_only: the learning runtime is left out.
    """
    defines = [WIDTH_DEFINES[weights]]
    if inference_only:
        defines.append(INFERENCE_ONLY_DEFINE)
    elif batch == 1:
        defines.append(SINGLE_UPDATES_DEFINE)
    if has_convolutions:
        defines.append(CONVOLUTION_DEFINE)
    if is_continual:
        defines.append(CONTINUAL_DEFINE)
    if keeps_means:
        defines.append(MEANS_DEFINE)
    if has_memory_in_flash:
        defines.append(MEMORY_IN_FLASH_DEFINE)
    if has_softmax and not inference_only:
        defines.append(SOFTMAX_DEFINE)
    if weights == "int12" and not inference_only:
        defines.append(INT12_DEFINE)
    if backbone_parts:
        defines.append(BACKBONE_DEFINE)
        defines += [TAPS_DEFINE] if TAPS in backbone_parts else []
        defines += [macro for part, macro in PART_DEFINES.items() if part not in backbone_parts]
    if front_end_parts:
        defines.append(FRONT_END_DEFINE)
        defines += [
            macro for part, macro in FRONT_END_DEFINES.items() if part not in front_end_parts
        ]
    return tuple(defines)

"""A package of CMake: to be installed and found, fetched, or added as a subdirectory."""

from __future__ import annotations

from spela_mcu import __version__
from spela_mcu.backbone.tables import TAPS
from spela_mcu.firmware.runtime import (
    BACKBONE_DIRECTORY,
    CONTINUAL_DIRECTORY,
    CONVOLUTION_DIRECTORY,
    FRONT_END_DEFINES,
    FRONT_END_DIRECTORY,
    PART_DEFINES,
    STORE_DIRECTORY,
    runtime_directories,
)
from spela_mcu.firmware.templates import render
from spela_mcu.firmware.toolchain import Optimization
from spela_mcu.fixed_point.plan import dense_format
from spela_mcu.forms.library import Library


def cmake_files(library: Library, optimization: Optimization = "O2") -> dict[str, str]:
    """The library's files, and how CMake builds, exports and installs them.

    Args:
        library: what is packaged.
        optimization: the level at which it is compiled unless its user says another.
    """
    model = library.model
    directories = runtime_directories(
        model.backbone_parts,
        has_convolutions=model.has_convolutions,
        front_end_parts=model.front_end_parts,
        is_continual=model.is_continual,
        inference_only=library.inference_only,
    )
    targets = [f"{model.name}_model", "spela_runtime"]
    targets += ["spela_backbone"] * (BACKBONE_DIRECTORY in directories)
    targets += ["spela_front_end"] * (FRONT_END_DIRECTORY in directories)
    targets += ["spela_store"] * (STORE_DIRECTORY in directories)
    text = render(
        "cmake/CMakeLists.txt.j2",
        library=library,
        optimization=optimization,
        version=__version__,
        directories=directories,
        targets=targets,
        needs=_needs(library),
        part_defines=PART_DEFINES,
        model_sources=library.sources("model"),
        runtime_sources=library.sources("spela"),
        convolution_sources=library.sources(CONVOLUTION_DIRECTORY),
        continual_sources=library.sources(CONTINUAL_DIRECTORY),
        backbone_sources=library.sources(BACKBONE_DIRECTORY),
        front_end_defines=FRONT_END_DEFINES,
        front_end_sources=library.sources(FRONT_END_DIRECTORY),
        store_sources=library.sources(STORE_DIRECTORY),
    )
    return {**library.files, "CMakeLists.txt": text}


def _needs(library: Library) -> tuple[str, ...]:
    """What the model needs of the runtime, in the words of CMakeLists.txt."""
    model = library.model
    needs: list[str] = [dense_format(model.weights)]
    if not library.inference_only:
        needs += ["learning", *(("batches",) if model.batch > 1 else ())]
        needs += ["softmax"] if model.has_softmax else []
        needs += ["int12"] if model.weights == "int12" else []
    needs += ["backbone"] if model.backbone_parts else []
    needs += [TAPS] if TAPS in model.backbone_parts else []
    needs += ["convolution"] if model.has_convolutions else []
    needs += ["continual"] if model.is_continual else []
    needs += ["means"] if model.keeps_means else []
    needs += ["memory_in_flash"] if model.memory_in_flash is not None else []
    return tuple(needs)

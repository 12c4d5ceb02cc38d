"""From a model to a library in the form of an ecosystem, ready to be written."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spela_mcu.errors import UserError
from spela_mcu.firmware.manifest import MANIFEST, LibraryForm, ownership_text
from spela_mcu.firmware.model import ModelSource
from spela_mcu.firmware.templates import render
from spela_mcu.firmware.toolchain import Optimization
from spela_mcu.forms.arduino import arduino_files
from spela_mcu.forms.cmake import cmake_files
from spela_mcu.forms.esp_idf import esp_idf_files
from spela_mcu.forms.form import Form
from spela_mcu.forms.library import make_library
from spela_mcu.forms.micropython import micropython_files
from spela_mcu.forms.zephyr import zephyr_files

OWN_FLASH = ("cmake",)
"""Forms whose users write the firmware around them, and say where its flash is."""


def make_form(
    form: LibraryForm,
    model: ModelSource,
    samples: tuple[NDArray[np.int8], NDArray[np.int64]],
    *,
    optimization: Optimization = "O2",
    inference_only: bool = False,
) -> Form:
    """Generates a library; equal arguments give equal bytes.

    Args:
        form: the ecosystem.
        model: the model's C source, generated for inference only if `inference_only` is set.
        samples: samples int8 [n, inputs] and labels [n], for examples.
        optimization: the compiler's default level, in forms that choose one.
        inference_only: leave the learning runtime out.

    Raises:
        UserError: the ecosystem does not allow what the model is called, or its form has no flash
            for samples that are rehearsed.
    """
    if model.memory_in_flash is not None and form not in OWN_FLASH:
        raise UserError(
            f"the form {form} has no flash for the samples that are rehearsed",
            mend="keep them in RAM (learning.rehearsal.memory: ram), or generate --as cmake and "
            "say where the flash is",
            key="learning.rehearsal.memory",
        )
    library = make_library(model, inference_only=inference_only)
    match form:
        case "cmake":
            files = cmake_files(library, optimization)
            files["README.md"] = render("cmake/README.md.j2", library=library)
        case "arduino":
            files = arduino_files(library, samples)
        case "esp-idf":
            files = esp_idf_files(library)
        case "micropython":
            files = micropython_files(library)
        case "zephyr":
            files = zephyr_files(library)
    files[MANIFEST] = ownership_text(form, files)
    return Form(form, model, inference_only, dict(sorted(files.items())))

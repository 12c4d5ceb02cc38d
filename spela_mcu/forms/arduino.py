"""A library for Arduino, which PlatformIO takes as well."""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray

from spela_mcu import __version__
from spela_mcu.errors import UserError
from spela_mcu.firmware.literals import number_lines
from spela_mcu.firmware.templates import render
from spela_mcu.forms.flat import flat_sources
from spela_mcu.forms.library import LICENCE, Library

ARCHITECTURES = (
    *("apollo3", "esp32", "esp8266", "mbed", "mbed_edge", "mbed_giga", "mbed_nano", "mbed_nicla"),
    *("mbed_opta", "mbed_portenta", "mbed_rp2040", "nrf52", "renesas_portenta", "renesas_uno"),
    *("rp2040", "sam", "samd", "silabs", "stm32", "zephyr"),
)
"""Cores of processors of 32 bits. AVR's int has 16, in which the arithmetic does not fit."""

EXAMPLES = ("classify", "benchmark")
LEARNING_EXAMPLES = ("learn_from_button", "save")
SAMPLES_SHOWN = 4
"""Samples that the example ``classify`` holds at most."""


def arduino_files(
    library: Library, samples: tuple[NDArray[np.int8], NDArray[np.int64]]
) -> dict[str, str]:
    """A library of one flat directory of sources, four examples, and the two registries' metadata.

    Args:
        library: what is packaged.
        samples: samples int8 [n, inputs] and labels [n] for the example that classifies.

    Raises:
        UserError: the model's name is one that a library cannot have.
    """
    name = library.model.name
    if name.startswith("arduino"):
        raise UserError(
            "the name of a library must not begin with arduino",
            mend="give the model another name",
            key="name",
        )
    learns = not library.inference_only
    x, y = (part[:SAMPLES_SHOWN] for part in samples)
    names: dict[str, object] = {
        "library": library,
        "name": name,
        "macro": library.macro_prefix,
        "class_name": class_name(name),
        "version": __version__,
        "learns": learns,
        "has_quantizer": bool(library.model.quantizer),
        "has_front_end": bool(library.model.front_end),
        "samples": tuple(number_lines(row) for row in x),
        "labels": y.tolist(),
        "architectures": ARCHITECTURES,
        "sentence": _sentence(library),
        "examples": (*EXAMPLES, *LEARNING_EXAMPLES) if learns else EXAMPLES,
    }
    rendered = {
        f"src/{names['class_name']}.h": "class.h.j2",
        "library.properties": "library.properties.j2",
        "keywords.txt": "keywords.txt.j2",
        "README.md": "README.md.j2",
        "examples/classify/classify.ino": "classify.ino.j2",
        "examples/classify/samples.h": "samples.h.j2",
        "examples/benchmark/benchmark.ino": "benchmark.ino.j2",
    }
    if learns:
        rendered |= {
            "src/spela_eeprom.h": "spela_eeprom.h",
            **{f"examples/{one}/{one}.ino": f"{one}.ino.j2" for one in LEARNING_EXAMPLES},
        }
    return {
        **{f"src/{file}": text for file, text in flat_sources(library).items()},
        **{path: render(f"arduino/{template}", **names) for path, template in rendered.items()},
        "library.json": _library_json(library),
        LICENCE: library.files[LICENCE],
    }


def class_name(name: str) -> str:
    """The class of a model, in CamelCase."""
    return "".join(part.capitalize() for part in name.split("_")) + "Network"


def _library_json(library: Library) -> str:
    """PlatformIO's manifest. It names no platforms, which are a filter: the headers refuse AVR."""
    name = class_name(library.model.name)
    manifest = {
        "name": name,
        "version": __version__,
        "description": _sentence(library),
        "keywords": ["machine learning", "tinyml", "on-device learning"],
        "license": "Apache-2.0",
        "authors": [{"name": "spela-mcu"}],
        "headers": f"{name}.h",
        "frameworks": "*",
        "platforms": "*",
        "build": {"srcDir": "src", "includeDir": "src"},
    }
    return json.dumps(manifest, indent=2) + "\n"


def _sentence(library: Library) -> str:
    model = library.model
    does = "infers" if library.inference_only else "infers and learns on the chip"
    return (
        f"A network of {model.inputs} inputs and {model.classes} classes that {does}, in integers."
    )

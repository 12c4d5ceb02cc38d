"""Libraries whose ecosystems no registry has: against schema, Kconfig and declarations."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from toy import toy, toy_samples

from exports.way import DATA
from exports.zephyr_ways import configure
from spela_mcu.firmware.board import load_board
from spela_mcu.firmware.directory import write_project
from spela_mcu.forms.make import make_form

MODELS = {
    "learning": toy(),
    "inference only": toy(drawn=False, inference_only=True),
    "int16, summed": toy(weights="int16", batch=3, bias=True),
    "continual": toy(spare=2, rehearsed=3),
}
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not on PATH")


def written(form, case, directory):
    """The library's directory."""
    project = case.project
    made = make_form(
        form, project.model, toy_samples(case, 2), inference_only=project.inference_only
    )
    write_project(made, directory)
    return directory


def compile_without_linking(directory, text_or_file, *includes, name="program.c"):
    file = text_or_file
    if isinstance(text_or_file, str):
        file = directory / name
        file.write_text(text_or_file)
    flags = [f"-I{include}" for include in includes]
    command = ["gcc", *STRICT, *flags, "-fsyntax-only", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# ------------------------------------------------------------------------------ Zephyr


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Build(Part):
    cmake: str
    kconfig: str
    depends: list[str] = []


class Module(Part):
    """zephyr/module.yml, as far as a library uses Zephyr's scripts/zephyr_module.py."""

    name: str = Field(pattern=r"^[a-z0-9_-]+$")
    build: Build
    samples: list[str] = []
    tests: list[str] = []


class Harness(Part):
    type: str = Field(pattern=r"^(one_line|multi_line)$")
    ordered: bool = True
    regex: list[str] = Field(min_length=1)


class Common(Part):
    tags: str
    harness: str = Field(pattern=r"^console$")
    harness_config: Harness


class Scenario(Part):
    min_ram: int = Field(gt=0)
    min_flash: int = Field(gt=0)
    integration_platforms: list[str]


class Info(Part):
    name: str
    description: str


class Sample(Part):
    """sample.yaml, as far as a library uses twister's schema."""

    sample: Info
    common: Common
    tests: dict[str, Scenario]


@pytest.fixture(params=MODELS)
def module(request, tmp_path):
    return written("zephyr", MODELS[request.param], tmp_path / "module")


def test_zephyrs_files_have_their_schema(module):
    stated = Module.model_validate(yaml.safe_load((module / "zephyr/module.yml").read_text()))
    assert (module / stated.build.cmake / "CMakeLists.txt").is_file()
    assert (module / stated.build.kconfig).is_file()
    assert all((module / place).is_dir() for place in stated.samples)
    sample = Sample.model_validate(
        yaml.safe_load((module / "samples" / "toy" / "sample.yaml").read_text())
    )
    # twister wants names of at least two parts, that no other scenario has
    assert [name.split(".") for name in sample.tests] == [["sample", "spela", "toy"]]
    for regex in sample.common.harness_config.regex:
        re.compile(regex)
    with pytest.raises(ValidationError):
        Module.model_validate({"name": "a b", "build": {"cmake": "zephyr", "kconfig": "x"}})


def test_kconfig_takes_the_samples_settings(module, tmp_path):
    pytest.importorskip("kconfiglib")
    config = tmp_path / ".config"
    assert configure(module, module / "samples" / "toy" / "prj.conf", config) == []
    text = config.read_text()
    assert "CONFIG_SPELA_TOY=y" in text
    assert "CONFIG_SPELA_TOY_FLASH_MAP=y" not in text
    settings = tmp_path / "prj.conf"
    settings.write_text("CONFIG_SPELA_TOY=y\nCONFIG_FLASH_MAP=y\n")
    assert configure(module, settings, config) == []
    learns = (module / "zephyr" / "spela_flash_map.c").is_file()
    assert ("CONFIG_SPELA_TOY_FLASH_MAP=y" in config.read_text()) == learns
    settings.write_text("CONFIG_SPELA_OTHER=y\n")
    assert any("SPELA_OTHER" in complaint for complaint in configure(module, settings, config))


@needs_gcc
def test_zephyrs_sample_readme_and_store_compile(module, tmp_path):
    includes = (module / "src", DATA / "zephyr" / "stub" / "include")
    compile_without_linking(tmp_path, module / "samples/toy/src/main.c", *includes)
    readme = (module / "README.md").read_text()
    program = "#include <stdbool.h>\n" + "".join(re.findall(r"```c\n(.*?)```", readme, re.DOTALL))
    compile_without_linking(tmp_path, program, *includes)
    store = module / "zephyr" / "spela_flash_map.c"
    if store.is_file():
        compile_without_linking(tmp_path, store, *includes)


# ------------------------------------------------------------------------- MicroPython


@pytest.mark.parametrize("case", MODELS.values(), ids=MODELS)
def test_the_native_module_and_its_face_agree(case, tmp_path):
    directory = written("micropython", case, tmp_path / "module")
    if shutil.which("gcc") is not None:
        stub = DATA / "micropython" / "stub"
        compile_without_linking(tmp_path, directory / "toy_module.c", directory, stub)
    given = set(
        re.findall(r"mp_store_global\(MP_QSTR_(\w+)", (directory / "toy_module.c").read_text())
    )
    face = ast.parse((directory / "toy.py").read_text())
    used = {
        node.attr
        for node in ast.walk(face)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "_native"
    }
    assert given - used == {"ARENA_BYTES", "CLASS_NAMES", "INPUTS"}
    assert used <= given
    makefile = (directory / "Makefile").read_text()
    (sources,) = re.findall(r"^SRC = (.*)$", makefile, re.MULTILINE)
    assert sorted(sources.split()) == sorted(
        path.name for path in directory.iterdir() if path.suffix == ".c"
    )


# ----------------------------------------------------------------------------- ESP-IDF


def packed(component):
    """What Espressif's own manager says of a component, and the archives that it made."""
    compote = Path(sys.executable).with_name("compote")
    done = subprocess.run(
        [compote, "component", "pack", "--name", "toy"],
        cwd=component,
        env=os.environ | {"HOME": str(component.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    names = set()
    for archive in (component / "dist").glob("*.tgz"):
        with tarfile.open(archive) as opened:
            names |= {name.removeprefix("./") for name in opened.getnames()}
    return done, names


def test_espressifs_manager_packs_the_component(tmp_path):
    pytest.importorskip("idf_component_manager")
    component = written("esp-idf", MODELS["learning"], tmp_path / "toy")
    done, names = packed(component)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {"idf_component.yml", "CMakeLists.txt", "src/spela.c", "LICENSE"} <= names
    manifest = component / "idf_component.yml"
    manifest.write_text(re.sub("version: .*", 'version: "first"', manifest.read_text()))
    assert packed(component)[0].returncode != 0


@pytest.mark.parametrize("case", MODELS.values(), ids=MODELS)
def test_the_component_compiles_for_esp32_c3(case, tmp_path):
    family = load_board("riscv-virt").family
    compiler = shutil.which(f"{family.gcc}-gcc")
    if compiler is None:
        pytest.skip(f"{family.gcc}-gcc is not on PATH")
    component = written("esp-idf", case, tmp_path / "toy")
    cmake = (component / "CMakeLists.txt").read_text()
    sources = re.findall(r'"(src/.*\.c)"', cmake)
    assert sorted(sources) == sorted(f"src/{one.name}" for one in component.glob("src/*.c"))
    flags = ["-march=rv32imc", "-mabi=ilp32", *STRICT, "-O1", "-Isrc", "-ffreestanding"]
    command = [compiler, *flags, "-r", "-nostdlib", *sources, "-o", "toy.o"]
    subprocess.run(command, cwd=component, check=True)
    main = component / "examples" / "toy" / "main" / "main.c"
    if shutil.which("gcc") is not None:
        compile_without_linking(tmp_path, main, component / "src")
        program = "".join(
            re.findall(r"```c\n(.*?)```", (component / "README.md").read_text(), re.S)
        )
        compile_without_linking(tmp_path, program, component / "src")

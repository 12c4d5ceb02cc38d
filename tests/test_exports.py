"""Libraries for other people's build systems: built by these, run, and equal to the reference."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import sensor_model
from click.testing import CliRunner
from keyword_model import digits_backbone, write_model
from toy import toy, toy_samples

from exports import arduino_ways
from exports.arduino_lint import complaints
from exports.subject import digits, sample
from exports.way import WayError, run, run_in_qemu
from exports.ways import WAYS
from spela_mcu.cli.generate import command as generate
from spela_mcu.errors import UserError
from spela_mcu.firmware import runtime
from spela_mcu.firmware.directory import read_project, write_project
from spela_mcu.firmware.manifest import LIBRARY_FORMS
from spela_mcu.forms.library import make_library
from spela_mcu.forms.make import make_form
from spela_mcu.pipeline import prepare
from spela_mcu.resources import resource_directory

pytestmark = pytest.mark.xdist_group("exports")  # one process makes the subject

MODELS = {
    "learning": toy(),
    "inference only": toy(drawn=False, inference_only=True),
    "int16, summed": toy(weights="int16", batch=3, bias=True),
    "continual": toy(spare=2, rehearsed=3),
}


def form_of(form, case):
    model = case.project.model
    samples = toy_samples(case, 2)
    return make_form(form, model, samples, inference_only=case.project.inference_only)


@pytest.fixture(scope="module")
def fronted(tmp_path_factory):
    """A model with a frozen network in front, and one with a sensor's front end; with samples."""
    directory = tmp_path_factory.mktemp("fronted")
    digits_backbone(directory / "digits.tflite")
    models = [write_model(directory)]
    spectrum = {"spectrum": {"points": 64, "hop": 32, "bands": 8}, "step": 64}
    (directory / "sensor").mkdir()
    models.append(sensor_model.write_model(directory / "sensor", "mps2-an386", **spectrum))
    found = []
    for model in models:
        prepared = prepare(model)
        test = prepared.test_samples(2)
        found.append((prepared.source(), (test.samples, test.y)))
    return found


# --------------------------------------------------------------------- built and run


LIBRARIES = [way for way in WAYS if way.form != "firmware"]
"""Projects for boards have the tests of their cores."""


@pytest.mark.parametrize("way", LIBRARIES, ids=lambda way: way.title)
def test_what_is_learned_is_equal(way, tmp_path):
    missing = way.missing()
    if missing is not None:
        pytest.skip(missing)
    subject = digits()
    assert way.digest(subject, tmp_path) == subject.digest


needs_arduino = pytest.mark.skipif(
    arduino_ways.missing() is not None, reason=str(arduino_ways.missing())
)


@pytest.fixture(scope="module")
def sketchbook(tmp_path_factory):
    """The library of a toy, where arduino-builder finds it."""
    return arduino_ways.write_library(
        form_of("arduino", MODELS["learning"]), tmp_path_factory.mktemp("sketchbook")
    )


def said_by(library, example, out, board="m0"):
    elf = arduino_ways.build_sketch(library, example, board, out / example)
    return run_in_qemu(arduino_ways.MACHINES[board], elf).splitlines()


@needs_arduino
def test_the_example_that_classifies(sketchbook, tmp_path):
    case = MODELS["learning"]
    network = case.network()
    x, y = toy_samples(case, 2)
    expected = []
    for row, label in zip(x, y, strict=True):
        answer = network.infer(row)[-1]
        expected.append(f"class {answer.label}, margin {answer.margin}; it is class {label}")
    assert said_by(sketchbook, "classify", tmp_path) == [*expected, "done"]


@needs_arduino
def test_the_example_that_learns_from_a_button(sketchbook, tmp_path):
    said = said_by(sketchbook, "learn_from_button", tmp_path)
    assert len(said) == 6 and said.count("learned") == 2


@needs_arduino
def test_the_example_that_saves(sketchbook, tmp_path):
    case = MODELS["learning"]
    network = case.network()
    network.learn((np.arange(case.inputs) % 100).astype(np.int8), 0)
    said = said_by(sketchbook, "save", tmp_path)
    assert said == ["starts anew", f"saved {network.digest():X}"]


@needs_arduino
def test_what_was_saved_is_loaded(sketchbook, tmp_path):
    case = MODELS["learning"]
    shutil.copytree(Path(__file__).parent / "arduino" / "restart", sketchbook / "examples/restart")
    network, fresh = case.network(), case.network()
    for step in range(20):
        network.learn(sample(step, case.inputs), step % case.classes)
    assert said_by(sketchbook, "restart", tmp_path, "m3") == [
        "predicts before begin: no",
        "begins: yes",
        "loads what is not there: no",
        "learns no class: no",
        "saves: yes",
        "loads: yes",
        f"digests: {network.digest():X} {network.digest():X}",
        "saves where there is no room: no",
        "forgets: yes",
        f"{fresh.digest():X}",
        "unknown",
    ]


@needs_arduino
def test_a_warning_of_the_compiler_is_told(sketchbook, tmp_path):
    sketch = sketchbook / "examples" / "warns" / "warns.ino"
    sketch.parent.mkdir()
    sketch.write_text("void setup() { int unused; }\nvoid loop() {}\n")
    with pytest.raises(WayError, match="unused"):
        arduino_ways.build_sketch(sketchbook, "warns", "m3", tmp_path / "out")


def block(page, name):
    text = (Path(__file__).parents[1] / "docs" / page).read_text(encoding="utf-8")
    return re.search(rf"```c(?:pp)? {re.escape(name)}\n(.*?)```", text, re.DOTALL)[1]


@needs_arduino
def test_the_sketch_of_the_page_learns_in_ten_lines(tmp_path):
    library = arduino_ways.write_library(form_of("arduino", toy(name="pump")), tmp_path)
    code = block("arduino.md", "learns.ino")
    assert len(code.splitlines()) <= 10
    sketch = library / "examples" / "learns" / "learns.ino"
    sketch.parent.mkdir()
    sketch.write_text(code)
    said = said_by(library, "learns", tmp_path, "m4")
    assert len(said) == 4 and all(re.fullmatch(r"class \d|unknown", line) for line in said)


def test_the_program_of_cmakes_page_predicts_in_ten_lines(tmp_path):
    if shutil.which("cmake") is None or shutil.which("cc") is None:
        pytest.skip("cmake or cc is not on PATH")
    write_project(form_of("cmake", toy(name="pump")), tmp_path / "pump")
    page = (Path(__file__).parents[1] / "docs" / "cmake.md").read_text(encoding="utf-8")
    (tmp_path / "CMakeLists.txt").write_text(re.search(r"```cmake\n(.*?)```", page, re.DOTALL)[1])
    code = block("cmake.md", "main.c")
    assert len(code.splitlines()) <= 10
    (tmp_path / "main.c").write_text(code)
    for arguments in (["-B", "out"], ["--build", "out"]):
        run(["cmake", *arguments], tmp_path)
    network = toy(name="pump").network()
    answer = network.infer(np.zeros(network.plan.inputs, np.int8))[-1].label
    assert subprocess.run([tmp_path / "out" / "mine"], check=False).returncode == answer


# ---------------------------------------------------------------- the library on paper


@pytest.mark.parametrize("case", MODELS.values(), ids=MODELS)
def test_a_library_keeps_the_rules_of_arduinos_registry(case):
    assert complaints(form_of("arduino", case).files) == []


def test_so_do_libraries_with_something_in_front(fronted):
    for model, samples in fronted:
        files = make_form("arduino", model, samples).files
        assert complaints(files) == []
        assert "quantize" not in files["keywords.txt"]
        assert ("push" in files["keywords.txt"]) == bool(model.front_end)


BROKEN = {
    "no README.md": {"README.md": None},
    "no LICENSE": {"LICENSE": ""},
    "no name of a library": {"library.properties": ("name=Toy", "name=Toy ")},
    "is no name": {"library.properties": ("name=Toy", "name=ArduinoToy")},
    "has no maintainer": {"library.properties": ("maintainer=spela-mcu", "maintainer=")},
    "semantic versioning": {"library.properties": ("version=", "version=v")},
    "is no category": {"library.properties": ("Data Processing", "Machine Learning")},
    "AVR": {"library.properties": ("architectures=", "architectures=*,")},
    "not in src/": {"library.properties": ("includes=Toy", "includes=Other")},
    "which is not there": {"src/spela_slots.h": None},
    "only src/": {"src/deep/file.h": "/* SPDX-License-Identifier: Apache-2.0 */"},
    "directory that": {"store/spela_store.c": "/* SPDX-License-Identifier: Apache-2.0 */"},
    "no sketch of its name": {"examples/save/save.ino": None},
    "keywords.txt": {"keywords.txt": ("begin\tKEYWORD2", "begin KEYWORD2")},
    "another version": {"library.json": ('"version": "', '"version": "9')},
    "names no licence": {"src/more.c": "int more;"},
}


@pytest.mark.parametrize("words", BROKEN)
def test_a_broken_rule_is_told(words):
    files = dict(form_of("arduino", MODELS["learning"]).files)
    if words == "no sketch of its name":
        files["examples/save/other.ino"] = ""
    for path, change in BROKEN[words].items():
        if change is None:
            del files[path]
        elif isinstance(change, tuple):
            assert change[0] in files[path]
            files[path] = files[path].replace(*change)
        else:
            files[path] = change
    assert any(words in complaint for complaint in complaints(files)), complaints(files)


def test_no_model_named_arduino(tmp_path):
    with pytest.raises(UserError, match="must not begin with arduino"):
        form_of("arduino", toy(name="arduino_toy"))


@pytest.mark.parametrize("name", ["spela", "store", "string", "spela_store", "main", "a_b_1"])
def test_any_other_name_shadows_nothing(name):
    files = form_of("arduino", toy(name=name)).files
    assert complaints(files) == []
    headers = [path.removeprefix("src/").lower() for path in files if path.endswith(".h")]
    assert len(set(headers)) == len(headers)
    for text in files.values():
        assert not {one.lower() for one in re.findall(r"#include <([^>]+)>", text)} & set(
            headers
        ) - {f"{one}network.h" for one in [name.replace("_", "")]} - {"spela_eeprom.h"}


# ----------------------------------------------------------------- forms as a whole


@pytest.mark.parametrize("form", LIBRARY_FORMS)
def test_equal_models_give_equal_bytes_of_no_place_or_date(form):
    for case in MODELS.values():
        files = form_of(form, case).files
        assert files == form_of(form, case).files
        for path, text in files.items():
            assert str(Path(__file__).parents[1]) not in text, path
            assert not re.search(r"\b20\d\d-\d\d-\d\d\b", text), path
            assert text.endswith("\n"), path


@pytest.mark.parametrize("form", LIBRARY_FORMS)
def test_a_library_says_that_it_is_no_project_and_is_replaced_like_one(form, tmp_path):
    directory = tmp_path / "library"
    write_project(form_of(form, MODELS["learning"]), directory)
    with pytest.raises(UserError, match=f"generated --as {form}, and not a project for a board"):
        read_project(directory)
    write_project(form_of(form, MODELS["inference only"]), directory)
    assert not [path for path in directory.rglob("*") if path.name == "spela_store.c"]
    (directory / "README.md").write_text("mine")
    with pytest.raises(UserError, match=r"changed since they were generated: README\.md"):
        write_project(form_of(form, MODELS["learning"]), directory)


def test_the_command_writes_a_library(tmp_path):
    model = Path(__file__).parents[1] / "examples" / "digits" / "model.yaml"
    arguments = [str(model), "--as", "arduino", "-o", str(tmp_path / "DigitsNetwork")]
    done = CliRunner().invoke(generate, arguments)
    assert done.exit_code == 0, done.output
    assert f"see {tmp_path / 'DigitsNetwork' / 'README.md'}" in done.output
    assert (tmp_path / "DigitsNetwork" / "src" / "DigitsNetwork.h").is_file()


def test_a_project_is_the_package_and_an_application():
    package = form_of("cmake", MODELS["learning"]).files
    project = MODELS["learning"].project.files
    own = {"README.md", "project.json"}
    assert {path: project[path] for path in package if path not in own} == {
        path: text for path, text in package.items() if path not in own
    }


# ------------------------------------------------------------------------ as C and C++


def written(form, directory):
    write_project(form, directory)
    return directory


def compile_with(command, text, suffix, directory, *includes):
    file = directory / f"program{suffix}"
    file.write_text(text)
    flags = [f"-I{include}" for include in includes]
    return subprocess.run(
        [*command, *flags, "-fsyntax-only", str(file)], capture_output=True, text=True, check=False
    )


STANDARDS = ("c99", "c11", "c++11", "c++20")
ARM_CLANG = ("clang", "--target=arm-none-eabi", "-mcpu=cortex-m4", "-fshort-enums", "-fshort-wchar")
"""Arm's compiler is clang with these; -ffreestanding, since there is no C library for it here."""

COMPILERS = {
    "gcc": ("gcc",),
    "clang": ("clang",),
    "arm gcc": ("arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb"),
    "arm clang": (*ARM_CLANG, "-ffreestanding"),
}


@pytest.mark.parametrize("standard", STANDARDS)
@pytest.mark.parametrize("compiler", COMPILERS)
def test_public_headers_are_pedantic_c_and_cpp(compiler, standard, fronted, tmp_path):
    command = COMPILERS[compiler]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not on PATH")
    is_c = not standard.startswith("c++")
    forms = [make_form("arduino", *one) for one in fronted]
    for index, form in enumerate([form_of("arduino", MODELS["learning"]), *forms]):
        src = written(form, tmp_path / f"{index}") / "src"
        headers = sorted(path.name for path in src.glob("*.h") if 'extern "C"' in path.read_text())
        headers += [path.name for path in src.glob("*Network.h")] * (not is_c)
        assert "spela.h" in headers
        text = "".join(f'#include "{header}"\n' for header in headers)
        warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
        language = ["-x", "c" if is_c else "c++", f"-std={standard}", *warnings]
        done = compile_with([*command, *language], text, ".c" if is_c else ".cpp", tmp_path, src)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("target", ["avr", "msp430"])
def test_an_int_of_16_bits_is_refused_with_a_sentence(target, tmp_path):
    if shutil.which("clang") is None:
        pytest.skip("clang is not on PATH")
    src = written(form_of("arduino", MODELS["learning"]), tmp_path / "library") / "src"
    command = ["clang", f"--target={target}", "-ffreestanding", "-std=c99"]
    done = compile_with(command, '#include "toy_model.h"\n', ".c", tmp_path, src)
    if "unable to create target" in done.stderr or "unknown target" in done.stderr:
        pytest.skip(f"clang has no target {target}")
    assert done.returncode != 0
    assert "needs a processor whose int has 32 bits" in done.stderr


def test_the_configuration_header_names_every_macro_of_the_runtime():
    firmware = resource_directory("firmware")
    text = (firmware / "spela" / "spela_config.h").read_text()
    values = [getattr(runtime, name) for name in dir(runtime) if "DEFINE" in name]
    macros = {
        macro
        for value in values
        for macro in (value.values() if isinstance(value, dict) else [value])
    }
    assert len(macros) > 10
    assert macros <= set(re.findall(r"\bSPELA_[A-Z0-9_]+", text))


def preprocessed(file, *flags):
    command = ["arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-std=c99", "-E", "-P", *flags]
    done = subprocess.run([*command, str(file)], capture_output=True, text=True, check=True)
    return done.stdout


def test_a_configuration_header_says_what_macros_do(fronted, tmp_path):
    """So a C library is not a byte longer in this form: the compiler gets the same text."""
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not on PATH")
    forms = [form_of("arduino", case) for case in MODELS.values()]
    forms += [make_form("arduino", *one) for one in fronted]
    for index, form in enumerate(forms):
        flat = written(form, tmp_path / f"{index}") / "src"
        library = make_library(form.model, inference_only=form.inference_only)
        plain = tmp_path / f"{index}-plain"
        for path, text in library.files.items():
            (plain / path).parent.mkdir(parents=True, exist_ok=True)
            (plain / path).write_text(text)
        folders = sorted({f"-I{path.parent}" for path in plain.rglob("*.h")})
        defines = [f"-D{define}" for define in library.defines]
        sources = [path for path in library.files if path.endswith(".c") and "drivers" not in path]
        assert {Path(path).name for path in sources} == {path.name for path in flat.glob("*.c")}
        for path in sources:
            one = preprocessed(flat / Path(path).name, f"-I{flat}")
            assert one == preprocessed(plain / path, *folders, *defines), path


CALLS = Path(__file__).parent / "c" / "class_calls.cpp"
CPP_BYTES = 300


def test_the_class_costs_next_to_nothing(tmp_path):
    """What a program is longer for using the class, against one that calls C."""
    if shutil.which("arm-none-eabi-g++") is None:
        pytest.skip("arm-none-eabi-g++ is not on PATH")
    src = written(form_of("arduino", MODELS["learning"]), tmp_path / "library") / "src"
    flags = ["-mcpu=cortex-m4", "-mthumb", "-Os", "-std=gnu++11", "-fno-exceptions", "-fno-rtti"]
    flags += ["-Wall", "-Wextra", "-Werror", "-ffunction-sections", f"-I{src}"]
    sizes = []
    for define in ([], ["-DPLAIN"]):
        target = tmp_path / "calls.o"
        command = ["arm-none-eabi-g++", *flags, *define, "-c", str(CALLS), "-o", str(target)]
        subprocess.run(command, check=True)
        said = subprocess.run(
            ["arm-none-eabi-size", str(target)], capture_output=True, text=True, check=True
        ).stdout
        text, data = said.splitlines()[1].split()[:2]
        sizes.append(int(text) + int(data))
    assert sizes[0] - sizes[1] <= CPP_BYTES, sizes

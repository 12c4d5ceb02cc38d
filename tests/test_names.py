"""A model may have any name: none of what is generated from it can stand in another's place."""

import re
import shutil
import subprocess
from pathlib import PurePosixPath

import pytest
from toy import build_toy, own_headers, toy

from spela_mcu.resources import resource_directory
from spela_mcu.spec.load import load_spec

OWN = sorted({path.stem for path in resource_directory("firmware").rglob("*.[ch]")})
STANDARD = (
    *("assert", "complex", "ctype", "errno", "fenv", "float", "inttypes", "iso646", "limits"),
    *("locale", "math", "setjmp", "signal", "stdalign", "stdarg", "stdatomic", "stdbit", "stdbool"),
    *("stdckdint", "stddef", "stdint", "stdio", "stdlib", "stdnoreturn", "string", "tgmath"),
    *("threads", "time", "uchar", "wchar", "wctype"),
    *("arm_acle", "arm_mve", "emmintrin", "unistd", "cffi"),
)
CMAKE = (
    *("all", "clean", "depend", "edit_cache", "help", "install", "list_install_components"),
    *("package", "package_source", "preinstall", "rebuild_cache", "test", "zero_check", "gcc"),
)
WORDS = ("main", "int", "double", "struct", "inline", "layers", "runtime", "model", "build", "con")
GENERATED = ("board", "application_config", "boot", "startup", "memory", "uart", "linker")
NAMES = sorted({*OWN, *STANDARD, *CMAKE, *WORDS, *GENERATED})

FOLDERS = ("model", "spela", "application", "port")
DEFINITION = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_shadowed(name, tmp_path):
    """Includes, macros, symbols and CMake's targets, by reading what is generated."""
    files = toy(name=name).project.files
    endings = ("model.h", "model.c", "model_selftest.c")
    endings += ("quantize.h", "quantize.c", "quantize_float.h")
    own = {f"model/{name}_{ending}" for ending in endings}
    assert own == {path for path in files if path.startswith("model/")}

    headers = [PurePosixPath(path) for path in files if path.endswith(".h")]
    for path, text in files.items():
        if not path.endswith((".c", ".h")):
            continue
        for header in re.findall(r"#include <([^>]+)>", text):
            assert not [one for one in headers if one.name == header], (path, header)
        for header in own_headers(text):
            assert sum(one.name == header for one in headers) == 1, (path, header)

    others = {path: text for path, text in files.items() if path.endswith((".c", ".h"))}
    texts = {path: others.pop(path) for path in own}
    header = "".join(text for path, text in texts.items() if path.endswith(".h"))
    source = "".join(text for path, text in texts.items() if path.endswith(".c"))
    for macro in DEFINITION.findall(header):
        assert not [path for path, text in others.items() if macro in DEFINITION.findall(text)]
    public = set(re.findall(rf"\b{name}_\w+(?=[\[;(])", header))
    assert public >= {f"{name}_{what}" for what in ("model", "class_names", "quantize_int16")}
    assert not public & set(re.findall(r"^static const \w+ (\w+)\[", source, re.MULTILINE))
    for symbol in public:
        users = [path for path, text in others.items() if re.search(rf"\b{symbol}\b", text)]
        assert users in ([], ["application/application_config.h"]), (symbol, users)

    text = files["CMakeLists.txt"] + files["application/firmware.cmake"]
    text = text.replace("  add_library(${target}", "")
    targets = re.findall(
        r"(?:add_(?:library|executable|custom_target)|spela_library)\((\w+)\s", text
    )
    assert sorted(targets) == sorted(
        {f"{name}_model", f"{name}_firmware", "spela_runtime", "spela_store"}
    )
    assert not set(targets) & {*CMAKE, "ALL_BUILD", "INSTALL", "PACKAGE", "RUN_TESTS", "ZERO_CHECK"}


def test_model_yaml_takes_them_all(tmp_path):
    for name in NAMES:
        file = tmp_path / "model.yaml"
        file.write_text(
            f'name: "{name}"\ndata: {{source: sklearn}}\nnetwork: {{layers: [{{units: 9}}]}}\n'
        )
        assert load_spec(file).name == name


BUILT = ("application", "stdint", "spela", "double", "memory")


@pytest.mark.parametrize("name", BUILT)
def test_names_that_mean_something_build(name, tmp_path):
    assert build_toy(toy(name=name), tmp_path / "p").warnings == ""


@pytest.mark.parametrize("name", ["all", "board", "gcc"])
def test_names_that_mean_something_build_by_cmake(name, tmp_path):
    cmake = shutil.which("cmake")
    if cmake is None or shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("cmake or arm-none-eabi-gcc is not on PATH")
    build = build_toy(toy(name=name), tmp_path / "p")
    toolchain = f"-DCMAKE_TOOLCHAIN_FILE={tmp_path / 'p' / 'arm-none-eabi.cmake'}"
    out = tmp_path / "p" / "build" / "cmake"
    for arguments in (
        ["-S", str(tmp_path / "p"), "-B", str(out), toolchain],
        ["--build", str(out)],
    ):
        subprocess.run([cmake, *arguments], check=True, stdout=subprocess.DEVNULL)
    assert (out / f"{name}_firmware.bin").stat().st_size == build.bin_file.stat().st_size


@pytest.mark.parametrize("kind", ["backbone", "convolution"])
def test_a_function_is_declared_in_one_header(kind):
    """Of those that a project can have; one with a backbone has no convolutions that learn."""
    declared = {}
    for path in sorted(resource_directory("firmware").rglob("*.h")):
        if {"backbone", "convolution"} - {kind} <= set(path.parts):
            continue
        text = path.read_text()
        for name in re.findall(r"^(?!static)[a-z][\w \*]*?\b(\w+)\([^;{]*\);", text, re.MULTILINE):
            declared.setdefault(name, []).append(path.name)
    assert len(declared) > 100
    assert {name: paths for name, paths in declared.items() if len(paths) > 1} == {}

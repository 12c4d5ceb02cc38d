import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from toy import own_headers, toy, toy_samples

from spela_mcu import __version__
from spela_mcu.errors import UserError
from spela_mcu.firmware.board import board_ids
from spela_mcu.firmware.build import build_project
from spela_mcu.firmware.directory import read_project, write_project
from spela_mcu.firmware.project import generate_project
from spela_mcu.firmware.toolchain import find_compiler
from spela_mcu.resources import resource_directory

CHECKOUT = Path(__file__).resolve().parents[1]
VARIANTS = {
    "learning": toy("stm32f4_discovery"),
    "inference only": toy(drawn=False, inference_only=True),
}


@pytest.fixture(params=VARIANTS)
def project(request):
    return VARIANTS[request.param].project


def contents(directory):
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


# ---------------------------------------------------------------------- generation


def test_a_project_is_self_contained(project):
    own = {f"spela/{path.name}" for path in (resource_directory("firmware") / "spela").iterdir()}
    assert own <= set(project.files)
    assert {"README.md", "CMakeLists.txt", "project.json"} <= set(project.files)
    assert {"model/toy_model.c", "model/toy_model.h"} <= set(project.files)
    for path, text in project.files.items():
        for name in own_headers(text):
            folders = ("model", "spela", "store", "store/drivers", "application", "port")
            places = [f"{folder}/{name}" for folder in folders]
            assert sum(place in project.files for place in places) == 1, (path, name)


def test_every_file_in_c_names_its_licence_and_the_text_is_there(project):
    for path, text in project.files.items():
        if path.endswith((".c", ".h", ".ld")):
            assert text.startswith("/* SPDX-License-Identifier: Apache-2.0 */\n"), path
    assert project.files["LICENSE"] == (CHECKOUT / "LICENSE").read_text()


def test_every_source_in_c_names_its_licence():
    sources = [path for path in CHECKOUT.glob("*/**/*.[ch]") if ".venv" not in path.parts]
    sources = [path for path in sources if "build" not in path.parts]
    assert len(sources) > 40
    for path in sources:
        assert path.read_text().startswith("/* SPDX-License-Identifier: Apache-2.0 */\n"), path


def test_the_librarys_version_is_the_packages():
    header = (resource_directory("firmware") / "spela" / "spela.h").read_text()
    names = ("MAJOR", "MINOR", "PATCH")
    parts = [re.findall(rf"#define SPELA_VERSION_{name} (\d+)\n", header) for name in names]
    assert ".".join(part for (part,) in parts) == __version__
    assert re.findall(r'#define SPELA_VERSION +"(.*)"\n', header) == [__version__]


def test_equal_models_give_equal_bytes(project):
    again = generate_project(
        project.model,
        project.board,
        optimization=project.optimization,
        inference_only=project.inference_only,
    )
    assert again.files == project.files


def test_no_place_or_date_of_the_generating_machine(project):
    place = str(resource_directory("firmware").parent)
    for path, text in project.files.items():
        assert place not in text, path
        assert not re.search(r"\b20\d\d-\d\d-\d\d\b", text), path


def test_clang_format_leaves_generated_c_unchanged(project, tmp_path):
    write_project(project, tmp_path / "p")
    check_format([tmp_path / "p" / path for path in project.files if path.endswith((".c", ".h"))])


def test_clang_format_leaves_every_boards_header_unchanged(tmp_path):
    files = []
    for board in board_ids():
        files.append(tmp_path / f"{board}.h")
        files[-1].write_text(toy(board).project.files["port/board.h"])
    check_format(files)


def check_format(files):
    beside_python = Path(sys.executable).parent
    formatter = shutil.which(
        "clang-format", path=f"{beside_python}{os.pathsep}{os.environ['PATH']}"
    )
    if formatter is None:
        pytest.skip("clang-format is not installed (pip install clang-format)")
    style = resource_directory("firmware").parent / ".clang-format"
    done = subprocess.run(
        [formatter, f"--style=file:{style}", "--dry-run", "--Werror", *map(str, files)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_samples_are_carried_along():
    x, y = toy_samples(VARIANTS["learning"], 3)
    base = VARIANTS["learning"].project
    project = generate_project(base.model, base.board, samples=(x, y))
    lines = project.files["samples.csv"].splitlines()
    assert [int(cell) for cell in lines[1].split(",")] == [*x[1].tolist(), int(y[1])]
    assert "samples.csv" in project.files["README.md"]


C = ("gcc", "-std=c99", "-Wconversion", "-Wsign-conversion")
CPP = ("g++", "-std=c++17", "-Wconversion", "-xc++")


@pytest.mark.parametrize("compiler", [C, CPP], ids=["c", "c++"])
@pytest.mark.parametrize("readme", ["spela-mcu", "project"])
def test_the_example_in_a_readme_compiles_without_a_warning(project, tmp_path, readme, compiler):
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"{compiler[0]} is not on PATH")
    write_project(project, tmp_path / "p")
    if readme == "project":
        text = project.files["README.md"]
    else:
        text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
        text = text.replace("digits", "toy").replace("DIGITS", "TOY")
    example = "\n".join(re.findall(r"```c\n(.*?)```", text, re.DOTALL))
    if readme == "project":
        assert ("spela_learn" in example) != project.inference_only
    defines = ["-DSPELA_INFERENCE_ONLY"] if project.inference_only else []
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    file = tmp_path / "example.c"
    file.write_text(example)
    command = [*compiler, *warnings, *defines, "-Imodel", "-Ispela", "-Istore"]
    command += ["-fsyntax-only", str(file)]
    subprocess.run(command, cwd=tmp_path / "p", check=True)


# ------------------------------------------------------------------------- on disk


def test_written_and_read_back(project, tmp_path):
    directory = tmp_path / "deep" / "p"
    write_project(project, directory)
    assert contents(directory) == {path: text.encode() for path, text in project.files.items()}
    read = read_project(directory)
    assert read.board == project.board
    assert (read.name, read.inputs, read.digest) == ("toy", 13, project.model.digest)
    assert read.inference_only == project.inference_only
    assert list(directory.parent.iterdir()) == [directory]


def test_writing_the_same_again_touches_nothing(project, tmp_path):
    write_project(project, tmp_path / "p")
    before = (tmp_path / "p" / "README.md").stat()
    write_project(project, tmp_path / "p")
    after = (tmp_path / "p" / "README.md").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_another_project_replaces_an_unchanged_one_and_keeps_its_builds(tmp_path):
    one, other = (variant.project for variant in VARIANTS.values())
    write_project(one, tmp_path / "p")
    (tmp_path / "p" / "build" / "gcc-O2").mkdir(parents=True)
    (tmp_path / "p" / "build" / "gcc-O2" / "toy.elf").write_text("built")
    write_project(other, tmp_path / "p")
    files = contents(tmp_path / "p")
    assert files.pop("build/gcc-O2/toy.elf") == b"built"
    assert set(files) == set(other.files)


@pytest.mark.parametrize("change", ["edit", "add", "add a folder"])
def test_the_users_changes_are_never_overwritten(tmp_path, change):
    one, other = (variant.project for variant in VARIANTS.values())
    directory = tmp_path / "p"
    write_project(one, directory)
    changed = {
        "edit": directory / "application" / "main.c",
        "add": directory / "port" / "mine.c",
        "add a folder": directory / "mine" / "notes.txt",
    }[change]
    changed.parent.mkdir(exist_ok=True)
    changed.write_text("precious")
    before = contents(directory)
    with pytest.raises(UserError, match=changed.name):
        write_project(other, directory)
    assert contents(directory) == before
    assert list(tmp_path.iterdir()) == [directory]


def test_a_directory_that_is_not_ours_is_refused(project, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(UserError, match="holds no generated project"):
        write_project(project, tmp_path)
    with pytest.raises(UserError, match="is not a directory"):
        write_project(project, tmp_path / "thesis.tex")
    assert contents(tmp_path) == {"thesis.tex": b"precious"}


def test_an_empty_directory_is_taken(project, tmp_path):
    (tmp_path / "p").mkdir()
    write_project(project, tmp_path / "p")
    assert (tmp_path / "p" / "project.json").is_file()


def test_a_disk_that_fails_leaves_the_old_project(tmp_path, monkeypatch):
    one, other = (variant.project for variant in VARIANTS.values())
    write_project(one, tmp_path / "p")
    before = contents(tmp_path / "p")
    real, written = Path.write_text, []

    def failing(self, *arguments, **options):
        written.append(self)
        if len(written) == 7:
            raise OSError(28, "No space left on device")
        return real(self, *arguments, **options)

    monkeypatch.setattr(Path, "write_text", failing)
    with pytest.raises(OSError, match="No space left"):
        write_project(other, tmp_path / "p")
    assert len(written) == 7
    assert contents(tmp_path) == {f"p/{path}": data for path, data in before.items()}


def test_directories_that_are_no_projects(project, tmp_path):
    with pytest.raises(UserError, match="no such directory"):
        read_project(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"holds no project\.json"):
        read_project(tmp_path)
    write_project(project, tmp_path / "p")
    manifest = tmp_path / "p" / "project.json"
    whole = manifest.read_text()
    for damage in (
        whole[:100],
        "[]",
        whole.replace('"O2"', '"O9"'),
        json.dumps({**json.loads(whole), "board": {}}),
        whole.replace('"spela-mcu"', '"other"'),
    ):
        manifest.write_text(damage)
        with pytest.raises(UserError) as raised:
            read_project(tmp_path / "p")
        assert raised.value.file == manifest


def test_a_link_to_a_directory_stays_a_link(project, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    write_project(project, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert read_project(tmp_path / "real").name == "toy"


def test_the_current_directory_and_a_mount_point_can_be_replaced(tmp_path, monkeypatch):
    """The directory itself is never moved: who stands in it stays where they are."""
    one, other = (variant.project for variant in VARIANTS.values())
    write_project(one, tmp_path / "p")
    inode = (tmp_path / "p").stat().st_ino
    monkeypatch.chdir(tmp_path / "p")
    write_project(other, Path())
    assert contents(Path()) == {path: text.encode() for path, text in other.files.items()}
    assert Path.cwd().stat().st_ino == inode


def test_a_run_that_ends_on_the_way_leaves_no_mixed_project(tmp_path, monkeypatch):
    one, other = (variant.project for variant in VARIANTS.values())
    for ends_at in (1, 2, 10, len(other.files)):
        directory = tmp_path / f"p{ends_at}"
        write_project(one, directory)
        real, moves = Path.replace, []

        def ending(self, target, moves=moves, ends_at=ends_at, real=real):
            moves.append(target)
            if len(moves) > ends_at:
                raise KeyboardInterrupt
            return real(self, target)

        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(Path, "replace", ending)
            write_project(other, directory)
        with pytest.raises(UserError, match=r"holds no project\.json"):
            read_project(directory)
        write_project(one, directory)
        assert contents(directory) == {path: text.encode() for path, text in one.files.items()}


def test_a_link_in_the_place_of_a_directory_is_the_users(tmp_path):
    one, other = (variant.project for variant in VARIANTS.values())
    write_project(one, tmp_path / "p")
    (tmp_path / "p" / "model").rename(tmp_path / "elsewhere")
    (tmp_path / "p" / "model").symlink_to(tmp_path / "elsewhere")
    before = contents(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="added or changed"):
        write_project(other, tmp_path / "p")
    assert contents(tmp_path / "elsewhere") == before


def _places(value, path=()):
    """Every place in a JSON document."""
    yield path
    children = value.items() if isinstance(value, dict) else ()
    for key, child in children:
        yield from _places(child, (*path, key))


MANIFEST_PLACES = [
    path
    for path in _places(json.loads(VARIANTS["learning"].project.files["project.json"]))
    if (path and path[0] != "files") or len(path) == 1
]


@pytest.mark.parametrize("place", MANIFEST_PLACES, ids=".".join)
def test_every_value_of_a_manifest_is_checked(tmp_path, place):
    """Another type, a value out of range, and none at all are each told with their place."""
    write_project(VARIANTS["learning"].project, tmp_path / "p")
    file = tmp_path / "p" / "project.json"
    whole = json.loads(file.read_text())
    damages = [[], -1, 2**70, 1.5, "x" * 100_000, "../../evil", "/tmp/evil", "a\nb", "missing"]
    refused = 0
    for damage in damages:
        changed = json.loads(json.dumps(whole))
        inner = changed
        for key in place[:-1]:
            inner = inner[key]
        if damage == "missing":
            del inner[place[-1]]
        else:
            inner[place[-1]] = damage
        file.write_text(json.dumps(changed))
        try:
            read_project(tmp_path / "p")
        except UserError as error:
            assert error.file == file
            assert len(str(error)) < 1000
            refused += 1
    free_text = {("version",), ("board", "title")}
    assert refused >= (4 if place in free_text else 6)


@pytest.mark.parametrize("name", ["/tmp/evil", "../../evil", "evil/../..", "", ".", "Toy", "a b"])
def test_a_name_cannot_lead_out_of_the_project(tmp_path, name):
    write_project(VARIANTS["learning"].project, tmp_path / "deep" / "p")
    file = tmp_path / "deep" / "p" / "project.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "name": name}))
    before = contents(tmp_path)
    with pytest.raises(UserError, match=r"\(name: "):
        build_project(tmp_path / "deep" / "p", find_compiler())
    assert contents(tmp_path) == before


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../b", "a//b", "", ".", "a\\b"])
def test_a_manifest_lists_files_inside_the_project_alone(tmp_path, path):
    write_project(VARIANTS["learning"].project, tmp_path / "p")
    file = tmp_path / "p" / "project.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "files": {path: "0" * 64}}))
    with pytest.raises(UserError, match="not a path inside the project"):
        read_project(tmp_path / "p")


def test_manifests_that_are_no_manifests(tmp_path):
    write_project(VARIANTS["learning"].project, tmp_path / "p")
    file = tmp_path / "p" / "project.json"
    for content in (b"[" * 200_000, b"", b"\xff\xfe", b"\0" * 100, b" " * 2**21):
        file.write_bytes(content)
        with pytest.raises(UserError) as raised:
            read_project(tmp_path / "p")
        assert raised.value.file == file
        with pytest.raises(UserError) as raised:
            write_project(VARIANTS["inference only"].project, tmp_path / "p")
        assert raised.value.file == file
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(UserError):
        read_project(tmp_path / "p")


def test_a_project_of_another_version_is_told_as_such_and_replaced(project, tmp_path):
    directory = tmp_path / "p"
    write_project(project, directory)
    fresh = contents(directory)
    manifest = directory / "project.json"
    other = json.loads(manifest.read_text())
    del other["board"]["core"]
    manifest.write_text(json.dumps(other))

    with pytest.raises(UserError, match=r"another version of spela-mcu \(board\.core: ") as raised:
        read_project(directory)
    assert raised.value.mend == "generate it again"
    write_project(project, directory)
    assert contents(directory) == fresh

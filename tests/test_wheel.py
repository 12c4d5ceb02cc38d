"""The wheel alone is enough: nothing is read from the checkout that it was built from."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
RESOURCES = ("templates", "firmware", "sim")

# One worker builds the wheel and runs all tests that use it.
pytestmark = pytest.mark.xdist_group("wheel")


def run(*command, **options) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=300,
        check=False,
        **options,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The bin directory of an environment that has the wheel, and no way to the checkout.

    Dependencies come from the environment of the tests through a .pth file: the .pth files
    found there, such as that of the editable install, are not followed from here.
    """
    directory = tmp_path_factory.mktemp("wheel")
    run(
        *(sys.executable, "-m", "build", "--wheel", "--no-isolation"),
        *("--outdir", directory, CHECKOUT),
    )
    (wheel,) = directory.glob("spela_mcu-*.whl")
    environment = directory / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", environment)
    python = environment / "bin" / "python"
    run(
        *(sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"),
        *("install", "--no-index", "--no-deps", wheel),
    )
    (site,) = environment.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python.parent


def files(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_carries_its_resources(installed, tmp_path):
    script = (
        "import sys, spela_mcu.resources as r\n"
        "print(r.__file__, *(r.resource_directory(name) for name in sys.argv[1:]), sep='\\n')"
    )
    # -I: neither the working directory nor PYTHONPATH leads back to the checkout.
    found = run(installed / "python", "-I", "-c", script, *RESOURCES, cwd=tmp_path).splitlines()
    root = installed.parent.resolve()
    assert all(root in Path(path).resolve().parents for path in found), found
    for name, path in zip(RESOURCES, found[1:], strict=True):
        assert files(Path(path)) == files(CHECKOUT / name)
        assert files(Path(path))
    assert Path(found[1]).with_name("LICENSE").read_text() == (CHECKOUT / "LICENSE").read_text()


def test_generating_from_the_wheel_equals_generating_from_the_checkout(installed, tmp_path):
    model = tmp_path / "model.yaml"
    shutil.copy(CHECKOUT / "examples" / "digits" / "model.yaml", model)
    here = Path(sys.executable).parent
    for place, bin_directory in (("wheel", installed), ("checkout", here)):
        run(bin_directory / "spela-mcu", "generate", model, "-o", tmp_path / place, cwd=tmp_path)
    assert files(tmp_path / "wheel") == files(tmp_path / "checkout")
    assert files(tmp_path / "wheel")

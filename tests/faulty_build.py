"""A project's build with a fault in its runtime."""

from host_process import plant

from spela_mcu.firmware.build import build_project
from spela_mcu.firmware.toolchain import find_compiler


def build_faulty(directory, name, right, wrong, folder="spela"):
    """Builds a project with `wrong` for `right` in a file of its runtime; mends it again."""
    source = directory / folder / name
    sound = source.read_text()
    try:
        plant(source, right, wrong)
        return build_project(directory, find_compiler())
    finally:
        source.write_text(sound)

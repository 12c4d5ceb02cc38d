"""Objects that a test has compiled before, for whatever test compiles the same again.

Each project compiles a runtime of its own. The tests build hundreds of projects, most of which
differ in a table, and nothing of their runtime: its objects are compiled once for all workers.
"""

import hashlib
import re
import shutil
import tempfile
from pathlib import Path

INCLUDE = re.compile(rb'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"', re.MULTILINE)


def contents(source, folders):
    """A C file and all that it includes, whatever its conditions say: the text of each path."""
    found, left = {}, [source]
    while left:
        file = left.pop()
        if file in found:
            continue
        found[file] = file.read_bytes()
        for name in INCLUDE.findall(found[file]):
            places = (folder / name.decode() for folder in (file.parent, *folders))
            left += [place for place in places if place.exists()][:1]
    return found


class ObjectCache:
    """Stands in for `run` of `spela_mcu.firmware.build`, which runs a compiler in a project."""

    def __init__(self, directory, run):
        directory.mkdir(exist_ok=True)
        self.directory = directory
        self.run = run

    def __call__(self, command, root):
        if "-c" not in command:
            return self.run(command, root)
        *command_without_target, target = command
        kept = self.directory / f"{self._digest(command_without_target, root)}.o"
        if kept.exists():
            shutil.copyfile(kept, target)
            return ""
        said = self.run(command, root)
        if not said:
            # Whole from the first moment: another worker may look for it just now.
            with tempfile.TemporaryDirectory(dir=self.directory) as scratch:
                shutil.copyfile(target, Path(scratch) / "object").replace(kept)
        return said

    def _digest(self, command, root):
        # Where the project lies changes nothing in its objects: test_build.py shows it.
        command = [word for word in command if not word.startswith("-ffile-prefix-map=")]
        folders = [root / word.removeprefix("-I") for word in command if word.startswith("-I")]
        found = contents(root / command[command.index("-c") + 1], folders)
        digest = hashlib.sha256("\0".join(command).encode())
        for file, text in sorted(found.items()):
            digest.update(f"\0{file.relative_to(root)}\0{len(text)}\0".encode() + text)
        return digest.hexdigest()

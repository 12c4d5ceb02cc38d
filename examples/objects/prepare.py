"""Puts objects.tflite and pictures into build/, where the example's model.yaml has them.

    python examples/objects/prepare.py --mlperf DIRECTORY --pictures ARCHIVE

DIRECTORY has MLPerf Tiny's image classifier, pretrainedResnet_quant.tflite; the environment
variable SPELA_MLPERF_TINY can name it as well. ARCHIVE is a zip of CIFAR-10 as pictures:
train/CLASS/*.jpg and test/CLASS/*.jpg (or .png).
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections import Counter
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

HERE = Path(__file__).parent / "build"
OF_EACH = 50
"""Pictures of each class and part: 500 to learn, 500 to test."""


def main() -> None:
    """Copies the network and some of the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--mlperf", default=os.environ.get("SPELA_MLPERF_TINY"))
    parser.add_argument("--pictures", required=True)
    asked = parser.parse_args()
    if not asked.mlperf:
        parser.error("--mlperf or SPELA_MLPERF_TINY must name the directory of the network")
    HERE.mkdir(exist_ok=True)
    shutil.copyfile(Path(asked.mlperf) / "pretrainedResnet_quant.tflite", HERE / "objects.tflite")
    shutil.rmtree(HERE / "pictures", ignore_errors=True)
    taken: Counter[tuple[str, str]] = Counter()
    with ZipFile(asked.pictures) as archive:
        for name in sorted(archive.namelist()):
            place = PurePosixPath(name).parts
            if len(place) < 3 or place[-3] not in ("train", "test") or name.endswith("/"):
                continue
            part, kind, file = place[-3:]
            if taken[part, kind] == OF_EACH:
                continue
            taken[part, kind] += 1
            target = HERE / "pictures" / part / kind / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(name))
    print(f"wrote {HERE / 'objects.tflite'} and {taken.total()} pictures in {HERE / 'pictures'}")


if __name__ == "__main__":
    main()

"""One picture: from the bytes of its file to pixels of a stated size and colour."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from numpy.typing import NDArray

from spela_mcu.errors import UserError
from spela_mcu.files import MEBIBYTE

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_BYTES: Final = 256 * MEBIBYTE
"""A file of more is no picture to learn from."""

_RULES: Final = 1
"""Counts the changes of what `decode` does: cached pictures of other rules do not count."""

_GREY: Final = {"1", "L", "I;16"}
_ALPHA: Final = {"LA", "PA", "RGBA"}
_KNOWN: Final = _GREY | _ALPHA | {"P", "RGB"}


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Attributes:
        pixels: bytes [rows, columns], or [rows, columns, 3] in colour.
        shape: rows and columns that it had before, upright.
    """

    pixels: NDArray[np.uint8]
    shape: tuple[int, int]


def rules() -> str:
    """What the pixels depend on beside file, size and colour, as a text."""
    import PIL

    return f"{_RULES} {PIL.__version__}"


def decode(
    file: Path, content: bytes, size: tuple[int, int], colour: Literal["grey", "rgb"]
) -> Picture:
    """Decodes a PNG or JPEG, turns it upright, converts its colours, then brings it to the size.

    All by Pillow, in integers: EXIF's orientation is applied; 16 bits a channel lose their lower
    eight; what is transparent is laid on black; grey is ITU-R 601-2's luma; each pixel is the mean
    of the area that it covers (Pillow's BOX), with no regard to the sides' proportion. Of a JPEG
    with several pictures (MPO), as telephones write them, the first is taken.

    Args:
        file: named in errors.
        content: of that file.
        size: [rows, columns] wanted.
        colour: grey or rgb.

    Raises:
        UserError: it is neither, is damaged, huge or moving, or has no unique conversion to RGB.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=("PNG", "JPEG"))
            _check_kind(file, image)
            image.load()
            upright = _upright(image)
            pixels = _converted(upright, colour).resize((size[1], size[0]), Image.Resampling.BOX)
    except UserError:
        raise
    except UnidentifiedImageError as error:
        raise UserError(
            "is neither a PNG nor a JPEG, or its beginning is damaged",
            mend="convert it, or remove it",
            file=file,
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UserError(
            f"has more than {Image.MAX_IMAGE_PIXELS:,} pixels",
            mend="make it smaller, or remove it",
            file=file,
        ) from error
    except Exception as error:  # what Pillow raises for damaged files is of many kinds
        raise UserError(
            f"is damaged or cut off: {' '.join(str(error).split()) or type(error).__name__:.120}",
            mend="copy it again, or remove it",
            file=file,
        ) from error
    return Picture(np.asarray(pixels), (upright.height, upright.width))


def _check_kind(file: Path, image: Image) -> None:
    if image.format == "PNG" and getattr(image, "n_frames", 1) > 1:
        raise UserError(
            f"is a moving picture of {getattr(image, 'n_frames', 1)} frames",
            mend="save the frames that you want as files of their own",
            file=file,
        )
    if image.mode not in _KNOWN:
        raise UserError(
            f"has the colours {image.mode}, which become RGB in more than one way",
            mend="convert it to RGB in the program that made it",
            file=file,
        )


def _upright(image: Image) -> Image:
    from PIL import ImageOps

    return ImageOps.exif_transpose(image)


def _converted(image: Image, colour: Literal["grey", "rgb"]) -> Image:
    from PIL import Image as Images

    if image.mode == "I;16":
        high = (np.asarray(image) >> 8).astype(np.uint8)
        image = Images.fromarray(high)
    if image.mode in _ALPHA or "transparency" in image.info:
        opaque = Images.new("RGBA", image.size, (0, 0, 0, 255))
        image = Images.alpha_composite(opaque, image.convert("RGBA"))
    if image.mode not in _GREY:
        image = image.convert("RGB")  # so that a grey of alpha or a palette is that of its colour
    return image.convert("L" if colour == "grey" else "RGB")

"""Pictures in files: a folder a class."""

import io
import struct
import zlib

import numpy as np
import pytest
from data_models import spec_of
from PIL import Image

from spela_mcu.data import cache, load_dataset, picture
from spela_mcu.errors import UserError
from spela_mcu.spec.load import load_spec

ROWS, COLUMNS = 4, 6


def noise(seed, rows=ROWS, columns=COLUMNS):
    return np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), dtype=np.uint8)


def png(pixels, **keys):
    stream = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(stream, keys.pop("format", "PNG"), **keys)
    return stream.getvalue()


def put(directory, name, content):
    file = directory / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def folder(tmp_path):
    """Two classes of four noisy pictures, whose top left pixel tells class and number."""
    for label, name in enumerate(("cat", "dog")):
        for number in range(4):
            pixels = noise(10 * label + number)
            pixels[0, 0] = (label, number, 0)
            put(tmp_path, f"{name}/{number}.png", png(pixels))
    return tmp_path


def dataset_of(directory, *, size=(ROWS, COLUMNS), **keys):
    source = {"source": "images", "path": str(directory), "size": list(size), **keys}
    return load_dataset(spec_of({"input_range": [0, 255], **source}))


def error_of(directory, **keys):
    with pytest.raises(UserError) as caught:
        dataset_of(directory, **keys)
    assert caught.value.mend
    return caught.value


def decoded(content, size=(ROWS, COLUMNS), colour="rgb"):
    return picture.decode("file", content, size, colour).pixels


def test_a_folder_a_class(folder):
    dataset = dataset_of(folder)
    assert dataset.input_shape == (ROWS, COLUMNS, 3)
    assert dataset.class_names == ("cat", "dog")
    assert dataset.class_counts == (4, 4)
    assert dataset.origin.source == f"images {folder.name}"
    assert not dataset.notices
    seen = set()
    for part in (dataset.train, dataset.validation, dataset.test):
        for x, label in zip(np.rint(part.x * 255).astype(np.uint8), part.y, strict=True):
            number = int(x[1])
            pixels = noise(10 * label + number)
            pixels[0, 0] = (label, number, 0)
            assert np.array_equal(x.reshape(pixels.shape), pixels)
            seen.add((int(label), number))
    assert len(seen) == 8


def test_folders_train_and_test_are_the_parts(folder, tmp_path_factory):
    both = tmp_path_factory.mktemp("both")
    folder.rename(both / "train")
    for name in ("cat", "dog"):
        put(both, f"test/{name}/x.JPG", png(noise(99), format="JPEG"))
    dataset = dataset_of(both)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (6, 2, 2)
    assert "has a test part of its own" in error_of(both, test_fraction=0.5).reason
    put(both, "valid/cat/x.png", png(noise(1)))
    assert "lies beside train and test" in error_of(both).reason


def test_classes_may_be_called_train_and_test(folder):
    (folder / "cat").rename(folder / "train")
    (folder / "dog").rename(folder / "test")
    assert dataset_of(folder).class_names == ("test", "train")


def test_every_pixel_is_the_mean_of_those_it_covers():
    pixels = noise(3, 8, 12)
    means = pixels.reshape(ROWS, 2, COLUMNS, 2, 3).mean(axis=(1, 3))
    # Pillow rounds after either direction.
    assert np.abs(decoded(png(pixels)) - means).max() <= 1
    assert np.array_equal(decoded(png(pixels), (8, 12)), pixels)


def test_grey_is_the_luma_of_the_colour():
    pixels = noise(4)
    grey = decoded(png(pixels), colour="grey")
    assert grey.shape == (ROWS, COLUMNS)
    assert np.abs(grey - pixels @ [0.299, 0.587, 0.114]).max() <= 1
    once_more = decoded(png(grey), colour="rgb")
    assert np.array_equal(once_more, np.repeat(grey[..., None], 3, axis=2))


def test_orientation_of_a_camera_is_applied():
    pixels = noise(5)
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of the picture is at the right of the file's
    content = png(pixels, exif=exif)
    turned = picture.decode("file", content, (COLUMNS, ROWS), "rgb")
    assert np.array_equal(turned.pixels, np.rot90(pixels, -1))
    assert turned.shape == (COLUMNS, ROWS)


def test_sixteen_bits_keep_the_upper_eight():
    wide = np.arange(24, dtype=np.uint16).reshape(ROWS, COLUMNS) * 2730
    assert np.array_equal(decoded(png(wide), colour="grey"), wide >> 8)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "P with alpha"])
def test_what_is_transparent_is_black(mode):
    colours = np.full((ROWS, COLUMNS, 3), 200, np.uint8)
    alpha = np.full((ROWS, COLUMNS), 255, np.uint8)
    alpha[0, 0] = 0
    image = Image.fromarray(np.dstack([colours, alpha]), "RGBA")
    black = mode != "P"
    if mode == "P":
        image = image.convert("RGB").quantize(4)
        content = png(image)
    elif mode == "P with alpha":
        image = Image.fromarray((alpha == 0).astype(np.uint8), "P")
        image.putpalette([200, 200, 200, 90, 90, 90])
        content = png(image, transparency=1)
    else:
        content = png(image.convert(mode))
    expected = colours.copy()
    if black:
        expected[0, 0] = 0
    assert np.array_equal(decoded(content), expected)


def test_two_colours_and_several_pictures_in_one_jpeg():
    bits = noise(7)[..., 0] > 127
    assert np.array_equal(decoded(png(Image.fromarray(bits)), colour="grey"), bits * 255)
    first, second = (Image.fromarray(noise(seed)) for seed in (8, 9))
    several = png(first, format="MPO", save_all=True, append_images=[second])
    assert np.array_equal(decoded(several), decoded(png(first, format="JPEG")))


def bomb():
    """A PNG of a few bytes that says it has 10^10 pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"\0")
    chunks = (header, data, b"IEND")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(one) - 4) + one + struct.pack(">I", zlib.crc32(one)) for one in chunks
    )


def moving():
    frames = [Image.fromarray(noise(seed)) for seed in range(3)]
    return png(frames[0], save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is neither a PNG nor a JPEG"),
        (b"hello", "is neither a PNG nor a JPEG"),
        (png(noise(1), format="GIF"), "is neither a PNG nor a JPEG"),
        (png(noise(1), format="BMP"), "is neither a PNG nor a JPEG"),
        (png(noise(1))[:-30], "is damaged or cut off"),
        (png(noise(1))[:20], "is damaged or cut off"),
        (png(noise(1), format="JPEG")[:-200], "is damaged or cut off"),
        (png(noise(1)).replace(b"IDAT", b"IDAX"), "or its beginning is damaged"),
        (bomb(), "has more than 89,478,485 pixels"),
        (moving(), "is a moving picture of 3 frames"),
        (png(Image.fromarray(noise(1)).convert("CMYK"), format="JPEG"), "has the colours CMYK"),
    ],
)
def test_files_that_are_no_picture(folder, content, reason):
    file = put(folder, "dog/9.jpg", content)
    error = error_of(folder)
    assert reason in error.reason
    assert error.file == file


def test_any_damage_is_told(folder):
    rng = np.random.default_rng(0)
    whole = [png(noise(1, 30, 40)), png(noise(1, 30, 40), format="JPEG")]
    for number in range(200):
        content = bytearray(whole[number % 2])
        for _ in range(3):
            content[rng.integers(len(content))] = rng.integers(256)
        try:
            assert decoded(bytes(content)).shape == (ROWS, COLUMNS, 3)
        except UserError as error:
            assert error.mend


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a.png", "lies beside the folders of the classes"),
        ("dog/deep/a.png", "is a folder in the folder of a class"),
        ("bird/readme.txt", "holds no .png, .jpg or .jpeg"),
    ],
)
def test_files_that_lie_elsewhere(folder, name, reason):
    put(folder, name, png(noise(1)))
    assert reason in error_of(folder).reason


def test_what_lies_among_the_pictures_is_told(folder):
    for name in ("dog/notes.txt", "cat/a.webp", "dog/.DS_Store", "dog/Thumbs.db"):
        put(folder, name, b"")
    dataset = dataset_of(folder)
    assert dataset.origin.left_out == ("2 files that are no PNG or JPEG",)
    assert [note.reason for note in dataset.notices] == [
        "no .png, .jpg or .jpeg, and left out: cat/a.webp and dog/notes.txt"
    ]


def test_stretched_pictures_are_told(folder):
    put(folder, "dog/long.png", png(noise(1, ROWS, 20)))
    [notice] = dataset_of(folder).notices
    assert "1 of 9 pictures are stretched by more than 1.5" in notice.reason
    assert "20 x 4 pixels" in notice.reason


def test_nothing_there(tmp_path):
    assert "holds no folders of pictures" in error_of(tmp_path).reason
    assert "no such directory" in error_of(tmp_path / "none").reason
    assert "is not a directory" in error_of(put(tmp_path, "file", b"")).reason


def test_pictures_are_decoded_once_and_again_when_one_changes(folder, monkeypatch):
    first = dataset_of(folder)
    kept = list(cache.cache_directory().glob("pictures/*.npy"))
    assert len(kept) == 1

    def refuse(*_):
        raise AssertionError

    with monkeypatch.context() as patch:
        patch.setattr("spela_mcu.data.source_images.decode", refuse)
        again = dataset_of(folder)
        with pytest.raises(AssertionError):
            dataset_of(folder, colour="grey")
        with pytest.raises(AssertionError):
            dataset_of(folder, size=(COLUMNS, ROWS))
    assert np.array_equal(first.train.x, again.train.x)
    kept[0].write_bytes(kept[0].read_bytes()[:-9])
    assert np.array_equal(dataset_of(folder).train.x, first.train.x)
    for number in range(4):
        put(folder, f"dog/{number}.png", png(np.zeros((ROWS, COLUMNS, 3), np.uint8)))
    changed = dataset_of(folder)
    assert not changed.train.x[changed.train.y == 1].any()


def test_keys(tmp_path):
    def fault(keys):
        (tmp_path / "model.yaml").write_text(
            f"name: t\ndata: {{source: images, path: x, {keys}}}\n"
            "network: {layers: [{units: 9}]}\n"
        )
        with pytest.raises(UserError) as caught:
            load_spec(tmp_path / "model.yaml")
        return str(caught.value)

    assert "data.size: must be [rows, columns] of 1 or more" in fault("size: [300, 300]")
    assert "a list of 2 whole numbers" in fault("size: 32")
    assert "grey or rgb" in fault("size: [8, 8], colour: gray")

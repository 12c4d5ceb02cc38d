"""A recording in WAV: PCM of 16 bits."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from spela_mcu.data.files import open_error
from spela_mcu.data.recording import Named, Recording
from spela_mcu.errors import UserError
from spela_mcu.files import check_regular
from spela_mcu.spec.data import SeriesData


def read_wav(data: SeriesData, file: Path, named: Named) -> Recording:
    """The recording that a file holds.

    Raises:
        UserError: it cannot be read, is not of 16 bits, or of another rate or number of channels.
    """
    try:
        check_regular(file)
        with wave.open(str(file), "rb") as stream:
            channels, width, rate = (
                stream.getnchannels(),
                stream.getsampwidth(),
                stream.getframerate(),
            )
            content = stream.readframes(stream.getnframes())
    except OSError as error:
        raise open_error(error, file) from error
    except (wave.Error, EOFError) as error:
        raise UserError(
            f"is no WAV file of plain samples: {error}",
            mend="convert it, for example with: sox IN -b 16 -e signed OUT.wav",
            file=file,
        ) from error
    if width != 2:
        raise UserError(
            f"has samples of {8 * width} bits",
            mend="convert it to 16 bits, for example with: sox IN -b 16 OUT.wav",
            file=file,
        )
    if rate != data.rate:
        raise UserError(
            f"has {rate} samples a second, but data.rate is {data.rate:g}",
            mend=f"correct data.rate, or convert it: sox IN -r {data.rate:g} OUT.wav",
            file=file,
        )
    axes = len(data.axes)
    if channels != axes:
        raise UserError(
            f"has {channels} channels, but data.axes names {axes}",
            mend=f"mix it down (sox IN -c {axes} OUT.wav), or name its channels in data.axes",
            file=file,
        )
    if named.label is None:
        raise UserError(
            "nothing tells its label",
            mend="name data.file_names, or put the files into a folder a class",
            file=file,
        )
    whole = len(content) // (2 * channels) * 2 * channels
    values = np.frombuffer(content[:whole], "<i2").reshape(-1, channels).astype(np.int64)
    return Recording(file, "", named.label, named.group, values, None)

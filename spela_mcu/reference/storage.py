"""Float networks as .npz files: arrays and plain text, never pickle."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from spela_mcu.backbone.graph import Shape
from spela_mcu.errors import UserError
from spela_mcu.files import check_regular, write_whole
from spela_mcu.fixed_point.maps import Sides, Window
from spela_mcu.reference.filters import FloatFilters
from spela_mcu.reference.local_loss import Loss
from spela_mcu.reference.network import FloatLayer, FloatNetwork

FORMAT_VERSION: Final = 2
"""Raised when the meaning of a saved network changes; older files are then refused."""

_DAMAGE = (
    OSError,
    EOFError,
    MemoryError,  # a header that promises more data than there is
    OverflowError,
    KeyError,
    TypeError,  # a single array (.npy) is not a mapping
    ValueError,
    NotImplementedError,  # a compression method or flag unknown to zipfile
    RuntimeError,  # an encrypted member
    zipfile.BadZipFile,
    zlib.error,
)
"""What numpy and zipfile raise for a file that is truncated, altered or something else."""


class SavedNetwork(NamedTuple):
    """A network and the digest of what it was trained from (empty if unknown)."""

    network: FloatNetwork
    training_digest: str


def save_network(path: Path, network: FloatNetwork, training_digest: str = "") -> None:
    """Writes a network; the same network gives the same bytes.

    Members: format_version, training_digest, loss, margin, normalize_inputs, bias,
    negative_slope [layers], and per layer k from 0 weight_k [units, inputs] and embedding_k
    [classes, units]; of a tap also tap_k, true; of a convolution, whose read-out these are, also
    filters_k [filters, patch] and window_k: rows, columns and channels of its input map, filters,
    and kernel, stride, pool and grid along rows and along columns.
    """
    arrays: dict[str, NDArray[Any]] = {
        "format_version": np.array(FORMAT_VERSION),
        "training_digest": np.array(training_digest),
        "loss": np.array(network.loss),
        "margin": np.array(network.margin, dtype=np.float64),
        "normalize_inputs": np.array(network.normalize_inputs),
        "bias": np.array(network.bias),
        "negative_slope": np.array([layer.negative_slope for layer in network.layers]),
    }
    for index, layer in enumerate(network.layers):
        arrays[f"weight_{index}"] = layer.weight
        arrays[f"embedding_{index}"] = layer.embedding
        if layer.is_tap:
            arrays[f"tap_{index}"] = np.array(True)
        if layer.filters is not None:
            window = layer.filters.window
            sides = (window.kernel, window.stride, window.pool, window.grid)
            arrays[f"filters_{index}"] = layer.filters.weight
            numbers = [*window.map, window.filters, *(side for pair in sides for side in pair)]
            arrays[f"window_{index}"] = np.array(numbers)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # numpy types the names as options
    write_whole(path, buffer.getvalue())


def load_network(path: Path) -> FloatNetwork:
    """Reads a network that `save_network` wrote.

    Raises:
        UserError: the file cannot be read, is damaged, or is not a network of this version.
    """
    return load_saved(path).network


def load_saved(path: Path) -> SavedNetwork:
    """As `load_network`, with the digest saved beside the network."""
    try:
        check_regular(path)
        with np.load(path, allow_pickle=False) as arrays:
            version = int(arrays["format_version"])
            if version == FORMAT_VERSION:
                return SavedNetwork(_network(arrays), str(arrays["training_digest"]))
    except FileNotFoundError as error:
        raise UserError("there is no trained network here", file=path, mend=_TRAIN) from error
    except IsADirectoryError as error:
        raise UserError("is a directory, not a network", file=path, mend=_TRAIN) from error
    except PermissionError as error:
        raise UserError("may not be read", file=path, mend="change its permissions") from error
    except _DAMAGE as error:
        raise UserError("is damaged, or not a trained network", file=path, mend=_TRAIN) from error
    raise UserError(
        f"was saved in format {version}, this version reads format {FORMAT_VERSION}",
        file=path,
        mend=_TRAIN,
    )


_TRAIN = "train it again: spela-mcu train model.yaml"


def _network(arrays: Any) -> FloatNetwork:  # noqa: ANN401 - numpy's NpzFile is private
    """Builds the network; every ValueError here means a damaged file."""
    loss: Loss = str(arrays["loss"])  # type: ignore[assignment]  # checked on the next line
    if loss not in get_args(Loss):
        raise ValueError(loss)
    layers = []
    for index, slope in enumerate(arrays["negative_slope"].tolist()):
        weight, embedding = arrays[f"weight_{index}"], arrays[f"embedding_{index}"]
        if weight.dtype != np.float32 or embedding.dtype != np.float32:
            raise ValueError("weights and embeddings are float32")
        if not (np.isfinite(weight).all() and np.isfinite(embedding).all()):
            raise ValueError("weights and embeddings are finite")
        filters = _filters(arrays, index) if f"filters_{index}" in arrays else None
        is_tap = f"tap_{index}" in arrays
        layers.append(FloatLayer(weight, embedding, float(slope), filters, is_tap))
    network = FloatNetwork(
        tuple(layers),
        loss,
        float(arrays["margin"]),
        bool(arrays["normalize_inputs"]),
        bool(arrays["bias"]),
    )
    return network.copy()  # copied into memory that torch aligns


def _filters(arrays: Any, index: int) -> FloatFilters:  # noqa: ANN401 - as above
    weight = arrays[f"filters_{index}"]
    if weight.dtype != np.float32 or not np.isfinite(weight).all():
        raise ValueError("filters are float32 and finite")
    rows, columns, channels, filters, *sides = arrays[f"window_{index}"].tolist()
    if min(rows, columns, channels, filters, *sides) < 1:
        raise ValueError("sizes are positive")
    kernel, stride, pool, grid = (Sides(*sides[at : at + 2]) for at in range(0, 8, 2))
    window = Window(Shape(rows, columns, channels), filters, kernel, stride, pool, grid)
    if window.pooled.positions < 1 or len(sides) != 8:
        raise ValueError("nothing is left of the map")
    return FloatFilters(weight, window)

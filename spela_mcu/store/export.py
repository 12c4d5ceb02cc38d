"""A learned state in a file: a store's slot with units of four bytes (docs/store.md)."""

from __future__ import annotations

from pathlib import Path

from spela_mcu.errors import UserError
from spela_mcu.files import MEBIBYTE, disk_error, read_bounded, write_whole
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.structures import model_digests
from spela_mcu.store.payload import learned_state, read_payload, restore, write_payload
from spela_mcu.store.slots import (
    FORMAT_VERSION,
    SavedState,
    overhead_bytes,
    read_slot,
    write_slot,
)

UNIT_BYTES = 4
MOST_BYTES = 256 * MEBIBYTE


def write_export(file: Path, digest: int, payload: bytes) -> None:
    """Writes a state as the payload of a store, learned by the model with this digest.

    Raises:
        UserError: the file cannot be written.
    """
    saved = SavedState(1, digest, payload)
    size = overhead_bytes(UNIT_BYTES) + len(payload)
    try:
        write_whole(file, write_slot(saved, unit_bytes=UNIT_BYTES, slot_bytes=size))
    except OSError as error:
        raise _disk(error, file) from error


def read_export(file: Path) -> SavedState:
    """Reads what `write_export` wrote.

    Raises:
        UserError: the file cannot be read, is damaged, or in a format that this version does not
            know.
    """
    try:
        saved = read_slot(read_bounded(file, MOST_BYTES), unit_bytes=UNIT_BYTES)
    except OSError as error:
        raise _disk(error, file) from error
    if saved is None or not saved.payload:
        raise UserError(
            "holds no learned state, or is damaged",
            mend="take a file that `spela-mcu device PORT export FILE` wrote",
            file=file,
        )
    if saved.version != FORMAT_VERSION:
        raise UserError(
            f"holds a state in format {saved.version}, and this program reads {FORMAT_VERSION}",
            mend="take the version of spela-mcu that exported it",
            file=file,
        )
    return saved


def export_state(network: IntegerNetwork, file: Path, model: int) -> None:
    """Writes what a network has learned, for `spela-mcu device PORT import`.

    Args:
        network: it stays as it is.
        file: what to write.
        model: digest of the model that the device serves (`Prepared.source().digest`, or
            `Device.info().digest`): that of a network differs by where it starts from.

    Raises:
        UserError: the digest is not one of the network's, or the file cannot be written.
    """
    _check_model(network, model, file)
    write_export(file, model, write_payload(network.plan, learned_state(network)))


def import_state(network: IntegerNetwork, file: Path) -> IntegerNetwork:
    """Gives a network what a device has learned, as `spela-mcu device PORT export` wrote it.

    Args:
        network: of the device's model; it is changed and returned.
        file: what to read.

    Raises:
        UserError: the file cannot be read, or another model has learned what it holds.
    """
    saved = read_export(file)
    _check_model(network, saved.digest, file)
    restore(network, read_payload(network.plan, saved.payload))
    return network


def _check_model(network: IntegerNetwork, digest: int, file: Path) -> None:
    own = model_digests(network.plan, network.initial)
    if digest not in own:
        raise UserError(
            f"the state is of the model 0x{digest:08X}, and the network of 0x{own[0]:08X}",
            mend="take the network of the same model.yaml",
            file=file,
        )


def _disk(error: OSError, file: Path) -> UserError:
    return disk_error(error, file) or UserError(
        f"cannot be used: {error.strerror or error}", mend="name another file", file=file
    )

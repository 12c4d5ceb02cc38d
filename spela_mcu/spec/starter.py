"""A model.yaml to start from."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from tempfile import NamedTemporaryFile

from spela_mcu.errors import UserError
from spela_mcu.spec.load import json_schema

MODEL_FILE = "model.yaml"
SCHEMA_FILE = "model.schema.json"


def write_starter(directory: Path) -> Path:
    """Writes a commented model.yaml that works as it is, and the JSON Schema next to it.

    Args:
        directory: where to write; created if it does not exist.

    Returns:
        The path of the model.yaml.

    Raises:
        UserError: one of the files exists, or the directory cannot be written.
    """
    model, schema = directory / MODEL_FILE, directory / SCHEMA_FILE
    for file in (model, schema):
        if file.exists():
            raise UserError(
                "the file exists and is not overwritten",
                mend="name another directory, or move the file away",
                file=file,
            )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _write(schema, schema_text())
        try:
            _write(model, files("spela_mcu.spec").joinpath("starter.yaml").read_text("utf-8"))
        except OSError:
            schema.unlink()  # left in place, it would make the next attempt fail
            raise
    except OSError as error:
        raise UserError(
            f"cannot be written: {error.strerror}",
            mend="name a directory that you may write to",
            file=directory,
        ) from error
    return model


def schema_text() -> str:
    """The JSON Schema as it is written and printed."""
    return json.dumps(json_schema(), indent=2) + "\n"


def _write(file: Path, text: str) -> None:
    with NamedTemporaryFile("w", encoding="utf-8", dir=file.parent, delete=False) as stream:
        temporary = Path(stream.name)
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.chmod(0o644)
        temporary.replace(file)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise

"""Reads model.yaml into a ModelSpec: the first stage, and the only one that knows its lines."""

from __future__ import annotations

from collections.abc import Sized
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from spela_mcu.errors import UserError, UserErrors
from spela_mcu.spec.convolutions import convolution_faults
from spela_mcu.spec.data import Data, DividedData, PythonData
from spela_mcu.spec.document import Document, key_path, read_document
from spela_mcu.spec.faults import user_error
from spela_mcu.spec.limits import MAX_CLASSES, UINT32_MAX
from spela_mcu.spec.model import ModelSpec
from spela_mcu.spec.network import MAX_READOUT, Convolution, Dense, Layer, answering_units


class LabelledData(Protocol):
    """What `check_against_data` needs to know of a data set."""

    @property
    def classes(self) -> int:
        """Number of classes."""

    @property
    def train(self) -> Sized:
        """The training samples."""


def load_spec(path: Path) -> ModelSpec:
    """Reads and checks a model.yaml.

    Args:
        path: the file. Paths in it are relative to its directory.

    Returns:
        The spec, with the paths of the data (or the file of its function) and of the backbone
        absolute.

    Raises:
        UserError: the file cannot be read or says something impossible; `UserErrors` if it
            says several such things. Whether the data fit is checked by `load_dataset`.
    """
    document = read_document(path)
    try:
        spec = ModelSpec.model_validate(document.data)
    except ValidationError as error:
        raise user_error(document, error) from error
    faults = _unused_keys(spec) + convolution_faults(spec)
    if spec.network.classes is not None:
        faults += _too_many_classes(spec, len(spec.network.classes))
    _raise(faults, document)
    directory = path.absolute().parent
    anchored: dict[str, object] = {"data": _anchored(spec.data, directory)}
    if spec.network.backbone is not None:
        backbone = directory / spec.network.backbone
        anchored["network"] = spec.network.model_copy(update={"backbone": backbone})
    return spec.model_copy(update=anchored)


def check_against_data(spec: ModelSpec, dataset: LabelledData, path: Path | None = None) -> None:
    """Checks what depends on the data.

    Args:
        spec: the model.
        dataset: anything with a number of classes and training samples.
        path: the model.yaml, so that errors can name lines.

    Raises:
        UserError: a layer is too narrow for its embeddings, more is to be learned than the chip
            can count, or a command line asks for what convolutions cannot do.
    """
    faults = _too_many_classes(spec, dataset.classes) + convolution_faults(spec)
    samples = spec.learning.epochs * len(dataset.train)
    if samples > UINT32_MAX:
        faults.append(
            UserError(
                f"{spec.learning.epochs} passes over {len(dataset.train)} training samples are "
                f"{samples}, but the chip counts {UINT32_MAX} at most",
                mend=f"set epochs to {UINT32_MAX // len(dataset.train)} or less",
                key="learning.epochs",
            )
        )
    _raise(faults, None if path is None else read_document(path))


def located(error: UserError, path: Path) -> UserError:
    """The error with file and line added, if it names a key of model.yaml and no file."""
    if error.file is not None or error.key is None:
        return error
    return _at(error, read_document(path))


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of model.yaml, for editors that complete and check it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **ModelSpec.model_json_schema(),
        "title": "spela-mcu model.yaml",
    }


def _anchored(data: Data, directory: Path) -> Data:
    if isinstance(data, PythonData):
        module, _, function = data.function.rpartition(":")
        if not module.endswith(".py"):
            return data
        return data.model_copy(update={"function": f"{directory / module}:{function}"})
    if hasattr(data, "path"):
        return data.model_copy(update={"path": directory / data.path})
    return data


def _unused_keys(spec: ModelSpec) -> list[UserError]:
    """Notices about keys that are given but have no effect."""
    faults = []
    network, learning = spec.network, spec.learning
    if "margin" in network.model_fields_set and network.loss != "margin":
        faults.append(
            UserError(
                f"loss: {network.loss} uses no margin",
                mend="remove margin, or set loss: margin",
                key="network.margin",
            )
        )
    for index, layer in enumerate(network.layers):
        if (
            isinstance(layer, Dense)
            and "negative_slope" in layer.model_fields_set
            and layer.activation == "relu"
        ):
            faults.append(
                UserError(
                    "activation: relu has no negative_slope",
                    mend="remove negative_slope, or set activation: leaky_relu",
                    key=f"network.layers[{index}].negative_slope",
                )
            )
    if "rate_halvings" in learning.model_fields_set and learning.halve_rate_every == 0:
        faults.append(
            UserError(
                "without halve_rate_every the learning rate is never halved",
                mend="remove rate_halvings, or set halve_rate_every: auto",
                key="learning.rate_halvings",
            )
        )
    if "loss_points" in spec.exits.model_fields_set and not spec.exits.early:
        faults.append(
            UserError(
                "without early: true no sample leaves early",
                mend="remove loss_points, or set early: true",
                key="exits.loss_points",
            )
        )
    faults += _unused_exits(spec)
    if not spec.guard.samples and spec.guard.model_fields_set - {"samples"}:
        faults.append(
            UserError(
                "without samples there is no guard",
                mend="set samples, to a few of each class, or remove the section",
                key="guard",
            )
        )
    if spec.guard.samples and spec.guard.drop >= spec.guard.samples:
        faults.append(
            UserError(
                f"of {spec.guard.samples} samples never more than {spec.guard.drop} can be lost",
                mend=f"set drop below {spec.guard.samples}",
                key="guard.drop",
            )
        )
    if spec.guard.samples and network.backbone is not None:
        faults.append(
            UserError(
                "a model with a backbone cannot have a guard: a look would replace the features of "
                "the sample before",
                mend="remove guard",
                key="guard.samples",
            )
        )
    if "cut" in network.model_fields_set and network.backbone is None:
        faults.append(
            UserError(
                "without a backbone there is nothing to cut",
                mend="remove cut, or name a .tflite as network.backbone",
                key="network.cut",
            )
        )
    if network.backbone is not None and spec.data.input_range is not None:
        faults.append(
            UserError(
                "with a backbone, samples are scaled as its .tflite says, and the range of its "
                "features is measured",
                mend="remove input_range",
                key="data.input_range",
            )
        )
    faults += _front_end_faults(spec)
    if "test_fraction" in spec.data.model_fields_set and isinstance(spec.data, DividedData):
        faults.append(
            UserError(
                f"{spec.data.source} data bring their own test part",
                mend="remove test_fraction; test_limit makes the test part smaller",
                key="data.test_fraction",
            )
        )
    return faults


def _front_end_faults(spec: ModelSpec) -> list[UserError]:
    """What a front end, if there is one, makes superfluous or cannot do."""
    if spec.front_end is None:
        return []
    faults = [
        UserError(
            f"the front end's own scale brings features to int8, so {name} has no effect",
            mend=f"remove {name}; front_end.scale says how",
            key=f"data.{name}",
        )
        for name in ("scaling", "input_range")
        if name in spec.data.model_fields_set
    ]
    if spec.network.backbone is not None:
        faults.append(
            UserError(
                "a front end cannot stand before a backbone: it scales features for layers that "
                "learn, and a .tflite takes those that it was trained on",
                mend="remove front_end, and make samples as the .tflite's own training did, in the "
                "data and in your firmware; or remove network.backbone, and layers learn from the "
                "front end's features",
                key="front_end",
            )
        )
    return faults


def _unused_exits(spec: ModelSpec) -> list[UserError]:
    """Notices about keys of `exits` that have no effect."""
    network, faults = spec.network, []
    if spec.exits.early and len(network.layers) == 1 and not network.exits_at:
        faults.append(
            UserError(
                "a single layer has no earlier exit",
                mend="remove early, or add a layer",
                key="exits.early",
            )
        )
    if spec.exits.unknown_by is not None and spec.exits.unknown_share == 0:
        faults.append(
            UserError(
                "no answer is unknown",
                mend="set exits.unknown_share, or remove unknown_by",
                key="exits.unknown_by",
            )
        )
    return faults


def _too_many_classes(spec: ModelSpec, classes: int) -> list[UserError]:
    """What is wrong with the number of the data's classes and the spare ones."""
    spare = spec.network.spare_classes
    if classes + spare > MAX_CLASSES:
        return [
            UserError(
                f"{classes} classes and {spare} spare ones are more than {MAX_CLASSES}",
                mend=f"set spare_classes to {max(MAX_CLASSES - classes, 0)} or less",
                key="network.spare_classes",
            )
        ]
    return _narrow_layers(spec, classes + spare)


def _narrow_layers(spec: ModelSpec, classes: int) -> list[UserError]:
    kind = spec.network.embedding
    # A regular simplex of C points spans C - 1 dimensions, C orthogonal vectors span C.
    least = {"simplex": classes - 1, "orthogonal": classes, "random": 1}[kind]
    return [
        _narrow(layer, f"network.layers[{index}]", f"the {kind} embedding of {classes}", least)
        for index, layer in enumerate(spec.network.layers)
        if answering_units(layer) < least
    ]


def _narrow(layer: Layer, key: str, what: str, least: int) -> UserError:
    units, answering = answering_units(layer), "units"
    mend = f"give the layer {least} units or more, or set embedding: random"
    if isinstance(layer, Convolution):
        answering = "readout"
        mend = "set embedding: random"
        if least <= MAX_READOUT:
            mend = f"give its read-out {least} units or more, or set embedding: random"
    return UserError(
        f"{units} units are too few for {what} classes", mend=mend, key=f"{key}.{answering}"
    )


def _raise(faults: list[UserError], document: Document | None) -> None:
    if document is not None:
        faults = sorted((_at(fault, document) for fault in faults), key=lambda one: one.line or 0)
    if faults:
        raise faults[0] if len(faults) == 1 else UserErrors(faults)


def _at(error: UserError, document: Document) -> UserError:
    line = document.line_of(key_path(error.key or ""))
    return UserError(error.reason, mend=error.mend, file=document.file, line=line, key=error.key)

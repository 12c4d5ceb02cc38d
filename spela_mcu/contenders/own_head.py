"""What the backbone's own classifier says: the .tflite to its last fully connected operator."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spela_mcu.backbone.load import read_backbone
from spela_mcu.backbone.network import run
from spela_mcu.backbone.plan import BackbonePlan
from spela_mcu.contenders.contender import Contender, Outcome
from spela_mcu.contenders.standings import Skipped
from spela_mcu.data.dataset import Dataset
from spela_mcu.errors import UserError
from spela_mcu.reference.network import FloatNetwork
from spela_mcu.spec.model import ModelSpec


def own_head(spec: ModelSpec, dataset: Dataset, _: FloatNetwork | None) -> Outcome:
    """The .tflite's own answers: nothing is learned from the training part.

    Its outputs are taken in the order of the classes: see `check`. A SOFTMAX behind them would not
    change the greatest.
    """
    extracted = dataset.test.extracted
    assert spec.network.backbone is not None
    assert extracted is not None
    scores = run(_with_head(spec.network.backbone), extracted.samples)
    return Outcome((float(np.mean(scores.argmax(axis=1) == dataset.test.y)),))


CONTENDER = Contender("own_head", "the .tflite's own head, not learned", own_head)


def check(spec: ModelSpec, dataset: Dataset) -> Skipped | None:
    """Why the own head of a model's .tflite cannot be compared; None if it can."""
    assert spec.network.backbone is not None
    try:
        outputs = _with_head(spec.network.backbone).features.shape.size
    except UserError as error:
        return Skipped(CONTENDER, error.reason, error.mend)
    if outputs != dataset.classes:
        return Skipped(
            CONTENDER,
            f"it tells {outputs} classes, and the data have {dataset.classes}",
            "number the labels as the outputs of the .tflite, to have it compared",
        )
    numbers = tuple(map(str, range(outputs)))
    if spec.network.classes is None and dataset.class_names != numbers:
        return Skipped(
            CONTENDER,
            "the classes are not numbered from 0, and so may have another order than its outputs",
            "list network.classes in the order of the outputs of the .tflite, to have it compared",
        )
    return None


def _with_head(file: Path) -> BackbonePlan:
    """The .tflite up to the output of its last FULLY_CONNECTED."""
    from spela_mcu.backbone.read import read_graph

    graph = read_graph(file)
    dense = [operator for operator in graph.operators if operator.kind == "FULLY_CONNECTED"]
    if not dense or not dense[-1].outputs:
        raise UserError("it has no FULLY_CONNECTED", file=file)
    return read_backbone(file, graph.tensors[dense[-1].outputs[0]].name)

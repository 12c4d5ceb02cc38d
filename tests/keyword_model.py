"""A small .tflite in front of a model: scikit-learn's digits through random convolutions.

    python tests/keyword_model.py DIRECTORY

writes it there with its model.yaml.
"""

import sys
from pathlib import Path

import numpy as np
from tflite_files import WINDOW, Layers, TfliteModel

SCALE, ZERO_POINT = 0.0653, -128
"""Of the samples: grey values 0 to 16 nearly fill int8."""


def digits_backbone(file, seed=3, head=10):
    """Writes a .tflite for 8 x 8 digits: a convolution, a depthwise one, pooling and a head."""
    model = TfliteModel()
    source = model.sample((1, 8, 8, 1), SCALE, ZERO_POINT)
    layers = Layers(model, np.random.default_rng(seed))
    window = WINDOW | {"FusedActivationFunction": "RELU"}
    source = layers.weighted("CONV_2D", source, (12, 3, 3, 1), 0, (1, 8, 8, 12), **window)
    window |= {"StrideH": 2, "StrideW": 2}
    source = layers.weighted(
        "DEPTHWISE_CONV_2D", source, (1, 3, 3, 12), 3, (1, 4, 4, 12), DepthMultiplier=1, **window
    )
    scale, zero = model.tensors[source].scales[0], model.tensors[source].zeros[0]
    pooled = model.activation("pooled", (1, 2, 2, 12), scale, zero)
    model.operator(
        "AVERAGE_POOL_2D", [source], [pooled], Padding="VALID", StrideH=2, StrideW=2,
        FilterHeight=2, FilterWidth=2,
    )  # fmt: skip
    scores = layers.weighted("FULLY_CONNECTED", pooled, (head, 48), 0, (1, head))
    answer = model.activation("answer", (1, head), 1 / 256, -128)
    model.operator("SOFTMAX", [scores], [answer], Beta=1.0)
    file.write_bytes(model.build())
    return file


MODEL = """
name: seen
data: {{source: sklearn, dataset: digits{data}}}
network:
  backbone: digits.tflite
  layers: [{{units: 24}}, {{units: 16}}]
{network}learning: {{start: {start}}}
target: {{board: {board}}}
"""


def write_model(directory, *, board="mps2-an386", start="untrained", network="", data=""):
    """A model.yaml with a backbone beside it."""
    digits_backbone(directory / "digits.tflite")
    path = directory / "model.yaml"
    path.write_text(MODEL.format(board=board, start=start, network=network, data=data))
    return path


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.mkdir(parents=True, exist_ok=True)
    print(write_model(place))

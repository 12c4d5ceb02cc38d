"""The local loss of a SPELA layer: its value, and its gradient in closed form.

Every layer k holds one unit vector (embedding) per class. With ``u = h / |h|`` the direction of
the layer's activation and ``c_i = <u, e_i>`` its cosine with class i, the loss for label y is

    cosine       L = -c_y
    log_cosine   L = log(2 - c_y)
    margin       L = max(0, theta - (c_y - max_{i != y} c_i))
    softmax      L = log(sum_i exp(8 (c_i - c_y))) / 8

Sources: cosine, arXiv 2402.09769v2; log_cosine, the authors' notebooks; margin, this project;
softmax, the cross entropy of the softmax over 8 times the cosines.
docs/algorithm.md derives the gradient. This module is the only place that holds the formulas:
training in batches and learning online both call it.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

Loss = Literal["cosine", "log_cosine", "margin", "softmax"]

SHARPNESS = 8.0
"""By what the softmax loss multiplies cosines, which differ by 2 at most."""
LEARNED = 1 / 64
"""The softmax loss learns nothing from a label that lacks less than this to certainty."""


class Direction(NamedTuple):
    """Activations split into direction and length.

    Attributes:
        unit: [n, units], ``h / |h|``; zeros where ``|h| = 0``.
        inverse_norm: [n, 1], ``1 / |h|``; 0 where ``|h| = 0``.
    """

    unit: Tensor
    inverse_norm: Tensor


def direction(h: Tensor) -> Direction:
    """Splits activations [n, units] into direction and length; a zero row stays zero."""
    # In float64, where no square of a float32 over- or underflows: in a deep network whose
    # inputs are not normalised, activations may grow or shrink by orders of magnitude per layer.
    norm = torch.linalg.vector_norm(h, dim=1, keepdim=True, dtype=torch.float64)
    inverse = norm.reciprocal_().to(h.dtype)
    # 1/0 is inf: such a row has no direction, so its cosines and update are 0. (1/inf is 0,
    # but times inf it makes a NaN, which stays visible.)
    inverse.masked_fill_(inverse.isinf(), 0.0)
    return Direction(h * inverse, inverse)


def ascent(
    z: Tensor,
    h: Direction,
    cosines: Tensor,
    y: Tensor,
    embedding: Tensor,
    *,
    loss: Loss,
    margin: float,
    negative_slope: float,
) -> tuple[Tensor, Tensor]:
    """Minus the gradient of each sample's local loss with respect to its pre-activation.

        delta = g (v - <v, u> u) / |h| * act'(z)

    with ``v = e_y`` (cosine, log_cosine), ``v = e_y - e_w`` (margin; w is the wrong class of
    largest cosine, the first of equals) or ``v = e_y - sum_i s_i e_i`` (softmax s),
    ``g = 1 / (2 - c_y)`` for log_cosine and 1 otherwise,
    and ``act'(z) = 1`` for z > 0, else `negative_slope`.

    Args:
        z: [n, units], pre-activations.
        h: the activations' direction, of the same samples.
        cosines: [n, classes], ``h.unit @ embedding.T``.
        y: int64 [n], labels.
        embedding: [classes, units], unit rows.
        loss: which local loss.
        margin: theta; used only by the margin loss.
        negative_slope: slope of the activation for z <= 0.

    Returns:
        delta [n, units], and bool [n]: whether the sample updates the layer. It does not where
        ``|h| = 0``, where the margin is met (c_y - c_w >= theta), or where the label's softmax
        lacks less than `LEARNED` to 1; its delta is 0 there.
    """
    labels = y[:, None]
    label_cosine = cosines.gather(1, labels)  # [n, 1]
    updated = h.inverse_norm > 0  # [n, 1]
    gain = h.inverse_norm
    target = embedding.index_select(0, y)
    along = label_cosine  # <v, u>, [n, 1]
    if loss == "margin":
        # A cosine is at least -1, so -2 takes the label out of the maximum.
        wrong_cosine, wrong = cosines.scatter(1, labels, -2.0).max(dim=1, keepdim=True)
        target.sub_(embedding.index_select(0, wrong[:, 0]))
        along = label_cosine - wrong_cosine
        updated = updated & (along < margin)
        gain = gain * updated
    elif loss == "softmax":
        shares = torch.softmax(SHARPNESS * cosines, dim=1)
        target.sub_(shares @ embedding)
        along = label_cosine - (shares * cosines).sum(dim=1, keepdim=True)
        updated = updated & (1 - shares.gather(1, labels) >= LEARNED)
        gain = gain * updated
    elif loss == "log_cosine":
        gain = gain / (2.0 - label_cosine)
    delta = target.addcmul_(along, h.unit, value=-1.0).mul_(gain)
    positive = z > 0
    if negative_slope == 0.0:
        delta.mul_(positive)
    else:
        delta = torch.where(positive, delta, delta * negative_slope)
    return delta, updated[:, 0]

"""Class embeddings: the fixed unit vectors that a layer's activation is compared with."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["simplex", "orthogonal", "random"]

DRAWS = 32
"""Number of arrangements among which `class_embeddings` chooses for a narrow layer."""

NARROW = 8
"""A layer with fewer units per class is narrow; wider ones are not searched, as it takes
minutes."""


@lru_cache(maxsize=64)
def class_embeddings(kind: Kind, classes: int, units: int, seed: int) -> NDArray[np.float64]:
    """One unit vector per class, in R^units.

    For a narrow layer, the one of `DRAWS` random arrangements with the greatest `least_lead` is
    taken: some nearly hide a class from a layer with ReLU (docs/accuracy.md).

    Args:
        kind: see `drawn_embeddings`.
        classes: number of vectors, 2 or more.
        units: dimension; simplex needs classes - 1, orthogonal `classes`.
        seed: of the arrangements; layers of one network take different seeds.

    Returns:
        float64 [classes, units], not writeable. The same arguments give the same vectors.

    Raises:
        ValueError: the dimension is too small. (`check_against_data` tells a user first.)
    """
    rng = np.random.default_rng(seed)
    draws = DRAWS if units < NARROW * classes else 1
    drawn = (drawn_embeddings(kind, classes, units, rng) for _ in range(draws))
    best = max(drawn, key=least_lead)
    best.flags.writeable = False  # shared by all callers, through the cache
    return best


def least_lead(embeddings: NDArray[np.float64]) -> float:
    """How clearly a layer with ReLU can tell its least clear class from the others.

    An activation behind a ReLU has no negative component, so it is nearest to class c along the
    positive part of e_c. The result is the least lead, over all classes, of the cosine there over
    that of the best other class; negative if the other is greater.

    Args:
        embeddings: unit vectors [classes, units].
    """
    positive = np.maximum(embeddings, 0)
    # Without a positive component all its cosines are 0, and it has no lead.
    length = np.maximum(np.linalg.norm(positive, axis=1), np.finfo(np.float64).tiny)
    cosines = (positive @ embeddings.T) / length[:, np.newaxis]
    own = np.diagonal(cosines).copy()
    np.fill_diagonal(cosines, -1.0)
    return float((own - cosines.max(axis=1)).min())


def drawn_embeddings(
    kind: Kind, classes: int, units: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """One random arrangement of unit vectors [classes, units].

    - ``simplex``: a regular simplex about the origin, in a random rotation: every pairwise
      cosine is -1 / (classes - 1), the least that `classes` vectors can all have. The repelling
      points of SPELA's authors (arXiv 2402.09769) converge to it.
    - ``orthogonal``: `classes` orthonormal vectors in a random rotation.
    - ``random``: independent, uniform on the sphere.

    Raises:
        ValueError: the dimension is too small.
    """
    if kind == "simplex":
        return _simplex(classes) @ _random_frame(rng, classes - 1, units)
    if kind == "orthogonal":
        return _random_frame(rng, classes, units)
    vectors = rng.standard_normal((classes, units))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def _simplex(classes: int) -> NDArray[np.float64]:
    """The vertices of a regular simplex on the unit sphere: [classes, classes - 1].

    With n = classes - 1: v_i = sqrt(1 + 1/n) e_i - n^(-3/2) (sqrt(n + 1) + 1) 1 for i < n, and
    the last vertex is n^(-1/2) 1, where 1 is the vector of ones.
    """
    n = classes - 1
    vertices = np.full((classes, n), -(n**-1.5) * (np.sqrt(classes) + 1))
    vertices[np.arange(n), np.arange(n)] += np.sqrt(1 + 1 / n)
    vertices[n] = n**-0.5
    return vertices


def _random_frame(rng: np.random.Generator, vectors: int, units: int) -> NDArray[np.float64]:
    """Orthonormal rows [vectors, units], uniform over all such frames (Haar measure).

    The QR decomposition of a Gaussian matrix is uniform once R's diagonal is made positive
    (Mezzadri, Notices of the AMS 54, 2007).
    """
    if units < vectors:
        raise ValueError(f"{vectors} orthonormal vectors do not fit into {units} dimensions")
    q, r = np.linalg.qr(rng.standard_normal((units, vectors)))
    return np.ascontiguousarray((q * np.where(np.diag(r) < 0, -1.0, 1.0)).T)

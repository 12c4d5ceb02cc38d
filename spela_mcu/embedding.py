"""Class embeddings: the fixed unit vectors that a layer's activation is compared with."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray


def class_embeddings(
    kind: Literal["simplex", "orthogonal", "random"], classes: int, units: int, seed: int
) -> NDArray[np.float64]:
    """One unit vector per class, in R^units.

    - ``simplex``: a regular simplex about the origin, in a random rotation: every pairwise
      cosine is -1 / (classes - 1), the least that `classes` vectors can all have. It is what
      the repelling points of SPELA's authors (arXiv 2402.09769) converge to.
    - ``orthogonal``: `classes` orthonormal vectors in a random rotation.
    - ``random``: independent, uniform on the sphere.

    Args:
        kind: which of the three.
        classes: number of vectors, 2 or more.
        units: dimension; simplex needs classes - 1, orthogonal `classes`.
        seed: of rotation and vectors; layers of one network take different seeds.

    Returns:
        float64 [classes, units]. The same arguments give the same vectors.

    Raises:
        ValueError: the dimension is too small. (`check_against_data` tells a user first.)
    """
    rng = np.random.default_rng(seed)
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

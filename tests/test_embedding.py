"""Class embeddings: lengths and angles are exact, vectors repeat for a seed."""

import numpy as np
import pytest

from spela_mcu.embedding import DRAWS, class_embeddings, drawn_embeddings, least_lead

# Float64 dot products of unit vectors: a few units in the last place of 1.
EXACT = 1e-12


def cosines(vectors):
    return vectors @ vectors.T


@pytest.mark.parametrize("classes", [2, 3, 7, 10, 26, 256])
@pytest.mark.parametrize("extra", [0, 1, 40])
def test_simplex_has_equal_angles(classes, extra):
    vectors = class_embeddings("simplex", classes, classes - 1 + extra, seed=1)
    wanted = np.full((classes, classes), -1 / (classes - 1))
    np.fill_diagonal(wanted, 1)
    assert vectors.dtype == np.float64
    np.testing.assert_allclose(cosines(vectors), wanted, atol=EXACT)
    np.testing.assert_allclose(vectors.sum(axis=0), 0, atol=EXACT * classes)


@pytest.mark.parametrize(("classes", "units"), [(2, 2), (10, 10), (10, 34), (26, 128)])
def test_orthogonal(classes, units):
    vectors = class_embeddings("orthogonal", classes, units, seed=1)
    np.testing.assert_allclose(cosines(vectors), np.eye(classes), atol=EXACT)


@pytest.mark.parametrize(("classes", "units"), [(2, 1), (10, 3), (10, 34)])
def test_random_are_unit_vectors(classes, units):
    vectors = class_embeddings("random", classes, units, seed=1)
    assert vectors.shape == (classes, units)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=EXACT)


@pytest.mark.parametrize("kind", ["simplex", "orthogonal", "random"])
def test_seed_decides_all(kind):
    first = class_embeddings(kind, 5, 8, seed=7)
    assert np.array_equal(first, class_embeddings(kind, 5, 8, seed=7))
    assert not np.allclose(first, class_embeddings(kind, 5, 8, seed=8))


@pytest.mark.parametrize("kind", ["simplex", "orthogonal", "random"])
def test_rotation_is_uniform(kind):
    """No coordinate is preferred: mean 0 and mean square 1/units over many draws.

    Without the sign fix of QR the first coordinates have a mean far from 0. The bounds are
    five standard errors: of the mean 1/sqrt(units * n), of the mean square about
    sqrt(2)/(units * sqrt(n)).
    """
    units, seeds = 4, 2000
    rng = np.random.default_rng(0)
    vectors = np.array([drawn_embeddings(kind, 4, units, rng) for _ in range(seeds)])
    assert np.abs(vectors.mean(axis=0)).max() < 5 / np.sqrt(units * seeds)
    assert np.abs((vectors**2).mean(axis=0) - 1 / units).max() < 5 * 2**0.5 / units / seeds**0.5


def test_least_lead_is_of_the_class_worst_off():
    # Class 0 is reached along itself, class 1 along (0, 1), where class 2 is nearly as near.
    vectors = np.array([[1.0, 0.0], [-0.6, 0.8], [-0.8, 0.6]])
    assert least_lead(vectors[:2]) == pytest.approx(0.8)
    assert least_lead(vectors) == pytest.approx(0.6 - 0.8)
    # No positive component: its cosines are all 0.
    assert least_lead(np.array([[1.0, 0.0], [-1.0, 0.0]])) == 0


@pytest.mark.parametrize("kind", ["simplex", "orthogonal", "random"])
def test_the_arrangement_of_the_greatest_lead_is_chosen(kind):
    rng = np.random.default_rng(3)
    leads = [least_lead(drawn_embeddings(kind, 10, 16, rng)) for _ in range(DRAWS)]
    chosen = class_embeddings(kind, 10, 16, seed=3)
    assert least_lead(chosen) == max(leads) > np.median(leads)
    with pytest.raises(ValueError, match="read-only"):
        chosen[0, 0] = 1


@pytest.mark.parametrize(("kind", "classes", "units"), [("simplex", 5, 3), ("orthogonal", 5, 4)])
def test_too_few_units(kind, classes, units):
    with pytest.raises(ValueError, match="do not fit"):
        class_embeddings(kind, classes, units, seed=0)

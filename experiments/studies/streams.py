"""Classes and samples that come one after the other: what is learned, forgotten, asked for."""

from __future__ import annotations

from typing import Any

from experiments.studies.settings import (
    DIGITS,
    STREAM_DIGITS,
    STREAM_FASHION,
    STREAM_GESTURES,
    STREAM_KEYWORDS,
    STREAM_OBJECTS,
    dense_layers,
)
from experiments.studies.study import Row, Study


def _rehearsing(samples: int, ratio: int = 1) -> dict[str, Any]:
    return {"learning.rehearsal": {"samples": samples, "ratio": ratio}}


def _learners(**options: Any) -> tuple[Row, ...]:  # noqa: ANN401
    """The learners of `compare --stream`, on the same stream."""
    names = {
        "rehearsing": "SPELA, rehearsing",
        "no memory": "SPELA, no memory",
        "naive": "SPELA, naive",
        "jointly": "SPELA, all at once",
        "backprop": "backpropagation, rehearsing, float",
        "neighbours": "nearest neighbours, as many bytes",
        "class means": "nearest class mean",
    }
    return tuple(Row(name, options={"by": by, **options}) for by, name in names.items())


_MEANS: dict[str, Any] = {"learning.rehearsal": {"keep": "means", "ratio": 4}}


def _without_samples(settings: dict[str, Any], name: str = "", **options: Any) -> tuple[Row, ...]:  # noqa: ANN401
    """Learners that keep no samples."""
    return (
        Row(f"prototypes: embeddings from means{name}", settings, {"by": "prototypes", **options}),
        Row(f"means rehearsed{name}", {**settings, **_MEANS}, {"by": "rehearsing", **options}),
    )


STUDIES: dict[str, Study] = {
    "stream_digits": Study(
        "Digits: five classes, then one by one", STREAM_DIGITS,
        (
            *_learners(),
            *(
                Row(f"{name}, 64-48-32", dense_layers(48, 32), {"by": by})
                for by, name in (
                    ("rehearsing", "SPELA, rehearsing"), ("jointly", "SPELA, all at once"),
                    ("no memory", "SPELA, no memory"), ("naive", "SPELA, naive"),
                )
            ),
            *_without_samples(dense_layers(48, 32), ", 64-48-32"),
            *(
                Row(f"rehearsing {n} samples a class", _rehearsing(n), {"by": "rehearsing"})
                for n in (5, 10, 40)
            ),
            Row("rehearsing beside teaching only", options={"by": "rehearsing", "steps": 0}),
            Row("four beside each, none alone", _rehearsing(20, 4),
                {"by": "rehearsing", "steps": 0}),
            Row("rehearsing 1,000 alone", options={"by": "rehearsing", "steps": 1000}),
            *_without_samples({}),
        ), seeds=5, measure="stream",
    ),
    "stream_keywords": Study(
        "Keywords: ten known, two taught from 20 samples each", STREAM_KEYWORDS,
        (*_learners(first=10, shots=20), *_without_samples({}, first=10, shots=20)),
        seeds=8, measure="stream",
    ),
    "few_shots": Study(
        "Keywords: ten known, two taught from few samples", STREAM_KEYWORDS,
        tuple(
            Row(f"{shots} sample{'s' * (shots > 1)}: {name}",
                options={"by": by, "first": 10, "shots": shots})
            for shots in (1, 5, 20)
            for by, name in (
                ("rehearsing", "gradient steps, rehearsing"), ("prototypes", "prototypes"),
                ("class means", "nearest class mean"),
            )
        ), seeds=8, measure="stream",
    ),
    "stream_fashion": Study(
        "Fashion-MNIST: five classes, then one by one", STREAM_FASHION,
        (
            *_learners(),
            Row("rehearsing 40 samples a class", _rehearsing(40), {"by": "rehearsing"}),
            Row("four beside each", _rehearsing(20, 4), {"by": "rehearsing"}),
            Row("four beside each, 40 samples a class", _rehearsing(40, 4), {"by": "rehearsing"}),
            Row("rehearsing 3,000 alone", options={"by": "rehearsing", "steps": 3000}),
            *_without_samples({}),
        ),
        seeds=3, measure="stream",
    ),
    "stream_objects": Study(
        "CIFAR-10, features of ResNet-8: five classes, then one by one", STREAM_OBJECTS,
        (*_learners(), *_without_samples({})), seeds=3, measure="stream",
    ),
    "stream_wearers": Study(
        "Gestures: four people after each other", STREAM_GESTURES,
        (*_learners(kind="new-user"), *_without_samples({}, kind="new-user")[1:]),
        seeds=3, measure="stream",
    ),
    "stream_instances": Study(
        "Digits: new samples of the same classes, in five parts", STREAM_DIGITS,
        (*_learners(kind="new-instance"), *_without_samples({}, kind="new-instance")[1:]),
        seeds=3, measure="stream",
    ),
    "forget": Study(
        "Digits: what remains of a class that is forgotten", STREAM_DIGITS,
        tuple(
            Row(name, options={"how": how})
            for how, name in (
                ("not at all", "known"), ("hidden", "no longer answered"),
                ("forgotten", "forgotten"), ("relearned", "the others learned anew from memory"),
                ("retrained", "trained without it"),
            )
        ) + tuple(
            Row(name, {"learning.rehearsal": {"keep": "means"}}, {"how": how})
            for how, name in (
                ("forgotten", "forgotten, means kept"),
                ("relearned", "the others learned anew from means"),
            )
        ), seeds=10, measure="forget",
    ),
    "membership": Study(
        "Digits: which samples of a class were learned, by an attack", STREAM_DIGITS,
        (
            Row("known", options={"how": "not at all"}),
            Row("forgotten", options={"how": "forgotten"}),
            Row("the others learned anew from memory", options={"how": "relearned"}),
            Row("forgotten, means kept", {"learning.rehearsal": {"keep": "means"}},
                {"how": "forgotten"}),
        ), seeds=10, measure="membership",
    ),
    "unknown": Study(
        "Digits: a class held out, by cosine and by margin", DIGITS,
        (Row("64-48-32"),), seeds=10, measure="unknown",
    ),
    "labels": Study(
        "Digits, once: which labels a device asks for", DIGITS,
        tuple(
            Row(name, {"learning.halve_rate_every": 0}, options)
            for name, options in (
                ("all", {"share": 1.0}),
                *((f"margin below {m} of theta", {"margin": m}) for m in (1.0, 0.5, 0.25)),
                *((f"{100 * s:.0f} % at random", {"share": s}) for s in (0.55, 0.35, 0.25)),
            )
        ), seeds=5, measure="labels",
    ),
    "rare_labels": Study(
        "Digits, once, one class of which few were taught: which labels a device asks for",
        STREAM_DIGITS,
        tuple(
            Row(name, options=options)
            for name, options in (
                ("none", {"share": 0.0}), ("all", {"share": 1.0}),
                ("margin below theta", {"margin": 1.0}),
                ("or below twice theta where the class is rare: spela_wants_label", {}),
                ("margin below twice theta", {"margin": 2.0}),
            )
        ), seeds=10, measure="rare_labels",
    ),
    "limits": Study(
        "Digits: limits that follow what is taught, beside frozen ones", STREAM_DIGITS,
        tuple(
            Row(f"{what}, by {by}",
                {"exits.unknown_by": by, "exits.unknown_share": 0.05,
                 "learning.rehearsal": None}, options)
            for what, options in (
                ("more of the same", {}), ("turned by 25 degrees", {"drift": "rotated"}),
                ("of less contrast", {"drift": "rescaled"}),
            )
            for by in ("margin", "cosine")
        ), seeds=4, measure="limits",
    ),
}  # fmt: skip

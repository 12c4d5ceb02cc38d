"""The one list of the C structures' fields, held against the header and against what is made."""

import dataclasses
import struct
import zlib

import numpy as np
import pytest
from cffi import FFI
from toy import toy, toy_spec

from spela_mcu.fixed_point import structures
from spela_mcu.fixed_point.fields import POINTER
from spela_mcu.fixed_point.layer import LAYER_DENSE, ExitPlan, LayerPlan, LearnerPlan
from spela_mcu.fixed_point.layout import pack, place
from spela_mcu.fixed_point.network import IntegerNetwork
from spela_mcu.fixed_point.plan import FixedPointPlan, make_plan
from spela_mcu.fixed_point.structures import LAYER_FIELDS, LOSS_NUMBERS, MODEL_FIELDS
from spela_mcu.host.network import declarations
from spela_mcu.resources import resource_directory
from spela_mcu.spec.network import LOSSES


@pytest.fixture(scope="module")
def header():
    ffi = FFI()
    ffi.cdef(declarations((resource_directory("firmware") / "spela" / "spela.h").read_text()))
    return ffi


def members(kind, prefix=""):
    """Of a C structure: names and types, of structures inside it as well."""
    for name, field in kind.fields:
        if field.type.kind == "struct":
            yield from members(field.type, f"{prefix}{name}.")
        else:
            scalar = field.type.cname.removesuffix("_t")
            yield prefix + name, POINTER if field.type.kind == "pointer" else scalar


@pytest.mark.parametrize(
    ("name", "fields"), [("spela_layer_t", LAYER_FIELDS), ("spela_model_t", MODEL_FIELDS)]
)
def test_the_list_is_the_headers(header, name, fields):
    assert [(field.name, field.type) for field in fields] == list(members(header.typeof(name)))


def test_numbers_of_words_are_the_headers(header):
    library = header.dlopen(None)
    for loss in LOSSES:
        assert getattr(library, f"SPELA_LOSS_{loss.upper()}") == LOSS_NUMBERS[loss]
    for flag in ("WEIGHTS_INT16", "ROUND_NEAREST", "INFERENCE_ONLY"):
        assert getattr(library, f"SPELA_FLAG_{flag}") == getattr(structures, f"FLAG_{flag}")
    assert library.SPELA_LAYER_DENSE == LAYER_DENSE


def changed(plan, path, value):
    """The plan with a field of its second layer changed; `path` may lead into its parts."""

    def with_change(part, names):
        inner = value if len(names) == 1 else with_change(getattr(part, names[0]), names[1:])
        return dataclasses.replace(part, **{names[0]: inner})

    first, second = plan.layers
    return dataclasses.replace(plan, layers=(first, with_change(second, path.split("."))))


PLAN = make_plan(toy_spec(), 13, 5)
WEIGHTS = IntegerNetwork.untrained(PLAN).initial


def digest(plan=PLAN, weights=None, **how):
    return structures.model_structure(plan, weights, **how).scalars["digest"]


def test_every_field_and_table_is_in_the_digest():
    digests = {digest(), digest(inference_only=True), digest(weights=WEIGHTS)}
    for field in LAYER_FIELDS:
        if field.type != POINTER:
            digests.add(digest(changed(PLAN, field.name, 3)))
    embedding = PLAN.layers[1].exit.embedding.copy()
    embedding[4, 8] += 1
    digests.add(digest(changed(PLAN, "exit.embedding", embedding)))
    weights = [layer.copy() for layer in WEIGHTS]
    weights[1][8, 16] ^= 1
    digests.add(digest(weights=weights))
    whole = {"classes": 6, "margin": 1, "halve_rate_every": 9, "rate_halvings": 1, "dither_seed": 7}
    whole["batch"] = 2
    changes = [*whole.items(), ("weights", "int16"), ("rounding", "nearest"), ("loss", "cosine")]
    for name, value in changes:
        digests.add(digest(dataclasses.replace(PLAN, **{name: value})))
    scalars = sum(field.type != POINTER for field in LAYER_FIELDS)
    assert len(digests) == 3 + scalars + 2 + len(changes)


def test_the_digest_is_of_these_bytes():
    """Held fast: a digest that changes makes devices in the field strangers to their model."""
    exit_ = ExitPlan(np.array([[3, -4], [5, 6]]), 7, exit_margin=-1, reject_cosine=9)
    learner = LearnerPlan(0x8001, -2, update_shift=16)
    layer = LayerPlan(1, 2, "int8", 8, 1.0, 0x01020304, learner, 3, exit_)
    plan = FixedPointPlan(
        (layer,), 2, "int8", "nearest", "margin", 0x1234, 5, 6, 0x0A0B0C0D, batch=3
    )
    whole = struct.pack("<IIIHhBBBBB", 1, 0x0A0B0C0D, 5, 2, 0x1234, 1, 2, 2, 6, 3)
    one = struct.pack("<IHHBBBhhBHh", 0x01020304, 1, 2, 0, 8, 3, -1, 9, 7, 0x8001, -2)
    weights = struct.pack("<I16b", 16, 1, 0, 0, 0, -2, *[0] * 11)
    embeddings = struct.pack("<I16b", 16, 3, -4, 0, 0, 5, 6, *[0] * 10)
    drawn = struct.pack("<I", 0)
    assert digest(plan) == zlib.crc32(whole + one + drawn + embeddings)
    given = digest(plan, [np.array([[1], [-2]])])
    assert given == zlib.crc32(whole + one + weights + embeddings)


def test_a_value_beyond_its_field_is_never_packed():
    with pytest.raises(OverflowError):
        digest(changed(PLAN, "inputs", 65536))
    with pytest.raises(OverflowError):
        digest(dataclasses.replace(PLAN, halve_rate_every=1 << 32))


@pytest.mark.parametrize("drawn", [True, False])
@pytest.mark.parametrize("weights", ["int8", "int16"])
def test_the_generated_source_states_every_field(weights, drawn):
    case = toy(weights=weights, drawn=drawn)
    source = case.project.files["model/toy_model.c"]
    for field in LAYER_FIELDS:
        assert source.count(f"        .{field.name} = ") == 2
    for field in MODEL_FIELDS:
        assert source.count(f"\n    .{field.name} = ") == 1
    assert f"0x{case.project.model.digest:08X}U" in source


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (5, 3), (4, 8), (9, 17)])
def test_a_place_in_memory_is_an_element(rows, columns):
    matrix = np.arange(rows * columns).reshape(rows, columns) + 1
    packed = np.frombuffer(pack(matrix, "int16"), "<i2")
    for at, value in enumerate(packed.tolist()):
        if value:
            assert matrix[place(at, columns)] == value

"""model.yaml: what is accepted, what comes out, and that nothing makes it crash."""

import copy
import json
import random
import typing
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from spela_mcu.data.load import load_dataset
from spela_mcu.errors import UserError, UserErrors
from spela_mcu.spec import faults, reference, starter
from spela_mcu.spec.document import read_document
from spela_mcu.spec.fields import sections
from spela_mcu.spec.load import check_against_data, json_schema, load_spec, located
from spela_mcu.spec.model import ModelSpec

ROOT = Path(__file__).parents[1]
MINIMAL = "name: a\ndata: {source: sklearn}\nnetwork: {layers: [{units: 16}]}\n"


@pytest.fixture
def load(tmp_path):
    def load_text(text: str) -> ModelSpec:
        file = tmp_path / "model.yaml"
        file.write_text(text, encoding="utf-8")
        return load_spec(file)

    return load_text


def test_minimal_file_takes_defaults(load):
    spec = load(MINIMAL)
    assert spec.name == "a"
    assert spec.network.layers[0].units == 16
    assert spec.fixed_point.weights == "int8"
    assert spec.target.board == "stm32f4_discovery"


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1.0), ("1e-2", 0.01), ("1.0e-2", 0.01), (".5", 0.5), ("5.", 5.0), ("+2E+1", 20.0)],
)
def test_numbers_as_people_write_them(load, text, value):
    rate = load(MINIMAL + f"training: {{learning_rate: {text}}}").training.learning_rate
    assert rate == value
    assert isinstance(rate, float)


@pytest.mark.parametrize(("text", "value"), [("010", 10), ("0x10", 16), ("0o10", 8), ("+5", 5)])
def test_whole_numbers_of_yaml_1_2(load, text, value):
    assert load(MINIMAL + f"training: {{epochs: {text}}}").training.epochs == value


def test_words_that_yaml_1_1_mistakes_stay_text(load):
    text = MINIMAL.replace("network: {", "network: {classes: [no, on, 1:30, 2024-01-01, 1_0], ")
    assert load(text).network.classes == ("no", "on", "1:30", "2024-01-01", "1_0")


def test_byte_order_mark_and_windows_line_ends(load):
    assert load("\ufeff" + MINIMAL.replace("\n", "\r\n")) == load(MINIMAL)


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ("source: csv, path: sub/t.csv", "{here}/sub/t.csv"),
        ("source: npz, path: ../t.npz", "{here}/../t.npz"),
        ("source: idx, path: /data/x", "/data/x"),
        ("source: python, function: 'my data.py:read'", "{here}/my data.py:read"),
        ("source: python, function: 'package.module:read'", "package.module:read"),
    ],
)
def test_paths_count_from_the_file(load, tmp_path, monkeypatch, data, wanted):
    monkeypatch.chdir("/")
    spec = load(MINIMAL.replace("source: sklearn", data))
    place = spec.data.function if spec.data.source == "python" else str(spec.data.path)
    assert place == wanted.format(here=tmp_path)


def test_relative_name_of_the_file_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = MINIMAL.replace("source: sklearn", "source: csv, path: t.csv")
    Path("model.yaml").write_text(text)
    assert load_spec(Path("model.yaml")).data.path == tmp_path / "t.csv"


def test_spec_survives_its_own_dump(load):
    """A run directory may keep the spec as JSON: defaults spelt out are no errors there."""
    spec = load(MINIMAL.replace("layers", "loss: cosine, layers"))
    again = ModelSpec.model_validate(spec.model_dump(mode="json"))
    assert again == spec


def test_a_first_line_is_named_for_every_error(load):
    with pytest.raises(UserErrors) as caught:
        load(MINIMAL + "trainin: {}\nverify: {tolerance_points: -1}\n")
    assert [error.line for error in caught.value.errors] == [4, 5]
    assert [error.key for error in caught.value.errors] == ["trainin", "verify.tolerance_points"]


def test_many_errors_fit_on_a_screen(load):
    with pytest.raises(UserErrors) as caught:
        load(MINIMAL + "".join(f"unknown{i}: 0\n" for i in range(50)))
    assert len(caught.value.errors) == faults._SHOWN_ERRORS
    assert "43 more errors" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"name: \xff\xfe", "is not UTF-8 text"),
        (b"name: a\nx: \x07", "the character U+0007 may not stand in YAML"),
        (b"[" * 5000, "lists or mappings are nested too deeply"),
        (b"{" * 5000 + b"}" * 5000, "lists or mappings are nested too deeply"),
        (b"name: " + b"9" * 5000, '"' + "9" * 37 + '..." cannot be read as !!int'),
        (b"a: !!int x", '"x" cannot be read as !!int'),
        (b"a: !mine x", "the tag !mine is not supported"),
        (b"? [1]\n: 2", "a key must be a word"),
    ],
)
def test_files_that_are_hardly_yaml(tmp_path, content, reason):
    file = tmp_path / "model.yaml"
    file.write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_spec(file)
    assert caught.value.reason == reason
    assert caught.value.file == file


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        load_spec(tmp_path / "model.yaml")
    with pytest.raises(UserError, match="is a directory"):
        load_spec(tmp_path)


class Ten:
    classes = 10
    train = range(100_000)


def test_check_against_data(tmp_path):
    file = tmp_path / "model.yaml"
    file.write_text("name: a\ndata: {source: sklearn}\nnetwork:\n  layers:\n    - units: 8\n")
    spec = load_spec(file)
    with pytest.raises(UserError, match="8 units are too few") as caught:
        check_against_data(spec, Ten, file)
    assert (caught.value.file, caught.value.line) == (file, 5)
    with pytest.raises(UserError) as caught:
        check_against_data(spec, Ten)
    assert caught.value.line is None
    network = spec.network.model_copy(update={"embedding": "random"})
    check_against_data(spec.model_copy(update={"network": network}), Ten, file)


def test_more_samples_than_the_chip_counts(load, tmp_path):
    spec = load(MINIMAL + "learning: {epochs: 42949}")
    check_against_data(spec, Ten)
    with pytest.raises(UserError, match="the chip counts 4294967295 at most") as caught:
        check_against_data(
            load(MINIMAL + "learning: {epochs: 42950}"), Ten, tmp_path / "model.yaml"
        )
    assert (caught.value.key, caught.value.line) == ("learning.epochs", 4)
    assert "42949 or less" in caught.value.mend


@pytest.mark.parametrize(
    ("keys", "samples", "interval"),
    [
        ("epochs: 10", 1295, 1079),
        ("epochs: 5", 142, 59),
        ("epochs: 1, rate_halvings: 15", 3, 1),
        ("epochs: 5, rate_halvings: 0", 142, 0),
    ],
)
def test_halvings_spread_over_what_is_to_be_learned(load, keys, samples, interval):
    learning = load(MINIMAL + f"learning: {{halve_rate_every: auto, {keys}}}").learning
    with pytest.raises(ValueError, match="number of training samples"):
        _ = learning.interval
    known = learning.for_samples(samples)
    assert known.interval == interval
    assert known.for_samples(1) == known
    if interval > 1:  # the last halving comes before the end
        assert (2 * known.rate_halvings - 1) * interval < known.epochs * samples


def test_located(tmp_path):
    file = tmp_path / "model.yaml"
    file.write_text(MINIMAL)
    error = located(UserError("too wide", key="network.layers[0].units"), file)
    assert (error.file, error.line) == (file, 3)
    # A key that the file leaves to its default: the nearest that is there.
    assert located(UserError("too small", key="data.path"), file).line == 2
    assert located(UserError("no", key="training.epochs"), file).line is None
    other = UserError("no", file="table.csv", key="column b")
    assert located(other, file) is other


# ---------------------------------------------------------------- nothing crashes

STARTER = read_document(ROOT / "spela_mcu/spec/starter.yaml").data


def values():
    plain = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=5)
        | st.sampled_from(["csv", "margin", "relu", "simplex", "x:y", "a.py:f", "\t", ","])
    )
    keys = st.sampled_from(["units", "source", "layers", "path", "label", "x", "csv"])
    return st.recursive(
        plain,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
        max_leaves=6,
    )


def paths_of(value, path=()):
    yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from paths_of(inner, (*path, key))


@settings(max_examples=200)
@given(value=values(), seed=st.integers(0, 1000), extra=st.sampled_from([None, "path", "label"]))
def test_any_value_at_any_key_is_taken_or_explained(tmp_path_factory, value, seed, extra):
    document = copy.deepcopy(STARTER)
    paths = [path for path in paths_of(document) if path]
    *parents, last = random.Random(seed).choice(paths)
    target = document
    for key in parents:
        target = target[key]
    target[last] = value
    if extra and isinstance(document["data"], dict):
        document["data"][extra] = value
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    try:
        load_spec(file)
    except UserError as error:
        assert_readable(error)


@settings(max_examples=300)
@given(text=st.text(alphabet="ab:-[]{}#&*!|>'\"%@`?,.~0\n\t e", max_size=60))
def test_any_text_is_taken_or_explained(tmp_path_factory, text):
    file = tmp_path_factory.getbasetemp() / "text.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_spec(file)
    assert_readable(caught.value)


def assert_readable(error: UserError):
    for one in error.errors if isinstance(error, UserErrors) else (error,):
        assert one.reason
        assert one.mend
        assert one.file
        assert (one.reason + one.mend + (one.key or "")).isprintable()
        assert "pydantic" not in str(one)
        assert "Input should" not in str(one)


# ------------------------------------------------------- starter, schema, reference


def test_starter_works_as_it_is(tmp_path):
    written = starter.write_starter(tmp_path / "new" / "model")
    assert written == tmp_path / "new" / "model" / "model.yaml"
    spec = load_spec(written)
    assert spec.data.source == "sklearn"
    assert written.read_text().startswith("# yaml-language-server: $schema=model.schema.json\n")
    assert json.loads((written.parent / "model.schema.json").read_text()) == json_schema()
    assert sorted(file.name for file in written.parent.iterdir()) == [
        "model.schema.json",
        "model.yaml",
    ]


@pytest.mark.parametrize("name", ["model.yaml", "model.schema.json"])
def test_starter_overwrites_nothing(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match="not overwritten") as caught:
        starter.write_starter(tmp_path)
    assert caught.value.file == tmp_path / name
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_starter_says_where_it_cannot_write(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        starter.write_starter(tmp_path / "file")
    with pytest.raises(UserError, match="cannot be written"):
        starter.write_starter(tmp_path / "file" / "inside")


def test_starter_leaves_nothing_half_done(tmp_path, monkeypatch):
    write, written = starter._write, []

    def full_disk(file, text):
        if file.name == "model.yaml":
            raise OSError(28, "No space left on device")
        written.append(file)
        write(file, text)

    monkeypatch.setattr(starter, "_write", full_disk)
    with pytest.raises(UserError, match="No space left"):
        starter.write_starter(tmp_path)
    assert written
    assert list(tmp_path.iterdir()) == []


def test_starter_shows_every_section_and_agrees_with_the_digits_example():
    document = read_document(ROOT / "spela_mcu/spec/starter.yaml")
    sensors = {"front_end"}  # pictures have none
    assert set(document.data) == set(ModelSpec.model_fields) - sensors
    example = load_spec(ROOT / "examples/digits/model.yaml")
    ours = load_spec(ROOT / "spela_mcu/spec/starter.yaml")
    for section in ("training", "target", "verify", "fixed_point"):
        assert getattr(ours, section) == getattr(example, section), section
    assert ours.learning.for_samples(1295).interval == example.learning.interval
    assert ours.data.input_range is None  # another data set's would be refused
    assert ours.network.layers == example.network.layers


def keys_allowed(schema, node):
    """The keys that a JSON Schema node allows, following references and alternatives."""
    if "$ref" in node:
        node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    found = set(node.get("properties", {}))
    for alternative in (*node.get("oneOf", ()), *node.get("anyOf", ())):
        found |= keys_allowed(schema, alternative)
    return found


def test_schema_knows_every_key():
    schema = json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == {"name", "data", "network"}
    for name, section in sections().items():
        node = schema
        for part in name.partition(" ")[0].split(".") if name else ():
            for alternative in node.get("anyOf", ()):  # null is the other
                node = alternative if "$ref" in alternative else node
            if "$ref" in node:
                node = schema["$defs"][node["$ref"].rpartition("/")[2]]
            node = node["properties"][part.removesuffix("[]")]
            node = node["items"] if part.endswith("[]") else node
        assert set(section.model_fields) <= keys_allowed(schema, node), name


def test_every_key_is_described():
    for name, section in sections().items():
        for key, field in section.model_fields.items():
            assert field.description or key == "source", f"{name}.{key}"
        assert section.__doc__


def test_reference_manual_is_up_to_date():
    page = (ROOT / "docs/model-yaml.md").read_text(encoding="utf-8")
    assert reference.BEGIN in page
    assert page == reference.updated(page), (
        "run python -m spela_mcu.spec.reference docs/model-yaml.md"
    )


def test_examples_of_the_manual_are_right(load):
    page = (ROOT / "docs/model-yaml.md").read_text(encoding="utf-8")
    first = page.split("```yaml\n")[1].split("```")[0]
    assert load(first).name == "digits"


def test_every_source_has_a_section():
    literals = typing.get_args(ModelSpec.model_fields["data"].annotation)
    assert len(literals) == sum(name.startswith("data (") for name in sections()) == 10


@pytest.mark.parametrize(("every", "told"), [("1079", True), ("100", False), ("auto", False)])
def test_a_schedule_that_never_acts_is_told(load, every, told):
    """As when digits' model.yaml is given wine's 116 training samples."""
    text = MINIMAL.replace("sklearn}", "sklearn, dataset: wine}")
    spec = load(text + f"learning: {{epochs: 10, halve_rate_every: {every}}}")
    reasons = [notice.reason for notice in load_dataset(spec).notices]
    assert any("first halved after 6474 samples" in reason for reason in reasons) == told


def test_another_data_set_is_all_that_the_starter_needs(load):
    text = (ROOT / "spela_mcu/spec/starter.yaml").read_text(encoding="utf-8")
    spec = load(text.replace("dataset: digits\n", "dataset: wine\n"))
    dataset = load_dataset(spec)
    assert dataset.classes == 3
    learning = spec.learning.for_samples(len(dataset.train))
    assert 0 < learning.rate_halvings * learning.interval < learning.epochs * len(dataset.train)

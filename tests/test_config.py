"""Recipes survive the round trip, and every fault is one line that names its field."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from gazegan import config
from gazegan.errors import DataError, UserError


class Lens(config.Config):
    focal: float = Field(50.0, gt=0)
    blur: float = 0.5


class Camera(config.Config):
    name: str = "box"
    width: int = Field(60, ge=8)
    lens: Lens = Lens()


VALUES = st.recursive(
    st.integers() | st.text(max_size=5) | st.booleans(),
    lambda inner: st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=4),
)
TABLES = st.dictionaries(st.text("abc", min_size=1, max_size=3), VALUES, max_size=4)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"widht": 60}, ["unknown key 'widht'", "did you mean 'width'?"]),
        ({"lens": {"focl": 1.0}}, ["unknown key 'lens.focl'", "did you mean 'lens.focal'?"]),
        ({"focal": 1.0}, ["unknown key 'focal'", "did you mean 'lens.focal'?"]),
        ({"lens": {"width": 9}}, ["unknown key 'lens.width'", "did you mean 'width'?"]),
        ({"zzz": 1}, ["unknown key 'zzz'", "remove it"]),
        ({"width": 3}, ["width", "greater than or equal to 8", "got 3"]),
        ({"width": "wide"}, ["width", "integer", "got 'wide'"]),
        ({"lens": {"focal": -1.0}}, ["lens.focal", "greater than 0"]),
        ({"lens": {"focal": math.nan}}, ["lens.focal", "finite"]),
        ({"lens": {"blur": math.inf}}, ["lens.blur", "finite"]),
        ({"width": 3, "lens": {"focal": 0}}, ["(and 1 more)"]),
    ],
)
def test_faults_name_field_and_cure_in_one_line(values, said):
    with pytest.raises(UserError) as fault:
        config.validate(Camera, values, "eye.toml")
    message = str(fault.value)
    assert message.startswith("eye.toml: ") and "\n" not in message
    for part in said:
        assert part in message


def test_configurations_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Camera().width = 5


def test_toml_with_overrides(tmp_path):
    path = tmp_path / "eye.toml"
    path.write_text('name = "a"\n[lens]\nfocal = 35.0\n')
    camera = config.load(Camera, path, ["lens.focal=80", "width = 96", "name=plain text"])
    assert camera == Camera(name="plain text", width=96, lens=Lens(focal=80))


@pytest.mark.parametrize(
    ("content", "fault", "said"),
    [
        (None, UserError, "no such file"),
        (b"a = ", UserError, "not valid TOML"),
        (b"a = 1\na = 2", UserError, "not valid TOML"),
        (b"\xff\xfe", DataError, "cannot be read"),
    ],
)
def test_unreadable_toml(tmp_path, content, fault, said):
    path = tmp_path / "eye.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(fault, match=said) as raised:
        config.read_toml(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("item", ["focal", "=3", "  =3"])
def test_overrides_without_a_key_or_value_are_refused(item):
    with pytest.raises(UserError, match="KEY=VALUE"):
        config.apply_overrides({}, [item])


def test_override_through_a_plain_value_is_refused():
    with pytest.raises(UserError, match="holds a value"):
        config.apply_overrides({"width": 3}, ["width.x=1"])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("3.5", 3.5),
        ("true", True),
        ("[1, 2]", [1, 2]),
        ('"3"', "3"),
        ("some words", "some words"),
        ("a=b", "a=b"),
    ],
)
def test_override_values_are_read_as_toml_else_as_text(text, value):
    assert config.apply_overrides({}, [f"key={text}"]) == {"key": value}


@given(TABLES)
@settings(deadline=None, max_examples=50)
def test_overrides_leave_the_caller_s_values_alone(table):
    before = json.dumps(table, sort_keys=True)
    config.apply_overrides(table, ["new.key=1"])
    assert json.dumps(table, sort_keys=True) == before


def test_dump_is_canonical_and_reads_back():
    camera = Camera(width=99)
    text = config.dump_json(camera)
    assert Camera.model_validate_json(text) == camera
    assert list(json.loads(text)) == sorted(json.loads(text))


@given(TABLES, TABLES)
@settings(deadline=None, max_examples=100)
def test_differences_are_empty_exactly_for_equal_tables(a, b):
    assert config.differences(a, a) == []
    assert len(config.differences(a, b)) == len(config.differences(b, a))
    if config.differences(a, b):
        assert a != b


def test_differences_name_the_leaf():
    old, new = Camera().model_dump(), Camera(lens=Lens(focal=35)).model_dump()
    assert config.differences(old, new) == ["lens.focal: 50.0 -> 35.0"]


def test_data_errors_exit_with_one_and_usage_with_two():
    assert (UserError("x").exit_code, DataError("x").exit_code) == (2, 1)

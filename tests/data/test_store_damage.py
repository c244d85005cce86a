"""Every damaged bit of a store is noticed, and hostile files are refused in one line."""

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from stores import MODEST, forge_shard, read_all, reseal

from gazegan.data.files import parse_json
from gazegan.errors import DataError, UserError


@MODEST
@given(data=st.data())
def test_one_flipped_bit_is_found_and_named(store, data):
    path = data.draw(st.sampled_from(sorted(store.path.iterdir())))
    whole = path.read_bytes()
    bit = data.draw(st.integers(0, 8 * len(whole) - 1))
    flipped = bytearray(whole)
    flipped[bit // 8] ^= 1 << bit % 8
    path.write_bytes(flipped)
    try:
        with pytest.raises((DataError, UserError), match=path.name):
            read_all(store.path)
    finally:
        path.write_bytes(whole)


def first_shards(store):
    return [store.path / shard.file for shard in store.manifest.shards[:2]]


def swap(a, b):
    first, second = a.read_bytes(), b.read_bytes()
    a.write_bytes(second)
    b.write_bytes(first)


@pytest.mark.parametrize(
    "harm",
    [
        lambda a, b: a.write_bytes(a.read_bytes()[:-7]),
        lambda a, b: a.write_bytes(b""),
        lambda a, b: a.write_bytes(a.read_bytes() * 9),
        lambda a, b: a.unlink(),
        swap,
    ],
    ids=["truncated", "empty", "grown", "missing", "swapped"],
)
def test_a_harmed_shard_is_a_named_error(store, harm):
    first, second = first_shards(store)
    harm(first, second)
    with pytest.raises(DataError, match=first.name):
        read_all(store.path)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": 1e999}',
        '{"a": 1, "a": 2}',
        "[" * 200_000,
        '{"a":' * 200_000,
        "\udcff",
        "",
        "9" * 5000,
    ],
    ids=["nan", "inf", "overflow", "twice", "deep", "deep keys", "bytes", "empty", "long number"],
)
def test_hostile_json_is_a_one_line_error(text):
    with pytest.raises(DataError, match="manifest") as fault:
        parse_json(text.encode("utf-8", "surrogateescape"), "manifest.json")
    assert len(str(fault.value)) < 300


@pytest.mark.parametrize(
    "changes",
    [
        {"count": 9},
        {"count": -1},
        {"height": 10**9},
        {"shards": []},
        {"fields": ["image", "secret"]},
        {"fields": ["image", "id"]},
        {"fields": []},
        {"names": ["a.png"]},
        {"subjects": ["\ud800"]},
        {"extra": 1},
        {"schema_version": 99},
        {"subjects": []},
        {"landmarks": []},
        {"shard_size": 0},
        {"shard_size": 1, "count": 10**12},
        {"count": 10**40},
        {"masks": ["../../above"]},
        {"fields": ["gaze"]},
        {"schema_version": 0},
        {"kind": "dreamt"},
        {"shards": [{"file": "../../etc/passwd", "count": 10, "sha256": "0" * 64}]},
    ],
    ids=str,
)
def test_a_forged_manifest_is_a_one_line_error(store, changes):
    reseal(store, **changes)
    with pytest.raises(UserError) as fault:
        read_all(store.path)
    assert "\n" not in str(fault.value) and len(str(fault.value)) < 400


@pytest.mark.parametrize("depth", [50, 150, 250, 400, 900, 2000])
def test_deep_notes_are_read_or_refused(store, depth):
    path = store.path / "manifest.json"
    deep = "[" * depth + "]" * depth
    path.write_text(path.read_text().replace('"notes": {}', f'"notes": {{"a": {deep}}}'))
    with pytest.raises(DataError, match="manifest"):
        read_all(store.path)


def test_a_manifest_that_is_no_object(store):
    (store.path / "manifest.json").write_text("[]")
    with pytest.raises(DataError, match="not a manifest"):
        read_all(store.path)


def forged_tensors(store, **changes):
    data = (store.path / store.manifest.shards[0].file).read_bytes()
    return safetensors.torch.save({**safetensors.torch.load(data), **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"gaze": torch.full((4, 2), torch.nan)},
        {"gaze": torch.zeros(4, 2, dtype=torch.float64)},
        {"gaze": torch.zeros(3, 2)},
        {"subject": torch.full((4,), 2)},
        {"origin": torch.full((4,), -1)},
        {"side": torch.full((4,), -(2**62))},
        {"more": torch.zeros(1)},
    ],
    ids=str,
)
def test_forged_tensors_are_refused(store, changes):
    forge_shard(store, forged_tensors(store, **changes))
    with pytest.raises(DataError, match="shard-00000"):
        read_all(store.path)


def header(text, payload=b""):
    return len(text).to_bytes(8, "little") + text.encode() + payload


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 100,
        (2**63 - 1).to_bytes(8, "little") + b"{}",
        header("{}"),
        header('{"image":{"dtype":"U8","shape":[9],"data_offsets":[0,4]}}', b"1234"),
        header('{"image":{"dtype":"U8","shape":[4],"data_offsets":[1,5]}}', b"12345"),
        header('{"image":{"dtype":"X9","shape":[4],"data_offsets":[0,4]}}', b"1234"),
        header('{"image":{"dtype":"U8","shape":[0,99999999999999],"data_offsets":[0,0]}}'),
        header("[" * 5000),
        header("{" + ",".join(f'"{k}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'
                              for k in range(20000)) + "}"),
    ],
    ids=["empty", "noise", "oversized header", "nothing", "shape", "hole", "dtype", "huge empty",
         "deep", "very many"],
)  # fmt: skip
def test_hostile_safetensors_are_refused(store, data):
    forge_shard(store, data)
    with pytest.raises(DataError, match="shard-00000"):
        read_all(store.path)

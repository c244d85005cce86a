"""Orders visit everything once an epoch, and every source reads alike."""

import itertools
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gazegan.data.store import write_store
from gazegan.data.stream import (
    JoinedSamples,
    MemorySamples,
    RenderedSamples,
    batch_indices,
    look_of,
    only,
    open_samples,
    open_together,
    shared_indices,
)
from gazegan.errors import DataError, UserError
from gazegan.render.prior import Image as Camera
from gazegan.render.prior import Recipe
from gazegan.schema import EyeBatch

SMALL = Recipe(image=Camera(height=9, width=15))
counts = st.integers(1, 60)


@given(counts, st.integers(1, 80), st.integers(0, 2**40))
@settings(deadline=None, max_examples=60)
def test_every_index_comes_once_an_epoch(count, size, seed):
    steps = -(-3 * count // size)
    order = torch.cat([batch_indices(count, size, s, seed, "t") for s in range(steps)])
    for epoch in range(3):
        visited = order[epoch * count : (epoch + 1) * count]
        assert sorted(visited.tolist()) == list(range(count))


@given(counts, st.integers(1, 30), st.integers(0, 10**6))
@settings(deadline=None, max_examples=30)
def test_the_order_does_not_depend_on_the_batch_size(count, size, start):
    step = start // size
    whole = [
        int(batch_indices(count, 1, i, 7, "t")[0]) for i in range(step * size, step * size + size)
    ]
    assert batch_indices(count, size, step, 7, "t").tolist() == whole


def test_seeds_names_and_epochs_shuffle_differently():
    orders = {
        tuple(batch_indices(100, 100, step, seed, name).tolist())
        for step in (0, 1)
        for seed in (0, 1)
        for name in ("real", "synthetic")
    }
    assert len(orders) == 8


def test_reading_a_batch_twice_gives_equal_tensors_that_are_not_shared():
    first = batch_indices(10, 10, 0, 0, "t")
    first += 1
    assert sorted(batch_indices(10, 10, 0, 0, "t").tolist()) == list(range(10))


def test_memory_samples_read_by_index(eyes):
    samples = MemorySamples(eyes(5))
    assert (len(samples), samples.size, samples.channels) == (5, (6, 10), 1)
    assert samples.read([3, 0]).id.tolist() == [3, 0]


def test_joined_parts_follow_one_another(eyes, store):
    joined = JoinedSamples((MemorySamples(eyes(5)), store))
    got = joined.read([14, 0, 5, 4])
    assert len(joined) == 15
    assert got.id.tolist() == [9, 0, 0, 4]
    expected = torch.stack([eyes(10).gaze[9], eyes(5).gaze[0], eyes(10).gaze[0], eyes(5).gaze[4]])
    torch.testing.assert_close(got.gaze, expected)
    assert got.subject is None and got.params is not None


def test_joined_lacks_what_any_part_lacks_in_every_batch(eyes):
    bare = EyeBatch(*(getattr(eyes(3), name) for name in ("image", "id", "origin", "gaze")))
    joined = JoinedSamples((MemorySamples(bare), MemorySamples(eyes(4))))
    for indices in ([0, 5], [4, 5], [1]):
        got = joined.read(indices)
        assert got.masks is None and got.head is None and got.gaze is not None


def test_of_a_store_only_the_wanted_labels_are_read(eyes, store):
    rows = [9, 0, 5]
    whole, wanted = store.read(rows), only(store, ("gaze",)).read(rows)
    known = {f.name for f in fields(wanted) if getattr(wanted, f.name) is not None}
    assert known == {"image", "id", "origin", "gaze"}
    for name in known:
        assert torch.equal(getattr(wanted, name), getattr(whole, name))
    assert store.read(rows).masks is not None
    joined = only(JoinedSamples((store, MemorySamples(eyes(10)))), ("gaze",))
    assert joined.read([0, 15]).masks is None
    assert torch.equal(joined.read([12]).gaze, eyes(10)[[2]].gaze)


def test_joined_refuses_other_sizes(eyes, store):
    with pytest.raises(UserError, match=r"store \(6x10 grey\) .* \(6x10 colour\)"):
        JoinedSamples((store, MemorySamples(eyes(5, channels=3))))


def test_rendered_eyes_depend_on_their_index_alone():
    samples = RenderedSamples(SMALL, 4, 100)
    assert (len(samples), samples.size, samples.channels) == (100, (9, 15), 1)
    one, two = samples.read([7]), samples.read([3, 7])
    torch.testing.assert_close(one.gaze[0], two.gaze[1], atol=0, rtol=0)
    torch.testing.assert_close(one.image[0], two.image[1], atol=1e-6, rtol=0)


def test_a_render_is_stored_with_its_labels(tmp_path, plan):
    samples = RenderedSamples(SMALL, 4, 6)
    batch = samples.read(range(6))
    names = tuple(f"p{k}" for k in range(batch.params.shape[1]))
    stored = write_store(
        tmp_path / "s", plan(6, height=9, width=15, param_names=names), samples.read
    ).read(range(6))
    torch.testing.assert_close(stored.image, batch.image, atol=0.51 / 255, rtol=0)
    torch.testing.assert_close(stored.masks, batch.masks, atol=2.1 / 255, rtol=0)
    torch.testing.assert_close(stored.landmarks, batch.landmarks, atol=0, rtol=0)


def test_open_samples_knows_stores_folders_and_recipes(store, tmp_path):
    assert open_samples(store.path) == store
    folder = tmp_path / "images"
    folder.mkdir()
    Image.fromarray(np.full((40, 64, 3), 128, np.uint8)).save(folder / "a.png")
    photographs = open_samples(folder, size=(20, 30), channels=3)
    assert (photographs.size, photographs.channels, len(photographs)) == ((20, 30), 3, 1)
    assert photographs.read([0]).gaze is None
    assert open_samples(folder).size == (36, 60)
    (tmp_path / "eyes.toml").write_text("[image]\nheight = 12\nwidth = 20\n")
    rendered = open_samples(tmp_path / "eyes.toml", seed=3, count=9)
    assert (rendered.size, len(rendered)) == ((12, 20), 9)
    assert open_samples("columbia").size == open_samples("columbia").read([0]).size


def test_recipes_and_folders_take_the_look_of_a_store(store, tmp_path):
    (tmp_path / "images").mkdir()
    Image.fromarray(np.full((40, 64, 3), 128, np.uint8)).save(tmp_path / "images" / "a.png")
    folder, webcam = tmp_path / "images", Path("webcam")
    look = {"size": (6, 10), "channels": 1}
    assert look_of(webcam, folder, store.path) == look
    assert look_of(folder, webcam) == {"size": (36, 60), "channels": 1}
    assert look_of(folder) == {}
    opened = open_together(folder, webcam, store.path, count=2)
    assert [(one.size, one.channels) for one in opened] == [((6, 10), 1)] * 3
    wide = {"size": (24, 64), "channels": 3}
    for source in (webcam, folder):
        samples = open_samples(source, **wide, count=2)
        assert (samples.size, samples.channels) == ((24, 64), 3)
        assert samples.read([0]).image.shape == (1, 3, 24, 64)


def test_open_samples_names_what_is_wrong(store, tmp_path):
    with pytest.raises(UserError, match=r"is 6x10 grey, but 36x60 grey is needed"):
        open_samples(store.path, size=(36, 60))
    with pytest.raises(UserError, match="no such store or folder"):
        open_samples(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"none\.toml: no such file"):
        open_samples(tmp_path / "none.toml")
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(UserError, match="neither a store"):
        open_samples(tmp_path / "a.txt")
    (tmp_path / "images").mkdir()
    with pytest.raises(UserError, match="holds no PNG"):
        open_samples(tmp_path / "images")
    (tmp_path / "images" / "a.png").write_bytes(b"no")
    with pytest.raises(DataError, match=r"a\.png.*gazegan import folder"):
        open_samples(tmp_path / "images")
    (store.path / "manifest.json").rename(store.path / "plan.json")
    with pytest.raises(DataError, match="unfinished"):
        open_samples(store.path)


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    weights=st.lists(st.integers(1, 9), min_size=4, max_size=4),
    batch=st.integers(1, 40),
)
@settings(deadline=None, max_examples=60)
def test_every_source_has_its_share_of_each_batch_and_is_gone_through_evenly(sizes, weights, batch):
    ends = torch.tensor([0, *sizes]).cumsum(0).tolist()
    sources = [torch.arange(a, b) for a, b in itertools.pairwise(ends)]
    shares = weights[: len(sizes)]
    seen = torch.stack([shared_indices(sources, shares, batch, step, 3) for step in range(9)])
    assert seen.shape == (9, batch)
    for source, share in zip(sources, shares, strict=True):
        inside = (seen >= source[0]) & (seen <= source[-1])
        counts = inside.sum(1)
        assert (counts == counts[0]).all()
        assert abs(float(counts[0]) - batch * share / sum(shares)) < 1.0001
        often = torch.bincount(seen[inside] - source[0], minlength=len(source))
        assert often.max() - often.min() <= 1

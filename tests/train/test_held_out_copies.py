"""No eye is measured on that is learned from, whatever source has it once more."""

from dataclasses import replace

import pytest
import torch

from gazegan.data import store as stores
from gazegan.data.manifest import Manifest
from gazegan.data.pseudo import write_pseudo_labelled
from gazegan.data.rendered import write_rendered
from gazegan.data.store import open_store, write_store
from gazegan.data.stream import JoinedSamples, MemorySamples, RenderedSamples, only
from gazegan.nets.refiner import Refiner, RefinerConfig
from gazegan.render.prior import load_recipe
from gazegan.schema import LANDMARKS, MASKS
from gazegan.train.apply import refine_store
from gazegan.train.held_out import belonging, parted, split

SMALL = ("image.height=16", "image.width=20")


@pytest.fixture
def render(tmp_path):
    """Write the first eyes of a recipe."""

    def made(count, *overrides, seed=0):
        path = tmp_path / f"{count}-{seed}-{len(overrides)}"
        return write_rendered(load_recipe("webcam", (*SMALL, *overrides)), seed, count, path)

    return made


@pytest.fixture
def refine(tmp_path):
    """Write a refined copy of a store, or of those of its eyes that are `kept`."""
    torch.manual_seed(0)
    refiner = Refiner(RefinerConfig(widths=(4, 8), blocks=1), channels=1)

    def made(source, kept=None):
        chosen = None if kept is None else torch.tensor(kept)
        path = tmp_path / f"{source.path.name}-refined-{kept}"
        info = {"data": {"channels": 1}, "sha256": "0" * 64}
        return refine_store(source, refiner, info, path, kept=chosen)

    return made


def assert_apart(*parts):
    """No eye that is held out has the parameters of one that is learned, by a slow search."""
    for data in (JoinedSamples(parts), JoinedSamples(parts[::-1])):
        params = data.read(range(len(data))).params
        for seed in range(6):
            _, rows, kept = parted(data, 0.2, seed)
            assert sorted([*rows.tolist(), *kept.tolist()]) == list(range(len(data)))
            assert len(kept) > 0
            learned = {tuple(row) for row in params[rows].tolist()}
            assert not learned & {tuple(row) for row in params[kept].tolist()}


def test_eyes_of_which_some_were_left_out(render, refine):
    raw = render(16)
    sifted = refine(raw, [0, 2, 3, 5, 6, 7, 8, 10, 11, 12, 14, 15])
    assert_apart(raw, sifted)
    assert_apart(refine(raw), refine(sifted), refine(sifted, [1, 2, 3, 8]))
    together = belonging(JoinedSamples((raw, sifted)))
    assert together[16:].tolist() == [0, 2, 3, 5, 6, 7, 8, 10, 11, 12, 14, 15]


def test_eyes_of_one_recipe_rendered_in_another_number(render):
    assert_apart(render(15), render(20))
    together = belonging(JoinedSamples((render(15), render(20), render(5, seed=1))))
    assert together.tolist() == [*range(15), *range(20), *range(20, 25)]


def test_eyes_of_a_recipe_and_of_a_store_of_it(render):
    recipe = load_recipe("webcam", SMALL)
    assert_apart(render(15), RenderedSamples(recipe, 0, 20))
    assert not torch.isin(
        belonging(JoinedSamples((render(15), RenderedSamples(recipe, 1, 20))))[15:],
        torch.arange(15),
    ).any()


def test_faces_of_which_some_were_left_out(render, refine):
    """The last eye of an odd number is half of a face, the other half of which is elsewhere."""
    few, more = render(7, "pairs=true"), render(12, "pairs=true")
    sifted = refine(more, [2, 3, 6, 7, 10, 11])
    assert_apart(few, more, sifted)
    together = belonging(JoinedSamples((few, more, sifted)))
    assert together[:7].tolist() == [k // 2 for k in range(7)]
    assert together[7:19].tolist() == [k // 2 for k in range(12)]
    assert together[19:].tolist() == [1, 1, 3, 3, 5, 5]


def test_of_one_store_those_are_held_out_that_always_were(render, refine):
    raw = render(16)
    assert belonging(raw).tolist() == list(range(16))
    for data in (raw, refine(raw, [0, 2, 3, 5])):
        _, rows, kept = parted(data, 0.25, 3)
        assert torch.equal(rows, split(torch.arange(len(data)), 0.25, 3)[0])
        assert torch.equal(kept, split(torch.arange(len(data)), 0.25, 3)[1])
    for copy in (raw, open_store(raw.path), refine(raw), refine(refine(raw))):
        assert belonging(JoinedSamples((raw, copy))).tolist() == [*range(16), *range(16)]


@pytest.fixture
def photographs(tmp_path, make_eyes):
    """Write photographs of people of whom nothing is known but the names of files."""

    def made(name, names, source="a" * 64):
        eyes = replace(make_eyes(len(names)).batch, landmarks=None, masks=None)
        plan = Manifest(
            kind="real", count=len(names), channels=1, height=16, width=20, names=tuple(names),
            notes={"source_sha256": source},
        )  # fmt: skip
        return write_store(tmp_path / name, plan, lambda rows: eyes[list(rows)])

    return made


def test_photographs_of_which_some_were_left_out(photographs, refine):
    """Of a face, one eye may be left out; of names without sides, those that are left may have."""
    real = photographs("real", [f"{k // 2}_{'LR'[k % 2]}.png" for k in range(8)])
    sifted = refine(real, [1, 2, 3, 6])
    answered = write_pseudo_labelled(sifted, torch.zeros(4, 2), sifted.path / "answered", {})
    other = photographs("other", real.manifest.names, source="b" * 64)
    together = belonging(JoinedSamples((real, sifted, answered, other)))
    assert together[:8].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert together[8:16].tolist() == [0, 1, 1, 3] * 2
    assert together[16:].tolist() == [4, 4, 5, 5, 6, 6, 7, 7]
    mixed = photographs("mixed", ["anna_L.png", "anna_R.png", "ben.png", "ben.jpg"])
    together = belonging(JoinedSamples((mixed, refine(mixed, [1]), refine(mixed, [2, 3]))))
    assert together.tolist() == [0, 0, 1, 2, 0, 1, 2]


def test_eyes_without_parameters_are_known_by_landmarks(tmp_path, make_eyes, refine):
    eyes = make_eyes(12).batch
    plan = Manifest(
        kind="real", count=12, channels=1, height=16, width=20, masks=MASKS, landmarks=LANDMARKS
    )
    raw = write_store(tmp_path / "raw", plan, lambda rows: eyes[list(rows)])
    together = belonging(JoinedSamples((raw, refine(raw), refine(raw, [3, 4, 9]), make_eyes(3, 1))))
    assert together.tolist() == [*range(12), *range(12), 3, 4, 9, 12, 13, 14]


def test_eyes_of_which_nothing_exact_is_known_are_one_in_one_store_alone(tmp_path, make_eyes):
    """Equal gazes do not make them one."""
    eyes = replace(make_eyes(4).batch, landmarks=None, masks=None)
    plan = Manifest(kind="real", count=4, channels=1, height=16, width=20)
    bare = write_store(tmp_path / "bare", plan, lambda rows: eyes[list(rows)])
    together = belonging(JoinedSamples((bare, MemorySamples(eyes), open_store(bare.path))))
    assert together.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3]


def test_a_store_is_verified_once(render, monkeypatch):
    """Which takes longer than to read labels, and training does it anyway."""
    seen, verify = [], stores._read_shard
    monkeypatch.setattr(stores, "_read_shard", lambda *args: seen.append(args) or verify(*args))
    data = JoinedSamples((render(8), render(9)))
    belonging(data)
    read = only(data, ("gaze",)).read(range(17))
    assert (read.gaze is not None, read.params, len(seen)) == (True, None, 2)

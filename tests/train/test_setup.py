"""What both stages need before their first step: data at hand and described, seeds, pictures."""

from dataclasses import replace

import pytest
import torch

from gazegan.data.manifest import Manifest
from gazegan.data.store import open_store, write_store
from gazegan.data.stream import JoinedSamples, MemorySamples
from gazegan.schema import LANDMARKS, MASKS
from gazegan.train.setup import at_hand, describe, hold, seeded, stack_rows


def test_held_samples_are_those_that_were_read(make_eyes):
    eyes, done = make_eyes(300), []
    held = hold(eyes, done.append)
    assert (len(held), held.size, held.channels) == (300, eyes.size, 1)
    assert sum(done) == 300
    indices = torch.tensor([299, 3, 3, 140])
    a, b = held.read(indices), eyes.read(indices)
    assert torch.equal(a.gaze, b.gaze)
    torch.testing.assert_close(a.image, b.image, atol=0.5 / 255 + 1e-6, rtol=0)
    torch.testing.assert_close(a.masks, b.masks, atol=3 / 255, rtol=0)


def test_data_for_a_cpu_are_read_as_they_are(make_eyes):
    eyes = make_eyes()
    assert at_hand(eyes, "cpu") is eyes


def test_description_tells_data_sets_apart(make_eyes):
    one = describe(make_eyes())
    assert one == describe(make_eyes())
    assert (one["channels"], one["height"], one["width"], one["count"]) == (1, 16, 20, 40)
    assert describe(make_eyes(seed=1))["sha256"] != one["sha256"]
    relabelled = replace(make_eyes().batch, gaze=make_eyes().batch.gaze + 0.1)
    assert describe(MemorySamples(relabelled))["sha256"] != one["sha256"]


def test_description_tells_several_stores_apart_by_a_single_label(tmp_path, make_eyes):
    joined = []
    for name, changed in (("same", []), ("again", []), ("other", [77])):
        eyes = make_eyes(120).batch
        eyes.gaze[changed] += 0.1
        plan = Manifest(kind="rendered", count=120, channels=1, height=16, width=20, masks=MASKS,
                        landmarks=LANDMARKS)  # fmt: skip
        write_store(tmp_path / name, plan, lambda rows, eyes=eyes: eyes[list(rows)])
        joined.append(JoinedSamples((make_eyes(50, 1), open_store(tmp_path / name))))
    same, again, other = (describe(one)["sha256"] for one in joined)
    assert same == again != other


@pytest.mark.parametrize("label", ["head", "landmarks"])
def test_description_tells_data_sets_apart_by_every_label_that_is_read(make_eyes, label):
    eyes = replace(make_eyes().batch, head=torch.zeros(40, 2))
    other = replace(eyes, **{label: getattr(eyes, label) + 0.1})
    one, another = (describe(MemorySamples(batch)) for batch in (eyes, other))
    assert one["sha256"] != another["sha256"]


def test_initial_weights_depend_on_the_seed_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with seeded(1, "x"):
        first = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    with seeded(1, "x"):
        assert torch.equal(torch.rand(3), first)
    with seeded(2, "x"):
        assert not torch.equal(torch.rand(3), first)


def test_rows_lie_one_above_the_other():
    a, b = torch.rand(3, 1, 4, 5), torch.rand(3, 1, 4, 5)
    picture = stack_rows(a, b)
    assert picture.shape == (1, 8, 15)
    assert torch.equal(picture[:, 4:, 5:10], b[1])

"""What a stage takes: images of a usable size, sources in shares, photographs to compare."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from gazegan.data.manifest import Manifest
from gazegan.data.store import write_store
from gazegan.data.stream import JoinedSamples, MemorySamples, RenderedSamples
from gazegan.errors import UserError
from gazegan.losses import gaze as losses
from gazegan.nets.features import RandomFeatures
from gazegan.nets.landmarks import by_image
from gazegan.nets.regressor import Answer, RegressorConfig
from gazegan.render.prior import load_recipe
from gazegan.schema import LANDMARKS, MASKS
from gazegan.train import gaze_losses
from gazegan.train.adapt.settings import AdaptConfig
from gazegan.train.assess import likenesses
from gazegan.train.gaze_settings import GazeTraining
from gazegan.train.held_out import belonging, parted, split
from gazegan.train.log import read_log
from gazegan.train.loop import run


def test_images_too_small_for_a_network_are_refused(gaze_of, make_eyes):
    whole = make_eyes().batch
    small = MemorySamples(replace(whole, image=whole.image[:, :, :12], masks=None))
    with pytest.raises(UserError, match=r"12x\d+ are too small for network\.kind 'lenet'.* 16"):
        gaze_of(small, network={"kind": "lenet"})
    left = r"of which network\.view leaves (\d+)x\d+, are too small"
    with pytest.raises(UserError, match=left):
        gaze_of(MemorySamples(whole), network={"kind": "lenet", "view": 0.5})


def test_held_out_are_whole_people_and_faces(tmp_path, make_eyes):
    """Else the error would be that on people whose other photographs were learned."""
    whose = torch.tensor([0] * 10 + [1] * 20 + [2] * 8 + [-1] * 2)
    eyes = replace(make_eyes(40).batch, subject=whose)
    known = {"kind": "real", "count": 40, "channels": 1, "height": 16, "width": 20}
    plan = Manifest(**known, masks=MASKS, landmarks=LANDMARKS, subjects=("a", "b", "c"))
    people = write_store(tmp_path / "people", plan, lambda rows: eyes[list(rows)])
    together = belonging(JoinedSamples((make_eyes(5), people)))
    assert len(together[:5].unique()) == 5
    for seed in range(6):
        rows, kept = split(together, 0.25, seed)
        assert sorted([*rows.tolist(), *kept.tolist()]) == list(range(45))
        assert 0 < len(kept) <= 25
        assert not set(together[rows].tolist()) & set(together[kept].tolist())
    assert torch.equal(belonging(people)[:30], whose[:30])
    assert len(belonging(people)[-2:].unique()) == 2
    faces = plan.model_copy(update={"recipe": {"pairs": True}, "subjects": ()})
    pairs = write_store(tmp_path / "pairs", faces, lambda rows: eyes[list(rows)])
    assert belonging(pairs).tolist() == [k // 2 for k in range(40)]
    alone = write_store(
        tmp_path / "alone", plan, lambda rows: replace(eyes, subject=0 * whose)[list(rows)]
    )
    assert belonging(alone).tolist() == list(range(40))


@pytest.fixture
def store_of(tmp_path, make_eyes):
    """Write a store of 12 eyes of three people, or of none, as its plan says."""
    eyes = make_eyes(12).batch
    plan = Manifest(
        kind="real", count=12, channels=1, height=16, width=20, masks=MASKS, landmarks=LANDMARKS
    )

    def made(name, subject=None, **changes):
        batch = replace(eyes, subject=None if subject is None else torch.tensor(subject))
        made_plan = plan.model_copy(update=changes)
        return write_store(tmp_path / name, made_plan, lambda rows: batch[list(rows)])

    return made


def test_people_of_equal_names_are_one_in_all_sources(store_of):
    first = store_of("first", [0, 1, 2] * 4, subjects=("anna", "ben", "cem"))
    second = store_of("second", [0, 1] * 5 + [-1] * 2, subjects=("cem", "dora"))
    together = belonging(JoinedSamples((first, second)))
    assert together[12] == together[2]
    assert together[13] not in together[:12]
    assert len(together[22:].unique()) == 2
    assert len(together.unique()) == 6
    alone = store_of("alone", [0] * 12, subjects=("anna",))
    assert (belonging(JoinedSamples((alone, second)))[:12] == 0).all()


def test_faces_of_recipes_and_of_names_are_held_out_whole(store_of):
    recipe = load_recipe("webcam", ("pairs=true", "image.height=16", "image.width=20"))
    assert belonging(RenderedSamples(recipe, 0, 6)).tolist() == [0, 0, 1, 1, 2, 2]
    named = store_of("named", names=tuple(f"{k // 2}_{'LR'[k % 2]}.png" for k in range(12)))
    assert belonging(named).tolist() == [k // 2 for k in range(12)]


def test_answers_of_a_network_are_no_measure(store_of):
    """Their error would be that beside the network, not beside the truth."""
    people = {"subjects": ("anna", "ben", "cem")}
    truth = store_of("truth", [0] * 6 + [1] * 6, **people)
    answered = store_of("answered", [0, 2] * 6, notes={"labels": {"sha256": "-"}}, **people)
    together, rows, kept = parted(JoinedSamples((truth, answered)), 0.25, 0)
    assert len(kept) == 6
    assert (kept < 12).all()
    # Of whom labels are held out, other photographs are not learned from either.
    assert not set(together[rows].tolist()) & set(together[kept].tolist())
    everything, none = split(together, 0.5, 0, torch.ones(24, dtype=torch.bool))
    assert (len(everything), len(none)) == (24, 0)


def test_shares_need_a_source_each_and_count_in_every_batch(gaze_of, make_eyes):
    both = JoinedSamples((make_eyes(12), make_eyes(60, 1)))
    stage = gaze_of(both, shares=(3.0, 1.0))
    first = make_eyes(12).batch.image
    for at in range(4):
        image = stage.batches(at)["data"].image
        near = torch.cdist(image.flatten(1), first.flatten(1)).amin(1) < 1e-6
        assert int(near.sum()) == 6
    with pytest.raises(UserError, match="--share: 2 shares for 1 --data"):
        gaze_of(shares=(3.0, 1.0))
    with pytest.raises(UserError, match="--share 1: is less than one of the 8 images of a batch"):
        gaze_of(both, shares=(1.0, 200.0))
    each = torch.arange(61)
    seed = next(s for s in range(99) if 60 in split(each, 0.9, s)[1])
    held_out = {"held_out": 0.9, "seed": seed}
    with pytest.raises(UserError, match="number 2, 1 images, all are held out"):
        gaze_of(JoinedSamples((make_eyes(60), make_eyes(1, 1))), shares=(1.0, 1.0), **held_out)


def test_only_the_axes_named_for_a_source_are_learned():
    cfg = GazeTraining(batch=8, shares=(3.0, 1.0), axes=("both", "pitch"))
    gaze = torch.rand(8, 2)
    output = torch.rand(8, 2, requires_grad=True)
    loss, _ = gaze_losses.answer_loss(cfg, Answer(output, None), gaze)
    loss.backward()
    assert (output.grad == 0).tolist() == 6 * [[False, False]] + 2 * [[False, True]]
    whole = (
        losses.smooth_l1(output, gaze)[:6].sum()
        + losses.smooth_l1(output[6:, :1], gaze[6:, :1]).sum()
    )
    torch.testing.assert_close(loss, whole / 8)


def test_axes_that_contradict_are_refused_by_name():
    with pytest.raises(ValidationError, match="axes and shares belong together"):
        GazeTraining(axes=("both",))
    with pytest.raises(ValidationError, match=r"axes need .*'angles' and no network\.spread"):
        GazeTraining(shares=(1.0,), axes=("yaw",), network={"spread": True})


def test_likeness_to_photographs_is_measured_beside_that_of_raw_renders(refiner_of):
    stage = refiner_of()
    told, _ = stage.evaluate(stage.init())
    measures = ("sliced_wasserstein", "kernel_distance", "auc")
    assert {f"likeness/{name}_{m}" for name in ("raw", "refined") for m in measures} < set(told)
    # An untrained refiner is the identity.
    for measure in measures:
        assert told[f"likeness/refined_{measure}"] == told[f"likeness/raw_{measure}"]
    image = torch.rand(20, 1, 8, 12)
    how = (image, 0, RandomFeatures(1), "likeness")
    same = likenesses({"raw": image, "dark": 0.5 * image}, *how)
    assert same["likeness/raw_sliced_wasserstein"] == 0
    assert same["likeness/dark_sliced_wasserstein"] > 0.5
    assert likenesses({"raw": image[:15]}, *how) == {}
    assert likenesses({"raw": image}, image[:1].expand(20, -1, -1, -1), *how[1:]) == {}


def test_landmarks_are_learned_and_told_in_pixels(tmp_path, gaze_of, make_eyes):
    network = RegressorConfig(kind="landmarks", widths=(8, 8, 8, 8, 16), hidden=16)
    optimiser = {"kind": "adam", "lr": 5e-3}
    stage = gaze_of(make_eyes(200), steps=80, batch=32, network=network, optimiser=optimiser)
    state = run(stage, tmp_path)
    lines = read_log(tmp_path)
    trained = [line["landmarks_px"] for line in lines if "landmarks_px" in line]
    held = [line["held_out_px"] for line in lines if "held_out_px" in line]
    assert trained[-1] < 0.4 * trained[0]
    eyes = make_eyes(200).batch[split(torch.arange(200), 0.2, 0)[1]]
    with torch.no_grad():
        points = state.average.eval().answer(eyes.image).points
    truth = by_image(eyes.landmarks).double().numpy()
    found = points.double().numpy() * 20 + np.array([10, 8])
    slow = np.mean([np.hypot(*off) for off in (found - truth).reshape(-1, 2)])
    assert held[-1] == pytest.approx(slow, rel=1e-4)
    last = [line for line in lines if "held_out_deg" in line][-1]
    assert last["held_out_deg"] < 0.6 * last["constant_deg"]


def test_eyes_without_landmarks_are_refused_with_the_cure(gaze_of, make_eyes):
    bare = MemorySamples(replace(make_eyes().batch, landmarks=None))
    network = RegressorConfig(kind="landmarks", widths=(4, 4, 8, 8, 8), hidden=8)
    with pytest.raises(UserError, match=r"no landmarks.*gazegan render.*another --network"):
        gaze_of(bare, network=network)
    with pytest.raises(UserError, match="--adapt adversarial: --network landmarks"):
        how = {"network": network, "adapt": AdaptConfig(method="adversarial")}
        gaze_of(real=make_eyes(30, 1), **how)

"""What a stage takes: images of a usable size, sources in shares, photographs to compare."""

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

from gazegan.data.stream import JoinedSamples, MemorySamples
from gazegan.errors import UserError
from gazegan.losses import gaze as losses
from gazegan.nets.regressor import Answer
from gazegan.train import gaze as gaze_module
from gazegan.train.assess import likenesses
from gazegan.train.gaze import GazeTraining


def test_images_too_small_for_a_network_are_refused(gaze_of, make_eyes):
    whole = make_eyes().batch
    small = MemorySamples(replace(whole, image=whole.image[:, :, :12], masks=None))
    with pytest.raises(UserError, match=r"12x\d+ are too small for network\.kind 'lenet'.* 16"):
        gaze_of(small, network={"kind": "lenet"})


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


def test_only_the_axes_named_for_a_source_are_learned():
    cfg = GazeTraining(batch=8, shares=(3.0, 1.0), axes=("both", "pitch"))
    gaze = torch.rand(8, 2)
    output = torch.rand(8, 2, requires_grad=True)
    loss, _ = gaze_module.learn(cfg, Answer(output, None), gaze)
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
    same = likenesses({"raw": image, "dark": 0.5 * image}, image, 0)
    assert same["likeness/raw_sliced_wasserstein"] == 0
    assert same["likeness/dark_sliced_wasserstein"] > 0.5
    assert likenesses({"raw": image[:15]}, image, 0) == {}

"""A refined store: new images, every label of a real render as it was, bit for bit."""

from dataclasses import fields

import pytest
import torch
from torch import nn

from gazegan.data.rendered import write_rendered
from gazegan.drift import pupil_shift
from gazegan.errors import UserError
from gazegan.nets.refiner import Refiner, RefinerConfig
from gazegan.render.prior import load_recipe
from gazegan.schema import ORIGINS, EyeBatch
from gazegan.train.apply import (
    Drift,
    Strength,
    measure_drift,
    refine_batch,
    refine_store,
    whole_faces,
)


def test_every_label_of_a_render_is_carried_unchanged(tmp_path):
    recipe = load_recipe("webcam", ("image.height=16", "image.width=24", "image.depth=true"))
    source = write_rendered(recipe, 0, 6, tmp_path / "renders")
    torch.manual_seed(0)
    refiner = Refiner(RefinerConfig(widths=(4, 8), blocks=1), channels=1)
    for weight in refiner.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    info = {"data": {"channels": 1}, "sha256": "0" * 64}
    refined = refine_store(source, refiner, info, tmp_path / "refined")
    old, new = source.read(range(6)), refined.read(range(6))
    assert (new.origin == ORIGINS.index("refined")).all()
    assert not torch.equal(new.image, old.image)
    carried = {f.name for f in fields(EyeBatch)} - {"image", "origin", "subject"}
    for name in carried:
        assert torch.equal(getattr(new, name), getattr(old, name)), name


@pytest.fixture
def made(tmp_path):
    recipe = load_recipe("webcam", ("image.height=16", "image.width=24"))
    source = write_rendered(recipe, 0, 6, tmp_path / "renders")
    torch.manual_seed(0)
    refiner = Refiner(RefinerConfig(widths=(4, 8), blocks=1), channels=1)
    for weight in refiner.parameters():
        nn.init.normal_(weight, std=0.2)
    return source, refiner, {"data": {"channels": 1}, "sha256": "0" * 64}


def test_only_the_kept_are_written_as_they_would_be_among_all(made, tmp_path):
    source, refiner, info = made
    kept, strength = torch.tensor([1, 2, 5]), Strength(0, 1)
    some = refine_store(source, refiner, info, tmp_path / "some", strength=strength, kept=kept)
    whole = refine_batch(refiner, source.read(kept), strength)
    found = some.read(range(3))
    assert len(some) == 3
    assert torch.equal(found.gaze, whole.gaze) and torch.equal(found.params, whole.params)
    assert (found.image - whole.image).abs().max() <= 1 / 255
    assert found.id.tolist() == [0, 1, 2]
    others = torch.tensor([0, 2, 5])
    with pytest.raises(UserError, match="kept"):
        refine_store(source, refiner, info, tmp_path / "some", strength=strength, kept=others)


def test_drift_is_that_of_the_refined_images(made):
    source, refiner, _ = made

    class Brightness(nn.Module):
        """A judge whose pitch is the mean brightness."""

        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(1.0))

        def forward(self, image):
            return torch.stack((self.scale * image.mean((1, 2, 3)), torch.zeros(len(image))), 1)

    drift = measure_drift(source, refiner, judge=Brightness())
    raw = source.read(range(6))
    after = refine_batch(refiner, raw).image
    moved = (after.mean((1, 2, 3)) - raw.image.mean((1, 2, 3))).abs()
    torch.testing.assert_close(drift.gaze_deg, torch.rad2deg(moved), rtol=1e-3, atol=1e-3)
    pupil = pupil_shift(raw.image, after, raw.masks).norm(dim=1)
    torch.testing.assert_close(drift.pupil_px, pupil, equal_nan=True)
    assert measure_drift(source, refiner).gaze_deg.isnan().all()


def test_limits_leave_out_what_moved_and_keep_what_cannot_be_told():
    drift = Drift(torch.tensor([0.1, 0.5, torch.nan, 0.2]), torch.tensor([3.0, 0.0, 1.0, 1.0]))
    assert drift.within(0.3, None).tolist() == [True, False, True, True]
    assert drift.within(0.3, 2.0).tolist() == [False, False, True, True]
    assert drift.within(None, None).all()
    assert whole_faces(torch.tensor([True, False, True, True])).tolist() == [False] * 2 + [True] * 2
    assert whole_faces(torch.tensor([True, False, True])).tolist() == [False, False, True]
    assert whole_faces(torch.tensor([False])).tolist() == [False]


def test_both_eyes_of_a_face_take_the_same_share_of_their_change(made, tmp_path):
    """The rows of a strip are one image, which has to stay one."""
    _, refiner, info = made
    recipe = load_recipe("portrait", ("image.height=16", "image.width=48", "image.channels=1"))
    strips = write_rendered(recipe, 0, 6, tmp_path / "strips")
    refined = refine_store(strips, refiner, info, tmp_path / "out", strength=Strength(0, 1))
    raw, image = (store.read(range(6)).image for store in (strips, refined))
    assert torch.equal(image[::2], image[1::2])
    assert len({float(change) for change in (image - raw).abs().mean((1, 2, 3))}) == 3


def test_shares_are_drawn_anew_by_another_seed(made):
    source, refiner, _ = made
    one, same, other = (
        refine_batch(refiner, source.read(range(6)), Strength(0, 1, seed)).image
        for seed in (0, 0, 1)
    )
    assert torch.equal(one, same) and not torch.equal(one, other)

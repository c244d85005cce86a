"""Augmentation against SciPy, closed forms and the labels it must keep."""

import pytest
import torch

from gazegan import rng
from gazegan.train.augment import AugmentConfig, augment, reframe

OFF = AugmentConfig(shift=0, scale=0, brightness=0, contrast=0, gamma=0, blur=0, noise=0, mirror=0)
IMAGE = torch.rand(6, 3, 14, 18, generator=torch.Generator().manual_seed(0))
GAZE = torch.randn(6, 2, generator=torch.Generator().manual_seed(1))


def test_switched_off_it_changes_nothing():
    image, gaze = augment(OFF, IMAGE, GAZE, rng.stream(0))
    torch.testing.assert_close(image, IMAGE.clamp(1e-4, 1))
    assert torch.equal(gaze, GAZE)


def test_mirrored_images_look_the_other_way():
    image, gaze = augment(OFF.model_copy(update={"mirror": 1.0}), IMAGE, GAZE, rng.stream(0))
    torch.testing.assert_close(image, IMAGE.flip(-1).clamp(1e-4, 1))
    assert torch.equal(gaze[:, 0], GAZE[:, 0])
    assert torch.equal(gaze[:, 1], -GAZE[:, 1])


def test_half_are_mirrored_and_the_others_are_not():
    image, gaze = IMAGE[:1].expand(400, -1, -1, -1), GAZE[:1].expand(400, -1)
    _, after = augment(OFF.model_copy(update={"mirror": 0.5}), image, gaze, rng.stream(0))
    share = (after[:, 1] != gaze[:, 1]).float().mean()
    assert 0.4 < share < 0.6


def test_all_together_stays_in_range_and_keeps_the_labels():
    config = AugmentConfig(mirror=0.0, noise=0.3, brightness=0.5)
    image, gaze = augment(config, IMAGE, GAZE, rng.stream(0))
    assert image.shape == IMAGE.shape
    assert image.min() >= 0
    assert image.max() <= 1
    assert torch.equal(gaze, GAZE)
    assert not torch.allclose(image, IMAGE, atol=0.05)


def test_it_depends_on_the_generator_alone():
    config = AugmentConfig()
    first, again = (augment(config, IMAGE, GAZE, rng.stream(3))[0] for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, augment(config, IMAGE, GAZE, rng.stream(4))[0])


def test_the_callers_images_stay_as_they_are():
    before = IMAGE.clone()
    augment(AugmentConfig(), IMAGE, GAZE, rng.stream(0))
    assert torch.equal(IMAGE, before)


@pytest.mark.parametrize("pixels", [(2, 0), (0, -3), (-1, 2)])
def test_shift_by_whole_pixels_moves_the_image(pixels):
    dx, dy = pixels
    shift = torch.tensor([[2 * dx / 18, 2 * dy / 14]]).expand(6, 2)
    moved = reframe(IMAGE, torch.ones(6), shift)
    inside = moved[..., 4:10, 4:14]
    expected = IMAGE[..., 4 - dy : 10 - dy, 4 - dx : 14 - dx]
    torch.testing.assert_close(inside, expected, atol=1e-5, rtol=0)


def test_enlarging_twice_keeps_the_centre_and_doubles_distances():
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    ramp = torch.stack((x, y))[None]
    twice = reframe(ramp, torch.tensor([2.0]), torch.zeros(1, 2))
    expected = (ramp - 7.5) / 2 + 7.5
    torch.testing.assert_close(twice, expected, atol=1e-4, rtol=0)

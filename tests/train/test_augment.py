"""Augmentation against SciPy, closed forms and the labels it must keep."""

import pytest
import torch

from gazegan import rng
from gazegan.schema import LANDMARKS, EyeBatch
from gazegan.train.augment import AugmentConfig, Move, augment, augment_eyes, reframe, vary

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


def dots(points, size=(40, 60)):
    """Images with a bright Gaussian dot at one point (x, y) px each."""
    y, x = torch.meshgrid(torch.arange(size[0]) + 0.5, torch.arange(size[1]) + 0.5, indexing="ij")
    square = (x - points[:, 0, None, None]) ** 2 + (y - points[:, 1, None, None]) ** 2
    return torch.exp(-square / 8)[:, None]


def centroids(image):
    """Where the dots are: (x, y) px of the mass of each image."""
    mass = image[:, 0].double().clamp(min=0.05) - 0.05
    y, x = (torch.arange(n).double() + 0.5 for n in image.shape[-2:])
    total = mass.sum((1, 2))
    across, down = (mass.sum(1) * x).sum(1) / total, (mass.sum(2) * y).sum(1) / total
    return torch.stack((across, down), dim=1)


def test_points_go_where_the_pixels_go():
    """Dots drawn at points are found again where the points are said to have moved."""
    generator = torch.Generator().manual_seed(0)
    points = torch.tensor([20.0, 14.0]) + torch.tensor([20.0, 12.0]) * torch.rand(
        30, 2, generator=generator
    )
    config = OFF.model_copy(update={"mirror": 0.5, "shift": 0.1, "scale": 0.2})
    image, move = vary(config, dots(points), rng.stream(0))
    assert 0 < move.mirrored.sum() < 30
    found = move.points(points[:, None], (40, 60))[:, 0]
    assert (found - points).norm(dim=1).min() > 0.2
    torch.testing.assert_close(found.double(), centroids(image), atol=0.1, rtol=0)


def test_points_of_whole_pixel_shifts_mirrors_and_enlargements_in_closed_form():
    points = torch.tensor([[[3.0, 4.0], [9.0, 7.0]]]).expand(3, 2, 2)
    move = Move(
        torch.tensor([False, True, False]),
        torch.tensor([1.0, 1.0, 2.0]),
        torch.tensor([[2 * 2 / 18, -2 * 3 / 14], [0.0, 0.0], [0.0, 0.0]]),
    )
    expected = torch.tensor(
        [[[5.0, 1.0], [11.0, 4.0]], [[15.0, 4.0], [9.0, 7.0]], [[-3.0, 1.0], [9.0, 7.0]]]
    )
    torch.testing.assert_close(move.points(points, (14, 18)), expected)


def test_eyes_are_varied_with_their_labels_and_as_images_are():
    config = AugmentConfig(shift=0.1)
    head = torch.tensor([0.1, 0.3]).repeat(6, 1)
    landmarks = 10 * torch.rand(6, len(LANDMARKS), 2)
    whole = torch.arange(6)
    eyes = EyeBatch(IMAGE, whole, whole, GAZE, head, landmarks=landmarks, side=whole)
    found = augment_eyes(config, eyes, rng.stream(5))
    image, gaze = augment(config, IMAGE, GAZE, rng.stream(5))
    assert torch.equal(found.image, image) and torch.equal(found.gaze, gaze)
    mirrored = found.head[:, 1] < 0
    assert 0 < mirrored.sum() < 6
    assert torch.equal(mirrored, gaze[:, 1] != GAZE[:, 1])
    assert found.side is None
    bare = augment_eyes(config, EyeBatch(IMAGE, whole, whole), rng.stream(5))
    assert (bare.gaze, bare.head, bare.landmarks) == (None, None, None)
    assert found.landmarks.shape == landmarks.shape
    _, move = vary(config, IMAGE, rng.stream(5))
    assert torch.equal(found.landmarks, move.points(landmarks, (14, 18)))

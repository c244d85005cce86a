"""Statistics see where things are, not how an image was exposed."""

import pytest
import torch

from gazegan.fit.statistics import layout, learn, light, one_side, sides_known
from gazegan.schema import UNKNOWN, EyeBatch


def images(count: int = 40, channels: int = 1, size: tuple[int, int] = (24, 36)) -> torch.Tensor:
    drawn = torch.Generator().manual_seed(channels)
    return torch.rand(count, channels, *size, generator=drawn)


def batch(image: torch.Tensor, side: list[int]) -> EyeBatch:
    numbers = torch.arange(len(image))
    return EyeBatch(image, numbers, numbers * 0 + 2, side=torch.tensor(side))


def test_layout_is_the_same_whatever_exposure_and_gamma() -> None:
    plain = images()
    assert torch.allclose(layout(0.3 + 0.6 * plain), layout(plain), atol=2e-2)
    assert (layout(plain.square()) - layout(plain)).abs().max() < 0.1
    assert (layout(plain.flip(-1)) - layout(plain)).abs().max() > 0.5


@pytest.mark.parametrize("size", [(8, 8), (24, 36), (96, 160)])
def test_layouts_of_every_size_hold_about_as_much(size: tuple[int, int]) -> None:
    assert layout(images(2, size=size)).shape[1] <= 600


def test_light_tells_brightness_by_channel_contrast_and_detail() -> None:
    plain = 0.2 + 0.5 * images(channels=3)
    warm = plain * torch.tensor([1.2, 1.0, 0.8]).view(3, 1, 1)
    change = (light(warm) - light(plain)).mean(0)
    assert change[-3] > 0.1 > abs(float(change[-2])) and change[-1] < -0.1
    soft = torch.nn.functional.avg_pool2d(plain, 3, 1, 1)
    assert (light(soft) - light(plain)).mean(0)[1] < -0.05


def test_light_tells_noise_from_edges_of_the_same_strength() -> None:
    edges = torch.zeros(8, 1, 24, 36)
    edges[..., 18:] = 0.6
    noise = 0.3 + 0.1 * torch.randn(8, 1, 24, 36, generator=torch.Generator().manual_seed(0))
    assert (light(noise) - light(edges))[:, 2].min() > 0.5


def test_photographs_have_mean_0_and_spread_1() -> None:
    photographs, renders = images(60), images(50, size=(24, 36)).square()
    values = learn(photographs, renders, 6)(photographs)
    assert values.shape == (60, 6 + 6)
    assert torch.allclose(values.mean(0), torch.zeros(12), atol=1e-4)
    assert torch.allclose(values.std(0), torch.ones(12), atol=1e-3)


def test_without_light_exposure_does_not_count() -> None:
    photographs = images(60)
    dark = 0.1 + 0.3 * photographs
    lit, unlit = (learn(photographs, photographs, 6, lit) for lit in (True, False))
    assert unlit(photographs).shape == (60, 6)
    assert (unlit(dark) - unlit(photographs)).abs().max() < 0.1
    assert (lit(dark) - lit(photographs)).abs().max() > 3


def test_left_eyes_become_right_ones() -> None:
    plain = images(2)
    turned = one_side(batch(plain, [0, 1]))
    assert torch.equal(turned[0], plain[0])
    assert torch.equal(turned[1], plain[1].flip(-1))
    assert sides_known(batch(plain, [0, 1]))
    assert not sides_known(batch(plain, [0, UNKNOWN]))

"""What populations of eye images are compared by: where things are in them, and their light."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from gazegan.nets.layers import equalise, gaussian_blur
from gazegan.predict import head_turn
from gazegan.schema import SIDES, UNKNOWN, EyeBatch

_PLACES = 540
"""About how many pixels an image is averaged down to before its layout is looked at."""
_KNOTS = 17
_FARTHEST = 6.0
"""Bound on statistics, in spreads of the photographs: a single odd eye is not to rule."""
_CHUNK = 512


@dataclass(frozen=True)
class Statistics:
    """M numbers an image: principal components of its layout, and measures of its light.

    All in units in which the photographs have mean 0 and spread 1.
    """

    centre: Tensor
    """[P], what is subtracted from layouts."""
    axes: Tensor
    """[P, K] principal directions of layouts."""
    mean: Tensor
    """[M]."""
    spread: Tensor
    """[M]."""
    lit: bool = True
    """Whether the light counts; it says nothing of images whose histograms were evened out."""

    def __call__(self, image: Tensor) -> Tensor:
        """Map images `[B, C, H, W]` in 0..1 to `[B, M]`."""
        return ((self._plain(image) - self.mean) / self.spread).clamp(-_FARTHEST, _FARTHEST)

    def _plain(self, image: Tensor) -> Tensor:
        where = (_in_parts(layout, image) - self.centre) @ self.axes
        return torch.cat((where, _in_parts(light, image)), dim=1) if self.lit else where


def _in_parts(function: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    return torch.cat([function(some) for some in torch.split(image, _CHUNK)])


def learn(photographs: Tensor, renders: Tensor, components: int, lit: bool = True) -> Statistics:
    """Return the statistics in which photographs and renders `[B, C, H, W]` vary most.

    Both count alike, however many there are of each.
    """
    count = min(len(photographs), len(renders))
    seen = [_in_parts(layout, image) for image in (photographs, renders)]
    centre = torch.stack([each.mean(0) for each in seen]).mean(0)
    both = torch.cat([each[:: max(1, len(each) // count)][:count] for each in seen]) - centre
    axes = torch.linalg.svd(both, full_matrices=False).Vh[:components].mT
    unit = torch.ones(1)
    raw = Statistics(centre, axes, 0 * unit, unit, lit)._plain(photographs)
    return Statistics(centre, axes, raw.mean(0), raw.std(0).clamp_min(1e-6), lit)


def layout(image: Tensor) -> Tensor:
    """Return where images `[B, C, H, W]` are dark and bright, `[B, P]`.

    Histograms are evened out, so that exposure, contrast and gamma do not count.
    """
    even = equalise(image, _KNOTS, stretches=True)
    height, width = image.shape[-2:]
    by = max(1, math.ceil(math.sqrt(height * width / _PLACES)))
    return F.adaptive_avg_pool2d(even, (math.ceil(height / by), math.ceil(width / by))).flatten(1)


def light(image: Tensor) -> Tensor:
    """Return logarithms of what evening out loses of images `[B, C, H, W]`, `[B, 5 + C]`.

    Contrast, fine detail as a share of it, how evenly that is spread (noise is everywhere, edges
    are not), the darkest and the brightest spots; means by channel.
    """
    mean, spread = image.mean((2, 3)), image.std((1, 2, 3))
    fine = image - gaussian_blur(image, image.new_ones(len(image)))
    size, evenness = fine.std((1, 2, 3)), fine.abs().mean((1, 2, 3)) / (fine.std((1, 2, 3)) + 1e-4)
    ends = image.flatten(1).quantile(image.new_tensor([0.01, 0.99]), dim=1)
    others = (spread + 0.01, size / (spread + 0.01) + 1e-3, evenness + 0.01, *(ends + 0.02))
    return torch.cat((torch.stack(others, dim=1), mean + 0.02), dim=1).log()


def one_side(batch: EyeBatch) -> Tensor:
    """Return images `[B, C, H, W]` of right eyes (L) alone: those of left eyes are mirrored."""
    assert batch.side is not None
    other = batch.side == SIDES.index("R")
    return torch.where(other[:, None, None, None], batch.image.flip(-1), batch.image)


def circumstances(batch: EyeBatch) -> dict[str, Tensor]:
    """Return what is known of eyes beside their images, `[B]` rad, of left eyes as if mirrored.

    The head's yaw (`head_yaw`), and where eyes look (`gaze_pitch`, `gaze_yaw`), each where the
    batch has it for all.
    """
    assert batch.side is not None
    way = torch.where(batch.side == SIDES.index("R"), -1.0, 1.0)
    found = {"head_yaw": way * head_turn(batch)}
    if batch.gaze is not None:
        found |= {"gaze_pitch": batch.gaze[:, 0], "gaze_yaw": way * batch.gaze[:, 1]}
    return {name: values for name, values in found.items() if bool(values.isfinite().all())}


def by_circumstance(values: Tensor, along: Tensor) -> Tensor:
    """Return statistics `[B, M]` and how they go with K circumstances `along` `[B, K]`.

    Beside them stand their products with each circumstance and with its square, and these alone:
    `[B, M + K (2 M + 2)]`. Circumstances are to have a root mean square of about 1.
    """
    parts = [values]
    for one in along.T[:, :, None]:
        aside = one.square() - 1
        parts += [values * one, values * aside, one, aside]
    return torch.cat(parts, dim=1)


def sides_known(batch: EyeBatch) -> bool:
    """Whether it is known of every eye whether it is a right or a left one."""
    return batch.side is not None and bool((batch.side != UNKNOWN).all())

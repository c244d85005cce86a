"""Changes of an eye image that leave its gaze as it is, or change it in a known way."""

from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Generator, Tensor

from gazegan.config import Config
from gazegan.geometry import mirror_angles
from gazegan.nets.layers import gaussian_blur
from gazegan.schema import EyeBatch
from gazegan.train import processes


class AugmentConfig(Config):
    """How far images are varied; each amount is drawn for each image, 0 switches it off."""

    shift: float = Field(0.02, ge=0, le=0.5)
    """Largest shift, as a share of the sides."""
    scale: float = Field(0.03, ge=0, le=0.5)
    """Largest relative change of size."""
    brightness: float = Field(0.1, ge=0, le=1)
    contrast: float = Field(0.2, ge=0, le=0.9)
    """Largest relative change of contrast."""
    gamma: float = Field(0.2, ge=0, le=0.9)
    """Largest change of the exponent, as a natural logarithm."""
    blur: float = Field(0.5, ge=0, le=10)
    """Largest standard deviation of a Gaussian blur, px."""
    noise: float = Field(0.02, ge=0, le=1)
    """Largest standard deviation of white noise."""
    mirror: float = Field(0.5, ge=0, le=1)
    """Share of images that are mirrored left to right, with the yaw negated."""

    @classmethod
    def strong(cls) -> Self:
        """Return amounts for networks that look at the middle of renders (`network.view`).

        Moved so far that where the eye lies in the image tells nothing, they carry over to
        photographs framed otherwise; those that see whole images would see their borders move.
        """
        moved = {"shift": 0.15, "scale": 0.25, "blur": 1.5, "noise": 0.06}
        return cls(brightness=0.25, contrast=0.4, gamma=0.5, **moved)


@dataclass(frozen=True)
class Move:
    """How each of B images was moved; what else is varied moves nothing."""

    mirrored: Tensor
    """[B] bool, left to right, before all else."""
    scale: Tensor
    """[B] enlargement about the middle, after the shift."""
    shift: Tensor
    """[B, 2] (x, y) in units of half a side."""

    def angles(self, angles: Tensor) -> Tensor:
        """Return (pitch, yaw) rad `[B, 2]`, or `[B, K, 2]`, of the moved images."""
        mirrored = self.mirrored.view(-1, *[1] * (angles.dim() - 1))
        return torch.where(mirrored, mirror_angles(angles), angles)

    def points(self, points: Tensor, size: tuple[int, int]) -> Tensor:
        """Return where points (x, y) px `[B, L, 2]` of images of (height, width) px now are."""
        half = points.new_tensor((size[1] / 2, size[0] / 2))
        place = points / half - 1
        across = torch.where(self.mirrored[:, None], -place[..., 0], place[..., 0])
        place = torch.stack((across, place[..., 1]), dim=-1)
        return ((place + self.shift[:, None]) * self.scale[:, None, None] + 1) * half


def augment_eyes(config: AugmentConfig, eyes: EyeBatch, generator: Generator) -> EyeBatch:
    """Return varied eyes with their gaze, head and landmarks; other labels are left out."""
    image, move = vary(config, eyes.image, generator)
    return EyeBatch(
        image,
        eyes.id,
        eyes.origin,
        gaze=None if eyes.gaze is None else move.angles(eyes.gaze),
        head=None if eyes.head is None else move.angles(eyes.head),
        landmarks=None if eyes.landmarks is None else move.points(eyes.landmarks, eyes.size),
    )


def augment(
    config: AugmentConfig, image: Tensor, gaze: Tensor, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Return varied images `[B, C, H, W]` in 0..1 and their gazes `[B, 2]` (pitch, yaw) rad.

    Gazes may be several angles of each image, `[B, K, 2]`.
    """
    image, move = vary(config, image, generator)
    return image, move.angles(gaze)


def vary(config: AugmentConfig, image: Tensor, generator: Generator) -> tuple[Tensor, Move]:
    """Return varied images `[B, C, H, W]` in 0..1, and how they were moved.

    Draws on the CPU and for the rows of all processes, so that every device sees the same images.
    """
    count, device = processes.count() * len(image), image.device

    def drawn(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=generator)

    def draw(low: float, high: float, *shape: int) -> Tensor:
        return _mine(drawn(low, high, *shape), device)

    mirrored = draw(0, 1) < config.mirror
    image = torch.where(mirrored.view(-1, 1, 1, 1), image.flip(-1), image)
    scale, shift = image.new_ones(len(image)), image.new_zeros(len(image), 2)
    if config.shift or config.scale:
        scale = 1 + draw(-config.scale, config.scale)
        # Grids run from -1 to 1, so a share of the side is twice as much there.
        shift = 2 * draw(-config.shift, config.shift, 2)
        image = reframe(image, scale, shift)
    if config.blur:
        sigma = drawn(0, config.blur)
        image = gaussian_blur(image, _mine(sigma, device), float(sigma.max()))
    bias = draw(-config.brightness, config.brightness, 1, 1, 1)
    gain = 1 + draw(-config.contrast, config.contrast, 1, 1, 1)
    power = draw(-config.gamma, config.gamma, 1, 1, 1).exp()
    image = ((image.clamp(1e-4, 1) ** power - 0.5) * gain + 0.5 + bias).clamp(0, 1)
    if config.noise:
        white = _mine(torch.randn(count, *image.shape[1:], generator=generator), device)
        image = (image + draw(0, config.noise, 1, 1, 1) * white).clamp(0, 1)
    return image, Move(mirrored, scale, shift)


def _mine(drawn: Tensor, device: torch.device) -> Tensor:
    # Without waiting for a GPU: memory that is not pinned is copied aside before the call returns.
    return processes.share(drawn).to(device, non_blocking=True)


def reframe(image: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Enlarge images `[B, C, H, W]` by `scale` `[B]` about a point moved by `shift` `[B, 2]`.

    `shift` is (x, y) in units of half a side; borders are repeated.
    """
    theta = torch.zeros(len(image), 2, 3, dtype=image.dtype, device=image.device)
    theta[:, 0, 0] = theta[:, 1, 1] = 1 / scale
    theta[:, :, 2] = -shift
    grid = F.affine_grid(theta, list(image.shape), align_corners=False)
    return F.grid_sample(image, grid, padding_mode="border", align_corners=False)

"""The lens of glasses as a thin lens: how it bends sight, and where it shows what lies behind.

A thin lens in the plane of the glasses turns a ray that crosses it at c, counted from the optical
centre, from slope s to s - c P (power P, one over the focal length). That maps points behind it to
their images exactly, so that labels are those of the picture.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gazegan.render import shape
from gazegan.render.elementary import power
from gazegan.render.params import EyeParams
from gazegan.render.shape import Rays

BEFORE_EYE = 26.0
"""Distance of the plane of the glasses from the eyeball's centre, mm: vertex distance 13 mm."""
_SLANT, _BEHIND, _WEAK = 0.05, 1.0, 1e-3
"""Guards: rays along the plane, points mm behind it, and the reciprocal of an image's distance."""


@dataclass(frozen=True)
class Glass:
    """Glasses before an eye; its optical centre is on the head's axis through the eyeball."""

    p: EyeParams
    head: Tensor
    """[B, 3, 3] frame of the head along the camera's axes."""
    eye: Tensor
    """[B, 3] the eyeball's centre in the camera frame, mm."""
    refracts: bool
    """Whether a lens may have a power."""
    tinted: bool
    """Whether a lens may have a tint."""
    pads: bool
    """Whether there may be pads beside the nose."""
    held: Tensor | None = None
    """[B, 1, 1] whether everything is seen through the lens, or nothing; None to let the outline
    of the lens decide."""

    @property
    def strength(self) -> Tensor:
        """Power `[B, 1, 1]` in 1 / mm."""
        return 1e-3 * self.p.glasses * self.p.lens_power

    def hold(self, point: Tensor) -> "Glass":
        """Return glasses through which all is seen as `point` `[3, B, 1, 1]` is."""
        return replace(self, held=self._through(*self._image(point)))

    def _through(self, x: Tensor, y: Tensor, behind: Tensor | None = None) -> Tensor:
        """Whether sight that crosses the plane at (x, y) mm goes through a lens that bends it."""
        if self.held is not None:
            return self.held.expand_as(x)
        through = (outline(self.p, self.p.side * x, -y) > 0) & (self.strength != 0)
        return through if behind is None else through & behind

    def _image(self, point: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Where in the plane a point `[3, B, 1, N]` is seen through the lens, and if behind it.

        The slopes (c - o) / D before the lens, from the camera at o, and (x - c) / b behind it
        differ by c P; that is solved for c.
        """
        x, y, z = shape.to_frame(self.head, point)
        ox, oy, oz = shape.to_frame(self.head, -self.eye.T[:, :, None, None])
        depth = z + BEFORE_EYE
        near = 1 / depth.clamp(min=_BEHIND)
        far = 1 / (-BEFORE_EYE - oz).clamp(min=_BEHIND)
        bent = 1 / (near + far - self.strength).clamp(min=_WEAK)
        return (x * near + ox * far) * bent, (y * near + oy * far) * bent, depth > _BEHIND

    def bend(self, rays: Rays) -> Rays:
        """Return what becomes of lines of sight behind the glasses."""
        way = shape.to_frame(self.head, rays.way)
        x, y, _ = crossing(self.head, rays)
        deep = way[2].clamp(min=_SLANT)
        turned = torch.stack((way[0] / deep, way[1] / deep, torch.ones_like(x)))
        turned = turned - self.strength * torch.stack((x, y, torch.zeros_like(x)))
        onward = shape.from_frame(self.head, turned)
        onward = onward / onward[2].clamp(min=_SLANT)
        met = shape.from_frame(self.head, torch.stack((x, y, torch.full_like(x, -BEFORE_EYE))))
        through = self._through(x, y)
        return Rays(
            torch.where(through, met - met[2] * onward, rays.at),
            torch.where(through, onward, rays.way),
        )

    def seen(self, point: Tensor) -> Tensor:
        """Return, for points `[3, B, 1, N]` mm, points on the lines along which they are seen."""
        x, y, behind = self._image(point)
        met = shape.from_frame(self.head, torch.stack((x, y, torch.full_like(x, -BEFORE_EYE))))
        return torch.where(self._through(x, y, behind), met, point)


def crossing(head: Tensor, rays: Rays) -> tuple[Tensor, Tensor, Tensor]:
    """Return where rays cross the plane of the glasses.

    (x, y) `[B, H, W]` mm in the head's frame `[B, 3, 3]`, and how many times `way` beyond `at` that
    is.
    """
    at, way = shape.to_frame(head, rays.at), shape.to_frame(head, rays.way)
    t = (-BEFORE_EYE - at[2]) / way[2].clamp(min=_SLANT)
    return at[0] + t * way[0], at[1] + t * way[1], t


def outline(p: EyeParams, u: Tensor, v: Tensor) -> Tensor:
    """Signed distance `[B, H, W]`, mm, of (u, v) inside the middle line of the rim.

    A superellipse, round to rectangular by `lens_round`, narrower below by `lens_taper` as a
    teardrop is.
    """
    up = (v + p.lens_drop) / p.lens_half_height
    wide = p.lens_half_width * (1 + p.lens_taper * up.clamp(-2, 1)).clamp(min=0.2)
    x = ((u - p.lens_nasal).abs() / wide).clamp(1e-3, 50)
    y = up.abs().clamp(1e-3, 50)
    level = power(power(x, p.lens_round) + power(y, p.lens_round), 1 / p.lens_round)
    return (1 - level) * torch.minimum(p.lens_half_width, p.lens_half_height)

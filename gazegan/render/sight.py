"""What the pixels of eyes see: the record that the passes share, and parts cut out of it."""

from dataclasses import dataclass, fields, replace
from typing import TypeVar

from torch import Tensor
from torch.nn import functional as F

from gazegan.render.camera import Camera
from gazegan.render.effects import Effects
from gazegan.render.eyeball import Pose
from gazegan.render.lids import Lids
from gazegan.render.light import Lamps
from gazegan.render.params import EyeParams
from gazegan.render.shape import FaceHit, Rays
from gazegan.render.tracing import tracing

_FINE = 64
"""Images wider than this, px, show what `fine` adds; smaller ones would blur it away."""
_AROUND = 3
"""px around what is shown that a part holds: one for slopes, and some for what is soft."""

_Planes = TypeVar("_Planes", Rays, FaceHit, Lids)


@dataclass(frozen=True)
class Sight:
    """Parameters `[B, 1, 1]` of the eyes, and where the lines of sight of their pixels end."""

    p: EyeParams
    seed: Tensor
    where: Pose
    view: Camera
    rays: Rays
    face: FaceHit
    lids: Lids
    lamp: Lamps
    fine: bool
    """Whether pores, vessels, single fibres and hairs can be seen."""
    needs: Effects
    """What the eyes may have."""
    torn: Tensor | None = None
    """Eyes `[B, 1, 1]` of whose face one part may hide another."""

    @property
    def pixel_mm(self) -> Tensor:
        """Width `[B, 1, 1]` of a pixel at the eyeball's centre."""
        return (self.view.distance / self.view.focal)[:, None, None]

    def cut(self, part: "Part") -> "Sight":
        """Return what the pixels of a part of the images see."""
        if part.whole:
            return self
        rays, face, lids = part.of(self.rays), part.of(self.face), part.of(self.lids)
        return replace(self, rays=rays, face=face, lids=lids)


def is_fine(width: int) -> bool:
    """Whether images of a width, px, show what `Sight.fine` says."""
    return width > _FINE


@dataclass(frozen=True)
class Part:
    """The same rectangle of all images of a batch: rows top to bottom, columns left to right."""

    top: int
    bottom: int
    left: int
    right: int
    height: int
    """Of the images, as `width`."""
    width: int

    @property
    def whole(self) -> bool:
        """Whether it is all of the images."""
        return (self.bottom - self.top, self.right - self.left) == (self.height, self.width)

    @property
    def slices(self) -> tuple[slice, slice]:
        """Its rows and columns."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def of(self, planes: _Planes) -> _Planes:
        """Cut it out of a record of planes `[..., H, W]`."""
        rows, columns = self.slices
        named = {f.name: getattr(planes, f.name) for f in fields(planes)}
        return type(planes)(**{name: plane[..., rows, columns] for name, plane in named.items()})

    def paste(self, plane: Tensor) -> Tensor:
        """Put it back into images `[..., H, W]` that are zero elsewhere."""
        beside = (self.left, self.width - self.right, self.top, self.height - self.bottom)
        return plane if self.whole else F.pad(plane, beside)


def around(shown: Tensor) -> Part:
    """Return the part of images around all pixels where `shown` `[B, H, W]` is positive.

    What has no share elsewhere, to the last bit, need not be painted there. A compiler, which
    cannot ask, leaves nothing out.
    """
    height, width = shown.shape[-2:]
    if tracing():
        return Part(0, height, 0, width, height, width)
    seen = (shown.detach() > 0).any(0)
    top, bottom = _ends(seen.any(1))
    left, right = _ends(seen.any(0))
    return Part(top, bottom, left, right, height, width)


def _ends(seen: Tensor) -> tuple[int, int]:
    """First and last place of what is seen, with a margin."""
    places = [i for i, shown in enumerate(seen.tolist()) if shown] or [0]
    return max(0, places[0] - _AROUND), min(len(seen), places[-1] + 1 + _AROUND)

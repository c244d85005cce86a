"""The records that flow through gazegan: eye parameters and batches of labelled eye images."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor

SCHEMA_VERSION = 4

MASKS = ("skin", "sclera", "iris", "pupil", "caruncle", "lashes", "glasses", "glint")
"""Coverage masks in channel order; they sum to one in every pixel of a render. Skin includes brows
and the margins of the lids, glasses are their rims, and glint is the opacity of the lights that the
tear film mirrors."""

LANDMARKS = (
    "pupil_centre",
    "iris_centre",
    *(f"lid_{i:02d}" for i in range(16)),
    *(f"caruncle_{i}" for i in range(7)),
    *(f"iris_{i:02d}" for i in range(32)),
)
"""Landmarks in order. `lid_00` is the inner canthus, 01..07 run along the upper lid, `lid_08` is
the outer canthus, 09..15 run back along the lower lid; the counts are those of UnityEyes."""

CENTRES = ("eyeball", "cornea", "iris", "pupil")
"""Points of `EyeBatch.centres`: of the scleral and the corneal sphere, of the limbus' circle, and
of the pupil where it truly is, in the plane of the iris (not where refraction shows it)."""

ELLIPSES = ("pupil", "iris")
"""Outlines of `EyeBatch.ellipses`; the iris' is the limbus."""

BOXES = ("eye", "iris")
"""Boxes of `EyeBatch.boxes`."""

ORIGINS = ("rendered", "refined", "real")
"""Values of `EyeBatch.origin`."""

SIDES = ("L", "R")
"""Values of `EyeBatch.side`: the eye at the image's left (the subject's right eye), or right."""

UNKNOWN = -1


class _Record:
    """What every record shares: slicing, moving and joining along the leading axis."""

    def _map(self, function: object) -> Self:
        changed = {
            f.name: function(value)  # type: ignore[operator]
            for f in fields(self)  # type: ignore[arg-type]
            if isinstance(value := getattr(self, f.name), Tensor)
        }
        return replace(self, **changed)  # type: ignore[type-var]

    def __getitem__(self, index: slice | Tensor | Sequence[int]) -> Self:
        return self._map(lambda t: t[index])

    def only(self, names: Collection[str]) -> Self:
        """Make every field that `names` leaves out None; name those that are needed too."""
        absent = {f.name: None for f in fields(self) if f.name not in names}  # type: ignore[arg-type]
        return replace(self, **absent)  # type: ignore[type-var]

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Self:
        """Move every tensor to `device`; floating ones also to `dtype`."""
        return self._map(
            lambda t: t.to(device=device, dtype=dtype if t.is_floating_point() else None)
        )

    @classmethod
    def cat(cls, parts: Sequence[Self]) -> Self:
        """Join records; a field absent (None) from any part is absent from the result."""
        joined: dict[str, Tensor | None] = {}
        for f in fields(cls):  # type: ignore[arg-type]
            values = [getattr(part, f.name) for part in parts]
            present = all(isinstance(v, Tensor) for v in values)
            joined[f.name] = torch.cat(values) if present else None
        return cls(**joined)


@dataclass(frozen=True)
class EyeBatch(_Record):
    """A batch of B eye images with whatever labels are known; absent labels are None.

    Points are in pixels with pixel centres at .5. Angles follow `gazegan.geometry`.
    """

    image: Tensor
    """[B, C, H, W] in 0..1, C = 1 (grey) or 3 (RGB)."""
    id: Tensor
    """[B] int64, the index in its store or recipe."""
    origin: Tensor
    """[B] int64, index into ORIGINS."""
    gaze: Tensor | None = None
    """[B, 2] (pitch, yaw) rad in the camera frame: the visual axis."""
    head: Tensor | None = None
    """[B, 2] (pitch, yaw) rad in the camera frame; NaN where unknown."""
    gaze_head: Tensor | None = None
    """[B, 2] (pitch, yaw) rad of the visual axis in the head's frame, in which (0, 0) is where
    the head faces; `geometry.rotation` of head and roll turns it into the camera frame."""
    optical: Tensor | None = None
    """[B, 2] (pitch, yaw) rad in the camera frame: the optical axis."""
    side: Tensor | None = None
    """[B] int64, index into SIDES, or UNKNOWN."""
    subject: Tensor | None = None
    """[B] int64, index into the store's subjects, or UNKNOWN."""
    masks: Tensor | None = None
    """[B, len(MASKS), H, W] coverage in 0..1, summing to one."""
    landmarks: Tensor | None = None
    """[B, len(LANDMARKS), 2] px, (x, y)."""
    visible: Tensor | None = None
    """[B, len(LANDMARKS)] bool: inside the image, on the side of the eyeball toward the camera, and
    hidden by no lid, nose, brow or rim of glasses."""
    centres: Tensor | None = None
    """[B, len(CENTRES), 3] mm in the camera frame, the camera at its origin."""
    ellipses: Tensor | None = None
    """[B, len(ELLIPSES), 5] (cx, cy, semi-major, semi-minor) px and the angle of the major axis in
    0..pi rad, counted as directions are: 0 to the image's right, pi/2 up. Outlines as seen, the
    pupil through the refracting cornea, with what lids hide."""
    intrinsics: Tensor | None = None
    """[B, 4] (fx, fy, cx, cy) px; the principal point may lie off the image."""
    distortion: Tensor | None = None
    """[B, 4] (k1, k2, p1, p2) of the lens, as OpenCV has them."""
    extrinsics: Tensor | None = None
    """[B, 3, 4] what turns the head's frame, whose origin is the eyeball's centre, into the
    camera's: a rotation and, in the last column, mm."""
    boxes: Tensor | None = None
    """[B, len(BOXES), 4] (x0, y0, x1, y1) px: the tight box around the 16 lid landmarks, and that
    around what the polygon of the 32 iris landmarks shares with that of the lids; zero where no
    landmark of pupil or iris is visible. They may reach beyond the image."""
    depth: Tensor | None = None
    """[B, 1, H, W] mm along the camera's axis to the skin, eyeball or cornea that a pixel sees;
    lashes and glasses are left out. Where the recipe's `image.depth` asks for it."""
    normals: Tensor | None = None
    """[B, 3, H, W] unit normals there toward the viewer, camera axes."""
    params: Tensor | None = None
    """[B, P] every scene parameter, float32, in the order of the store's `param_names`."""

    def __len__(self) -> int:
        return self.image.shape[0]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.image.shape[-2], self.image.shape[-1]

    @property
    def channels(self) -> int:
        """Number of channels: 1 (grey) or 3 (RGB)."""
        return self.image.shape[1]


@dataclass(frozen=True)
class SceneBatch(_Record):
    """S images, each with up to F faces and E = 2F eyes whose labels are in its pixels.

    Eyes 2f and 2f + 1 are the right and the left of face f. Labels are those of EyeBatch with one
    more axis; where an eye is not `present` they are zero.
    """

    image: Tensor
    """[S, C, H, W] in 0..1."""
    masks: Tensor
    """[S, len(MASKS), H, W] coverage; skin is all that is neither eye nor lashes nor glasses."""
    id: Tensor
    """[S] int64, the index in its recipe."""
    present: Tensor
    """[S, E] bool: whether there is such an eye."""
    heads: Tensor
    """[S, F, 4] (x0, y0, x1, y1) px around hair and skin of a head, zero where there is none."""
    gaze: Tensor
    head: Tensor
    gaze_head: Tensor
    optical: Tensor
    side: Tensor
    landmarks: Tensor
    visible: Tensor
    centres: Tensor
    ellipses: Tensor
    intrinsics: Tensor
    distortion: Tensor
    extrinsics: Tensor
    boxes: Tensor
    params: Tensor

    def __len__(self) -> int:
        return self.image.shape[0]


_FINITE = (
    *("image", "gaze", "gaze_head", "optical", "masks", "landmarks"),
    *("centres", "ellipses", "intrinsics", "distortion", "extrinsics", "boxes"),
    *("depth", "normals", "params"),
)


def check_batch(batch: EyeBatch) -> None:
    """Raise ValueError where a batch breaks its own documentation; call where data enter."""
    b, c, h, w = batch.image.shape
    shapes = {
        "id": (b,),
        "origin": (b,),
        "gaze": (b, 2),
        "head": (b, 2),
        "gaze_head": (b, 2),
        "optical": (b, 2),
        "side": (b,),
        "subject": (b,),
        "masks": (b, len(MASKS), h, w),
        "landmarks": (b, len(LANDMARKS), 2),
        "visible": (b, len(LANDMARKS)),
        "centres": (b, len(CENTRES), 3),
        "ellipses": (b, len(ELLIPSES), 5),
        "intrinsics": (b, 4),
        "distortion": (b, 4),
        "extrinsics": (b, 3, 4),
        "boxes": (b, len(BOXES), 4),
        "depth": (b, 1, h, w),
        "normals": (b, 3, h, w),
    }
    if c not in (1, 3):
        raise ValueError(f"image has {c} channels; 1 (grey) or 3 (RGB) are allowed")
    for name, shape in shapes.items():
        value = getattr(batch, name)
        if value is not None and tuple(value.shape) != shape:
            raise ValueError(f"{name} has shape {tuple(value.shape)}, expected {shape}")
    for name in _FINITE:
        value = getattr(batch, name)
        if value is not None and not bool(torch.isfinite(value).all()):
            raise ValueError(f"{name} holds values that are not finite")
    if batch.image.numel() and not (batch.image.amin() >= 0 and batch.image.amax() <= 1):
        raise ValueError("image values must lie in 0..1")

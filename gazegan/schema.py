"""The records that flow through gazegan: eye parameters and batches of labelled eye images."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor

SCHEMA_VERSION = 1

MASKS = ("skin", "sclera", "iris", "pupil")
"""Coverage masks in channel order; they sum to one in every pixel of a render."""

LANDMARKS = (
    "pupil_centre",
    "iris_centre",
    *(f"lid_{i:02d}" for i in range(16)),
    *(f"caruncle_{i}" for i in range(7)),
    *(f"iris_{i:02d}" for i in range(32)),
)
"""Landmarks in order. `lid_00` is the inner canthus, 01..07 run along the upper lid, `lid_08` is
the outer canthus, 09..15 run back along the lower lid; the counts are those of UnityEyes."""

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
    side: Tensor | None = None
    """[B] int64, index into SIDES, or UNKNOWN."""
    subject: Tensor | None = None
    """[B] int64, index into the store's subjects, or UNKNOWN."""
    masks: Tensor | None = None
    """[B, len(MASKS), H, W] coverage in 0..1, summing to one."""
    landmarks: Tensor | None = None
    """[B, len(LANDMARKS), 2] px, (x, y)."""
    visible: Tensor | None = None
    """[B, len(LANDMARKS)] bool: inside the image and not behind a lid."""
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
        return self.image.shape[1]


def check_batch(batch: EyeBatch) -> None:
    """Raise ValueError where a batch breaks its own documentation; call where data enter."""
    b, c, h, w = batch.image.shape
    shapes = {
        "id": (b,),
        "origin": (b,),
        "gaze": (b, 2),
        "head": (b, 2),
        "side": (b,),
        "subject": (b,),
        "masks": (b, len(MASKS), h, w),
        "landmarks": (b, len(LANDMARKS), 2),
        "visible": (b, len(LANDMARKS)),
    }
    if c not in (1, 3):
        raise ValueError(f"image has {c} channels; 1 (grey) or 3 (RGB) are allowed")
    for name, shape in shapes.items():
        value = getattr(batch, name)
        if value is not None and tuple(value.shape) != shape:
            raise ValueError(f"{name} has shape {tuple(value.shape)}, expected {shape}")
    for name in ("image", "gaze", "masks", "landmarks", "params"):
        value = getattr(batch, name)
        if value is not None and not bool(torch.isfinite(value).all()):
            raise ValueError(f"{name} holds values that are not finite")
    if batch.image.numel() and not (batch.image.amin() >= 0 and batch.image.amax() <= 1):
        raise ValueError("image values must lie in 0..1")

"""Photographs as samples, and their way into a store."""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from gazegan.data.files import read_bytes
from gazegan.data.images import MAX_BYTES, convert, decode
from gazegan.data.manifest import Manifest
from gazegan.data.readers import Listing, Photo
from gazegan.data.store import Store, write_store
from gazegan.errors import DataError
from gazegan.render.histogram import equalise
from gazegan.schema import ORIGINS, UNKNOWN, EyeBatch

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Photographs:
    """Photographs decoded when they are read, at one size (height, width) and colour."""

    photos: tuple[Photo, ...]
    size: tuple[int, int]
    channels: int
    equalised: bool = False
    """Whether histograms are evened out, after all else; of grey images only."""

    def __len__(self) -> int:
        return len(self.photos)

    @cached_property
    def subjects(self) -> tuple[str, ...]:
        """The subjects, sorted; `EyeBatch.subject` points into them."""
        return tuple(sorted({p.subject for p in self.photos if p.subject is not None}))

    @cached_property
    def labels(self) -> dict[str, Tensor]:
        """Labels by name: `gaze` and `head` `[N, 2]` rad, `side` and `subject` `[N]` int64.

        The gaze is there if it is known of all photographs, the others if it is of one; where a
        photograph has none, `head` is NaN and the other two are UNKNOWN.
        """
        return _labels(self.photos, self.subjects)

    def read(self, indices: Tensor | Sequence[int]) -> EyeBatch:
        """Decode the photographs at `indices` `[B]`; raises DataError naming an unreadable one."""
        index = torch.as_tensor(indices, dtype=torch.int64)
        images = [load(self.photos[i], self.size, self.channels) for i in index.tolist()]
        image = torch.stack(images).to(torch.float32) / 255
        return EyeBatch(
            image=equalise(image) if self.equalised else image,
            id=index,
            origin=torch.full_like(index, ORIGINS.index("real")),
            **{name: values[index] for name, values in self.labels.items()},
        )


def load(photo: Photo, size: tuple[int, int], channels: int) -> Tensor:
    """Read one photograph as uint8 `[C, H, W]`; raises DataError."""
    data = read_bytes(photo.path, MAX_BYTES)
    return convert(decode(data, photo.path), size, channels)


def _labels(photos: Sequence[Photo], subjects: Sequence[str]) -> dict[str, Tensor]:
    labels: dict[str, Tensor] = {}
    if all(p.gaze_deg is not None for p in photos):
        labels["gaze"] = _radians([p.gaze_deg for p in photos if p.gaze_deg is not None])
    if any(math.isfinite(angle) for p in photos for angle in p.head_deg):
        labels["head"] = _radians([p.head_deg for p in photos])
    if any(p.side != UNKNOWN for p in photos):
        labels["side"] = torch.tensor([p.side for p in photos])
    if subjects:
        code = {subject: i for i, subject in enumerate(subjects)}
        known = [UNKNOWN if p.subject is None else code[p.subject] for p in photos]
        labels["subject"] = torch.tensor(known)
    return labels


def _radians(angles_deg: Sequence[tuple[float, float]]) -> Tensor:
    return torch.deg2rad(torch.tensor(angles_deg, dtype=torch.float64)).to(torch.float32)


def check_readable(listing: Listing, progress: Progress | None = None) -> tuple[Listing, str]:
    """Decode every photograph once; those that fail move to `skipped`.

    Returns the new listing and a SHA-256 over all kept photographs and their labels, so that a
    change of either is told from a repetition.
    """
    photos, skipped, digest = [], list(listing.skipped), hashlib.sha256()
    for photo in listing.photos:
        try:
            photo.name.encode()
            data = read_bytes(photo.path, MAX_BYTES)
            decode(data, photo.name)
        except UnicodeEncodeError:
            skipped.append((repr(photo.name), "its name is not Unicode"))
        except DataError as fault:
            skipped.append((photo.name, str(fault).partition(": ")[2]))
        else:
            photos.append(photo)
            labels = (photo.name, photo.gaze_deg, photo.head_deg, photo.side, photo.subject)
            digest.update(repr(labels).encode() + hashlib.sha256(data).digest())
        if progress:
            progress(1)
    return Listing(tuple(photos), tuple(skipped)), digest.hexdigest()


def import_photographs(
    listing: Listing,
    digest: str,
    out: Path,
    *,
    size: tuple[int, int] = (36, 60),
    channels: int = 1,
    equalised: bool = False,
    progress: Progress | None = None,
) -> Store:
    """Write readable photographs and their labels into a store; resumed by repeating.

    `listing` and `digest` come from `check_readable`. Raises DataError where nothing is left.
    """
    if not listing.photos:
        raise DataError(f"nothing to import: all {len(listing.skipped)} files were skipped")
    samples = Photographs(listing.photos, size, channels, equalised)
    plan = Manifest(
        kind="real",
        count=len(samples),
        channels=1 if channels == 1 else 3,
        height=size[0],
        width=size[1],
        subjects=samples.subjects,
        names=tuple(photo.name for photo in listing.photos),
        notes=source_notes(digest, equalised),
    )
    return write_store(out, plan, samples.read, progress=progress)


def source_notes(digest: str, equalised: bool) -> dict[str, object]:
    """Return what a store notes of where its photographs came from.

    Whether they were equalised changes the digest, so that no repetition mistakes one for the
    other.
    """
    if not equalised:
        return {"source_sha256": digest}
    return {
        "equalised": True,
        "source_sha256": hashlib.sha256(f"{digest} equalised".encode()).hexdigest(),
    }

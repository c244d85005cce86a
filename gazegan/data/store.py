"""A store: labelled eyes in safetensors shards beside a manifest; written once, read for ever.

Images and masks are kept as bytes. Every shard is hashed before it is parsed.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gazegan.data.files import only_writer, read_bytes
from gazegan.data.manifest import MANIFEST, PLAN, Manifest, read_manifest, write_manifest
from gazegan.data.shards import FIELDS, REQUIRED, byte_limit, decode, mapped, unpack
from gazegan.data.writing import fill, sized, write_here
from gazegan.errors import DataError, UserError
from gazegan.schema import MASKS, EyeBatch

_AGAIN = "delete the store and repeat the command that wrote it"


@dataclass(frozen=True)
class Store:
    """A finished store on disk; shards are verified when first needed, then mapped into memory."""

    path: Path
    manifest: Manifest
    wanted: tuple[str, ...] = FIELDS
    """Fields that are read where they are present; the others are left on disk."""
    _cache: dict[int, EyeBatch] = field(default_factory=dict, repr=False, compare=False)
    _verified: dict[int, EyeBatch] = field(default_factory=dict, repr=False, compare=False)
    """Whole shards; they are shared with what reads other fields of the same store."""

    def __len__(self) -> int:
        return self.manifest.count

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.manifest.height, self.manifest.width

    @property
    def channels(self) -> int:
        """Channels of the images: 1 (grey) or 3 (RGB)."""
        return self.manifest.channels

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields of EyeBatch that are present."""
        return self.manifest.fields

    @property
    def masks(self) -> tuple[str, ...]:
        """Names of the masks that are read: of stores older than some masks all of today, too."""
        return MASKS if "masks" in self.fields else ()

    def read(self, indices: Tensor | Sequence[int]) -> EyeBatch:
        """Return the eyes at `indices` `[B]`, in that order; images and masks as floats in 0..1.

        Raises DataError naming a shard that is missing or damaged.
        """
        return unpack(gather(indices, self.manifest.shard_counts, self._rows))

    def batches(self, size: int) -> Iterator[EyeBatch]:
        """Yield every eye once, in order, `size` at a time."""
        for start in range(0, len(self), size):
            yield self.read(range(start, min(start + size, len(self))))

    def _rows(self, shard: int, rows: Tensor) -> EyeBatch:
        if shard not in self._cache:
            if shard not in self._verified:
                self._verified[shard] = _read_shard(self.path, self.manifest, shard)
            self._cache[shard] = self._verified[shard].only(self.wanted)
        return self._cache[shard][rows]


def gather(
    indices: Tensor | Sequence[int],
    lengths: Sequence[int],
    read: Callable[[int, Tensor], EyeBatch],
) -> EyeBatch:
    """Collect rows of parts that lie one after the other, reading each part once.

    `indices` `[B]` count through all parts; `read(part, rows)` returns rows of one part. Raises
    IndexError for an index outside the parts.
    """
    index = torch.as_tensor(indices, dtype=torch.int64)
    ends = torch.tensor(lengths).cumsum(0)
    if bool(((index < 0) | (index >= ends[-1])).any()):
        raise IndexError(f"indices must lie in 0..{int(ends[-1]) - 1}")
    part = torch.bucketize(index, ends, right=True)
    chosen = sorted(set(part.tolist())) or [0]
    places = [(part == p).nonzero().flatten() for p in chosen]
    pieces = [
        read(p, index[at] - (ends[p] - lengths[p])) for p, at in zip(chosen, places, strict=True)
    ]
    return EyeBatch.cat(pieces)[torch.cat(places).argsort()]


def open_store(path: Path | str) -> Store:
    """Open a finished store.

    Raises UserError where there is none, DataError where it is unfinished or damaged.
    """
    path = Path(path)
    if not path.is_dir():
        raise UserError(f"{path}: no such store")
    if not (path / MANIFEST).exists():
        if (path / PLAN).exists():
            raise DataError(f"{path}: unfinished; repeat the command that writes it")
        raise UserError(
            f"{path}: not a store ({MANIFEST} is missing); `gazegan import` makes one of"
            " photographs"
        )
    manifest = read_manifest(path / MANIFEST)
    if not manifest.shards or not set(FIELDS) >= set(manifest.fields) >= REQUIRED:
        raise DataError(f"{path / MANIFEST}: lists no shards or wrong fields; {_AGAIN}")
    for shard in manifest.shards:
        if not (path / shard.file).is_file():
            raise DataError(f"{path / shard.file}: missing; {_AGAIN}")
    return Store(path, manifest)


def write_store(
    path: Path,
    plan: Manifest,
    make: Callable[[range], EyeBatch],
    *,
    shard_size: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Store:
    """Write the store that `plan` describes, asking `make` for each range of indices.

    `make` must depend on the range alone. Each shard appears whole or not at all, so an
    interrupted call is resumed by repeating it; finished shards are verified, not made again.
    `shard_size` defaults to about 32 MiB, at most 1024 images. `progress` receives the number of
    images of each shard. Raises UserError where `path` holds something else or another plan.
    """
    plan = sized(plan, shard_size)
    fill(path, plan, write_here(path, plan, make), progress)
    return open_store(path)


def annotate(store: Store, notes: dict[str, Any]) -> Store:
    """Add `notes` to the manifest of a finished store, e.g. a measurement made on the whole."""
    manifest = store.manifest.model_copy(update={"notes": {**store.manifest.notes, **notes}})
    with only_writer(store.path):
        write_manifest(store.path / MANIFEST, manifest)
    return open_store(store.path)


def _read_shard(path: Path, manifest: Manifest, k: int) -> EyeBatch:
    shard = manifest.shards[k]
    file = path / shard.file
    data = read_bytes(file, byte_limit(manifest, shard.count))
    if hashlib.sha256(data).hexdigest() != shard.sha256:
        raise DataError(f"{file}: damaged: its SHA-256 does not match; {_AGAIN}")
    decode(data, manifest, shard.count, file)
    return mapped(file)

"""How a store comes to be: plan, shards that are whole or absent, manifest.

One writer fills the whole store, or several writers fill a share of its shards each.
"""

import hashlib
from collections.abc import Callable, Collection, Generator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from gazegan.data.files import (
    make_folder,
    one_of_several_writers,
    only_writer,
    only_writer_of_part,
    read_bytes,
    write_among_others,
)
from gazegan.data.manifest import (
    MANIFEST,
    PLAN,
    Manifest,
    Shard,
    check_same_plan,
    read_manifest,
    write_manifest,
)
from gazegan.data.shards import encode, present_fields
from gazegan.errors import UserError
from gazegan.schema import EyeBatch

_SHARD_BYTES = 1 << 25
_LARGEST = 1 << 40


class Written(NamedTuple):
    """A shard that is on disk: its number, its record, and the fields it holds."""

    number: int
    shard: Shard
    fields: tuple[str, ...]


Share = tuple[int, int]
"""(i, n): the i-th of n shares, counted from 1."""

Make = Callable[[range], EyeBatch]
"""Makes the eyes at a range of indices; depends on the range alone."""

Write = Callable[[range, tuple[int, ...]], Generator[Written]]
"""Writes the shards of given numbers, in any order, while the locks of given handles are held."""

Progress = Callable[[int], None]


def sized(plan: Manifest, shard_size: int | None = None) -> Manifest:
    """Return the plan with a shard size, by default about 32 MiB, at most 1024 images."""
    return plan.model_copy(update={"shard_size": shard_size or _default_shard_size(plan)})


def _default_shard_size(plan: Manifest) -> int:
    image_bytes = plan.height * plan.width * (plan.channels + len(plan.masks))
    return max(1, min(1024, _SHARD_BYTES // image_bytes))


def write_here(path: Path, plan: Manifest, make: Make) -> Write:
    """Write shards one after the other, in this process."""
    return lambda numbers, _: (write_shard(path, plan, k, make) for k in numbers)


def fill(
    path: Path,
    plan: Manifest,
    write: Write,
    progress: Progress | None = None,
    *,
    wait: bool = False,
) -> None:
    """Fill and finish the store that `plan` describes; resumed by repeating.

    `progress` receives the number of images of each shard. Raises UserError where `path` holds
    something else, or is being written by another process that `wait` does not wait for.
    """
    make_folder(path)
    with only_writer(path, wait=wait) as lock:
        if not _begin(path, plan, alone=True):
            _finish(path, plan, _run(write, range(plan.shard_count), (lock,), progress))
        elif progress:
            progress(plan.count)
        (path / PLAN).unlink(missing_ok=True)


def fill_share(
    path: Path, plan: Manifest, share: Share, write: Write, progress: Progress | None = None
) -> bool:
    """Fill one share of a store beside others who fill theirs; the last one finishes the store.

    Returns whether the store is finished. Raises UserError as `fill` does, and where the same
    share is being written.
    """
    make_folder(path)
    with one_of_several_writers(path) as lock:
        if not _begin(path, plan, alone=False):
            name = f"share-{share[0]}-of-{share[1]}"
            with only_writer_of_part(path, name) as own:
                _run(write, share_numbers(plan, share), (lock, own), progress)
    if missing_shards(path, plan):
        return False
    fill(path, plan, write, wait=True)
    return True


def share_numbers(plan: Manifest, share: Share) -> range:
    """Return the numbers of the shards that belong to a share."""
    return range(share[0] - 1, plan.shard_count, share[1])


def share_images(plan: Manifest, share: Share) -> int:
    """Return how many images the shards of a share hold."""
    numbers = share_numbers(plan, share)
    return sum(min(plan.shard_size, plan.count - k * plan.shard_size) for k in numbers)


def missing_shards(path: Path, plan: Manifest) -> int:
    """Return how many shards of an unfinished store are not there yet."""
    if (path / MANIFEST).exists():
        return 0
    there = {file.name.split("-")[1] for file in path.glob("shard-*.safetensors")}
    return plan.shard_count - len(there)


def _begin(path: Path, plan: Manifest, *, alone: bool) -> bool:
    """Claim a folder for `plan`, clear strays if `alone`; True where the store is finished."""
    # Listed first: whoever else begins this store writes the plan before anything else.
    listed = [file.name for file in path.iterdir()]
    # Asked in this order: whoever finishes writes the manifest before the plan goes.
    planned, finished = (path / PLAN).exists(), (path / MANIFEST).exists()
    if not planned and not finished:
        if any(not (name.startswith(PLAN) and name.endswith(".tmp")) for name in listed):
            raise UserError(
                f"{path}: a folder that is not empty and no store; choose another --out"
            )
        write_manifest(path / PLAN, plan, keep=not alone)
    check_same_plan(path, read_manifest(path / (MANIFEST if finished else PLAN)), plan)
    if alone:
        _drop(path, "*.tmp")
        _drop(path, "share-*.lock")
    return finished


def _run(
    write: Write, numbers: range, locks: tuple[int, ...], progress: Progress | None
) -> list[Written]:
    done = []
    with closing(write(numbers, locks)) as written:
        for one in written:
            done.append(one)
            if progress:
                progress(one.shard.count)
    return sorted(done, key=lambda one: one.number)


def _finish(path: Path, plan: Manifest, written: list[Written]) -> None:
    """Write the manifest; drop shards that another machine made with other bits, and halves.

    A worker that was killed leaves half of a file under a name of its own.
    """
    present = {one.fields for one in written}
    if len(present) > 1:
        raise ValueError("the shards of a store must hold the same fields")
    shards = tuple(one.shard for one in written)
    _drop(path, "shard-*.safetensors", keep={shard.file for shard in shards})
    _drop(path, "*.tmp")
    whole = plan.model_copy(update={"shards": shards, "fields": present.pop()})
    write_manifest(path / MANIFEST, whole)


def _drop(path: Path, pattern: str, keep: Collection[str] = ()) -> None:
    for file in path.glob(pattern):
        if file.name not in keep:
            file.unlink()


def write_shard(path: Path, plan: Manifest, number: int, make: Make) -> Written:
    """Verify the shard that an interrupted run left whole, or make it."""
    start = number * plan.shard_size
    count = min(plan.shard_size, plan.count - start)
    found = _intact_shard(path, number)
    data = found or encode(make(range(start, start + count)), plan, count)
    sha = hashlib.sha256(data).hexdigest()
    file = path / _shard_name(number, sha)
    if not found:
        write_among_others(file, data)
    shard = Shard(file=file.name, count=count, sha256=sha)
    return Written(number, shard, present_fields(data, file))


def _shard_name(number: int, sha: str) -> str:
    return f"shard-{number:05d}-{sha[:16]}.safetensors"


def _intact_shard(path: Path, number: int) -> bytes | None:
    """Return the bytes of a shard if they are whole; drop it if not."""
    for found in path.glob(f"shard-{number:05d}-*.safetensors"):
        data = read_bytes(found, _LARGEST)
        if found.name == _shard_name(number, hashlib.sha256(data).hexdigest()):
            return data
        found.unlink()
    return None

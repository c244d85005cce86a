"""The manifest of a store: what it holds, how it was made, and the SHA-256 of every byte of it."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from gazegan.config import Config, differences, dump_json, in_words, validate
from gazegan.data.files import parse_json, read_bytes, write_among_others
from gazegan.errors import DataError, UserError
from gazegan.schema import LANDMARKS, MASKS, SCHEMA_VERSION

MANIFEST = "manifest.json"
"""The manifest's name in a finished store."""
PLAN = "plan.json"
"""The name of the plan in a store that is being written."""
_LIMIT = 1 << 28
_SHA256 = r"^[0-9a-f]{64}$"
_OTHERS = {
    "notes.refined_from": "refined from another STORE",
    "notes.refiner": "by other --weights",
    "notes.kept.sha256": "other eyes left out",
    "notes.labelled_from": "a copy of another --data",
    "notes.labels.sha256": "other answers",
    "notes.source_sha256": "other photographs, labels or --equalise",
}
"""What differs where these digests do."""


class Shard(Config):
    """One file of a store; its name carries the first 16 digits of its SHA-256."""

    file: str = Field(pattern=r"^shard-\d{5,9}-[0-9a-f]{16}\.safetensors$")
    count: int = Field(gt=0)
    sha256: str = Field(pattern=_SHA256)


class Manifest(Config):
    """What a store holds; without `fields` and `shards` it is the plan of a store to be written."""

    schema_version: int = Field(default=SCHEMA_VERSION, ge=1)
    kind: Literal["rendered", "refined", "real"]
    count: int = Field(gt=0, le=1 << 40)
    channels: Literal[1, 3]
    height: int = Field(gt=0, le=8192)
    width: int = Field(gt=0, le=8192)
    recipe: dict[str, Any] | None = None
    seed: int | None = None
    masks: tuple[str, ...] = ()
    landmarks: tuple[str, ...] = ()
    param_names: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    """File names of real eyes, one an image; empty otherwise."""
    notes: dict[str, Any] = Field(default_factory=dict)
    """Anything worth knowing later, e.g. the digest of the photographs."""
    shard_size: int = Field(default=1024, gt=0)
    """Images a shard; the last may hold fewer."""
    fields: tuple[str, ...] = ()
    """The fields of EyeBatch that are present, filled in when the store is finished."""
    shards: tuple[Shard, ...] = ()
    sha256: str = ""
    """SHA-256 of the canonical JSON of this manifest with `sha256` empty."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.names and len(self.names) != self.count:
            raise ValueError(f"{len(self.names)} names for {self.count} images")
        known = ((), MASKS, MASKS[:4]) if self.schema_version < 4 else ((), MASKS)
        if self.masks not in known or self.landmarks not in ((), LANDMARKS):
            raise ValueError("masks or landmarks that this version does not know")
        if self.shards and not self._adds_up():
            raise ValueError("the shards do not add up to the count")
        return self

    def _adds_up(self) -> bool:
        # The first test keeps a forged count from filling the memory with the second.
        return (
            len(self.shards) == self.shard_count
            and [s.count for s in self.shards] == self.shard_counts
        )

    @property
    def shard_count(self) -> int:
        """How many shards there are."""
        return -(-self.count // self.shard_size)

    @property
    def shard_counts(self) -> list[int]:
        """How many images each shard holds."""
        return [
            min(self.shard_size, self.count - start)
            for start in range(0, self.count, self.shard_size)
        ]


def plan_of_copy(old: Manifest, **changes: Any) -> Manifest:
    """Return the plan of a store of another's eyes, whatever its schema, with `changes`.

    What is read of older stores, and so copied, has all masks of today.
    """
    today = {"schema_version": SCHEMA_VERSION, "masks": MASKS if old.masks else ()}
    return old.model_copy(update={**today, "fields": (), "shards": (), "sha256": "", **changes})


def seal(manifest: Manifest) -> Manifest:
    """Return the manifest with the SHA-256 of its own contents filled in."""
    bare = dump_json(manifest.model_copy(update={"sha256": ""}))
    return manifest.model_copy(update={"sha256": hashlib.sha256(bare.encode()).hexdigest()})


def _encode(manifest: Manifest) -> bytes:
    return (dump_json(manifest) + "\n").encode()


def write_manifest(path: Path, manifest: Manifest, *, keep: bool = False) -> None:
    """Seal and write a manifest, or a plan, atomically; with `keep` unless there is one."""
    write_among_others(path, _encode(seal(manifest)), keep=keep)


def read_manifest(path: Path) -> Manifest:
    """Read a sealed manifest; any changed byte is found.

    Raises DataError naming the file, or UserError where another version of gazegan wrote it.
    """
    data = read_bytes(path, _LIMIT)
    values = parse_json(data, path)
    if not isinstance(values, dict):
        raise DataError(f"{path}: not a manifest")
    version = values.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise UserError(f"{path}: written by a newer gazegan (schema {version}); upgrade gazegan")
    try:
        manifest = validate(Manifest, values, str(path))
        intact = _encode(seal(manifest)) == data
    except UserError as fault:
        raise DataError(f"{fault}; the file is damaged or was edited") from None
    except ValueError as fault:  # nested deeper than can be written
        raise DataError(f"{path}: {fault}; the file is damaged or was edited") from None
    if not intact:
        raise DataError(f"{path}: damaged: its SHA-256 does not match; make the store again")
    return manifest


def check_same_plan(path: Path, old: Manifest, new: Manifest) -> None:
    """Raise UserError naming what differs where `new` is another plan than the `old` at `path`.

    Notes that were added to the old store later do not count as differences, nor does the schema
    of a finished store; one cut short would go on with other fields than it began with.
    """
    if old.shards:
        new = new.model_copy(update={"schema_version": old.schema_version})
    known = _plan(old, new.notes)
    found = in_words(differences(known, placed_as(known, _plan(new, new.notes))), _OTHERS)
    if found:
        shown = "; ".join(item if len(item) < 120 else item[:117] + "..." for item in found[:3])
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        only_more = new.kind == "rendered" and new.count > old.count and len(found) == 1
        raise UserError(
            f"--out {path}: holds a store of another configuration ({shown}{more}); choose another"
            f" --out{', with another --seed for other eyes,' if only_more else ''} or delete it"
        )


def placed_as(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return plan `new`, its recipe's panorama by the path in `old` where both have its bytes.

    Paths count from where a command runs, which may be elsewhere the next time.
    """
    known, light = _light(old), _light(new)
    if not light.get("sha256") or light["sha256"] != known.get("sha256"):
        return dict(new)
    light = {**light, "panorama": known.get("panorama")}
    return {**new, "recipe": {**new["recipe"], "light": light}}


def _light(plan: Any) -> Mapping[str, Any]:
    for key in ("recipe", "light"):
        plan = plan.get(key) if isinstance(plan, Mapping) else None
    return plan if isinstance(plan, Mapping) else {}


def _plan(manifest: Manifest, notes: dict[str, Any]) -> dict[str, Any]:
    plan = manifest.model_dump(mode="json", exclude={"fields", "shards", "sha256"})
    plan["notes"] = {key: value for key, value in plan["notes"].items() if key in notes}
    # Answers count, not the names by which the network went that gave them, and where people look.
    for name in ("weights", "align_to"):
        plan["notes"].get("labels", {}).pop(name, None)
    return plan

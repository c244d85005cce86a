"""MPIIGaze's normalised eyes (Zhang et al., CVPR 2015) and the lists of its evaluation subset."""

import hashlib
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from gazegan.data.files import read_bytes
from gazegan.data.manifest import Manifest
from gazegan.data.matlab import Read, reader
from gazegan.data.photographs import source_notes
from gazegan.data.store import Store, write_store
from gazegan.errors import DataError, UserError
from gazegan.geometry import angles_from_vector
from gazegan.render.histogram import equalise
from gazegan.schema import ORIGINS, EyeBatch
from gazegan.schema import SIDES as IMAGE_SIDES

SIZE = (36, 60)
"""(height, width) of the set's images."""
DAYS = Path("Data/Normalized")
LISTS = Path("Evaluation Subset/sample list for eye image")
SIDES = {"right": IMAGE_SIDES.index("L"), "left": IMAGE_SIDES.index("R")}
"""The set names eyes as the person does, the schema as the image shows them."""
_LINE = re.compile(r"(day\d+)/([\w.-]+) (left|right)", re.ASCII)
_NAME = re.compile(r"[\w.-]+", re.ASCII)
_MOST = 1 << 24

Progress = Callable[[int], None]


class Line(NamedTuple):
    """One eye, as a line of an evaluation list names it."""

    day: str
    file: str
    side: str


@dataclass(frozen=True)
class Person:
    """Where the days of a person are, and which eyes are wanted, None being all."""

    name: str
    days: dict[str, Path]
    wanted: tuple[Line, ...] | None


@dataclass(frozen=True)
class Eyes:
    """Eyes with what is known of them, images as bytes."""

    names: tuple[str, ...]
    image: Tensor
    """[N, 36, 60] uint8."""
    gaze: Tensor
    """[N, 2] (pitch, yaw) rad."""
    head: Tensor
    """[N, 2] (pitch, yaw) rad."""
    side: Tensor
    """[N] int64, index into schema.SIDES."""

    def chosen(self, rows: Sequence[int]) -> "Eyes":
        """Return the eyes of some rows, in their order."""
        at = torch.tensor(rows, dtype=torch.int64)
        names = tuple(self.names[row] for row in rows)
        return Eyes(names, self.image[at], self.gaze[at], self.head[at], self.side[at])


def find_persons(
    folder: Path, subjects: Collection[int] | None = None, *, all_eyes: bool = False
) -> tuple[Person, ...]:
    """List the people below MPIIGaze's folder and the eyes that its evaluation subset names.

    `subjects` keeps only those numbers; with `all_eyes` the lists are not read. Raises UserError
    where days or lists are missing, DataError naming the line of a list that cannot be right.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    found: dict[str, dict[str, Path]] = {}
    for path in sorted((folder / DAYS).glob("p*/day*.mat")):
        if re.fullmatch(r"p\d\d", path.parent.name, re.ASCII):
            found.setdefault(path.parent.name, {})[path.stem] = path
    if not found:
        raise UserError(f"{folder}: holds no {DAYS}/pNN/dayNN.mat; give MPIIGaze's own folder")
    kept = [name for name in found if subjects is None or int(name[1:]) in subjects]
    if not kept:
        raise UserError(f"--subjects: {folder / DAYS} holds {', '.join(found)} only")
    return tuple(
        Person(name, found[name], None if all_eyes else _listed(folder, name, found[name]))
        for name in kept
    )


def _listed(folder: Path, person: str, days: Collection[str]) -> tuple[Line, ...]:
    path = folder / LISTS / f"{person}.txt"
    if not path.is_file():
        raise UserError(f"{path}: no such list; add it, or import all eyes with --subset all")
    lines = []
    for number, text in enumerate(read_bytes(path, _MOST).decode(errors="replace").split("\n"), 1):
        match = _LINE.fullmatch(text.strip())
        if match:
            lines.append(Line(*match.groups()))
            if lines[-1].day not in days:
                raise DataError(f"{path} line {number}: {folder / DAYS / person} lacks {match[1]}")
        elif text.strip():
            raise DataError(f"{path} line {number}: {text[:60]!r} is not as day01/0001.jpg left")
    if not lines:
        raise DataError(f"{path}: names no eyes")
    return tuple(lines)


def _joined(parts: Sequence[Eyes]) -> Eyes:
    names = tuple(name for part in parts for name in part.names)
    rest = ("image", "gaze", "head", "side")
    return Eyes(names, *(torch.cat([getattr(part, field) for part in parts]) for field in rest))


def count_days(persons: Sequence[Person]) -> int:
    """Return how many files `read_mpiigaze` reads."""
    return sum(len(_needed(person)) for person in persons)


def _needed(person: Person) -> list[str]:
    if person.wanted is None:
        return list(person.days)
    return sorted({line.day for line in person.wanted})


def read_mpiigaze(persons: Sequence[Person], progress: Progress | None = None) -> list[Eyes]:
    """Read the eyes of each person, in the order of its list; all of them are held in memory.

    Gaze vectors and head poses of the normalised camera become angles: gaze pitch = asin(-y), yaw =
    atan2(-x, -z); of the head, whose frame's third axis is z, pitch = asin(z_y), yaw = atan2(z_x,
    z_z). Images stay as they are: who trains on one side alone mirrors right eyes and their yaws,
    here networks learn from both. An eye that a list names twice is there twice. `progress`
    receives 1 for each file. Raises DataError naming the file and what is wrong with it.
    """
    with reader() as read:
        return [_read_person(person, read, progress) for person in persons]


def _read_person(person: Person, read: Read, progress: Progress | None) -> Eyes:
    parts = []
    for day in _needed(person):
        parts.append(_read_day(person.days[day], f"{person.name}/{day}", read))
        if progress:
            progress(1)
    eyes = _joined(parts)
    if person.wanted is None:
        return eyes
    row = {name: i for i, name in enumerate(eyes.names)}
    names = [_name(f"{person.name}/{line.day}", line.file, line.side) for line in person.wanted]
    for name, line in zip(names, person.wanted, strict=True):
        if name not in row:
            raise DataError(f"{person.days[line.day]}: lacks {line.file}, which a list names")
    return eyes.chosen([row[name] for name in names])


def _name(day: str, file: str, side: str) -> str:
    path = Path(file)
    return f"{day}/{path.stem}_{side}{path.suffix}"


def _read_day(path: Path, day: str, read: Read) -> Eyes:
    """Read the eyes of a day, right ones first."""
    files, arrays = read(path)
    if len(set(files)) < len(files) or not all(map(_NAME.fullmatch, files)):
        raise DataError(f"{path}: filenames are given twice or are none")
    for name, array in arrays.items():
        _check(path, name, array, len(files))
    vectors = {
        name: torch.cat([arrays[f"{side}.{name}"].double() for side in SIDES])
        for name in ("gaze", "pose")
    }
    if not bool(vectors["gaze"].norm(dim=1).gt(0).all()):
        raise DataError(f"{path}: a gaze vector has no length")
    return Eyes(
        tuple(_name(day, file, side) for side in SIDES for file in files),
        torch.cat([arrays[f"{side}.image"] for side in SIDES]),
        angles_from_vector(vectors["gaze"]).float(),
        head_angles(vectors["pose"]).float(),
        torch.tensor(list(SIDES.values())).repeat_interleave(len(files)),
    )


def _check(path: Path, name: str, array: Tensor, count: int) -> None:
    image = name.endswith("image")
    wanted = (count, *SIZE) if image else (count, 3)
    if tuple(array.shape) != wanted:
        shown = " x ".join(map(str, array.shape))
        raise DataError(f"{path}: {name} is {shown}, not {' x '.join(map(str, wanted))}")
    if array.dtype != torch.uint8 if image else not array.is_floating_point():
        raise DataError(f"{path}: {name} holds no {'bytes' if image else 'floats'}")
    if not bool(array.isfinite().all()):
        raise DataError(f"{path}: {name} holds values that are not finite")


def head_angles(turn: Tensor) -> Tensor:
    """Return where heads face, (pitch, yaw) `[..., 2]` rad, of rotation vectors `[..., 3]`.

    They turn the head's frame into the camera's (Rodrigues); heads face along -z of their own.
    """
    x, y, z = turn.unbind(-1)
    zero = torch.zeros_like(x)
    rows = ((zero, -z, y), (z, zero, -x), (-y, x, zero))
    cross = torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)
    return angles_from_vector(-torch.linalg.matrix_exp(cross)[..., 2])


def import_mpiigaze(
    persons: Sequence[Person],
    eyes: Sequence[Eyes],
    out: Path,
    *,
    equalised: bool = False,
    progress: Progress | None = None,
) -> Store:
    """Write what `read_mpiigaze` found of `persons` into a store; resumed by repeating."""
    all_eyes = _joined(eyes)
    counts = torch.tensor([len(one.names) for one in eyes])
    subject = torch.arange(len(persons)).repeat_interleave(counts)
    plan = Manifest(
        kind="real",
        count=len(all_eyes.names),
        channels=1,
        height=SIZE[0],
        width=SIZE[1],
        subjects=tuple(person.name for person in persons),
        names=all_eyes.names,
        notes=source_notes(_digest(all_eyes), equalised),
    )

    def make(indices: range) -> EyeBatch:
        at = torch.as_tensor(indices)
        image = all_eyes.image[at][:, None].float() / 255
        return EyeBatch(
            image=equalise(image) if equalised else image,
            id=at,
            origin=torch.full_like(at, ORIGINS.index("real")),
            gaze=all_eyes.gaze[at],
            head=all_eyes.head[at],
            side=all_eyes.side[at],
            subject=subject[at],
        )

    return write_store(out, plan, make, progress=progress)


def _digest(eyes: Eyes) -> str:
    """SHA-256 of names, images and labels."""
    digest = hashlib.sha256("\n".join(eyes.names).encode())
    for known in (eyes.image, eyes.gaze, eyes.head, eyes.side):
        digest.update(known.contiguous().numpy().tobytes())
    return digest.hexdigest()

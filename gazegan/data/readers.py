"""Readers of real eyes: what each collection's file names or tables say, as plain records."""

import csv
import difflib
import math
import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gazegan.data.images import find_images, find_others
from gazegan.errors import DataError, UserError
from gazegan.schema import SIDES, UNKNOWN

NAN = float("nan")

_GAZE = ("pitch_deg", "yaw_deg")
_OPTIONAL = ("subject", "head_pitch_deg", "head_yaw_deg", "side")
COLUMNS = ("file", *_GAZE, *_OPTIONAL)
"""Columns of a table of labels; the optional ones may be missing or empty."""


@dataclass(frozen=True)
class Photo:
    """A photograph of one eye and what is known of it, in the conventions of `geometry`."""

    path: Path
    name: str
    """Relative to the folder that was read, with slashes."""
    gaze_deg: tuple[float, float] | None = None
    """(pitch, yaw)."""
    head_deg: tuple[float, float] = (NAN, NAN)
    """(pitch, yaw); NaN where unknown."""
    side: int = UNKNOWN
    subject: str | None = None


@dataclass(frozen=True)
class Listing:
    """The photographs of a folder, and the files left out with the reason for each."""

    photos: tuple[Photo, ...]
    skipped: tuple[tuple[str, str], ...] = ()


_COLUMBIA = re.compile(
    r"(?P<subject>\d{4})_2m_(?P<P>-?\d\d?)P_(?P<V>-?\d\d?)V_(?P<H>-?\d\d?)H_(?P<side>[LR])\.jpe?g",
    re.IGNORECASE | re.ASCII,
)


def read_columbia(
    folder: Path,
    subjects: Collection[int] | None = None,
    head_yaws_deg: Collection[float] | None = None,
    gaze_yaws_deg: Collection[float] | None = None,
) -> Listing:
    """List eye crops of the Columbia Gaze Data Set (Smith et al., UIST 2013).

    Names read `SUBJECT_2m_{P}P_{V}V_{H}H_{side}.jpg` in degrees: pitch = V, yaw = -H, head
    yaw = -P, head pitch 0. The sign of P was settled by eye: at P = -30 the nose covers the inner
    corner of the eye at the image's left, so the head is turned toward the image's left, where
    yaw is positive. `subjects`, `head_yaws_deg` and `gaze_yaws_deg` keep only those. Raises
    UserError where no photograph is left.
    """
    photos, skipped = [], []
    for name in _images(folder):
        match = _COLUMBIA.fullmatch(name.rpartition("/")[2])
        if match is None:
            skipped.append((name, "not named as in the Columbia set"))
            continue
        photo = _columbia_photo(folder, name, match)
        wanted = (
            (int(match["subject"]), subjects),
            (photo.head_deg[1], head_yaws_deg),
            (-float(match["H"]), gaze_yaws_deg),
        )
        if all(kept is None or value in kept for value, kept in wanted):
            photos.append(photo)
    if not photos:
        raise UserError(
            f"{folder}: no Columbia photographs match; see --subjects, --head-yaw, --gaze-yaw"
        )
    return Listing(tuple(photos), tuple(skipped))


def _columbia_photo(folder: Path, name: str, match: re.Match[str]) -> Photo:
    return Photo(
        path=folder / name,
        name=name,
        gaze_deg=(float(match["V"]), 0.0 - float(match["H"])),
        head_deg=(0.0, 0.0 - float(match["P"])),
        side=SIDES.index(match["side"].upper()),
        subject=match["subject"],
    )


def parse_subjects(text: str) -> frozenset[int]:
    """Turn `0026-0040,0043` or `p00-p13` into numbers; raises UserError naming `--subjects`."""
    numbers: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"p?(\d{1,4})(?:-p?(\d{1,4}))?", part.strip(), re.ASCII)
        if match is None or int(match[2] or match[1]) < int(match[1]):
            raise UserError(f"--subjects {text!r}: write numbers and ranges, e.g. 0026-0040,0043")
        numbers.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return frozenset(numbers)


def read_folder(folder: Path, labels: Path | None = None) -> Listing:
    """List the PNG and JPEG files below a folder; with `labels`, those its table names.

    The table is CSV, of commas, semicolons or tabs, with the columns file (relative to `folder`),
    pitch_deg, yaw_deg and optionally subject, head_pitch_deg, head_yaw_deg, side (L or R); an empty
    optional cell is unknown. Without both pitch_deg and yaw_deg it says only whose eyes these are.
    Images without a row are left out and listed, as are images of other formats. Raises UserError
    naming row and column of the first fault.
    """
    names = _images(folder)
    others = tuple((name, "neither PNG nor JPEG; convert it") for name in find_others(folder))
    if labels is None:
        return Listing(tuple(Photo(folder / name, name) for name in names), others)
    photos = tuple(_read_table(folder, labels, names))
    labelled = {photo.name for photo in photos}
    skipped = tuple((n, f"no row in {labels.name}") for n in names if n not in labelled)
    return Listing(photos, (*skipped, *others))


def _images(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    names = find_images(folder)
    if not names:
        raise UserError(f"{folder}: holds no PNG or JPEG files")
    return names


def _read_table(folder: Path, labels: Path, names: Sequence[str]) -> Iterator[Photo]:
    # The same letters may be written in two ways, one of them that of macOS.
    known = {_normal(name): name for name in names} | {name: name for name in names}
    seen = set[str]()
    for line, row in _rows(labels):
        forms = _forms(row["file"])
        if (name := next((known[form] for form in forms if form in known), None)) is None:
            raise UserError(f"{labels} line {line}, column file: no image {forms[-1]!r}")
        photo = _photo_of_row(folder, name, row, f"{labels} line {line}")
        if photo.name in seen:
            raise UserError(f"{labels} line {line}, column file: {photo.name!r} is given twice")
        seen.add(photo.name)
        yield photo
    if not seen:
        raise UserError(f"{labels}: holds no rows")


def _forms(cell: str) -> list[str]:
    """Return how the name in a cell may be meant: as it is written first, then forgivingly.

    Blanks may stand around it, and backslashes for slashes.
    """
    bare = cell.strip()
    names = [form.removeprefix("./") for form in (cell, bare, bare.replace("\\", "/"))]
    return [form for name in names for form in (name, _normal(name))]


def _normal(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _rows(labels: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with labels.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            table = csv.DictReader(file, strict=True, delimiter=max(",;\t", key=first.count))
            columns = [column.strip() for column in table.fieldnames or ()]
            _check_columns(labels, columns)
            table.fieldnames = columns
            for row in table:
                if None in row or None in row.values():
                    raise UserError(f"{labels} line {table.line_num}: not {len(columns)} cells")
                bare = {key: value.strip() for key, value in row.items()}
                yield table.line_num, {**bare, "file": row["file"]}
    except FileNotFoundError:
        raise UserError(f"--labels {labels}: no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        raise DataError(f"--labels {labels}: cannot be read as CSV ({fault})") from None


def _check_columns(labels: Path, columns: list[str]) -> None:
    for column in columns:
        if column not in COLUMNS:
            near = difflib.get_close_matches(column, COLUMNS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"allowed are {', '.join(COLUMNS)}"
            raise UserError(f"{labels}: unknown column {column!r}; {hint}")
    wanted = ("file", *_GAZE) if set(_GAZE) & set(columns) or columns == ["file"] else ("file",)
    for column in wanted:
        if column not in columns:
            raise UserError(f"{labels}: column {column!r} is missing")
    if len(set(columns)) < len(columns):
        raise UserError(f"{labels}: a column is given twice")


def _photo_of_row(folder: Path, name: str, row: dict[str, str], where: str) -> Photo:
    side = row.get("side", "")
    if side not in ("", *SIDES):
        raise UserError(f"{where}, column side: {side!r} is neither L nor R")
    gaze = [_angle(row, column, where) for column in _GAZE if column in row]
    return Photo(
        path=folder / name,
        name=name,
        gaze_deg=(gaze[0], gaze[1]) if gaze else None,
        head_deg=(_angle(row, "head_pitch_deg", where), _angle(row, "head_yaw_deg", where)),
        side=SIDES.index(side) if side else UNKNOWN,
        subject=row.get("subject") or None,
    )


def _angle(row: dict[str, str], column: str, where: str) -> float:
    text = row.get(column, "")
    if not text and column in _OPTIONAL:
        return NAN
    if not text:
        raise UserError(f"{where}, column {column}: is empty; give an angle, or leave the row out")
    try:
        value = float(text)
    except ValueError:
        value = NAN
    most = 180 if "yaw" in column else 90  # eyes and heads may look away from the camera
    if not math.isfinite(value) or abs(value) > most:
        fault = f"{text!r} is not an angle in -{most}..{most} degrees"
        raise UserError(f"{where}, column {column}: {fault}")
    return value

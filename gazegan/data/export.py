"""Exports: a store as plain files that need no gazegan to be read."""

import contextlib
import csv
import json
import math
import os
import re
import secrets
import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from gazegan.data.files import make_folder
from gazegan.data.readers import COLUMNS
from gazegan.data.store import Store
from gazegan.errors import DataError, UserError
from gazegan.geometry import direction_deg, eccentricity_deg, vector_from_angles
from gazegan.schema import BOXES, CENTRES, ELLIPSES, ORIGINS, SIDES, UNKNOWN, EyeBatch

Progress = Callable[[int], None]
_BATCH = 256
_ARRAYS = ("depth", "normals")
"""Labels of pixels that are no images."""


def export_folder(store: Store, out: Path, progress: Progress | None = None) -> None:
    """Write images as PNG with one JSON object of labels an image.

    `out` receives images/NNNNNN.png, masks/NAME/NNNNNN.png (coverage 0..255), labels.jsonl and, of
    what the store has, depth/NNNNNN.npy, normals/NNNNNN.npy and, for gaze, labels.csv as `gazegan
    import folder --labels` reads it. Unknown labels are null. The same store gives the same bytes;
    an `out` that holds them already is left as it is, any other raises UserError. Raises DataError
    where `store` is damaged or the disk is full.
    """
    refuse_early(out, is_empty(out) or (out / "labels.jsonl").is_file())
    with published(out) as folder:
        deep = [name for name in _ARRAYS if name in store.fields]
        for name in ("images", *deep, *(f"masks/{mask}" for mask in store.masks)):
            (folder / name).mkdir(parents=True)
        rows = []
        with (folder / "labels.jsonl").open("w", encoding="utf-8") as lines:
            for start, batch in _batches(store, progress):
                for k in range(len(batch)):
                    record = _record(store, batch, k, start + k)
                    lines.write(json.dumps(record, allow_nan=False) + "\n")
                    rows.append([record[column] for column in COLUMNS])
                _save_images(folder, store, batch, start)
        if "gaze" in store.fields:
            with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])


def export_npz(store: Store, out: Path, progress: Progress | None = None) -> None:
    """Write everything as NumPy arrays in one file, readable without pickle.

    images uint8 `[N, H, W, C]`; masks uint8 `[N, H, W, K]`; direction_deg and eccentricity_deg
    float32 `[N]` of the gaze; every other label as EyeBatch documents it, angles in rad; and the
    names of what they count. Labels that the store lacks are absent. Entries are stored
    uncompressed with a fixed date, so the same store gives the same bytes. Raises as
    `export_folder` does.
    """
    refuse_early(out, out.is_file())
    columns: dict[str, list[npt.NDArray[Any]]] = {}
    for _, batch in _batches(store, progress):
        for name in store.fields:
            columns.setdefault(name, []).append(_plain(name, getattr(batch, name)))
    arrays = {name: np.concatenate(parts) for name, parts in columns.items()}
    arrays["images"] = arrays.pop("image")
    if "gaze" in arrays:
        gaze = torch.from_numpy(arrays["gaze"]).double()
        arrays["direction_deg"] = direction_deg(gaze).float().remainder(360).numpy()
        arrays["eccentricity_deg"] = eccentricity_deg(gaze).float().numpy()
    arrays |= {name: np.array(values) for name, values in _names(store).items() if values}
    with published(out) as file:
        _write_npz(file, arrays)


def _batches(store: Store, progress: Progress | None) -> Iterator[tuple[int, EyeBatch]]:
    start = 0
    for batch in store.batches(_BATCH):
        yield start, batch
        start += len(batch)
        if progress:
            progress(len(batch))


def _bytes(values: Tensor) -> npt.NDArray[np.uint8]:
    levels: npt.NDArray[np.uint8] = (values * 255).round().to(torch.uint8).numpy()
    return levels


def _plain(name: str, values: Tensor) -> npt.NDArray[Any]:
    if name in ("image", "masks"):
        return _bytes(values.movedim(1, -1))
    array: npt.NDArray[Any] = values.numpy()
    return array


def _names(store: Store) -> dict[str, Sequence[str]]:
    manifest, known = store.manifest, store.fields
    return {
        "origin_names": ORIGINS,
        "side_names": SIDES,
        "mask_names": store.masks,
        "landmark_names": manifest.landmarks,
        "param_names": manifest.param_names,
        "centre_names": CENTRES if "centres" in known else (),
        "ellipse_names": ELLIPSES if "ellipses" in known else (),
        "box_names": BOXES if "boxes" in known else (),
        "subject_names": manifest.subjects,
        "file_names": manifest.names,
    }


def _write_npz(path: Path, arrays: dict[str, npt.NDArray[Any]]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, values in sorted(arrays.items()):
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            with archive.open(entry, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, values, allow_pickle=False)


def _save_images(folder: Path, store: Store, batch: EyeBatch, start: int) -> None:
    for k, image in enumerate(_bytes(batch.image.movedim(1, -1))):
        pixels = image[..., 0] if image.shape[-1] == 1 else image
        Image.fromarray(pixels).save(folder / "images" / f"{start + k:06d}.png")
    for name in _ARRAYS:
        values = getattr(batch, name)
        for k, one in enumerate(() if values is None else values.numpy()):
            np.save(folder / name / f"{start + k:06d}.npy", one)
    if batch.masks is not None:
        for k, masks in enumerate(_bytes(batch.masks)):
            for name, mask in zip(store.masks, masks, strict=True):
                Image.fromarray(mask).save(folder / "masks" / name / f"{start + k:06d}.png")


def _record(store: Store, batch: EyeBatch, k: int, index: int) -> dict[str, Any]:
    """Everything known of eye `k` of a batch, which is eye `index` of the store."""
    m, file = store.manifest, f"{index:06d}.png"
    return {
        "file": f"images/{file}",
        "id": int(batch.id[k]),
        "name": m.names[index] if m.names else None,
        "origin": ORIGINS[int(batch.origin[k])],
        **_gaze(None if batch.gaze is None else batch.gaze[k]),
        **_pose("head", batch.head, k),
        **_pose("gaze_head", batch.gaze_head, k),
        **_pose("optical", batch.optical, k),
        "side": _code(SIDES, batch.side, k),
        "subject": _code(m.subjects, batch.subject, k),
        "masks": {name: f"masks/{name}/{file}" for name in store.masks} or None,
        **{name: f"{name}/{index:06d}.npy" for name in _ARRAYS if getattr(batch, name) is not None},
        "landmarks": _named(m.landmarks, batch.landmarks, k),
        "visible": _named(m.landmarks, batch.visible, k),
        "centres": _named(CENTRES, batch.centres, k),
        "ellipses": _ellipses(batch.ellipses, k),
        "intrinsics": _named(("fx", "fy", "cx", "cy"), batch.intrinsics, k),
        "distortion": _named(("k1", "k2", "p1", "p2"), batch.distortion, k),
        "extrinsics": None if batch.extrinsics is None else batch.extrinsics[k].tolist(),
        "boxes": _boxes(batch.boxes, k),
        "params": _named(m.param_names, batch.params, k),
    }


def _gaze(angles: Tensor | None) -> dict[str, Any]:
    if angles is None:
        names = ("pitch_deg", "yaw_deg", "vector", "direction_deg", "eccentricity_deg")
        return dict.fromkeys(names)
    exact = angles.double()
    pitch, yaw = exact.tolist()
    return {
        "pitch_deg": math.degrees(pitch),
        "yaw_deg": math.degrees(yaw),
        "vector": vector_from_angles(exact).tolist(),
        "direction_deg": float(direction_deg(exact)),
        "eccentricity_deg": float(eccentricity_deg(exact)),
    }


def _pose(name: str, angles: Tensor | None, k: int) -> dict[str, float | None]:
    values = (math.nan, math.nan) if angles is None else angles[k].tolist()
    known = [math.degrees(value) if math.isfinite(value) else None for value in values]
    return {f"{name}_pitch_deg": known[0], f"{name}_yaw_deg": known[1]}


def _named(names: Sequence[str], values: Tensor | None, k: int) -> dict[str, Any] | None:
    return None if values is None else dict(zip(names, values[k].tolist(), strict=True))


def _ellipses(ellipses: Tensor | None, k: int) -> dict[str, Any] | None:
    if ellipses is None:
        return None
    keys = ("cx", "cy", "semi_major", "semi_minor")
    return {
        name: {**dict(zip(keys, sides, strict=True)), "angle_deg": math.degrees(angle)}
        for name, (*sides, angle) in zip(ELLIPSES, ellipses[k].tolist(), strict=True)
    }


def _boxes(boxes: Tensor | None, k: int) -> dict[str, Any] | None:
    named = _named(BOXES, boxes, k)
    return named and {name: box if any(box) else None for name, box in named.items()}


def _code(names: Sequence[str], codes: Tensor | None, k: int) -> str | None:
    return None if codes is None or int(codes[k]) == UNKNOWN else names[int(codes[k])]


def refuse_early(out: Path, could_be_export: bool) -> None:
    """Raise UserError where `out` exists and cannot be an export."""
    if out.exists() and not could_be_export:
        raise UserError(f"{out}: exists and is no such export; choose another --out")


def is_empty(path: Path) -> bool:
    """Whether a path is a folder without entries."""
    return path.is_dir() and not any(path.iterdir())


@contextlib.contextmanager
def published(out: Path) -> Iterator[Path]:
    """Yield a path to write to beside `out`; it takes the name when it is whole.

    Each process has its own, so that two do not write into one another's; what a killed one has
    left is removed.
    """
    parent, name = out.absolute().parent, out.absolute().name
    make_folder(parent)
    aside = parent / f".{name}.{os.getpid()}.{secrets.token_hex(4)}.part"
    try:
        for stray in parent.iterdir():
            left = re.fullmatch(rf"\.{re.escape(name)}\.(\d+)\.[0-9a-f]{{8}}\.part", stray.name)
            if left and not _runs(int(left[1])):
                _remove(stray)
        yield aside
        if not out.exists() or is_empty(out):
            aside.replace(out)
        elif not _same(aside, out):
            raise UserError(f"{out}: exists and differs from this export; choose another --out")
    except OSError as fault:
        raise DataError(f"{out}: cannot be written ({fault.strerror})") from None
    finally:
        _remove(aside)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _files(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def _same(a: Path, b: Path) -> bool:
    """Whether two files, or all files of two folders, hold the same bytes."""
    if a.is_file() or b.is_file():
        return a.is_file() and b.is_file() and a.read_bytes() == b.read_bytes()
    return _files(a) == _files(b) and all(_same(a / name, b / name) for name in _files(a))

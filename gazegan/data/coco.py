"""Scenes as a folder of PNGs with boxes and landmarks in COCO's JSON."""

import io
import json
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from gazegan.config import differences
from gazegan.data.files import make_folder, only_writer, parse_json, read_bytes, write_atomic
from gazegan.data.manifest import placed_as
from gazegan.errors import UserError
from gazegan.geometry import direction_deg, eccentricity_deg
from gazegan.schema import LANDMARKS, MASKS, SIDES, SceneBatch

LABELS, PLAN = "annotations.json", "plan.json"
"""What a finished folder holds, and one that is not: a finished one may still hold the plan."""
HEAD, EYE, IRIS = 1, 2, 3
"""Identifiers of the categories."""
_LABELLED, _VISIBLE = 1, 2
"""COCO's flags of keypoints: hidden, or seen."""


def write_coco(
    scene: Callable[[int], SceneBatch],
    count: int,
    out: Path,
    made_of: Mapping[str, Any],
    advance: Callable[[int], object] = bool,
) -> int:
    """Write images/NNNNNN.png, masks/NAME/NNNNNN.png and annotations.json; return how many images.

    `scene(k)` makes scene k alone, as `made_of`, plain values, tells; a folder cut short goes on
    where it stopped, a finished one is left alone. `advance(1)` hears of every scene. Categories
    are head, eye and iris. Boxes are COCO's (x, y, width, height) px, cut off at the
    image's border, and counted from its corner as all points here are; what lies outside altogether
    is left out. An eye carries the landmarks as keypoints, and beside COCO's own fields `face` (a
    number within its image), `side`, pitch and yaw of gaze and head in degrees, and
    `gaze_direction_deg` and `gaze_eccentricity_deg`. The same scenes give the same bytes; raises
    UserError where `out` holds something else, DataError where the disk is full.
    """
    plan = {**made_of, "count": count}
    make_folder(out)
    with only_writer(out):
        if _begin(out, plan):
            return count
        for k in range(count):
            if not _part(out, k).is_file():
                _write_scene(out, scene(k), k)
            advance(1)
        _finish(out, plan)
    return count


def _begin(out: Path, plan: dict[str, Any]) -> bool:
    """Claim a folder for `plan`; True where it is finished."""
    finished, planned = (out / LABELS).is_file(), (out / PLAN).is_file()
    if not finished and not planned:
        # A process killed in its first step leaves half of a plan and nothing else.
        if any(file.name != f"{PLAN}.tmp" for file in out.iterdir()):
            raise UserError(f"{out}: not empty and no folder of scenes; choose another --out")
        write_atomic(out / PLAN, _json(plan))
    file = out / (LABELS if finished else PLAN)
    known = parse_json(read_bytes(file, file.stat().st_size), file)
    made_of = _made_of(known) if finished else known
    if changed := differences(made_of, placed_as(made_of, plan)):
        raise UserError(f"{out}: holds other scenes ({changed[0]}); choose another --out")
    if finished:
        _clear(out)
        return True
    for name in ("images", "parts", *(f"masks/{mask}" for mask in MASKS)):
        make_folder(out / name)
    return False


def _made_of(known: Any) -> dict[str, Any]:
    for key in ("info", "made_of"):
        known = known.get(key) if isinstance(known, dict) else None
    return known if isinstance(known, dict) else {}


def _write_scene(out: Path, batch: SceneBatch, k: int) -> None:
    """Write a scene's pictures, then its annotations, which tell that it is whole."""
    height, width = batch.image.shape[-2:]
    file = f"{k:06d}.png"
    image = {"id": k, "file_name": f"images/{file}", "width": width, "height": height, "scene": k}
    _save(out, batch, 0, file)
    part = {"image": image, "annotations": _annotations(batch, 0, image)}
    write_atomic(_part(out, k), _json(part))


def _finish(out: Path, plan: dict[str, Any]) -> None:
    """Join the scenes' annotations, and clear away what only an unfinished folder needs."""
    parts = [json.loads(_part(out, k).read_bytes()) for k in range(plan["count"])]
    found = [values for part in parts for values in part["annotations"]]
    known = {
        "info": {"description": "scenes rendered by gazegan", "made_of": plan},
        "images": [part["image"] for part in parts],
        "annotations": [{"id": number, **values} for number, values in enumerate(found, 1)],
        "categories": _categories(),
    }
    write_atomic(out / LABELS, _json(known))
    _clear(out)


def _clear(out: Path) -> None:
    if (out / PLAN).is_file():
        shutil.rmtree(out / "parts", ignore_errors=True)
        (out / PLAN).unlink()


def _part(out: Path, k: int) -> Path:
    return out / "parts" / f"{k:06d}.json"


def _json(values: dict[str, Any]) -> bytes:
    return (json.dumps(values, allow_nan=False) + "\n").encode()


def _categories() -> list[dict[str, Any]]:
    eye = {"id": EYE, "name": "eye", "keypoints": list(LANDMARKS), "skeleton": []}
    return [{"id": HEAD, "name": "head"}, eye, {"id": IRIS, "name": "iris"}]


def _save(folder: Path, batch: SceneBatch, k: int, file: str) -> None:
    pixels = _bytes(batch.image[k].movedim(0, -1))
    _save_png(folder / "images" / file, pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    for name, mask in zip(MASKS, batch.masks[k], strict=True):
        _save_png(folder / "masks" / name / file, _bytes(mask))


def _save_png(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    """Write an image that has reached the disk before anything says that it is there."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    write_atomic(path, file.getvalue())


def _bytes(values: torch.Tensor) -> Any:
    return np.ascontiguousarray((values * 255).round().to(torch.uint8).numpy())


def _annotations(batch: SceneBatch, k: int, image: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for face in range(batch.heads.shape[1]):
        if not batch.present[k, 2 * face]:
            continue
        found.append(_boxed(HEAD, batch.heads[k, face], image) | {"face": face})
        for eye in (2 * face, 2 * face + 1):
            own, iris = batch.boxes[k, eye]
            labels = {"face": face, **_labels(batch, k, eye)}
            found.append(_boxed(EYE, own, image) | labels | _keypoints(batch, k, eye))
            found.append(_boxed(IRIS, iris, image) | labels)
    return [values for values in found if values["area"] > 0]


def _boxed(category: int, box: torch.Tensor, image: dict[str, Any]) -> dict[str, Any]:
    x0, y0, x1, y1 = box.double().tolist()
    x0, x1 = (min(max(x, 0.0), float(image["width"])) for x in (x0, x1))
    y0, y1 = (min(max(y, 0.0), float(image["height"])) for y in (y0, y1))
    sides = [x0, y0, x1 - x0, y1 - y0]
    return {
        "image_id": image["id"],
        "category_id": category,
        "bbox": sides,
        "area": sides[2] * sides[3],
        "iscrowd": 0,
    }


def _keypoints(batch: SceneBatch, k: int, eye: int) -> dict[str, Any]:
    points, seen = batch.landmarks[k, eye].tolist(), batch.visible[k, eye].tolist()
    flat = [
        value
        for (x, y), known in zip(points, seen, strict=True)
        for value in (x, y, _VISIBLE if known else _LABELLED)
    ]
    return {"keypoints": flat, "num_keypoints": len(points)}


def _labels(batch: SceneBatch, k: int, eye: int) -> dict[str, Any]:
    gaze = batch.gaze[k, eye].double()
    pitch, yaw = map(math.degrees, gaze.tolist())
    head_pitch, head_yaw = map(math.degrees, batch.head[k, eye].tolist())
    return {
        "side": SIDES[int(batch.side[k, eye])],
        "gaze_pitch_deg": pitch,
        "gaze_yaw_deg": yaw,
        "gaze_direction_deg": float(direction_deg(gaze)),
        "gaze_eccentricity_deg": float(eccentricity_deg(gaze)),
        "head_pitch_deg": head_pitch,
        "head_yaw_deg": head_yaw,
    }

"""Scenes as a folder of PNGs with boxes and landmarks in COCO's JSON."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from gazegan.data.export import is_empty, published, refuse_early
from gazegan.geometry import direction_deg, eccentricity_deg
from gazegan.schema import LANDMARKS, MASKS, SIDES, SceneBatch

HEAD, EYE, IRIS = 1, 2, 3
"""Identifiers of the categories."""
_LABELLED, _VISIBLE = 1, 2
"""COCO's flags of keypoints: hidden, or seen."""


def write_coco(scenes: Iterable[SceneBatch], out: Path, about: str = "") -> int:
    """Write images/NNNNNN.png, masks/NAME/NNNNNN.png and annotations.json; return how many images.

    Categories are head, eye and iris. Boxes are COCO's (x, y, width, height) px, cut off at the
    image's border, and counted from its corner as all points here are; what lies outside altogether
    is left out. An eye carries the landmarks as keypoints, and beside COCO's own fields `face` (a
    number within its image), `side`, pitch and yaw of gaze and head in degrees, and
    `gaze_direction_deg` and `gaze_eccentricity_deg`. The same scenes give the same bytes; raises
    UserError where `out` holds something else, DataError where the disk is full.
    """
    refuse_early(out, is_empty(out) or (out / "annotations.json").is_file())
    images: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    with published(out) as folder:
        for name in ("images", *(f"masks/{mask}" for mask in MASKS)):
            (folder / name).mkdir(parents=True)
        for batch in scenes:
            for k in range(len(batch)):
                file = f"{len(images):06d}.png"
                _save(folder, batch, k, file)
                height, width = batch.image.shape[-2:]
                images.append(
                    {"id": len(images), "file_name": f"images/{file}", "width": width}
                    | {"height": height, "scene": int(batch.id[k])}
                )
                found += _annotations(batch, k, images[-1])
        numbered = [{"id": number, **values} for number, values in enumerate(found, 1)]
        known = {"info": {"description": about}, "images": images, "annotations": numbered}
        text = json.dumps(known | {"categories": _categories()}, allow_nan=False)
        (folder / "annotations.json").write_text(text + "\n", encoding="utf-8")
    return len(images)


def _categories() -> list[dict[str, Any]]:
    eye = {"id": EYE, "name": "eye", "keypoints": list(LANDMARKS), "skeleton": []}
    return [{"id": HEAD, "name": "head"}, eye, {"id": IRIS, "name": "iris"}]


def _save(folder: Path, batch: SceneBatch, k: int, file: str) -> None:
    pixels = _bytes(batch.image[k].movedim(0, -1))
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(
        folder / "images" / file
    )
    for name, mask in zip(MASKS, batch.masks[k], strict=True):
        Image.fromarray(_bytes(mask)).save(folder / "masks" / name / file)


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

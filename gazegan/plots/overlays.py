"""Drawn onto eyes: attribution, masks, landmarks and gaze arrows."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from gazegan.plots.palette import Floats, floats
from gazegan.schema import LANDMARKS, MASKS

_RAISES, _LOWERS = np.array((0.80, 0.16, 0.12)), np.array((0.10, 0.32, 0.75))
_HOT = np.array((1.0, 0.62, 0.05))
_BOX = (240, 228, 66)
_LID, _IRIS, _GAZE = (88, 201, 137), (86, 180, 255), (255, 112, 67)
_COLOURS = {
    "sclera": (0.25, 0.75, 0.55),
    "iris": (0.25, 0.55, 1.0),
    "pupil": (0.95, 0.25, 0.35),
    "caruncle": (0.95, 0.55, 0.75),
    "lashes": (0.65, 0.4, 0.9),
    "glasses": (0.9, 0.75, 0.2),
    "glint": (1.0, 1.0, 1.0),
}
"""Of the masks that `tint` shows."""
_REGIONS = np.array([_COLOURS.get(name, (0, 0, 0)) for name in MASKS])
_FINE = 4
"""How much finer than the result lines are drawn, so that their edges are smooth."""


def overlay(image: ArrayLike, attribution: ArrayLike, limit: float | None = None) -> Floats:
    """Lay a signed map `[C, H, W]` over the grey image `[C, H, W]`; returns `[3, H, W]` in 0..1.

    Red raises the output, blue lowers it; colour is full at `limit`, by default the 99th
    percentile of this map's absolute values.
    """
    grey, signed = floats(image).mean(0), floats(attribution).sum(0)
    full = limit or float(np.quantile(np.abs(signed), 0.99)) or 1.0
    strength = np.clip(np.abs(signed) / full, 0, 1) ** 0.75
    colour = np.where(signed[..., None] > 0, _RAISES, _LOWERS)
    paper = (0.25 + 0.7 * grey)[..., None]
    mixed: Floats = paper + strength[..., None] * (colour - paper)
    return mixed.transpose(2, 0, 1)


def heat(image: ArrayLike, attribution: ArrayLike, sigma_px: float = 1.5) -> Floats:
    """Lay where a map `[C, H, W]` is strong, of either sign, over the grey image `[C, H, W]`.

    The absolute map is smoothed by a Gaussian, so that single pixels do not hide the places.
    Returns `[3, H, W]` in 0..1; colour is full at the strongest place.
    """
    grey = floats(image).mean(0)
    weight = gaussian_filter(np.abs(floats(attribution)).sum(0), sigma_px)
    strength = (weight / (weight.max() or 1.0))[..., None]
    paper = (0.2 + 0.6 * grey)[..., None]
    mixed: Floats = paper + 0.85 * strength * (_HOT - paper)
    return mixed.transpose(2, 0, 1)


def tint(image: ArrayLike, masks: ArrayLike) -> Floats:
    """Colour what masks cover of the grey image `[C, H, W]`; returns `[3, H, W]` in 0..1.

    `masks` `[K, H, W]` holds the coverage of `schema.MASKS`. Sclera is green, iris blue, pupil red,
    caruncle pink, lashes violet, glasses yellow, glint white; skin stays grey.
    """
    grey, cover = floats(image).mean(0), floats(masks)
    colour = np.einsum("khw,kc->chw", cover, _REGIONS)
    strength = 0.6 * (1 - cover[0])
    mixed: Floats = np.clip(grey * (1 - strength) + 0.6 * colour, 0, 1)
    return mixed


def annotate(
    image: ArrayLike,
    gaze: ArrayLike,
    landmarks: ArrayLike | None = None,
    visible: ArrayLike | None = None,
    scale: int = 4,
) -> Floats:
    """Draw the labels of an eye onto its image `[C, H, W]`, enlarged `scale` times.

    `landmarks` `[L, 2]` px are those of `schema.LANDMARKS`: the lids become a line, the iris
    points that are `visible` `[L]` become dots. The arrow shows the gaze (pitch, yaw) rad as the
    camera sees it, from the pupil, or from the middle where landmarks are absent. Returns
    `[3, scale * H, scale * W]` in 0..1.
    """
    points = None if landmarks is None else floats(landmarks)[None]
    seen = None if visible is None else np.asarray(visible, bool)[None]
    return annotate_eyes(image, floats(gaze)[None], points, seen, scale)


def annotate_eyes(
    image: ArrayLike,
    gaze: ArrayLike,
    landmarks: ArrayLike | None = None,
    visible: ArrayLike | None = None,
    scale: int = 4,
    boxes: ArrayLike = (),
) -> Floats:
    """Draw the labels of E eyes onto the image that shows them, as `annotate` does of one.

    `gaze` `[E, 2]`, `landmarks` `[E, L, 2]` and `visible` `[E, L]`. Where there are several eyes
    an arrow is at most as long as the lids are wide. `boxes` `[N, 4]` px become rectangles.
    """
    values = floats(image)
    pixels = np.rint(255 * np.repeat(values, 4 - len(values), 0)[:3].clip(0, 1)).astype(np.uint8)
    small = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    size = (scale * small.width, scale * small.height)
    ink = Image.new("RGBA", (_FINE * size[0], _FINE * size[1]), (*_GAZE, 0))
    draw, factor = ImageDraw.Draw(ink), _FINE * scale
    for corners in floats(boxes).reshape(-1, 4):
        draw.rectangle(tuple(factor * corners), outline=(*_BOX, 230), width=max(_FINE, factor // 2))
    looking = floats(gaze)
    seen = None if visible is None else np.asarray(visible, bool)
    for k, angles in enumerate(looking):
        start, reach = floats(values.shape[:0:-1]) / 2, 0.75 * values.shape[2]
        if landmarks is not None:
            points = floats(landmarks)[k]
            _draw_points(
                draw, points, np.ones(len(points), bool) if seen is None else seen[k], factor
            )
            start = points[LANDMARKS.index("pupil_centre")]
            reach = min(reach, _lid_width(points)) if len(looking) > 1 else reach
        _draw_arrow(draw, start, angles, reach, factor)
    drawn = small.resize(size, Image.Resampling.NEAREST)
    ink = ink.resize(size, Image.Resampling.BOX)
    drawn.paste(ink, mask=ink.getchannel("A"))
    return np.asarray(drawn, dtype=np.float64).transpose(2, 0, 1) / 255


def _lid_width(points: Floats) -> float:
    inner, outer = (points[LANDMARKS.index(name)] for name in ("lid_00", "lid_08"))
    return float(np.hypot(*(outer - inner)))


def _draw_points(
    draw: ImageDraw.ImageDraw, points: Floats, visible: NDArray[np.bool_], factor: int
) -> None:
    at = {name: factor * point for name, point in zip(LANDMARKS, points, strict=True)}
    lid = [tuple(at[name]) for name in LANDMARKS if name.startswith("lid_")]
    draw.line([*lid, lid[0]], fill=(*_LID, 230), width=factor // 3)
    for name, seen in zip(LANDMARKS, visible, strict=True):
        if seen and name.startswith("iris_") and name != "iris_centre":
            draw.circle(at[name], factor / 3.5, fill=(*_IRIS, 230))


def _draw_arrow(
    draw: ImageDraw.ImageDraw, start: Floats, gaze: Floats, reach: float, factor: int
) -> None:
    """Draw where (pitch, yaw) rad points, as `geometry.vector_from_angles` projects it."""
    pitch, yaw = gaze
    way = reach * np.array((-np.cos(pitch) * np.sin(yaw), -np.sin(pitch)))
    tail, tip = factor * start, factor * (start + way)
    length, colour = float(np.hypot(*(tip - tail))), (*_GAZE, 255)
    draw.circle(tuple(tail), 0.6 * factor, fill=colour)
    if length < factor:
        return
    along = (tip - tail) / length
    head = min(2.4 * factor, length)
    across = 0.45 * head * np.array((-along[1], along[0]))
    neck = tip - head * along
    draw.line([tuple(tail), tuple(neck)], fill=colour, width=round(0.6 * factor))
    draw.polygon([tuple(tip), tuple(neck + across), tuple(neck - across)], fill=colour)

"""Scenes: heads before a background, several eyes at several sizes, as detectors meet them."""

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from gazegan import rng
from gazegan.render import (
    camera,
    effects,
    faces,
    heads,
    histogram,
    jpeg,
    landmarks,
    pairs,
    sensor,
    shape,
)
from gazegan.render.bands import band_of
from gazegan.render.effects import Effects
from gazegan.render.elementary import sigmoid
from gazegan.render.paint import grey_card, paint
from gazegan.render.params import PARAM_NAMES, EyeParams
from gazegan.render.prior import Image, Recipe, sample
from gazegan.render.scene import Window, label, look
from gazegan.render.texture import lattice, value_noise
from gazegan.schema import MASKS, SceneBatch

_TRIES = 48
"""Places that are tried for a face before it is left out."""
_ROOM = (92.0, 122.0, 150.0)
"""What no other head may cover: to either side, above and below the eyes, mm."""
_UPRIGHT = 20.0
"""Tilt, deg, up to which a body lies below its head, within `heads.REACH` to either side."""


def render_scenes(
    recipe: Recipe, seed: int, indices: Tensor, device: torch.device | str = "cpu"
) -> SceneBatch:
    """Render scenes `indices` `[S]` int64; scene i depends on (recipe, seed, i) alone.

    Raises ValueError where the recipe's framing is not `scene`.
    """
    if recipe.image.framing != "scene":
        raise ValueError(f"framing is {recipe.image.framing!r}; render_scenes needs 'scene'")
    needs = effects.of_recipe(recipe)
    return SceneBatch.cat([_scene(recipe, seed, int(i), needs, device) for i in indices])


def _scene(
    recipe: Recipe, seed: int, index: int, needs: Effects, device: torch.device | str
) -> SceneBatch:
    params = EyeParams.from_flat(arrange(recipe, seed, index).flat().to(device))
    word = rng.bits(torch.tensor([index]), seed, "scene").to(device)
    textures = rng.hash32(word + torch.arange(len(params.side), device=device).int() // 2)
    drop = backdrop(word, recipe.image, params.side.dtype)
    photo, masks = compose(params, textures, recipe.image, needs, drop)
    known, around = label(params, recipe.image, needs), head_boxes(params, recipe.image, needs)
    slots = 2 * recipe.scene.most
    present = torch.arange(slots, device=device) < len(params.side)
    names = {f.name for f in fields(SceneBatch)} & set(known)
    return SceneBatch(
        image=photo,
        masks=masks,
        id=torch.tensor([index], device=device),
        present=present[None],
        heads=_padded(around, slots // 2),
        **{name: _padded(known[name], slots) for name in names},
    )


def _padded(rows: Tensor, count: int) -> Tensor:
    """Rows `[N, ...]` followed by zeros, as `[1, count, ...]`."""
    return torch.cat((rows, rows.new_zeros(count - len(rows), *rows.shape[1:])))[None]


def arrange(recipe: Recipe, seed: int, index: int) -> EyeParams:
    """Draw the parameters of the eyes `[2F]` of a scene, right and left by turns.

    Heads are placed by chance, large ones first, where they hide no other; one for which no place
    is found is left out, but for the first.
    """
    least, most = recipe.scene.least, recipe.scene.most
    many = float(rng.uniform(torch.tensor([index]), seed, "faces"))
    who = index * most + torch.arange(least + int(many * (most - least + 1)))
    params = sample(recipe, seed, pairs.both(who))
    size, placed = recipe.image, list[tuple[int, float, float]]()
    taken = list[tuple[float, float, float, float]]()
    focal = _focal(params, size)
    for k in sorted(range(len(who)), key=lambda k: float(params.distance[2 * k])):
        scale = focal / float(params.distance[2 * k])
        tries = rng.uniform(_TRIES * int(who[k]) + torch.arange(_TRIES), seed, "place across")
        rows = rng.uniform(_TRIES * int(who[k]) + torch.arange(_TRIES), seed, "place down")
        for x, y in zip(tries.tolist(), rows.tolist(), strict=True):
            at, box = _place(size, scale, x, y)
            if not any(_overlap(box, other) for other in taken):
                placed.append((k, *at))
                taken.append(box)
                break
    return _moved(params, placed, focal, size)


def _focal(params: EyeParams, image: Image) -> float:
    half_field = math.radians(0.5 * float(params.field_of_view[0].detach()))
    return 0.5 * image.width / math.tan(half_field)


def _place(
    image: Image, scale: float, x: float, y: float
) -> tuple[tuple[float, float], tuple[float, float, float, float]]:
    """Pixel midway between the eyes and the box of the head, at shares of the room there is.

    Heads too large for the image are placed in its middle.
    """
    aside, up, down = (scale * mm for mm in _ROOM)
    px = aside + x * (image.width - 2 * aside) if image.width > 2 * aside else image.width / 2
    py = up + y * (image.height - up - down) if image.height > up + down else image.height / 2
    return (px, py), (px - aside, py - up, px + aside, py + down)


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _moved(
    params: EyeParams, placed: list[tuple[int, float, float]], focal: float, image: Image
) -> EyeParams:
    """Keep the faces `placed` (number, px), nearest last, and move them there."""
    rows = pairs.both(torch.tensor([k for k, *_ in placed[::-1]]))
    px = torch.tensor([at for _, *at in placed[::-1]]).repeat_interleave(2, 0)
    kept = params[rows]
    off = (px - camera.principal(kept, image)) * (kept.distance / focal)[:, None]
    values = {name: getattr(kept, name) for name in PARAM_NAMES}
    return EyeParams(**(values | {"eye_x": off[:, 0], "eye_y": off[:, 1]}))


def head_boxes(params: EyeParams, image: Image, needs: Effects) -> Tensor:
    """Return boxes `[F, 4]` px around the heads of eyes `[2F]`."""
    p = shape.per_pixel(params)
    where = camera.pose(p, needs)
    view = camera.frame(p, where, image, needs, landmarks.six_points(p, where))
    return heads.boxes(p, where, view)


def compose(
    params: EyeParams, seed: Tensor, image: Image, needs: Effects, drop: Tensor
) -> tuple[Tensor, Tensor]:
    """Render faces, whose eyes `[2F]` alternate, nearest last, before `drop` `[3, H, W]`.

    `drop` is light where even skin sends 1. Returns image `[1, C, H, W]` and masks
    `[1, K, H, W]`. Bodies lie behind all heads.
    """
    seen = [
        _face(params[at : at + 2], seed[at : at + 2], image, needs)
        for at in range(0, len(params.side), 2)
    ]
    card = torch.cat([face.card for face in seen]).mean(0, keepdim=True)
    canvas, masks = drop * card[0], _clear(drop[:1]).expand(-1, *drop.shape[1:]).clone()
    for face in seen:
        part = canvas[:, *face.window.slices]
        part.copy_(_over(part, face.bust.body[0], face.bust.clothed[0]))
    for face in seen:
        part, covered = canvas[:, *face.window.slices], face.bust.covered[0]
        part.copy_(_over(part, face.bust.head[0], covered))
        part = masks[:, *face.window.slices]
        part.copy_(_over(part, face.masks, covered))
    one = shape.per_pixel(params[:1])
    light = canvas[:, None] * sensor.metered(one, card)
    photo = sensor.develop(one, seed[:1], light, image, needs)
    photo = jpeg.compress(photo, one.jpeg) if needs.jpeg else photo
    photo = histogram.equalise(photo) if image.equalised else photo
    return photo, masks[None]


@dataclass(frozen=True)
class _Face:
    """A face in its part of the image."""

    window: Window
    bust: heads.Bust
    masks: Tensor
    card: Tensor


def _face(params: EyeParams, seed: Tensor, image: Image, needs: Effects) -> _Face:
    window = _window(params, image)
    sight = look(params, seed, image, needs, window)
    radiance, masks = paint(sight)
    share = faces.right_share(sight)
    bust, masks = heads.bust(sight, radiance).joined(share), faces.join(masks, share)[0]
    bare = bust.bare[0] / bust.covered[0].clamp(min=1e-6)
    masks = _over(_clear(masks[:1]), masks, bare)
    return _Face(window, bust, masks, grey_card(sight).mean(0, keepdim=True))


def _clear(like: Tensor) -> Tensor:
    """Coverage `[K, 1, 1]` where there is skin alone."""
    clear = like.new_zeros(len(MASKS), 1, 1)
    clear[0] = 1
    return clear


def _over(under: Tensor, top: Tensor, share: Tensor) -> Tensor:
    """Lay one picture over another with opacity `share`."""
    return under + (top - under) * share


def _window(params: EyeParams, image: Image) -> Window:
    """The part of the image that a head with its body may cover."""
    # Where the window ends changes nothing, so no gradient passes.
    p = EyeParams.from_flat(params[:1].flat().detach())
    if abs(float(p.head_roll + p.camera_roll)) > _UPRIGHT:
        return Window(0, 0, image.width, image.height)
    scale = _focal(p, image) / float(p.distance)
    x, y = camera.principal(p, image)[0].tolist()
    x = min(max(x + scale * float(p.eye_x), 0), image.width)
    y = min(max(y + scale * float(p.eye_y), 0), image.height)
    aside, up = (scale * mm for mm in heads.REACH)
    left, right = max(0, math.floor(x - aside)), min(image.width, math.ceil(x + aside))
    top = max(0, math.floor(y - up))
    return Window(left, top, right - left, image.height - top)


def backdrop(seed: Tensor, image: Image, dtype: torch.dtype) -> Tensor:
    """Light `[3, H, W]` of a room out of focus: a gradient, blotches and soft-edged panels."""
    y = torch.arange(image.height, device=seed.device).to(dtype)[:, None] / image.width
    x = torch.arange(image.width, device=seed.device).to(dtype) / image.width
    x, y = x.expand(image.height, -1), y.expand(-1, image.width)
    draws = 0.5 + 0.5 * lattice(seed, "room", 9, 8)[0, 0].to(dtype)
    tint = (0.3 + 0.9 * draws[0, :3])[:, None, None]
    light: Tensor = tint * (0.5 + draws[0, 3] * x + draws[0, 4] * y)
    coarse = value_noise(lattice(seed, "wall", 12, 12), 4 * x[None] + 2, 4 * y[None] + 2)
    fine = value_noise(lattice(seed, "clutter", 48, 48), 22 * x[None] + 4, 22 * y[None] + 4)
    light = light * (1 + 0.35 * coarse + 0.2 * draws[0, 5] * fine)
    for panel in draws[1:]:
        left, top, wide, high, red, green, blue, soft = panel.unbind(0)
        edge = 0.003 + 0.02 * soft
        inside = sigmoid((x - left + 0.1) / edge) * sigmoid((left + 0.4 * wide - x) / edge)
        inside = inside * sigmoid((y - 0.75 * top + 0.1) / edge)
        inside = inside * sigmoid((0.75 * top + 0.5 * high - y) / edge)
        colour = torch.stack((red, green, blue))[:, None, None]
        colour = 1.6 * colour * colour
        colour = colour + 0.6 * (colour.mean() - colour)
        light = light + (colour - light) * inside
    if len(band_of(image.band).skin) == 1:
        light = light.mean(0, keepdim=True).expand(3, -1, -1)
    return light.clone()

"""From parameters to labelled images: the list of passes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor

from gazegan import rng
from gazegan.errors import UserError
from gazegan.render import (
    camera,
    effects,
    faces,
    histogram,
    jpeg,
    labels,
    landmarks,
    lids,
    light,
    memory,
    pairs,
    sensor,
    shape,
)
from gazegan.render.bands import band_of
from gazegan.render.camera import Camera
from gazegan.render.effects import Effects
from gazegan.render.eyeball import Pose
from gazegan.render.paint import grey_card, paint, relief
from gazegan.render.params import EyeParams
from gazegan.render.prior import Image, Recipe, sample
from gazegan.render.sight import Sight, is_fine
from gazegan.schema import MASKS, EyeBatch

_CHUNK_PIXELS = 64 * 36 * 60
"""Pixels rendered at a time: fewer take more calls, more leave the processor's cache."""
_CHUNK_PIXELS_GPU = 1024 * 36 * 60
"""On a GPU, where only many at once are worth the calls."""
_CHUNK_LABELS = 2048
"""Eyes labelled at a time; labels are small, and fewer calls are faster."""
_CHUNK_LABELS_GPU = 1 << 15
"""On a GPU, where calls are nearly all of their time."""


@dataclass(frozen=True)
class Pixels:
    """What a renderer makes of every pixel: fields of EyeBatch of the same names."""

    image: Tensor
    masks: Tensor
    depth: Tensor | None = None
    normals: Tensor | None = None

    def __getitem__(self, index: slice | Tensor) -> Self:
        return self._map(lambda part: part[index])

    @classmethod
    def cat(cls, parts: list[Self]) -> Self:
        """Put images of the same fields into one record."""
        names = [f.name for f in fields(cls) if getattr(parts[0], f.name) is not None]
        return cls(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})

    def repeat(self, times: int) -> Self:
        """Return every image `times` times, one after the other."""
        return self._map(lambda part: part.repeat_interleave(times, 0))

    def _map(self, change: Callable[[Tensor], Tensor]) -> Self:
        kept = {f.name: getattr(self, f.name) for f in fields(self)}
        return type(self)(**{name: change(part) for name, part in kept.items() if part is not None})


@dataclass(frozen=True)
class Rows:
    """Rows of room for pixels, to be filled."""

    room: Pixels
    places: Tensor
    """[B] int64, of the rows in the room; those of a face follow one another."""

    @classmethod
    def new(cls, image: Image, count: int, device: torch.device | str = "cpu") -> Self:
        """Return room for `count` images of a recipe."""

        def planes(channels: int) -> Tensor:
            return torch.empty(count, channels, image.height, image.width, device=device)

        deep = (planes(1), planes(3)) if image.depth else ()
        room = Pixels(planes(image.channels), planes(len(MASKS)), *deep)
        return cls(room, torch.arange(count, device=device))

    def put(self, images: Pixels) -> None:
        """Fill the rows."""
        for f in fields(images):
            part: Tensor | None = getattr(self.room, f.name)
            if part is not None:
                part.index_copy_(0, self.places, getattr(images, f.name))


Renderer = Callable[[EyeParams, Tensor, Image, Effects, Rows], None]
"""What fills rows with pixels, by arguments as those of `expose`: `plainly`, or what is faster."""


def render(params: EyeParams, seed: Tensor, image: Image, needs: Effects | None = None) -> EyeBatch:
    """Render eyes with every label.

    `params` holds fields `[B]`; `seed` `[B]` int32 selects the textures and the noise. Returns
    an EyeBatch of B images of the recipe's size. `needs` covers what the parameters need, and
    brings the recipe's panorama (`effects.of_recipe`); without, there is none, and it is what these
    parameters need. More costs time and changes nothing. Where images show whole faces, rows are
    the right and the left eyes of faces by turns, and both rows of a face hold its image.
    """
    needs = needs or effects.of_params(params)
    return _batch(expose(params, seed, image, needs), label(params, image, needs))


def expose(params: EyeParams, seed: Tensor, image: Image, needs: Effects) -> Pixels:
    """Render the pixels of eyes `[B]`; arguments as those of `render`."""
    sight = look(params, seed, image, needs)
    radiance, masks = paint(sight)
    deep: tuple[Tensor, ...] = relief(sight) if image.depth else ()
    p, card = sight.p, grey_card(sight)
    if image.whole_faces:
        share = faces.right_share(sight)
        radiance, masks = faces.join(radiance.transpose(0, 1), share), faces.join(masks, share)
        radiance = radiance.transpose(0, 1)
        card = 0.5 * (card[0::2] + card[1::2])
        deep = tuple(faces.nearer(part, share) for part in deep)
        p, seed = p[0::2], seed[0::2]
    photo = sensor.develop(p, seed, radiance * sensor.metered(p, card), image, needs)
    photo = jpeg.compress(photo, p.jpeg) if needs.jpeg else photo
    photo = histogram.equalise(photo) if image.equalised else photo
    pixels = Pixels(photo, masks, *deep)
    return pixels.repeat(2) if image.whole_faces else pixels


def plainly(params: EyeParams, seed: Tensor, image: Image, needs: Effects, rows: Rows) -> None:
    """Fill rows with what `expose` renders of eyes `[B]`."""
    rows.put(expose(params, seed, image, needs))


@dataclass(frozen=True)
class Window:
    """A part of an image, px."""

    left: int
    top: int
    width: int
    height: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Its rows and columns."""
        return (
            slice(self.top, self.top + self.height),
            slice(self.left, self.left + self.width),
        )


def look(
    params: EyeParams, seed: Tensor, image: Image, needs: Effects, window: Window | None = None
) -> Sight:
    """Find what pixels `[B, H, W]` see, or those of a window; arguments as those of `render`."""
    p = shape.per_pixel(params)
    where, view = _placed(p, image, needs)
    if window is not None:
        corner = view.centre.new_tensor((window.left, window.top))
        view = replace(view, centre=view.centre - corner)
    shown = window or image
    rays = view.rays(shown.height, shown.width)
    profile = camera.in_profile(p, where) if needs.profile else None
    face = shape.hit_face(p, where.head, rays, profile, steep=needs.nose)
    placed = lids.place(p, where.lift, face.u, face.v)
    placed = lids.bent(p, seed, face.u, placed) if needs.uneven else placed
    lamp = light.lamps(p, band_of(image.band), needs, view, seed)
    fine = is_fine(shown.width)
    return Sight(p, seed, where, view, rays, face, placed, lamp, fine, needs, profile)


def label(params: EyeParams, image: Image, needs: Effects) -> dict[str, Tensor]:
    """Return the labels of eyes `[B]` that are not images, by their names in EyeBatch."""
    p = shape.per_pixel(params)
    return labels.label(p, *_placed(p, image, needs), image)


def _placed(p: EyeParams, image: Image, needs: Effects) -> tuple[Pose, Camera]:
    where = camera.pose(p, needs)
    return where, camera.frame(p, where, image, needs, landmarks.six_points(p, where))


def _batch(pixels: Pixels, known: dict[str, Tensor]) -> EyeBatch:
    count, device = len(known["gaze"]), known["gaze"].device
    return EyeBatch(
        id=torch.arange(count, device=device),
        origin=torch.zeros(count, dtype=torch.int64, device=device),
        **{f.name: getattr(pixels, f.name) for f in fields(pixels)},
        **known,
    )


def render_indices(
    recipe: Recipe,
    seed: int,
    indices: Tensor | Sequence[int],
    device: torch.device | str = "cpu",
    renderer: Renderer = plainly,
) -> EyeBatch:
    """Render eyes `indices` `[B]` int64 of a recipe; eye i depends on (recipe, seed, i) alone.

    Parameters are drawn on the CPU and moved, so that every device sees the same eyes. Raises
    UserError where the recipe's framing is `scene`, ValueError where there are no indices.
    """
    indices = torch.as_tensor(indices, dtype=torch.int64)
    if not len(indices):
        raise ValueError("indices are empty; name at least one eye")
    if recipe.image.framing == "scene":
        raise UserError(
            f"recipe {recipe.name!r} makes scenes; gazegan render and render_scenes take it"
        )
    if recipe.image.whole_faces:
        shown, place = torch.unique(pairs.faces(indices), return_inverse=True)
        rows = _render_rows(recipe, seed, pairs.both(shown), device, renderer)
        return rows[(2 * place + indices % 2).to(device)]
    return _render_rows(recipe, seed, indices, device, renderer)


def _render_rows(
    recipe: Recipe, seed: int, indices: Tensor, device: torch.device | str, renderer: Renderer
) -> EyeBatch:
    memory.keep_freed()
    image, needs = recipe.image, effects.of_recipe(recipe)
    flat = sample(recipe, seed, indices).flat().to(device)
    # The halves of a face meet in one texture.
    who = pairs.faces(indices) if image.whole_faces else indices
    textures = rng.bits(who, seed, "texture").to(device)
    params = EyeParams.from_flat(flat)
    step = _CHUNK_LABELS if flat.device.type == "cpu" else _CHUNK_LABELS_GPU
    known = [label(params[at : at + step], image, needs) for at in range(0, len(indices), step)]
    joined = {name: torch.cat([part[name] for part in known]) for name in known[0]}
    rare = _rare(params, image, needs)
    order = (rare * image.height + _top(joined["boxes"], image)).argsort(stable=True)
    flat, textures = flat[order], textures[order]
    room = Rows.new(image, len(order), device).room
    for at, end, wanted in _spans(rare, image, needs):
        some = EyeParams.from_flat(flat[at:end])
        renderer(some, textures[at:end], image, wanted, Rows(room, order[at:end]))
    return replace(_batch(room, joined), id=indices.to(device))


def _rare(params: EyeParams, image: Image, needs: Effects) -> Tensor:
    """Which of `effects.kinds` eyes `[B]`, or faces, are of."""
    p = shape.per_pixel(params)
    rare = (p.glasses > 0).long()
    if needs.profile:
        rare = rare.where(~camera.in_profile(p, camera.pose(p, needs)), 2)
    return _by_face(rare.flatten(), image)


def _top(boxes: Tensor, image: Image) -> Tensor:
    """Uppermost rows `[B]` in which lids are open: eyes that share them are rendered together.

    Between the lids is then little more than what a batch of them paints there.
    """
    return _by_face(boxes[:, 0, 1].clamp(0, image.height - 1).long(), image)


def _by_face(values: Tensor, image: Image) -> Tensor:
    """Give both eyes `[B]` of faces, where images show these, the larger of their values."""
    return values.view(-1, 2).amax(1).repeat_interleave(2) if image.whole_faces else values


def _spans(rare: Tensor, image: Image, needs: Effects) -> Iterator[tuple[int, int, Effects]]:
    """First and last of the eyes rendered together, in order of `rare`, and what they need."""
    begin, step, kinds = 0, chunk(image, rare.device), effects.kinds(needs)
    for kind, count in enumerate(rare.bincount().tolist()):
        for at in range(begin, begin + count, step):
            end = min(at + step, begin + count)
            yield at, end, kinds[kind]
        begin += count


def chunk(image: Image, device: torch.device | str = "cpu") -> int:
    """Return how many eyes are rendered at a time; an even number where faces are whole."""
    pixels = _CHUNK_PIXELS if torch.device(device).type == "cpu" else _CHUNK_PIXELS_GPU
    whole = 2 if image.whole_faces else 1
    return whole * max(1, pixels // (whole * image.height * image.width))

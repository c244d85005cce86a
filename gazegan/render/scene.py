"""From parameters to labelled images: the list of passes."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from gazegan import rng
from gazegan.render import (
    camera,
    effects,
    elementary,
    glasses,
    jpeg,
    labels,
    landmarks,
    light,
    sensor,
    shape,
    surface,
)
from gazegan.render.camera import Camera
from gazegan.render.effects import Effects
from gazegan.render.light import Lamps
from gazegan.render.params import EyeParams
from gazegan.render.prior import Image, Recipe, sample
from gazegan.render.shape import EyeHit, FaceHit, Lids, Pose, Rays
from gazegan.schema import EyeBatch

Renderer = Callable[[EyeParams, Tensor, Image, Effects], EyeBatch]
"""Parameters, texture seeds, image and effects to labelled eyes: `render`, or what does the same
faster."""

_CHUNK_PIXELS = 16 * 36 * 60
"""Pixels rendered at a time, so that intermediates stay in the processor's cache."""


def render(params: EyeParams, seed: Tensor, image: Image, needs: Effects | None = None) -> EyeBatch:
    """Render eyes with every label.

    `params` holds fields `[B]`; `seed` `[B]` int32 selects the textures and the noise. Returns
    an EyeBatch of B images of the recipe's size. `needs` covers what the parameters need;
    more costs time and changes nothing.
    """
    needs = needs or effects.of_params(params)
    p = shape.per_pixel(params)
    where = camera.pose(p, needs)
    view = camera.frame(p, where, image, needs, landmarks.six_points(p, where))
    rays = view.rays(image.height, image.width)
    face = shape.hit_face(p, where.head, rays)
    eye = shape.hit_eye(p, where, rays)
    lids = shape.lids(p, where.lift, face.u, face.v)
    masks = _masks(eye, lids)
    radiance = _shade(p, seed, where, view, rays, face, eye, lids)
    light_in = radiance * sensor.metered(p, _grey_card(p))
    photo = sensor.develop(p, seed, light_in, image, needs)
    return EyeBatch(
        image=jpeg.compress(photo, p.jpeg) if needs.jpeg else photo,
        id=torch.arange(len(seed), device=seed.device),
        origin=torch.zeros_like(seed, dtype=torch.int64),
        masks=masks,
        **labels.label(p, where, view, image),
    )


def _masks(eye: EyeHit, lids: Lids) -> Tensor:
    """Coverage `[B, 4, H, W]` of skin, sclera, iris and pupil; sums to one by construction."""
    ball = shape.coverage(torch.minimum(lids.bare, eye.edge))
    coloured = shape.coverage(eye.limbus)
    black = shape.coverage(eye.pupil)
    return torch.stack(
        (1 - ball, ball * (1 - coloured), ball * coloured * (1 - black), ball * coloured * black), 1
    )


def _shade(
    p: EyeParams,
    seed: Tensor,
    where: Pose,
    view: Camera,
    rays: Rays,
    face: FaceHit,
    eye: EyeHit,
    lids: Lids,
) -> Tensor:
    """Linear light `[3, B, H, W]` that reaches the camera, back to front."""
    lamp = light.lamps(p)
    pixel_mm = (view.distance / view.focal)[:, None, None]
    far = lids.above.clamp(max=0).abs() / p.lid_shadow_length
    shadow = 1 - p.lid_shadow * torch.exp(-far * elementary.sqrt(far))
    shadow = shadow * (1 - p.corner_shade * (1 - lids.bulge**2))
    ball = _eyeball(p, seed, lamp, rays, eye, lids, pixel_mm)
    wet = surface.flesh(p) * (p.light_ambient + 0.5 * p.light_key)
    wet = surface.blend(0.5 * ball, wet, elementary.sigmoid(face.u))
    inner = surface.blend(wet, ball, elementary.sigmoid(2.5 * eye.edge) * shape.coverage(lids.bare))
    inner = surface.blend(inner, wet, _caruncle(p, face)) * shadow
    out = surface.blend(
        _skin(p, seed, lamp, face, lids, pixel_mm), inner, shape.coverage(lids.open)
    )
    hair = surface.bristle(out) * (p.light_ambient + 0.5 * p.light_key)
    out = surface.blend(out, hair, surface.hair_cover(p, seed, face, lids, pixel_mm))
    out = out * (1 - p.nasal_shade * torch.exp(-(((face.u - 12) / 6) ** 2) - (face.v / 12) ** 2))
    return glasses.wear(p, seed, _grey_card(p), where, rays, lamp.colour * out)


def _grey_card(p: EyeParams) -> Tensor:
    """Light `[B, 1, 1]` that even skin would send: what the camera's meter sees."""
    red, green, blue = surface.skin_tone(p)
    skin: Tensor = 0.3 * red + 0.6 * green + 0.1 * blue
    return skin * (0.8 * p.light_ambient + 0.5 * p.light_key)


def _eyeball(
    p: EyeParams, seed: Tensor, lamp: Lamps, rays: Rays, eye: EyeHit, lids: Lids, pixel_mm: Tensor
) -> Tensor:
    """Light from sclera, iris and the mirror images on the cornea."""
    way = shape.unit(rays.way)
    white = surface.sclera(p, seed, eye, lids.along, pixel_mm)
    white = white * light.irradiance(p, lamp, eye.sclera / p.eyeball_radius)
    coloured = surface.iris(p, seed, eye, pixel_mm) * light.irradiance(p, lamp, eye.normal)
    soft = p.limbal_soft + pixel_mm * 0.25
    share = elementary.sigmoid(3 * eye.limbus / (0.75 * soft))
    mirrored = light.reflections(p, lamp, way, eye.normal, pixel_mm) * share
    return surface.blend(white, coloured, share) + mirrored


def _caruncle(p: EyeParams, face: FaceHit) -> Tensor:
    """Opacity `[B, H, W]` of the caruncle, a soft flat disc inside the inner canthus."""
    u, v = landmarks.caruncle_centre(p)
    radius = p.caruncle.clamp(min=0.05)
    away = ((face.u - u) / radius) ** 2 + ((face.v - v) / (0.7 * radius)) ** 2
    return elementary.sigmoid(4 * (1 - away))


def _skin(
    p: EyeParams, seed: Tensor, lamp: Lamps, face: FaceHit, lids: Lids, pixel_mm: Tensor
) -> Tensor:
    """Light from skin and hair."""
    normal = light.normal_of(face.point)
    colour = surface.skin(p, seed, face, lids, pixel_mm)
    half = lamp.key + torch.stack(
        (torch.zeros_like(p.side), torch.zeros_like(p.side), -torch.ones_like(p.side))
    )
    facing = shape.dot(normal, shape.unit(half)).clamp(min=0)
    gloss = p.skin_gloss * p.light_key * elementary.fourth(facing * facing * facing)
    return colour * light.irradiance(p, lamp, normal) + gloss


def render_indices(
    recipe: Recipe,
    seed: int,
    indices: Tensor,
    device: torch.device | str = "cpu",
    renderer: Renderer = render,
) -> EyeBatch:
    """Render eyes `indices` `[B]` int64 of a recipe; eye i depends on (recipe, seed, i) alone.

    Parameters are drawn on the CPU and moved, so that every device sees the same eyes.
    """
    params = EyeParams.from_flat(sample(recipe, seed, indices).flat().to(device))
    textures = rng.bits(indices, seed, "texture").to(device)
    step, needs = chunk(recipe.image), effects.of_recipe(recipe)
    parts = [
        renderer(params[at : at + step], textures[at : at + step], recipe.image, needs)
        for at in range(0, len(indices), step)
    ]
    return replace(EyeBatch.cat(parts), id=indices.to(device))


def chunk(image: Image) -> int:
    """Return how many eyes are rendered at a time."""
    return max(1, _CHUNK_PIXELS // (image.height * image.width))

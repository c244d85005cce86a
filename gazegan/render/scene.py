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
    eyeball,
    glasses,
    hair,
    jpeg,
    labels,
    landmarks,
    light,
    sensor,
    shape,
    skin,
    surface,
)
from gazegan.render.bands import band_of
from gazegan.render.camera import Camera
from gazegan.render.effects import Effects
from gazegan.render.eyeball import EyeHit, Pose
from gazegan.render.light import Lamps, Reach
from gazegan.render.params import EyeParams
from gazegan.render.prior import Image, Recipe, sample
from gazegan.render.shape import FaceHit, Lids, Rays
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
    eye = eyeball.hit_eye(p, where, rays)
    lids = shape.lids(p, where.lift, face.u, face.v)
    masks = _masks(eye, lids)
    lamp = light.lamps(p, band_of(image.band), needs, view)
    radiance = _shade(p, seed, lamp, where, view, rays, face, eye, lids)
    light_in = radiance * sensor.metered(p, _grey_card(p, lamp))
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
    lamp: Lamps,
    where: Pose,
    view: Camera,
    rays: Rays,
    face: FaceHit,
    eye: EyeHit,
    lids: Lids,
) -> Tensor:
    """Linear light `[3, B, H, W]` that reaches the camera, back to front."""
    pixel_mm = (view.distance / view.focal)[:, None, None]
    reach = _lid_shadow(p, where, lamp, lids)
    ball = _eyeball(p, seed, where, lamp, rays, eye, lids, pixel_mm, reach)
    wet = surface.flesh(p, lamp.band) * light.level(p, lamp) * reach.rest
    dim = surface.blend(0.5 * ball, wet, elementary.sigmoid(face.u))
    inner = surface.blend(dim, ball, elementary.sigmoid(2.5 * eye.edge) * shape.coverage(lids.bare))
    inner = surface.blend(inner, wet, _caruncle(p, face))
    covered = skin.shade(p, seed, where, lamp, face, lids, pixel_mm)
    dark = surface.bristle(lamp.band, covered) * light.level(p, lamp)
    covered = surface.blend(covered, dark, hair.brow(p, seed, face, pixel_mm))
    out = surface.blend(covered, inner, shape.coverage(lids.open))
    out = surface.blend(out, dark, hair.lashes(p, seed, where.lift, face, lids, pixel_mm))
    worn = glasses.wear(p, seed, _grey_card(p, lamp), where, rays, lamp.colour * out)
    return worn.expand(3, *worn.shape[1:])


def _grey_card(p: EyeParams, lamp: Lamps) -> Tensor:
    """Light `[B, 1, 1]` that even skin would send: what the camera's meter sees."""
    tone = surface.skin_tone(p, lamp.band)
    red, green, blue = tone.expand(3, *tone.shape[1:])
    skin: Tensor = 0.3 * red + 0.6 * green + 0.1 * blue
    return skin * light.level(p, lamp, 0.8)


def _lid_shadow(p: EyeParams, where: Pose, lamp: Lamps, lids: Lids) -> Reach:
    """Light that the lids let through to the eyeball.

    The upper lid, a sheet of `lid_thickness`, throws its edge's shadow down by the key light's
    slope; other light is hidden the more the nearer a point lies to the lids and canthi.
    """
    key = shape.to_frame(where.head, lamp.seen(lamp.key))
    drop = p.lid_thickness * (-key[1] / (-key[2]).clamp(min=0.25)).clamp(-2, 2)
    under = -lids.above
    lit = elementary.sigmoid(3 * (under - drop) / (0.5 + 0.3 * drop.abs()))
    far = under.clamp(min=0) / p.lid_shadow_length
    sky = 1 - p.lid_shadow * torch.exp(-far * elementary.sqrt(far))
    corner = 1 - p.corner_shade * (1 - lids.bulge**2)
    return Reach((1 - p.lid_shadow * (1 - lit)) * corner, sky * corner)


def _eyeball(
    p: EyeParams,
    seed: Tensor,
    where: Pose,
    lamp: Lamps,
    rays: Rays,
    eye: EyeHit,
    lids: Lids,
    pixel_mm: Tensor,
    reach: Reach,
) -> Tensor:
    """Light from sclera, iris and the mirror images on the cornea."""
    way = shape.unit(rays.way)
    white = surface.sclera(p, lamp.band, seed, eye, lids.along, pixel_mm)
    near = torch.exp(-lids.bare.clamp(min=0) / 1.3)
    white = surface.blend(white, surface.flesh(p, lamp.band), 0.3 * near)
    outward = eye.sclera / p.eyeball_radius
    white = white * light.irradiance(p, lamp, outward, eye.sclera, reach)
    if lamp.tears:
        wet = light.tears(p, eye, way, pixel_mm)
        white = white + p.tear_film * light.reflections(p, lamp, wet, pixel_mm) * reach.rest
    coloured = surface.iris(p, lamp.band, seed, eye, pixel_mm)
    # Refraction at the cornea gathers light on the side of the iris away from the lamp.
    facing = shape.unit(1.5 * where.axis - 0.5 * eye.normal)
    coloured = coloured * light.irradiance(p, lamp, facing, eye.cornea, reach)
    if lamp.leds:
        coloured = coloured + shape.coverage(eye.pupil) * light.reflex(p, lamp)
    soft = p.limbal_soft + pixel_mm * 0.25
    share = elementary.sigmoid(3 * eye.limbus / (0.75 * soft))
    mirrored = light.reflections(p, lamp, light.cornea(p, eye, way, pixel_mm), pixel_mm)
    return surface.blend(white, coloured, share) + mirrored * share * reach.rest


def _caruncle(p: EyeParams, face: FaceHit) -> Tensor:
    """Opacity `[B, H, W]` of the caruncle, a soft flat disc inside the inner canthus."""
    u, v = landmarks.caruncle_centre(p)
    radius = p.caruncle.clamp(min=0.05)
    away = ((face.u - u) / radius) ** 2 + ((face.v - v) / (0.7 * radius)) ** 2
    return elementary.sigmoid(4 * (1 - away))


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

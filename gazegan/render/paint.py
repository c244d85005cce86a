"""What the pixels of an eye see: light and coverage, laid over each other from back to front."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gazegan.render import (
    elementary,
    glasses,
    hair,
    landmarks,
    light,
    shadow,
    shape,
    skin,
    surface,
)
from gazegan.render.camera import Camera
from gazegan.render.eyeball import EyeHit, Pose
from gazegan.render.light import Lamps, Reach
from gazegan.render.params import EyeParams
from gazegan.render.shape import FaceHit, Lids, Rays

_FINE = 64
"""Images wider than this, px, show what `fine` adds; smaller ones would blur it away."""
_LASHES = 0.5
"""Light that lashes send, dense and close to the lid, as a share of what the brow sends."""
_DAZZLE = 0.2
"""Mirrored light, as a share of what even skin sends, that counts as half a glint."""


@dataclass(frozen=True)
class Sight:
    """Parameters `[B, 1, 1]` of the eyes, and where the lines of sight of their pixels end."""

    p: EyeParams
    seed: Tensor
    where: Pose
    view: Camera
    rays: Rays
    face: FaceHit
    eye: EyeHit
    lids: Lids
    lamp: Lamps

    @property
    def fine(self) -> bool:
        """Whether pores, vessels, single fibres and hairs can be seen."""
        return self.rays.at.shape[-1] > _FINE

    @property
    def pixel_mm(self) -> Tensor:
        """Width `[B, 1, 1]` of a pixel at the eyeball's centre."""
        return (self.view.distance / self.view.focal)[:, None, None]


def grey_card(s: Sight) -> Tensor:
    """Light `[B, 1, 1]` that even skin would send: what the camera's meter sees."""
    tone = surface.skin_tone(s.p, s.lamp.band)
    red, green, blue = tone.expand(3, *tone.shape[1:])
    even: Tensor = 0.3 * red + 0.6 * green + 0.1 * blue
    return even * light.level(s.p, s.lamp, 0.8)


def paint(s: Sight) -> tuple[Tensor, Tensor]:
    """Return linear light `[3, B, H, W]`, and the coverage `[B, K, H, W]` of schema.MASKS."""
    p, level = s.p, light.level(s.p, s.lamp)
    opened, bare = shape.coverage(s.lids.open), shape.coverage(s.lids.bare)
    glass = s.view.glass
    key = s.lamp.seen(s.lamp.key)
    sun = shadow.cast(p, s.where.head, key, s.face)
    sun = sun if glass is None else sun * glasses.shade(glass, key, s.face)
    reach = _lid_shadow(s, sun)
    ball, mirrored = _eyeball(s, reach)
    ball = ball + _meniscus(s) * level * reach.rest
    wet = surface.flesh(p, s.lamp.band) * level
    inner = surface.blend(_margin(s, ball, wet, reach), ball + mirrored, _ball_share(s) * bare)
    knob, lump = _caruncle(s)
    inner = surface.blend(inner, wet * lump * (0.4 + 0.6 * reach.rest), knob)
    covered = skin.shade(
        p, s.seed, s.where, s.lamp, Reach(sun, 1.0), s.face, s.lids, s.pixel_mm, s.fine
    )
    hairs = surface.bristle(p, s.lamp.band) * level
    covered = surface.blend(covered, hairs, hair.brow(p, s.seed, s.face, s.pixel_mm, s.fine))
    lashes = hair.lashes(p, s.seed, s.where.lift, s.face, s.lids, s.pixel_mm, s.fine)
    out = surface.blend(surface.blend(covered, inner, opened), _LASHES * hairs, lashes)
    card, out = grey_card(s), s.lamp.colour * out
    rim = torch.zeros_like(lashes)
    if glass is not None:
        out, rim = glasses.wear(glass, s.seed, card, s.lamp, s.rays, out, s.pixel_mm)
    over = (knob * opened, _glint(mirrored, card), lashes, rim)
    return out.expand(3, *out.shape[1:]), _masks(s, *over)


def _ball_share(s: Sight) -> Tensor:
    """Opacity `[B, H, W]` of the eyeball before the flesh behind its outline."""
    return elementary.sigmoid(2.5 * s.eye.edge)


def _margin(s: Sight, ball: Tensor, wet: Tensor, reach: Reach) -> Tensor:
    """Light from between the lids' skin and what is bare of the eyeball.

    Below the wet edge of the lower lid, which faces up and is lit; above and in the canthi the
    shade under the upper lid.
    """
    lit = wet * (0.55 + 0.45 * reach.rest)
    rise = -s.lids.below - s.p.waterline * s.lids.bulge - 0.15
    lower = elementary.sigmoid(-4 * rise / (0.25 + s.pixel_mm))
    inner = 0.35 + 0.65 * elementary.sigmoid(s.face.u)
    shade = surface.blend(0.5 * ball, wet * reach.rest, inner)
    return surface.blend(shade, lit, lower * s.lids.bulge)


def _meniscus(s: Sight) -> Tensor:
    """Brightness `[B, H, W]` of the tears along the lower lid, a thin mirror of all that is lit.

    Brightest below the key light.
    """
    rise = -s.lids.below - s.p.waterline * s.lids.bulge
    top = (0.5 + (rise - s.p.meniscus) / s.pixel_mm).clamp(0, 1)
    line = (0.5 + rise / s.pixel_mm).clamp(0, 1) - top
    beside = (s.face.u - 7 * s.p.side * s.lamp.key[0]) / 4
    return line * s.lids.bulge * (0.05 + 0.11 * torch.exp(-beside * beside))


def _masks(s: Sight, caruncle: Tensor, glint: Tensor, lashes: Tensor, rim: Tensor) -> Tensor:
    """Coverage in the order of schema.MASKS; sums to one by construction."""
    ball = shape.coverage(torch.minimum(s.lids.bare, s.eye.edge))
    coloured, black = shape.coverage(s.eye.limbus), shape.coverage(s.eye.pupil)
    clear = (1 - lashes) * (1 - rim)
    seen = clear * (1 - caruncle)
    flecked = seen * ball * glint
    eye = seen * ball - flecked
    parts = (
        seen * (1 - ball),
        eye * (1 - coloured),
        eye * coloured * (1 - black),
        eye * coloured * black,
        clear * caruncle,
        lashes * (1 - rim),
        rim,
        flecked,
    )
    return torch.stack(parts, 1)


def _glint(mirrored: Tensor, card: Tensor) -> Tensor:
    """Opacity `[B, H, W]` of the lights that the tear film mirrors."""
    bright = mirrored.mean(0) if mirrored.ndim == 4 else mirrored
    return bright / (bright + _DAZZLE * card).clamp(min=1e-6)  # it may be dark


def _lid_shadow(s: Sight, sun: Tensor) -> Reach:
    """Light that the lids, and `sun` of the key light the face, let through to the eyeball.

    The upper lid, a sheet of `lid_thickness`, throws its edge's shadow down by the key light's
    slope, and before it that of its lashes; other light is hidden the more the nearer a point lies
    to the lids and canthi.
    """
    p, under = s.p, -s.lids.above
    key = shape.to_frame(s.where.head, s.lamp.seen(s.lamp.key))
    steep = (-key[1] / (-key[2]).clamp(min=0.25)).clamp(-2, 2)
    drop = p.lid_thickness * steep
    lit = elementary.sigmoid((under - drop) * (3 / (0.5 + 0.3 * drop.abs())))
    fringe = (under - drop) / (0.4 * p.lash_length * steep.abs() + 0.6)
    lit = lit * (1 - 0.35 * p.lash_dark * torch.exp(-fringe * fringe))
    far = under.clamp(min=0) / p.lid_shadow_length
    sky = 1 - p.lid_shadow * torch.exp(-far * elementary.sqrt(far))
    corner = 1 - p.corner_shade * (1 - s.lids.bulge * s.lids.bulge)
    return Reach((1 - p.lid_shadow * (1 - lit)) * corner * sun, sky * corner)


def _eyeball(s: Sight, reach: Reach) -> tuple[Tensor, Tensor]:
    """Light that sclera and iris scatter, and that their tear film mirrors from the lights."""
    p, lamp, eye = s.p, s.lamp, s.eye
    way, soft = shape.unit(s.rays.way), p.limbal_soft + 0.25 * s.pixel_mm
    share = elementary.sigmoid(3 * eye.limbus / (0.75 * soft))
    coloured = _iris(s, reach)
    glints, sky = light.reflections(p, lamp, light.cornea(p, eye, way, s.pixel_mm), s.pixel_mm)
    mirrored = share * reach.rest * glints
    veil = share * reach.rest * sky * _above_lid(s, light.mirror(way, eye.normal))
    if lamp.tears:
        film = light.tears(p, eye, way, s.pixel_mm)
        glints, sky = light.reflections(p, lamp, film, s.pixel_mm)
        wet = p.tear_film * (1 - share) * reach.rest
        mirrored, veil = mirrored + wet * glints, veil + wet * sky
    return surface.blend(_sclera(s, reach), coloured, share) + veil, mirrored


def _above_lid(s: Sight, way: Tensor) -> Tensor:
    """Share `[B, H, W]` of the sky in directions `way` that upper lid and lashes do not hide.

    What the cornea mirrors from above the lid's edge, `lid_thickness` before it, is the lid.
    """
    _, y, z = shape.to_frame(s.where.head, way)
    rise = -y / (-z).clamp(min=0.2)
    over = -s.lids.above - s.p.lid_thickness * rise
    return 0.15 + 0.85 * elementary.sigmoid(1.2 * over / (0.5 + 0.12 * s.p.lash_length))


def _sclera(s: Sight, reach: Reach) -> Tensor:
    """Light that the sclera scatters, reddened by the skin of near lids."""
    white = surface.sclera(s.p, s.lamp.band, s.seed, s.eye, s.lids.along, s.pixel_mm, s.fine)
    near = torch.exp(-s.lids.bare.clamp(min=0) / 1.3)
    white = surface.blend(white, surface.flesh(s.p, s.lamp.band), 0.3 * near)
    outward = s.eye.sclera / s.p.eyeball_radius
    return white * light.irradiance(s.p, s.lamp, outward, s.eye.sclera, reach)


def _iris(s: Sight, reach: Reach) -> Tensor:
    """Light that iris and pupil send.

    Refraction at the cornea gathers light on the side of the iris away from the lamp.
    """
    facing = shape.unit(1.5 * s.where.axis - 0.5 * s.eye.normal)
    coloured = surface.iris(s.p, s.lamp.band, s.seed, s.eye, s.pixel_mm, s.fine)
    coloured = coloured * light.irradiance(s.p, s.lamp, facing, s.eye.cornea, reach)
    if not s.lamp.leds:
        return coloured
    return coloured + shape.coverage(s.eye.pupil) * light.reflex(s.p, s.lamp)


def _caruncle(s: Sight) -> tuple[Tensor, Tensor]:
    """Opacity `[B, H, W]` of the caruncle, and how its lump catches light and shines."""
    u, v = landmarks.caruncle_centre(s.p)
    radius = s.p.caruncle.clamp(min=0.05)
    x, y = (s.face.u - u) / radius, (s.face.v - v) / (0.7 * radius)
    away = x * x + y * y
    dome = (1 - away).clamp(min=0)
    wet = torch.exp(-6 * torch.addcmul((x + 0.25) * (x + 0.25), y - 0.35, y - 0.35))
    return elementary.sigmoid(4 * (1 - away)), 0.7 + 0.2 * dome + 0.25 * dome * y + 0.45 * wet


def relief(s: Sight) -> tuple[Tensor, Tensor]:
    """Return depth `[B, 1, H, W]` mm and unit normals `[B, 3, H, W]` of what the camera sees first.

    Skin, eyeball and cornea count; lashes and glasses do not.
    """
    normal = skin.normals(s.p, s.seed, s.where, s.face, s.lids, s.pixel_mm, s.fine)
    clear = (s.eye.limbus > 0)[None]
    ball = torch.where(clear, s.eye.cornea, s.eye.sclera)
    ball_normal = torch.where(clear, s.eye.normal, s.eye.sclera / s.p.eyeball_radius)
    bare = (torch.minimum(s.lids.bare, s.eye.edge) > 0)[None]
    point = torch.where(bare, ball, s.face.point)
    depth = point[2] + s.view.distance[:, None, None]
    return depth[:, None], torch.where(bare, ball_normal, normal).transpose(0, 1)

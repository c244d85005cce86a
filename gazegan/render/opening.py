"""What shows between the lids: eyeball, tears, the lids' wet margins and the caruncle."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gazegan.render import elementary, eyeball, flesh, landmarks, light, shape, surface
from gazegan.render.eyeball import EyeHit
from gazegan.render.light import Reach
from gazegan.render.sight import Sight


@dataclass(frozen=True)
class Opening:
    """What lies between the lids, `[B, H, W]` or by channel."""

    light: Tensor
    mirrored: Tensor
    """Light of the lights alone that the tear film mirrors."""
    caruncle: Tensor
    """Opacity."""
    ball: Tensor
    """Coverage by the eyeball."""
    coloured: Tensor
    """Coverage of the eyeball by the iris, its pupil included."""
    black: Tensor
    """Coverage of the iris by the pupil."""


def between_lids(s: Sight, sun: Tensor, bare: Tensor) -> Opening:
    """Paint what lies between the lids; `sun` is the share of the key light that reaches the face.

    `bare` is the coverage of what neither lid nor the lower margin hides; both are `[B, H, W]`.
    """
    level = light.level(s.p, s.lamp)
    eye, reach = eyeball.hit_eye(s.p, s.where, s.rays), _lid_shadow(s, sun)
    black = shape.coverage(eye.pupil)
    ball, mirrored = _eyeball(s, eye, black, reach)
    tears = flesh.broken(s, _meniscus(s)) if s.needs.moist else _meniscus(s)
    ball = ball + tears * level * reach.rest
    wet = flesh.lit(s)
    under = _margin(s, ball, wet, reach)
    inner = surface.blend(under, ball + mirrored, _ball_share(eye) * bare)
    knob, lump = _caruncle(s)
    # Paler than the lids' margins, for it is thick and the white shines through.
    pale = torch.add(wet, ball, alpha=0.3) * (0.3 + 0.7 * reach.rest)
    if s.needs.moist:
        inner = surface.blend(inner, flesh.lumps(s, pale * lump, reach), flesh.faint(s, knob))
    else:
        inner = surface.blend(inner, pale * lump, knob)
    edge = shape.coverage(torch.minimum(s.lids.bare, eye.edge))
    return Opening(inner, mirrored, knob, edge, shape.coverage(eye.limbus), black)


def _ball_share(eye: EyeHit) -> Tensor:
    """Opacity `[B, H, W]` of the eyeball before the flesh behind its outline."""
    return elementary.sigmoid(2.5 * eye.edge)


def _margin(s: Sight, ball: Tensor, wet: Tensor, reach: Reach) -> Tensor:
    """Light from between the lids' skin and what is bare of the eyeball.

    Below the wet edge of the lower lid, which faces up and is lit; above and in the canthi the
    shade under the upper lid.
    """
    lit = wet * (0.55 + 0.45 * reach.rest)
    lit = flesh.rim(s, lit, reach) if s.needs.moist else lit
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


def _lid_shadow(s: Sight, sun: Tensor) -> Reach:
    """Light that the lids, and `sun` of the key light the face, let through to the eyeball.

    The upper lid, a sheet of `lid_thickness`, throws its edge's shadow down by the key light's
    slope, and before it that of its lashes; other light is hidden the more the nearer a point lies
    to the lids, the canthi and the nose, and by the orbit.
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
    nasal = elementary.ramp(s.face.u, 5, 3)
    middle = s.lids.bulge * s.lids.bulge
    middle = middle * (1 - p.corner_reach * (1 - middle))
    outer = (0.6 + 0.4 * nasal) + 0.25 * p.corner_reach * (1 - nasal)
    corner = 1 - p.corner_shade * (1 - middle) * outer
    corner = corner * (1 - 0.7 * p.nasal_shade * nasal) * (1 - 0.4 * p.orbit_shade)
    return Reach((1 - p.lid_shadow * (1 - lit)) * corner * sun, sky * corner)


def _eyeball(s: Sight, eye: EyeHit, black: Tensor, reach: Reach) -> tuple[Tensor, Tensor]:
    """Light that sclera and iris scatter, and that their tear film mirrors from the lights."""
    p, lamp = s.p, s.lamp
    way, soft = shape.unit(s.rays.way), p.limbal_soft + 0.25 * s.pixel_mm
    share = elementary.sigmoid(3 * eye.limbus / (0.75 * soft))
    coloured = _iris(s, eye, black, reach)
    glints, sky = light.reflections(p, lamp, light.cornea(p, eye, way, s.pixel_mm), s.pixel_mm)
    mirrored = share * reach.rest * glints
    veil = share * reach.rest * sky * _above_lid(s, light.mirror(way, eye.normal))
    if lamp.tears:
        film = light.tears(p, eye, way, s.pixel_mm)
        glints, sky = light.reflections(p, lamp, film, s.pixel_mm)
        wet = p.tear_film * (1 - share) * reach.rest
        mirrored, veil = mirrored + wet * glints, veil + wet * sky
    return surface.blend(_sclera(s, eye, reach), coloured, share) + veil, mirrored


def _above_lid(s: Sight, way: Tensor) -> Tensor:
    """Share `[B, H, W]` of the sky in directions `way` that upper lid and lashes do not hide.

    What the cornea mirrors from above the lid's edge, `lid_thickness` before it, is the lid.
    """
    _, y, z = shape.to_frame(s.where.head, way)
    rise = -y / (-z).clamp(min=0.2)
    over = -s.lids.above - s.p.lid_thickness * rise
    return 0.15 + 0.85 * elementary.sigmoid(1.2 * over / (0.5 + 0.12 * s.p.lash_length))


def _sclera(s: Sight, eye: EyeHit, reach: Reach) -> Tensor:
    """Light that the sclera scatters, reddened by the skin of near lids."""
    white = surface.sclera(s.p, s.lamp.band, s.seed, eye, s.lids.along, s.pixel_mm, s.fine)
    white = surface.stained(s.p, s.seed, eye, s.pixel_mm, white) if s.needs.uneven else white
    white = flesh.flushed(s, eye, white) if s.needs.moist else white
    near = torch.exp(-s.lids.bare.clamp(min=0) / 1.3)
    white = surface.blend(white, surface.flesh(s.p, s.lamp.band), 0.3 * near)
    outward = eye.sclera / s.p.eyeball_radius
    lit = white * light.irradiance(s.p, s.lamp, outward, eye.sclera, reach)
    return flesh.fold(s, lit, flesh.lit(s) * (0.3 + 0.7 * reach.rest)) if s.needs.moist else lit


def _iris(s: Sight, eye: EyeHit, black: Tensor, reach: Reach) -> Tensor:
    """Light that iris and pupil send.

    Refraction at the cornea gathers light on the side of the iris away from the lamp.
    """
    facing = shape.unit(1.5 * s.where.axis - 0.5 * eye.normal)
    coloured = surface.iris(s.p, s.lamp.band, s.seed, eye, black, s.pixel_mm, s.fine)
    coloured = coloured * light.irradiance(s.p, s.lamp, facing, eye.cornea, reach)
    if not s.lamp.leds:
        return coloured
    return coloured + black * light.reflex(s.p, s.lamp)


def _caruncle(s: Sight) -> tuple[Tensor, Tensor]:
    """Opacity `[B, H, W]` of the caruncle, and how its lump catches light and shines.

    Round toward the eyeball, it runs out into the inner canthus, which it fills.
    """
    u, v = landmarks.caruncle_centre(s.p)
    radius = s.p.caruncle.clamp(min=0.05)
    x, y = (s.face.u - u) / radius, (s.face.v - v) / (0.7 * radius)
    outward, inward = x.clamp(max=0), x.clamp(min=0)
    away = (outward * outward).addcmul_(inward, inward, value=0.3).addcmul_(y, y, value=0.6)
    dome = (1 - away).clamp(min=0)
    wet = torch.exp(-14 * torch.addcmul((x + 0.3) * (x + 0.3), y - 0.3, y - 0.3))
    return elementary.sigmoid(4 * (1 - away)), 0.85 + 0.2 * dome + 0.12 * dome * y + 0.5 * wet

"""Moist flesh: the rim of the lower lid, the fold and the caruncle in the inner canthus."""

import torch
from torch import Tensor

from gazegan.render import elementary, light, surface
from gazegan.render.eyeball import EyeHit
from gazegan.render.light import Reach
from gazegan.render.sight import Sight
from gazegan.render.texture import detail, noise

_PALE = 0.25
"""Brightness of pale flesh beside that of unpigmented skin."""
_FLUSH = 0.55
"""How red the white is at most, as a share of blood's own."""
_FOLD_FROM, _FOLD_MM = 0.5, 0.7
"""mm from the caruncle to where its fold begins on the white, and how far that takes."""


def lit(s: Sight) -> Tensor:
    """Return light `[C, B, 1, 1]` of wet inner skin, the paler the more `moist` lids are."""
    level = light.level(s.p, s.lamp)
    wet = surface.flesh(s.p, s.lamp.band) * level
    if not s.needs.moist:
        return wet
    tone = surface.skin_tone(s.p, s.lamp.band)
    tint = elementary.sqrt(surface.rgb(s.lamp.band.flesh, s.p.side))
    pale = _PALE * elementary.sqrt(tone) * tint * level
    return torch.lerp(wet, pale, s.p.moist)


def rim(s: Sight, flesh: Tensor, reach: Reach) -> Tensor:
    """Give the lower lid's rim, of light `flesh` `[C, B, H, W]`, its round and wet ridge.

    Dark where lashes root and where it meets the eyeball, bright on its ridge, here more and
    there less.
    """
    p, u = s.p, s.face.u
    wide = p.waterline * s.lids.bulge + 0.15
    across = -s.lids.below / wide
    sway, gleam = noise(s.seed, "rim", u / 2.3), noise(s.seed, "gleam", u / 0.9)
    roots = elementary.bump(across / 0.3)
    groove = elementary.bump((across - 1) / 0.25)
    ridge = elementary.bump((across - 0.5) / 0.3)
    change = 0.2 * sway + 0.15 * ridge - 0.3 * groove - 0.25 * roots
    bright = (0.4 + 0.5 * sway + 0.6 * gleam * detail(1.1, s.pixel_mm)).clamp(min=0)
    return flesh * (1 + p.moist * change) + p.moist * 0.07 * ridge * bright * _shine(s, reach)


def _shine(s: Sight, reach: Reach) -> Tensor:
    """Light `[B, H, W]` that wet flesh mirrors at most."""
    shine: Tensor = light.level(s.p, s.lamp) * reach.rest
    return shine


def fold(s: Sight, ball: Tensor, flesh: Tensor) -> Tensor:
    """Lay the fold beside the caruncle, and the pink about it, onto the white."""
    p, u, v = s.p, s.face.u, s.face.v
    sway = noise(s.seed, "plica", v / 2)
    begin = p.canthus_inner - 1.9 * p.caruncle - _FOLD_FROM
    near = elementary.sigmoid((u - begin + 0.6 * sway) / _FOLD_MM)
    return surface.blend(ball, flesh, 0.6 * p.moist * near)


def flushed(s: Sight, eye: EyeHit, white: Tensor) -> Tensor:
    """Redden the white, of colour `[C, B, H, W]`, in streaks toward the iris and toward the canthi.

    Most in images that do not show vessels one by one.
    """
    u, v = eye.white
    streak = noise(s.seed, "flush", u / 2.6, v / 1.1) + 0.6 * noise(s.seed, "streak", u, v / 0.7)
    corner = (2 * (s.lids.along - 0.5).abs()).clamp(0, 1)
    much = _FLUSH * (0.5 if s.fine else 1) * s.p.moist
    red = much * ((0.3 + streak) * (0.3 + corner)).clamp(0, 1)
    return white * (1 - surface.rgb(s.lamp.band.redness, red) * red)


def faint(s: Sight, knob: Tensor) -> Tensor:
    """Let the caruncle, of opacity `knob` `[B, H, W]`, run into the flesh about it."""
    return knob * (1 - 0.4 * s.p.moist)


def lumps(s: Sight, pale: Tensor, reach: Reach) -> Tensor:
    """Give the caruncle, of light `pale` `[C, B, H, W]`, its lumps and wet gleams."""
    u, v = s.face.u, s.face.v
    lump = noise(s.seed, "lumps", u / 0.9, v / 0.8) * detail(1.2, s.pixel_mm)
    x, y = u / 0.55 + 0.8 * lump, v / 0.45 + 0.5 * u
    gleam = noise(s.seed, "wet", x, y) * noise(s.seed, "gleams", 0.8 * y - 0.5 * x, x + 0.4 * y)
    bright = (1.6 * gleam * detail(1.9, s.pixel_mm)).clamp(min=0)
    return pale * (1 + 0.3 * s.p.moist * lump) + 0.3 * s.p.moist * bright * _shine(s, reach)


def broken(s: Sight, tears: Tensor) -> Tensor:
    """Dim here and there the mirror of the tears along the lower lid, of brightness `tears`."""
    return tears * (1 + s.p.moist * noise(s.seed, "tears", s.face.u / 1.9))

"""What the pixels of an eye see: light and coverage, laid over each other from back to front."""

import torch
from torch import Tensor

from gazegan.render import eyeball, glasses, hair, light, shadow, shape, skin, surface
from gazegan.render.lids import Lids
from gazegan.render.light import Reach
from gazegan.render.opening import Opening, between_lids
from gazegan.render.params import EyeParams
from gazegan.render.relief import crease
from gazegan.render.sight import Part, Sight, around

_LASHES = 0.5
"""Light that lashes send, dense and close to the lid, as a share of what the brow sends."""
_SOFT, _TINY = 0.3, 1e-3
"""mm from which on soft lids have no edge at all, and a guard."""
_DAZZLE = 0.2
"""Mirrored light, as a share of what even skin sends, that counts as half a glint."""


def grey_card(s: Sight) -> Tensor:
    """Light `[B, 1, 1]` that even skin would send: what the camera's meter sees."""
    return surface.skin_brightness(s.p, s.lamp.band) * light.level(s.p, s.lamp, 0.8)


def paint(s: Sight) -> tuple[Tensor, Tensor]:
    """Return linear light `[3, B, H, W]`, and the coverage `[B, K, H, W]` of schema.MASKS."""
    p, card, glass = s.p, grey_card(s), s.view.glass
    opened, bare = opening(s.lids), shape.coverage(s.lids.bare)
    key = s.lamp.seen(s.lamp.key)
    sun = shadow.cast(p, s.where.head, key, s.face)
    sun = sun if glass is None else sun * glasses.shade(glass, key, s.face)
    part = around(opened)
    rows, columns = part.slices
    inner = between_lids(s.cut(part), sun[..., rows, columns], bare[..., rows, columns])
    covered = skin.shade(s, Reach(sun, 1.0))
    hairs = surface.bristle(p, s.lamp.band) * light.level(p, s.lamp)
    brow = hair.brow(p, s.seed, s.face, s.pixel_mm, s.fine, s.needs.uneven)
    covered = surface.blend(covered, hairs, brow)
    lashes = hair.lashes(
        p, s.seed, s.where.lift, s.face, s.lids, s.pixel_mm, s.fine, s.needs.uneven
    )
    shown = opened * _unfaded(p, s.lids) if s.needs.soft else opened
    out = surface.blend(covered, part.paste(inner.light), shown)
    out = s.lamp.colour * surface.blend(out, _LASHES * hairs, lashes)
    if s.needs.nose and s.torn is not None:
        edge = (s.torn & (p.nose_slope > 0)) * shape.torn(s.face.point)
        out = torch.lerp(out, softened(out), edge)
    rim = torch.zeros_like(lashes)
    if glass is not None:
        out, rim = glasses.wear(glass, s.seed, card, s.lamp, s.rays, out, s.pixel_mm)
    masks = _masks(inner, _glint(inner.mirrored, card), part, opened, lashes, rim)
    return out.expand(3, *out.shape[1:]), masks


def softened(f: Tensor) -> Tensor:
    """Mean of pixels `[..., H, W]` and those around them, by the binomial of three."""
    left, right = torch.cat((f[..., :1], f[..., :-1]), -1), torch.cat((f[..., 1:], f[..., -1:]), -1)
    f = 0.5 * f + 0.25 * (left + right)
    above = torch.cat((f[..., :1, :], f[..., :-1, :]), -2)
    below = torch.cat((f[..., 1:, :], f[..., -1:, :]), -2)
    return 0.5 * f + 0.25 * (above + below)


def _unfaded(p: EyeParams, lids: Lids) -> Tensor:
    """How much `[B, H, W]` of what lies between the lids has not faded into the lower one.

    Lids have no sharp edges there: they are round, moist and let light through.
    """
    rise = lids.below / (p.lid_soft + _TINY)
    there = (p.lid_soft / _SOFT).clamp(max=1)
    return 1 - there * torch.exp(-rise * rise)


def opening(lids: Lids) -> Tensor:
    """Coverage `[B, H, W]` of what lies between the margins, however near these are.

    Each margin by itself: `lids.open` has a ridge where they meet, with no slope to divide by.
    """
    covered = shape.coverage(lids.above) + shape.coverage(lids.below)
    return (1 - covered).clamp(min=0)


def _masks(
    inner: Opening, glint: Tensor, part: Part, opened: Tensor, lashes: Tensor, rim: Tensor
) -> Tensor:
    """Coverage in the order of schema.MASKS; sums to one by construction."""
    eyes = (inner.caruncle, inner.ball, inner.coloured, inner.black, glint)
    knob, ball, coloured, black, bright = part.paste(torch.stack(eyes))
    caruncle = knob * opened
    ball = torch.minimum(opened, ball)
    clear = (1 - lashes) * (1 - rim)
    seen = clear * (1 - caruncle)
    eye = seen * ball * (1 - bright)
    iris = eye * coloured
    parts = (
        seen * (1 - ball),
        eye * (1 - coloured),
        iris * (1 - black),
        iris * black,
        clear * caruncle,
        lashes * (1 - rim),
        rim,
        seen * ball * bright,
    )
    return torch.stack(parts, 1)


def _glint(mirrored: Tensor, card: Tensor) -> Tensor:
    """Opacity `[B, H, W]` of the lights that the tear film mirrors."""
    bright = mirrored.mean(0) if mirrored.ndim == 4 else mirrored
    return bright / (bright + _DAZZLE * card).clamp(min=1e-6)  # it may be dark


def relief(s: Sight) -> tuple[Tensor, Tensor]:
    """Return depth `[B, 1, H, W]` mm and unit normals `[B, 3, H, W]` of what the camera sees first.

    Skin, eyeball and cornea count; lashes and glasses do not.
    """
    p = s.p
    normal = skin.normals(s, skin.grain_of(s), crease(s.lids))
    eye = eyeball.hit_eye(p, s.where, s.rays)
    clear = (eye.limbus > 0)[None]
    ball = torch.where(clear, eye.cornea, eye.sclera)
    ball_normal = torch.where(clear, eye.normal, eye.sclera / p.eyeball_radius)
    bare = (torch.minimum(s.lids.bare, eye.edge) > 0)[None]
    point = torch.where(bare, ball, s.face.point)
    depth = point[2] + s.view.distance[:, None, None]
    return depth[:, None], torch.where(bare, ball_normal, normal).transpose(0, 1)

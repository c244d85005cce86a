"""The skin around the eye: how its pigments vary, make-up, and how it scatters and shines."""

import torch
from torch import Tensor

from gazegan.render import elementary, light, relief, shape, surface
from gazegan.render.lids import Lids
from gazegan.render.light import Reach
from gazegan.render.params import EyeParams
from gazegan.render.sight import Sight
from gazegan.render.texture import detail, noise

_RED_AT = 4.5
"""How far below the lower lid, mm, skin is reddest, which is thin there."""
_UNDER = ((2.2, -0.3, 0.12, 1.5), (4.6, 0.8, 0.16, -1.5), (8.0, 2.5, 0.18, 1.5))
"""Of each furrow below the lower lid: mm from it, how much less of that toward the nose, how dark
it is, and whether it is there where others are not."""


def colour(s: Sight, grain: Tensor) -> Tensor:
    """Colour `[C, B, H, W]` of the face: mottled, freckled, redder and darker at the lids.

    `grain` is that of `grain_of`.
    """
    p, band, seed, lids, pixel_mm = s.p, s.lamp.band, s.seed, s.lids, s.pixel_mm
    u, v = s.face.u, s.face.v
    mottle = noise(seed, "mottle", u / 5, v / 5)
    texture = torch.addcmul(mottle, 0.9 * detail(0.5, pixel_mm), grain)
    if s.fine:
        texture = texture + _specks(seed, *_woven(u, v), grain, pixel_mm)
    x, y = torch.add(u, v, alpha=0.5), torch.sub(v, u, alpha=0.5)
    x, y = torch.add(x, grain, alpha=0.3), torch.add(y, mottle, alpha=0.8)
    spots = noise(seed, "freckles", 0.8 * x, 0.8 * y)
    freckled = p.freckles * (2.2 * (spots - 0.45)).clamp(0, 1) * detail(0.8, pixel_mm)
    beyond = torch.maximum(u - p.canthus_inner, -u - p.canthus_outer).clamp(min=0)
    ends = torch.exp(-0.5 * beyond)
    rim = torch.exp(lids.open.abs() * (-1 / 1.2))
    red = torch.add(0.2 * rim, elementary.bump(lids.open / 5), alpha=0.14) * ends
    if s.needs.orbit:
        under = 0.35 * elementary.bump((lids.below - _RED_AT) / _RED_AT) * ends
        red = torch.lerp(red, 0.3 * red + under, p.under_red)
    redness, brown = surface.rgb(band.redness, u), surface.rgb(band.melanin, u)
    even = 1 + p.skin_texture * texture
    spotted = torch.addcmul(even, redness, torch.add(red, mottle, alpha=0.12), value=-1)
    if s.needs.uneven:
        freckled = torch.addcmul(freckled, p.uneven, _moles(seed, u, v))
    bare = surface.skin_tone(p, band) * torch.addcmul(spotted, brown, freckled, value=-0.35)
    return surface.blend(bare, surface.rgb(band.paint, u), _eyeshadow(p, lids))


def _moles(seed: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Darkness `[B, H, W]` of single dark spots, where two smooth fields are both high."""
    one, other = noise(seed, "moles", u / 4, v / 4), noise(seed, "spots", u / 3 + 7, v / 3)
    return (16 * ((one - 0.62).clamp(min=0) * (other - 0.62).clamp(min=0))).clamp(max=1)


def _woven(u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Where the skin's grain lies, drawn out sideways; a little aslant, for cells would show."""
    return 0.65 * u + 0.3 * v, 1.1 * v - 0.35 * u


def _specks(seed: Tensor, x: Tensor, y: Tensor, grain: Tensor, pixel_mm: Tensor) -> Tensor:
    """Contrast of pores and fine vessels."""
    warp_x, warp_y = 3 * x - 1.3 * y + grain, 3 * y + 1.3 * x + grain
    specks = noise(seed, "specks", warp_x, warp_y)
    return (0.5 * specks - 0.9 * (specks - 0.4).clamp(min=0)) * detail(2.3, pixel_mm)


def _eyeshadow(p: EyeParams, lids: Lids) -> Tensor:
    """Opacity of paint on the upper lid, fading out above the crease and toward the canthi."""
    reach = (lids.above / (lids.gap + 2.5)).clamp(min=0)
    on_lid = torch.add(0.5, lids.above, alpha=4).clamp(0, 1) * lids.bulge
    return p.eyeshadow * torch.exp(-elementary.fourth(reach)) * on_lid


def occlusion(s: Sight, fold: Tensor) -> Tensor:
    """Share `[B, H, W]` of the light around that reaches creases, orbit and the nose's side.

    `fold` is that of `relief.crease`.
    """
    p, lids, u, v = s.p, s.lids, s.face.u, s.face.v
    socket = elementary.ramp(torch.sub(v, u, alpha=0.25), -1, 2.5) * elementary.ramp(u, -9, 5)
    socket = socket * (1 - p.shade_bound * _beyond(p, u, v)) if s.needs.orbit else socket
    orbit = elementary.bump((u - 3) / 17, (v + 2) / 9)
    nose = elementary.bump(u / 6 - 2, v / 12)
    near = elementary.bump((lids.above - lids.gap) / (0.8 + 0.25 * lids.gap))
    folded = torch.add(0.48 * fold, near, alpha=0.27) * lids.bulge * lids.bulge
    trough = elementary.bump(torch.add(lids.below / 3 - 8 / 3, lids.along)) * (0.4 + lids.along)
    deep = shaded(1 - p.fold_depth * folded, 0.3 * p.bag, trough * lids.bulge)
    deep = (
        shaded(deep, p.furrows, _furrows(s, fold) + _tail(p, u, lids)) if s.needs.furrows else deep
    )
    deep = shaded(shaded(deep, p.socket_shade, socket), p.orbit_shade, orbit)
    deep = shaded(deep, p.nasal_shade, nose)
    deep = shaded(deep, p.canthal_shade, _beside(p, u, v)) if s.needs.orbit else deep
    return shaded(deep, p.corner_shade, _outer(p, u, lids))


def _beyond(p: EyeParams, u: Tensor, v: Tensor) -> Tensor:
    """How far `[B, H, W]` points lie beyond the orbit, on the brow's bone or the nose's back."""
    above, nasal = elementary.ramp(v, p.brow_at - 3, 2.5), elementary.ramp(u, p.nose_at, 2.5)
    return above + nasal - above * nasal


def _beside(p: EyeParams, u: Tensor, v: Tensor) -> Tensor:
    """Shade `[B, H, W]` of the hollows beside both canthi."""
    half, middle = (p.canthus_inner + p.canthus_outer) / 2, (p.canthus_inner - p.canthus_outer) / 2
    beyond = (u - middle).abs() - half - 3
    return elementary.bump(beyond / 9, (v + p.canthus_drop - 1) / 7)


def _furrows(s: Sight, fold: Tensor) -> Tensor:
    """Shade `[B, H, W]` of lines along the lids that neither fold nor wrinkles are, 0..1.

    Three follow the lower lid, the farther the broader and the nearer to the nose, one the upper
    lid's platform, one the fold, which is itself darker. They stray, and fade out here and there.
    """
    lids, u, v = s.lids, s.face.u, s.face.v
    sway, faded = noise(s.seed, "furrows", u / 5, v / 5), noise(s.seed, "faded", u / 8, v / 5)
    under, width = torch.add(lids.below, sway, alpha=1.5), 0.5 + 0.4 * s.pixel_mm
    lines = 0.25 * fold
    for at, slant, deep, there in _UNDER:
        away = torch.add(under - at, lids.along - 0.5, alpha=slant)
        line = elementary.bump(away / ((0.7 + 0.1 * at) * width))
        lines = torch.addcmul(lines, line, deep * (0.5 + faded + there * sway).clamp(min=0))
    platform = torch.add(lids.above - 0.55 * lids.gap, sway, alpha=0.6) / width
    over = torch.add(lids.above - lids.gap - 2.2, sway, alpha=1.5) / (1.5 * width)
    lines = torch.addcmul(lines, elementary.bump(over), 0.2 * (0.6 + faded).clamp(min=0))
    lines = torch.addcmul(lines, elementary.bump(platform), 0.2 * (0.5 - faded).clamp(min=0))
    return lines * lids.bulge


def _outer(p: EyeParams, u: Tensor, lids: Lids) -> Tensor:
    """Shade `[B, H, W]` of the furrow in which the lids' fold runs on beyond the outer canthus."""
    far = -u - p.canthus_outer
    beyond = far.clamp(min=0)
    across = torch.add(lids.above, beyond, alpha=0.18) / torch.add(1.2, beyond, alpha=0.25)
    return 0.5 * elementary.bump(across, beyond / 7) * elementary.ramp(far, -0.5, 0.7)


def _tail(p: EyeParams, u: Tensor, lids: Lids) -> Tensor:
    """Shade `[B, H, W]` of the broad dip about that furrow, which begins above the canthus."""
    far = -u - p.canthus_outer
    beyond = far.clamp(min=0)
    across = torch.add(lids.above - 0.4, beyond, alpha=0.3) / torch.add(1.6, beyond, alpha=0.3)
    return 0.45 * elementary.bump(across, beyond / 8) * elementary.ramp(far, -1.5, 1.2)


def shaded(light: Tensor, depth: Tensor, where: Tensor) -> Tensor:
    """What a shade `where` `[B, H, W]` of `depth` `[B, 1, 1]` leaves of light `[B, H, W]`."""
    return torch.addcmul(light, depth * where, light, value=-1)


def grain_of(s: Sight) -> Tensor:
    """Where `[B, H, W]` the skin is a little higher and paler, in grains of about a millimetre."""
    return noise(s.seed, "grain", *_woven(s.face.u, s.face.v))


def normals(s: Sight, grain: Tensor, fold: Tensor) -> Tensor:
    """Unit normals `[3, B, H, W]` toward the viewer of the face with its fine relief.

    `grain` and `fold` are those of `grain_of` and of `relief.crease`.
    """
    raised = relief.height(s, grain, fold)
    point = s.face.point - raised * s.where.head[:, :, 2].T[:, :, None, None]
    return light.normal_of(point, s.torn)


def shade(s: Sight, reach: Reach) -> Tensor:
    """Light `[C, B, H, W]` from the skin: scattered, and mirrored by its film of oil.

    `reach` is the light that no shadow keeps off it.
    """
    p, lamp, face = s.p, s.lamp, s.face
    grain, fold = grain_of(s), relief.crease(s.lids)
    normal = normals(s, grain, fold)
    half = lamp.seen(lamp.key) + torch.stack(
        (torch.zeros_like(p.side), torch.zeros_like(p.side), -torch.ones_like(p.side))
    )
    facing = shape.dot(normal, shape.unit(half)).clamp(min=0)
    gloss = p.skin_gloss * p.light_key * reach.key * elementary.fourth(facing * facing * facing)
    met = light.irradiance(p, lamp, normal, face.point, reach)
    return torch.addcmul(gloss, colour(s, grain), met) * occlusion(s, fold)

"""The skin around the eye: how its pigments vary, make-up, and how it scatters and shines."""

import torch
from torch import Tensor

from gazegan.render import elementary, light, relief, shape, surface
from gazegan.render.bands import Band
from gazegan.render.eyeball import Pose
from gazegan.render.light import Lamps
from gazegan.render.params import EyeParams
from gazegan.render.shape import FaceHit, Lids
from gazegan.render.texture import detail, lattice, value_noise


def colour(
    p: EyeParams, band: Band, seed: Tensor, face: FaceHit, lids: Lids, pixel_mm: Tensor
) -> Tensor:
    """Colour `[C, B, H, W]` of the face: mottled, freckled, redder and darker at the lids."""
    u, v = face.u, face.v
    mottle = value_noise(lattice(seed, "mottle", 24, 24), u / 5 + 12, v / 5 + 12)
    grain = value_noise(lattice(seed, "grain", 96, 96), u * 1.4 + 48, v * 1.4 + 48)
    texture = p.skin_texture * (0.8 * mottle + 0.8 * grain * detail(0.7, pixel_mm))
    x, y = u + 0.5 * v + grain, v - 0.5 * u + mottle
    spots = value_noise(lattice(seed, "freckles", 64, 64), 0.6 * x + 32, 0.6 * y + 32)
    freckled = p.freckles * (2.5 * (spots - 0.5)).clamp(0, 1) * detail(0.6, pixel_mm)
    beyond = torch.maximum(u - p.canthus_inner, -u - p.canthus_outer).clamp(min=0)
    rim = torch.exp(-lids.open.abs() / 1.2 - beyond / 2)
    tint = surface.rgb(band.redness, u) * (0.25 * rim + 0.12 * mottle)
    brown = 0.35 * surface.rgb(band.melanin, u) * freckled
    bare = surface.skin_tone(p, band) * (1 + texture - tint - brown)
    return surface.blend(bare, surface.rgb(band.paint, u), _eyeshadow(p, lids))


def _eyeshadow(p: EyeParams, lids: Lids) -> Tensor:
    """Opacity of paint on the upper lid, fading out above the crease."""
    reach = (lids.above / (lids.gap + 2.5)).clamp(min=0)
    return p.eyeshadow * torch.exp(-elementary.fourth(reach)) * (lids.above > 0)


def occlusion(p: EyeParams, face: FaceHit, lids: Lids) -> Tensor:
    """Share `[B, H, W]` of the light around that reaches creases, orbit and the nose's side."""
    u, v = face.u, face.v
    socket = elementary.sigmoid((v + 1 - 0.25 * u) / 2.5) * elementary.sigmoid((u + 9) / 5)
    orbit = torch.exp(-((u / 17) ** 2) - ((v - 2) / 7) ** 2)
    nose = torch.exp(-(((u - 12) / 6) ** 2) - (v / 12) ** 2)
    deep = 1 - 0.9 * p.fold_depth * relief.crease(lids) * lids.bulge
    deep = deep * (1 - 0.35 * p.bag * torch.exp(-(((lids.below - 7) / 2.5) ** 2)) * lids.bulge)
    deep = deep * (1 - p.socket_shade * socket) * (1 - p.orbit_shade * orbit)
    return deep * (1 - p.nasal_shade * nose)


def normals(
    p: EyeParams, seed: Tensor, where: Pose, face: FaceHit, lids: Lids, pixel_mm: Tensor
) -> Tensor:
    """Unit normals `[3, B, H, W]` toward the viewer of the face with its fine relief."""
    raised = relief.height(p, seed, face, lids, pixel_mm)
    return light.normal_of(face.point - raised * where.head[:, :, 2].T[:, :, None, None])


def shade(
    p: EyeParams,
    seed: Tensor,
    where: Pose,
    lamp: Lamps,
    face: FaceHit,
    lids: Lids,
    pixel_mm: Tensor,
) -> Tensor:
    """Light `[C, B, H, W]` from the skin: scattered, and mirrored by its film of oil."""
    normal = normals(p, seed, where, face, lids, pixel_mm)
    half = lamp.seen(lamp.key) + torch.stack(
        (torch.zeros_like(p.side), torch.zeros_like(p.side), -torch.ones_like(p.side))
    )
    facing = shape.dot(normal, shape.unit(half)).clamp(min=0)
    gloss = p.skin_gloss * p.light_key * elementary.fourth(facing * facing * facing)
    scattered = colour(p, lamp.band, seed, face, lids, pixel_mm)
    scattered = scattered * light.irradiance(p, lamp, normal, face.point)
    return (scattered + gloss) * occlusion(p, face, lids)

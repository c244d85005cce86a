"""The eyeball: its pose, sclera, cornea and iris, and what rays meet after refraction."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gazegan import geometry
from gazegan.render.elementary import sqrt
from gazegan.render.params import EyeParams
from gazegan.render.shape import Rays, dot, to_frame, unit

AQUEOUS = 1.336
"""Refractive index behind the cornea (the keratometric single-surface model)."""


@dataclass(frozen=True)
class Pose:
    """Where eye and head point, derived from the parameters; frames are `[B, 3, 3]`."""

    head: Tensor
    eye: Tensor
    axis: Tensor
    """[3, B, 1, 1] the optical axis, a unit vector from the eyeball's centre to the viewer."""
    lift: Tensor
    """[B, 1, 1] rise of the pupil above the head's axis, mm: what the lids follow."""
    optical: Tensor
    """[B, 2] (pitch, yaw) rad of the optical axis."""


def pose(p: EyeParams) -> Pose:
    """Orient head and eye; the optical axis lies temporal to and below the visual axis (kappa)."""
    side = p.side.flatten()
    visual = torch.stack((p.gaze_pitch.flatten(), p.gaze_yaw.flatten()), -1)
    kappa = torch.stack((-p.kappa_vertical.flatten(), side * p.kappa_horizontal.flatten()), -1)
    optical = torch.deg2rad(visual + kappa)
    head_angles = torch.deg2rad(torch.stack((p.head_pitch.flatten(), p.head_yaw.flatten()), -1))
    roll = torch.deg2rad(p.head_roll.flatten())
    head, eye = geometry.rotation(head_angles, roll), geometry.rotation(optical, roll)
    axis = -eye[:, :, 2].T[:, :, None, None]
    return Pose(head, eye, axis, -to_frame(head, axis)[1] * p.eyeball_radius, optical)


@dataclass(frozen=True)
class EyeHit:
    """Where rays meet the eyeball, and after refraction the plane of the iris."""

    edge: Tensor
    """[B, H, W] mm inside the eyeball's silhouette, negative outside."""
    sclera: Tensor
    """[3, B, H, W] point on the scleral sphere, mm."""
    cornea: Tensor
    """[3, B, H, W] point on the corneal sphere, mm."""
    normal: Tensor
    """[3, B, H, W] outward unit normal of the cornea there."""
    limbus: Tensor
    """[B, H, W] mm before the limbus' plane, or inside the cornea's silhouette if less."""
    iris: Tensor
    """[2, B, H, W] (u, v) mm on the iris from the optical axis."""
    pupil: Tensor
    """[B, H, W] mm inside the pupil's edge, negative outside."""


def limbus_depth(p: EyeParams) -> Tensor:
    """Distance of the limbus' plane from the eyeball's centre, mm."""
    return sqrt(p.eyeball_radius**2 - p.limbus_radius**2)


def cornea_offset(p: EyeParams) -> Tensor:
    """Distance of the cornea's centre from the eyeball's; both spheres meet at the limbus."""
    return limbus_depth(p) - sqrt(p.cornea_radius**2 - p.limbus_radius**2)


def iris_depth(p: EyeParams) -> Tensor:
    """Distance of the iris' plane from the eyeball's centre, mm."""
    return cornea_offset(p) + p.cornea_radius - p.chamber_depth


def hit_sphere(r: Rays, centre: Tensor | float, radius: Tensor) -> tuple[Tensor, Tensor]:
    """Return the near point `[3, ...]` on a sphere, and how far inside its silhouette, mm.

    Rays that pass by get the point nearest to the sphere.
    """
    at = r.at - centre
    a, b = dot(r.way, r.way), dot(at, r.way)
    nearest2 = dot(at, at) - b * b / a
    back = sqrt((radius * radius - nearest2) / a)
    return r.at + (-b / a - back) * r.way, radius - sqrt(nearest2)


def refract(way: Tensor, normal: Tensor, index: float) -> Tensor:
    """Refract unit directions at outward unit normals into a medium of `index` (Snell's law)."""
    cos_in = -dot(way, normal).clamp(max=-1e-3)
    eta = 1 / index
    cos_out = sqrt(1 - eta * eta * (1 - cos_in * cos_in))
    return eta * way + (eta * cos_in - cos_out) * normal


def hit_eye(p: EyeParams, where: Pose, r: Rays) -> EyeHit:
    """Meet sclera and cornea, refract, and land on the plane of the iris."""
    sclera, edge = hit_sphere(r, 0.0, p.eyeball_radius)
    centre = cornea_offset(p) * where.axis
    cornea, beyond = hit_sphere(r, centre, p.cornea_radius)
    normal = (cornea - centre) / p.cornea_radius
    height = dot(cornea, where.axis)
    inside = refract(unit(r.way), normal, AQUEOUS)
    fall = dot(inside, where.axis).clamp(max=-0.05)
    landing = cornea + (iris_depth(p) - height) / fall * inside
    local = to_frame(where.eye, landing)
    iris = torch.stack((p.side * local[0], -local[1]))
    off_u, off_v = iris[0] - p.pupil_nasal, iris[1] - p.pupil_up
    pupil = p.pupil_radius - sqrt(off_u * off_u + off_v * off_v)
    # Rays that pass by the cornea may yet cross the limbus' plane in front.
    limbus = torch.minimum(height - limbus_depth(p), beyond)
    return EyeHit(torch.maximum(edge, beyond), sclera, cornea, normal, limbus, iris, pupil)

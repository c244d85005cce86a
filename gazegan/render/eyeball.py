"""The eyeball: its pose, sclera, cornea and iris, and what rays meet after refraction."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gazegan import geometry
from gazegan.render.elementary import sqrt
from gazegan.render.params import EyeParams
from gazegan.render.shape import Rays, dot, to_frame, unit

AQUEOUS = 1.336
"""Refractive index of the aqueous humour, here of all that lies behind the cornea's front."""

_BACKWARD, _SLANT, _STEEP = 1e-3, 0.05, 0.25
"""Guards: eyes that look out of the back of the head, and rays along the plane or the flank of the
iris; they act far beyond what a camera sees."""


@dataclass(frozen=True)
class Pose:
    """Where eye and head point, derived from the parameters; frames are `[B, 3, 3]`."""

    head: Tensor
    eye: Tensor
    """Turns with the eyeball; its -z is the optical axis."""
    axis: Tensor
    """[3, B, 1, 1] the optical axis, a unit vector from the eyeball's centre to the viewer."""
    lift: Tensor
    """[B, 1, 1] rise of the pupil above the head's axis, mm: what the lids follow."""


def pose(p: EyeParams) -> Pose:
    """Orient head and eye.

    The visual axis turns from where the head faces, its primary position, by Listing's law. The
    optical axis turns with it, lying temporal to and below it by kappa; torsion turns the eye about
    the optical axis.
    """
    head_angles = torch.deg2rad(torch.stack((p.head_pitch.flatten(), p.head_yaw.flatten()), -1))
    head = geometry.rotation(head_angles, torch.deg2rad(p.head_roll.flatten()))
    gaze = torch.deg2rad(torch.stack((p.gaze_pitch.flatten(), p.gaze_yaw.flatten()), -1))
    visual = geometry.vector_from_angles(gaze).T[:, :, None, None]
    turned = _product(head, listing(to_frame(head, visual)[:, :, 0, 0]))
    kappa = (-p.kappa_vertical.flatten(), p.side.flatten() * p.kappa_horizontal.flatten())
    kappa_angles = torch.deg2rad(torch.stack(kappa, -1))
    eye = _product(turned, geometry.rotation(kappa_angles, torch.deg2rad(p.torsion.flatten())))
    axis = -eye[:, :, 2].T[:, :, None, None]
    return Pose(head, eye, axis, -to_frame(head, axis)[1] * p.eyeball_radius)


def listing(toward: Tensor) -> Tensor:
    """Return the rotations `[B, 3, 3]` that carry -z to unit vectors `[3, B]` with no more turn.

    Their axes lie in the plane z = 0, Listing's plane of an eye whose primary position is -z
    (Helmholtz, Treatise on Physiological Optics, vol. 3).
    """
    x, y, z = toward
    share = 1 / (1 - z).clamp(min=_BACKWARD)
    rows = (
        (1 - share * x * x, -share * x * y, -x),
        (-share * x * y, 1 - share * y * y, -y),
        (x, y, -z),
    )
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Matrix product of `[B, 3, 3]`, whose bits do not depend on B."""
    parts = [a[:, :, k, None] * b[:, k, None, :] for k in range(3)]
    return parts[0] + parts[1] + parts[2]


@dataclass(frozen=True)
class EyeHit:
    """Where rays meet the eyeball, and after refraction the iris."""

    edge: Tensor
    """[B, H, W] mm inside the eyeball's silhouette, negative outside."""
    sclera: Tensor
    """[3, B, H, W] point on the scleral sphere, mm."""
    white: Tensor
    """[2, B, H, W] the same point as (u, v) mm from the optical axis; turns with the eye."""
    cornea: Tensor
    """[3, B, H, W] point on the cornea, mm."""
    normal: Tensor
    """[3, B, H, W] outward unit normal of the cornea there."""
    limbus: Tensor
    """[B, H, W] mm before the limbus' plane, or inside the cornea's silhouette if less."""
    iris: Tensor
    """[2, B, H, W] (u, v) mm on the iris from the optical axis; turns with the eye."""
    pupil: Tensor
    """[B, H, W] mm inside the pupil's edge, negative outside."""


def limbus_depth(p: EyeParams) -> Tensor:
    """Distance `[B, 1, 1]` of the limbus' plane from the eyeball's centre, mm."""
    return sqrt(p.eyeball_radius**2 - p.limbus_radius**2)


def sagitta(p: EyeParams) -> Tensor:
    """Depth `[B, 1, 1]` of the limbus' plane behind the apex of the cornea, mm.

    The cornea is a conicoid, r^2 = 2 R s - (1 + Q) s^2 at depth s behind its apex (Kiely, Smith &
    Carney, Optica Acta 1982), R its radius at the apex and Q its asphericity.
    """
    flat = p.cornea_radius**2 - (1 + p.asphericity) * p.limbus_radius**2
    return p.limbus_radius**2 / (p.cornea_radius + sqrt(flat))


def cornea_offset(p: EyeParams) -> Tensor:
    """Distance `[B, 1, 1]` from the eyeball's centre to that of curvature at the cornea's apex, mm.

    Cornea and sclera meet at the limbus, whose radius is given; the apex follows.
    """
    return limbus_depth(p) + sagitta(p) - p.cornea_radius


def iris_depth(p: EyeParams) -> Tensor:
    """Distance `[B, 1, 1]` of the plane of the pupil's edge from the eyeball's centre, mm."""
    return limbus_depth(p) + sagitta(p) - p.chamber_depth


def hit_sphere(r: Rays, radius: Tensor) -> tuple[Tensor, Tensor]:
    """Return the near point `[3, ...]` on a sphere, and how far inside its silhouette, mm.

    Rays that pass by get the point nearest to the sphere.
    """
    a, b = dot(r.way, r.way), dot(r.at, r.way)
    nearest2 = dot(r.at, r.at) - b * b / a
    back = sqrt((radius * radius - nearest2) / a)
    return r.at + (-b / a - back) * r.way, radius - sqrt(nearest2)


def hit_cornea(p: EyeParams, axis: Tensor, r: Rays) -> tuple[Tensor, Tensor, Tensor]:
    """Return the near point on the cornea's conicoid, its normal there, and mm inside its outline.

    Points, mm, and unit normals are `[3, B, H, W]`, the last `[B, H, W]`; `axis` is `[3, B, 1, 1]`.
    With w the height over the centre of curvature x0, the conicoid is |x - x0|^2 + Q (R - w)^2 =
    R^2; along a ray that is quadratic. Rays that pass by get a point near it.
    """
    radius, q = p.cornea_radius, p.asphericity
    at = r.at - cornea_offset(p) * axis
    sunk, climb = radius - dot(at, axis), dot(r.way, axis)
    a = dot(r.way, r.way) + q * climb * climb
    b = dot(at, r.way) - q * sunk * climb
    nearest2 = dot(at, at) + q * sunk * sunk - b * b / a
    t = -b / a - sqrt((radius * radius - nearest2) / a)
    way = t * r.way
    normal = unit(at + way - q * (sunk - t * climb) * axis)
    return r.at + way, normal, radius - sqrt(nearest2)


def refract(way: Tensor, normal: Tensor, index: float) -> Tensor:
    """Refract unit directions at outward unit normals into a medium of `index` (Snell's law).

    All are `[3, B, H, W]`, and so is what is returned.
    """
    cos_in = -dot(way, normal).clamp(max=-1e-3)
    eta = 1 / index
    cos_out = sqrt(1 - eta * eta * (1 - cos_in * cos_in))
    return eta * way + (eta * cos_in - cos_out) * normal


@dataclass(frozen=True)
class Beam:
    """Rays behind the cornea, in the eye's frame: (u, v) mm, and what they gain per mm of depth."""

    u: Tensor
    v: Tensor
    height: Tensor
    """Distance along the optical axis from the eyeball's centre at which they are at (u, v), mm."""
    du: Tensor
    dv: Tensor

    def down_to(self, height: Tensor) -> tuple[Tensor, Tensor]:
        """Return (u, v) `[B, H, W]` mm where the rays reach a plane across the optical axis.

        `height` `[B, 1, 1]` is its distance from the eyeball's centre, mm.
        """
        down = self.height - height
        return self.u + down * self.du, self.v + down * self.dv


def enter(p: EyeParams, where: Pose, way: Tensor, cornea: Tensor, normal: Tensor) -> Beam:
    """Refract sight along `way` into the eye at points and normals `[3, B, H, W]` of the cornea."""
    x, y, z = to_frame(where.eye, cornea)
    dx, dy, dz = to_frame(where.eye, refract(unit(way), normal, AQUEOUS))
    deep = 1 / dz.clamp(min=_SLANT)
    return Beam(p.side * x, -y, -z, p.side * dx * deep, -dy * deep)


def _land(p: EyeParams, beam: Beam) -> tuple[Tensor, Tensor]:
    """Return (u, v) mm on the iris, a cone whose axis runs through the pupil's centre.

    It rises toward the cornea from its root to the pupil's edge, a circle at `iris_depth`. From
    where a ray meets the plane of the cone's tip, the depth down to its flank is quadratic.
    """
    slope = torch.deg2rad(p.iris_cone)
    slope = slope.sin() / slope.cos()
    u, v = beam.down_to(iris_depth(p) + slope * p.pupil_radius)
    from_u, from_v = u - p.pupil_nasal, v - p.pupil_up
    lean = from_u * beam.du + from_v * beam.dv
    cross = slope * (from_u * beam.dv - from_v * beam.du)
    steep = 1 - slope * slope * (beam.du * beam.du + beam.dv * beam.dv)
    root = sqrt(from_u * from_u + from_v * from_v - cross * cross)
    down = slope * (slope * lean + root) / steep.clamp(min=_STEEP)
    return u + down * beam.du, v + down * beam.dv


def hit_eye(p: EyeParams, where: Pose, r: Rays) -> EyeHit:
    """Meet sclera and cornea, refract, and land on the iris."""
    sclera, edge = hit_sphere(r, p.eyeball_radius)
    cornea, normal, beyond = hit_cornea(p, where.axis, r)
    beam = enter(p, where, r.way, cornea, normal)
    u, v = _land(p, beam)
    off_u, off_v = u - p.pupil_nasal, v - p.pupil_up
    pupil = p.pupil_radius - sqrt(off_u * off_u + off_v * off_v)
    # Rays that pass by the cornea may yet cross the limbus' plane in front.
    limbus = torch.minimum(beam.height - limbus_depth(p), beyond)
    x, y, _ = to_frame(where.eye, sclera)
    return EyeHit(
        edge=torch.maximum(edge, limbus),
        sclera=sclera,
        white=torch.stack((p.side * x, -y)),
        cornea=cornea,
        normal=normal,
        limbus=limbus,
        iris=torch.stack((u, v)),
        pupil=pupil,
    )

"""Where light's path meets the face: rays, and the face as heights over a plane.

Vectors over pixels are component-first, `[3, B, H, W]`, in millimetres from the eyeball's centre
with the axes of the camera; scalars per eye are `[B, 1, 1]`. The functions of (u, v) also serve
landmarks, whose two last axes are points instead of pixels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from gazegan.render.elementary import bump, ramp, sqrt
from gazegan.render.params import PARAM_NAMES, EyeParams
from gazegan.render.tracing import tracing

_TINY = 1e-6
_HIGHEST, _GRAZING = 100.0, 0.05
"""Bounds on the face's height, mm, and on a ray's slant to it; they act far beyond the face."""
_SECANT, _MARCH, _FALSI = 3, 10, 3
"""Steps toward the face, past nose and brow, and of the false position between these."""
_STEEP = 2
"""How many times as many steps past steep noses."""
_ASTRAY = 1.0
"""How far off the face, mm, steps have ended that never come to rest: steep noses throw them."""
_REST = 1e-3
"""The longest last step, mm, after which a ray counts as having met the face."""
_BELOW = 3
"""How many of the steps past nose and brow go on below where the steps toward the face ended."""
_JUMP = 9.0
"""Times the square of a step between pixels that of the next one is where a surface tears."""
_ROOT = 3.0
"""v of the nose's root, mm, and how round that is."""
_TIP = 40.0
"""How far below its root, mm, a nose has half of what it would have gained without an end."""
_BRIDGE = 3.0
"""Radius, mm, of the bridge of the nose where both sides of the face meet."""


def per_pixel(params: EyeParams) -> EyeParams:
    """Return the parameters reshaped from `[B]` to `[B, 1, 1]`, ready to meet pixels."""
    return EyeParams(**{name: getattr(params, name)[:, None, None] for name in PARAM_NAMES})


def to_frame(frame: Tensor, vector: Tensor) -> Tensor:
    """Express camera-axis vectors `[3, B, ...]` in a frame `[B, 3, 3]` (its transpose applied)."""
    x, y, z = frame.permute(1, 2, 0)[..., None, None]
    turned: Tensor = x * vector[0]
    return turned.addcmul_(y, vector[1]).addcmul_(z, vector[2])


def from_frame(frame: Tensor, vector: Tensor) -> Tensor:
    """Express vectors `[3, B, ...]` given in a frame `[B, 3, 3]` along the camera's axes."""
    return to_frame(frame.mT, vector)


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Return the scalar product `[...]` of vectors `[3, ...]`."""
    return (a[0] * b[0]).addcmul_(a[1], b[1]).addcmul_(a[2], b[2])


def unit(a: Tensor) -> Tensor:
    """Scale vectors `[3, ...]` to length 1."""
    return a / sqrt(dot(a, a))


def twice_slopes(f: Tensor) -> tuple[Tensor, Tensor]:
    """Return twice the change of f `[..., H, W]` per pixel along x and y.

    Central, at borders one-sided; central differences keep a mirrored scene's image the mirror
    image.
    """
    left, right = f[..., 1:2] - f[..., :1], f[..., -1:] - f[..., -2:-1]
    dx = torch.cat((2 * left, f[..., 2:] - f[..., :-2], 2 * right), -1)
    top, bottom = f[..., 1:2, :] - f[..., :1, :], f[..., -1:, :] - f[..., -2:-1, :]
    return dx, torch.cat((2 * top, f[..., 2:, :] - f[..., :-2, :], 2 * bottom), -2)


def twice_slopes_beside_tears(f: Tensor) -> tuple[Tensor, Tensor]:
    """What `twice_slopes` finds, but along one side where points `[3, B, H, W]` jump at the other.

    Where one part of a surface hides another, central differences would join the two.
    """
    across, down = _steps(f)
    return _untorn(*across), _untorn(*down)


def torn(point: Tensor) -> Tensor:
    """Return 1 where points `[3, B, H, W]` jump to a pixel beside or below `[B, H, W]`, else 0."""
    squares = [(dot(a, a), dot(b, b)) for a, b in _steps(point)]
    beside, below = (torch.maximum(*two) > _JUMP * torch.minimum(*two) for two in squares)
    return torch.where(beside | below, 1.0, 0.0).to(point.dtype)


def _steps(f: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Changes of f `[..., H, W]` to the left and right of pixels, and above and below them."""
    across, down = f[..., 1:] - f[..., :-1], f[..., 1:, :] - f[..., :-1, :]
    left, right = (
        torch.cat((across[..., :1], across), -1),
        torch.cat((across, across[..., -1:]), -1),
    )
    top, bottom = torch.cat((down[..., :1, :], down), -2), torch.cat((down, down[..., -1:, :]), -2)
    return (left, right), (top, bottom)


def _untorn(before: Tensor, after: Tensor) -> Tensor:
    """The sum of two steps, or twice the one beside which the other is a jump."""
    one, other = dot(before, before), dot(after, after)
    both = torch.where(other > _JUMP * one, 2 * before, before + after)
    return torch.where(one > _JUMP * other, 2 * after, both)


def coverage(f: Tensor) -> Tensor:
    """Return the share of each pixel `[B, H, W]` in which the implicit function f is positive.

    Exact for straight edges to first order: f over its change across a pixel.
    """
    dx, dy = twice_slopes(f)
    steep = (dx * dx).addcmul_(dy, dy).clamp_(min=4e-8).sqrt_()
    return (2 * f / steep).add_(0.5).clamp_(0, 1)


# The face: a height h(u, v) toward the viewer


def face_height(p: EyeParams, u: Tensor, v: Tensor) -> Tensor:
    """Return the height `h` mm of the face above the eyeball's centre at (u, v) `[B, H, W]` mm.

    Symmetric about the head's mid-sagittal plane, `ipd` / 2 nasal of the eye, without a kink there:
    both eyes of a face lie under one surface.
    """
    u = _folded(0.5 * p.ipd, u)
    brow = ramp(torch.add(v, u.clamp(max=8), alpha=0.2), 12, 3)
    low = _below_root(v)
    nose = ramp(torch.addcmul(u, p.nose_slant, low), p.nose_at, 3)
    rise = torch.addcmul(p.nose_rise, p.nose_slope, low)
    height = torch.addcmul(p.orbit_depth, p.brow_ridge, brow).addcmul_(p.cheek, ramp(v, -13, -3))
    height.addcmul_(rise, torch.addcmul(nose, p.nose_root * nose, brow, value=-1))
    beside = (u + 14).clamp_(max=0)
    height.addcmul_(beside, beside, value=-0.012).addcmul_(p.orbit_tilt, u)
    x, y = u * (1 / p.dome_width), (v + 0.5) * (1 / p.dome_height)
    height.addcmul_(p.eyeball_radius + p.lid_thickness - p.orbit_depth, bump(x, y))
    return height.clamp_(-_HIGHEST, _HIGHEST)


def _below_root(v: Tensor) -> Tensor:
    """How far below the nose's root points are, mm, ever less of it; 0 above, without a kink."""
    down = _ROOT - v
    low = torch.addcmul(v.new_tensor(_ROOT * _ROOT), down, down).sqrt_() + down
    return low / torch.add(2, low, alpha=1 / _TIP)


def _folded(middle: Tensor, u: Tensor) -> Tensor:
    """Turn u back at the middle of the face, over a ridge `_BRIDGE` mm round."""
    away = middle - u
    bridge = away.new_tensor(_BRIDGE * _BRIDGE)
    return torch.sub(middle, torch.addcmul(bridge, away, away).sqrt_())


@dataclass(frozen=True)
class Rays:
    """Lines of sight: points `at + t * way`, with `way` of unit depth."""

    at: Tensor
    """[3, B, H, W] where each ray crosses the plane through the eyeball's centre, mm."""
    way: Tensor
    """[3, B, H, W]"""


@dataclass(frozen=True)
class FaceHit:
    """Where rays meet the face."""

    u: Tensor
    v: Tensor
    height: Tensor
    """mm above the eyeball's centre, as `face_height` has it."""
    point: Tensor
    """[3, B, H, W] mm, camera axes."""


def hit_face(
    p: EyeParams,
    head: Tensor,
    r: Rays,
    profile: Tensor | None = None,
    fine: int = 1,
    steep: bool = False,
) -> FaceHit:
    """Meet the face by secant steps on its height field, `fine` times as many as pixels get.

    `profile` `[B, 1, 1]` marks eyes so far from the camera's axis that the nose or the brow may
    hide what lies behind; their rays are followed from above, in smaller steps past noses that
    rise. A compiler, which cannot ask which do, is told by `steep` that some may.
    """
    at, way = to_frame(head, r.at), to_frame(head, r.way)
    into = way[2].clamp(min=_GRAZING)
    slope_x, slope_y = way[0] / into, way[1] / into
    x0, v0 = at[0] - at[2] * slope_x, at[2] * slope_y - at[1]
    u0, slope_u = p.side * x0, -p.side * slope_x

    ray = (u0, slope_u, v0, slope_y)
    height = partial(_height_along, p, ray)
    before = (p.eyeball_radius * 0.8).expand_as(x0)
    met = height(before)
    found = _secant(height, (before, met, met), _SECANT)
    h = _settled(p, ray, found, fine - 1)
    if profile is not None and tracing():  # which cannot ask who is marked
        h = torch.where(profile, _marched(p, ray, h, _MARCH * fine, steep), h)
    elif profile is not None:
        rises = profile & (p.nose_slope > 0)
        for marked, often in ((profile & ~rises, False), (rises, True)):
            if bool(marked.any()):
                some = marked.flatten().nonzero().flatten()
                rays = [part[some] for part in ray]
                first = _marched(p[some], rays, h[some], _MARCH * fine, often)
                h = h.index_copy(0, some, first)
    u, v = torch.addcmul(u0, h, slope_u), torch.addcmul(v0, h, slope_y)
    return FaceHit(u, v, h, from_frame(head, torch.stack((p.side * u, -v, -h))))


Steps = tuple[Tensor, Tensor, Tensor]
"""The place `[B, H, W]` before the last, the height there, and the last place."""


def _secant(height: Callable[[Tensor], Tensor], found: Steps, steps: int) -> Steps:
    before, met, h = found
    for _ in range(steps):
        now = height(h)
        change = h - before
        steep = ((now - met) / torch.where(change.abs() < 1e-3, 1e-3, change)).clamp(-2, 0.7)
        step = torch.addcmul(now, steep, h, value=-1) / (1 - steep)
        before, met, h = h, now, step.clamp(-_HIGHEST, _HIGHEST)
    return before, met, h


def _settled(p: EyeParams, ray: Sequence[Tensor], found: Steps, rounds: int) -> Tensor:
    """Return the last places, after more rounds for eyes of which a ray has not come to rest."""
    moved = (found[2] - found[0]).abs() > _REST
    if rounds == 0 or not bool(moved.any()):
        return found[2]
    left = moved.flatten(1).any(1).nonzero().flatten()
    some, rays = p[left], [part[left] for part in ray]
    before, met, h = (part[left] for part in found)
    further = _secant(partial(_height_along, some, rays), (before, met, h), _SECANT)
    return found[2].index_copy(0, left, _settled(some, rays, further, rounds - 1))


def _height_along(p: EyeParams, ray: Sequence[Tensor], h: Tensor) -> Tensor:
    """Height of the face where a ray, u and its change and v and its change, is at height h."""
    u, slope_u, v, slope_v = ray
    return face_height(p, torch.addcmul(u, h, slope_u), torch.addcmul(v, h, slope_v))


def _marched(p: EyeParams, ray: Sequence[Tensor], h: Tensor, steps: int, steep: bool) -> Tensor:
    """Return the heights at which rays that meet the face near h first meet it, past the nose."""
    height = partial(_height_along, p, ray)
    if steep:
        there = (height(h) - h).abs() < _ASTRAY
        steps, h = _STEEP * steps, torch.where(there, h, p.eyeball_radius * 0.8)
    nasal = torch.addcmul(ray[0], h, ray[1]) > 0
    return _first(p, height, h, nasal, steps)


def _first(
    p: EyeParams, height: Callable[[Tensor], Tensor], h: Tensor, nasal: Tensor, steps: int
) -> Tensor:
    """Return the height `[B, H, W]` at which rays first meet the face that meet it near h too.

    They are followed in `steps` from as far up as nose and brow rise; what is thinner than a step
    can be missed. Where `nasal`, they go on a little below h, which may lie beside the nose's steep
    face; the temple, which they touch at a slant, is better taken as it was found.
    """
    step = (p.nose_rise + 20 * p.nose_slope + p.brow_ridge + 4) / steps
    low, high, low_in, high_in = h, h, torch.ones_like(h), torch.ones_like(h)
    hidden = torch.zeros_like(h, dtype=torch.bool)
    above = -torch.ones_like(h)
    for k in range(steps, -_BELOW * steps // _MARCH - 1, -1):
        at = h + k * step
        inside = height(at) - at
        enters = (inside > 0) & ~hidden
        enters = enters if k > 0 else enters & nasal
        low, high = torch.where(enters, at, low), torch.where(enters, at + step, high)
        low_in, high_in = torch.where(enters, inside, low_in), torch.where(enters, above, high_in)
        hidden, above = hidden | enters, inside
    for _ in range(_FALSI):
        share = low_in / (low_in - high_in).clamp(min=_TINY)
        at = low + (high - low) * share.clamp(0, 1)
        inside = height(at) - at
        deep = inside > 0
        low, low_in = torch.where(deep, at, low), torch.where(deep, inside, low_in)
        high, high_in = torch.where(deep, high, at), torch.where(deep, high_in, inside)
    return torch.where(hidden, at, h)

"""Outlines in the image: ellipses through points, and boxes around what outlines share.

Everything here is element by element, so that an eye's bits do not depend on its batch;
`torch.linalg` and torch's sums do not promise that.
"""

import math

import torch
from torch import Tensor

from gazegan.render import elementary

_TOGETHER = 512
"""Outlines laid over each other at a time; what more of them need leaves the processor's cache."""
_THIN = 1e-9
"""Floor of a standard deviation, px; keeps the fit finite where an outline is seen edge on."""


def fit_ellipse(points: Tensor) -> Tensor:
    """Return ellipses `[..., 5]` through points `[..., N, 2]` px, N a power of two.

    An ellipse is (cx, cy, semi-major, semi-minor, angle) as `EyeBatch.ellipses` has it. Least
    squares of the conic Ax^2 + Bxy + Cy^2 + Dx + Ey = 1 in float64, in coordinates in which the
    points have unit covariance, so that thin ellipses fit as well as circles. Where the best
    conic is no ellipse, that of the points' covariance is returned.
    """
    exact = points.double()
    middle = _mean(exact)
    lower = _cholesky(exact - middle[..., None, :])
    form, linear = _conic(_whitened(exact - middle[..., None, :], lower))
    centre, spread = _centred(form, linear)
    a, b, c = lower
    x, y = centre.unbind(-1)
    cx, cy = middle[..., 0] + a * x, middle[..., 1] + b * x + c * y
    xx, xy, yy = spread.unbind(-1)
    back = (a * a * xx, a * (b * xx + c * xy), b * b * xx + 2 * b * c * xy + c * c * yy)
    return torch.stack((cx, cy, *_axes(*back)), -1).to(points.dtype)


def _mean(values: Tensor) -> Tensor:
    """Mean over the second last axis, whose length is a power of two, by halving."""
    count = values.shape[-2]
    while values.shape[-2] > 1:
        half = values.shape[-2] // 2
        values = values[..., :half, :] + values[..., half:, :]
    return values[..., 0, :] / count


def _cholesky(points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Lower triangle (a, b, c) of the Cholesky factor of the covariance of centred points."""
    x, y = points.unbind(-1)
    xx, xy, yy = _mean(torch.stack((x * x, x * y, y * y), -1)).unbind(-1)
    a = xx.sqrt().clamp(min=_THIN)
    b = xy / a
    return a, b, (yy - b * b).clamp(min=_THIN**2).sqrt()


def _whitened(points: Tensor, lower: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    a, b, c = (side[..., None] for side in lower)
    x = points[..., 0] / a
    return torch.stack((x, (points[..., 1] - b * x) / c), -1)


def _conic(points: Tensor) -> tuple[Tensor, Tensor]:
    """Fit Ax^2 + Bxy + Cy^2 + Dx + Ey = 1: (A, B / 2, C) `[..., 3]` and (D, E) `[..., 2]`."""
    x, y = points.unbind(-1)
    rows = torch.stack((x * x, x * y, y * y, x, y, torch.ones_like(x)), -1)
    products = rows[..., :5, None] * rows[..., None, :]
    normal = _mean(products.flatten(-2)).reshape(*points.shape[:-2], 5, 6)
    solution = _solve(normal)
    halve = solution.new_tensor((1.0, 0.5, 1.0))
    return solution[..., :3] * halve, solution[..., 3:]


def _solve(system: Tensor) -> Tensor:
    """Solve positive definite systems `[..., n, n + 1]`, right side last, by Gauss-Jordan steps."""
    n = system.shape[-2]
    unit = torch.eye(n, dtype=system.dtype, device=system.device)
    for k in range(n):
        row = system[..., k : k + 1, :] / system[..., k : k + 1, k : k + 1]
        system = system - (system[..., k : k + 1] - unit[:, k : k + 1]) * row
    return system[..., n]


def _centred(form: Tensor, linear: Tensor) -> tuple[Tensor, Tensor]:
    """Centre `[..., 2]` and matrix (xx, xy, yy) `[..., 3]` of a conic.

    The ellipse is the points c + u with u^T M^-1 u = 1.
    """
    (a, b, c), (d, e) = form.unbind(-1), linear.unbind(-1)
    det = a * c - b * b
    good = (det > 0) & (a > 0)
    safe = torch.where(good, det, 1.0)
    x, y = (b * e - c * d) / (2 * safe), (b * d - a * e) / (2 * safe)
    level = 1 - 0.5 * (d * x + e * y)
    spread = torch.stack((c, -b, a), -1) * (level / safe)[..., None]
    circle = spread.new_tensor((2.0, 0.0, 2.0))  # whose points have unit covariance
    keep = good[..., None]
    return torch.where(keep, torch.stack((x, y), -1), 0.0), torch.where(keep, spread, circle)


def _axes(xx: Tensor, xy: Tensor, yy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Semi-major, semi-minor and angle 0..pi rad of the ellipse u^T M^-1 u = 1, y down."""
    mean, cos, sin = 0.5 * (xx + yy), 0.5 * (xx - yy), -xy
    major = mean + (cos * cos + sin * sin).sqrt()
    minor = (xx * yy - xy * xy).clamp(min=0) / major
    angle = 0.5 * elementary.angle(cos / mean, sin / mean)
    return major.sqrt(), minor.sqrt(), torch.where(angle < 0, angle + math.pi, angle)


Plane = tuple[Tensor, ...]
"""x and y `[..., N]` of points: side by side they are read faster than by turns."""


def box_around(points: Tensor) -> Tensor:
    """Return the smallest boxes (x0, y0, x1, y1) `[..., 4]` around points `[..., N, 2]`."""
    return torch.cat((points.amin(-2), points.amax(-2)), -1)


def box_of_overlap(a: Tensor, b: Tensor) -> Tensor:
    """Return the smallest boxes `[B, 4]` around what polygons `[B, N, 2]`, `[B, M, 2]` share.

    All zero where they share nothing. The corners of what they share are corners of one within
    the other, and crossings of their sides.
    """
    parts = zip(torch.split(a, _TOGETHER), torch.split(b, _TOGETHER), strict=True)
    return torch.cat([_box_of_overlap(one, other) for one, other in parts])


def _box_of_overlap(a: Tensor, b: Tensor) -> Tensor:
    one, other = (tuple(part.contiguous() for part in p.unbind(-1)) for p in (a, b))
    crossing, met = _crossings(one, other)
    shared = torch.cat((_inside(one, other), _inside(other, one), met.flatten(-2)), -1)
    ends = []
    for of_a, of_b, of_both in zip(one, other, crossing, strict=True):
        places = torch.cat((of_a, of_b, of_both.flatten(-2)), -1)
        far = torch.finfo(places.dtype).max
        ends.append(torch.where(shared, places, far).amin(-1))
        ends.append(torch.where(shared, places, -far).amax(-1))
    left, right, top, bottom = ends
    box = torch.stack((left, top, right, bottom), -1)
    return torch.where(shared.any(-1, keepdim=True), box, 0.0)


def _following(polygon: Plane) -> Plane:
    """The corners at the other ends of a polygon's sides."""
    x, y = (torch.cat((part[..., 1:], part[..., :1]), -1) for part in polygon)
    return x, y


def _inside(points: Plane, polygon: Plane) -> Tensor:
    """Whether points lie within a polygon, as `[..., N]`: an odd count of sides."""
    x0, y0, x1, y1 = (part[..., None, :] for part in (*polygon, *_following(polygon)))
    x, y = (part[..., :, None] for part in points)
    spans = (y0 > y) != (y1 > y)
    slope = (x1 - x0) / torch.where(y1 == y0, 1.0, y1 - y0)
    return (spans & (slope * (y - y0) + x0 > x)).sum(-1) % 2 == 1


def _crossings(a: Plane, b: Plane) -> tuple[Plane, Tensor]:
    """Where the sides of two polygons cross, `[..., N, M]` each, and whether they do."""
    (px, py), (rx, ry) = ([part[..., None] for part in a], [part[..., None, :] for part in b])
    qx, qy = (part[..., None] for part in _following(a))
    sx, sy = (part[..., None, :] for part in _following(b))
    along, across = (qx - px, qy - py), (sx - rx, sy - ry)
    between = (rx - px, ry - py)
    turn = _cross(along, across)
    safe = 1 / torch.where(turn == 0, 1.0, turn)
    t, w = _cross(between, across) * safe, _cross(between, along) * safe
    met = (turn != 0) & (torch.minimum(t, w) >= 0) & (torch.maximum(t, w) <= 1)
    return (px + t * along[0], py + t * along[1]), met


def _cross(a: Plane, b: Plane) -> Tensor:
    return torch.addcmul(a[0] * b[1], a[1], b[0], value=-1)

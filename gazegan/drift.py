"""How far a refinement moved the pupil: the price at which realism was bought."""

import torch
import torch.nn.functional as F
from torch import Tensor

from gazegan.schema import MASKS

_BALL = ("sclera", "iris", "pupil", "glint")
_STEPS = 3
_LEAST_STRUCTURE = 1e-3
_LEAST_PIXELS = 12


def eye_region(masks: Tensor, margin: int) -> Tensor:
    """Return iris and pupil `[B, H, W]` of masks `[B, K, H, W]`, grown by `margin` pixels.

    Pixels count only where the eyeball is bare, so that lashes and lids do not pose as pupil.
    """
    part = dict(zip(MASKS, masks.unbind(1), strict=True))
    iris = part["iris"] + part["pupil"]
    grown = F.max_pool2d(iris[:, None], 2 * margin + 1, stride=1, padding=margin)[:, 0]
    return grown * torch.stack([part[name] for name in _BALL]).sum(0)


def pupil_shift(raw: Tensor, refined: Tensor, masks: Tensor, margin: int = 2) -> Tensor:
    """Return how far (x, y) `[B, 2]` px pupil and iris moved from raw to refined.

    Images are `[B, C, H, W]` in 0..1 and share the masks `[B, K, H, W]` of the raw ones. Registers
    iris and pupil by least squares (Lucas & Kanade, IJCAI 1981), together with a gain, an offset
    and a gradient of light, so that a change of light is not taken for movement. Shifts beyond
    about 2 px are underestimated. Eyes too closed or too flat to be located give NaN; those of
    which the refinement has left nothing that could be, infinity.
    """
    grey, target = raw.mean(1).double(), refined.mean(1).double()
    region = eye_region(masks, margin).double()
    shift = torch.zeros(len(raw), 2, dtype=torch.float64, device=raw.device)
    for _ in range(_STEPS):
        shift = shift + _step(_moved(grey, shift), target, region).clamp(-1, 1)
    enough = (region.sum((1, 2)) >= _LEAST_PIXELS) & (_structure(grey, region) > _LEAST_STRUCTURE)
    lost = _structure(target, region) <= _LEAST_STRUCTURE
    shift = torch.where(lost[:, None], torch.inf, shift)
    return torch.where(enough[:, None], shift, torch.nan).to(raw.dtype)


def _moved(grey: Tensor, shift: Tensor) -> Tensor:
    """Images `[B, H, W]` with their content moved by `shift` `[B, 2]` px."""
    height, width = grey.shape[1:]
    theta = torch.eye(2, 3, dtype=grey.dtype, device=grey.device).repeat(len(grey), 1, 1)
    theta[:, :, 2] = -2 * shift / shift.new_tensor((width, height))
    grid = F.affine_grid(theta, [len(grey), 1, height, width], align_corners=False)
    sampled = F.grid_sample(
        grey[:, None], grid, mode="bicubic", padding_mode="border", align_corners=False
    )
    return sampled[:, 0]


def _step(grey: Tensor, target: Tensor, region: Tensor) -> Tensor:
    """The shift `[B, 2]` px that takes `grey` nearest to `target`, to first order."""
    height, width = grey.shape[1:]
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height, dtype=grey.dtype, device=grey.device),
        torch.linspace(-1, 1, width, dtype=grey.dtype, device=grey.device),
        indexing="ij",
    )
    down, right = torch.gradient(grey, dim=(1, 2))
    columns = [grey, torch.ones_like(grey), x.expand_as(grey), y.expand_as(grey), right, down]
    a = torch.stack(columns, -1).flatten(1, 2)
    weighted = a * region.flatten(1)[..., None]
    normal = weighted.mT @ a
    normal = normal + 1e-6 * torch.eye(6, dtype=grey.dtype, device=grey.device)
    found = torch.linalg.solve(normal, weighted.mT @ target.flatten(1)[..., None])[..., 0]
    gain = found[:, :1]
    step: Tensor = -found[:, 4:] / torch.where(gain.abs() < 0.05, torch.inf, gain)
    return step


def _structure(grey: Tensor, region: Tensor) -> Tensor:
    """The weaker axis' spread of slopes `[B]` in the region: near 0 where nothing can be seen."""
    slopes = torch.stack(torch.gradient(grey, dim=(1, 2)), 1).flatten(2)
    weighted = slopes * region.flatten(1)[:, None]
    tensor = weighted @ slopes.mT / region.sum((1, 2)).clamp_min(1e-6)[:, None, None]
    weaker: Tensor = torch.linalg.eigvalsh(tensor)[:, 0].clamp(min=0).sqrt()
    return weaker


def summary(shift_px: Tensor) -> dict[str, float]:
    """Return median, 95th percentile and located share of shifts `[N]` px.

    Those that are not finite count as not located.
    """
    known = shift_px[shift_px.isfinite()].double()
    if not len(known):
        return {"located": 0.0}
    return {
        "median_px": known.median().item(),
        "p95_px": known.quantile(0.95).item(),
        "located": len(known) / len(shift_px),
    }

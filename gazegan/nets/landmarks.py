"""Landmarks as a gaze network reads them: ordered by the image, placed and sized by the canthi."""

import torch
from torch import Tensor

from gazegan.schema import LANDMARKS

READ = tuple(name for name in LANDMARKS if not name.startswith("caruncle"))
"""Landmarks that are read. The caruncle is left out: it jumps from side to side with the eye's."""

_KEPT = [LANDMARKS.index(name) for name in READ]
_LID, _IRIS = READ.index("lid_00"), READ.index("iris_00")
_CANTHI = (_LID, _LID + 8)
_ACROSS = [
    *range(_LID),
    *(_LID + (8 - i) % 16 for i in range(16)),
    *(_IRIS + (16 - i) % 32 for i in range(32)),
]
"""Where a landmark of the mirror image is found; both go round the other way."""
_LEAST = 0.1
"""Of the canthi's distance, in widths of the image: a network that knows nothing says 0."""

_REACH = 1.2
"""Of the sides of the image: landmarks may lie a little beyond."""


def by_image(landmarks: Tensor) -> Tensor:
    """Return those of landmarks `[B, len(LANDMARKS), 2]` that are read, `[B, len(READ), 2]`.

    As if every inner canthus lay at the image's left, and named so that a point's place is always
    about the same: an eye's side, which is hard to see, changes nothing.
    """
    read = landmarks[:, _KEPT]
    inner, outer = read[:, _CANTHI[0], 0], read[:, _CANTHI[1], 0]
    return torch.where((inner > outer)[:, None, None], across(read), read)


def across(points: Tensor) -> Tensor:
    """Return points `[B, len(READ), 2]` in the order of their mirror images; none is moved."""
    return points[:, _ACROSS]


def in_widths(points: Tensor, size: tuple[int, int]) -> Tensor:
    """Turn px `[..., 2]` in images of (height, width) px into widths from the image's middle."""
    return (points - points.new_tensor((size[1] / 2, size[0] / 2))) / size[1]


def expected_place(heat: Tensor, size: tuple[int, int]) -> Tensor:
    """Return where maps `[B, L, h, w]` lie on average, as points `[B, L, 2]` in widths.

    Maps are log probabilities up to a constant, of an image of (height, width) px: integral
    regression (Sun et al., ECCV 2018, equation 2). They reach a tenth beyond the image's sides.
    """
    # Where layers run in half precision, places still need more.
    heat = heat.to(torch.promote_types(heat.dtype, torch.float32))
    rows, columns = (
        _REACH * ((torch.arange(n, device=heat.device, dtype=heat.dtype) + 0.5) / n - 0.5)
        for n in heat.shape[-2:]
    )
    x, y = torch.meshgrid(columns, rows * (size[0] / size[1]), indexing="xy")
    places = torch.stack((x.flatten(), y.flatten()), dim=1)
    found: Tensor = (heat.flatten(2).softmax(2)[..., None] * places).sum(2)
    return found


def normalise(points: Tensor) -> Tensor:
    """Return points `[B, len(READ), 2]`, in widths, as `[B, 2 len(READ)]` for a perceptron.

    From halfway between the canthi, in units of their distance: free of where an eye lies and how
    large it is.
    """
    left, right = points[:, _CANTHI[0]], points[:, _CANTHI[1]]
    distance = (right - left).norm(dim=-1).clamp(min=_LEAST)
    placed: Tensor = (points - (left + right)[:, None] / 2) / distance[:, None, None]
    return placed.flatten(1)

"""How a refiner does while it is trained, measured on fixed eyes."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from gazegan.compare import alike, likeness
from gazegan.drift import pupil_shift, summary
from gazegan.geometry import angular_error_deg
from gazegan.modes import evaluating
from gazegan.nets.features import RandomFeatures, last_hidden
from gazegan.nets.refiner import Refiner
from gazegan.nets.regressor import Regressor
from gazegan.schema import EyeBatch
from gazegan.train.loop import Images, Scalars
from gazegan.train.setup import stack_rows

_SHOWN = 12
_LEAST_COMPARED = 16


def assess(
    refiner: Refiner, seed: int, raw: EyeBatch, real: EyeBatch, judge: Regressor | None = None
) -> tuple[Scalars, Images]:
    """Refine fixed eyes: how far pupils moved, how like photographs they are, raw ones beside them.

    With a frozen gaze network as `judge`, also how far its answers moved, and how like photographs
    the eyes seem by its features. The images are a grid of raw above refined above real eyes.
    """
    with evaluating(refiner), torch.no_grad():
        after = refiner(raw.image)
    scalars = {"change": float((after - raw.image).abs().mean())}
    if raw.masks is not None:
        shift = pupil_shift(raw.image, after, raw.masks).norm(dim=1)
        scalars |= {f"pupil_shift/{name}": value for name, value in summary(shift).items()}
    images = {"raw": raw.image, "refined": after}
    features = RandomFeatures(raw.image.shape[1]).to(raw.image.device)
    scalars |= likenesses(images, real.image, seed, features, "likeness")
    if judge is not None:
        with torch.no_grad():
            moved = angular_error_deg(judge(raw.image), judge(after))
        scalars |= {"gaze_shift/median_deg": float(moved.median())}
        scalars |= {"gaze_shift/p95_deg": float(moved.quantile(0.95))}
        scalars |= likenesses(images, real.image, seed, partial(last_hidden, judge), "judged")
    shown = min(_SHOWN, len(raw), len(real))
    rows = (image[:shown] for image in (raw.image, after, real.image))
    return scalars, {"raw_refined_real": stack_rows(*rows)}


def likenesses(
    images: dict[str, Tensor],
    real: Tensor,
    seed: int,
    features: Callable[[Tensor], Tensor],
    prefix: str,
) -> Scalars:
    """Return the measures of `compare` for images `[N, C, H, W]` by name.

    There are none where images are too few, or the `real` ones all alike.
    """
    if min(len(real), *(len(image) for image in images.values())) < _LEAST_COMPARED:
        return {}
    with torch.no_grad():
        true = features(real).cpu()
        if alike(true):
            return {}
        found = {name: likeness(features(some).cpu(), true, seed) for name, some in images.items()}
    return {
        f"{prefix}/{name}_{measure}": getattr(one, measure)
        for name, one in found.items()
        for measure in ("sliced_wasserstein", "kernel_distance", "auc")
    }

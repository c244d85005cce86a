"""How a refiner does while it is trained, measured on fixed eyes."""

import torch
from torch import Tensor

from gazegan.compare import likeness
from gazegan.drift import pupil_shift, summary
from gazegan.modes import evaluating
from gazegan.nets.features import RandomFeatures
from gazegan.nets.refiner import Refiner
from gazegan.schema import EyeBatch
from gazegan.train.loop import Images, Scalars
from gazegan.train.setup import stack_rows

_SHOWN = 12
_LEAST_COMPARED = 16


def assess(refiner: Refiner, seed: int, raw: EyeBatch, real: EyeBatch) -> tuple[Scalars, Images]:
    """Refine fixed eyes: how far pupils moved, how like photographs they are, raw ones beside them.

    The images are a grid of raw above refined above real eyes.
    """
    with evaluating(refiner), torch.no_grad():
        after = refiner(raw.image)
    scalars = {"change": float((after - raw.image).abs().mean())}
    if raw.masks is not None:
        shift = pupil_shift(raw.image, after, raw.masks).norm(dim=1)
        scalars |= {f"pupil_shift/{name}": value for name, value in summary(shift).items()}
    scalars |= likenesses({"raw": raw.image, "refined": after}, real.image, seed)
    shown = min(_SHOWN, len(raw), len(real))
    rows = (image[:shown] for image in (raw.image, after, real.image))
    return scalars, {"raw_refined_real": stack_rows(*rows)}


def likenesses(images: dict[str, Tensor], real: Tensor, seed: int) -> Scalars:
    """Return the measures of `compare` for images `[N, C, H, W]` by name; none where too few."""
    if min(len(real), *(len(image) for image in images.values())) < _LEAST_COMPARED:
        return {}
    network = RandomFeatures(real.shape[1]).to(real.device)
    with torch.no_grad():
        true = network(real).cpu()
        found = {name: likeness(network(image).cpu(), true, seed) for name, image in images.items()}
    return {
        f"likeness/{name}_{measure}": getattr(one, measure)
        for name, one in found.items()
        for measure in ("sliced_wasserstein", "kernel_distance", "auc")
    }

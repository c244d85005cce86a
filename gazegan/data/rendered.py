"""A recipe's eyes, written to a store with every label."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from gazegan.data.manifest import Manifest
from gazegan.data.store import Store, write_store
from gazegan.modes import one_thread
from gazegan.render.params import PARAM_NAMES
from gazegan.render.prior import Recipe
from gazegan.render.scene import Renderer, render, render_indices
from gazegan.schema import LANDMARKS, MASKS, EyeBatch


def write_rendered(
    recipe: Recipe,
    seed: int,
    count: int,
    out: Path,
    device: str = "cpu",
    progress: Callable[[int], None] | None = None,
    renderer: Renderer = render,
    workers: int = 1,
) -> Store:
    """Render the first `count` eyes of a recipe into a store; resumed by repeating.

    `progress` receives the number of images of each finished shard. The store notes whether
    `renderer` is another than the plain one, whose bits its images then do not have. Several
    `workers` are processes of the plain renderer; the bytes are those of one. Raises UserError
    where `out` holds something else.
    """
    plan = Manifest(
        kind="rendered",
        count=count,
        channels=recipe.image.channels,
        height=recipe.image.height,
        width=recipe.image.width,
        recipe=recipe.model_dump(mode="json"),
        seed=seed,
        masks=MASKS,
        landmarks=LANDMARKS,
        param_names=PARAM_NAMES,
        notes={"compiled": renderer is not render},
    )

    make = partial(_eyes, plan.recipe, seed, device, renderer)
    with one_thread():
        return write_store(out, plan, make, progress=progress, workers=workers)


def _eyes(
    recipe: dict[str, Any] | None, seed: int, device: str, renderer: Renderer, indices: range
) -> EyeBatch:
    """Render eyes; the recipe as plain values, which other processes can be sent."""
    valid = Recipe.model_validate(recipe)
    return render_indices(valid, seed, torch.as_tensor(indices), device, renderer).to("cpu")

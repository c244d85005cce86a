"""A recipe's eyes, written to a store with every label."""

from collections.abc import Callable
from pathlib import Path

import torch

from gazegan.data.manifest import Manifest
from gazegan.data.store import Store, write_store
from gazegan.modes import one_thread
from gazegan.render.params import PARAM_NAMES
from gazegan.render.prior import Recipe, pinned
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
) -> Store:
    """Render the first `count` eyes of a recipe into a store; resumed by repeating.

    `progress` receives the number of images of each finished shard. The store notes whether
    `renderer` is another than the plain one, whose bits its images then do not have. Raises
    UserError where `out` holds something else.
    """
    recipe = pinned(recipe)
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

    def make(indices: range) -> EyeBatch:
        return render_indices(recipe, seed, torch.as_tensor(indices), device, renderer).to("cpu")

    with one_thread():
        return write_store(out, plan, make, progress=progress)

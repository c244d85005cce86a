"""A recipe's eyes, written to a store with every label."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from gazegan.data.manifest import Manifest
from gazegan.data.store import Store, open_store
from gazegan.data.workers import write_by_workers
from gazegan.data.writing import Make, Share, Write, fill, fill_share, sized, write_here
from gazegan.modes import one_thread
from gazegan.render.params import PARAM_NAMES
from gazegan.render.prior import Recipe, pinned
from gazegan.render.scene import Renderer, plainly, render_indices
from gazegan.schema import LANDMARKS, MASKS, EyeBatch

Progress = Callable[[int], None]


def plan_rendered(recipe: Recipe, seed: int, count: int, renderer: Renderer = plainly) -> Manifest:
    """Return the plan of a store of the first `count` eyes of a recipe.

    It notes whether `renderer` is another than the plain one, whose bits its images do not have.
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
        notes={"compiled": renderer is not plainly},
    )
    return sized(plan)


def write_rendered(
    recipe: Recipe,
    seed: int,
    count: int,
    out: Path,
    device: str = "cpu",
    progress: Progress | None = None,
    renderer: Renderer = plainly,
    workers: int = 1,
) -> Store:
    """Render the first `count` eyes of a recipe into a store; resumed by repeating.

    `progress` receives the number of images of each finished shard. More than one of `workers`
    are processes, each with the plain renderer or, where `renderer` is another, its own compiled
    one; the bytes are the same. Raises UserError where `out` holds something else, DataError
    naming a shard that cannot be written.
    """
    plan = plan_rendered(recipe, seed, count, renderer)
    with one_thread():
        fill(out, plan, _write(out, plan, device, renderer, workers), progress)
    return open_store(out)


def write_rendered_share(
    recipe: Recipe,
    seed: int,
    count: int,
    out: Path,
    share: Share,
    device: str = "cpu",
    progress: Progress | None = None,
    renderer: Renderer = plainly,
    workers: int = 1,
) -> Store | None:
    """Render one share (i, n) of the store's shards, beside jobs that render the others.

    Returns the store if every shard is there now, which finishes it; else None. Raises as
    `write_rendered` does.
    """
    plan = plan_rendered(recipe, seed, count, renderer)
    with one_thread():
        write = _write(out, plan, device, renderer, workers)
        finished = fill_share(out, plan, share, write, progress)
    return open_store(out) if finished else None


def make_rendered(plan: Manifest, device: str, renderer: Renderer) -> Make:
    """Return what makes the eyes of a rendered store's plan, range by range."""
    assert plan.seed is not None
    return partial(_eyes, Recipe.model_validate(plan.recipe), plan.seed, device, renderer)


def _eyes(recipe: Recipe, seed: int, device: str, renderer: Renderer, indices: range) -> EyeBatch:
    return render_indices(recipe, seed, torch.as_tensor(indices), device, renderer).to("cpu")


def _write(out: Path, plan: Manifest, device: str, renderer: Renderer, workers: int) -> Write:
    if workers == 1:
        return write_here(out, plan, make_rendered(plan, device, renderer))
    return partial(write_by_workers, out.absolute(), plan.model_dump(mode="json"), workers)

"""The statistics of what the shipped recipes draw: no broken, black, white or eyeless images."""

import pytest
import torch

from gazegan.render.crowd import render_scenes
from gazegan.render.prior import RECIPES, load_recipe
from gazegan.render.scene import render_indices

SHIPPED = [load_recipe(path) for path in sorted(RECIPES.glob("*.toml"))]
SCENES = [recipe.name for recipe in SHIPPED if recipe.image.framing == "scene"]


@pytest.mark.parametrize("name", [r.name for r in SHIPPED if r.name not in SCENES])
def test_a_thousand_eyes_of_each_recipe(name):
    recipe = load_recipe(name, ("image.height=24", "image.width=40"))
    batch = render_indices(recipe, 5, torch.arange(1000))
    assert torch.isfinite(batch.image).all() and torch.isfinite(batch.landmarks).all()
    mean = batch.image.mean((1, 2, 3))
    assert ((mean > 0.05) & (mean < 0.95)).float().mean() >= 0.99
    assert batch.image.std((1, 2, 3)).quantile(0.01) > 0.01
    iris = batch.masks[:, 2:].mean((1, 2, 3)) * 2
    assert (iris > 0.005).float().mean() > 0.95
    assert batch.visible[:, 0].float().mean() > 0.7
    inside = (batch.landmarks[:, 0] > 0) & (batch.landmarks[:, 0] < torch.tensor([40, 24]))
    assert inside.all(1).float().mean() > 0.98
    assert (batch.side == 0).float().mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("name", SCENES)
def test_forty_scenes_of_each_recipe(name):
    recipe = load_recipe(name, ("image.height=45", "image.width=60"))
    batch = render_scenes(recipe, 5, torch.arange(40))
    assert torch.isfinite(batch.image).all() and torch.isfinite(batch.landmarks).all()
    mean = batch.image.mean((1, 2, 3))
    assert ((mean > 0.05) & (mean < 0.95)).float().mean() >= 0.95
    eyes = batch.present
    assert eyes[:, 0].all() and 1.3 < float(eyes.sum(1).float().mean()) / 2 < 2.7
    at = batch.landmarks[eyes][:, 0]
    inside = (at > 0) & (at < torch.tensor([60, 45]))
    assert inside.all(1).float().mean() > 0.98
    wide = (batch.heads[..., 2] - batch.heads[..., 0])[eyes[:, ::2]]
    assert wide.min() < 0.5 * wide.max()  # several sizes

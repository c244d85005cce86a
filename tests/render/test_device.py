"""Rendering on a GPU: what is made where, checked without one, and with one where there is."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from gazegan.render import effects, sight, texture
from gazegan.render.compiled import compiled
from gazegan.render.params import EyeParams
from gazegan.render.prior import RECIPES, Recipe, load_recipe, sample
from gazegan.render.scene import chunk, render, render_indices

NAMES = sorted(file.stem for file in RECIPES.glob("*.toml") if file.stem != "crowd")
_no_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture
def unasked(monkeypatch):
    """Have tensors without values say no, and paint whole images; keep no table without values."""
    monkeypatch.setattr(FakeTensor, "__bool__", lambda _: False, raising=False)
    monkeypatch.setattr(sight, "_ends", lambda seen: (0, len(seen)))
    monkeypatch.setattr(texture, "_table", texture._table.__wrapped__)


@pytest.mark.parametrize("compiling", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_a_render_is_made_on_another_device(name, compiling, unasked, monkeypatch):
    """Tensors without values, of a device that need not exist, refuse to be mixed with others."""
    recipe = load_recipe(name)
    shape = sample(recipe, 0, torch.arange(2)).flat().shape
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: compiling)
    with FakeTensorMode(allow_non_fake_inputs=True):
        params = EyeParams.from_flat(torch.empty(shape, device="cuda"))
        seed = torch.empty(2, dtype=torch.int32, device="cuda")
        eyes = render(params, seed, recipe.image, effects.of_recipe(recipe))
    assert eyes.image.device.type == "cuda"
    assert eyes.gaze.device.type == "cuda"


def test_a_gpu_renders_more_at_once():
    image = Recipe().image
    assert chunk(image, "cuda") > chunk(image) == chunk(image, "cpu")


@_no_gpu
@pytest.mark.gpu
@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_renders_what_the_cpu_renders(name):
    recipe, indices = load_recipe(name), torch.arange(12)
    plain = render_indices(recipe, 0, indices)
    there = render_indices(recipe, 0, indices, "cuda").to("cpu")
    off = 255 * (there.image - plain.image).abs()
    assert float((off > 2).float().mean()) <= 1e-3
    torch.testing.assert_close(there.landmarks, plain.landmarks, atol=0.02, rtol=0)
    torch.testing.assert_close(there.gaze, plain.gaze, atol=1e-5, rtol=0)


@_no_gpu
@pytest.mark.gpu
@pytest.mark.parametrize("name", ["webcam", "studio", "portrait", "driver"])
def test_a_compiling_gpu_renders_what_the_cpu_renders(name):
    recipe, indices, said = load_recipe(name), torch.arange(60), []
    fast = compiled(recipe, "cuda", said.append)
    assert not said
    there = render_indices(recipe, 0, indices, "cuda", fast).to("cpu")
    plain = render_indices(recipe, 0, indices)
    off = 255 * (there.image - plain.image).abs()
    assert float((off > 2).float().mean()) <= 1e-3
    torch.testing.assert_close(there.masks, plain.masks, atol=0.05, rtol=0)

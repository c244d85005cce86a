"""Scenes that the tests of the renderer share."""

from dataclasses import replace

import torch

from gazegan import rng
from gazegan.render import camera, effects, landmarks, shape
from gazegan.render.params import PARAM_NAMES, EyeParams, mirrored
from gazegan.render.prior import Image, Recipe, load_recipe, sample

LARGE, SMALL = Image(height=96, width=160), Image(height=24, width=40)


def draw(count, recipe="webcam", seed=0, **constants):
    """Parameters and texture seeds of `count` eyes, some parameters held constant."""
    loaded = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    index = torch.arange(count)
    params = sample(loaded, seed, index)
    fixed = {name: torch.full((count,), float(value)) for name, value in constants.items()}
    return replace(params, **fixed), rng.bits(index, seed, "texture")


def double(params):
    return EyeParams.from_flat(params.flat().double())


def as_dict(params, i):
    return dict(zip(PARAM_NAMES, params.flat()[i].double().tolist(), strict=True))


def stage(params, image):
    """Per-pixel parameters, pose, camera and rays as `render` makes them."""
    needs, p = effects.of_params(params), shape.per_pixel(params)
    where = camera.pose(p, needs)
    view = camera.frame(p, where, image, needs, landmarks.six_points(p, where))
    return p, where, view, view.rays(image.height, image.width)


def swapped(params):
    """The faces whose image is the mirror image: the other eye of each comes first."""
    flat = mirrored(params).flat().unflatten(0, (-1, 2)).flip(1).flatten(0, 1)
    return EyeParams.from_flat(flat)

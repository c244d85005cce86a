"""A comparable eye: all that both tracers are given of it; it needs numpy alone."""

from dataclasses import dataclass

import numpy as np
from hairs import brow, lashes
from painted import Paint, paint
from shapes import Array, Eye, Row, model, pose

SAMPLES = 16
INDEX = 1.336
"""Refractive index behind the cornea, as in our renderer."""
MESHES = ("skin", "white", "iris", "pupil", "caruncle")
BITMAPS = ("skin", "white", "iris")
"""Meshes that have a bitmap."""


@dataclass(frozen=True)
class Detail:
    """How finely eyes are modelled for images of a size."""

    grid: tuple[int, int]
    """Rows and columns of the skin's vertices."""
    texels: int
    """Columns of the skin's bitmap."""
    fine: bool
    """Whether the brow has hairs; where they would not show it is painted, as ours is."""


def detail(width: int) -> Detail:
    """Return what images of a width, px, show: about a vertex for two pixels, and a texel each."""
    if width <= 64:  # as our `fine`
        return Detail((48, 80), 128, False)
    return Detail((72, 120), 256, True) if width <= 256 else Detail((96, 160), 512, True)


@dataclass(frozen=True)
class Made:
    """A new eye."""

    eye: Eye
    strands: dict[str, Array]
    """Hairs `[hairs, points, 4]` of the lashes, and of the brow where it has some."""
    colours: Paint


def made(p: Row, random: np.random.Generator, how: Detail) -> Made:
    """Make the eye of parameters `p`."""
    where = pose(p)
    strands = {"lashes": lashes(p, where, random)}
    if how.fine:
        strands["brow"] = brow(p, where, random)
    colours = paint(p, where, random, how.texels, how.fine)
    return Made(model(p, where, how.grid), strands, colours)

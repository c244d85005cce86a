"""What a recipe's ranges let happen: passes that can do nothing are left out, at no change of bits.

Each pass must return its input unchanged, to the last bit, for an eye whose parameters are
neutral; then an eye is the same in a batch that needs the pass and in one that does not.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from gazegan.render.panorama import Panorama
from gazegan.render.params import PARAM_NAMES, EyeParams
from gazegan.render.prior import Recipe
from gazegan.render.sensor import reach_of

Bounds = Callable[[str], tuple[float, float]]
"""Smallest and largest value of a parameter."""


@dataclass(frozen=True)
class Effects:
    """The passes that are needed, and how far they reach; constants while a recipe renders."""

    blur_reach: int
    """px, at least `sensor.reach_of` the widest blur."""
    stand: bool
    """The camera stands elsewhere than straight ahead."""
    distortion: bool
    """The lens distorts."""
    window: bool
    monitor: bool
    tears: bool
    """The tear film mirrors on the sclera too."""
    leds: int
    """The largest number of LEDs."""
    panorama: Panorama | None = None
    """Not a question of cost: what the recipe puts in the sky's place."""


def needed(bounds: Bounds) -> Effects:
    """Return what parameters within `bounds` need."""

    def used(*names: str) -> bool:
        return any(bounds(name) != (0, 0) for name in names)

    return Effects(
        blur_reach=reach_of(bounds("blur")[1]),
        stand=used("camera_azimuth", "camera_elevation", "camera_roll"),
        distortion=used("distortion_k1", "distortion_k2", "distortion_p1", "distortion_p2"),
        window=used("window_light"),
        monitor=used("monitor_light"),
        tears=used("tear_film"),
        leds=math.ceil(bounds("led_count")[1]) if used("led_light") else 0,
    )


def of_recipe(recipe: Recipe) -> Effects:
    """Return what the eyes of a recipe can need.

    Raises UserError where its panorama cannot be used.
    """
    return replace(needed(recipe.bounds), panorama=recipe.light.read())


def of_params(params: EyeParams) -> Effects:
    """Return what eyes of these parameters `[B]` need; reads their values, so it cannot trace."""
    low, high = (end.tolist() for end in params.flat().detach().aminmax(dim=0))
    places = {name: k for k, name in enumerate(PARAM_NAMES)}
    return needed(lambda name: (low[places[name]], high[places[name]]))

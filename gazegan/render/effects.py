"""What a recipe's ranges let happen: passes that can do nothing are left out, at no change of bits.

Each pass must return its input unchanged, to the last bit, for an eye whose parameters are
neutral; then an eye is the same in a batch that needs the pass and in one that does not.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from gazegan.render.panorama import Panorama
from gazegan.render.params import PARAM_NAMES, EyeParams
from gazegan.render.prior import Recipe

PROFILE = 28.0
"""Angle, deg, between a head's facing direction and the camera, beyond which the nose or the brow
may hide what lies behind them."""
_STEEPER = 22.0
"""How much sooner, deg, a nose does whose back rises by 1 mm per mm."""

Bounds = Callable[[str], tuple[float, float]]
"""Smallest and largest value of a parameter."""


@dataclass(frozen=True)
class Effects:
    """The passes that are needed, and how far they reach; constants while a recipe renders."""

    blur_reach: int
    """px, at least `reach_of` the widest blur."""
    motion_reach: int
    """px, at least half the longest motion; 0 where nothing moves."""
    profile: bool
    """A head may face so far past the camera that nose or brow hide something."""
    nose: bool
    """Noses rise below their roots."""
    stand: bool
    """The camera stands elsewhere than straight ahead."""
    distortion: bool
    """The lens distorts."""
    window: bool
    monitor: bool
    tears: bool
    """The tear film mirrors on the sclera too."""
    room: bool
    """The room has bright parts that are seen mirrored."""
    uneven: bool
    """Folds, lashes, brow, skin and white are not even."""
    furrows: bool
    """There are furrows along the lids."""
    soft: bool
    """The eyeball fades into the lids."""
    moist: bool
    """Margins and inner corner show pale, wet flesh."""
    orbit: bool
    """Shade and redness of the orbit have other places than usual."""
    leds: int
    """The largest number of LEDs."""
    shot_noise: bool
    balance: bool
    """The white balance is off."""
    hues: bool
    """The transfer curve keeps hues where it bends."""
    saturation: bool
    """Colours are told less or more strongly than they are."""
    jpeg: bool
    glasses: bool = True
    lens: bool = True
    """Glasses bend sight."""
    tint: bool = True
    """Glasses are tinted."""
    pads: bool = True
    """Glasses have pads beside the nose."""
    panorama: Panorama | None = None
    """Not a question of cost: what the recipe puts in the sky's place."""


def reach_of(sigma: float) -> int:
    """Return how many pixels away a Gaussian of `sigma` px still counts."""
    return max(1, math.ceil(2.5 * sigma))


def profile_at(p: EyeParams) -> Tensor:
    """Return the angle, deg, past the camera from which on noses or brows may hide something."""
    return PROFILE - _STEEPER * p.nose_slope.clamp(max=1)


def _turned(bounds: Bounds) -> float:
    """Bound, deg, on the angle between where heads face and where their camera stands."""

    def far(name: str) -> float:
        return max(map(abs, bounds(name)))

    turns = ("head_pitch", "head_yaw", "camera_azimuth", "camera_elevation")
    off = math.atan2(math.hypot(far("eye_x"), far("eye_y")), bounds("distance")[0])
    return sum(map(far, turns)) + math.degrees(off)


def needed(bounds: Bounds) -> Effects:
    """Return what parameters within `bounds` need."""

    def used(*names: str, neutral: float = 0) -> bool:
        return any(bounds(name) != (neutral, neutral) for name in names)

    return Effects(
        blur_reach=reach_of(bounds("blur")[1]),
        motion_reach=math.ceil(bounds("motion")[1] / 2),
        profile=_turned(bounds) > PROFILE - _STEEPER * min(1, bounds("nose_slope")[1]),
        nose=used("nose_slope"),
        stand=used("camera_azimuth", "camera_elevation", "camera_roll"),
        distortion=used("distortion_k1", "distortion_k2", "distortion_p1", "distortion_p2"),
        window=used("window_light"),
        monitor=used("monitor_light"),
        tears=used("tear_film"),
        room=used("room_glare"),
        uneven=used("uneven"),
        furrows=used("furrows"),
        soft=used("lid_soft"),
        moist=used("moist"),
        orbit=used("shade_bound", "canthal_shade", "under_red"),
        leds=math.ceil(bounds("led_count")[1]) if used("led_light") else 0,
        shot_noise=used("shot_noise"),
        balance=used("balance_red", "balance_blue", neutral=1),
        hues=used("hue_kept"),
        saturation=used("saturation", neutral=1),
        jpeg=used("jpeg"),
        glasses=used("glasses"),
        lens=used("glasses") and used("lens_power"),
        tint=used("glasses") and used("lens_tint"),
        pads=used("glasses") and used("rim_pads"),
    )


def of_recipe(recipe: Recipe) -> Effects:
    """Return what the eyes of a recipe can need.

    Raises UserError where its panorama cannot be used.
    """
    return replace(needed(recipe.bounds), panorama=recipe.light.read())


def kinds(needs: Effects) -> tuple[Effects, Effects, Effects]:
    """Return what three kinds of eyes need of `needs`: plain ones, those that wear glasses, others.

    Others are in profile, and may wear glasses too.
    """
    glasses = replace(needs, profile=False)
    return replace(glasses, glasses=False, lens=False, tint=False, pads=False), glasses, needs


def of_params(params: EyeParams) -> Effects:
    """Return what eyes of these parameters `[B]` need; reads their values, so it cannot trace."""
    low, high = (end.tolist() for end in params.flat().detach().aminmax(dim=0))
    places = {name: k for k, name in enumerate(PARAM_NAMES)}
    return needed(lambda name: (low[places[name]], high[places[name]]))

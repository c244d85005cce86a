"""Which populations of eyes are impossible, judged by the bounds of their parameters."""

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Extent:
    """What a parameter may be in a population: its smallest, median and largest value."""

    low: float
    middle: float
    high: float


def check(eyes: Mapping[str, Extent]) -> None:
    """Raise ValueError, naming field and cure, where an eye within the bounds cannot exist.

    The bounds are combined at their worst, except that the iris is held behind the limbus for the
    median eye alone: real chambers deepen with the cornea, parameters drawn apart do not. Lids
    cannot cross in a render, as `lids.margins` keeps the upper above the lower; bounds that would
    cross throughout are refused.
    """
    _check_cornea(eyes)
    _check_iris(eyes)
    upper, lower = eyes["upper_lid"].high, eyes["lower_lid"].high
    if upper + lower < 0:
        raise ValueError(
            f"upper_lid {upper:g} lies below lower_lid {-lower:g} throughout; "
            "raise either until they add to 0, a closed eye"
        )


def _check_cornea(eyes: Mapping[str, Extent]) -> None:
    eyeball, cornea, q = eyes["eyeball_radius"].low, eyes["cornea_radius"], eyes["asphericity"]
    limbus = eyes["limbus_radius"]
    if eyeball <= cornea.high:
        raise ValueError("cornea_radius must stay below eyeball_radius")
    if cornea.low**2 <= (1 + q.high) * limbus.high**2:
        raise ValueError(
            f"limbus_radius {limbus.high:g} lies past the equator of a cornea with cornea_radius "
            f"{cornea.low:g}, asphericity {q.high:g}; lower it, or raise cornea_radius"
        )
    for radius in (limbus.low, limbus.high):
        if depth(radius, cornea.high, q.low) <= depth(radius, eyeball, 0):
            raise ValueError(
                f"a cornea with cornea_radius {cornea.high:g}, asphericity {q.low:g} lies inside "
                f"the sclera of eyeball_radius {eyeball:g}; lower cornea_radius or raise the others"
            )


def _check_iris(eyes: Mapping[str, Extent]) -> None:
    aside = math.hypot(*(_largest(eyes[name]) for name in ("pupil_nasal", "pupil_up")))
    pupil, limbus = eyes["pupil_radius"], eyes["limbus_radius"]
    reach = pupil.high + aside
    if reach >= limbus.low:
        raise ValueError(
            f"pupil_radius {pupil.high:g}, decentred by {aside:.2g} mm, must stay below "
            f"limbus_radius {limbus.low:g}; lower it, pupil_nasal or pupil_up"
        )
    chamber, cornea, q = eyes["chamber_depth"], eyes["cornea_radius"], eyes["asphericity"]
    if chamber.low <= (least := depth(reach, cornea.low, q.high)):
        raise ValueError(
            f"chamber_depth {chamber.low:g} lets a pupil_radius of {pupil.high:g} poke through "
            f"the cornea; raise it to {_up(least):g} or more, or lower pupil_radius"
        )
    slope = math.tan(math.radians(eyes["iris_cone"].middle))
    least = depth(limbus.middle, cornea.middle, q.middle) - slope * (limbus.middle - pupil.middle)
    if chamber.middle < least:
        raise ValueError(
            f"chamber_depth {chamber.middle:g} puts the median iris before its limbus; "
            f"raise it to {_up(least):g} or more, or lower limbus_radius"
        )


def depth(radius: float, curvature: float, asphericity: float) -> float:
    """Return how deep, mm, a conicoid has fallen behind its apex at a radius from its axis."""
    root = math.sqrt(curvature**2 - (1 + asphericity) * radius**2)
    return radius**2 / (curvature + root)


def _up(least: float) -> float:
    """Round up to a length, mm, that one may write into a recipe."""
    return math.ceil(100 * least) / 100


def _largest(extent: Extent) -> float:
    return max(abs(extent.low), abs(extent.high))

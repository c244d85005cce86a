"""Reflectances of the two bands a camera may see: visible colour, and near-infrared at 850 nm."""

from dataclasses import dataclass
from typing import Literal

Colour = tuple[float, ...]
"""Three channels of linear RGB, or the one of infrared."""

BandName = Literal["visible", "infrared"]


@dataclass(frozen=True)
class Band:
    """Colours of skin, eye and hair; skin by Beer-Lambert through melanin and blood."""

    skin: Colour
    melanin: Colour
    """Optical depth at parameter 1."""
    blood: Colour
    irises: tuple[Colour, ...]
    """Anchors from unpigmented to dark brown."""
    white: Colour
    """Tint of the sclera."""
    redness: Colour
    """How much of each channel vessels and warmth take from the sclera."""
    flesh: Colour
    """Tint of wet inner skin."""
    hairs: tuple[Colour, Colour]
    """Anchors of brows and lashes from black to blond."""
    dye: Colour
    """Optical depth of tinted glasses at tint 1."""
    paint: Colour
    """Of eyeshadow."""
    retina: Colour
    """Tint of the light that the retina sends back through the pupil."""
    daylight: Colour
    screen: Colour


VISIBLE = Band(
    skin=(0.88, 0.76, 0.66),
    # Between Beer and Lambert's law for melanin's spectrum, (0.70, 1, 1.79) at 610, 550 and 465 nm
    # (Jacques 1998, below), and what scattering leaves of it: (0.90, 1, 1.04), the logarithms of
    # "dark skin" over "light skin" of the ColorChecker chart (McCamy et al., J. Appl. Photogr. Eng.
    # 1976; sRGB 115, 82, 68 and 194, 150, 130).
    melanin=(0.84, 1.0, 1.14),
    blood=(0.06, 0.36, 0.32),
    irises=(
        (0.075, 0.11, 0.15),
        (0.07, 0.062, 0.032),
        (0.055, 0.031, 0.015),
        (0.028, 0.018, 0.012),
    ),
    white=(1.0, 0.97, 0.94),
    redness=(0.0, 0.55, 0.65),
    flesh=(1.0, 0.62, 0.57),
    hairs=((0.008, 0.006, 0.005), (0.16, 0.10, 0.055)),
    dye=(0.95, 1.0, 1.1),
    paint=(0.16, 0.09, 0.07),
    retina=(0.5, 0.09, 0.05),
    daylight=(0.92, 1.0, 1.1),
    screen=(0.86, 1.0, 1.22),
)

# Melanin absorbs as the wavelength to the power of -3.48 (Jacques, "Optical absorption of
# melanin", Oregon Medical Laser Center 1998): at 850 nm 0.22 of the green channel's 550 nm.
INFRARED = Band(
    skin=(0.70,),
    melanin=(0.23,),
    blood=(0.06,),
    irises=((0.19,), (0.175,), (0.16,), (0.14,)),
    white=(0.85,),
    redness=(0.12,),
    flesh=(0.9,),
    hairs=((0.04,), (0.3,)),
    dye=(0.2,),  # dyes of sunglasses let most of this band through
    paint=(0.4,),
    retina=(1.0,),
    daylight=(1.0,),
    screen=(0.05,),  # screens send next to nothing beyond the visible
)


def band_of(name: BandName) -> Band:
    """Return the reflectances of a band by its name in recipes."""
    return INFRARED if name == "infrared" else VISIBLE

"""Point lights beside the camera: their light on near surfaces, their glints, the bright pupil."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gazegan.render import shape
from gazegan.render.elementary import sqrt
from gazegan.render.environment import wrapped
from gazegan.render.params import EyeParams

MOST = 4
"""The largest number of LEDs."""

_NEAREST = 20.0
"""Least depth of an LED before the eyeball's centre, and least distance of what it lights, mm."""
_SOFT = 0.6
"""Skin and sclera scatter, and light each other: LEDs reach round the horizon as wide lights do."""
_REFLEX_DEG = 1.8
"""Angle between LED and camera at which the retina's reflex has fallen to 1/e."""


@dataclass(frozen=True)
class Led:
    """One LED."""

    at: Tensor
    """[3, B, 1, 1] mm from the eyeball's centre, camera axes."""
    power: Tensor
    """[B, 1, 1] irradiance over pi at the distance of the eyeball's centre, faced squarely."""
    radius: Tensor
    """[B, 1, 1] mm"""
    camera: Tensor
    """[3, B, 1, 1] unit direction from the eyeball's centre to the camera."""


def leds(p: EyeParams, most: int, eye: Tensor) -> tuple[Led, ...]:
    """Place up to `most` LEDs on their ring, from above the ring's centre clockwise.

    `eye` `[B, 3]` is the eyeball's centre in the camera frame, mm. The count may be fractional;
    the last LED is then as much weaker.
    """
    count = p.led_count.clamp(min=1)
    camera = -eye.T[:, :, None, None]
    return tuple(
        _led(p, camera, k, (p.led_count - k).clamp(0, 1) / count, count) for k in range(most)
    )


def _led(p: EyeParams, camera: Tensor, k: int, share: Tensor, count: Tensor) -> Led:
    turn = torch.deg2rad(p.led_turn) + 2 * math.pi * k / count
    x = camera[0] + p.led_right + p.led_radius * turn.sin()
    y = camera[1] - p.led_up - p.led_radius * turn.cos()
    z = (camera[2] + p.led_forward).clamp(max=-_NEAREST)
    return Led(torch.stack((x, y, z)), p.led_light * share, p.led_size, shape.unit(camera))


def irradiance(led: Led, normal: Tensor, point: Tensor) -> Tensor:
    """Irradiance over pi `[B, H, W]` that an LED gives at points `[3, B, H, W]` mm."""
    to = led.at - point
    square = shape.dot(to, to).clamp(min=_NEAREST**2)
    cosine = wrapped(shape.dot(normal, to) / sqrt(square), torch.full_like(led.power, _SOFT))
    return led.power * (shape.dot(led.at, led.at) / square) * cosine


def glint(led: Led, reflected: Tensor, point: Tensor, turn: Tensor, pixel_mm: Tensor) -> Tensor:
    """Radiance `[B, H, W]` of an LED in directions `reflected` at a mirror's points, over a pixel.

    `turn` is the angle, rad, through which the reflection turns across one pixel toward something
    far away; toward the LED, parallax adds to it. The blur by half a pixel, as standard deviation,
    is the least at which samples at pixel centres keep a glint's place and light.
    """
    to = led.at - point
    square = shape.dot(to, to).clamp(min=_NEAREST**2)
    size2 = led.radius * led.radius / square
    wide = turn + pixel_mm / sqrt(square)
    blurred2 = size2 + 0.5 * wide * wide
    miss = reflected - to / sqrt(square)
    bright = led.power * (shape.dot(led.at, led.at) / square) / blurred2
    return bright * torch.exp(-shape.dot(miss, miss) / blurred2)


def reflex(p: EyeParams, lit: tuple[Led, ...]) -> Tensor:
    """Light `[B, 1, 1]` that comes back through the pupil from the retina (the bright pupil).

    The eye sends the light back to where it came from, so the reflex falls steeply with the angle
    between LED and camera (Nguyen et al., "Differences in the infrared bright pupil response of
    human eyes", ETRA 2002).
    """
    total = torch.zeros_like(p.side)
    for led in lit:
        angle = shape.unit(led.at) - led.camera
        fall = shape.dot(angle, angle) / math.radians(_REFLEX_DEG) ** 2
        total = total + led.power * torch.exp(-fall)
    return p.retina * total

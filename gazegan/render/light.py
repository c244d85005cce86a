"""Light: irradiance on skin and eyeball, mirror images of all lights on cornea and tear film."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gazegan.render import environment, leds, panorama, shape, surface
from gazegan.render.bands import Band
from gazegan.render.camera import Camera
from gazegan.render.effects import Effects
from gazegan.render.elementary import fourth
from gazegan.render.environment import Pane, toward
from gazegan.render.eyeball import EyeHit
from gazegan.render.leds import Led
from gazegan.render.panorama import Sky
from gazegan.render.params import EyeParams

CORNEA = 0.025
"""Reflectance of cornea and tear film seen squarely: (n - 1)^2 / (n + 1)^2 with the cornea's
n = 1.376, as is usual for the first Purkinje image; that of tears, 1.337, would give 0.021."""

_BOUNCED = 0.2
"""Share of the key light that white skin would send into hollows: it fills two fifths of what
they see, and is lit by half of the light."""

_UNEVEN = 0.2
"""Angle, rad, by which the tear film on the sclera smears its reflections."""


@dataclass(frozen=True)
class Lamps:
    """All lights of a scene; directions `[3, B, 1, 1]` point from the eye toward them."""

    key: Tensor
    fill: Tensor
    colour: Tensor
    """[C, B, 1, 1] of all light; its green is 1."""
    panes: tuple[Pane, ...]
    leds: tuple[Led, ...]
    sky: Sky | None
    """The panorama, or None where the sky is plain."""
    tears: bool
    """Whether the tear film on the sclera may mirror."""
    room: Tensor | None
    """[B] seeds of the room's bright parts, or None where there are none."""
    band: Band
    stand: Tensor | None
    """The camera's axes in the recipe's frame, as `Camera.stand`."""

    def seen(self, way: Tensor) -> Tensor:
        """Express directions `[3, ...]` of the recipe's frame along the camera's axes."""
        return way if self.stand is None else shape.to_frame(self.stand, way)

    def upright(self, way: Tensor) -> Tensor:
        """Express directions `[3, ...]` along the camera's axes in the recipe's frame."""
        return way if self.stand is None else shape.from_frame(self.stand, way)


def lamps(p: EyeParams, band: Band, needs: Effects, view: Camera, seed: Tensor) -> Lamps:
    """Place the lights of a scene: the room's in the recipe's frame, LEDs beside the camera.

    `seed` `[B]` says where the room is bright.
    """
    warm = torch.stack((1 + p.light_warmth, torch.ones_like(p.light_warmth), 1 - p.light_warmth))
    coloured = len(band.skin) == 3
    window = (environment.window(p, band),) if needs.window else ()
    monitor = (environment.monitor(p, band),) if needs.monitor else ()
    around = needs.panorama
    return Lamps(
        toward(p.light_azimuth, p.light_elevation),
        toward(p.fill_azimuth, p.fill_elevation),
        warm.clamp(min=0) if coloured else torch.ones_like(warm[:1]),
        window + monitor,
        leds.leds(p, needs.leds, view.eye),
        None if around is None else panorama.sky(around, p.panorama_turn, grey=not coloured),
        needs.tears,
        seed if needs.room else None,
        band,
        view.stand,
    )


def normal_of(point: Tensor, torn: Tensor | None = None) -> Tensor:
    """Unit normals `[3, B, H, W]` toward the viewer of a surface given by its visible points.

    `torn` `[B, 1, 1]` marks surfaces of which one part may hide another.
    """
    dx, dy = shape.twice_slopes(point)
    if torn is not None:
        beside = shape.twice_slopes_beside_tears(point)
        dx, dy = (torch.where(torn, a, b) for a, b in zip(beside, (dx, dy), strict=True))
    return shape.unit(_cross(dy, dx))


def _cross(a: Tensor, b: Tensor) -> Tensor:
    """The vector product, in a fifth of the time of torch's."""
    (ax, ay, az), (bx, by, bz) = a, b
    parts = (ay * bz, az, by), (az * bx, ax, bz), (ax * by, ay, bx)
    return torch.stack([torch.addcmul(first, a, b, value=-1) for first, a, b in parts])


@dataclass(frozen=True)
class Reach:
    """Shares 0..1 of light that no shadow keeps off points `[B, H, W]`."""

    key: Tensor
    """Of the key light."""
    rest: Tensor | float
    """Of all other light."""


def irradiance(
    p: EyeParams, lamp: Lamps, normal: Tensor, point: Tensor, reach: Reach | None = None
) -> Tensor:
    """Irradiance over pi, `[B, H, W]` or by channel, at unit normals and points `[3, B, H, W]`.

    A sky brighter above or the panorama, the key light, wrapped, and the lights of `lamp`, less
    their shadows; and what of the key light the skin around sends, mostly from below.
    """
    up = lamp.upright(normal)
    sky = 0.68 - 0.38 * up[1] if lamp.sky is None else panorama.irradiance(lamp.sky, up)
    total: Tensor = p.light_ambient * sky
    for led in lamp.leds:
        total = total + leds.irradiance(led, normal, point)
    for pane in lamp.panes:
        total = total + environment.irradiance(pane, up)
    key = p.light_key * (0.25 + 0.75 * shape.dot(up, lamp.key)).clamp(min=0)
    bounced = _BOUNCED * p.light_key * surface.skin_brightness(p, lamp.band)
    if reach is None:
        return total + key + bounced
    return total * reach.rest + (key * reach.key + bounced)


def level(p: EyeParams, lamp: Lamps, ambient: float = 1.0) -> Tensor:
    """Irradiance over pi `[B, 1, 1]` by which things without a shape of their own are lit.

    `ambient` is the share of the ambient light that they get.
    """
    ahead = lamp.upright(torch.stack((0 * p.side, 0 * p.side, -torch.ones_like(p.side))))
    total: Tensor = ambient * p.light_ambient + 0.5 * p.light_key
    if lamp.sky is not None:
        faced = _grey(panorama.irradiance(lamp.sky, ahead)) / panorama.MEAN
        total = total + ambient * p.light_ambient * (faced - 1)
    for led in lamp.leds:
        total = total + 0.9 * led.power
    for pane in lamp.panes:
        total = total + _grey(environment.irradiance(pane, ahead))
    return total


def _grey(light: Tensor) -> Tensor:
    """Mean over channels."""
    total = light[0]
    for channel in light[1:]:
        total = total + channel
    return total / len(light)


def schlick(cosine: Tensor, base: Tensor | float) -> Tensor:
    """Fresnel reflectance `[B, H, W]` by Schlick's approximation.

    `base` is that where seen squarely. Source: Comput. Graph. Forum 1994, eq. 15.
    """
    rest = 1 - cosine.clamp(0, 1)
    share: Tensor = base + (1 - base) * fourth(rest) * rest
    return share


def mirror(way: Tensor, normal: Tensor) -> Tensor:
    """Reflect directions `[3, B, H, W]` at unit normals `[3, B, H, W]`."""
    return torch.addcmul(way, shape.dot(way, normal), normal, value=-2)


def lobe(reflected: Tensor, lamp: Tensor, radius_deg: Tensor, footprint_rad: Tensor) -> Tensor:
    """Brightness 0..1 of a lamp's reflection, dimmed where a pixel is larger than the lamp.

    Directions `reflected` `[3, B, H, W]` and `lamp` `[3, B, 1, 1]` give `[B, H, W]`.
    `footprint_rad` is the angle through which the reflection turns across one pixel.
    """
    wide2 = (radius_deg * (math.pi / 180)) ** 2
    blurred2 = wide2 + 0.25 * footprint_rad * footprint_rad
    return wide2 / blurred2 * torch.exp(-2 * (1 - shape.dot(reflected, lamp)) / blurred2)


def reflex(p: EyeParams, lamp: Lamps) -> Tensor:
    """Light `[C, B, 1, 1]` that LEDs beside the camera draw from the retina, seen in the pupil."""
    tint: Tensor = p.side.new_tensor(lamp.band.retina)[:, None, None, None]
    return tint * leds.reflex(p, lamp.leds)


@dataclass(frozen=True)
class Mirror:
    """A mirroring surface where the camera sees it; vectors `[3, B, H, W]`."""

    way: Tensor
    """Unit directions of sight."""
    normal: Tensor
    point: Tensor
    """mm from the eyeball's centre."""
    turn: Tensor
    """[B, 1, 1] angle, rad, through which the reflection turns across one pixel."""
    base: Tensor | float
    """Reflectance where seen squarely."""


def cornea(p: EyeParams, eye: EyeHit, way: Tensor, pixel_mm: Tensor) -> Mirror:
    """The tear film on the cornea; `way` `[3, B, H, W]` are unit directions of sight."""
    turn = pixel_mm * (2 / p.cornea_radius + 1 / p.distance)
    return Mirror(way, eye.normal, eye.cornea, turn, CORNEA)


def tears(p: EyeParams, eye: EyeHit, way: Tensor, pixel_mm: Tensor) -> Mirror:
    """The tear film on the sclera, whose unevenness smears its reflections.

    `way` `[3, B, H, W]` are unit directions of sight.
    """
    turn = pixel_mm * (2 / p.eyeball_radius + 1 / p.distance) + _UNEVEN
    return Mirror(way, eye.sclera / p.eyeball_radius, eye.sclera, turn, CORNEA)


def reflections(p: EyeParams, lamp: Lamps, at: Mirror, pixel_mm: Tensor) -> tuple[Tensor, Tensor]:
    """Light of the lights and of the sky mirrored toward the camera, `[B, H, W]` or by channel.

    `glint` and `fill_glint` are the brightness of the two lamps as the cornea mirrors them.
    """
    way = mirror(at.way, at.normal)
    up = lamp.upright(way)
    share = schlick(-shape.dot(at.way, at.normal), at.base)
    key = p.glint * lobe(up, lamp.key, p.glint_size, at.turn)
    fill = p.fill_glint * lobe(up, lamp.fill, 1.6 * p.glint_size, at.turn)
    lights = (key + fill) * (at.base / CORNEA)
    for led in lamp.leds:
        lights = lights + share * leds.glint(led, way, at.point, at.turn, pixel_mm)
    for pane in lamp.panes:
        lights = lights + share * environment.seen(pane, up, at.turn)
    if lamp.sky is None:
        veil = share * (0.3 - 0.3 * up[1]).clamp(min=0) * p.light_ambient
    else:
        veil = share * panorama.radiance(lamp.sky, up, at.turn) * p.light_ambient
    if lamp.room is not None:
        room = environment.bright(p, lamp.room, up, at.turn)
        veil = veil + p.room_glare * level(p, lamp) * share * room
    return lights, veil

"""The camera's optics and electronics: blur, vignetting, colour filter, noise, transfer curve."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from gazegan import rng
from gazegan.render.effects import Effects
from gazegan.render.elementary import exp2, fourth, power, sqrt
from gazegan.render.params import EyeParams
from gazegan.render.prior import Image

_LUMA = (0.299, 0.587, 0.114)
_TOE, _KNEE = 0.16, 0.8
"""Where the transfer curve begins to bend toward black, and toward white."""


def develop(p: EyeParams, seed: Tensor, light: Tensor, image: Image, needs: Effects) -> Tensor:
    """Turn linear light `[3, B, H, W]` into the camera's image `[B, channels, H, W]` in 0..1.

    What sees infrared sees one colour: three channels are the one of a grey image thrice.
    """
    light = blur(light * _vignette(p, light), p.blur, needs.blur_reach)
    if needs.motion_reach:
        light = smear(light, p.motion, p.motion_angle, needs.motion_reach)
    raw = mosaic(light) if image.bayer else light
    if needs.shot_noise:
        raw = counted(seed, raw, p.shot_noise)
    light = demosaic(raw) if image.bayer else raw
    if needs.balance:
        light = light * torch.stack((p.balance_red, torch.ones_like(p.side), p.balance_blue))
    kept = p.hue_kept if needs.hues else None
    coded = transfer(light, p.contrast, kept).transpose(0, 1)
    if image.channels == 1 or image.band == "infrared":
        coded = grey(coded)
    elif needs.saturation:
        # At 1 the same to the last bit, whatever other eyes of the batch need
        coded = torch.addcmul(coded, p.saturation[:, None] - 1, coded - grey(coded))
    noisy = torch.addcmul(coded, p.noise[:, None], gaussian(seed, coded, "noise"))
    return noisy.clamp(0, 1).expand(-1, image.channels, -1, -1)


def counted(seed: Tensor, light: Tensor, deviation: Tensor) -> Tensor:
    """Light `[C, B, H, W]` as counted photons, its variance in proportion to it.

    `deviation` `[B, 1, 1]` is that of light 1: one over the root of the full well in electrons.
    The Gaussian stands for the counts' Poisson distribution; below some ten photons it is rough.
    """
    draws = gaussian(seed, light.transpose(0, 1), "photons").transpose(0, 1)
    return light + deviation * sqrt(light) * draws


def metered(p: EyeParams, seen: Tensor) -> Tensor:
    """Gain `[B, 1, 1]` with which automatic exposure brings light `seen` toward mid-grey."""
    return power(0.22 / seen.clamp(min=1e-4), p.metering) * exp2(p.exposure)


def grey(image: Tensor) -> Tensor:
    """Luma `[B, 1, H, W]` of RGB `[B, 3, H, W]`."""
    return _luma(image.transpose(0, 1))[:, None]


def transfer(light: Tensor, contrast: Tensor, hue_kept: Tensor | None = None) -> Tensor:
    """Encode linear light: gamma 1/2.2, contrast about mid-grey, soft toe and shoulder.

    `light` is `[3, B, H, W]`, `contrast` and `hue_kept` `[B, 1, 1]`. A hard end at black would
    swallow dark irises, which cameras' curves and their lenses' veiling glare keep apart from
    pupils.
    """
    encoded = power(light.clamp(min=1e-5), 1 / 2.2)
    encoded = torch.addcmul(0.45 * (1 - contrast), encoded, contrast)
    each = _bent(encoded)
    return each if hue_kept is None else torch.lerp(each, _bent_as_one(encoded, each), hue_kept)


def _bent(encoded: Tensor) -> Tensor:
    middle = encoded.clamp(_TOE, _KNEE)
    beyond = encoded - middle
    pressed = torch.maximum(beyond * (1 / (1 - _KNEE)), beyond * (-1 / _TOE))
    return middle + beyond / (1 + pressed)


def _bent_as_one(encoded: Tensor, each: Tensor) -> Tensor:
    """Bend the luma of `[3, B, H, W]` toward white; colours stay as far from it as there is room.

    Channels that are bent one by one, as in `each`, turn bright skin yellow: red ends first. Toward
    black they are so bent here too, which takes the colour out of what is dark.
    """
    toed = torch.maximum(each, encoded)  # the toe lifts, the shoulder lowers
    luma = _luma(toed)
    bent, apart = torch.minimum(_bent(luma), luma), toed - luma
    red, green, blue = apart
    most = torch.maximum(torch.maximum(red, green), blue)
    least = torch.minimum(torch.minimum(red, green), blue)
    over = torch.maximum(most / (1 - bent).clamp(min=1e-3), -least / bent.clamp(min=1e-3))
    return torch.addcmul(bent, apart, sqrt(sqrt(1 + fourth(over))).reciprocal())


def _luma(light: Tensor) -> Tensor:
    """Luma `[B, H, W]` of RGB `[3, B, H, W]` (ITU-R BT.601)."""
    two = torch.add(_LUMA[0] * light[0], light[1], alpha=_LUMA[1])
    return torch.add(two, light[2], alpha=_LUMA[2])


def blur(image: Tensor, sigma: Tensor, reach: int) -> Tensor:
    """Blur `[..., B, H, W]` by Gaussians of `sigma` `[B, 1, 1]` px, cut off beyond 2.5 sigma.

    `reach` px is at least `effects.reach_of` the widest; more changes nothing. Written as shifted
    sums because their bits do not depend on the batch, which a library's grouped convolution does
    not promise.
    """
    weights = _kernel(sigma, reach)
    for axis in (-1, -2):
        image = _blur_along(image, weights, axis)
    return image


def _kernel(sigma: Tensor, reach: int) -> list[Tensor]:
    """Weights at distance 0, 1, ...; every eye's own cut-off, not the batch's, ends its kernel."""
    narrow = sigma.clamp(min=0.05)
    weights = [
        torch.exp(-0.5 * (k / narrow) ** 2) * (k < 2.5 * sigma + 1) for k in range(reach + 1)
    ]
    total = weights[0] + 2 * sum(weights[1:])
    return [weight / total for weight in weights]


def _blur_along(image: Tensor, weights: list[Tensor], axis: int) -> Tensor:
    radius, length = len(weights) - 1, image.shape[axis]
    ends = [image.narrow(axis, at, 1) for at in (0, length - 1)]
    wide = torch.cat([*[ends[0]] * radius, image, *[ends[1]] * radius], axis)
    blurred = weights[0] * image
    for k in range(1, radius + 1):
        pair = wide.narrow(axis, radius - k, length) + wide.narrow(axis, radius + k, length)
        blurred.addcmul_(weights[k], pair)
    return blurred


def smear(image: Tensor, length: Tensor, angle: Tensor, reach: int) -> Tensor:
    """Smear `[..., B, H, W]` along lines of `length` px at `angle` degrees, both `[B, 1, 1]`.

    The angle counts from the image's right over up. The mean of 16 shifted images, each
    interpolated linearly; `reach` px is at least half the longest line, more changes nothing.
    """
    height, width = image.shape[-2:]
    wide = F.pad(image, (reach, reach, reach, reach), mode="replicate")
    turn = torch.deg2rad(angle)
    step = (length * turn.cos() / _SHIFTS, -length * turn.sin() / _SHIFTS)

    shifts = _half_disc(reach)
    shares = _shares(step, [(0, 0), *shifts])
    smeared = shares[0] * image
    for (x, y), share in zip(shifts, shares[1:], strict=True):
        pair = [
            wide.narrow(-2, reach + sign * y, height).narrow(-1, reach + sign * x, width)
            for sign in (1, -1)
        ]
        smeared = smeared + share * (pair[0] + pair[1])
    return smeared


_SHIFTS = 16
"""Shifts along a line that is smeared, half a pixel apart on one 8 px long; a power of two."""


def _half_disc(reach: int) -> list[tuple[int, int]]:
    """Whole shifts that a line of half-length `reach` can touch, one of each opposite pair."""
    side = range(-reach, reach + 1)
    shifts = [(x, y) for y in range(reach + 1) for x in side if (y, x) > (0, 0)]
    return [(x, y) for x, y in shifts if math.hypot(x, y) < reach + math.sqrt(2)]


def _shares(step: tuple[Tensor, Tensor], shifts: list[tuple[int, int]]) -> Tensor:
    """Shares `[S, B, 1, 1]` of the pixels that lie `shifts` away, summed over a line by halving."""
    place = step[0].new_tensor([k - (_SHIFTS - 1) / 2 for k in range(_SHIFTS)])
    at = step[0].new_tensor(shifts)[:, :, None, None, None]
    line = [place[:, None, None, None, None] * along for along in step]
    near = [(1 - (line[axis] - at[:, axis]).abs()).clamp(min=0) for axis in (0, 1)]
    share = near[0] * near[1]
    while len(share) > 1:
        share = share[: len(share) // 2] + share[len(share) // 2 :]
    return share[0] / _SHIFTS


def mosaic(light: Tensor) -> Tensor:
    """Return what a sensor behind a Bayer filter counts `[1, B, H, W]` of light `[3, B, H, W]`.

    The image's upper left pixels are red, green; green, blue.
    """
    even_row, even_column = _parity(light)
    coloured = torch.where(even_row, light[0], light[2])
    return torch.where(even_row == even_column, coloured, light[1])[None]


def demosaic(raw: Tensor) -> Tensor:
    """Return RGB `[3, B, H, W]` from a Bayer mosaic `[1, B, H, W]`, by the mean of neighbours."""
    height, width = raw.shape[-2:]
    wide = F.pad(raw[0], (1, 1, 1, 1), mode="reflect")

    def near(*shifts: tuple[int, int]) -> Tensor:
        parts = [wide[:, 1 + y : 1 + y + height, 1 + x : 1 + x + width] for x, y in shifts]
        total: Tensor = sum(parts[1:], parts[0])
        return total / len(parts)

    beside, above = near((-1, 0), (1, 0)), near((0, -1), (0, 1))
    cross, corner = (beside + above) / 2, near((-1, -1), (1, 1), (1, -1), (-1, 1))
    row, column = _parity(raw)
    red = torch.where(row, torch.where(column, raw[0], beside), torch.where(column, above, corner))
    green = torch.where(row == column, cross, raw[0])
    blue = torch.where(row, torch.where(column, corner, above), torch.where(column, beside, raw[0]))
    return torch.stack((red, green, blue))


def _parity(like: Tensor) -> tuple[Tensor, Tensor]:
    """Whether rows `[H, 1]` and columns `[W]` have even numbers."""
    row, column = (torch.arange(n, device=like.device) % 2 == 0 for n in like.shape[-2:])
    return row[:, None], column


def gaussian(seed: Tensor, like: Tensor, name: str) -> Tensor:
    """Standard normal noise shaped `like` `[B, C, H, W]`, a function of `seed` `[B]` and place.

    Each `name` has its own.
    """
    count = like[0].numel()
    place = torch.arange((count + 1) // 2, device=seed.device)
    spread = seed.to(torch.int32)[:, None]
    first = rng.unit(rng.hash32(rng.bits(place, 0, f"{name} radius") + spread))
    second = rng.unit(rng.hash32(rng.bits(place, 0, f"{name} angle") + spread))
    radius, turn = (-2 * first.log()).sqrt(), 2 * math.pi * second
    both = torch.cat((radius * turn.cos(), radius * turn.sin()), 1)  # Box and Muller's pair
    return both[:, :count].reshape(like.shape)


def _vignette(p: EyeParams, light: Tensor) -> Tensor:
    height, width = light.shape[-2:]
    y = torch.linspace(-1, 1, height, device=light.device, dtype=light.dtype)[:, None]
    x = torch.linspace(-1, 1, width, device=light.device, dtype=light.dtype)
    return 1 - p.vignette * 0.5 * (x * x + y * y)

"""Which pixels move a network's output: gradients of several kinds, and occlusion."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from gazegan.geometry import direction_deg, direction_from_cos_sin
from gazegan.modes import evaluating

Fn = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Attribution:
    """What each value of an image contributes to one output."""

    map: Tensor
    """[B, C, H, W] in the unit of the output: of gradient times input and of integrated gradients
    what a value adds to it; of occlusion how far it falls when the value is hidden, shared among
    channels; of SmoothGrad the output's rise by one unit of the value."""
    gradient: Tensor | None
    """[B, C, H, W] derivative of the output by each image value, where the method takes one: at the
    image, or its mean over the path or the noise."""
    output: Tensor
    """[B]."""


def pitch_deg(output: Tensor) -> Tensor:
    """Pick the pitch `[B]` in degrees from (pitch, yaw) `[B, 2]` rad."""
    return torch.rad2deg(output[:, 0])


def yaw_deg(output: Tensor) -> Tensor:
    """Pick the yaw `[B]` in degrees from (pitch, yaw) `[B, 2]` rad."""
    return torch.rad2deg(output[:, 1])


def gaze_direction_deg(output: Tensor) -> Tensor:
    """Turn (pitch, yaw) `[B, 2]` rad into the direction `[B]`, 0 to 360 degrees."""
    return direction_deg(output)


def pair_direction_deg(output: Tensor) -> Tensor:
    """Turn (cos, sin) `[B, 2]` into the direction `[B]`, 0 to 360 degrees."""
    return direction_from_cos_sin(output)


def apart(a: Tensor, b: Tensor, period: float | None = None) -> Tensor:
    """Return a - b `[...]`; the shorter way if outputs repeat after `period`, as directions do."""
    away = a - b
    return away if period is None else away - period * torch.round(away / period)


def gradient_x_input(fn: Fn, image: Tensor, output: Fn = pitch_deg) -> Attribution:
    """Attribute an output of `fn` to the values of `image` `[B, C, H, W]`: dy/dx * x.

    `fn` is any callable on images and `output` picks one number `[B]` from what it returns. The
    samples of a batch must not act on each other, so a module is run in evaluation mode. The
    caller's tensors, their `.grad` and every module's mode stay as they were. Raises ValueError
    where `output` does not give one number an image. Source: Shrikumar et al., arXiv 1605.01713.
    """
    with evaluating(fn):
        y, gradient = _output_and_gradient(fn, image, output)
    return Attribution(gradient * image.detach(), gradient, y)


def integrated_gradients(
    fn: Fn, image: Tensor, baseline: Tensor, output: Fn = pitch_deg, steps: int = 64
) -> Attribution:
    """Attribute the change of an output from `baseline` to `image`, both `[B, C, H, W]`.

    The difference of the two images times the mean gradient at the middles of `steps` equal parts
    of the straight way between them. Maps sum to the change of the output as `steps` grows:
    `completeness_gap` tells what is missing. Otherwise as `gradient_x_input`. Source: Sundararajan
    et al., ICML 2017, equation 3.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    start, way = baseline.detach(), (image - baseline).detach()
    with evaluating(fn):
        y = _output(fn, image, output)
        slopes = (
            _output_and_gradient(fn, start + (step + 0.5) / steps * way, output)[1]
            for step in range(steps)
        )
        gradient = _mean(slopes, steps)
    return Attribution(gradient * way, gradient, y)


def smoothgrad(
    fn: Fn,
    image: Tensor,
    generator: torch.Generator,
    output: Fn = pitch_deg,
    samples: int = 32,
    sigma: float = 0.05,
) -> Attribution:
    """Return the mean gradient over `samples` copies of `image` `[B, C, H, W]` with normal noise.

    `sigma` is the noise's standard deviation in units of the image's 0..1; `generator` draws it.
    The map is the mean gradient itself, not times the input. Raises ValueError where `samples` is
    below 1 or `sigma` negative. Otherwise as `gradient_x_input`. Source: Smilkov et al., arXiv
    1706.03825.
    """
    if samples < 1 or not sigma >= 0:
        raise ValueError(f"{samples} samples of noise {sigma} cannot be taken")
    with evaluating(fn):
        y = _output(fn, image, output)
        slopes = (
            _output_and_gradient(fn, image.detach() + sigma * noise, output)[1]
            for noise in _noise(image, samples, generator)
        )
        gradient = _mean(slopes, samples)
    return Attribution(gradient, gradient, y)


def occlusion(
    fn: Fn,
    image: Tensor,
    baseline: Tensor,
    output: Fn = pitch_deg,
    window: int = 6,
    stride: int = 3,
    period: float | None = None,
) -> Attribution:
    """Return how far an output falls where a square of `image` shows `baseline`'s pixels instead.

    Both are `[B, C, H, W]`. Squares of `window` px stand every `stride` px, cut off at the lower
    and the right border; a pixel has the mean of those that cover it. `period` is that of the
    output, 360 for directions. Takes no gradient, so that `fn` need not have one. Raises ValueError
    where squares do not fit into the image or leave gaps. Source: Zeiler & Fergus, ECCV 2014,
    section 4.2.
    """
    height, width = image.shape[-2:]
    if not 1 <= stride <= window <= min(height, width):
        raise ValueError(f"squares of {window} px every {stride} px cannot cover {height}x{width}")
    fallen, times = torch.zeros_like(image[:, :1]), torch.zeros_like(image[:1, :1])
    with evaluating(fn), torch.no_grad():
        y = _output(fn, image, output)
        for rows, columns in _squares(height, width, window, stride):
            hidden = image.clone()
            hidden[..., rows, columns] = baseline[..., rows, columns]
            away = apart(y, output(fn(hidden)), period)
            fallen[..., rows, columns] += away[:, None, None, None]
            times[..., rows, columns] += 1
    channels = image.shape[1]
    return Attribution((fallen / times / channels).expand_as(image).clone(), None, y)


def faded(image: Tensor, across: int = 5) -> Tensor:
    """Return images `[B, C, H, W]` without detail: means of squares, `across` of them to the width.

    They are joined smoothly. This is what pixels are when they are taken away. Not a flat grey:
    networks that even out contrast answer every image but the flattest alike on the way to one,
    so that nothing is left along it to attribute.
    """
    size = height, width = image.shape[-2:]
    coarse = max(1, round(across * height / width)), min(across, width)
    small = F.adaptive_avg_pool2d(image.detach(), coarse)
    return F.interpolate(small, size, mode="bilinear", align_corners=False)


def _output(fn: Fn, image: Tensor, output: Fn) -> Tensor:
    with torch.no_grad():
        y = output(fn(image.detach()))
    return _one_each(y, image)


def _output_and_gradient(fn: Fn, image: Tensor, output: Fn) -> tuple[Tensor, Tensor]:
    with torch.inference_mode(False), torch.enable_grad():
        x = image.detach().clone().requires_grad_()
        y = _one_each(output(fn(x)), x)
        (gradient,) = torch.autograd.grad(y.sum(), x)
    return y.detach(), gradient


def _one_each(y: Tensor, x: Tensor) -> Tensor:
    if y.shape != x.shape[:1]:
        raise ValueError(f"output has shape {tuple(y.shape)}, expected {tuple(x.shape[:1])}")
    return y


def _mean(parts: Iterator[Tensor], count: int) -> Tensor:
    total = next(parts)
    for part in parts:
        total = total + part
    return total / count


def _noise(image: Tensor, samples: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Draw where the generator lives, so that every device sees the same numbers."""
    for _ in range(samples):
        drawn = torch.randn(
            image.shape, generator=generator, dtype=image.dtype, device=generator.device
        )
        yield drawn.to(image.device)


def _squares(height: int, width: int, window: int, stride: int) -> Iterator[tuple[slice, slice]]:
    down, across = (math.ceil((side - window) / stride) + 1 for side in (height, width))
    for i in range(down):
        for j in range(across):
            top, left = i * stride, j * stride
            yield slice(top, top + window), slice(left, left + window)

"""Which pixels move a network's output: gradient times input, and its share on each mask."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gazegan.geometry import direction_deg, direction_from_cos_sin
from gazegan.modes import evaluating

Fn = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Attribution:
    """What each value of an image contributes to one output, to first order."""

    map: Tensor
    """[B, C, H, W] gradient times input, in the unit of the output; its sum over an image is the
    whole output, less the constant part, where the network is linear."""
    gradient: Tensor
    """[B, C, H, W] derivative of the output by each image value."""
    output: Tensor
    """[B]."""


@dataclass(frozen=True)
class MaskShares:
    """How much attribution lies on each mask, beside how much of the image the mask is."""

    attribution: Tensor
    """[B, K] share in 0..1 of the absolute attribution; NaN where there is none at all."""
    area: Tensor
    """[B, K] share in 0..1 of the pixels: what attribution spread evenly would have."""


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


def gradient_x_input(fn: Fn, image: Tensor, output: Fn = pitch_deg) -> Attribution:
    """Attribute an output of `fn` to the values of `image` `[B, C, H, W]`: dy/dx * x.

    `fn` is any callable on images and `output` picks one number `[B]` from what it returns. The
    samples of a batch must not act on each other, so a module is run in evaluation mode. The
    caller's tensors, their `.grad` and every module's mode stay as they were. Raises ValueError
    where `output` does not give one number an image. Source: Shrikumar et al., arXiv 1605.01713.
    """
    with evaluating(fn), torch.inference_mode(False), torch.enable_grad():
        x = image.detach().clone().requires_grad_()
        y = output(fn(x))
        if y.shape != x.shape[:1]:
            raise ValueError(f"output has shape {tuple(y.shape)}, expected {tuple(x.shape[:1])}")
        (gradient,) = torch.autograd.grad(y.sum(), x)
    return Attribution(gradient * x.detach(), gradient, y.detach())


def mask_shares(attribution: Attribution, masks: Tensor) -> MaskShares:
    """Share the absolute attribution among `masks` `[B, K, H, W]`, coverage in 0..1."""
    weight = attribution.map.abs().sum(1, keepdim=True).double()
    on_mask = (weight * masks).sum((-2, -1))
    return MaskShares(on_mask / weight.sum((-2, -1)), masks.double().mean((-2, -1)))

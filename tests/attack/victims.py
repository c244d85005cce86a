"""Small networks and eyes to attack, and what a linear one must answer."""

from collections.abc import Callable

import torch
from torch import nn


def ready(channels: int = 1) -> nn.Sequential:
    """A small network with buffers, in evaluation mode, double precision."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(channels, 4, 3, stride=2),
        nn.BatchNorm2d(4),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(60, 2),
    ).double()
    net(images(4, channels))
    return net.eval()


def images(count: int, channels: int = 1, seed: int = 1) -> torch.Tensor:
    return torch.rand(count, channels, 8, 12, generator=seeded(seed), dtype=torch.float64)


def truths(count: int) -> torch.Tensor:
    return torch.linspace(-0.4, 0.4, 2 * count).reshape(count, 2).double()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def linear(seed: int = 0) -> tuple[torch.Tensor, Callable[[torch.Tensor], torch.Tensor]]:
    """Weights `[8, 12]` and a network whose pitch is linear in the image, whose yaw is 0."""
    weight = torch.randn(8, 12, generator=seeded(seed), dtype=torch.float64) / 200

    def model(image: torch.Tensor) -> torch.Tensor:
        pitch = ((image - 0.5) * weight).sum((1, 2, 3)) + 0.3
        return torch.stack((pitch, torch.zeros_like(pitch)), dim=1)

    return weight, model

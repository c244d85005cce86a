"""What tests of networks share: images, other weights, and a short training."""

import torch
from torch import Tensor, nn


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def stirred(module: nn.Module) -> nn.Module:
    """Give every parameter a value that is not its initial one."""
    torch.manual_seed(1)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module


def learned(network: nn.Module, image: Tensor, wanted: Tensor, steps: int) -> list[float]:
    """Fit a network to answers for some steps of Adam; returns the loss before each."""
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    losses = []
    for _ in range(steps):
        loss = (network(image) - wanted).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses

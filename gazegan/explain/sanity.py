"""Networks whose weights are randomised, from the last layer on: their maps should be others."""

import copy
from collections.abc import Iterator
from typing import TypeVar

import torch
from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def cascade(
    network: Module, generator: torch.Generator, stages: int = 4
) -> Iterator[tuple[float, Module]]:
    """Yield copies of a network with ever more of its layers randomised, the last layers first.

    Each comes with the share in 0..1 of layers that are; in the last copy it is all of them. A
    layer is a module with parameters of its own, in the order in which the network names them. The
    entries of each parameter are put in another order, so that their distribution stays as it was;
    those that are all alike stay. `network` is left alone. Source: Adebayo et al., NeurIPS 2018,
    section 3, where weights are drawn anew.
    """
    mixed = copy.deepcopy(network)
    layers = [module for module in mixed.modules() if list(module.parameters(recurse=False))]
    left, count = layers[::-1], len(layers)
    for stage in range(min(stages, count), 0, -1):
        for layer in left[: -(-len(left) // stage)]:
            _shuffle(layer, generator)
        left = left[-(-len(left) // stage) :]
        yield 1 - len(left) / count, copy.deepcopy(mixed)


def _shuffle(layer: nn.Module, generator: torch.Generator) -> None:
    with torch.no_grad():
        for parameter in layer.parameters(recurse=False):
            order = torch.randperm(parameter.numel(), generator=generator)
            parameter.copy_(parameter.flatten()[order.to(parameter.device)].view(parameter.shape))

"""Which input sizes give a wanted output size."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gazegan.modes import evaluating

LARGEST_SIDE = 8192


@dataclass(frozen=True)
class Range:
    """The sides of an input, px, that give one wanted side of the output."""

    low: int
    high: int
    below: int
    """The next smaller side that the output can have, 0 for none."""
    above: int
    """The next larger."""

    @property
    def empty(self) -> bool:
        """Whether no input gives the wanted side; `below` and `above` can be had."""
        return self.low > self.high


def input_ranges(
    network: nn.Module, channels: int, size: tuple[int, int], wanted: tuple[int, int]
) -> tuple[Range, Range]:
    """Return the heights and the widths of images that make a network's maps `wanted` (H, W).

    The network maps `[1, channels, H, W]` to maps and works on `size`. It is run on images of
    other heights, then widths; a larger image never gives a smaller map, so few are needed. Raises
    ValueError where even a side of LARGEST_SIDE px gives too little.
    """
    weight = next(network.parameters(), torch.empty(0))

    def side(axis: int) -> Callable[[int], int]:
        def measure(pixels: int) -> int:
            shape = (pixels, size[1]) if axis == 0 else (size[0], pixels)
            with evaluating(network), torch.no_grad():
                image = torch.zeros(1, channels, *shape, device=weight.device, dtype=weight.dtype)
                return _side(network, image, axis)

        return measure

    return _range(side(0), wanted[0]), _range(side(1), wanted[1])


def _side(network: nn.Module, image: Tensor, axis: int) -> int:
    try:
        return int(network(image).shape[2 + axis])
    except RuntimeError:  # What PyTorch raises where nothing is left for a kernel.
        return 0


def _range(measure: Callable[[int], int], wanted: int) -> Range:
    low, high = _least(measure, wanted), _least(measure, wanted + 1) - 1
    return Range(low, high, measure(low - 1) if low > 1 else 0, measure(high + 1))


def _least(measure: Callable[[int], int], wanted: int) -> int:
    """Return the smallest side whose output has at least `wanted`."""
    under, enough = 0, 1
    while measure(enough) < wanted:
        if enough >= LARGEST_SIDE:
            raise ValueError(f"not even {enough} px give {wanted}")
        under, enough = enough, 2 * enough
    while enough - under > 1:
        middle = (under + enough) // 2
        under, enough = (under, middle) if measure(middle) >= wanted else (middle, enough)
    return enough

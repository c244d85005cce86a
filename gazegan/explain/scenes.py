"""Which parameters of a scene move an answer: its slope by each of them, and how much that is."""

from dataclasses import dataclass

import torch
from torch import Tensor

from gazegan.explain.attributions import Fn, apart


@dataclass(frozen=True)
class Slopes:
    """How B answers change with the P parameters of their scenes, to first order."""

    slope: Tensor
    """[B, P] derivative of the answer by each parameter, in its unit."""
    output: Tensor
    """[B] the answers."""

    def moves(self, spread: Tensor) -> Tensor:
        """Return how far `[B, P]` the answer goes where a parameter rises by its `spread` `[P]`."""
        return self.slope * spread


def slopes(fn: Fn, params: Tensor) -> Slopes:
    """Differentiate `fn`, from scenes `[B, P]` to answers `[B]`, by every parameter.

    However many ways lead from a parameter to the answer, all of them count (the chain rule);
    scenes of a batch must not act on each other. Only the parameters are differentiated: no
    network gets a `.grad`. Raises ValueError where there is not one answer a scene.
    """
    with torch.inference_mode(False), torch.enable_grad():
        x = params.detach().clone().requires_grad_()
        y = fn(x)
        if y.shape != x.shape[:1]:
            raise ValueError(f"fn gives {tuple(y.shape)}, expected {tuple(x.shape[:1])}")
        (slope,) = torch.autograd.grad(y.sum(), x)
    return Slopes(slope, y.detach())


def swing(fn: Fn, params: Tensor, rise: Tensor, place: int, period: float | None = None) -> Tensor:
    """Return how far answers `[B]` go while parameter `place` of scenes `[B, P]` rises by `rise`.

    From half of `rise` `[P]` below its value to half above: what a slope only promises. `period` is
    that of the answer, 360 for directions.
    """
    half = torch.zeros_like(params)
    half[:, place] = 0.5 * rise[place]
    with torch.no_grad():
        return apart(fn(params + half), fn(params - half), period)


def share_of(moves: Tensor, chosen: Tensor) -> Tensor:
    """Return the share `[B]` of squared `moves` `[B, P]` that the `chosen` `[P]` bool have.

    To first order, and where parameters vary independently, a share of the answer's variance.
    """
    squares = moves.double().square()
    return squares[:, chosen].sum(1) / squares.sum(1)

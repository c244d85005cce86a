"""Layers that keep the size of signals without normalising them (Brock et al., NFNets, 2021).

Weights are standardised instead of maps, and every residual block is alpha f(x / beta) added to
its input, beta being the spread that x is expected to have (arXiv 2101.08692 and 2102.06171).
"""

import math

import torch.nn.functional as F
from torch import Tensor, nn

ALPHA = 0.2
"""How far one residual block changes its input; that of the papers."""


def activation_gain(slope: float = 0.0) -> float:
    """Return what gives leaky ReLU of a standard normal variable, `slope` below 0, spread 1.

    sqrt(2 / (1 - 1 / pi)) for ReLU (Brock et al., arXiv 2101.08692, section 4.3).
    """
    return 1 / math.sqrt((1 + slope**2) / 2 - (1 - slope) ** 2 / (2 * math.pi))


class StandardisedConv(nn.Conv2d):
    """A convolution whose kernels have mean 0 and, times a learnt gain, norm `gamma`.

    W = gain * gamma * (w - mean) / sqrt(var + epsilon) / sqrt(N), over the N weights of each
    output map (Qiao et al., arXiv 1903.10520; scaled as in Brock et al., arXiv 2101.08692,
    equation 1). `gamma` undoes what the activation before it took from the spread.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        gamma: float = 1.0,
        epsilon: float = 1e-6,
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding)
        nn.init.kaiming_normal_(self.weight, nonlinearity="linear")
        assert self.bias is not None
        nn.init.zeros_(self.bias)
        self.gain = nn.Parameter(self.weight.new_ones(outputs, 1, 1, 1))
        self.scale = gamma * self.weight[0].numel() ** -0.5
        self.epsilon = epsilon

    def standardised(self) -> Tensor:
        """Return the kernels that are used, `[outputs, inputs, K, K]`."""
        centred = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        variance = centred.square().mean((1, 2, 3), keepdim=True)
        kernels: Tensor = self.gain * self.scale * centred * (variance + self.epsilon).rsqrt()
        return kernels

    def forward(self, x: Tensor) -> Tensor:
        """Map `[B, inputs, H, W]` as `nn.Conv2d` does."""
        return F.conv2d(x, self.standardised(), self.bias, self.stride, self.padding)


def every(x: Tensor, stride: int) -> Tensor:
    """Take every `stride`-th row and column of `[B, C, H, W]`.

    For a convolution of 1x1 to have a stride. PyTorch 2.15's own writes beyond its memory going
    backward on a CPU, where fewer than 8 channels lie innermost.
    """
    return x[..., ::stride, ::stride]


class FreePreActivation(nn.Module):
    """A pre-activation block without normalisation: x + alpha f(x / beta).

    f is two 3x3 convolutions, each after ReLU. `variance` is that which x is expected to have;
    `self.variance` is what comes out. Where shapes change, x / beta is projected after its
    activation, so that the expected variance starts anew at 1.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, variance: float) -> None:
        super().__init__()
        self.beta, gamma = math.sqrt(variance), activation_gain()
        self.body = nn.Sequential(
            StandardisedConv(inputs, outputs, 3, stride, padding=1, gamma=gamma),
            nn.ReLU(),
            StandardisedConv(outputs, outputs, 3, padding=1, gamma=gamma),
        )
        same = inputs == outputs and stride == 1
        self.stride = stride
        self.project = None if same else StandardisedConv(inputs, outputs, 1, gamma=gamma)
        self.variance = (variance if same else 1.0) + ALPHA**2

    def forward(self, x: Tensor) -> Tensor:
        """Map `[B, inputs, H, W]` to `[B, outputs, H / stride, W / stride]`."""
        active = F.relu(x / self.beta)
        beside = x if self.project is None else self.project(every(active, self.stride))
        out: Tensor = beside + ALPHA * self.body(active)
        return out


class FreeResidual(nn.Module):
    """Two 3x3 convolutions of maps that are activated already: x + alpha f(x / beta).

    The counterpart of `layers.Residual`. x comes from leaky ReLU of `slope` on maps of variance 1
    and through `number` such blocks, each of which adds alpha^2.
    """

    def __init__(self, channels: int, number: int, slope: float) -> None:
        super().__init__()
        gain = activation_gain(slope)
        self.beta = math.sqrt(gain**-2 + number * ALPHA**2)
        self.body = nn.Sequential(
            StandardisedConv(channels, channels, 3, padding=1),
            nn.LeakyReLU(slope),
            StandardisedConv(channels, channels, 3, padding=1, gamma=gain),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map `[B, channels, H, W]` to the same shape."""
        out: Tensor = x + ALPHA * self.body(x / self.beta)
        return out

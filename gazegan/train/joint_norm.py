"""Batch normalisation by the statistics of all processes that train together.

torch's SyncBatchNorm does the same on a GPU alone.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gazegan.train import processes


class _Sum(torch.autograd.Function):
    """Sum over the processes; so is the gradient, as each one's sum acts on all."""

    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:
        whole = part.clone()
        dist.all_reduce(whole)
        return whole

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        summed: Tensor = _Sum.apply(gradient.contiguous())
        return summed


class _JointNorm(_BatchNorm):
    """Takes mean and variance over the rows of all processes."""

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, x: Tensor) -> Tensor:
        """Map `[B, C, ...]` to the same shape; in evaluation mode as every batch normalisation."""
        if not self.training:
            return super().forward(x)
        kind, x = x.dtype, x.float() if x.dtype == torch.bfloat16 else x
        along, shape = [0, *range(2, x.dim())], (1, -1, *[1] * (x.dim() - 2))
        size = x.numel() // x.shape[1] * processes.count()
        mean = _Sum.apply(x.sum(along)) / size
        centred = x - mean.view(shape)
        variance = _Sum.apply(centred.square().sum(along)) / size
        self._remember(mean.detach(), variance.detach() * (size / (size - 1)))
        scale = self.weight * (variance + self.eps).rsqrt()
        out: Tensor = centred * scale.view(shape) + self.bias.view(shape)
        return out.to(kind)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        self.num_batches_tracked += 1


def join_norms(network: nn.Module) -> None:
    """Let batch normalisations see the rows of all processes; names of the state stay."""
    if processes.count() == 1:
        return
    for module in network.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
                setattr(module, name, _joint(child))


def _joint(norm: _BatchNorm) -> _JointNorm:
    joint = _JointNorm(norm.num_features, norm.eps, norm.momentum)
    joint.weight, joint.bias, joint._buffers = norm.weight, norm.bias, norm._buffers
    return joint

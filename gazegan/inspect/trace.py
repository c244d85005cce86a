"""A network's layers: sizes, parameters, multiply-adds and receptive fields, from one forward."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized
from torch.utils._python_dispatch import TorchDispatchMode

from gazegan.inspect.fields import Field
from gazegan.inspect.rules import Operation, Seen, after, multiply_adds
from gazegan.modes import evaluating


@dataclass(frozen=True)
class Layer:
    """One layer, as it was met in a forward of one image."""

    name: str
    """The submodule that it belongs to, as in `named_modules`."""
    kind: str
    shape: tuple[int, ...]
    """(channels, height, width) of its output, or (features,)."""
    parameters: int
    multiply_adds: int
    seen: Seen
    """The receptive fields of its output, or why they have no size."""


@dataclass(frozen=True)
class Inspection:
    """What is known of a network that saw one image."""

    layers: tuple[Layer, ...]
    parameters: int
    multiply_adds: int
    """Of one image; convolutions and matrix products, those outside any layer too."""
    normalises: bool
    """Whether it normalises by the mean and spread of whole maps, which thus reach everywhere;
    the fields are told without this."""


def inspect(network: nn.Module, image: Tensor, origin: nn.Module | None = None) -> Inspection:
    """Run `network` on one image `[1, C, H, W]` and tell its layers in the order of their use.

    Receptive fields are counted from the input of the submodule `origin`, or the image. It runs in
    evaluation mode without gradients; parameters, modes and batch statistics stay as they were.
    Fields follow from kernels, strides and paddings alone (Dumoulin & Visin, arXiv 1603.07285):
    weights of zero do not make them smaller, and what adds paths sees what any path sees.
    """
    watch = _Watch()
    with evaluating(network), torch.no_grad(), _named(network, watch, origin or network), watch:
        network(image)
    total = sum(p.numel() for p in network.parameters())
    return Inspection(tuple(watch.layers), total, watch.multiply_adds, watch.normalises)


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows receptive fields through every operation that PyTorch carries out."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.layers: list[Layer] = []
        self.multiply_adds = 0
        self.normalises = False
        self.path: list[tuple[str, nn.Module]] = []
        """The submodules whose forward is under way, outermost first."""
        # By the id of a tensor, which is held so that no other gets its id.
        self._known: dict[int, tuple[Tensor, Seen]] = {}
        self._counted: set[int] = set()

    def begin(self, tensor: Tensor) -> None:
        """Count receptive fields from `tensor`."""
        self._known[id(tensor)] = tensor, Field()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        first = out[0] if isinstance(out, tuple | list) else out
        if isinstance(first, Tensor):
            name = func.overloadpacket.__name__.removesuffix("_")
            self._follow(Operation(name, args, first, torch.Tag.pointwise in func.tags))
        return out

    def _follow(self, op: Operation) -> None:
        cost = multiply_adds(op)
        self.multiply_adds += cost
        seen = [self._known[id(t)][1] for t in op.tensors if id(t) in self._known]
        if not seen or op.fills:
            return
        result, kind = after(op, seen)
        self._known[id(op.out)] = op.out, result
        self.normalises |= op.normalises
        name, module = self.path[-1]
        own = self._own(module) if kind or (op.pointwise and op.name != "clone") else 0
        # Normalisation and activation are layers where they have parameters.
        if own or (kind and not kind.endswith("norm")):
            shape = tuple(op.out.shape[1:])
            self.layers.append(Layer(name, kind or op.name, shape, own, cost, result))

    def _own(self, module: nn.Module) -> int:
        """Count the parameters of a module itself, the first time it is asked for."""
        if id(module) in self._counted:
            return 0
        self._counted.add(id(module))
        # Weights that are computed from others lie with those in a submodule.
        return sum(p.numel() for p in module.parameters(recurse=is_parametrized(module)))


@contextmanager
def _named(network: nn.Module, watch: _Watch, origin: nn.Module) -> Iterator[None]:
    """Tell `watch` which submodule is at work, and what enters `origin`."""
    handles = []
    for name, module in network.named_modules():

        def enter(module: nn.Module, args: tuple[Any, ...], name: str = name) -> None:
            watch.path.append((name, module))
            if module is origin:
                watch.begin(args[0])

        def leave(*_: object) -> None:
            watch.path.pop()

        handles.append(module.register_forward_pre_hook(enter))
        handles.append(module.register_forward_hook(leave))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()

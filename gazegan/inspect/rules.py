"""What one operation of PyTorch does to receptive fields, and how many multiply-adds it takes.

Operations are those that PyTorch breaks every network into (ATen): whatever a network is written
with, these are few.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from torch import Tensor

from gazegan.inspect.fields import (
    Axis,
    Field,
    Irregular,
    along_both,
    enlarged,
    joined,
    transposed,
    windowed,
)


@dataclass(frozen=True)
class Untold:
    """Why values have no receptive field of a size of its own."""

    reason: str


WHOLE = Untold("whole image")
FLAT = Untold("flattened")
"""Values in a row: places are gone, and who mixes them sees all of them."""

Seen = Field | Untold

_SAME = {
    *("clone", "alias", "detach", "_to_copy", "contiguous", "native_dropout", "lift_fresh"),
    *("prelu", "_prelu_kernel", "hardswish", "hardsigmoid", "rsub", "where", "expand", "repeat"),
}
_VIEWS = {"view", "_unsafe_view", "reshape", "unsqueeze", "squeeze", "flatten"}
_PADS = {"constant_pad_nd", "replication_pad2d", "reflection_pad2d"}
_MEANS = {"mean", "sum", "amax", "amin", "var", "std", "var_mean"}
_MATMULS = {"mm", "addmm", "bmm", "baddbmm", "linear"}
_BATCH_NORMS = {
    *("native_batch_norm", "cudnn_batch_norm", "_native_batch_norm_legit"),
    "_native_batch_norm_legit_no_training",
}


@dataclass(frozen=True)
class Operation:
    """One call of an ATen operation: its name, arguments and (first) result."""

    name: str
    args: Sequence[Any]
    out: Tensor
    pointwise: bool

    @property
    def tensors(self) -> list[Tensor]:
        """The tensors among the arguments, those in lists too."""
        flat = (a if isinstance(a, list | tuple) else [a] for a in self.args)
        return [t for part in flat for t in part if isinstance(t, Tensor)]

    @property
    def normalises(self) -> bool:
        """Whether it divides by the spread of the very maps that it is given."""
        learnt = self.name in _BATCH_NORMS and not self.argument(5, False)
        return self.name == "native_group_norm" or (self.name in _BATCH_NORMS and not learnt)

    @property
    def fills(self) -> bool:
        """Whether it only makes a tensor like its input, which it does not read."""
        return self.name.startswith("new_") or self.name.endswith("_like")

    def argument(self, place: int, default: Any) -> Any:
        """Return a positional argument; empty lists and missing ones count as `default`."""
        given = self.args[place] if len(self.args) > place else default
        return default if isinstance(given, list | tuple) and not given else given


def multiply_adds(op: Operation) -> int:
    """Return the multiply-adds of convolutions and matrix products, 0 for all else.

    Bias, normalisation and activation are left out, as in `torch.utils.flop_counter`, which counts
    two for each multiply-add.
    """
    if op.name == "convolution":
        image, weight = op.args[0], op.args[1]
        places = image if op.argument(6, False) else op.out
        # Each weight of a group is used once at every place of it.
        return int(places[:, 0].numel() * weight.numel())
    if op.name in _MATMULS:
        left = op.args[1] if op.name in ("addmm", "baddbmm") else op.args[0]
        return int(op.out.numel() * left.shape[-1])
    return 0


def after(op: Operation, seen: Sequence[Seen]) -> tuple[Seen, str]:
    """Return what the results of an operation see, given what its inputs do, and its name.

    The name is empty for operations that are no layer of their own.
    """
    try:
        return _after(op, seen[0], seen)
    except Irregular as fault:
        return Untold(f"cannot be told: {fault}"), op.name


def _after(op: Operation, first: Seen, seen: Sequence[Seen]) -> tuple[Seen, str]:
    match op.name:
        case "convolution":
            result = _convolved(op, first)
        case "max_pool2d_with_indices" | "avg_pool2d":
            result = _pooled(op, first)
        case "_adaptive_avg_pool2d" | "adaptive_max_pool2d":
            result = _adaptive(op, first)
        case name if name in _MATMULS:
            result = _mixed(op, first)
        case name if name in _BATCH_NORMS:
            result = first, "instance norm" if op.normalises else "batch norm"
        case "native_group_norm":
            result = first, "group norm"
        case name if op.pointwise or name in _SAME or name == "cat":
            result = _united(op, seen)
        case name:
            result = _moved(op, first), "upsample" if name.startswith("upsample") else ""
    return result


def _convolved(op: Operation, first: Seen) -> tuple[Seen, str]:
    image, weight, _, stride, pad, dilation, turned, extra, groups = op.args[:9]
    kernel = tuple(weight.shape[2:])
    ends = (image.shape[1], op.out.shape[1])
    words = [f"{'transposed' if turned else 'conv'} {ends[0]} {ends[1]} {_words(kernel, True)}"]
    given = {"stride": (stride, 1), "pad": (pad, 0), "dilation": (dilation, 1)}
    given |= {"output_pad": (extra, 0), "groups": ([groups], 1)}
    words += [f"{name} {_words(v)}" for name, (v, usual) in given.items() if {*v} != {usual}]
    change = transposed if turned else windowed

    def along(axis: Axis, i: int) -> Axis:
        return change(axis, kernel[i], stride[i], pad[i], dilation[i])

    if len(kernel) != 2:
        return Untold("cannot be told: no rows and columns"), " ".join(words)
    return _along(first, along), " ".join(words)


def _pooled(op: Operation, first: Seen) -> tuple[Seen, str]:
    kernel = _pair(op.args[1])
    stride, pad = _pair(op.argument(2, kernel)), _pair(op.argument(3, 0))
    largest = op.name.startswith("max")
    dilation = _pair(op.argument(4, 1)) if largest else (1, 1)

    def along(axis: Axis, i: int) -> Axis:
        return windowed(axis, kernel[i], stride[i], pad[i], dilation[i])

    words = [f"pool {'max' if largest else 'mean'} {_words(kernel, True)}"]
    given = {"stride": (stride, kernel), "pad": (pad, (0, 0)), "dilation": (dilation, (1, 1))}
    words += [f"{name} {_words(v)}" for name, (v, usual) in given.items() if v != usual]
    return _along(first, along), " ".join(words)


def _adaptive(op: Operation, first: Seen) -> tuple[Seen, str]:
    grid = tuple(op.out.shape[-2:])
    varies = isinstance(first, Field) and grid != (1, 1)
    seen = Untold("varies with the image's size") if varies else WHOLE
    return seen, f"pool to {_words(grid, True)}"


def _mixed(op: Operation, first: Seen) -> tuple[Seen, str]:
    left, right = op.args[-2], op.args[-1]
    seen = WHOLE if first in (WHOLE, FLAT) else Untold("cannot be told: matrix product")
    return seen, f"linear {left.shape[-1]} {right.shape[-1]}"


def _united(op: Operation, seen: Sequence[Seen]) -> tuple[Seen, str]:
    """Return what a sum, product or concatenation of inputs sees."""
    joins = len(seen) > 1 or op.name == "cat"
    name = op.name if joins else ""
    if untold := [one for one in seen if isinstance(one, Untold)]:
        return (WHOLE if WHOLE in untold else untold[0]), name
    tensors = [t for t in op.tensors if t.dim() == op.out.dim()]
    along_places = op.name == "cat" and op.argument(1, 0) % op.out.dim() >= op.out.dim() - 2
    if along_places or (joins and any(t.shape[-2:] != op.out.shape[-2:] for t in tensors)):
        return Untold(f"cannot be told: {op.name} of maps of different sizes"), name
    return reduce(_join, seen), name


def _join(one: Seen, other: Seen) -> Seen:
    assert isinstance(one, Field) and isinstance(other, Field)
    return Field(joined(one.rows, other.rows), joined(one.columns, other.columns))


def _moved(op: Operation, first: Seen) -> Seen:
    """Return what is seen after operations that move places about, or do away with them."""
    before, name = op.args[0], op.name
    if name in _VIEWS and op.out.dim() == 2 and before.shape[0] == op.out.shape[0]:
        return FLAT
    if isinstance(first, Untold):
        return first
    seen: Seen = Untold(f"cannot be told: {name}")
    if name in _PADS:
        left, _, top, _ = (*op.args[1], 0, 0)[:4]
        seen = along_both(first, lambda axis, i: windowed(axis, 1, 1, (top, left)[i]))
    elif name == "slice":
        seen = _cut(op, first)
    elif name.startswith("upsample"):
        seen = _upsampled(op, first)
    elif name in _MEANS:
        seen = _mean(op, first)
    elif name in _VIEWS and op.out.dim() > 2 and before.shape[-2:] == op.out.shape[-2:]:
        seen = first
    return seen


def _cut(op: Operation, field: Field) -> Field:
    dim, start, step = op.argument(1, 0), op.argument(2, None), op.argument(4, 1)
    which = dim % op.out.dim() - (op.out.dim() - 2)
    length = op.args[0].shape[dim]
    begin = max(0, (start or 0) + (length if (start or 0) < 0 else 0))

    def along(axis: Axis, i: int) -> Axis:
        return windowed(axis, 1, step, -begin) if i == which else axis

    return along_both(field, along)


def _upsampled(op: Operation, field: Field) -> Seen:
    small, large = op.args[0].shape[-2:], op.out.shape[-2:]
    linear, corners = op.name == "upsample_bilinear2d", bool(op.argument(2, False))
    known = op.name == "upsample_nearest2d" or (linear and not corners)
    if not known or any(b % a for a, b in zip(small, large, strict=True)):
        return Untold(f"cannot be told: {op.name}")
    return along_both(field, lambda axis, i: enlarged(axis, large[i] // small[i], linear))


def _mean(op: Operation, field: Field) -> Seen:
    before = op.args[0].dim()
    dims = {d % before for d in op.argument(1, range(before))}
    places = {before - 2, before - 1}
    if places <= dims:
        return WHOLE
    return Untold(f"cannot be told: {op.name}") if places & dims else field


def _along(first: Seen, change: Callable[[Axis, int], Axis]) -> Seen:
    return first if isinstance(first, Untold) else along_both(first, change)


def _pair(value: Any) -> tuple[int, int]:
    values = tuple(value) if isinstance(value, list | tuple) else (value,)
    return (values[0], values[-1])


def _words(values: Sequence[int], always: bool = False) -> str:
    """Write a size: 5x9, or 2 where both sides are alike and need not be told."""
    return str(values[0]) if len({*values}) == 1 and not always else "x".join(map(str, values))

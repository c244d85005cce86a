"""How operations of torch that move numbers, and add up moved ones, are said in steps."""

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
from torch import Tensor

from gazegan.render.steps import Program, Size, UntraceableError, Value

Values = list[Value]


def select(p: Program, out: Any, x: Value, dim: int, index: int) -> Values:
    """Return the places at one index of an axis; nothing is recorded."""
    return [Value(x.at.take(index, _lead(x, dim)), x.size)]


def narrow(
    p: Program, out: Any, x: Value, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Values:
    """Return a slice of an axis; along an axis of planes loads are recorded."""
    if not _of_plane(x, dim):
        cut = [slice(None)] * x.at.ndim
        cut[_lead(x, dim)] = slice(start, end, step)
        return [Value(x.at[tuple(cut)], x.size)]
    if step != 1:
        raise UntraceableError("every other number of a plane")
    axis = _axis(x, dim)
    first, last, _ = slice(start, end).indices(_size(x)[axis])
    return [_cut(p, x, axis, first, last)]


def unsqueeze(p: Program, out: Any, x: Value, dim: int) -> Values:
    """Return the places with an axis of length 1 more, or less; nothing is recorded."""
    if not x.size:
        return [Value(x.at.reshape(out.shape), None)]
    if out.ndim - 2 < x.at.ndim + 1 and x.at.ndim == 0 and out.shape == (1, x.size[1]):
        return [x]  # a row, now with its axis of rows
    if tuple(out.shape[-2:]) != x.size:
        raise UntraceableError("a plane turned")
    return [Value(x.at.reshape(out.shape[:-2]), x.size)]


def view(p: Program, out: Tensor, x: Value, *_: Any) -> Values:
    """Return the places in another shape; where planes change, joins and loads are recorded."""
    if not x.size:
        return [Value(x.at.reshape(out.shape), None)]
    if tuple(out.shape[-2:]) == x.size and out.ndim > 1:
        return [Value(x.at.reshape(out.shape[:-2]), x.size)]
    rows, columns = x.size
    pieces = tuple((int(a), k * rows, 0, rows, columns) for k, a in enumerate(x.at.flat))
    kind = p.steps[int(x.at.flat[0])].kind
    whole = p.add("join", (pieces, columns), kind, (len(pieces) * rows, columns))
    size = (1, out.shape[0]) if out.ndim == 1 else (out.shape[-2], out.shape[-1])
    at = np.empty(out.shape[:-2], dtype=np.int64)
    for k, index in enumerate(product(*map(range, at.shape))):
        at[index] = p.add("load", (whole, k * size[0] * size[1], size[1]), kind, size)
    return [Value(at, size)]


def permute(p: Program, out: Any, x: Value, dims: Sequence[int]) -> Values:
    """Return the places with their axes in another order; nothing is recorded."""
    count = x.at.ndim + (2 if x.size else 0)
    order = [d % count for d in dims]
    if x.size and order[-2:] != [count - 2, count - 1]:
        raise UntraceableError("a plane turned")
    return [Value(x.at.transpose(order[: x.at.ndim]), x.size)]


def transpose(p: Program, out: Any, x: Value, one: int, other: int) -> Values:
    """Return the places with two axes exchanged; nothing is recorded."""
    order = list(range(out.ndim))
    order[one], order[other] = order[other], order[one]
    return permute(p, out, x, order)


def unbind(p: Program, out: Any, x: Value, dim: int = 0) -> Values:
    """Return the places at each index of an axis, apart; nothing is recorded."""
    return [select(p, None, x, dim, k)[0] for k in range(x.at.shape[_lead(x, dim)])]


def stack(p: Program, out: Any, parts: Sequence[Value], dim: int = 0) -> Values:
    """Return the places of several values along a new axis; nothing is recorded."""
    size = parts[0].size
    axis = dim % out.ndim
    if size and axis > parts[0].at.ndim:
        raise UntraceableError("planes by turns")
    return [Value(np.stack([part.at for part in parts], axis), size)]


def cat(p: Program, out: Tensor, parts: Sequence[Value], dim: int = 0) -> Values:
    """Return the places of several values along an axis; along one of planes joins are recorded."""
    first = parts[0]
    if any((part.size is None) != (first.size is None) for part in parts):
        raise UntraceableError("numbers beside planes")
    if not _of_plane(first, dim):
        axis = _lead(first, dim)
        return [Value(np.concatenate([part.at for part in parts], axis), first.size)]
    return [_joined(p, parts, _axis(first, dim))]


def index(p: Program, out: Any, x: Value, places: Sequence[Any]) -> Values:
    """Look numbers up in a row."""
    place = places[0]
    if len(places) != 1 or x.at.ndim or not x.size or x.size[0] != 1 or not place.size:
        raise UntraceableError("a look-up elsewhere than in a row")
    row = p.steps[int(x.at)]
    source = row.args[0] if row.op == "load" else int(x.at)
    at = np.empty(place.at.shape, dtype=np.int64)
    for k, of in np.ndenumerate(place.at):
        at[k] = p.add("gather", (source, int(of)), row.kind, p.steps[int(of)].size)
    return [Value(at, place.size)]


def mean(p: Program, out: Any, x: Value, dims: Any, keepdim: bool = False, **_: Any) -> Values:
    """Record the mean over axes, as sums times a constant; return its places."""
    count = x.at.ndim + (2 if x.size else 0)
    at = x.at
    for dim in sorted((d % count for d in dims), reverse=True):
        rows = np.moveaxis(at, _lead(x, dim), 0)
        total = rows[0]
        for row in rows[1:]:
            total = np.vectorize(lambda a, b: p.apply("add", int(a), int(b)), otypes=[int])(
                total, row
            )
        share = p.constant(1 / len(rows), "f")
        at = np.vectorize(lambda a, s=share: p.apply("mul", int(a), s), otypes=[int])(total)
    return [Value(at.reshape(out.shape[:-2] if x.size else out.shape), x.size)]


def _pad(reflect: bool) -> Callable[..., Values]:
    def build(p: Program, out: Any, x: Value, pads: Sequence[int]) -> Values:
        """Pad planes beyond their ends by what lies there, or within."""
        for axis, (before, after) in enumerate((pads[2:], pads[:2])):
            last = _size(x)[axis] - 1
            at = [k if reflect else 0 for k in range(before, 0, -1)]
            end = [last - 1 - k if reflect else last for k in range(after)]
            ends = [[_cut(p, x, axis, k, k + 1) for k in side] for side in (at, end)]
            x = _joined(p, [*ends[0], x, *ends[1]], axis)
        return [x]

    return build


def _cut(p: Program, x: Value, axis: int, first: int, last: int) -> Value:
    rows, columns = _size(x)
    if (first, last) == (0, (rows, columns)[axis]):
        return x
    size = (last - first, columns) if axis == 0 else (rows, last - first)
    at = np.empty_like(x.at)
    for k, of in np.ndenumerate(x.at):
        step = p.steps[int(of)]
        if step.size is None or step.size[axis] == 1:
            at[k] = of
            continue
        stride = p.stride(int(of))
        base = first * (stride if axis == 0 else 1)
        source = int(of)
        if step.op == "load":
            source, base = step.args[0], base + step.args[1]
        shown = (size[0] if step.size[0] > 1 else 1, size[1] if step.size[1] > 1 else 1)
        at[k] = p.add("load", (source, base, stride), step.kind, shown)
    return Value(at, size)


def _joined(p: Program, parts: Sequence[Value], axis: int) -> Value:
    """Put planes one below or beside the other."""
    sizes = [_size(part) for part in parts]
    total = sum(size[axis] for size in sizes)
    whole = (total, sizes[0][1]) if axis == 0 else (sizes[0][0], total)
    at = np.empty_like(parts[0].at)
    for k in np.ndindex(at.shape):
        pieces, reached = [], 0
        for part, size in zip(parts, sizes, strict=True):
            place = (reached, 0) if axis == 0 else (0, reached)
            pieces.append((int(part.at[k]), *place, *size))
            reached += size[axis]
        kind = p.steps[pieces[0][0]].kind
        at[k] = p.add("join", (tuple(pieces), None), kind, whole)
    return Value(at, whole)


def _size(x: Value) -> Size:
    assert x.size is not None
    return x.size


def _of_plane(x: Value, dim: int) -> bool:
    """Whether an axis is one of the planes'."""
    if not x.size:
        return False
    return dim in (-1, -2) or dim >= x.at.ndim


def _axis(x: Value, dim: int) -> int:
    return 1 if dim in (-1, x.at.ndim + 1) or (x.at.ndim == 0 and dim == 0) else 0


def _lead(x: Value, dim: int) -> int:
    count = x.at.ndim + (2 if x.size else 0)
    if _of_plane(x, dim):
        raise UntraceableError("an axis of planes")
    return dim % count


MOVES: dict[str, Callable[..., Values]] = {
    "select": select,
    "slice": narrow,
    "unsqueeze": unsqueeze,
    "squeeze": unsqueeze,
    "view": view,
    "_unsafe_view": view,
    "reshape": view,
    "permute": permute,
    "transpose": transpose,
    "unbind": unbind,
    "stack": stack,
    "cat": cat,
    "index": index,
    "mean": mean,
    "replication_pad2d": _pad(False),
    "reflection_pad2d": _pad(True),
}

"""Steps that a computation takes, number by number or plane by plane, free of tensors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

Size = tuple[int, int]
"""Rows and columns of a plane."""

LANES = 16 if torch.backends.cpu.get_cpu_capability() == "AVX512" else 8
"""Numbers that are worked on at a time; rows of planes are filled up to a multiple of them."""


class UntraceableError(Exception):
    """A computation does what steps cannot say."""


@dataclass(frozen=True)
class Step:
    """One operation; `args` are places of earlier steps, or numbers where the operation says so."""

    op: str
    args: tuple[Any, ...]
    kind: str
    """f float32, i int32, b truth."""
    size: Size | None
    """None for a single number."""


class Program:
    """Steps in order, none of them twice, and the constant planes that they read."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.planes: list[np.ndarray[Any, Any]] = []
        self._places: dict[Step, int] = {}

    def add(self, op: str, args: tuple[Any, ...], kind: str, size: Size | None = None) -> int:
        """Return the place of a step, which may be an older one."""
        step = Step(op, args, kind, size)
        if step not in self._places:
            self._places[step] = len(self.steps)
            self.steps.append(step)
        return self._places[step]

    def constant(self, value: float, kind: str) -> int:
        """Return the place of a constant number of a kind."""
        return self.add("const", (float(value) if kind == "f" else int(value),), kind)

    def plane(self, values: Tensor) -> int:
        """Return the place of a constant plane `[rows, columns]`, or of a number if all agree."""
        kind = kind_of(values)
        first = values.flatten()[0]
        if bool((values == first).all()):
            return self.constant(first.item(), kind)
        known = values.to(torch.float32 if kind == "f" else torch.int32).numpy()
        for number, plane in enumerate(self.planes):
            if plane.dtype == known.dtype and np.array_equal(plane, known):
                return self.add("plane", (number,), kind, known.shape)
        self.planes.append(known)
        return self.add("plane", (len(self.planes) - 1,), kind, known.shape)

    def apply(self, op: str, *args: int, kind: str = "f") -> int:
        """Apply an operation number by number, in its simplest form."""
        known = self._simpler(op, args) if kind == "f" else None
        return self.add(op, args, kind, self.joint(args)) if known is None else known

    def joint(self, args: Sequence[int]) -> Size | None:
        """Rows and columns that steps share."""
        sizes = [size for a in args if (size := self.steps[a].size) is not None]
        if not sizes:
            return None
        return max(rows for rows, _ in sizes), max(columns for _, columns in sizes)

    def stride(self, place: int) -> int:
        """Numbers from one row of a plane in memory to the next."""
        step = self.steps[place]
        assert step.size is not None
        columns = step.size[1]
        if step.op == "load":
            return int(step.args[2])
        packed = step.op == "plane" or (step.op == "join" and step.args[1] is not None)
        return columns if packed else -(-columns // LANES) * LANES

    def value(self, place: int) -> float | None:
        """The number that a step is, where it is constant."""
        step = self.steps[place]
        return float(step.args[0]) if step.op == "const" else None

    def _simpler(self, op: str, args: tuple[int, ...]) -> int | None:
        values = [self.value(a) for a in args]
        if op in _FOLDED and all(value is not None for value in values):
            return self.constant(_FOLDED[op](*values), "f")
        if op in ("mul", "add") and values[0] is not None:
            args, values = args[::-1], values[::-1]
        if (op, values[-1]) in (("mul", 1), ("add", 0), ("sub", 0), ("div", 1)):
            return args[0]
        if (op, values[-1]) == ("mul", 0):
            return args[1]
        if (op, values[0]) == ("sub", 0):
            return self.apply("neg", args[1])
        if op == "sub" and self.steps[args[0]].op == "neg":
            both = self.apply("add", *self.steps[args[0]].args, args[1])
            return self.apply("neg", both)
        return self._without_division(op, args, values[-1])

    def _without_division(self, op: str, args: tuple[int, ...], by: float | None) -> int | None:
        if op == "div" and by is not None:
            return self.apply("mul", args[0], self.constant(1 / by, "f"))
        if op == "div" and self.joint(args):
            return self.apply("mul", args[0], self.apply("inverse", args[1]))
        first = self.steps[args[0]]
        if op == "neg" and first.op == "neg":
            return int(first.args[0])
        if op == "inverse" and first.op == "sqrt" and first.size:
            return self.apply("inverse_sqrt", *first.args)
        if op == "log" and first.op == "sqrt" and first.size:
            return self.apply("mul", self.apply("log", *first.args), self.constant(0.5, "f"))
        return None


_FOLDED: dict[str, Callable[..., float]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "neg": lambda a: -a,
}


def kind_of(values: Tensor) -> str:
    """The kind of a tensor's numbers `[...]`; raises UntraceableError for types without one."""
    if values.dtype == torch.bool:
        return "b"
    if values.dtype in (torch.float32, torch.int32, torch.int64):
        return "f" if values.dtype == torch.float32 else "i"
    raise UntraceableError(f"numbers of {values.dtype}")


@dataclass(frozen=True)
class Value:
    """What a tensor holds: the places of its numbers, or of planes of them."""

    at: np.ndarray[Any, Any]
    """Over all axes, or over all but those of the plane."""
    size: Size | None
    """Of the planes, the last two axes (or the last, of a single row)."""

"""What a computation on tensors does to each number, as steps recorded while it runs once."""

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode
from torch.utils.weak import WeakTensorKeyDictionary

from gazegan.render import moves
from gazegan.render.pointwise import MAPS
from gazegan.render.steps import Program, Size, UntraceableError, Value, kind_of

_PLANE = 64
"""Numbers in the last two axes from which on a constant is made of planes."""


def tracing() -> bool:
    """Whether what runs is being recorded or compiled, so that it must not ask for values."""
    return torch.compiler.is_compiling() or isinstance(_get_current_dispatch_mode(), Tracer)


class Tracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records what happens, while it is on, to the tensors given to `follow`."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.program = Program()
        self._known = WeakTensorKeyDictionary()

    def follow(self, name: str, values: Tensor) -> Tensor:
        """Call the numbers of a small tensor `[...]` inputs, the operation `name`; return it."""
        places = [self.program.add(name, (k,), kind_of(values)) for k in range(values.numel())]
        self._known[values] = Value(np.array(places).reshape(values.shape), None)
        return values

    def value(self, of: Tensor) -> Value:
        """What is known of a tensor `[...]`; one that no input went into is constant."""
        if of in self._known:
            known: Value = self._known[of]
            return known
        if math.prod(of.shape[-2:]) >= _PLANE:
            rows = of[None] if of.ndim == 1 else of
            lead = rows.shape[:-2]
            at = np.empty(lead, dtype=np.int64)
            for index in product(*map(range, lead)):
                at[index] = self.program.plane(rows[index])
            return Value(at, (rows.shape[-2], rows.shape[-1]))
        kind = kind_of(of)
        numbers = [self.program.constant(number, kind) for number in of.flatten().tolist()]
        return Value(np.array(numbers, dtype=np.int64).reshape(of.shape), None)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        flat = [one for arg in args for one in (arg if isinstance(arg, list | tuple) else [arg])]
        if any(isinstance(one, Tensor) and one in self._known for one in flat):
            name = func.overloadpacket.__name__
            found = self._record(name.rstrip("_") if name[:2] != "__" else name, args, kwargs, out)
            outs = out if isinstance(out, list | tuple) else [out]
            for tensor, value in zip(outs, found, strict=True):
                self._known[tensor] = value
        return out

    def _record(self, name: str, args: tuple[Any, ...], kwargs: Any, out: Any) -> list[Value]:
        if name in moves.MOVES:
            known = [self._valued(arg) for arg in args]
            return moves.MOVES[name](self.program, out, *known, **kwargs)
        if name in MAPS:
            return [self._mapped(MAPS[name], out, args, kwargs)]
        raise UntraceableError(f"no step for {name}")

    def _valued(self, arg: Any) -> Any:
        """What is known of an argument's tensors."""
        if isinstance(arg, list | tuple):
            return [self._valued(one) for one in arg]
        return self.value(arg) if isinstance(arg, Tensor) else arg

    def _mapped(self, build: Callable[..., int], out: Tensor, args: Any, kwargs: Any) -> Value:
        """Apply an operation to each number, or plane of them, that meet."""
        kind, known = kind_of(out), [self._valued(arg) for arg in args]
        planes = math.prod(out.shape[-2:]) >= _PLANE or any(
            isinstance(value, Value) and value.size for value in known
        )
        size = ((out.shape[-2] if out.ndim > 1 else 1), out.shape[-1]) if planes else None
        lead = tuple(out.shape[:-2] if size else out.shape)
        spread = [self._spread(v, size, lead) if isinstance(v, Value) else v for v in known]
        at = np.empty(lead, dtype=np.int64)
        for index in product(*map(range, lead)):
            each = [a[index] if isinstance(a, np.ndarray) else a for a in spread]
            at[index] = build(self.program, kind, *each, **kwargs)
        return Value(at, size)

    def _spread(self, value: Value, size: Size | None, lead: tuple[int, ...]) -> Any:
        at = value.at
        if size and not value.size:
            at = at.reshape((1,) * (2 - at.ndim) + at.shape) if at.ndim < 2 else at
            at = self._as_planes(at) if at.shape[-2:] != (1, 1) else at[..., 0, 0]
        return np.broadcast_to(at, lead)

    def _as_planes(self, at: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Rows or columns of numbers that meet planes, as planes."""
        whole = np.empty(at.shape[:-2], dtype=np.int64)
        for index in product(*map(range, at.shape[:-2])):
            steps = [self.program.steps[k] for k in at[index].flatten()]
            if any(step.op != "const" for step in steps):
                pieces = tuple(
                    (int(place), *where, 1, 1) for where, place in np.ndenumerate(at[index])
                )
                whole[index] = self.program.add(
                    "join", (pieces, None), steps[0].kind, at.shape[-2:]
                )
                continue
            dtype = {"f": torch.float32, "i": torch.int32, "b": torch.bool}[steps[0].kind]
            values = torch.tensor([step.args[0] for step in steps], dtype=dtype)
            whole[index] = self.program.plane(values.view(at.shape[-2:]))
        return whole

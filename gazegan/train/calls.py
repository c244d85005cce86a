"""How networks run forward in training: in which precision, and compiled or not."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch._dynamo.exc import TorchDynamoException
from torch._inductor.cpp_builder import get_cpp_compiler
from torch._inductor.exc import InductorError, InvalidCxxCompiler

from gazegan.errors import reason

Precision = Literal["float32", "bf16"]
"""bf16: convolutions and products of matrices in bfloat16; weights, losses and steps in float32."""

Call = Callable[..., Any]
"""(function, its arguments) -> what the function returns."""


def plainly(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function as it is."""
    return function(*arguments)


@dataclass(frozen=True)
class Calls:
    """How functions of networks are called."""

    once: Call = plainly
    """Those whose first derivatives alone are needed."""
    twice: Call = plainly
    """Those that are differentiated twice, which no compiled function can be."""


def calls(
    precision: Precision, compiled: bool, device: str, notify: Callable[[str], None]
) -> Calls:
    """Return how functions are called in a precision, and compiled when first called.

    Where no compiler works, `notify` hears of it in one line and none is compiled.
    """
    call = plainly if precision == "float32" else _autocast(device)
    return Calls(_compiling(call, device, notify) if compiled else call, call)


def _autocast(device: str) -> Call:
    kind = torch.device(device).type

    def call(function: Callable[..., Any], *arguments: Any) -> Any:
        with torch.autocast(kind, torch.bfloat16):
            return function(*arguments)

    return call


def _compiling(call: Call, device: str, notify: Callable[[str], None]) -> Call:
    made: dict[Callable[..., Any], Callable[..., Any]] = {}

    def fast(function: Callable[..., Any], *arguments: Any) -> Any:
        if function in made:
            return call(made[function], *arguments)
        try:
            if torch.device(device).type == "cpu":
                get_cpp_compiler()  # looks for it
            quick = torch.compile(function, dynamic=False)
            result = call(quick, *arguments)
        except (TorchDynamoException, InductorError, InvalidCxxCompiler) as fault:
            if not made:
                notify(f"--compile: no compiler that works ({reason(fault)}); training without it")
            made[function] = function
            return call(function, *arguments)
        made[function] = quick
        return result

    return fast

"""How operations of torch on single numbers are said in steps."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gazegan.render.steps import Program, UntraceableError

_MOST = 88.0
"""Largest whole number whose exponential is a float32."""


def _float(p: Program, a: Any) -> int:
    """A number or place as a place of kind f."""
    if not isinstance(a, np.integer):
        return p.constant(a, "f")
    place = int(a)
    kind = p.steps[place].kind
    if kind == "f":
        return place
    if kind == "i":
        return p.apply("float", place)
    return p.apply("where", place, p.constant(1, "f"), p.constant(0, "f"))


def _as(p: Program, kind: str, a: Any) -> int:
    if kind == "f":
        return _float(p, a)
    return int(a) if isinstance(a, np.integer) else p.constant(_int32(int(a)), kind)


def _int32(value: int) -> int:
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)


def _plain(op: str) -> Callable[..., int]:
    return lambda p, kind, *args: p.apply(op, *(_as(p, kind, a) for a in args), kind=kind)


def _sum(p: Program, kind: str, a: Any, b: Any, *, alpha: float = 1) -> int:
    scaled = p.apply("mul", _as(p, kind, b), _as(p, kind, alpha), kind=kind)
    if kind == "i" and alpha == 1:
        scaled = _as(p, kind, b)
    return p.apply("add", _as(p, kind, a), scaled, kind=kind)


def _difference(p: Program, kind: str, a: Any, b: Any, alpha: float = 1) -> int:
    if kind == "i":
        return p.apply("sub", _as(p, kind, a), _as(p, kind, b), kind=kind)
    return p.apply("sub", _float(p, a), p.apply("mul", _float(p, b), p.constant(alpha, "f")))


def _reverse(p: Program, kind: str, a: Any, b: Any, alpha: float = 1) -> int:
    return _difference(p, kind, b, a, alpha)


def _addcmul(p: Program, kind: str, a: Any, b: Any, c: Any, *, value: float = 1) -> int:
    both = p.apply("mul", _float(p, b), _float(p, c))
    if value == -1:
        return p.apply("sub", _float(p, a), both)
    return p.apply("add", _float(p, a), p.apply("mul", both, p.constant(value, "f")))


def _lerp(p: Program, kind: str, a: Any, b: Any, share: Any) -> int:
    step = p.apply("mul", p.apply("sub", int(b), int(a)), _float(p, share))
    return p.apply("add", int(a), step)


def _clamp(p: Program, kind: str, a: Any, min: Any = None, max: Any = None) -> int:
    place = _as(p, kind, a)
    if min is not None:
        place = p.apply("max", place, _as(p, kind, min), kind=kind)
    return place if max is None else p.apply("min", place, _as(p, kind, max), kind=kind)


def _exp(p: Program, kind: str, a: Any) -> int:
    """The exponential, or the one of what stays below 88, which needs no bound."""
    place = _float(p, a)
    return p.apply("exp_low" if _low(p, place) else "exp", place)


def _low(p: Program, place: int) -> bool:
    step = p.steps[place]
    if step.op == "min":
        most = p.value(step.args[1])
        return most is not None and most <= _MOST
    return step.op == "neg" and _is_square(p, step.args[0])


def _is_square(p: Program, place: int) -> bool:
    step = p.steps[place]
    if step.op == "add":
        return all(_is_square(p, a) for a in step.args)
    return step.op == "mul" and step.args[0] == step.args[1]


def _power(p: Program, kind: str, a: Any, exponent: float) -> int:
    place = _float(p, a)
    if exponent != int(exponent) or not 1 <= exponent <= 4:
        raise UntraceableError(f"power {exponent}")
    result = place
    for _ in range(int(exponent) - 1):
        result = p.apply("mul", result, place)
    return result


def _compared(op: str) -> Callable[..., int]:
    def build(p: Program, kind: str, a: Any, b: Any) -> int:
        kinds = [p.steps[int(x)].kind for x in (a, b) if isinstance(x, np.integer)]
        like = "i" if all(k == "i" for k in kinds) and isinstance(b, np.integer | int) else "f"
        return p.apply(op, _as(p, like, a), _as(p, like, b), kind="b")

    return build


def _where(p: Program, kind: str, which: Any, a: Any, b: Any) -> int:
    return p.apply("where", int(which), _as(p, kind, a), _as(p, kind, b), kind=kind)


def _copied(p: Program, kind: str, a: Any, **_: Any) -> int:
    place = int(a)
    before = p.steps[place].kind
    if kind == before:
        return place
    if kind == "f":
        return _float(p, a)
    if kind == "i" and before == "f":
        return p.apply("int", place, kind="i")
    raise UntraceableError(f"{before} as {kind}")


def _filled(value: float) -> Callable[..., int]:
    return lambda p, kind, a, **_: p.constant(value, kind)


def _full(p: Program, kind: str, a: Any, value: float, **_: Any) -> int:
    return p.constant(value, kind)


def _deg2rad(p: Program, kind: str, a: Any) -> int:
    return p.apply("mul", int(a), p.constant(math.pi / 180, "f"))


def _reciprocal(p: Program, kind: str, a: Any) -> int:
    return p.apply("div", p.constant(1, "f"), _float(p, a))


_SAME = ("clone", "detach", "alias", "lift_fresh", "_to_copy", "contiguous")
MAPS: dict[str, Callable[..., int]] = {
    **{op: _plain(op) for op in ("mul", "div", "neg", "log", "sqrt", "sin", "cos", "tan", "atan")},
    **{op: _plain(op) for op in ("abs", "floor")},
    **{op: _compared(op) for op in ("gt", "lt", "ge", "le", "eq", "ne")},
    **{name: _plain(op) for op in ("and", "or", "xor") for name in (f"__{op}__", f"bitwise_{op}")},
    **dict.fromkeys(_SAME, _copied),
    "__rshift__": _plain("shift"),
    "bitwise_not": _plain("not"),
    "logical_not": _plain("not"),
    "minimum": _plain("min"),
    "maximum": _plain("max"),
    "add": _sum,
    "sub": _difference,
    "rsub": _reverse,
    "addcmul": _addcmul,
    "exp": _exp,
    "lerp": _lerp,
    "clamp": _clamp,
    "clamp_min": _clamp,
    "pow": _power,
    "where": _where,
    "ones_like": _filled(1),
    "zeros_like": _filled(0),
    "full_like": _full,
    "deg2rad": _deg2rad,
    "reciprocal": _reciprocal,
    "expand": lambda p, kind, a, *_, **__: _copied(p, kind, a),
}

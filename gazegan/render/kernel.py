"""Steps as C++: a loop for all planes that can be worked out together, one after the other."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gazegan.render.plan import Loop, Plan, Store, blocks, inputs, memory
from gazegan.render.steps import LANES, Program, Step

_INFIX = {
    **{"add": "+", "sub": "-", "mul": "*", "div": "/", "and": "&", "or": "|", "xor": "^"},
    **{"shift": ">>", "gt": ">", "lt": "<", "ge": ">=", "le": "<=", "eq": "==", "ne": "!="},
}
_TYPES = {"f": ("float", "F"), "i": ("int", "I"), "b": ("int", "I")}


@dataclass(frozen=True)
class Kernel:
    """A program's text, and the numbers that it reads beside its inputs.

    Sizes are among those numbers, so that programs for images of other sizes have the same text.
    """

    text: str
    sizes: np.ndarray[Any, Any]
    numbers: np.ndarray[Any, Any]
    room: int
    """Floats of memory that it works in."""


@dataclass
class _Tables:
    """Numbers that the text names by their places."""

    sizes: list[int] = field(default_factory=list)
    numbers: list[float] = field(default_factory=list)
    _named: dict[Hashable, int] = field(default_factory=dict)

    def size(self, name: Hashable, value: int) -> str:
        if name not in self._named:
            self._named[name] = len(self.sizes)
            self.sizes.append(value)
        return f"n[{self._named[name]}]"

    def number(self, value: float) -> str:
        self.numbers.append(value)
        return f"k[{len(self.numbers) - 1}]"


def write(program: Program, outputs: Sequence[Store], head: str, together: int = 1) -> Kernel:
    """Return the C++ of a program: `render` after the text `head`, which holds what it calls.

    The program works on `together` rows of its inputs at a time.
    """
    plan, tables = Plan(program, outputs), _Tables()
    at, room = memory(plan)
    scalars = [a for a in plan.needed if program.steps[a].size is None]
    shared = _shared(plan)
    slots = {a: k for k, a in enumerate(shared)}
    text = [head, _numbers(program, scalars, slots, tables)]
    order = plan.order()
    for k, loop in enumerate(order):
        text.append(_loop(plan, loop, k, at, slots, tables))
    calls = "\n".join(f"  loop{k}(s, w, c, o, n);" for k in range(len(order)))
    text.append(
        f"static void eyes(const float* p, const int* q, const float* k, float* w, "
        f"const float* const* c, float* const* o, const long* n) {{\n"
        f"  float s[{len(shared) + 1}];\n  numbers(p, q, k, s);\n{calls}\n}}\n"
    )
    known = np.array(tables.sizes, dtype=np.int64), np.array(tables.numbers, dtype=np.float32)
    return Kernel("\n".join(text) + _FOOT.replace("TOGETHER", str(together)), *known, room)


_FOOT = """
extern "C" void render(long count, const float* p, long params, const int* q, const float* k,
                       const long* n, float* w, const float* const* c, float* const* o,
                       const long* lengths, long outs) {
  float* at[8];
  for (long j = 0; j < outs; ++j) at[j] = o[j];
  for (long i = 0; i < count; i += TOGETHER) {
    eyes(p + i * params, q + i, k, w, c, at, n);
    for (long j = 0; j < outs; ++j) at[j] += TOGETHER * lengths[j];
  }
}
"""


def _shared(plan: Plan) -> list[int]:
    """Single numbers that loops read."""
    found: dict[int, None] = {}
    for loop in plan.order():
        read = [a for place in plan.loops.get(loop, ()) for a in inputs(plan.program.steps[place])]
        read += [store.place for store in plan.stores.get(loop, ())]
        for a in read:
            step = plan.program.steps[a]
            if step.size is None and step.op != "const":
                found[a] = None
    return list(found)


def _numbers(program: Program, places: list[int], slots: dict[int, int], tables: _Tables) -> str:
    lines = ["static void numbers(const float* p, const int* q, const float* k, float* s) {"]
    for a in places:
        step = program.steps[a]
        if step.op == "params":
            said = f"p[{step.args[0]}]"
        elif step.op == "seed":
            said = f"q[{step.args[0]}]"
        elif step.op == "const" and step.kind == "f":
            said = tables.number(step.args[0])
        elif step.op == "const":
            said = str(step.args[0])
        else:
            said = _said(step, [f"x{b}" for b in step.args])
        lines.append(f"  const {_TYPES[step.kind][0]} x{a} = {said};")
        if a in slots:
            lines.append(f"  put(s + {slots[a]}, x{a});")
    return "\n".join([*lines, "}\n"])


def _said(step: Step, args: list[str]) -> str:
    if step.op in _INFIX:
        return f"{args[0]} {_INFIX[step.op]} {args[1]}"
    return f"{step.op}_({', '.join(args)})"


def _loop(
    plan: Plan,
    loop: Loop,
    number: int,
    at: dict[int, int],
    slots: dict[int, int],
    tables: _Tables,
) -> str:
    program, size = plan.program, loop[1]
    rows, columns = (tables.size((number, axis), size[axis]) for axis in (0, 1))
    head = [f"static void loop{number}(const float* s, float* w, const float* const* c,"]
    head += ["  float* const* o, const long* n) {"]
    row: list[str] = []
    body: list[str] = []
    named: set[int] = set()
    begun: set[int] = set()

    def pointer(place: int) -> str:
        """Where a plane begins."""
        step = program.steps[place]
        if step.op == "plane":
            return f"c[{step.args[0]}]"
        if step.op == "load":
            base = tables.size(("base", place), step.args[1])
            return f"{pointer(step.args[0])} + {base}"
        return f"w + {tables.size(('at', place), at[place])}"

    def stride(place: int) -> str:
        return tables.size(("stride", place), program.stride(place))

    def pointed(const: str, called: str, begin: str, many: bool, place: int) -> None:
        beside = f" + y * {stride(place)}" if many else ""
        row.append(f"    {const}float* const {called} = {begin}{beside};")

    def name(place: int) -> str:
        step = program.steps[place]
        if step.op == "const":
            return _literal(step)
        if place not in named:
            named.add(place)
            scalar, vector = _TYPES[step.kind]
            if step.size is None:
                named.add(place)
                head.append(f"  const {scalar} x{place} = get<{scalar}>(s + {slots[place]});")
            else:
                if place not in begun:
                    begun.add(place)
                    pointed("const ", f"m{place}", pointer(place), step.size[0] > 1, place)
                if step.size[1] == 1 < size[1]:
                    read = f"all(get<{scalar}>(m{place}))"
                else:
                    read = f"load<{vector}>(m{place} + x)"
                body.append(f"    const {vector} x{place} = {read};")
        return f"x{place}"

    scheduled = blocks(plan, loop)
    block_of = {place: k for k, (_, block) in enumerate(scheduled) for place in block}
    readers: dict[int, set[int]] = {}
    for place, k in block_of.items():
        for a in inputs(program.steps[place]):
            readers.setdefault(a, set()).add(k)
    for store in plan.stores.get(loop, ()):
        readers.setdefault(store.place, set()).add(-1)
    for k, (mask, block) in enumerate(scheduled):
        outside = set(named)
        if mask is not None:
            tested = name(mask)
            outside = set(named)
            for place in block:
                if readers.get(place, set()) - {k}:
                    body.append(f"    {_TYPES[program.steps[place].kind][1]} x{place} = {{}};")
            body.append(f"    if (any_({tested})) {{")
        for place in block:
            step = program.steps[place]
            vector = _TYPES[step.kind][1]
            if step.op == "gather":
                head.append(f"  const float* const m{place} = {pointer(step.args[0])};")
                said = f"gather<{vector}>(m{place}, {name(step.args[1])})"
            else:
                said = _said(step, [name(a) for a in step.args])
            shown = mask is not None and bool(readers.get(place, set()) - {k})
            body.append(f"    {'' if shown else f'const {vector} '}x{place} = {said};")
            named.add(place)
            if place in plan.kept:
                pointed("", f"m{place}", pointer(place), size[0] > 1, place)
                body.append(f"    store(m{place} + x, x{place});")
        if mask is not None:
            body.append("    }")
            named = outside | set(block) | {a for a in named if program.steps[a].size is None}
    for k, store in enumerate(plan.stores.get(loop, ())):
        into = f"o[{store.into[1:]}]" if isinstance(store.into, str) else pointer(store.into)
        base = tables.size((number, k, "base"), store.base)
        step_y = tables.size((number, k, "stride"), store.stride)
        kind = _TYPES[program.steps[store.place].kind][1]
        row.append(f"    float* const o{k} = {into} + {base} + y * {step_y};")
        body.append(f"    part(o{k} + x, {kind}{{}} + {name(store.place)}, columns - x);")
    head.append(f"  const long rows = {rows}, columns = {columns};")
    row.insert(0, "  for (long y = 0; y < rows; ++y) {")
    row.append(f"  for (long x = 0; x < columns; x += {LANES}) {{")
    return "\n".join([*head, *row, *body, "  }}\n}\n"])


def _literal(step: Step) -> str:
    return f"float({step.args[0]!r})" if step.kind == "f" else str(step.args[0])

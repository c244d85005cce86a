"""Steps as C++: a loop for all planes that can be worked out together, one after the other."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gazegan.render.steps import LANES, Program, Size, Step

_MEMORY = ("plane", "join", "load")
"""Steps whose planes lie in memory and are read where they are used."""
_INFIX = {
    **{"add": "+", "sub": "-", "mul": "*", "div": "/", "and": "&", "or": "|", "xor": "^"},
    **{"shift": ">>", "gt": ">", "lt": "<", "ge": ">=", "le": "<=", "eq": "==", "ne": "!="},
}
_TYPES = {"f": ("float", "F"), "i": ("int", "I"), "b": ("int", "I")}


@dataclass(frozen=True)
class Store:
    """A plane, or part of one, put into memory: a piece of a join, or an output."""

    place: int
    size: Size
    into: int | str
    """The join, or the name of an output."""
    base: int
    stride: int


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


Loop = tuple[int, Size]
"""Loops are run in order of a level; those of one level need nothing of one another."""


class _Plan:
    """Which steps are needed, in which loop each is taken, and which planes go to memory."""

    def __init__(self, program: Program, outputs: Sequence[Store]) -> None:
        self.program = program
        self.needed = self._find(outputs)
        self.levels: dict[int, int] = {}
        self.stores: dict[Loop, list[Store]] = defaultdict(list)
        self.loops: dict[Loop, list[int]] = defaultdict(list)
        for place in self.needed:
            self._place(place)
        for store in outputs:
            self._put(store)
        self.kept = self._kept()

    def _find(self, outputs: Sequence[Store]) -> list[int]:
        seen, left = set(), [store.place for store in outputs]
        while left:
            place = left.pop()
            if place not in seen:
                seen.add(place)
                left += inputs(self.program.steps[place])
        return sorted(seen)

    def _place(self, place: int) -> None:
        step = self.program.steps[place]
        if step.size is None:
            return
        if step.op == "plane":
            level = -1
        elif step.op == "join":
            level = self._assemble(place, step)
        elif step.op == "load":
            level = self.levels[step.args[0]] + 1
        else:
            level = max([0, *(self.after(a, step.size) for a in inputs(step))])
            if step.op == "gather":
                level = max(level, self.levels[step.args[0]] + 1)
            self.loops[level, step.size].append(place)
        self.levels[place] = level

    def _assemble(self, place: int, step: Step) -> int:
        stride = self.program.stride(place)
        return max(
            self._put(Store(a, (rows, columns), place, top * stride + left, stride))
            for a, top, left, rows, columns in step.args[0]
        )

    def _put(self, store: Store) -> int:
        level = max(0, self.after(store.place, store.size))
        self.stores[level, store.size].append(store)
        return level

    def after(self, place: int, size: Size) -> int:
        """The first level at which a loop over `size` can read a step."""
        step = self.program.steps[place]
        if step.size is None or step.op == "plane":
            return 0
        if step.op == "load":
            return self.levels[place]
        if step.op == "join" or step.size != size:
            return self.levels[place] + 1
        return self.levels[place]

    def reads(self, loop: Loop) -> list[int]:
        """Planes that a loop reads of earlier ones."""
        own = set(self.loops.get(loop, ()))
        found: dict[int, None] = {}
        for place in self.loops.get(loop, ()):
            step = self.program.steps[place]
            for a in inputs(step):
                if self.program.steps[a].size is not None and a not in own:
                    found[a] = None
        for store in self.stores.get(loop, ()):
            if self.program.steps[store.place].size is not None and store.place not in own:
                found[store.place] = None
        return list(found)

    def order(self) -> list[Loop]:
        return sorted({*self.loops, *self.stores})

    def source(self, place: int) -> int:
        """The step in whose memory a step's plane lies."""
        step = self.program.steps[place]
        return int(step.args[0]) if step.op == "load" else place

    def _kept(self) -> set[int]:
        kept = {self.source(place) for loop in self.order() for place in self.reads(loop)}
        return {place for place in kept if self.program.steps[place].op not in _MEMORY}


def inputs(step: Step) -> list[int]:
    """The earlier steps that a step reads."""
    if step.op in ("const", "plane", "params", "seed"):
        return []
    if step.op == "join":
        return [piece[0] for piece in step.args[0]]
    return [step.args[0]] if step.op == "load" else list(step.args)


def _memory(plan: _Plan) -> tuple[dict[int, int], int]:
    """Where each plane lies in memory, and how much is needed; room is used again."""
    order = plan.order()
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for k, loop in enumerate(order):
        written = [a for a in plan.loops.get(loop, ()) if a in plan.kept]
        written += [s.into for s in plan.stores.get(loop, ()) if isinstance(s.into, int)]
        for place in written:
            first.setdefault(place, k)
            last[place] = k
        for place in map(plan.source, plan.reads(loop)):
            last[place] = k
    at: dict[int, int] = {}
    free: dict[int, list[int]] = defaultdict(list)
    room = 0
    for k in range(len(order)):
        for place in [place for place, begin in first.items() if begin == k]:
            rows = plan.program.steps[place].size
            assert rows is not None
            length = -(-(rows[0] * plan.program.stride(place) + LANES) // LANES) * LANES
            if free[length]:
                at[place] = free[length].pop()
            else:
                at[place], room = room, room + length
        for place, end in last.items():
            if end == k and place in at:
                rows = plan.program.steps[place].size
                assert rows is not None
                length = -(-(rows[0] * plan.program.stride(place) + LANES) // LANES) * LANES
                free[length].append(at[place])
    return at, room


def write(program: Program, outputs: Sequence[Store], head: str, together: int = 1) -> Kernel:
    """Return the C++ of a program: `render` after the text `head`, which holds what it calls.

    The program works on `together` rows of its inputs at a time.
    """
    plan, tables = _Plan(program, outputs), _Tables()
    at, room = _memory(plan)
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


def _shared(plan: _Plan) -> list[int]:
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
    plan: _Plan,
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
                head.append(f"  const {scalar} x{place} = get<{scalar}>(s + {slots[place]});")
            else:
                pointed("const ", f"m{place}", pointer(place), step.size[0] > 1, place)
                if step.size[1] == 1 < size[1]:
                    read = f"all(get<{scalar}>(m{place}))"
                else:
                    read = f"load<{vector}>(m{place} + x)"
                body.append(f"    const {vector} x{place} = {read};")
        return f"x{place}"

    for place in plan.loops.get(loop, ()):
        step = program.steps[place]
        vector = _TYPES[step.kind][1]
        if step.op == "gather":
            head.append(f"  const float* const m{place} = {pointer(step.args[0])};")
            said = f"gather<{vector}>(m{place}, {name(step.args[1])})"
        else:
            said = _said(step, [name(a) for a in step.args])
        body.append(f"    const {vector} x{place} = {said};")
        named.add(place)
        if place in plan.kept:
            pointed("", f"m{place}", pointer(place), size[0] > 1, place)
            body.append(f"    store(m{place} + x, x{place});")
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

"""Steps as C++: a loop for all planes that can be worked out together, one after the other."""

from collections.abc import Container, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gazegan.render.dialect import Dialect
from gazegan.render.lookups import Pair, pairs
from gazegan.render.plan import Loop, Plan, Store, inputs, memory
from gazegan.render.skips import Asked, asked, blocks
from gazegan.render.steps import LANES, Program, Size, Step

_INFIX = {
    **{"add": "+", "sub": "-", "mul": "*", "div": "/", "and": "&", "or": "|", "xor": "^"},
    **{"shift": ">>", "gt": ">", "lt": "<", "ge": ">=", "le": "<=", "eq": "==", "ne": "!="},
}
_TYPES = {"f": ("float", "F"), "i": ("int", "I"), "b": ("truth", "B")}


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
    shared: int
    """Numbers of an eye that its loops read."""
    loops: tuple[Size, ...]
    """Rows and columns that each goes through."""
    together: int
    """Rows of inputs that make one image."""


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


def write(
    program: Program, outputs: Sequence[Store], dialect: Dialect, together: int = 1
) -> Kernel:
    """Return a program as text in a dialect; it works on `together` rows of inputs at a time."""
    plan, tables = Plan(program, outputs), _Tables()
    at, room = memory(plan)
    scalars = [a for a in plan.needed if program.steps[a].size is None]
    shared = _shared(plan)
    slots = {a: k for k, a in enumerate(shared)}
    known = f"#define SHARED {len(shared) + 1}\n#define TOGETHER {together}\n"
    text = [dialect.head, known, _numbers(program, scalars, slots, tables)]
    order, wanted = plan.order(), asked(plan)
    loops = (_Loop(plan, k, at, slots, tables, wanted) for k in range(len(order)))
    text += [loop.text() for loop in loops]
    calls = "\n".join(f"    loop{k}(s, w, c, o, n);" for k in range(len(order)))
    text.append(dialect.foot.replace("CALLS", calls))
    return Kernel(
        "\n".join(text),
        np.array(tables.sizes, dtype=np.int64),
        np.array(tables.numbers, dtype=np.float32),
        room,
        len(shared) + 1,
        tuple(size for _, size in order),
        together,
    )


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
    """What is the same for all pixels, of as many eyes as there are lanes."""
    lines = [
        "PART void numbers(const float* p, const int* q, I eye, long params, const float* k,",
        "                  float* s) {",
        "  const I row = eye * (int)params;",
    ]
    for a in places:
        step = program.steps[a]
        if step.op == "params":
            said = f"gather<F>(p + {step.args[0]}, row)"
        elif step.op == "seed":
            said = f"gather<I>((const float*)q + {step.args[0]}, eye)"
        elif step.op == "const" and step.kind == "f":
            said = f"all({tables.number(step.args[0])})"
        elif step.op == "const":
            said = f"all({step.args[0]})"
        else:
            said = _said(step, [f"x{b}" for b in step.args])
        lines.append(f"  const {_TYPES[step.kind][1]} x{a} = {said};")
        if a in slots:
            lines.append(f"  store(s + {slots[a] * LANES}, x{a});")
    return "\n".join([*lines, "}\n"])


def _said(step: Step, args: list[str]) -> str:
    if step.op in _INFIX:
        return f"{args[0]} {_INFIX[step.op]} {args[1]}"
    return f"{step.op}_({', '.join(args)})"


class _Loop:
    """A loop over rows and columns, written down step by step."""

    def __init__(
        self,
        plan: Plan,
        number: int,
        at: dict[int, int],
        slots: dict[int, int],
        tables: _Tables,
        asked: dict[Loop, Asked],
    ) -> None:
        self.plan, self.number, self.loop = plan, number, plan.order()[number]
        self.at, self.slots, self.tables, self.asked = at, slots, tables, asked
        self.head: list[str] = []
        self.row: list[str] = []
        self.body: list[str] = []
        self.named: set[int] = set()
        self.pointed: set[int] = set()

    def text(self) -> str:
        found = blocks(self.plan, self.loop, self.asked[self.loop])
        outside = self._read_outside(found)
        for mask, block in found:
            if mask is None:
                self._take(block)
            else:
                self._skip_or_take(mask, block, outside)
        for k, store in enumerate(self.plan.stores.get(self.loop, ())):
            self._store(k, store)
        rows, columns = (self._size((self.number, k), self.loop[1][k]) for k in (0, 1))
        return "\n".join(
            (
                f"LOOP(loop{self.number}) {{",
                "  START",
                f"  const N rows = {rows}, columns = {columns};",
                *self.head,
                "  ROWS {",
                *self.row,
                "  COLUMNS {",
                *self.body,
                "  }}\n}\n",
            )
        )

    def _read_outside(self, found: list[tuple[int | None, list[int]]]) -> set[int]:
        """Steps that are read outside of the block in which they are taken."""
        block_of = {place: k for k, (_, block) in enumerate(found) for place in block}
        read = {store.place for store in self.plan.stores.get(self.loop, ())}
        for place, k in block_of.items():
            args = inputs(self.plan.program.steps[place])
            read |= {a for a in args if block_of.get(a, k) != k}
        return read

    def _take(self, block: list[int], declared: Container[int] = ()) -> None:
        program, kept = self.plan.program, self.plan.kept
        following = pairs(program, block, kept)
        second, starts = {pair.other for pair in following.values()}, set[int]()
        for place in block:
            step = program.steps[place]
            if place in following:
                self._look_up_two(place, following[place], declared, starts)
            elif place not in second:
                vector = "" if place in declared else f"const {_TYPES[step.kind][1]} "
                self.body.append(f"    {vector}x{place} = {self._said(place, step)};")
            self.named.add(place)
            if place not in declared:
                self._keep(place)

    def _keep(self, place: int) -> None:
        """Put a step's plane into memory, where later loops want it."""
        if self.plan.puts(place, self.loop):
            self._point(place, self.plan.program.steps[place], "")
            self.body.append(f"    store(m{place} + x, x{place});")

    def _look_up_two(
        self, place: int, pair: Pair, declared: Container[int], starts: set[int]
    ) -> None:
        """Look up a number and the next one; `starts` are the places from which a block did."""
        start, other = pair.start, pair.other
        source = self._begin(self.plan.program.steps[place].args[0])
        if start not in starts:
            self.body.append(f"    const At a{start} = places({self._name(start)});")
            starts.add(start)
        if new := [f"x{k}" for k in (place, other) if k not in declared]:
            self.body.append(f"    F {', '.join(new)};")
        self.head.append(f"  const float* const m{place} = {source} + {pair.distance};")
        self.body.append(f"    look_up_two(m{place}, a{start}, x{place}, x{other});")
        self.named.add(other)

    def _skip_or_take(self, mask: int, block: list[int], outside: set[int]) -> None:
        wanted = outside | self.plan.kept
        tested, shown = self._name(mask), [place for place in block if place in wanted]
        kinds = {place: _TYPES[self.plan.program.steps[place].kind][1] for place in shown}
        self.body += [f"    {kinds[place]} x{place} = {{}};" for place in shown]
        self.body.append(f"    if (any_({tested})) {{")
        before = set(self.named)
        self._take(block, shown)
        self.body.append("    }")
        single = {a for a in self.named if self.plan.program.steps[a].size is None}
        self.named = before | set(block) | single
        for place in shown:
            self._keep(place)

    def _said(self, place: int, step: Step) -> str:
        if step.op != "gather":
            return _said(step, [self._name(a) for a in step.args])
        self.head.append(f"  const float* const m{place} = {self._begin(step.args[0])};")
        return f"gather<{_TYPES[step.kind][1]}>(m{place}, {self._name(step.args[1])})"

    def _store(self, k: int, store: Store) -> None:
        into = f"o[{store.into[1:]}]" if isinstance(store.into, str) else self._begin(store.into)
        base, stride = (
            self._size((self.number, k, name), getattr(store, name)) for name in ("base", "stride")
        )
        kind = _TYPES[self.plan.program.steps[store.place].kind][1]
        self.row.append(f"    float* const o{k} = {into} + {base} + y * {stride};")
        self.body.append(
            f"    part(o{k} + x, {kind}{{}} + {self._name(store.place)}, columns - x);"
        )

    def _name(self, place: int) -> str:
        """What a step is called, which is read first where it lies in memory."""
        step = self.plan.program.steps[place]
        if step.op == "const":
            return f"float({step.args[0]!r})" if step.kind == "f" else str(step.args[0])
        if place in self.named:
            return f"x{place}"
        self.named.add(place)
        scalar, vector = _TYPES[step.kind]
        if step.size is None:
            slot = self.slots[place]
            self.head.append(f"  const {scalar} x{place} = get<{scalar}>(s + {slot * LANES});")
            return f"x{place}"
        self._point(place, step, "const ")
        if step.size[1] == 1 < self.loop[1][1]:
            read = f"all(get<{scalar}>(m{place}))"
        else:
            read = f"load<{vector}>(m{place} + x)"
        self.body.append(f"    const {vector} x{place} = {read};")
        return f"x{place}"

    def _point(self, place: int, step: Step, const: str) -> None:
        """Say once where a row of a plane begins."""
        if place in self.pointed:
            return
        self.pointed.add(place)
        stride = self._size(("stride", place), self.plan.program.stride(place))
        down = f" + y * {stride}" if step.size and step.size[0] > 1 else ""
        self.row.append(f"    {const}float* const m{place} = {self._begin(place)}{down};")

    def _begin(self, place: int) -> str:
        """Where a plane begins."""
        step = self.plan.program.steps[place]
        if step.op == "plane":
            return f"c[{step.args[0]}]"
        if step.op == "load":
            return f"{self._begin(step.args[0])} + {self._size(('base', place), step.args[1])}"
        return f"w + {self._size(('at', place), self.at[place])}"

    def _size(self, name: Hashable, value: int) -> str:
        return self.tables.size(name, value)

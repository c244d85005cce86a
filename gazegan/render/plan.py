"""Which steps share a loop over pixels, and which planes go to memory."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gazegan.render.steps import LANES, Program, Size, Step, Value

_MEMORY = ("plane", "join", "load")
"""Steps whose planes lie in memory and are read where they are used."""
_AGAIN = 60
"""Operations up to which a plane is worked out again rather than kept: memory is slower."""
_COST = {
    **{"gather": 20, "exp": 12, "exp_low": 10, "log": 15, "sin": 15, "cos": 15, "tan": 30},
    **{"atan": 20, "sqrt": 8, "inverse": 4},
}
"""About how many operations a step takes, where it is more than one."""


@dataclass(frozen=True)
class Store:
    """A plane, or part of one, put into memory: a piece of a join, or an output."""

    place: int
    size: Size
    into: int | str
    """The join, or the name of an output."""
    base: int
    stride: int


def stores(made: Iterable[Value]) -> list[Store]:
    """Return how planes are put into outputs, one after the other and row by row."""
    found = []
    for number, value in enumerate(made):
        assert value.size is not None
        rows, columns = value.size
        for k, place in enumerate(value.at.flat):
            found.append(Store(int(place), value.size, f"o{number}", k * rows * columns, columns))
    return found


Loop = tuple[int, Size]
"""Loops are run in order of a level; those of one level need nothing of one another."""


class Plan:
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
        self._delay()
        self.kept = self._kept()
        self._repeat()

    def puts(self, place: int, loop: Loop) -> bool:
        """Whether a loop is the one that keeps a step's plane, for later loops."""
        if place not in self.kept:
            return False
        return loop == next(k for k in self.order() if place in self.loops.get(k, ()))

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

    def _delay(self) -> None:
        """Take steps as late as those that read them, where more of them may be skipped."""
        steps, late = self.program.steps, dict[int, int]()

        def bound(place: int, level: int, size: Size) -> None:
            level -= steps[place].size != size
            late[place] = min(level, late.get(place, level))

        for (level, size), stores in self.stores.items():
            for store in stores:
                bound(store.place, level, size)
        for place in reversed(self.needed):
            step = steps[place]
            if step.op == "load":
                late[step.args[0]] = self.levels[step.args[0]]
            if step.size is None or step.op in _MEMORY:
                continue
            before, level = self.levels[place], late[place]
            if level > before:
                self.loops[before, step.size].remove(place)
                self.loops[level, step.size].insert(0, place)
                self.levels[place] = level
            for a in inputs(step):
                bound(a, level, step.size)
            if step.op == "gather":
                late[step.args[0]] = self.levels[step.args[0]]
        self.loops = defaultdict(list, {k: sorted(v) for k, v in self.loops.items() if v})

    def _repeat(self) -> None:
        """Take steps again in later loops where that costs less than to keep their planes."""
        for loop in self.order():
            own, reads = set(self.loops.get(loop, ())), set(self.reads(loop))
            for place in sorted(reads & self.kept):
                again = self._again(place, loop[1], own, reads - {place})
                if again is not None:
                    own |= again
                    reads.remove(place)
            if own:
                self.loops[loop] = sorted(own)
        self.kept = self._kept()

    def _again(self, place: int, size: Size, own: set[int], reads: set[int]) -> set[int] | None:
        """What a loop has to take to work out a plane of an earlier one, or None if too much."""
        known, found, left, cost = own | reads, set[int](), [place], 0
        while left:
            one = left.pop()
            step = self.program.steps[one]
            if one in known or one in found or step.size is None or step.op == "plane":
                continue
            cost += _COST.get(step.op, 1)
            if step.op in _MEMORY or step.size != size or cost > _AGAIN:
                return None
            found.add(one)
            left += inputs(step)
        return found

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
        """Return the loops in the order in which they are run."""
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


def memory(plan: Plan) -> tuple[dict[int, int], int]:
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

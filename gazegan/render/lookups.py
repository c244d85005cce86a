"""Numbers looked up side by side, which costs little more than one of them."""

from collections.abc import Container, Sequence
from dataclasses import dataclass

from gazegan.render.steps import Program


@dataclass(frozen=True)
class Pair:
    """A gather that another follows by one number."""

    other: int
    """The gather of the next number."""
    start: int
    """The place from which both are looked up, and how far behind it the first lies."""
    distance: int


def pairs(program: Program, block: Sequence[int], kept: Container[int]) -> dict[int, Pair]:
    """Return which gathers of a block are followed by one of the next number, by their places.

    Those whose planes are `kept` in memory are left as they are.
    """
    steps, inside = program.steps, set(block)
    found = {
        (steps[a].args[0], *_anchor(program, steps[a].args[1], inside)): a
        for a in block
        if steps[a].op == "gather" and steps[a].kind == "f" and a not in kept
    }
    following, second = dict[int, Pair](), set[int]()
    for (source, start, distance), place in found.items():
        other = found.get((source, start, distance + 1))
        # Of three numbers in a row the third is looked up alone.
        if other is not None and other > place and place not in second:
            following[place] = Pair(other, start, distance)
            second.add(other)
    return following


def _anchor(program: Program, at: int, inside: Container[int]) -> tuple[int, int]:
    """Return a looked up place as another, of those `inside`, and a constant distance from it."""
    start, distance = at, 0
    while start in inside and program.steps[start].op == "add":
        before, by = program.steps[start].args
        if before not in inside or program.steps[by].op != "const":
            break
        start, distance = before, distance + program.steps[by].args[0]
    return start, distance

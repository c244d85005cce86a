"""Numbers looked up side by side, which costs little more than one of them."""

from collections.abc import Container, Sequence

from gazegan.render.steps import Program


def pairs(program: Program, block: Sequence[int], kept: Container[int]) -> dict[int, int]:
    """Return which gathers of a block are followed by one of the next number, and by which.

    Those whose planes are `kept` in memory are left as they are.
    """
    steps, inside = program.steps, set(block)
    found = {
        (steps[a].args[0], *anchor(program, steps[a].args[1], inside)): a
        for a in block
        if steps[a].op == "gather" and steps[a].kind == "f" and a not in kept
    }
    following = dict[int, int]()
    for (source, start, distance), place in found.items():
        other = found.get((source, start, distance + 1))
        # Of three numbers in a row the third is looked up alone.
        if other is not None and other > place and place not in following.values():
            following[place] = other
    return following


def anchor(program: Program, at: int, inside: Container[int]) -> tuple[int, int]:
    """Return a looked up place as another, of those `inside`, and a constant distance from it."""
    start, distance = at, 0
    while start in inside and program.steps[start].op == "add":
        before, by = program.steps[start].args
        if before not in inside or program.steps[by].op != "const":
            break
        start, distance = before, distance + program.steps[by].args[0]
    return start, distance

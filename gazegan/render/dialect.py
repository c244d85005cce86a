"""How compiled loops are said for a kind of processor."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Dialect:
    """What C++ for a kind of processor says before the loops, and after them.

    Before them: the types F, I and B of numbers, integers and truths that are worked on together,
    N of places, the operations, and what begins a part (PART), a loop (LOOP and START), and goes
    through rows and columns (ROWS and COLUMNS). After them: CALLS stands for calls of all loops.
    """

    head: str
    foot: str

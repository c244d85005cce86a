"""Records of measurements, a line of JSON each."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gazegan.data.files import only_writer


def read(results: Path) -> list[dict[str, Any]]:
    """Return the records, none where nothing was measured yet."""
    lines = results.read_text().splitlines() if results.exists() else []
    return [json.loads(line) for line in lines]


def keep(
    results: Path,
    same: Sequence[str],
    lines: Sequence[dict[str, Any]],
    place: Callable[[dict[str, Any]], Any] = lambda _: 0,
) -> None:
    """Write lines in the place of those that have the same values of the fields `same`.

    They are sorted by `place`; where that is the same, new ones come last. Processes that do so at
    once wait for each other.
    """
    with only_writer(results.parent, wait=True):
        fresh = {tuple(line.get(name) for name in same) for line in lines}
        kept = [one for one in read(results) if tuple(one.get(name) for name in same) not in fresh]
        written = results.with_suffix(".tmp")
        sorted_lines = sorted([*kept, *lines], key=place)
        written.write_text("".join(f"{json.dumps(record)}\n" for record in sorted_lines))
        written.replace(results)

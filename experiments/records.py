"""Records of measurements, a line of JSON each."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def keep(results: Path, same: Sequence[str], lines: Sequence[dict[str, Any]]) -> None:
    """Write lines in the place of those that have the same values of the fields `same`."""
    old = results.read_text().splitlines() if results.exists() else []
    fresh = {tuple(line.get(name) for name in same) for line in lines}
    kept = [
        record
        for record in map(json.loads, old)
        if tuple(record.get(name) for name in same) not in fresh
    ]
    written = results.with_suffix(".tmp")
    written.write_text("".join(f"{json.dumps(record)}\n" for record in [*kept, *lines]))
    written.replace(results)

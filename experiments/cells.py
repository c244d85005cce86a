"""Cells of the experiments' tables: chosen records, their spreads, Markdown."""

import math
import random
import statistics
from typing import Any

Records = list[dict[str, Any]]


def of(records: Records, **wanted: str) -> Records:
    return [r for r in records if all(r[key] == value for key, value in wanted.items())]


def unique(records: Records, key: str) -> list[str]:
    return list(dict.fromkeys(r[key] for r in records))


def joined(records: Records, key: str) -> list[float]:
    return [value for r in sorted(records, key=lambda r: r["first"]) for value in r.get(key, ())]


def spread(values: list[float], digits: int = 2) -> str:
    """Mean and standard deviation; empty where there is nothing."""
    if not values:
        return ""
    mean = f"{statistics.mean(values):.{digits}f}"
    apart = len(values) > 1 and statistics.stdev(values) >= 0.5 * 10**-digits
    return f"{mean} ± {statistics.stdev(values):.{digits}f}" if apart else mean


def middle(records: Records) -> float:
    return statistics.median(r["value"] for r in records)


def extent(records: Records, digits: int | None = None) -> str:
    """Median, smallest and largest; empty without records."""
    if not records:
        return ""
    values = [r["value"] for r in records]
    places = digits if digits is not None else max(0, 2 - int(math.log10(max(values))))
    middle, low, high = (
        f"{v:.{places}f}" for v in (statistics.median(values), min(values), max(values))
    )
    return f"{middle} ({low} to {high})"


def median(values: list[float]) -> str:
    """Median and its percentile bootstrap (Efron, Ann. Statist. 1979); empty without values."""
    if not values:
        return ""
    draw = random.Random(0)
    drawn = sorted(statistics.median(draw.choices(values, k=len(values))) for _ in range(2000))
    return f"{statistics.median(values):.2f} ({drawn[50]:.2f} to {drawn[1949]:.2f})"


def markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)

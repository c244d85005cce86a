"""What is said of a parameter: its range, how it usually spreads, and what it is."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Spec:
    """What is possible for one parameter and how it spreads unless a recipe says otherwise."""

    low: float
    high: float
    default: Any
    doc: str


def parameter(default: Any, low: float, high: float, doc: str) -> Any:
    """Return a field of a record of parameters."""
    return field(metadata={"spec": Spec(low, high, default, doc)})


def normal(mean: float, sd: float, low: float, high: float) -> dict[str, float]:
    """Return a normal distribution cut off, as recipes write it."""
    return {"mean": mean, "sd": sd, "low": low, "high": high}

"""Results of any shape as tables: what is alike stands side by side, numbers have their units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_UNITS = {
    "deg": "degrees",
    "px": "pixels",
    "mm": "millimetres",
    "rad": "radians",
    "255": "/255",
    "se": "standard error",
    "p95": "95th percentile",
    "auc": "AUC",
    "lr": "learning rate",
}
_FIXED = ("_deg", "_px")
_SHARES = "within_"
"""How names of shares begin, such as `within_5_deg`."""
_MOST_ROWS, _MOST_COLUMNS = 24, 8


@dataclass(frozen=True)
class Table:
    """Text in rows; the first cell of each is its name."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    more: int = 0
    """Rows that are left out."""

    @property
    def pairs(self) -> bool:
        """Whether it holds single values by name, in no columns."""
        return not any(self.columns)


def tables(values: Mapping[str, Any], title: str = "") -> Iterator[Table]:
    """Lay out nested results: plain values first, then what is nested, under its own title.

    A list of records is a table with a row for each; records that are named, rather than listed,
    and alike are the columns of one table, or where they are many its rows.
    """
    plain = [(words(k), _cell(k, v)) for k, v in values.items() if _is_plain(v) and v != []]
    if plain:
        yield _table(title, ("", ""), plain)
    for keys, group in _alike(values).items():
        names = tuple(group)
        if len(names) > max(_MOST_COLUMNS, len(keys)):
            records = [{"name": words(name), **record} for name, record in group.items()]
            yield from _listed(records, title)
            continue
        rows = [(words(key), *(_cell(key, group[name][key]) for name in names)) for key in keys]
        heading = title if len(names) > 1 else _joined(title, names[0])
        columns = tuple(map(words, names)) if len(names) > 1 else ("",)
        yield _table(heading, ("", *columns), rows)
    for key, value in values.items():
        if _is_listed(value):
            yield from _listed(value, _joined(title, key))
        elif isinstance(value, Mapping) and not all(map(_is_plain, value.values())):
            yield from tables(value, _joined(title, key))


def words(name: str) -> str:
    """Return a field's name in words: `mean_deg` is "mean, degrees"."""
    parts = name.replace("/", "_").split("_")
    if name.startswith(_SHARES):
        return " ".join(_UNITS.get(part, part) for part in parts)
    unit = _UNITS.get(parts[-1])
    if unit and len(parts) > 1:
        return f"{' '.join(_UNITS.get(part, part) for part in parts[:-1])}, {unit}".strip()
    return " ".join(_UNITS.get(part, part) for part in parts if part)


def _alike(values: Mapping[str, Any]) -> dict[tuple[str, ...], dict[str, Mapping[str, Any]]]:
    """Return the records of plain values by the fields they have, each group by name."""
    groups: dict[tuple[str, ...], dict[str, Mapping[str, Any]]] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value and all(map(_is_plain, value.values())):
            groups.setdefault(tuple(value), {})[name] = value
    return groups


def _listed(records: Sequence[Mapping[str, Any]], title: str) -> Iterator[Table]:
    keys = [key for key, value in records[0].items() if _is_plain(value)]
    if keys:
        rows = [tuple(_cell(key, record.get(key)) for key in keys) for record in records]
        yield _table(title, tuple(map(words, keys)), rows)


def _table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Table:
    shown = tuple(rows[:_MOST_ROWS])
    return Table(title, columns, shown, len(rows) - len(shown))


def _joined(title: str, key: str) -> str:
    return f"{title}: {words(key)}" if title else words(key)


def _is_listed(value: Any) -> bool:
    return (
        isinstance(value, list) and bool(value) and all(isinstance(one, Mapping) for one in value)
    )


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return len(value) <= 12 and all(map(_is_plain, value))
    return value is None or isinstance(value, str | int | float)


def _cell(name: str, value: Any) -> str:
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case float() if name.startswith(_SHARES):
            return f"{100 * value:.0f}%"
        case float():
            fixed = abs(value) >= 1 or name.endswith(_FIXED)
            return f"{value:.2f}" if fixed else f"{value:.3g}"
        case list():
            return ", ".join(_cell(name, one) for one in value)
        case _:
            return str(value)

"""The table of errors on what was changed to mislead a network."""

from cells import Records, markdown, of, spread, unique

COLUMNS = {
    "unseen renders": ("renders", "mean_deg"),
    "noise of 2/255": ("changed by 2/255", "noise_deg"),
    "PGD of 2/255": ("changed by 2/255", "pgd_deg"),
    "scenes, nominal": ("scenes", "nominal_deg"),
    "worst of random draws": ("scenes", "drawn_deg"),
    "worst found": ("scenes", "worst_deg"),
    "real, head pose 0": ("head pose 0", "mean_deg"),
    "real, all poses": ("all poses", "mean_deg"),
}
"""Columns of the table: which measurement, and which of its values."""


def robustness(records: Records) -> list[str]:
    """Return the errors, and below them the differences from the first row, as Markdown."""
    (first, *others), rows = unique(records, "row"), []
    constant = [of(records, column=column) for column, _ in COLUMNS.values()]
    rows.append(["nothing: constant", *(spread([r["constant_deg"] for r in c]) for c in constant)])
    for name in (first, *others):
        cells = (_values(records, name, *where) for where in COLUMNS.values())
        rows.append([name, *(spread([*values.values()]) for values in cells)])
    apart = []
    for name in others:
        cells = []
        for where in COLUMNS.values():
            here, there = (_values(records, row, *where) for row in (name, first))
            cells.append(spread([here[s] - there[s] for s in here if s in there]))
        apart.append([f"{name} minus {first}", *cells])
    tables = [markdown(["trained on", *COLUMNS], rows)]
    return [*tables, markdown(["seed by seed", *COLUMNS], apart)] if apart else tables


def _values(records: Records, row: str, column: str, key: str) -> dict[int, float]:
    return {r["seed"]: r[key] for r in of(records, row=row, column=column)}

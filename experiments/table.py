"""Write the tables of the experiments' READMEs from their results: `python experiments/table.py`.

With --check nothing is written, and the exit code is 1 where a table differs from its results.
"""

import math
import statistics
from pathlib import Path

import click
from cells import Records, markdown, of, spread, unique
from likeness_table import likeness
from other_tables import recovered, speeds
from records import read
from robust_table import robustness
from stable_table import stability
from train_table import trainings

HERE = Path(__file__).parent
BEGIN, END = "<!-- table begins -->", "<!-- table ends -->"


@click.command()
@click.option("--check", is_flag=True, help="Only compare.")
def main(check: bool) -> None:
    """Write or check the tables."""
    stale = [path for path in sorted(HERE.glob("*/results.jsonl")) if not _refresh(path, check)]
    for path in stale:
        click.echo(f"{path.parent / 'README.md'}: differs from {path.name}", err=True)
    raise SystemExit(bool(stale))


def _refresh(results: Path, check: bool) -> bool:
    readme = results.parent / "README.md"
    text = readme.read_text()
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    fresh = f"{head}{BEGIN}\n{tables(read(results))}\n{END}{tail}"
    if not check and fresh != text:
        readme.write_text(fresh)
    return not check or fresh == text


def tables(records: Records) -> str:
    """Return the errors, and below them biases, slopes and the pupil's drift, as Markdown."""
    if other := _other(records):
        return other
    errors = [r for r in records if "mean_deg" in r]
    drift = [r for r in records if "median_px" in r]
    parts = [_errors(errors), *_paired(errors), *_by_person(errors), _tails(errors)]
    # Both eyes together have the biases and slopes of each; aligned ones have the slopes, and
    # those that were matched to gazes have those of the gazes.
    changed = {"both eyes", "aligned", "matched"}
    single = [r for r in errors if not changed & set(r["column"].split(", "))]
    if all("vertical_bias_deg" in r for r in single):  # of angles, which directions do not have
        parts.append(_details(single))
    parts += _shots([r for r in records if "shots" in r])
    if drift:
        median, p95 = (spread([r[key] for r in drift], 2) for key in ("median_px", "p95_px"))
        parts.append(f"Pupil moved by refinement: median {median} px, 95th percentile {p95} px.")
    return "\n\n".join([*parts, _ran(records)])


def _other(records: Records) -> str | None:
    """Return the tables of experiments that are not about errors on photographs alone.

    Records of recovered eyes list an error for each eye, those of speed tell their kind, and
    of training which; those of attacks have worst scenes, those of refiners and of comparisons
    likenesses.
    """
    found = None
    if isinstance(records[0].get("gaze_deg"), list):
        found = recovered(records)
    elif "training" in records[0]:
        found = trainings(records)
    elif "kind" in records[0]:
        found = speeds(records)
    elif "likeness/raw_auc" in records[0]:
        found = f"{stability(records)}\n\n{_ran(records)}"
    elif any("halves/auc" in r for r in records):
        found = f"{likeness(records)}\n\n{_ran(records)}"
    elif any("worst_deg" in r for r in records):
        real = [r for r in records if r.get("people")]
        found = "\n\n".join([*robustness(records), *_by_person(real), _ran(records)])
    return found


def _ran(records: Records) -> str:
    ran = sorted({f"gazegan {r['gazegan']}, torch {r['torch']}, {r['device']}" for r in records})
    return (
        f"{_counted(records)}, spread as standard deviation; {'; '.join(ran)},"
        f" {records[0]['threads']} thread(s)."
    )


def _counted(records: Records) -> str:
    """Say how many seeds the rows have."""
    counts = {len(unique(of(records, row=row), "seed")) for row in unique(records, "row")}
    few = "" if len(counts) == 1 else f"{min(counts)} to "
    return f"{few}{max(counts)} seeds"


def _errors(records: Records) -> str:
    columns, names = unique(records, "column"), unique(records, "row")
    constant = [spread([r["constant_deg"] for r in of(records, column=c)]) for c in columns]
    seeds = [len(unique(of(records, row=name), "seed")) for name in names]
    unlike = len(set(seeds)) > 1  # said only where rows differ in it
    rows = [["nothing: constant", *[""][:unlike], *constant]]
    for name, count in zip(names, seeds, strict=True):
        chosen = [of(records, row=name, column=column) for column in columns]
        cells = [spread([r["mean_deg"] for r in some]) for some in chosen]
        rows.append([name, *[str(count)][:unlike], *cells])
    return markdown(["trained on", *["seeds"][:unlike], *columns], rows)


def _tails(records: Records) -> str:
    """Medians and 95th percentiles, means over seeds."""
    columns, rows = unique(records, "column"), []
    for name in unique(records, "row"):
        cells = [name]
        for column in columns:
            chosen = of(records, row=name, column=column)
            both = (statistics.mean(r[f"{s}_deg"] for r in chosen) for s in ("median", "p95"))
            cells.append("{:.2f}, {:.2f}".format(*both))
        rows.append(cells)
    return markdown(["median, 95th percentile", *columns], rows)


def _paired(records: Records) -> list[str]:
    """Compare every row with its control, seed by seed: what the spread between seeds hides."""
    rows, columns = [], unique(records, "column")
    for name, control in _controls(records):
        cells = [f"{name} minus {control}"]
        for column in columns:
            here, there = (
                {r["seed"]: r["mean_deg"] for r in of(records, row=row, column=column)}
                for row in (name, control)
            )
            cells.append(spread([here[s] - there[s] for s in here if s in there]))
        rows.append(cells)
    head = ["mean error, seed by seed", *columns]
    return [markdown(head, rows)] if rows else []


def _controls(records: Records) -> list[tuple[str, str]]:
    """Return every row with that which it is compared with.

    "X, ..." is compared with "X", or with "X, raw", where there is such a row; others with the
    first.
    """
    first, *others = rows = unique(records, "row")
    found = []
    for name in others:
        begin = name.rpartition(", ")[0]
        fitting = [row for row in (begin, f"{begin}, raw") if row in rows and row != name]
        found.append((name, [*fitting, first][0]))
    return found


def _by_person(records: Records) -> list[str]:
    """Compare every row with its control, person by person: what a few test people can prove."""
    controls, columns = _controls(records), unique(records, "column")
    if not controls or not all(r.get("people") for r in records):
        return []
    rows = []
    for name, control in controls:
        cells = [f"{name} minus {control}"]
        for column in columns:
            chosen = [of(records, row=row, column=column) for row in (name, control)]
            shared = set.intersection(*({r["seed"] for r in some} for some in chosen))
            if not shared:
                cells.append("")
                continue
            here, there = (_people([r for r in some if r["seed"] in shared]) for some in chosen)
            apart = [here[person] - there[person] for person in here]
            error = statistics.stdev(apart) / math.sqrt(len(apart)) if len(apart) > 1 else math.nan
            better = sum(value < 0 for value in apart)
            cells.append(
                f"{statistics.mean(apart):.2f} ± {error:.2f}, lower for {better} of {len(apart)}"
            )
        rows.append(cells)
    return [markdown(["mean error, person by person, ± standard error", *columns], rows)]


def _people(records: Records) -> dict[str, float]:
    """Mean error of each person over the seeds."""
    return {
        person: statistics.mean(r["people"][person] for r in records)
        for person in records[0]["people"]
    }


def _shots(records: Records) -> list[str]:
    """Mean errors after so many samples of each test eye; a table for each choice of numbers."""
    tables = []
    for counts in dict.fromkeys(tuple(r["shots"]) for r in records):
        alike = [r for r in records if tuple(r["shots"]) == counts]
        rows = []
        for name in unique(alike, "row"):
            for column in unique(alike, "column"):
                if chosen := of(alike, row=name, column=column):
                    cells = [spread([r["shots"][count] for r in chosen]) for count in counts]
                    rows.append([name, column, *cells])
        header = ["trained on", "eyes", *(f"{count} samples" for count in counts)]
        tables.append(markdown(header, rows))
    return tables


def _details(records: Records) -> str:
    head = [
        "trained on",
        "eyes",
        "bias vertical",
        "bias horizontal",
        "slope vertical",
        "slope horizontal",
    ]
    keys = ("vertical_bias_deg", "horizontal_bias_deg", "vertical_slope", "horizontal_slope")
    rows = [
        [
            name,
            column,
            *(spread([r[key] for r in of(records, row=name, column=column)]) for key in keys),
        ]
        for name in unique(records, "row")
        for column in unique(records, "column")
    ]
    return markdown(head, rows)


if __name__ == "__main__":
    main()

"""Write the tables of the experiments' READMEs from their results: `python experiments/table.py`.

With --check nothing is written, and the exit code is 1 where a table differs from its results.
"""

import json
import math
import random
import statistics
from pathlib import Path
from typing import Any

import click

HERE = Path(__file__).parent
BEGIN, END = "<!-- table begins -->", "<!-- table ends -->"
Records = list[dict[str, Any]]


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


def read(results: Path) -> Records:
    """Return the records of an experiment."""
    return [json.loads(line) for line in results.read_text().splitlines()]


def tables(records: Records) -> str:
    """Return the errors, and below them biases, slopes and the pupil's drift, as Markdown.

    Records of recovered eyes list an error for each eye, those of speed tell their kind; theirs are
    other tables.
    """
    if isinstance(records[0].get("gaze_deg"), list):
        return recovered(records)
    if "kind" in records[0]:
        return speeds(records)
    errors = [r for r in records if "mean_deg" in r]
    drift = [r for r in records if "median_px" in r]
    parts = [_errors(errors), *_paired(errors), *_by_person(errors), _tails(errors)]
    # Both eyes together have the biases and slopes of each.
    parts.append(_details([r for r in errors if "both eyes" not in r["column"]]))
    parts += _shots([r for r in records if "shots" in r])
    if drift:
        median, p95 = (_spread([r[key] for r in drift], 2) for key in ("median_px", "p95_px"))
        parts.append(f"Pupil moved by refinement: median {median} px, 95th percentile {p95} px.")
    ran = sorted({f"gazegan {r['gazegan']}, torch {r['torch']}, {r['device']}" for r in records})
    parts.append(
        f"{len(_unique(records, 'seed'))} seeds, spread as standard deviation; {'; '.join(ran)},"
        f" {records[0]['threads']} thread(s)."
    )
    return "\n\n".join(parts)


def _errors(records: Records) -> str:
    columns = _unique(records, "column")
    constant = [_spread([r["constant_deg"] for r in _of(records, column=c)]) for c in columns]
    rows = [["nothing: constant", *constant]]
    for name in _unique(records, "row"):
        chosen = [_of(records, row=name, column=column) for column in columns]
        rows.append([name, *(_spread([r["mean_deg"] for r in some]) for some in chosen)])
    return _markdown(["trained on", *columns], rows)


def _tails(records: Records) -> str:
    """Medians and 95th percentiles, means over seeds."""
    columns, rows = _unique(records, "column"), []
    for name in _unique(records, "row"):
        cells = [name]
        for column in columns:
            chosen = _of(records, row=name, column=column)
            both = (statistics.mean(r[f"{s}_deg"] for r in chosen) for s in ("median", "p95"))
            cells.append("{:.2f}, {:.2f}".format(*both))
        rows.append(cells)
    return _markdown(["median, 95th percentile", *columns], rows)


def _paired(records: Records) -> list[str]:
    """Compare every row with the first, seed by seed: what the spread between seeds hides."""
    (first, *others), columns = _unique(records, "row"), _unique(records, "column")
    rows = []
    for name in others:
        cells = [f"{name} minus {first}"]
        for column in columns:
            here, there = (
                {r["seed"]: r["mean_deg"] for r in _of(records, row=row, column=column)}
                for row in (name, first)
            )
            cells.append(_spread([here[s] - there[s] for s in here if s in there]))
        rows.append(cells)
    head = ["mean error, seed by seed", *columns]
    return [_markdown(head, rows)] if rows else []


def _by_person(records: Records) -> list[str]:
    """Compare every row with the first, person by person: what a few test people can prove."""
    (first, *others), columns = _unique(records, "row"), _unique(records, "column")
    if not others or not all(r.get("people") for r in records):
        return []
    rows = []
    for name in others:
        cells = [f"{name} minus {first}"]
        for column in columns:
            here, there = (_people(_of(records, row=row, column=column)) for row in (name, first))
            apart = [here[person] - there[person] for person in here]
            error = statistics.stdev(apart) / math.sqrt(len(apart)) if len(apart) > 1 else math.nan
            better = sum(value < 0 for value in apart)
            cells.append(
                f"{statistics.mean(apart):.2f} ± {error:.2f}, lower for {better} of {len(apart)}"
            )
        rows.append(cells)
    return [_markdown(["mean error, person by person, ± standard error", *columns], rows)]


def _people(records: Records) -> dict[str, float]:
    """Mean error of each person over the seeds."""
    return {
        person: statistics.mean(r["people"][person] for r in records)
        for person in records[0]["people"]
    }


def _shots(records: Records) -> list[str]:
    """Mean errors after so many labelled samples of each test eye."""
    if not records:
        return []
    counts = list(records[0]["shots"])
    rows = []
    for name in _unique(records, "row"):
        for column in _unique(records, "column"):
            chosen = _of(records, row=name, column=column)
            if chosen:
                cells = [_spread([r["shots"][count] for r in chosen]) for count in counts]
                rows.append([name, column, *cells])
    return [_markdown(["trained on", "eyes", *(f"{count} samples" for count in counts)], rows)]


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
            *(_spread([r[key] for r in _of(records, row=name, column=column)]) for key in keys),
        ]
        for name in _unique(records, "row")
        for column in _unique(records, "column")
    ]
    return _markdown(head, rows)


ERRORS = {
    "gaze_deg": "gaze, deg",
    "optical_deg": "optical axis, deg",
    "pupil_mm": "pupil's radius, mm",
    "lids_mm": "lids, mm",
}


def recovered(records: Records) -> str:
    """Return what was recovered beside the constant answer, as Markdown."""
    head = ["known", "eyes", *ERRORS.values(), "gaze: p95, deg", "below 1 deg", "CPU s an eye"]
    rows = []
    for name in _unique(records, "row"):
        chosen = _of(records, row=name)
        for prefix in ("", "constant_"):
            gaze = _joined(chosen, f"{prefix}gaze_deg")
            below = sum(error < 1 for error in gaze) / len(gaze)
            cost = statistics.mean(r["cpu_s"] for r in chosen)
            rows.append(
                [
                    "constant" if prefix else name,
                    str(len(gaze)),
                    *(_median(_joined(chosen, prefix + key)) for key in ERRORS),
                    f"{sorted(gaze)[math.ceil(0.95 * len(gaze)) - 1]:.2f}",
                    f"{100 * below:.0f}%",
                    "" if prefix else f"{cost:.1f}",
                ]
            )
    ran = sorted({f"gazegan {r['gazegan']}, torch {r['torch']}, {r['device']}" for r in records})
    note = f"Medians, in brackets 95% of 2000 bootstraps; {'; '.join(ran)}, "
    return f"{_markdown(head, rows)}\n\n{note}{records[0]['threads']} thread(s)."


BARS = {("eager", "36x60 grey"): "500 images/s", ("compiled", ""): "6 times eager"}


def speeds(records: Records) -> str:
    """Return images a second of every renderer, and below them the other measures, as Markdown."""
    rows = []
    timed = _of(records, kind="speed")
    for size in _unique(timed, "size"):
        for recipe in _unique(_of(timed, size=size), "recipe"):
            here = _of(timed, size=size, recipe=recipe)
            eager = _middle(_of(here, renderer="eager"))
            for name in _unique(here, "renderer"):
                some = _of(here, renderer=name)
                bar = BARS.get((name, size), BARS.get((name, ""), ""))
                ratio = f"{_middle(some) / eager:.{2 if _middle(some) < eager else 1}f}"
                rows.append([size, recipe, name, _range(some), ratio, bar])
    head = ["size", "recipe", "renderer", "images a second", "over eager", "bar"]
    parts = [_markdown(head, rows), _markdown(["what", "measured"], _measures(records))]
    one, repeats = records[0], len(_unique(timed, "repeat"))
    parts.append(
        f"Medians, in brackets smallest and largest of {repeats} repeats by turns; gazegan"
        f" {one['gazegan']}, torch {one['torch']}, {one['threads']} thread of {one['processor']}"
        f" ({one['vectors']})."
    )
    return "\n\n".join(parts)


def _measures(records: Records) -> list[list[str]]:
    rows = [
        [f"seconds of compiling, {r['size']}, {r['recipe']}", f"{r['value']:.0f}"]
        for r in _of(records, kind="compile")
    ]
    kinds = {
        "gradient": "time of image and slopes over that of the image, eager",
        "processes": "images a second of two processes over those of one",
        "store": "share of writing in the time of a store, eager",
    }
    for kind, what in kinds.items():
        rows.append([f"{what}, 36x60", _range(_of(records, kind=kind), 2)])
    rows += [
        [f"peak memory, MB, of writing a store of {r['count']} images, 36x60", f"{r['value']:.0f}"]
        for r in _of(records, kind="memory")
    ]
    for r in _of(records, kind="floor"):
        told = f"{r['kilobytes_a_pixel']:.1f} kB a pixel, {r['gigabytes_a_second']:.0f} GB/s copied"
        what = f"floor of memory traffic over time, eager, {r['size']}"
        rows.append([what, f"{r['value']:.2f} ({told})"])
    for r in _of(records, kind="alias"):
        blur = "with the camera's blur" if r["blur"] else "without blur"
        what = f"PSNR, dB, against 8x8 samples of light a pixel, {r['recipe']}, {r['size']}, {blur}"
        rows.append([what, f"{r['value']:.1f}"])
    return rows


def _middle(records: Records) -> float:
    return statistics.median(r["value"] for r in records)


def _range(records: Records, digits: int | None = None) -> str:
    """Median, smallest and largest; empty without records."""
    if not records:
        return ""
    values = [r["value"] for r in records]
    places = digits if digits is not None else max(0, 2 - int(math.log10(max(values))))
    middle, low, high = (
        f"{v:.{places}f}" for v in (statistics.median(values), min(values), max(values))
    )
    return f"{middle} ({low} to {high})"


def _joined(records: Records, key: str) -> list[float]:
    return [value for r in sorted(records, key=lambda r: r["first"]) for value in r.get(key, ())]


def _median(values: list[float]) -> str:
    """Median and its percentile bootstrap (Efron, Ann. Statist. 1979); empty without values."""
    if not values:
        return ""
    draw = random.Random(0)
    drawn = sorted(statistics.median(draw.choices(values, k=len(values))) for _ in range(2000))
    return f"{statistics.median(values):.2f} ({drawn[50]:.2f} to {drawn[1949]:.2f})"


def _unique(records: Records, key: str) -> list[str]:
    return list(dict.fromkeys(r[key] for r in records))


def _of(records: Records, **wanted: str) -> Records:
    return [r for r in records if all(r[key] == value for key, value in wanted.items())]


def _spread(values: list[float], digits: int = 2) -> str:
    mean = f"{statistics.mean(values):.{digits}f}"
    apart = len(values) > 1 and statistics.stdev(values) >= 0.5 * 10**-digits
    return f"{mean} ± {statistics.stdev(values):.{digits}f}" if apart else mean


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


if __name__ == "__main__":
    main()

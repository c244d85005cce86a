"""The tables of the speed of training."""

import statistics

from cells import Records, extent, markdown, of, unique

BAR = "at most 1.05"
USUAL = 200
"""Steps between evaluations, and between checkpoints, by default."""


def trainings(records: Records) -> str:
    """Return images a second of our loop beside a plain one, and its pauses, as Markdown."""
    rows, pauses = [], []
    timed = of(records, kind="training", device="cpu")
    for training in unique(timed, "training"):
        for threads in unique(of(timed, training=training), "threads"):
            here = of(timed, training=training, threads=threads)
            ours, plain = (of(here, loop=name) for name in ("ours", "plain"))
            ratios = [a["cpu_s"] / b["cpu_s"] for a, b in zip(ours, plain, strict=True)]
            whole = sum(r["cpu_s"] for r in ours) / sum(r["cpu_s"] for r in plain)
            apart = f"{statistics.median(ratios):.3f} ({min(ratios):.2f} to {max(ratios):.2f})"
            rates = [extent([_rate(r) for r in some], 1) for some in (ours, plain)]
            rows.append([training, threads, *rates, apart, f"{whole:.3f}", BAR])
            step = statistics.median(r["cpu_s"] / r["steps"] for r in ours)
            for pause in of(records, kind="pause", training=training, threads=threads):
                share = pause["cpu_s"] / (USUAL * step)
                cells = [f"{pause['cpu_s']:.2f}", f"{100 * share:.1f}%"]
                pauses.append([training, threads, pause["loop"], *cells])
    head = ["training", "threads", "ours, images a CPU second", "plain"]
    parts = []
    if rows:
        more = ["CPU time over plain's", "of all repeats together", "bar"]
        parts.append(markdown([*head, *more], rows))
        beside = ["training", "threads", "pause", "CPU time, s", f"share of {USUAL} steps"]
        parts.append(markdown(beside, pauses))
    parts += _devices(of(records, kind="device"))
    one, repeats = (timed or records)[0], len(unique(timed, "repeat"))
    parts.append(
        f"Medians, in brackets smallest and largest of {repeats} repeats by turns; gazegan"
        f" {one['gazegan']}, torch {one['torch']}, {one['cores']} cores of {one['processor']}."
    )
    return "\n\n".join(parts)


def _rate(record: dict[str, float]) -> dict[str, float]:
    return {"value": record["steps"] * record["batch"] / record["cpu_s"]}


def _devices(records: Records) -> list[str]:
    """Images a second of a GPU; empty where none was measured."""
    rows = [
        [r["device"], r["training"], str(r["batch"]), r["loop"], f"{r['value']:.0f}", _busy(r)]
        for r in records
    ]
    head = ["device", "training", "images a step", "how", "images/s", "time the device is busy"]
    return [markdown(head, rows)] if rows else []


def _busy(record: dict[str, float]) -> str:
    return f"{100 * record['busy']:.0f}%" if record["busy"] is not None else ""

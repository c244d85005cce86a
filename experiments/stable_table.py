"""The table of how the trainings of many seeds ended."""

from cells import Records, extent, markdown

_MEASURES = {
    "sliced Wasserstein distance to the target": "likeness/{}_sliced_wasserstein",
    "kernel distance, times 1000": "likeness/{}_kernel_distance",
    "AUC of a linear classifier": "likeness/{}_auc",
}
_MOST_PX, _LEAST_FOUND = 0.5, 0.95


def stability(records: Records) -> str:
    """Return medians and extremes over seeds, raw beside refined, and how many are usable."""
    rows = [
        [name, *(_extent(records, key.format(side)) for side in ("raw", "refined"))]
        for name, key in _MEASURES.items()
    ]
    moved = {"median": "median_px", "95th percentile": "p95_px"}
    rows += [
        [f"iris and pupil moved, px, {name}", "0", _extent(records, f"pupil_shift/{key}")]
        for name, key in moved.items()
    ]
    table = markdown(["median, in brackets smallest and largest", "raw", "refined"], rows)
    good = sum(map(usable, records))
    return f"{table}\n\n**{good} of {len(records)} seeds end in a usable refiner.**"


def usable(record: dict[str, float]) -> bool:
    """Whether a training ended in a refiner as the experiment's README demands."""
    nearer = all(
        record[key.format("refined")] < record[key.format("raw")]
        for key in ("likeness/{}_sliced_wasserstein", "likeness/{}_auc")
    )
    kept = record["pupil_shift/p95_px"] < _MOST_PX
    return nearer and kept and record["pupil_shift/located"] >= _LEAST_FOUND


def _extent(records: Records, key: str) -> str:
    return extent([{"value": r[key]} for r in records])

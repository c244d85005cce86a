"""The table of how like photographs images are, beside two halves of the photographs."""

import statistics

from cells import Records, markdown, of, spread, unique

_MEASURES = {
    "sliced_wasserstein": ("sliced Wasserstein distance", 3),
    "kernel_distance": ("kernel distance, times 1000", 0),
    "auc": ("AUC of a linear classifier", 3),
}


def likeness(records: Records) -> str:
    """Return means over seeds, and how far refinement moved irises and pupils."""
    seen, moved = ([r for r in records if key in r] for key in ("auc", "median_px"))
    rows = [["two halves of the photographs", *_cells(seen, "halves/")]]
    rows += [[name, *_cells(of(seen, row=name), "")] for name in unique(seen, "row")]
    text = markdown(["images", *(title for title, _ in _MEASURES.values())], rows)
    if moved:
        median, p95 = (spread([r[key] for r in moved]) for key in ("median_px", "p95_px"))
        found = statistics.mean(r["located"] for r in moved)
        text += f"\n\nIris and pupil moved by refinement: median {median} px, 95th percentile {p95}"
        text += f" px, of the {found:.1%} of eyes in which they could be located."
    return text


def _cells(records: Records, prefix: str) -> list[str]:
    return [
        spread([r[prefix + key] for r in records], digits) for key, (_, digits) in _MEASURES.items()
    ]

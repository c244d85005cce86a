"""Tables of attacks, of refiners and of comparisons say what their records say."""

import statistics
from pathlib import Path

import pytest
from scripts import load

run, table = load("run"), load("table")
MADE = {"gazegan": "0", "torch": "0", "threads": "1", "device": "cpu"}


def test_a_table_of_attacks_shows_every_network_under_every_attack() -> None:
    where = {"gazegan": "0", "torch": "0", "device": "cpu", "threads": "1", "constant_deg": 12.0}
    records = []
    for row, more in (("plain", 0.0), ("firm", 1.0)):
        for seed in (0, 1):
            here = {"row": row, "seed": seed, **where}
            seen = [("renders", 5.0), ("head pose 0", 7.0), ("all poses", 8.0)]
            records += [{**here, "column": c, "mean_deg": v + more + seed} for c, v in seen]
            changed = {"noise_deg": 5.5 + more, "pgd_deg": 20.0 - 10 * more}
            records.append({**here, "column": "changed by 2/255", **changed})
            scenes = {"nominal_deg": 6.0, "drawn_deg": 14.0, "worst_deg": 40.0 - more}
            records.append({**here, "column": "scenes", **scenes})
    for record in records:
        record |= {"people": {"0041": record["mean_deg"]}} if "poses" in record["column"] else {}
    text = table.tables(records)
    root = f"{statistics.stdev((5, 6)):.2f}"
    plain = f"| plain | 5.50 ± {root} | 5.50 | 20.00 | 6.00 | 14.00 | 40.00 |"
    assert plain in text and "| nothing: constant | 12.00 | 12.00 |" in text
    assert "| firm minus plain | 1.00 | 1.00 | -10.00 | 0.00 | 0.00 | -1.00 | 1.00 | 1.00 |" in text
    assert "lower for 0 of 1" in text


def stable(**changes: float) -> dict[str, object]:
    likeness = {"sliced_wasserstein": (0.5, 0.2), "kernel_distance": (90.0, 9.0), "auc": (0.9, 0.7)}
    sides = {
        f"likeness/{side}_{name}": pair[at]
        for name, pair in likeness.items()
        for at, side in enumerate(("raw", "refined"))
    }
    shift = {"median_px": 0.1, "p95_px": 0.3, "located": 1.0}
    return {
        "row": "default", "column": "last", "seed": 0, "gazegan": "0", "torch": "0",
        "device": "cpu", "threads": "1", **sides,
        **{f"pupil_shift/{name}": value for name, value in shift.items()},
        **changes,
    }  # fmt: skip


@pytest.mark.parametrize(
    "fault",
    [
        {"likeness/refined_sliced_wasserstein": 0.6},
        {"likeness/refined_auc": 0.95},
        {"pupil_shift/p95_px": 0.7},
        {"pupil_shift/located": 0.5},
    ],
)
def test_a_refiner_that_fails_in_one_way_is_not_counted_as_usable(fault: dict[str, float]) -> None:
    text = table.tables([stable(), stable(**fault)])
    assert "**1 of 2 seeds end in a usable refiner.**" in text
    assert "| kernel distance, times 1000 | 90.0 (90.0 to 90.0) | 9.00" in text


def test_a_comparison_is_kept_and_shown_beside_halves_of_the_photographs(tmp_path: Path) -> None:
    names = ("sliced_wasserstein", "kernel_distance", "auc")
    results, where = tmp_path / "r.jsonl", {"gazegan": "0", "torch": "0", "threads": "1"}
    for seed, more in ((0, 0.0), (1, 0.2)):
        halves, first, last = (
            {name: value + more for name, value in zip(names, values, strict=True)}
            for values in ((0.1, 3.0, 0.5), (8.0, 8.0, 0.8), (0.5, 700.0, 0.75))
        )
        found = run.compared({"rows": [halves, first, last]})
        run.record(results, run.Measure(row="raw", column="a", command="c"), seed, found, MADE)
        moved = {"median_px": 0.05, "p95_px": 0.25 + more, "located": 0.985 + more / 20}
        run.record(results, run.Measure(row="raw", column="b", command="c"), seed, moved, MADE)
    assert run.compared({"mean_deg": 1.0}) == {}
    text = table.tables([{**r, **where} for r in table.read(results)])
    root = statistics.stdev((0, 0.2))
    assert f"| two halves of the photographs | 0.200 ± {root:.3f} | 3 | 0.600 ± " in text
    assert f"| raw | 0.600 ± {root:.3f} | 700 | 0.850 ± {root:.3f} |" in text
    assert f"median 0.05 px, 95th percentile 0.35 ± {root:.2f} px, of the 99.0%" in text

"""`gazegan refine`: the same labels, new images."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from gazegan.cli.options import DEVICE, JSON, PATH, SEED, Number, check_device, out, progress, say

if TYPE_CHECKING:
    from gazegan.data.store import Store
    from gazegan.nets.refiner import Refiner
    from gazegan.nets.regressor import Regressor
    from gazegan.train.apply import Strength


@dataclass(frozen=True)
class Limits:
    """How far refined eyes may have moved."""

    pupil_px: float | None
    gaze_deg: float | None
    judge: Path | None

    @property
    def any(self) -> bool:
        """Whether anything is to be left out."""
        return self.pupil_px is not None or self.gaze_deg is not None

    def open_judge(self, source: "Store", device: str) -> "Regressor | None":
        """Load the judge, if any; raises UserError where it does not fit the store."""
        from gazegan.cli.gaze import open_network
        from gazegan.errors import UserError

        if self.judge is None:
            return None
        network, _ = open_network(self.judge, (source.path,), device)
        if network.target != "angles":
            raise UserError(f"--judge {self.judge}: answers in directions; train one on angles")
        if network.config.head_yaw:
            raise UserError(f"--judge {self.judge}: reads the head's yaw; take one that does not")
        return network


@click.command()
@click.argument("store", type=PATH)
@click.option("--weights", type=PATH, required=True, metavar="RUN", help="Run of the refiner.")
@out("New store; an unfinished one is continued.")
@click.option(
    "--strength",
    type=(Number(0, 2), Number(0, 2)),
    default=(1.0, 1.0),
    metavar="LOW HIGH",
    help="Share of the change that each eye takes, drawn evenly; default 1 1, the whole of it.",
)
@click.option(
    "--max-drift", type=Number(0), metavar="PX",
    help="Leave out eyes whose iris and pupil moved farther.",
)  # fmt: skip
@click.option(
    "--max-gaze-drift", type=Number(0), metavar="DEG",
    help="Leave out eyes for which the --judge's answer moved farther.",
)  # fmt: skip
@click.option(
    "--judge", type=PATH, metavar="RUN",
    help="Run of a gaze network on pitch and yaw, trained on other images than the refiner's.",
)  # fmt: skip
@SEED
@DEVICE
@JSON
def refine(
    store: Path,
    weights: Path,
    out: Path,
    strength: tuple[float, float],
    max_drift: float | None,
    max_gaze_drift: float | None,
    judge: Path | None,
    seed: int,
    device: str,
    as_json: bool,
) -> None:
    """Refine every image of a STORE; labels are copied as they are.

    Prints how far iris and pupil moved, in pixels, changes of light left aside: what does not
    stay below about 0.3 px has paid for realism with its labels. With a limit, eyes beyond it are
    left out, and it says how many; those too closed to tell are kept.

    \b
    Examples:
      gazegan refine stores/renders --weights runs/refiner --out stores/refined
      gazegan refine stores/renders --weights runs/refiner --out stores/range --strength 0 1
      gazegan refine stores/renders --weights runs/refiner --out stores/near --max-drift 0.3
      gazegan refine stores/renders --weights runs/refiner --out stores/sure \\
          --judge runs/gaze --max-gaze-drift 2
    """
    from gazegan.data.store import open_store
    from gazegan.errors import UserError
    from gazegan.train.apply import Strength, check_channels, measure_shift, refine_store
    from gazegan.train.checkpoint import load_weights

    check_device(device)
    if strength[0] > strength[1]:
        raise UserError(f"--strength: {strength[0]:g} lies above {strength[1]:g}; swap them")
    if (max_gaze_drift is None) != (judge is None):
        raise click.UsageError("--max-gaze-drift and --judge need each other; give both")
    source = open_store(store)
    module, info = load_weights(weights, "refiner", device)
    check_channels(source, info)
    _tell_of_size(weights, info, source)
    limits, share = Limits(max_drift, max_gaze_drift, judge), Strength(*strength, seed)
    if limits.any:
        values = _sifted(source, module, info, out, share, limits, device, as_json)
    else:
        with progress("refine", len(source), quiet=as_json) as advance:
            refined = refine_store(source, module, info, out, advance, share)
        with progress("measure", len(source), quiet=as_json) as advance:
            refined, moved = measure_shift(source, refined, advance)
        values = {"store": str(out), "count": len(refined), "pupil_shift": moved}
    say(as_json, values, _text(values))


def _tell_of_size(weights: Path, info: dict[str, Any], source: "Store") -> None:
    """Tell where a refiner was trained on images of another size, which it takes nevertheless."""
    (height, width), own = source.size, info["data"]
    if (height, width) != (own["height"], own["width"]):
        click.echo(
            f"--weights {weights}: was trained on {own['height']}x{own['width']} eyes, these are"
            f" {height}x{width}; look at what it makes of them",
            err=True,
        )


def _sifted(
    source: "Store",
    refiner: "Refiner",
    info: dict[str, Any],
    out: Path,
    strength: "Strength",
    limits: Limits,
    device: str,
    quiet: bool,
) -> dict[str, Any]:
    """Refine, leave out what moved too far, and return what to tell."""
    from gazegan.data.faces import in_pairs
    from gazegan.data.store import annotate
    from gazegan.drift import summary
    from gazegan.errors import UserError
    from gazegan.train.apply import measure_drift, refine_store, whole_faces

    judge = limits.open_judge(source, device)
    if limits.pupil_px is not None and "masks" not in source.fields:
        raise UserError(f"--max-drift: {source.path} has no masks to measure by")
    with progress("measure", len(source), quiet=quiet) as advance:
        drift = measure_drift(source, refiner, strength, judge, advance)
    near = drift.within(limits.pupil_px, limits.gaze_deg)
    if in_pairs(source):
        near = whole_faces(near)
    kept = near.nonzero().flatten()
    if len(kept) == 0:
        raise UserError(
            f"--max-drift, --max-gaze-drift: every eye of {source.path} moved farther; raise them,"
            " or train the refiner with more keep"
        )
    with progress("refine", len(kept), quiet=quiet) as advance:
        refined = refine_store(source, refiner, info, out, advance, strength, kept)
    told = {"pupil_shift": summary(drift.pupil_px[kept])}
    if judge is not None:
        told["gaze_shift_deg"] = {"mean": float(drift.gaze_deg[kept].mean())}
    annotate(refined, told)
    return {"store": str(out), "count": len(kept), "left_out": len(source) - len(kept), **told}


def _text(values: dict[str, Any]) -> str:
    left = f", {values['left_out']} moved too far and left out" if "left_out" in values else ""
    gaze = values.get("gaze_shift_deg")
    judged = f"; the judge's answers moved by {gaze['mean']:.2f} degrees" if gaze else ""
    shift = _shift_text(values["pupil_shift"])
    return f"{values['store']}: {values['count']} refined eyes{left}; {shift}{judged}"


def _shift_text(moved: dict[str, float]) -> str:
    if "median_px" not in moved:
        return "pupil shift unknown (no masks, no open eye, or no pupil left to be seen)"
    return (
        f"iris and pupil moved {moved['median_px']:.3f} px in the median, "
        f"{moved['p95_px']:.3f} px at the 95th percentile ({moved['located']:.0%} of eyes located)"
    )

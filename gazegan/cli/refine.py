"""`gazegan refine`: the same labels, new images."""

from pathlib import Path

import rich_click as click

from gazegan.cli.options import DEVICE, JSON, PATH, check_device, out, progress, say


@click.command()
@click.argument("store", type=PATH)
@click.option("--weights", type=PATH, required=True, metavar="RUN", help="Run of the refiner.")
@out("New store; an unfinished one is continued.")
@click.option(
    "--strength",
    type=(click.FloatRange(0, 2), click.FloatRange(0, 2)),
    default=(1.0, 1.0),
    metavar="LOW HIGH",
    help="Share of the change that each eye takes, drawn evenly; default 1 1, the whole of it.",
)
@DEVICE
@JSON
def refine(
    store: Path,
    weights: Path,
    out: Path,
    strength: tuple[float, float],
    device: str,
    as_json: bool,
) -> None:
    """Refine every image of a STORE; labels are copied as they are.

    Prints how far iris and pupil moved, in pixels, changes of light left aside: what does not
    stay below about 0.3 px has paid for realism with its labels.

    \b
    Examples:
      gazegan refine stores/renders --weights runs/refiner --out stores/refined
      gazegan refine stores/renders --weights runs/refiner --out stores/range --strength 0 1
    """
    from gazegan.data.store import open_store
    from gazegan.errors import UserError
    from gazegan.train.apply import measure_shift, refine_store
    from gazegan.train.checkpoint import load_weights

    check_device(device)
    if strength[0] > strength[1]:
        raise UserError(f"--strength: {strength[0]:g} lies above {strength[1]:g}; swap them")
    source = open_store(store)
    module, info = load_weights(weights, "refiner", device)
    with progress("refine", len(source), quiet=as_json) as advance:
        refined = refine_store(source, module, info, out, advance, strength)
    with progress("measure", len(source), quiet=as_json) as advance:
        refined, moved = measure_shift(source, refined, advance)
    values = {"store": str(out), "count": len(refined), "pupil_shift": moved}
    say(as_json, values, f"{out}: {len(refined)} refined eyes; {_shift_text(moved)}")


def _shift_text(moved: dict[str, float]) -> str:
    if "median_px" not in moved:
        return "pupil shift unknown (no masks, or no open eye)"
    return (
        f"iris and pupil moved {moved['median_px']:.3f} px in the median, "
        f"{moved['p95_px']:.3f} px at the 95th percentile ({moved['located']:.0%} of eyes located)"
    )

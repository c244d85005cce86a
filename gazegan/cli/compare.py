"""`gazegan compare`: how far images are from photographs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from gazegan.cli import gaze, options
from gazegan.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from gazegan.compare import Likeness

RESULT = "comparison.json"


@click.command()
@click.option(
    "--real", type=options.PATH, required=True, metavar="DIR|STORE",
    help="Photographs: a store or a folder; labels are not used.",
)  # fmt: skip
@click.option(
    "--data", type=options.PATH, multiple=True, required=True, metavar="STORE|RECIPE",
    help="Images to compare with them: a store, a folder or a recipe; repeatable.",
)  # fmt: skip
@click.option(
    "--count", type=click.IntRange(16), default=4000, show_default=True,
    help="At most so many images of each.",
)  # fmt: skip
@click.option(
    "--features", default="network", show_default=True, metavar="network|RUN",
    help="What is compared: features of a network that was never trained, or what the last layer of"
    " a gaze network reads.",
)  # fmt: skip
@click.option("--out", type=options.PATH, default=None, help="Folder for comparison.json.")
@options.SEED
@options.JSON
def compare(
    real: Path,
    data: tuple[Path, ...],
    count: int,
    features: str,
    out: Path | None,
    seed: int,
    as_json: bool,
) -> None:
    """Measure how far images are from photographs, beside two halves of the photographs.

    On features of a fixed network that was never trained, or of a gaze network: the sliced
    Wasserstein distance, the kernel distance (as KID, times 1000), and how well a linear classifier
    tells images from photographs that it did not see (area under the ROC curve, 0.5 where it
    cannot). Each is the mean of two: as many images as half the photographs beside either half, or
    as many as the smallest --data has, so that chance counts alike for all of them.

    \b
    gazegan compare --real stores/photos --data stores/renders --data stores/refined
    gazegan compare --real photographs/ --data webcam --data mine.toml --out results/compare
    gazegan compare --real stores/photos --data stores/refined --features runs/gaze
    """
    from gazegan.compare import alike, beside_halves, features_of
    from gazegan.data.stream import open_together

    options.check_once(data)
    settings = {"real": str(real), "data": [str(d) for d in data], "count": count, "seed": seed}
    settings["features"] = features
    if out:
        gaze.claim(out, RESULT, settings)
    sources = open_together(real, *data, seed=seed, count=count)
    network = _network(features, sources[0].size, sources[0].channels)
    total = sum(min(len(source), count) for source in sources)
    with options.progress("compare", total, as_json) as advance:
        seen = [features_of(network, _chosen(one, count, seed), advance) for one in sources]
    if alike(seen[0]):
        raise UserError(
            f"--real {real}: these photographs are all alike, and how they vary is the measure;"
            " name others"
        )
    try:
        found = beside_halves(seen[1:], seen[0], seed)
    except ValueError as fault:
        raise UserError(f"--real, --data: {fault}") from None
    rows = dict(zip(("two halves of the photographs", *map(str, data)), found, strict=True))
    values = {
        "rows": [{"images": name, **one.to_dict()} for name, one in rows.items()],
        "photographs": len(seen[0]),
        "settings": settings,
    }
    if out:
        gaze.save_json(out / RESULT, values)
    options.say(as_json, values, _text(rows, f"{real}: {len(seen[0])} photographs"))


def _network(features: str, size: tuple[int, int], channels: int) -> Callable[[Tensor], Tensor]:
    """Return what maps images `[B, C, H, W]` to features `[B, D]`."""
    from functools import partial

    from gazegan.nets.features import RandomFeatures, last_hidden
    from gazegan.train.checkpoint import load_weights

    if features == "network":
        return RandomFeatures(channels)
    if not Path(features).exists():
        raise UserError(f"--features {features}: neither network nor a run of `train gaze`")
    judge, info = load_weights(Path(features), "gaze")
    if judge.config.head_yaw:
        raise UserError(
            f"--features {features}: reads the head's yaw; train one without --head-yaw"
        )
    gaze.check_suits(f"--features {features}", info, "--data", size, channels)
    return partial(last_hidden, judge.eval())


def _chosen(source: Any, count: int, seed: int) -> Any:
    """Read up to `count` images, drawn at random where there are more."""
    import torch

    where = gaze.choose(torch.arange(len(source)), count, seed, "compare")
    return torch.cat([source.read(some).image for some in torch.split(where, 512)])


def _text(rows: dict[str, Likeness], heading: str) -> str:
    lines = [
        [
            name,
            str(one.count),
            f"{one.sliced_wasserstein:.3f}",
            f"{one.kernel_distance:.4g}",
            "-" if one.kernel_se is None else f"{one.kernel_se:.2g}",
            f"{one.auc:.3f}",
        ]
        for name, one in rows.items()
    ]
    columns = ["images", "count", "sliced Wasserstein", "kernel x 1000", "±", "AUC"]
    return f"{heading}\n\n{gaze.table(columns, lines)}"

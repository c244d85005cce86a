"""`gazegan train gaze`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from gazegan.cli import self_training, training
from gazegan.cli.options import COMPILE, DEVICE, JSON, PATH, PRECISION, SEED, Number, out, overrides
from gazegan.cli.pretrained import PRETRAINED, begun

if TYPE_CHECKING:
    from gazegan.data.stream import Samples
    from gazegan.train.gaze_settings import GazeTraining

_PLACES = {
    "target": "network.target",
    "network": "network.kind",
    "head_yaw": "network.head_yaw",
    "view": "network.view",
    "spread": "network.spread",
    "optimiser": "optimiser.kind",
    "lr": "optimiser.lr",
    "schedule": "schedule.kind",
    "lr_cut": "schedule.cut",
    "lr_every": "schedule.every",
    "adapt": "adapt.method",
    "adversary_epsilon": "adversary.epsilon_255",
}
"""Where options of `train gaze` go in its configuration, unless under their own names."""


@click.command()
@click.option(
    "--data",
    type=PATH,
    multiple=True,
    required=True,
    help="Labelled store, or a recipe, whose first 100,000 eyes are rendered as they are needed;"
    " repeatable.",
)
@click.option(
    "--share",
    "shares",
    type=Number(0, min_open=True),
    multiple=True,
    help="Share of each --data in a batch, in their order; else as many as each holds.",
)
@click.option(
    "--axes",
    type=click.Choice(["both", "pitch", "yaw"]),
    multiple=True,
    help="Which angles of each --data's labels are learned, in their order, with --share; else"
    " both.",
)
@click.option("--real", type=PATH, help="Unlabelled store or folder of real eyes to adapt to.")
@click.option(
    "--adapt",
    type=click.Choice(["teacher", "adversarial", "fourier", "ensemble", self_training.METHOD]),
    help="How to adapt to --real: the network's average teaches, features are not to tell domains"
    " apart, renders take on low frequencies, or several networks teach (--set adapt.*). self,"
    " which helps most: a first network answers, a second learns from that, too; needs --align-to,"
    " and many eyes of each person.",
)
@click.option(
    "--align-to",
    metavar="RECIPE|STORE",
    help="Of --adapt self: where the people of --real look; answers on each eye are moved toward"
    " the mean and the spread of these gazes.",
)
@PRETRAINED
@out("Run folder; resumed if it holds this run.")
@training.STEPS
@click.option("--epochs", type=Number(0, min_open=True), help="Instead of --steps.")
@training.BATCH
@click.option(
    "--target",
    type=click.Choice(["angles", "direction"]),
    help="Pitch and yaw (default), or the direction in 0..360 degrees.",
)
@click.option(
    "--network",
    type=click.Choice(["small", "lenet", "resnet", "resnet18", "landmarks"]),
    help="Kind of network; default: small. landmarks reads gaze from those it finds, by a"
    " perceptron: the cheap baseline; it needs renders.",
)
@click.option(
    "--head-yaw", is_flag=True, default=None, help="Read the head's yaw beside the image."
)
@click.option(
    "--view",
    type=Number(0.1, 1),
    metavar="SHARE",
    help="Look at this share of the image's sides about its middle alone, e.g. 0.73; what lies"
    " around differs most between renders and photographs.",
)
@click.option(
    "--augment",
    type=click.Choice(["mild", "strong"]),
    callback=training.amounts,
    help="How far images are varied: mild (default), or strong, for networks with --view that learn"
    " from renders and are to answer on photographs. --set augment.*",
)
@click.option(
    "--spread",
    is_flag=True,
    default=None,
    help="Also answer how uncertain pitch and yaw are, as standard deviations.",
)
@click.option(
    "--optimiser",
    type=click.Choice(["rmsprop", "rmsprop_norm", "sgd", "adam"]),
    help="Default: rmsprop; rmsprop_norm averages the norm of the whole gradient.",
)
@click.option("--lr", type=Number(0, min_open=True), help="Initial learning rate.")
@click.option(
    "--schedule",
    type=click.Choice(["step", "cosine"]),
    help="Cuts (default), or half a cosine down to 0 at the last step.",
)
@click.option("--lr-cut", type=Number(0, 1, min_open=True), help="Factor of each cut.")
@click.option(
    "--lr-every",
    type=Number(0, min_open=True),
    help="Epochs between two cuts; default: a quarter of the training.",
)
@click.option(
    "--adversary-epsilon",
    type=Number(0, 255),
    metavar="E",
    help="Adversarial training: change half of each batch by up to E/255 a pixel so as to mislead"
    " the network. --set adversary.steps, adversary.share.",
)
@SEED
@DEVICE
@PRECISION
@COMPILE
@overrides("optimiser.weight_decay=1e-4")
@JSON
def gaze(
    data: tuple[Path, ...],
    real: Path | None,
    align_to: str | None,
    pretrained: Path | None,
    out: Path,
    epochs: float | None,
    device: str,
    overrides: tuple[str, ...],
    as_json: bool,
    **chosen: Any,
) -> None:
    """Learn where an eye looks from labelled images.

    With --set held_out=0.1 about a tenth of them is kept from training, all of a person or nothing
    where people are known, and the log tells the error on it (held_out_deg) beside a constant's.

    \b
    Examples:
      gazegan train gaze --data stores/renders --out runs/gaze --epochs 6
      gazegan train gaze --data stores/a --data stores/b --out runs/both --set held_out=0.1
      gazegan train gaze --data webcam --share 3 --data stores/labelled --share 1 --out runs/mixed
      gazegan train gaze --data webcam --share 2 --axes both --data stores/ahead --share 1 \\
          --axes pitch --out runs/gap
      gazegan train gaze --data stores/renders --out runs/sgd --optimiser sgd --lr 0.05 \\
          --lr-cut 0.3 --lr-every 2
      gazegan train gaze --data stores/renders --out runs/cosine --schedule cosine \\
          --set schedule.warm_up=0.2 --set optimiser.weight_decay=1e-4 --set clip=1
      gazegan train gaze --data stores/renders --out runs/direction --target direction
      gazegan train gaze --data stores/renders --out runs/resnet --network resnet \\
          --set network.blocks=2
      gazegan train gaze --data stores/renders --out runs/free --network resnet \\
          --set network.norm=free --set clip_adaptive=0.02
      gazegan train gaze --data stores/renders --out runs/middle --head-yaw --view 0.73 \\
          --augment strong
      gazegan train gaze --data stores/renders --out runs/perceptron --network landmarks
      gazegan train gaze --data stores/renders --out runs/unsure --spread
      gazegan train gaze --data stores/labelled --pretrained runs/gaze --lr 2e-4 --out runs/tuned
      gazegan train gaze --data stores/renders --real photographs/ --adapt teacher \\
          --out runs/adapted
      gazegan train gaze --data stores/renders --real photographs/ --out runs/alike \\
          --adapt adversarial --set adapt.weight=0.5
      gazegan train gaze --data stores/renders --real stores/photographs --adapt self \\
          --align-to webcam --view 0.73 --augment strong --out runs/taught
      gazegan train gaze --data stores/renders --out runs/fast --device cuda --precision bf16 \\
          --compile
      gazegan train gaze --data stores/renders --out runs/firm --adversary-epsilon 2
      gazegan train gaze --data stores/renders --out runs/firmer --adversary-epsilon 2 \\
          --set adversary.steps=5 --set adversary.share=1
    """
    from gazegan.train.gaze import gaze_stage
    from gazegan.train.gaze_settings import GazeTraining

    if epochs is not None and chosen["steps"] is not None:
        raise click.UsageError("--epochs and --steps exclude each other; give one")
    named = training.given(data=data, real=(real,), pretrained=(pretrained,))
    method = chosen["adapt"]
    if itself := self_training.asked(method, real, align_to, pretrained):
        real = chosen["adapt"] = None
    with training.together(device) as own:
        begins = begun(pretrained, "gaze", own)
        cfg = training.configure(GazeTraining, chosen, _PLACES, overrides, begins)
        _check_agreement(cfg, epochs, method)
        if not itself:
            training.check_adapting(real, cfg)
        samples, eyes = _opened(data, real, itself.real if itself else None, cfg.seed)
        if epochs is not None:
            cfg = cfg.model_copy(update={"steps": training.steps_of(epochs, samples, cfg)})
        if itself:
            cfg, samples = itself.taught(cfg, samples, out, own, as_json, named)
        first = begins.suited("--data", samples.size, samples.channels) if begins else None
        stage = gaze_stage(cfg, samples, own, eyes, training.notify, first)
        training.train_into(stage, out, as_json, named)


def _check_agreement(cfg: "GazeTraining", epochs: float | None, method: str | None) -> None:
    """Raise UsageError where options contradict each other, or `--set` them unheard."""
    training.check_schedule(cfg.schedule)
    if epochs is not None and "steps" in cfg.model_fields_set:
        raise click.UsageError("--epochs and --set steps exclude each other; give one")
    if method == self_training.METHOD and "method" in cfg.adapt.model_fields_set:
        raise click.UsageError(
            f"--adapt {method} and --set adapt.method={cfg.adapt.method} contradict each other;"
            " give one"
        )


def _opened(
    data: tuple[Path, ...], real: Path | None, later: Path | None, seed: int
) -> tuple["Samples", "Samples | None"]:
    """Open labelled eyes, and photographs like them where there are any.

    A store of photographs that is opened `later` has its say in how large recipes are.
    """
    from gazegan.data.stream import JoinedSamples, is_store, open_together

    photographs = [path for path in (real, later) if path and (path == real or is_store(path))]
    opened = open_together(*data, *photographs, seed=seed)
    parts = tuple(opened[: len(data)])
    samples = parts[0] if len(parts) == 1 else JoinedSamples(parts)
    return samples, None if real is None else opened[-1]

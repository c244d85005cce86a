"""What the training commands share: options into a configuration, and a stage into a folder."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click
from click.core import ParameterSource

from gazegan.cli.options import check_device, progress, say
from gazegan.errors import UserError

if TYPE_CHECKING:
    from gazegan.cli.pretrained import Begun
    from gazegan.data.stream import Samples
    from gazegan.optim import ScheduleConfig
    from gazegan.train.gaze_settings import GazeTraining
    from gazegan.train.loop import Stage
    from gazegan.train.refiner_settings import RefinerTraining

STEPS = click.option("--steps", type=click.IntRange(1), help="Training steps.")
BATCH = click.option("--batch", type=click.IntRange(2), help="Images a step.")

_IDLE = 1e-3
"""Mean change of pixels in 0..1 below which a refiner does nothing."""


def steps_of(epochs: float, samples: "Samples", cfg: "GazeTraining") -> int:
    """Return how many steps see those of the images that are not held out so often.

    Raises UserError where they are more than a training may take.
    """
    from gazegan.train.held_out import parted
    from gazegan.train.loop import MOST_STEPS

    taught = len(parted(samples, cfg.held_out, cfg.seed)[1])
    steps = epochs * taught / cfg.batch
    if steps > MOST_STEPS:
        raise UserError(
            f"--epochs {epochs:g}: of {taught} images these are {steps:.2g} steps, more than"
            f" {MOST_STEPS:g}; give fewer"
        )
    return max(1, math.ceil(steps))


def configure(
    model: Any,
    chosen: Mapping[str, Any],
    places: Mapping[str, str],
    overrides: tuple[str, ...],
    begins: "Begun | None",
) -> Any:
    """Return a stage's configuration from options, None or () where not given, and `--set`.

    `places` are those of options that do not go under their own names. Raises UsageError where
    `--set` overrules an option, UserError where a setting does nothing, or says of the network
    what the one that it `begins` with is not.
    """
    from gazegan.config import apply_overrides, check_used, validate

    base = begins.settings if begins else {}
    values = {places.get(option, option): value for option, value in chosen.items()}
    said = apply_overrides(_given(values, {}), overrides)
    _check_said_once(chosen, places, said, overrides)
    cfg = validate(model, apply_overrides(_given(values, base), overrides), "settings")
    check_used(cfg, said)
    if begins:
        begins.check_network(cfg.network)
    return cfg


def _check_said_once(
    chosen: Mapping[str, Any],
    places: Mapping[str, str],
    said: Mapping[str, Any],
    overrides: tuple[str, ...],
) -> None:
    """Raise UsageError where options have been overruled in what is `said`, nested plain values.

    What stands for a whole part, as `--augment` does, is there to be varied.
    """
    context = click.get_current_context()
    assert context is not None
    words = {option.name: option.opts[0] for option in context.command.params}
    for option, value in chosen.items():
        typed = context.get_parameter_source(option) is ParameterSource.COMMANDLINE
        if not typed or value is None or isinstance(value, dict):
            continue
        place = places.get(option, option)
        found: Any = said
        for part in place.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        if found != value:
            item = next(item for item in reversed(overrides) if _sets(item, place))
            raise click.UsageError(
                f"{words[option]}{_shown(value)} and --set {item} contradict each other; give one"
            )


def _sets(item: str, place: str) -> bool:
    return f"{place}.".startswith(f"{item.partition('=')[0].strip()}.")


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f" {value:g}"
    return f" {value}" if isinstance(value, int | str) and value is not True else ""


def amounts(_: click.Context, __: click.Parameter, value: str | None) -> dict[str, Any] | None:
    """What `--augment` says of `augment.*`."""
    from gazegan.train.augment import AugmentConfig

    if value is None:
        return None
    return (AugmentConfig.strong() if value == "strong" else AugmentConfig()).model_dump()


def _given(values: Mapping[str, Any], nested: dict[str, Any]) -> dict[str, Any]:
    """Put into `nested` what was given on the command line, so that the defaults stand.

    A dot in a key leads into a part of the configuration.
    """
    for key, value in values.items():
        if value is not None and value != ():
            *parts, last = key.split(".")
            inside = nested
            for part in parts:
                inside = inside.setdefault(part, {})
            inside[last] = value
    return nested


def check_schedule(plan: "ScheduleConfig") -> None:
    """Raise UsageError where cuts are asked of half a cosine, which has none."""
    if plan.kind == "cosine" and plan.model_fields_set & {"cut", "every"}:
        raise click.UsageError(
            "--schedule cosine has no cuts; leave --lr-cut and --lr-every out, or take --schedule"
            " step"
        )


def check_adapting(real: Path | None, cfg: "GazeTraining") -> None:
    """Raise UsageError where photographs, or how to adapt to them, are given alone."""

    said = cfg.adapt.model_fields_set
    if real and "method" not in said:
        raise click.UsageError(
            "--real needs --adapt, how to adapt to these photographs: `--adapt self --align-to"
            " RECIPE` helped most where it was measured; teacher, ensemble, adversarial and fourier"
            " know nothing of where people look"
        )
    if not real and said:
        raise click.UsageError(
            "--adapt without --real has nothing to adapt to; name photographs by --real, or leave"
            " --adapt and settings of adapt out"
        )


@contextmanager
def together(device: str) -> Iterator[str]:
    """Join the processes of torchrun, if any; yields this one's device. Only the first is heard."""
    from gazegan.train import processes

    try:
        with processes.together(check_device(device)) as own:
            yield own
    except processes.ToldElsewhere as fault:
        raise SystemExit(fault.exit_code) from None


def given(**options: tuple[Path | str | None, ...]) -> dict[str, str]:
    """Return the words of options, such as `--real photographs/`, of those that were given.

    Each is a name of `Stage.data` and what follows it.
    """
    words = {k: " ".join(f"--{k} {one}" for one in v if one) for k, v in options.items()}
    return {name: said for name, said in words.items() if said}


def train_into(
    stage: "Stage[Any]", run_dir: Path, as_json: bool, named: Mapping[str, str], told: bool = True
) -> dict[str, Any]:
    """Train with a progress bar; returns what was logged last, of the first process.

    By which words its data were `named` is kept. Says what was logged where it is to be `told`.
    """
    from gazegan.train.log import read_log
    from gazegan.train.loop import run
    from gazegan.train.processes import rank

    images = stage.config.steps * stage.config.batch
    with progress(f"train {stage.name}", images, quiet=as_json or rank() > 0) as advance:
        run(stage, run_dir, advance, notify, named)
    if rank():
        return {}
    last: dict[str, Any] = {"run": str(run_dir)}
    for line in read_log(run_dir):
        last |= line
    if told:
        say(as_json, last, f"{run_dir}: {last['step']} steps\n\n{_told(last)}")
    return last


def _told(last: Mapping[str, Any]) -> str:
    """Lay out what was logged last, a line each, what belongs together beside one another."""
    from gazegan.cli.tables import tables

    numbers = {name: value for name, value in sorted(last.items()) if isinstance(value, float)}
    rows = [row for table in tables(numbers) for row in table.rows]
    wide = max(len(name) for name, _ in rows)
    return "\n".join(f"{name.ljust(wide)}  {value}" for name, value in rows)


def tell_if_useless(cfg: "RefinerTraining", last: Mapping[str, Any]) -> None:
    """Tell where a refiner, by its `last` measures, does nothing or makes all eyes alike."""
    change, variety = last.get("change", 1.0), last.get("refiner/variety", 1.0)
    if cfg.steps <= cfg.critic_lead:
        notify(
            f"{last['run']}: the refiner has not learned yet: in the first {cfg.critic_lead} steps"
            " only the critic does; raise --steps, or lower --set critic_lead"
        )
    elif change < _IDLE:
        notify(
            f"{last['run']}: eyes change by {change:.1g} of 0..1 on average, next to nothing; raise"
            f" --steps, or lower --set keep ({cfg.kept:g})"
        )
    elif variety < cfg.least_variety:
        notify(
            f"{last['run']}: refined eyes have only {variety:.1%} of the renders' variety; raise"
            f" --steps or --set keep ({cfg.kept:g}), or lower --set generator.lr"
        )


def notify(message: str) -> None:
    """Tell the user something, of several processes once."""
    from gazegan.train.processes import rank

    if rank() == 0:
        click.echo(message, err=True)

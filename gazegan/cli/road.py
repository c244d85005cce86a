"""The road as a list: what `gazegan demo` runs, stop by stop, each an ordinary command."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gazegan.errors import UserError

Kind = Literal["stand-in", "photographs", "unlabelled photographs"]
Command = tuple[str, ...]


@dataclass(frozen=True)
class Sizes:
    """How much of everything; the figures of a quick walk mean nothing."""

    renders: int
    target: int
    scored: int
    gaze_steps: int
    refiner_steps: int
    explained: int
    attacked: int
    attack_steps: int
    exported: int
    gaze: Command = ()
    """Further settings of the training of gaze."""
    refiner: Command = ()
    """Further settings of the training of the refiner."""


_TINY = ("--batch", "16")
_HASTY = (
    *("--set", "critic_lead=4", "--set", "generator.lr=0.0005"),
    *("--set", "keep=0.1"),
)
FULL = Sizes(6000, 1500, 1500, 1000, 600, 16, 32, 10, 24)
QUICK = Sizes(
    160,
    64,
    96,
    24,
    16,
    8,
    8,
    4,
    8,
    _TINY,
    (*_TINY, *_HASTY),
)


@dataclass(frozen=True)
class Target:
    """The eyes to refine toward, and those that the networks are scored on."""

    kind: Kind
    folder: Path | None = None
    toward: str = ""
    """`--subjects` to refine toward; labelled photographs only."""
    scored: str = ""
    """`--subjects` to score on: other people."""
    why_no_score: str = ""
    """Why the networks cannot be scored on these photographs; empty where they can."""

    @property
    def recipe(self) -> str:
        """The recipe whose renders suit these eyes."""
        return "columbia" if self.kind == "photographs" else "webcam"

    @property
    def scored_eyes(self) -> str:
        """What the errors are measured on, in words."""
        return {
            "stand-in": "stand-in eyes",
            "photographs": "photographs of people never seen in training",
            "unlabelled photographs": "held-out renders (not your photographs)",
        }[self.kind]


@dataclass(frozen=True)
class Stop:
    """One stop of the road: commands, and the files by which it is known to be finished."""

    key: str
    title: str
    commands: tuple[Command, ...]
    makes: tuple[Path, ...]


def find_target(real: Path | None) -> Target:
    """Say what `--real` holds; raises UserError where it holds no photographs.

    Photographs named as in the Columbia set are labelled: the first half of the people, by name,
    are refined toward and the others scored on. Labels of the first are never used.
    """
    from gazegan.data.images import find_images
    from gazegan.data.readers import read_columbia

    if real is None:
        return Target("stand-in")
    if not real.is_dir():
        raise UserError(f"--real {real}: no such folder")
    if not find_images(real):
        raise UserError(f"--real {real}: holds no PNG or JPEG files")
    try:
        photos = read_columbia(real).photos
    except UserError:
        why = "their file names carry no gaze labels"
        return Target("unlabelled photographs", real, why_no_score=why)
    people = sorted({photo.subject for photo in photos if photo.subject is not None})
    if len(people) < 2:
        why = "they show one person only, and no one must be both refined toward and scored on"
        return Target("unlabelled photographs", real, why_no_score=why)
    half = (len(people) + 1) // 2
    return Target("photographs", real, _range(people[:half]), _range(people[half:]))


def _range(people: Sequence[str]) -> str:
    return people[0] if len(people) == 1 else f"{people[0]}-{people[-1]}"


def stops(target: Target, sizes: Sizes, out: Path, seed: int, device: str) -> tuple[Stop, ...]:
    """List the stops of a demo in the folder `out`, in order; every command can be repeated."""
    stores, runs = out / "stores", out / "runs"
    on = () if device == "cpu" else ("--device", device)
    seeded = ("--seed", str(seed), *on)
    return (
        _stop(
            "render",
            f"render labelled eyes (recipe {target.recipe})",
            (*_render(target.recipe, sizes.renders, stores / "renders"), *seeded),
            (*_render(target.recipe, sizes.exported, stores / "few"), *seeded),
        ),
        _stop("target", _target_title(target), *_target_commands(target, sizes, out, seed, on)),
        _train_gaze("raw", stores / "renders", runs / "gaze-raw", sizes, seeded),
        _train_refiner(target, sizes, out, seeded),
        _refine(out, on),
        _train_gaze("refined", stores / "refined", runs / "gaze-refined", sizes, seeded),
        _evaluate(target, out, on),
        _explain_and_attack(sizes, out, seeded),
        _export(sizes, out),
    )


def _render(recipe: str, count: int, store: Path) -> Command:
    return ("render", recipe, "--count", str(count), "--out", str(store))


def _train_gaze(name: str, store: Path, run: Path, sizes: Sizes, seeded: Command) -> Stop:
    return _stop(
        f"gaze-{name}",
        f"train gaze on {name} renders",
        (
            *("train", "gaze", "--data", str(store), "--out", str(run)),
            *("--steps", str(sizes.gaze_steps), "--lr-every", "4", *sizes.gaze, *seeded),
        ),
    )


def _train_refiner(target: Target, sizes: Sizes, out: Path, seeded: Command) -> Stop:
    stores = out / "stores"
    return _stop(
        "refiner",
        f"train the refiner toward the {_words(target)}",
        (
            *("train", "refiner", "--synthetic", str(stores / "renders")),
            *("--real", str(stores / "target"), "--out", str(out / "runs" / "refiner")),
            *("--steps", str(sizes.refiner_steps), *sizes.refiner, *seeded),
        ),
    )


def _refine(out: Path, on: Command) -> Stop:
    stores, weights = out / "stores", ("--weights", str(out / "runs" / "refiner"), *on)
    return _stop(
        "refine",
        "refine the renders",
        ("refine", str(stores / "renders"), *weights, "--out", str(stores / "refined")),
        ("refine", str(stores / "few"), *weights, "--out", str(stores / "few-refined")),
    )


def _evaluate(target: Target, out: Path, on: Command) -> Stop:
    commands = (
        (
            *("evaluate", "--weights", str(out / "runs" / f"gaze-{name}")),
            *("--data", str(out / "stores" / "scored"), *on),
            *("--out", str(out / "results" / f"evaluate-{name}")),
        )
        for name in ("raw", "refined")
    )
    return _stop("evaluate", f"evaluate both on {target.scored_eyes}", *commands)


def _explain_and_attack(sizes: Sizes, out: Path, seeded: Command) -> Stop:
    stores, results = out / "stores", out / "results"
    weights = ("--weights", str(out / "runs" / "gaze-refined"))
    return _stop(
        "explain",
        "explain and attack the network trained on refined renders",
        (
            *("explain", *weights, "--data", str(stores / "refined")),
            *("--out", str(results / "explain"), "--count", str(sizes.explained), *seeded),
        ),
        (
            *("attack", *weights, "--data", str(stores / "scored")),
            *("--out", str(results / "attack"), "--count", str(sizes.attacked)),
            *("--steps", str(sizes.attack_steps), *seeded),
        ),
    )


def _export(sizes: Sizes, out: Path) -> Stop:
    few = ("export", str(out / "stores" / "few-refined"), "--format", "folder")
    title = f"export {sizes.exported} refined eyes as plain files"
    return _stop("export", title, (*few, "--out", str(out / "export")))


def _target_title(target: Target) -> str:
    if target.kind == "stand-in":
        return "render a stand-in for real eyes (recipe standin)"
    return f"import the {target.kind}"


def _words(target: Target) -> str:
    return "stand-in" if target.kind == "stand-in" else "photographs"


def _target_commands(
    target: Target, sizes: Sizes, out: Path, seed: int, on: Command
) -> tuple[Command, Command]:
    """Return the commands that write the eyes to refine toward and those to score on."""
    toward, scored = out / "stores" / "target", out / "stores" / "scored"
    second, third = ("--seed", str(seed + 1), *on), ("--seed", str(seed + 2), *on)
    if target.kind == "stand-in":
        return (
            (*_render("standin", sizes.target, toward), *second),
            (*_render("standin", sizes.scored, scored), *third),
        )
    if target.kind == "photographs":
        columbia = ("import", "columbia", str(target.folder))
        return (
            (*columbia, "--subjects", target.toward, "--out", str(toward)),
            (*columbia, "--subjects", target.scored, "--out", str(scored)),
        )
    return (
        ("import", "folder", str(target.folder), "--out", str(toward)),
        (*_render(target.recipe, sizes.scored, scored), *third),
    )


def _stop(key: str, title: str, *commands: Command) -> Stop:
    """Make a stop of commands that each have an `--out`; its end is seen by their files."""
    return Stop(key, title, commands, tuple(_made_by(command) for command in commands))


def _made_by(command: Command) -> Path:
    out = Path(command[command.index("--out") + 1])
    verb = command[0]
    files = {
        "train": "weights.safetensors",
        "evaluate": "evaluation.json",
        "explain": "explain.json",
        "attack": "attack.json",
        "export": "labels.jsonl",
    }
    return out / files.get(verb, "manifest.json")

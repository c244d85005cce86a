"""`gazegan import`: photographs of real eyes into a store."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from gazegan.cli import options

if TYPE_CHECKING:
    from gazegan.data.readers import Listing

_SHOWN = 20
_EQUALISE = click.option(
    "--equalise", is_flag=True,
    help="Even out histograms last, as MPIIGaze's eyes had it; of grey images.",
)  # fmt: skip


def _common(command: Callable[..., None]) -> Callable[..., None]:
    """The argument and options that every format shares."""
    for decorate in reversed(
        (
            click.argument("path", type=options.PATH),
            options.out("Store to write; repeat the command to resume."),
            click.option(
                "--size", type=options.SIZE, default="36x60", show_default=True, metavar="HxW",
                help="Size of the images; the centre of its shape is cut out and resized.",
            ),
            click.option("--grey/--colour", default=True, show_default=True, help="Channels."),
            _EQUALISE,
            click.option("--strict", is_flag=True, help="Fail if any file has to be skipped."),
            options.JSON,
        )
    ):  # fmt: skip
        command = decorate(command)
    return command


@click.group("import")
def import_() -> None:
    """Import photographs of real eyes into a store.

    \b
    gazegan import columbia crops/ --out stores/columbia
    gazegan import mpiigaze MPIIGaze/ --out stores/mpiigaze
    gazegan import folder photos/ --labels labels.csv --out stores/mine
    """


@import_.command()
@_common
@click.option("--subjects", metavar="LIST", help="Keep only these, e.g. 0026-0040,0043.")
@click.option(
    "--head-yaw", "head_yaws", type=options.Number(-180, 180), multiple=True, metavar="DEG",
    help="Keep only this head yaw, positive toward the image's left (minus the P of the name);"
    " repeatable.",
)  # fmt: skip
@click.option(
    "--gaze-yaw", "gaze_yaws", type=options.Number(-180, 180), multiple=True, metavar="DEG",
    help="Keep only this gaze yaw (minus the H of the name); repeatable.",
)  # fmt: skip
def columbia(
    path: Path,
    subjects: str | None,
    head_yaws: tuple[float, ...],
    gaze_yaws: tuple[float, ...],
    **settings: Any,
) -> None:
    """Import eye crops of the Columbia Gaze Data Set, labelled by their file names.

    Names read SUBJECT_2m_{P}P_{V}V_{H}H_{L|R}.jpg. Pitch is V, yaw -H and head yaw -P degrees,
    so that every yaw is positive toward the image's left.

    \b
    gazegan import columbia crops/ --out stores/columbia
    gazegan import columbia crops/ --out stores/target --subjects 0026-0040 --head-yaw 0
    gazegan import columbia crops/ --out stores/narrow --gaze-yaw -5 --gaze-yaw 0 --gaze-yaw 5
    gazegan import columbia crops/ --out stores/large --size 60x100 --colour --strict
    """
    from gazegan.data.readers import parse_subjects, read_columbia

    wanted = None if subjects is None else parse_subjects(subjects)
    _import(read_columbia(path, wanted, head_yaws or None, gaze_yaws or None), **settings)


@import_.command()
@click.argument("path", type=options.PATH)
@options.out("Store to write; repeat the command to resume.")
@click.option("--subjects", metavar="LIST", help="Keep only these, e.g. p00-p13.")
@click.option(
    "--subset", type=click.Choice(["evaluation", "all"]), default="evaluation", show_default=True,
    help="The eyes that the set's lists name, 3000 a person, or all.",
)  # fmt: skip
@_EQUALISE
@options.JSON
def mpiigaze(
    path: Path, out: Path, subjects: str | None, subset: str, equalise: bool, as_json: bool
) -> None:
    """Import the normalised eyes of MPIIGaze, 36x60 grey, with gaze and head pose.

    PATH is the folder that holds "Data/Normalized" and "Evaluation Subset". Angles are those of the
    normalised camera, which looks at this one eye; pitch is positive upward, yaw toward the image's
    left, as in the set. Right eyes are not mirrored: networks here learn from both sides. Images
    are kept as they are.

    \b
    gazegan import mpiigaze MPIIGaze/ --out stores/mpiigaze
    gazegan import mpiigaze MPIIGaze/ --subjects p00-p13 --out stores/fourteen
    gazegan import mpiigaze MPIIGaze/ --subjects p14 --subset all --out stores/p14
    """
    from gazegan.data.mpiigaze import count_days, find_persons, import_mpiigaze, read_mpiigaze
    from gazegan.data.readers import parse_subjects

    wanted = None if subjects is None else parse_subjects(subjects)
    persons = find_persons(path, wanted, all_eyes=subset == "all")
    with options.progress("reading days", count_days(persons), as_json) as advance:
        eyes = read_mpiigaze(persons, advance)
    total = sum(len(one.names) for one in eyes)
    with options.progress("importing", total, as_json) as advance:
        store = import_mpiigaze(persons, eyes, out, equalised=equalise, progress=advance)
    values = {"out": str(out), "count": len(store), "subjects": [one.name for one in persons]}
    text = f"{out}: {len(store)} eyes of {len(persons)} people, labels: {_labels(store.fields)}"
    options.say(as_json, {**values, "fields": list(store.fields)}, text)


@import_.command()
@_common
@click.option("--labels", type=options.PATH, help="CSV of labels; see above.")
def folder(path: Path, labels: Path | None, **settings: Any) -> None:
    """Import the PNG and JPEG files below a folder, with labels or without.

    The CSV has the columns file (relative to PATH), pitch_deg, yaw_deg and optionally subject,
    head_pitch_deg, head_yaw_deg, side (L or R: the eye at the image's left or right). Pitch is
    positive upward, yaw toward the image's left; (0, 0) looks into the camera. Without pitch_deg
    and yaw_deg it says whose eyes these are, which `predict --align-to` asks for.

    \b
    gazegan import folder photos/ --out stores/unlabelled
    gazegan import folder photos/ --labels photos/labels.csv --out stores/mine
    gazegan import folder patches/ --equalise --out stores/equalised
    """
    from gazegan.data.readers import read_folder

    _import(read_folder(path, labels), **settings)


def _import(
    listing: "Listing",
    out: Path,
    size: tuple[int, int],
    grey: bool,
    equalise: bool,
    strict: bool,
    as_json: bool,
) -> None:
    from gazegan.data.photographs import check_readable, import_photographs

    if equalise and not grey:
        raise click.UsageError("--equalise goes with grey images; leave --colour out")
    with options.progress("checking", len(listing.photos), as_json) as advance:
        listing, digest = check_readable(listing, advance)
    _report_skipped(listing.skipped, strict)
    with options.progress("importing", len(listing.photos), as_json) as advance:
        store = import_photographs(
            listing,
            digest,
            out,
            size=size,
            channels=1 if grey else 3,
            equalised=equalise,
            progress=advance,
        )
    skipped = [{"file": name, "reason": reason} for name, reason in listing.skipped]
    values = {"out": str(out), "count": len(store), "skipped_count": len(skipped)}
    text = f"{out}: {len(store)} eyes, labels: {_labels(store.fields)}; skipped {len(skipped)}"
    options.say(as_json, {**values, "fields": list(store.fields), "skipped": skipped}, text)


def _report_skipped(skipped: tuple[tuple[str, str], ...], strict: bool) -> None:
    from gazegan.errors import DataError

    for name, reason in skipped[:_SHOWN]:
        click.echo(f"skipped {name}: {reason}", err=True)
    if len(skipped) > _SHOWN:
        click.echo(f"skipped {len(skipped) - _SHOWN} more; --json lists all", err=True)
    if strict and skipped:
        raise DataError(f"--strict: {len(skipped)} files cannot be imported; mend or remove them")


def _labels(fields: tuple[str, ...]) -> str:
    known = [name for name in ("gaze", "head", "side", "subject") if name in fields]
    return ", ".join(known) or "none"

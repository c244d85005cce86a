"""`gazegan train gaze --adapt self`: photographs are learned from with a first network's answers.

Lee, Pseudo-Label: the simple and efficient semi-supervised learning method for deep neural
networks (ICML workshop 2013); the answers are moved eye by eye toward where people look.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from gazegan.cli import gaze, training
from gazegan.cli.answers import answers, changed, supposed
from gazegan.cli.options import progress
from gazegan.errors import UserError

if TYPE_CHECKING:
    from gazegan.data.store import Store
    from gazegan.data.stream import JoinedSamples, Samples
    from gazegan.train.gaze_settings import GazeTraining

METHOD = "self"
_BATCH, _READ = 256, 8192
"""Eyes that are answered on, and that are read at a time."""


@dataclass(frozen=True)
class SelfTraining:
    """What `--adapt self` is told."""

    real: Path
    """Store of photographs."""
    align_to: str
    """Recipe or store: where their people look."""

    def taught(
        self,
        cfg: "GazeTraining",
        data: "Samples",
        out: Path,
        device: str,
        as_json: bool,
        named: Mapping[str, str],
    ) -> "tuple[GazeTraining, JoinedSamples]":
        """Train a first network, answer on the photographs; returns what the second learns from.

        Half of each batch are photographs. By which words data were `named` is kept. The first
        network and its answers are kept in folders of `out`; what is there already is not made
        anew. Raises UserError where the photographs do not suit, or `out` holds something else.
        """
        from gazegan.data.store import open_store
        from gazegan.data.stream import JoinedSamples
        from gazegan.train import processes
        from gazegan.train.gaze import gaze_stage
        from gazegan.train.rundir import ANSWERED, FIRST, check_free

        _check(cfg, data, self.real, self.align_to)
        parts = data.parts if isinstance(data, JoinedSamples) else (data,)
        shares = cfg.shares or tuple(float(len(part)) for part in parts)
        more = {"shares": (*shares, sum(shares)), "axes": cfg.axes and (*cfg.axes, "both")}
        then = cfg.model_copy(update=more)
        record = {"stage": "gaze", "config": then.model_dump(mode="json")}
        processes.after_first(lambda: check_free(out, record))
        first = gaze_stage(cfg, data, device, notify=training.notify)
        training.train_into(first, out / FIRST, as_json, named, told=not as_json)
        processes.after_first(lambda: self._answer(out / FIRST, out / ANSWERED, device, as_json))
        return then, JoinedSamples((*parts, open_store(out / ANSWERED)))

    def _answer(self, run: Path, out: Path, device: str, as_json: bool) -> None:
        """Write a copy of the photographs with a network's answers, moved, for labels."""
        from gazegan.data.pseudo import write_pseudo_labelled

        network, stores = gaze.open_network(run, [self.real], device)
        with progress("answer", len(stores[0]), as_json) as advance:
            found = answers(network, stores, _BATCH, True, device, advance)
        (moved,) = changed(network.target, found, stores, False, self.align_to, False, False)
        told = {"weights": str(run), "mirror_average": True, "align": False}
        write_pseudo_labelled(stores[0], moved.output, out, {**told, "align_to": self.align_to})


def asked(
    method: str | None, real: Path | None, align_to: str | None, pretrained: Path | None
) -> SelfTraining | None:
    """Return what `--adapt self` is told; raises UsageError where options contradict it."""
    if method != METHOD:
        if align_to:
            raise click.UsageError("--align-to belongs to --adapt self; add that, or leave it out")
        return None
    if real is None or align_to is None:
        raise click.UsageError(
            "--adapt self learns from photographs whose people look at known places; name them by"
            " --real STORE and --align-to RECIPE"
        )
    if pretrained:
        raise click.UsageError(
            "--adapt self trains a network of its own to begin with; leave --pretrained out"
        )
    return SelfTraining(real, align_to)


def _known(eyes: "Store") -> bool:
    """Whether it is known whose each eye is."""
    import torch

    from gazegan.data.stream import only

    if "subject" not in eyes.fields:
        return False
    read = map(only(eyes, ("subject",)).read, torch.split(torch.arange(len(eyes)), _READ))
    return all(part.subject is not None and bool((part.subject >= 0).all()) for part in read)


def _check(cfg: "GazeTraining", data: "Samples", real: Path, align_to: str) -> None:
    from gazegan.data.manifest import MANIFEST
    from gazegan.data.store import open_store
    from gazegan.train.adapt.settings import AdaptConfig
    from gazegan.train.sources import check_adaptable

    # A name that is wrong is found before a network has been trained in vain.
    supposed(align_to)
    folder = real.is_dir() and not (real / MANIFEST).exists()
    if folder or not _known(eyes := open_store(real)):
        raise UserError(
            f"--real {real}: does not tell whose each eye is, by which --adapt self moves answers;"
            " import it so (`gazegan import folder --labels CSV`), or take another --adapt"
        )
    if cfg.adapt != AdaptConfig():
        raise UserError("--set adapt.*: belongs to other ways of adapting; leave it out with self")
    if cfg.network.target != "angles":
        raise UserError("--adapt self: answers are pitch and yaw; leave --target direction out")
    if cfg.network.kind == "landmarks":
        raise UserError(
            "--adapt self: photographs have no landmarks, which --network landmarks learns to"
            " find; take another --network"
        )
    check_adaptable(cfg.network, AdaptConfig(), averages=True, data=data, real=eyes)

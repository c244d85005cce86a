"""Networks that a training takes from others: the one it begins with, and a judge."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from gazegan.cli.gaze import check_suits
from gazegan.cli.options import PATH
from gazegan.errors import UserError

if TYPE_CHECKING:
    from gazegan.config import Config
    from gazegan.nets.regressor import Regressor
    from gazegan.train.checkpoint import StageName, Trained

PRETRAINED = click.option(
    "--pretrained", type=PATH, metavar="RUN",
    help="Begin with the network of this run, set as it was, in the place of a new one.",
)  # fmt: skip


@dataclass(frozen=True)
class Begun:
    """The network that a training begins with."""

    run: Path
    trained: Trained[Any]
    info: dict[str, Any]
    """What its weights tell of the training that they come from."""

    @property
    def settings(self) -> dict[str, Any]:
        """The part of a configuration that it settles."""
        return {"network": dict(self.info["config"]["network"])}

    def check_network(self, wanted: Config) -> None:
        """Raise UserError where another network is wanted."""
        from gazegan.config import differences

        own = self.trained.network.config.model_dump()
        if found := differences(own, wanted.model_dump(), "network."):
            raise UserError(
                f"--pretrained {self.run}: another network is asked for ({found[0]}); leave that"
                " out, or train one anew"
            )

    def suited(self, images: str, size: tuple[int, int] | None, channels: int) -> Trained[Any]:
        """Return the network; raises UserError where it does not suit images (`check_suits`)."""
        check_suits(f"--pretrained {self.run}", self.info, images, size, channels)
        return self.trained


def begun(run: Path | None, stage: StageName, device: str) -> Begun | None:
    """Load what `--pretrained` names, if it names a run."""
    from gazegan.train.checkpoint import Trained, load_weights

    if run is None:
        return None
    network, info = load_weights(run, stage, device)
    return Begun(run, Trained(network, info["sha256"]), info)


def judge_of(run: Path, channels: int, device: str) -> Trained[Regressor]:
    """Load what `--judge` names; raises UserError where it cannot judge refined renders."""
    from gazegan.train.checkpoint import Trained, load_weights

    network, info = load_weights(run, "gaze", device)
    if network.target != "angles":
        raise UserError(f"--judge {run}: answers in directions; train one with --target angles")
    if network.config.head_yaw:
        raise UserError(f"--judge {run}: reads the head's yaw; train one without --head-yaw")
    check_suits(f"--judge {run}", info, "--synthetic", None, channels)
    return Trained(network, info["sha256"])

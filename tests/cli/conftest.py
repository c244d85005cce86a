"""A small gaze network and small stores, made once for the tests of the commands."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from gazegan.cli import main
from gazegan.data.manifest import Manifest
from gazegan.data.store import write_store
from gazegan.nets.regressor import Regressor, RegressorConfig
from gazegan.schema import MASKS, UNKNOWN, EyeBatch
from gazegan.train.checkpoint import save_weights

SIZE = (16, 24)
COUNT = 20


def eyes(count: int = COUNT, channels: int = 1, seed: int = 0) -> EyeBatch:
    """Noise with a bright blob that moves with the gaze, masks around it, two people."""
    generator = torch.Generator().manual_seed(seed)
    image = 0.3 * torch.rand(count, channels, *SIZE, generator=generator)
    gaze = torch.deg2rad(40 * torch.rand(count, 2, generator=generator) - 20)
    masks = torch.zeros(count, len(MASKS), *SIZE)
    masks[:, 0] = 1
    for i, (pitch, yaw) in enumerate(torch.rad2deg(gaze).tolist()):
        row, column = round(8 - pitch / 5), round(12 - yaw / 4)
        image[i, :, row - 2 : row + 2, column - 3 : column + 3] += 0.6
        masks[i, :, row - 2 : row + 2, column - 3 : column + 3] = torch.eye(len(MASKS))[2][
            :, None, None
        ]
    head = torch.tensor([[0.0, -15.0], [0.0, 15.0]]).repeat(count, 1)[:count] * math.pi / 180
    head[0] = torch.nan
    subject = torch.arange(count) % 3 - 1
    zeros = torch.zeros(count, dtype=torch.int64)
    return EyeBatch(
        image,
        torch.arange(count),
        zeros,
        gaze,
        head,
        side=zeros,
        subject=subject.clamp(min=UNKNOWN),
        masks=masks,
    )


def keep(path: Path, batch: EyeBatch) -> Path:
    """Write a batch as a store at `path`."""
    plan = Manifest(
        kind="rendered",
        count=len(batch),
        channels=batch.channels,
        height=batch.size[0],
        width=batch.size[1],
        masks=MASKS if batch.masks is not None else (),
        subjects=("ann", "bob") if batch.subject is not None else (),
    )
    write_store(path, plan, lambda indices: batch[list(indices)])
    return path


def train(path: Path, batch: EyeBatch, target: str) -> Path:
    """Fit a tiny network for a moment and save its weights as the gaze stage does."""
    config = RegressorConfig(target=target, widths=(4, 4, 8, 8, 8), hidden=8)
    torch.manual_seed(0)
    network = Regressor(config, batch.channels)
    for _ in range(3):
        network(batch.image)
    data = {"channels": batch.channels, "height": batch.size[0], "width": batch.size[1]}
    config_values = {"network": config.model_dump(mode="json")}
    save_weights(path, network, "gaze", {"config": config_values, "data": data, "step": 3})
    return path


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with weights for both targets and stores with and without labels."""
    root = tmp_path_factory.mktemp("gaze")
    batch = eyes()
    train(root / "angles.safetensors", batch, "angles")
    train(root / "direction.safetensors", batch, "direction")
    keep(root / "labelled", batch)
    keep(root / "more", replace(eyes(7, seed=1), subject=None, head=None))
    keep(root / "unlabelled", replace(batch, gaze=None, masks=None, subject=None))
    keep(root / "colour", eyes(3, channels=3))
    return root


Run = Callable[..., Result]


@pytest.fixture
def gazegan() -> Run:
    """Run the command line with arguments that must succeed."""

    def run(*arguments: object) -> Result:
        result = CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result

    return run


@dataclass(frozen=True)
class Fault:
    """How a command that failed ended."""

    exit_code: int
    message: str


@pytest.fixture
def fault_of() -> Callable[..., Fault]:
    """Run the command line with arguments that must fail by one line for the user."""

    def run(*arguments: object) -> Fault:
        result = CliRunner().invoke(main, [str(a) for a in arguments])
        *_, last = result.stderr.splitlines()
        assert last.startswith("Error: ") and "Traceback" not in result.output
        return Fault(result.exit_code, last)

    return run


@pytest.fixture
def taken_by(gazegan: Run, tmp_path: Path) -> Callable[[str, Path, Path], None]:
    """Run explain, attack or calibrate on a network and a store; it must leave results."""
    more = {"attack": ["--count", 4, "--steps", 2], "explain": ["--count", 4]}
    more["calibrate"] = ["--shots", 0, "--shots", 1]

    def run(command: str, weights: Path, store: Path) -> None:
        out = tmp_path / command
        gazegan(command, "--weights", weights, "--data", store, "--out", out, *more[command])
        assert list(out.glob("*.json"))

    return run

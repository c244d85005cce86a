"""Tiny eyes and tiny stages, so that a training takes a second."""

import pytest
import torch

from gazegan.data.stream import MemorySamples
from gazegan.nets.critic import CriticConfig
from gazegan.nets.refiner import RefinerConfig
from gazegan.nets.regressor import RegressorConfig
from gazegan.optim import OptimiserConfig
from gazegan.schema import LANDMARKS, MASKS, EyeBatch
from gazegan.train.adapt.settings import AdaptConfig
from gazegan.train.gaze import gaze_stage
from gazegan.train.gaze_settings import GazeTraining
from gazegan.train.refiner import refiner_stage
from gazegan.train.refiner_settings import RefinerTraining


@pytest.fixture(autouse=True)
def _one_thread():
    """Bits depend on the number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _eyes(count=40, seed=0, size=(16, 20), labelled=True, channels=1):
    """Dark discs whose place tells the gaze."""
    g = torch.Generator().manual_seed(seed)
    gaze = 0.5 * (torch.rand(count, 2, generator=g) - 0.5)
    h, w = size
    ys, xs = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing="ij")
    cx, cy = w / 2 - gaze[:, 1] * w, h / 2 - gaze[:, 0] * h
    distance = torch.hypot(xs - cx.view(-1, 1, 1), ys - cy.view(-1, 1, 1))
    iris, pupil = (4.5 - distance).clamp(0, 1), (2.5 - distance).clamp(0, 1)
    image = 0.8 - 0.3 * iris - 0.3 * pupil + 0.02 * torch.rand(count, h, w, generator=g)
    parts = {"sclera": 1 - iris, "iris": iris - pupil, "pupil": pupil}
    masks = torch.stack([parts.get(name, 0 * iris) for name in MASKS], dim=1)
    return MemorySamples(
        EyeBatch(
            image=image[:, None].expand(-1, channels, -1, -1).clamp(0, 1),
            id=torch.arange(count),
            origin=torch.zeros(count, dtype=torch.int64),
            gaze=gaze if labelled else None,
            masks=masks if labelled else None,
            landmarks=_landmarks(cx, cy) if labelled else None,
        )
    )


def _landmarks(cx, cy):
    """Canthi that stay, and all other points on the disc [B, L, 2]."""
    points = torch.stack((cx, cy), dim=1)[:, None].repeat(1, len(LANDMARKS), 1)
    for name, place in (("lid_00", (1.0, 8.0)), ("lid_08", (19.0, 8.0))):
        points[:, LANDMARKS.index(name)] = torch.tensor(place)
    return points


def _refiner(**changes):
    """A refiner stage that takes milliseconds a step; every part of its state is in use."""
    values = {
        "steps": 6, "batch": 4, "critic_steps": 2, "critic_lead": 1, "history": 6,
        "log_every": 1, "evaluate_every": 3, "save_every": 2,
        "network": RefinerConfig(widths=(4, 8), blocks=1),
        "critic": CriticConfig(widths=(4, 8), grid=(2, 2)),
    }  # fmt: skip
    cfg = RefinerTraining(**{**values, **changes})
    return refiner_stage(cfg, _eyes(), _eyes(30, 1, labelled=False))


def _gaze(samples=None, real=None, **changes):
    """A gaze stage that takes milliseconds a step."""
    values = {
        "steps": 6, "batch": 8, "held_out": 0.2,
        "log_every": 1, "evaluate_every": 3, "save_every": 2,
        "network": RegressorConfig(widths=(4, 4, 8, 8, 8), hidden=8),
        "optimiser": OptimiserConfig(kind="rmsprop", lr=1e-3),
    }  # fmt: skip
    cfg = GazeTraining(**{**values, **changes})
    return gaze_stage(cfg, _eyes() if samples is None else samples, real=real)


def _adapted(method, real=None, **changes):
    """A gaze stage that one method adapts; settings of `adapt` may stand among the others."""
    names = set(AdaptConfig.model_fields) - set(GazeTraining.model_fields)
    how = {name: changes.pop(name) for name in names & set(changes)}
    real = _eyes(30, 1, labelled=False) if real is None else real
    return _gaze(real=real, adapt=AdaptConfig(method=method, **how), **changes)


STAGES = {
    "refiner": _refiner,
    "refiner-least-squares": lambda **c: _refiner(loss="least_squares", keep_features=0.1, **c),
    "refiner-classic": lambda **c: _refiner(
        loss="classic", critic=CriticConfig(widths=(4, 8), grid=(2, 2), norm="spectral"), **c
    ),
    "refiner-original": lambda **c: _refiner(
        constraint="clipping",
        refiner_lead=1,
        network=RefinerConfig(widths=(4, 8), blocks=1, latent=6, grid=(2, 2), output="direct"),
        **c,
    ),
    "gaze": _gaze,
    "gaze-adapted": lambda **c: _gaze(real=_eyes(30, 1, labelled=False), **c),
    "gaze-adversarial": lambda **c: _adapted(method="adversarial", units=4, begin=0.2, **c),
    "gaze-fourier": lambda **c: _adapted(method="fourier", **c),
    "gaze-ensemble": lambda **c: _adapted(method="ensemble", members=2, **c),
    "gaze-free": lambda **c: _gaze(
        network=RegressorConfig(
            kind="resnet", norm="free", head="vector", widths=(4, 4, 8, 8, 8), hidden=8
        ),
        **{"clip_adaptive": 0.02, **c},
    ),
    "gaze-adversary": lambda **c: _gaze(adversary={"epsilon_255": 4}, **c),
    "gaze-spread": lambda **c: _gaze(
        network=RegressorConfig(widths=(4, 4, 8, 8, 8), hidden=8, spread=True), **c
    ),
    "gaze-landmarks": lambda **c: _gaze(
        network=RegressorConfig(kind="landmarks", widths=(4, 4, 8, 8, 8), hidden=8), **c
    ),
    "gaze-sgd": lambda **c: _gaze(optimiser=OptimiserConfig(kind="sgd"), **c),
}


@pytest.fixture(params=list(STAGES))
def make_stage(request):
    """Each kind of training in turn, as a function of changed settings."""
    return STAGES[request.param]


@pytest.fixture(name="make_eyes")
def _make_eyes():
    return _eyes


@pytest.fixture
def refiner_of():
    """Builds a tiny refiner stage with changed settings."""
    return _refiner


@pytest.fixture
def gaze_of():
    """Builds a tiny gaze stage with other samples or changed settings."""
    return _gaze


@pytest.fixture
def adapted_of():
    """Builds a tiny gaze stage that a method adapts to unlabelled eyes."""
    return _adapted

"""What run.py compares with: the same networks, losses and optimisers in a plain loop of torch.

Images and labels lie in memory as floats, batches are drawn as they come, nothing is logged, saved
or checked. Each `next` of a loop takes one step.
"""

import copy
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gazegan.nets.critic import Critic
from gazegan.nets.refiner import Refiner
from gazegan.nets.regressor import Regressor
from gazegan.schema import EyeBatch
from gazegan.train.augment import augment
from gazegan.train.gaze_settings import GazeTraining
from gazegan.train.refiner_settings import RefinerTraining


def gaze(cfg: GazeTraining, eyes: EyeBatch) -> Iterator[None]:
    """Train the default gaze network on labelled eyes."""
    network = Regressor(cfg.network, eyes.channels)
    average = copy.deepcopy(network).requires_grad_(False)
    optimiser = torch.optim.RMSprop(network.parameters(), 1e-3, 0.99, eps=1e-6)
    generator = torch.Generator().manual_seed(cfg.seed)
    image, truth = eyes.image, eyes.gaze
    while True:
        for rows in torch.randperm(len(image), generator=generator).split(cfg.batch):
            if len(rows) < cfg.batch:
                break
            x, y = augment(cfg.augment, image[rows], truth[rows], generator)
            loss = F.smooth_l1_loss(network(x), y, reduction="none", beta=0.1).sum(1).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            follow(average, network, cfg.average)
            yield


def refiner(cfg: RefinerTraining, renders: EyeBatch, photographs: EyeBatch) -> Iterator[None]:
    """Train the default refiner: WGAN-GP, and masks that say what is to be kept."""
    network, critic = Refiner(cfg.network, renders.channels), Critic(cfg.critic, renders.channels)
    average = copy.deepcopy(network).requires_grad_(False)
    ours = torch.optim.Adam(network.parameters(), 2e-4, (0.0, 0.9))
    theirs = torch.optim.Adam(critic.parameters(), 4e-4, (0.0, 0.9))
    weights = torch.tensor(cfg.regions.weights).view(1, -1, 1, 1)
    size = renders.image[0].numel()
    while True:
        for _ in range(cfg.critic_steps):
            rows = torch.randint(len(renders), (cfg.batch,))
            raw, real = renders.image[rows], photographs.image[rows % len(photographs)]
            with torch.no_grad():
                fake = network(raw)
            distance = critic.value(real).mean() - critic.value(fake).mean()
            loss = cfg.penalty * penalty(critic, real, fake) - distance
            theirs.zero_grad()
            loss.backward()
            theirs.step()
        after = network(raw)
        critic.requires_grad_(False)
        adversarial = -critic.value(after).mean()
        critic.requires_grad_(True)
        weight = (renders.masks[rows] * weights).sum(1, keepdim=True)
        keep = ((after - raw).abs() * weight).mean() * size**0.5
        ours.zero_grad()
        (adversarial + cfg.kept * keep).backward()
        ours.step()
        follow(average, network, cfg.average)
        yield


def penalty(critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
    share = torch.rand(len(real), 1, 1, 1)
    between = (share * real + (1 - share) * fake).requires_grad_(True)
    score = critic.value(between).sum()
    (slope,) = torch.autograd.grad(score, between, create_graph=True)
    return ((slope.flatten(1).square().sum(1) + 1e-12).sqrt() - 1).square().mean()


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    for mine, its in zip(average.parameters(), network.parameters(), strict=True):
        mine.lerp_(its, 1 - decay)
    for mine, its in zip(average.buffers(), network.buffers(), strict=True):
        mine.copy_(its)

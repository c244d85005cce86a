"""Features of images: of a network that is never trained, and of a gaze network."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gazegan import rng
from gazegan.nets.regressor import Regressor

FEATURES = 160
_WIDTHS = (16, 32, 64, FEATURES // 2)
_SEED = 0


class RandomFeatures(nn.Module):
    """Four convolutions with drawn weights; means and spreads of their last maps.

    Such features tell textures and edges apart well enough to compare populations of images, and
    need no download (random features in place of Inception's in the distance of Binkowski et al.,
    ICLR 2018).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = (channels, *_WIDTHS)
        self.layers = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=1 if i == 0 else 2, padding=1, bias=False)
            for i, (a, b) in enumerate(pairwise(widths))
        )
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, nn.Conv2d)
            drawn = rng.stream(_SEED, "features", channels, number)
            # He's initialisation keeps the size of activations from layer to layer.
            scale = (2 / layer.weight[0].numel()) ** 0.5
            layer.weight.data = scale * torch.randn(layer.weight.shape, generator=drawn)
        self.requires_grad_(False)

    def maps(self, image: Tensor) -> Tensor:
        """Map images `[B, C, H, W]` in 0..1 to maps `[B, FEATURES / 2, H / 8, W / 8]`."""
        x = (image - 0.5) / 0.25
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
        return x

    def forward(self, image: Tensor) -> Tensor:
        """Map images `[B, C, H, W]` in 0..1 to features `[B, FEATURES]`."""
        x = self.maps(image)
        return torch.cat((x.mean((2, 3)), x.std((2, 3), correction=0)), dim=1)


@contextmanager
def hidden_of(network: Regressor) -> Iterator[list[Tensor]]:
    """Collect inside what a gaze network's last layer reads, `[B, hidden]` for each call."""
    seen: list[Tensor] = []
    handle = network.head[-1].register_forward_pre_hook(lambda layer, given: seen.append(given[0]))
    try:
        yield seen
    finally:
        handle.remove()


def last_hidden(network: Regressor, image: Tensor, turn: Tensor | None = None) -> Tensor:
    """Return what a gaze network's last layer reads of images `[B, C, H, W]`, `[B, hidden]`.

    `turn` as in its `forward`.
    """
    with hidden_of(network) as seen:
        network(image, turn)
    return seen[0]

"""Layers of networks against PyTorch's flop counter, parameter counts and shapes."""

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from gazegan.inspect.fields import Field
from gazegan.inspect.rules import WHOLE, Untold
from gazegan.inspect.trace import inspect
from gazegan.nets.critic import Critic, CriticConfig
from gazegan.nets.refiner import Refiner, RefinerConfig
from gazegan.nets.regressor import Regressor, RegressorConfig

NETWORKS = {
    **{
        kind: lambda kind=kind: Regressor(RegressorConfig(kind=kind), 1)
        for kind in ("small", "lenet", "resnet", "resnet18")
    },
    **{
        f"refiner-{norm}": lambda norm=norm: Refiner(RefinerConfig(norm=norm), 1)
        for norm in ("none", "instance", "group", "batch")
    },
    "refiner-latent": lambda: Refiner(RefinerConfig(latent=9, output="direct"), 1),
    "critic": lambda: Critic(CriticConfig(heads="both"), 1),
    "critic-spectral": lambda: Critic(CriticConfig(norm="spectral"), 1),
    "mobilenet": lambda: torchvision.models.mobilenet_v3_small(weights=None),
}


def image(channels=1, *size):
    return torch.rand(1, channels, *(size or (36, 60)))


@pytest.mark.parametrize("name", NETWORKS)
def test_multiply_adds_and_parameters_equal_torchs(name):
    network, x = NETWORKS[name](), image(3 if name == "mobilenet" else 1)
    found = inspect(network, x)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(x)
    assert 2 * found.multiply_adds == counter.get_total_flops()
    assert found.parameters == sum(p.numel() for p in network.parameters())
    assert sum(layer.parameters for layer in found.layers) == found.parameters


def test_grouped_and_transposed_costs_equal_torchs():
    network = nn.Sequential(
        nn.Conv2d(6, 4, 3, groups=2),
        nn.ConvTranspose2d(4, 8, (3, 5), stride=2, groups=4, output_padding=1),
        nn.Flatten(),
        nn.LazyLinear(3),
    )
    x = torch.rand(1, 6, 9, 11)
    found = inspect(network, x)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(x)
    assert 2 * found.multiply_adds == counter.get_total_flops()


@pytest.mark.parametrize("name", ["small", "resnet", "refiner-batch"])
def test_looking_changes_nothing(name):
    network = NETWORKS[name]().train()
    network.requires_grad_(True)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    x = image()
    inspect(network, x)
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert all(m.training and not m._forward_hooks for m in network.modules())
    assert all(p.grad is None for p in network.parameters()) and x.grad is None


@pytest.mark.parametrize(("name", "size"), [("vgg16", 212), ("alexnet", 195)])
def test_known_networks_see_what_is_published(name, size):
    """Table 1 of Araujo et al., "Computing receptive fields", Distill 2019; stride 32 in both."""
    with torch.device("meta"):
        network = getattr(torchvision.models, name)(weights=None)
        layers = inspect(network, torch.empty(1, 3, 224, 224)).layers
    last = [layer for layer in layers if isinstance(layer.seen, Field)][-1]
    assert last.seen.size == (size, size) and last.seen.stride == (32, 32)


def test_fields_are_counted_from_the_origin():
    network = Regressor(RegressorConfig(), 1)
    first, *_, pooled, linear, _, last = inspect(network, image(), network.trunk).layers
    assert first.seen.size == (3, 3) and first.name == "trunk.0.0"
    assert pooled.kind == "pool to 3x5" and "varies" in pooled.seen.reason
    assert linear.seen == last.seen == WHOLE
    # From the image on, sorting its values for their histogram cannot be followed.
    blind = inspect(network, image()).layers[0].seen
    assert isinstance(blind, Untold)


def test_normalising_by_whole_maps_is_told():
    found = {n: inspect(NETWORKS[f"refiner-{n}"](), image()) for n in ("instance", "group")}
    assert all(f.normalises for f in found.values())
    assert found["instance"].layers[1].kind == "instance norm"
    assert not inspect(NETWORKS["refiner-batch"](), image()).normalises


class Written(nn.Module):
    """A convolution after whatever a function does."""

    def __init__(self, before):
        super().__init__()
        self.before, self.conv = before, nn.LazyConv2d(1, 1)

    def forward(self, x):
        return self.conv(self.before(x))


def seen_after(before):
    network, x = Written(before), image()
    network(x)
    return inspect(network, x).layers[-1].seen


def test_slices_and_upsampling_are_followed():
    field = seen_after(lambda x: F.interpolate(x, scale_factor=2)[..., 1::2, 3:])
    assert [field.rows.at(i) for i in range(3)] == [(0, 0), (1, 1), (2, 2)]
    assert [field.columns.at(i) for i in range(3)] == [(1, 1), (2, 2), (2, 2)]
    last = seen_after(lambda x: x[..., -4:, :])
    assert last.rows.at(0) == (32, 32) and last.columns.at(0) == (0, 0)


def test_what_cannot_be_told_is_named():
    assert seen_after(lambda x: x.flip(-1)) == Untold("cannot be told: flip")
    assert "different sizes" in seen_after(lambda x: torch.cat((x, x), 3)).reason
    assert "different sizes" in seen_after(lambda x: x + x[..., :1]).reason
    pooled = seen_after(lambda x: F.max_pool2d(x, 2) + x[..., :18, :30])
    assert pooled == Untold("cannot be told: joins strides 2 and 1")
    assert seen_after(lambda x: x * x.mean((2, 3), keepdim=True)) == WHOLE
    assert seen_after(lambda x: x - x.mean(1, keepdim=True)).size == (1, 1)


def test_pooling_to_one_place_sees_the_whole_image():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Conv2d(2, 2, 1))
    assert inspect(network, image()).layers[-1].seen == WHOLE


def test_layers_are_described_as_stacks_are_written():
    network = nn.Sequential(
        nn.Conv2d(2, 4, (5, 9), 2, (2, 4), dilation=(1, 2), groups=2),
        nn.ConvTranspose2d(4, 2, 4, 2, 1, output_padding=1),
        nn.MaxPool2d(2),
        nn.AvgPool2d((3, 2), 1),
    )
    kinds = [layer.kind for layer in inspect(network, image(2)).layers]
    assert kinds == [
        "conv 2 4 5x9 stride 2 pad 2x4 dilation 1x2 groups 2",
        "transposed 4 2 4x4 stride 2 pad 1 output_pad 1",
        "pool max 2x2",
        "pool mean 3x2 stride 1",
    ]

"""Gaze networks of every kind: sizes, heads, spreads, limits, and that they learn."""

import math

import pytest
import torch
import torch.nn.functional as F
from learning import images, learned, stirred
from torch import nn

from gazegan.geometry import vector_from_angles
from gazegan.nets.layers import PreActivation, middle
from gazegan.nets.regressor import SPREAD_DEG, Regressor, RegressorConfig

KINDS = ("small", "lenet", "resnet", "resnet18")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_kind_answers_every_size_and_learns(kind, channels):
    torch.manual_seed(0)
    config = RegressorConfig(kind=kind, widths=(8, 8, 16, 16, 16), hidden=16)
    regressor = Regressor(config, channels)
    for size in ((16, 24), (36, 60), (40, 40)):
        assert regressor(images(3, channels, *size)).shape == (3, 2)
    image = images(8, channels, 16, 24)
    wanted = 0.3 * torch.rand(8, 2) - 0.15
    losses = learned(regressor, image, wanted, 25)
    assert losses[-1] < 0.5 * losses[0]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in regressor.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_exported_for_where_there_is_no_python(kind):
    torch.manual_seed(0)
    sizes = {"widths": (4, 4, 8, 8, 8), "hidden": 8, "view": 0.8, "spread": True}
    regressor = Regressor(RegressorConfig(kind=kind, **sizes), 1).eval()
    free = ({0: torch.export.Dim("batch")},)
    exported = torch.export.export(regressor, (images(2, 1, 36, 60),), dynamic_shapes=free)
    image = images(5, 1, 36, 60)
    torch.testing.assert_close(exported.module()(image), regressor(image))


@pytest.mark.parametrize("size", [(36, 60), (37, 61), (16, 24)])
@pytest.mark.parametrize("knots", [0, 9])
def test_of_a_view_the_rim_does_not_count(size, knots):
    torch.manual_seed(0)
    sizes = {"widths": (8, 8, 16, 16, 16), "hidden": 16, "knots": knots}
    whole = Regressor(RegressorConfig(**sizes), 1).eval()
    part = Regressor(RegressorConfig(**sizes, view=0.7), 1).eval()
    part.load_state_dict(whole.state_dict())
    image = images(4, 1, *size)
    rows, columns = middle(image, 0.7).shape[-2:]
    top, left = (size[0] - rows) // 2, (size[1] - columns) // 2
    assert (size[0] - rows) % 2 == (size[1] - columns) % 2 == 0  # the middle stays the middle
    assert abs(rows - 0.7 * size[0]) <= 1 and abs(columns - 0.7 * size[1]) <= 1
    inside = image[..., top : top + rows, left : left + columns]
    torch.testing.assert_close(part(image), whole(inside))
    image.requires_grad_()
    part(image).sum().backward()
    rim = torch.ones(size, dtype=torch.bool)
    rim[top : top + rows, left : left + columns] = False
    assert not image.grad[..., rim].any() and image.grad[..., ~rim].any()


def test_a_view_leaves_landmarks_in_sight():
    with pytest.raises(ValueError, match="landmarks out of sight"):
        RegressorConfig(kind="landmarks", view=0.8)


def test_a_head_that_points_gives_angles_of_its_vector_and_learns():
    torch.manual_seed(0)
    regressor = Regressor(RegressorConfig(head="vector", widths=(8, 8, 16, 16, 16)), 1)
    image = images(8, 1, 16, 24)
    seen = []
    regressor.head.register_forward_hook(lambda *args: seen.append(args[-1]))
    angles = regressor(image)
    unit = seen[-1] / seen[-1].norm(dim=1, keepdim=True)
    torch.testing.assert_close(vector_from_angles(angles), unit)
    # Before it has learnt anything it looks about ahead, where angles do not jump.
    assert angles.abs().max() < 1.2 and regressor.head[-1].bias.tolist() == [0, 0, -1]
    wanted = 0.6 * torch.rand(8, 2) - 0.3
    losses = learned(regressor, image, wanted, 25)
    assert losses[-1] < 0.3 * losses[0]
    for wrong in ({"limit_deg": 20}, {"target": "direction"}):
        with pytest.raises(ValueError, match="vector"):
            RegressorConfig(head="vector", **wrong)


@pytest.mark.parametrize(
    "how",
    [*({"kind": kind} for kind in KINDS), {"head": "vector"}, {"limit_deg": 20, "head_yaw": True}],
)
def test_spreads_stand_beside_the_same_angles(how):
    torch.manual_seed(0)
    sizes = {"widths": (8, 8, 16, 16, 16), "hidden": 16, "knots": 0}
    plain = Regressor(RegressorConfig(**sizes, **how), 1).eval()
    unsure = Regressor(RegressorConfig(**sizes, **how, spread=True), 1).eval()
    state, count = plain.state_dict(), plain.head[-1].out_features
    for name in ("head.3.weight", "head.3.bias"):
        more = torch.stack((state[name][0], 50 * state[name][1].abs()))
        state[name] = torch.cat((state[name], more))
    unsure.load_state_dict(state)
    assert unsure.head[-1].out_features == count + 2
    image, turn = images(4, 1, 16, 24), torch.linspace(-0.5, 0.5, 4)
    answer = unsure.answer(image, turn)
    assert plain.answer(image, turn).spread is None
    torch.testing.assert_close(answer.output, plain(image, turn))
    torch.testing.assert_close(unsure(image, turn), answer.output)
    torch.testing.assert_close(answer[1:3].spread, answer.spread[1:3])
    low, high = (math.radians(bound) for bound in SPREAD_DEG)
    assert answer.spread.shape == (4, 2)
    assert bool(((low * 0.999 <= answer.spread) & (answer.spread <= high * 1.001)).all())


def test_the_spread_is_smooth_in_its_logarithm():
    unsure = Regressor(RegressorConfig(spread=True), 1).eval()
    nn.init.zeros_(unsure.head[-1].weight)
    with torch.no_grad():
        unsure.head[-1].bias.copy_(torch.tensor([0.0, 0.0, 0.0, math.log(3)]))
    spread = torch.rad2deg(unsure.answer(images(2, 1, 16, 24)).spread)
    low, high = SPREAD_DEG
    # A sigmoid of 1/2, and of 3/4: geometric means of the bounds.
    expected = torch.tensor([(low * high) ** 0.5, low**0.25 * high**0.75])
    torch.testing.assert_close(spread, expected.expand(2, 2))
    with pytest.raises(ValueError, match="spread is of angles"):
        RegressorConfig(spread=True, target="direction")


def test_parameters_of_known_networks_are_counted_as_in_their_papers():
    def count(module):
        return sum(p.numel() for p in module.parameters())

    lenet = Regressor(RegressorConfig(kind="lenet"), 1).trunk
    assert count(lenet) == (25 + 1) * 20 + (20 * 25 + 1) * 50
    # torchvision's 11,689,512 less its classifier of 1000 classes.
    resnet18 = Regressor(RegressorConfig(kind="resnet18"), 3).trunk
    assert count(resnet18) == 11_689_512 - 1000 * 513
    one = Regressor(RegressorConfig(kind="resnet", blocks=1), 1).trunk
    two = Regressor(RegressorConfig(kind="resnet", blocks=2), 1).trunk
    # A further block of width w: two convolutions of 9 w^2 and two normalisations of 2 w.
    assert count(two) - count(one) == sum(18 * w * w + 4 * w for w in (16, 32, 64, 96))


@pytest.mark.parametrize("norm", ["batch", "free"])
def test_no_convolution_of_one_pixel_has_a_stride(norm):
    """With fewer than 8 channels going backward through one corrupts PyTorch's memory."""
    config = RegressorConfig(kind="resnet", norm=norm, widths=(4, 4, 8, 8, 8))
    ones = [
        m
        for m in Regressor(config, 1).modules()
        if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1)
    ]
    assert len(ones) == 3 and all(m.stride == (1, 1) for m in ones)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_block_projects_every_other_place(stride):
    block, x = PreActivation(3, 5, stride), images(2, 3, 7, 8)
    expected = F.conv2d(F.relu(block.eval().first(x)), block.project.weight, stride=stride)
    nn.init.zeros_(block.body[-1].weight)
    torch.testing.assert_close(block(x), expected)


def test_resnet18_is_torchvisions():
    from torchvision.models import resnet18

    regressor = Regressor(RegressorConfig(kind="resnet18", grid=(1, 1)), 3).eval()
    theirs = resnet18(weights=None).eval()
    theirs.fc = torch.nn.Identity()
    parts = [part for name, part in theirs.named_children() if name not in ("avgpool", "fc")]
    for mine, part in zip(regressor.trunk, parts, strict=True):
        part.load_state_dict(mine.state_dict())
    image = images(2, 3, 64, 64)
    features = regressor.trunk(image).mean((2, 3))
    torch.testing.assert_close(features, theirs(image), rtol=1e-4, atol=1e-5)


def test_a_limit_bounds_angles_and_leaves_small_ones():
    plain = stirred(Regressor(RegressorConfig(), 1)).eval()
    bounded = Regressor(RegressorConfig(limit_deg=20), 1).eval()
    bounded.load_state_dict(plain.state_dict())
    image = images(6, 1, 16, 24)
    free, held = plain(image), bounded(image)
    limit = math.radians(20)
    torch.testing.assert_close(held, limit * torch.tanh(free / limit))
    assert held.abs().max() <= limit
    with pytest.raises(ValueError, match="limit_deg"):
        RegressorConfig(limit_deg=20, target="direction")

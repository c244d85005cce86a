"""Predictions are those of the network in evaluation mode, whatever the batch."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from gazegan.modes import evaluating
from gazegan.predict import Predicted, by_face, mirror_average, predict
from gazegan.schema import EyeBatch


@dataclass(frozen=True)
class Kept:
    batch: EyeBatch

    def __len__(self) -> int:
        return len(self.batch)

    def read(self, indices: torch.Tensor) -> EyeBatch:
        return self.batch[indices]


def samples(count: int = 7) -> Kept:
    image = torch.rand(count, 1, 6, 10, generator=torch.Generator().manual_seed(0))
    zeros = torch.zeros(count, dtype=torch.int64)
    return Kept(EyeBatch(image, torch.arange(count) + 100, zeros, gaze=image[:, 0, 0, :2]))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(96, 2))


@pytest.mark.parametrize("batch", [1, 3, 7, 100])
def test_predictions_do_not_depend_on_the_batch(batch):
    net, data, heard = network(), samples(), []
    found = predict(net, data, batch, advance=heard.append)
    oracle = net.eval()(data.batch.image).detach()
    torch.testing.assert_close(found.output, oracle)
    assert torch.equal(found.id, data.batch.id) and torch.equal(found.gaze, data.batch.gaze)
    assert found.head is None and found.subject is None
    assert sum(heard) == 7 and not found.output.requires_grad


def test_modes_and_statistics_are_left_alone():
    net = network().train()
    net[0].eval()
    before = net[1].running_mean.clone()
    predict(net, samples(), 4)
    assert [module.training for module in net] == [False, True, True, True]
    assert torch.equal(net[1].running_mean, before)


def test_modes_are_restored_after_a_fault():
    net = network().train()
    with pytest.raises(RuntimeError), evaluating(net):
        assert not net[1].training
        raise RuntimeError
    assert net[1].training


@pytest.mark.parametrize(("target", "sign"), [("angles", (1, -1)), ("direction", (-1, 1))])
def test_mirrored_predictions_mirror(target, sign):
    net, image = network().eval(), samples().batch.image
    averaged = mirror_average(net, target)
    mirrored = averaged(image.flip(-1)) * torch.tensor(sign)
    torch.testing.assert_close(averaged(image), mirrored)


def test_spreads_stand_behind_angles_and_their_variances_are_averaged():
    def look(image):
        return torch.stack([image[:, 0, 0, k] for k in (0, 1, 2, 3)], dim=1)

    net, data = mirror_average(look), samples()
    found, image = predict(net, data, 3), data.batch.image
    there, back = look(image), look(image.flip(-1))
    mean = (there[:, :2] + back[:, :2] * torch.tensor([1.0, -1.0])) / 2
    torch.testing.assert_close(found.output, mean)
    variance = (there[:, 2:] ** 2 + back[:, 2:] ** 2) / 2
    torch.testing.assert_close(found.spread, variance.sqrt())
    assert predict(network(), data, 3).spread is None


def test_faces_get_the_mean_of_both_eyes_and_single_eyes_are_left_out():
    drawn = torch.Generator().manual_seed(0)
    output, gaze, head = (torch.rand(6, 2, generator=drawn) for _ in range(3))
    subject, side = torch.tensor([5, 6, 5, 7, 6, 8]), torch.tensor([0, 0, 1, 0, 1, 1])
    found = Predicted(output, torch.arange(6) + 10, gaze, head, subject, side, spread=gaze)
    joined = by_face(found, torch.tensor([3, 1, 3, 0, 1, 9]))
    for one, values in ((joined.output, output), (joined.gaze, gaze), (joined.head, head)):
        expected = torch.stack(((values[1] + values[4]) / 2, (values[0] + values[2]) / 2))
        torch.testing.assert_close(one, expected)
    assert joined.id.tolist() == [11, 10]
    assert joined.subject.tolist() == [6, 5] and joined.spread is None
    with pytest.raises(ValueError, match="no face has both eyes"):
        by_face(found, torch.arange(6))

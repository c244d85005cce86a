"""Adapting a gaze network to photographs: the answers taught, and what they do to a network."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gazegan.data.stream import MemorySamples
from gazegan.errors import UserError
from gazegan.geometry import angular_error_deg, mirror_angles
from gazegan.nets.regressor import Regressor, RegressorConfig
from gazegan.optim import OptimiserConfig, ScheduleConfig
from gazegan.predict import predict
from gazegan.train.adapt.alignment import align, remember
from gazegan.train.adapt.settings import AdaptConfig
from gazegan.train.adapt.teacher import teach
from gazegan.train.augment import AugmentConfig
from gazegan.train.gaze import init, lesson, result
from gazegan.train.loop import run

ENSEMBLE = AdaptConfig(method="ensemble")


def angles(count, seed, scale=(0.2, 0.3), shift=(0.1, -0.05)):
    drawn = torch.randn(count, 2, generator=torch.Generator().manual_seed(seed))
    return drawn * torch.tensor(scale) + torch.tensor(shift)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 999), spread=st.floats(0.2, 1.5), mirror=st.booleans())
def test_aligned_answers_have_the_labels_mean_and_a_share_of_their_spread(seed, spread, mirror):
    answers, labels = angles(64, seed, (0.02, 0.05), (0.3, 0.1)), angles(50, seed + 1)
    seen, wanted = torch.zeros(2, 2), torch.zeros(2, 2)
    remember(seen, answers, 0, 0.99, mirror)
    remember(wanted, labels, 0, 0.99, mirror)
    aligned = align(answers, seen, wanted, spread)
    if mirror:
        aligned, labels = (torch.cat((a, mirror_angles(a))) for a in (aligned, labels))
    a, b = aligned.double().numpy(), labels.double().numpy()
    np.testing.assert_allclose(a.mean(0), b.mean(0), atol=1e-4)
    np.testing.assert_allclose(a.std(0), spread * b.std(0), rtol=2e-3)


def test_moments_are_first_an_equal_then_a_decaying_average():
    parts = [angles(8, seed).double() for seed in range(6)]
    moments = torch.zeros(2, 2, dtype=torch.float64)
    expected = np.zeros((2, 2))
    for count, part in enumerate(parts):
        remember(moments, part, count, 0.75, mirror=False)
        fresh = np.stack((part.numpy().mean(0), (part.numpy() ** 2).mean(0)))
        keep = min(0.75, count / (count + 1))
        expected = keep * expected + (1 - keep) * fresh
        if count < 4:
            so_far = torch.cat(parts[: count + 1]).numpy()
            np.testing.assert_allclose(moments[0], so_far.mean(0), atol=1e-12)
    np.testing.assert_allclose(moments, expected, atol=1e-12)


def test_constant_answers_stay_finite():
    seen, wanted = torch.zeros(2, 2), torch.zeros(2, 2)
    answers = torch.full((4, 2), 0.2)
    remember(seen, answers, 0, 0.9, mirror=False)
    remember(wanted, angles(50, 0), 0, 0.9, mirror=False)
    aligned = align(answers, seen, wanted, 1.0)
    torch.testing.assert_close(aligned, wanted[0].expand(4, 2), atol=1e-2, rtol=0)


def test_the_teacher_is_true_to_mirrors_and_left_as_it_was():
    teacher = Regressor(RegressorConfig(widths=(4, 4, 8, 8, 8), hidden=8), 1).train()
    before = {key: value.clone() for key, value in teacher.state_dict().items()}
    image = torch.rand(5, 1, 16, 20, generator=torch.Generator().manual_seed(0))
    turn = torch.full((5,), torch.nan)
    answers = teach(teacher, image, turn, mirror=True)
    back = teach(teacher, image.flip(-1), turn, mirror=True)
    torch.testing.assert_close(back, mirror_angles(answers))
    assert (teach(teacher, image, turn, mirror=False) - answers).abs().max() > 1e-4
    assert not answers.requires_grad
    assert teacher.training
    assert all(torch.equal(before[key], value) for key, value in teacher.state_dict().items())


def test_photographs_take_part_from_their_step_on(tmp_path, gaze_of, make_eyes):
    stage = gaze_of(real=make_eyes(30, 1, labelled=False), steps=6, adapt=AdaptConfig(begin=0.5))
    assert stage.config.adapts_from == 3
    assert [("real" in stage.batches(at)) for at in range(6)] == [False] * 3 + [True] * 3
    assert len(stage.batches(3)["real"]) == AdaptConfig().batch
    plain = gaze_of(steps=3, adapt=AdaptConfig(begin=0.5))
    state, other = run(stage, tmp_path / "a"), run(plain, tmp_path / "b")
    assert (state.answered[1] > 0).all()
    assert not other.answered.any()


def test_adapting_mends_a_bias(tmp_path, gaze_of, make_eyes):
    """Photographs framed 2 px lower, with black sides by which they are known.

    Their labels tell the error and nothing else.
    """

    def lower(count, seed):
        batch = make_eyes(count, seed).batch
        image = batch.image.roll(2, dims=-2)
        image[..., :2] = image[..., -2:] = 0
        return MemorySamples(replace(batch, image=image))

    test, unlabelled, errors = lower(200, 7), lower(200, 8), {}
    for name, real in (("plain", None), ("adapted", replace(unlabelled.batch, gaze=None))):
        stage = gaze_of(
            make_eyes(400),
            real and MemorySamples(real),
            steps=300,
            batch=32,
            network=RegressorConfig(widths=(8, 8, 8, 8, 16), hidden=16),
            optimiser=OptimiserConfig(lr=5e-3),
            schedule=ScheduleConfig(every=20),
            adapt=AdaptConfig(spread=1.0),
        )
        network = result(stage.config, run(stage, tmp_path / name))
        errors[name] = angular_error_deg(predict(network, test).output, test.batch.gaze).mean()
    assert errors["adapted"] < 0.8 * errors["plain"]


def test_nothing_is_mirrored_where_augmentation_mirrors_nothing(gaze_of, make_eyes):
    """Copies that nothing else varies are then the photographs themselves."""
    still = {name: 0.0 for name in AugmentConfig.model_fields if name != "mirror"}
    cfg = gaze_of(
        augment=AugmentConfig(mirror=0),
        adapt=AdaptConfig(augment=AugmentConfig(mirror=0.5, **still)),
    ).config
    state, eyes = init(cfg, 1, "cpu"), make_eyes(30, 1).batch
    taught = lesson(cfg, state, angles(30, 0), eyes, torch.Generator().manual_seed(0))
    torch.testing.assert_close(taught.eyes.image, eyes.image)
    # The mean over no mirrored labels keeps their lean to one side.
    torch.testing.assert_close(state.labelled[0], angles(30, 0).mean(0))


def test_answers_are_aligned_to_those_angles_alone_that_are_taught(gaze_of, make_eyes):
    """Eyes that look ahead and teach the pitch alone would else narrow the yaw."""
    both, aside = angles(15, 0), angles(15, 1, shift=(0.0, 0.9))
    changes = {"axes": ("both", "pitch"), "shares": (1, 1), "batch": 30}
    cfg = gaze_of(augment=AugmentConfig(mirror=0)).config.model_copy(update=changes)
    state, eyes = init(cfg, 1, "cpu"), make_eyes(30, 1).batch
    lesson(cfg, state, torch.cat((both, aside)), eyes, torch.Generator().manual_seed(0))
    pitch = torch.cat((both, aside))[:, 0]
    expected = [[pitch.mean(), both[:, 1].mean()], [(pitch**2).mean(), (both[:, 1] ** 2).mean()]]
    torch.testing.assert_close(state.labelled, torch.tensor(expected))


def test_an_angle_that_nothing_tells_keeps_its_moments():
    moments = torch.tensor([[0.1, 0.2], [0.3, 0.4]])
    known = torch.tensor([[True, False]] * 8)
    remember(moments, angles(8, 0), 3, 0.5, mirror=True, known=known)
    torch.testing.assert_close(moments[:, 1], torch.tensor([0.2, 0.4]))
    assert not torch.isclose(moments[0, 0], torch.tensor(0.1))


@pytest.mark.parametrize(
    ("changes", "cure"),
    [
        ({"network": RegressorConfig(target="direction")}, "leave --target direction out"),
        ({"average": 0.0}, "average"),
        ({"network": RegressorConfig(target="direction"), "adapt": ENSEMBLE}, "adapt ensemble"),
        ({"average": 0.0, "adapt": ENSEMBLE}, "adapt ensemble needs the average"),
        ({"network": RegressorConfig(head_yaw=True)}, "leave --head-yaw out"),
    ],
)
def test_what_cannot_be_adapted_is_refused(gaze_of, make_eyes, changes, cure):
    with pytest.raises(UserError, match=cure):
        gaze_of(real=make_eyes(30, 1), **changes)
    with pytest.raises(UserError, match="do not fit"):
        gaze_of(real=make_eyes(30, 1, size=(20, 20)))

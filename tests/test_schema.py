"""Records slice, join and move as one, and refuse what their documentation rules out."""

from dataclasses import fields, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gazegan import schema
from gazegan.schema import LANDMARKS, MASKS, EyeBatch, check_batch


def labelled(count: int, channels: int = 1) -> EyeBatch:
    generator = torch.Generator().manual_seed(count)
    masks = torch.rand(count, len(MASKS), 6, 10, generator=generator)
    return EyeBatch(
        image=torch.rand(count, channels, 6, 10, generator=generator),
        id=torch.arange(count),
        origin=torch.zeros(count, dtype=torch.int64),
        gaze=torch.rand(count, 2, generator=generator),
        head=torch.full((count, 2), torch.nan),
        side=torch.zeros(count, dtype=torch.int64),
        subject=torch.full((count,), schema.UNKNOWN),
        masks=masks / masks.sum(1, keepdim=True),
        landmarks=torch.rand(count, len(LANDMARKS), 2, generator=generator),
        visible=torch.ones(count, len(LANDMARKS), dtype=torch.bool),
        params=torch.rand(count, 5, generator=generator),
        gaze_head=torch.rand(count, 2, generator=generator),
        optical=torch.rand(count, 2, generator=generator),
        centres=torch.rand(count, 4, 3, generator=generator),
        ellipses=torch.rand(count, 2, 5, generator=generator),
        intrinsics=torch.rand(count, 4, generator=generator),
        distortion=torch.rand(count, 4, generator=generator),
        extrinsics=torch.rand(count, 3, 4, generator=generator),
        boxes=torch.rand(count, 2, 4, generator=generator),
    )


def same(a: EyeBatch, b: EyeBatch) -> bool:
    pairs = [(getattr(a, f.name), getattr(b, f.name)) for f in fields(a)]
    return all(
        x is y if x is None or y is None else bool(torch.equal(x.nan_to_num(), y.nan_to_num()))
        for x, y in pairs
    )


@given(st.integers(1, 5), st.integers(0, 5))
@settings(deadline=None, max_examples=30)
def test_joining_slices_gives_the_whole(count, cut):
    batch = labelled(count)
    assert same(EyeBatch.cat([batch[:cut], batch[cut:]]), batch)


def test_rows_are_chosen_by_slice_list_or_mask():
    batch = labelled(4)
    assert same(batch[1:3], batch[[1, 2]])
    assert same(batch[torch.tensor([False, True, True, False])], batch[torch.tensor([1, 2])])
    assert len(batch[:0]) == 0


def test_a_label_absent_from_one_part_is_absent_from_the_whole():
    known, unknown = labelled(2), replace(labelled(3), gaze=None, masks=None)
    joined = EyeBatch.cat([known, unknown])
    assert len(joined) == 5 and joined.gaze is None and joined.masks is None
    assert joined.landmarks is not None


def test_moving_converts_floats_alone():
    moved = labelled(2).to("cpu", torch.float64)
    assert moved.image.dtype == moved.gaze.dtype == torch.float64
    assert (moved.id.dtype, moved.visible.dtype) == (torch.int64, torch.bool)


def test_size_and_channels():
    batch = labelled(2, channels=3)
    assert (batch.size, batch.channels, len(batch)) == ((6, 10), 3, 2)


def test_a_sound_batch_passes():
    check_batch(labelled(3))
    check_batch(labelled(3)[:0])
    bare = labelled(2)
    check_batch(EyeBatch(bare.image, bare.id, bare.origin))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image": torch.zeros(2, 2, 6, 10)}, "2 channels"),
        ({"image": torch.full((2, 1, 6, 10), 1.01)}, "0..1"),
        ({"image": torch.full((2, 1, 6, 10), -0.01)}, "0..1"),
        ({"image": torch.full((2, 1, 6, 10), torch.nan)}, "not finite"),
        ({"gaze": torch.full((2, 2), torch.inf)}, "not finite"),
        ({"gaze": torch.zeros(3, 2)}, "gaze has shape"),
        ({"masks": torch.zeros(2, 3, 6, 10)}, "masks has shape"),
        ({"landmarks": torch.zeros(2, 4, 2)}, "landmarks has shape"),
        ({"visible": torch.zeros(2, 1)}, "visible has shape"),
        ({"subject": torch.zeros(2, 1)}, "subject has shape"),
        ({"id": torch.zeros(3)}, "id has shape"),
        ({"gaze_head": torch.zeros(2, 3)}, "gaze_head has shape"),
        ({"optical": torch.full((2, 2), torch.nan)}, "optical holds values that are not finite"),
        ({"centres": torch.zeros(2, 3, 3)}, "centres has shape"),
        ({"ellipses": torch.full((2, 2, 5), torch.inf)}, "ellipses holds"),
        ({"intrinsics": torch.zeros(2, 3)}, "intrinsics has shape"),
        ({"distortion": torch.zeros(2, 2)}, "distortion has shape"),
        ({"extrinsics": torch.full((2, 3, 4), torch.nan)}, "extrinsics holds values"),
        ({"boxes": torch.zeros(2, 4)}, "boxes has shape"),
    ],
)
def test_a_broken_batch_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        check_batch(replace(labelled(2), **changes))


def test_landmarks_follow_unityeyes():
    counts = {p: sum(n.startswith(p) for n in LANDMARKS) for p in ("lid_", "caruncle_", "iris_")}
    assert counts == {"lid_": 16, "caruncle_": 7, "iris_": 33}
    assert len(set(LANDMARKS)) == len(LANDMARKS)

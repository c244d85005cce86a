"""Depth and normals of what a pixel sees, against float64 rays that meet conicoid and sphere."""

import math

import numpy as np
import pytest
import torch
from oracles import Eye, unit
from scenes import as_dict, draw

from gazegan.render.prior import Image
from gazegan.render.scene import render
from gazegan.schema import MASKS

DEEP = Image(height=48, width=80, depth=True)
OPEN = {"upper_lid": 13, "lower_lid": 8, "canthus_drop": 1, "waterline": 0, "lash_dark": 0}


def pixels_of(batch, i, *names):
    """Pixels that show nothing but the named masks, apart from glints."""
    masks = dict(zip(MASKS, batch.masks[i], strict=True))
    return (sum(masks[name] for name in (*names, "glint")) > 0.999).nonzero().tolist()


def ray(batch, i, row, column):
    fx, fy, cx, cy = batch.intrinsics[i].tolist()
    return np.array([(column + 0.5 - cx) / fx, (row + 0.5 - cy) / fy, 1.0])


@pytest.mark.parametrize("distance", [60, 600])
def test_depth_and_normal_of_the_cornea_are_those_of_a_traced_ray(distance):
    params, textures = draw(6, distance=distance, lower_line=0, **OPEN)
    batch = render(params, textures, DEEP)
    checked = 0
    for i in range(6):
        eye, start = Eye(as_dict(params, i)), np.array([0.0, 0.0, -distance])
        for row, column in pixels_of(batch, i, "iris", "pupil")[::17]:
            hit, _ = eye.entry_from(start, ray(batch, i, row, column))
            step = 1e-4 * np.eye(3)
            normal = unit([eye.outside(hit + d) - eye.outside(hit - d) for d in step])
            assert batch.depth[i, 0, row, column].item() == pytest.approx(
                hit[2] + distance, abs=2e-3
            )
            np.testing.assert_allclose(batch.normals[i, :, row, column], normal, atol=1e-3)
            checked += 1
    assert checked > 60


def test_depth_and_normal_of_the_sclera_are_those_of_a_sphere():
    params, textures = draw(6, lower_line=0, **OPEN)
    batch = render(params, textures, DEEP)
    checked = 0
    for i in range(6):
        distance, radius = params.distance[i].item(), params.eyeball_radius[i].item()
        for row, column in pixels_of(batch, i, "sclera")[::17]:
            way = ray(batch, i, row, column)
            a, b = way @ way, -distance * way[2]
            t = (-b - math.sqrt(b * b - a * (distance**2 - radius**2))) / a
            point = t * way - np.array([0, 0, distance])
            assert batch.depth[i, 0, row, column].item() == pytest.approx(t, abs=2e-3)
            np.testing.assert_allclose(batch.normals[i, :, row, column], point / radius, atol=1e-3)
            checked += 1
    assert checked > 60


def test_normals_of_the_face_are_those_of_its_depth():
    """Smooth skin: the cross product of neighbouring points, which depth and intrinsics give."""
    smooth = {"skin_texture": 0, "wrinkles": 0, "bag": 0, "hood": 0, "fold_depth": 0}
    params, textures = draw(4, glasses=0, fill=0.55, **smooth)
    batch = render(params, textures, Image(height=96, width=160, depth=True))
    for i in range(4):
        fx, fy, cx, cy = batch.intrinsics[i].tolist()
        y, x = np.mgrid[:96, :160] + 0.5
        depth = batch.depth[i, 0].double().numpy()
        point = np.stack(((x - cx) / fx, (y - cy) / fy, np.ones_like(x))) * depth
        along, down = np.gradient(point, axis=2), np.gradient(point, axis=1)
        normal = np.cross(down, along, axis=0)
        normal /= np.linalg.norm(normal, axis=0)
        bare = batch.masks[i, 0] < 0.999
        # Beside the eye: above and below it the lids' relief turns normals, not depth.
        near = torch.nn.functional.max_pool2d(bare.float()[None, None], (191, 25), 1, (95, 12))
        far = near[0, 0] == 0
        off = np.abs(normal - batch.normals[i].numpy()).max(0)[far.numpy()]
        assert off.size > 200
        assert np.quantile(off, 0.99) < 0.03


def test_depth_is_absent_unless_asked_for():
    plain = render(*draw(2), Image(height=16, width=24))
    deep = render(*draw(2), Image(height=16, width=24, depth=True))
    assert plain.depth is None and plain.normals is None
    assert deep.depth.shape == (2, 1, 16, 24)
    torch.testing.assert_close(deep.normals.norm(dim=1), torch.ones(2, 16, 24))
    assert torch.equal(deep.image, plain.image)

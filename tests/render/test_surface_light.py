"""Elementary functions, procedural noise and light against numpy and closed forms."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from oracles import fresnel
from scenes import LARGE, draw, stage

from gazegan.render import effects, elementary, environment, light, surface
from gazegan.render.bands import VISIBLE
from gazegan.render.shape import per_pixel
from gazegan.render.texture import detail, draws, lattice, noise, ring, value_noise

SEEDS = torch.arange(4, dtype=torch.int32)
X = torch.linspace(-8, 8, 999, dtype=torch.float64)


def test_elementary_functions_against_numpy():
    x = X.numpy()
    np.testing.assert_allclose(elementary.sigmoid(X), 1 / (1 + np.exp(-x)), rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(elementary.power(X.abs() + 0.1, 1.7), (abs(x) + 0.1) ** 1.7)
    np.testing.assert_allclose(elementary.exp2(X), 2**x)
    np.testing.assert_allclose(elementary.fourth(X), x**4)
    u, v = torch.cos(X), torch.sin(X)
    known = np.arctan2(v.numpy(), u.numpy()) / (2 * math.pi) + 0.5
    np.testing.assert_allclose(elementary.turn(u, v), known, atol=1e-9)


@pytest.mark.parametrize("name", ["sigmoid", "exp2", "fourth", "sqrt"])
def test_elementary_functions_have_the_same_bits_everywhere(name):
    x = torch.rand(1000, generator=torch.Generator()) * 6 - 2
    function = getattr(elementary, name)
    whole = function(x)
    assert torch.equal(torch.cat([function(part) for part in x.split(1)]), whole)
    assert torch.equal(torch.cat([function(part) for part in x.split(37)]), whole)


def test_powers_and_turns_have_the_same_bits_everywhere():
    a, b = (torch.rand(1000, generator=torch.Generator().manual_seed(s)) + 0.01 for s in (0, 1))
    for function in (elementary.power, lambda a, b: elementary.turn(a - 0.5, b - 0.5)):
        parts = [function(x, y) for x, y in zip(a.split(7), b.split(7), strict=True)]
        assert torch.equal(torch.cat(parts), function(a, b))


@pytest.mark.parametrize("value", [-1e30, -200.0, 0.0, 200.0, 1e30])
def test_sigmoid_and_sqrt_have_finite_gradients(value):
    for function in (elementary.sigmoid, elementary.sqrt):
        x = torch.tensor(value, requires_grad=True)
        (slope,) = torch.autograd.grad(function(x), x)
        assert math.isfinite(float(slope))


def test_lattices_depend_on_seed_and_name_alone():
    a = lattice(SEEDS, "a", 16, 16)
    assert a.shape == (4, 1, 16, 16) and a.min() >= -1 and a.max() <= 1
    assert abs(float(a.mean())) < 0.06 and float(a.std()) == pytest.approx(3**-0.5, rel=0.05)
    assert torch.equal(lattice(SEEDS[2:3], "a", 16, 16), a[2:3])
    assert not torch.equal(lattice(SEEDS, "b", 16, 16), a)


def test_value_noise_meets_its_lattice_and_stays_in_range():
    grid = lattice(SEEDS, "a", 7, 9)
    x = torch.arange(9.0).expand(4, 7, 9)
    y = torch.arange(7.0)[:, None].expand(4, 7, 9)
    torch.testing.assert_close(value_noise(grid, x, y), grid[:, 0], atol=1e-5, rtol=0)
    wide = 40 * torch.rand(4, 50, 50, generator=torch.Generator()) - 20
    found = value_noise(grid, wide, wide.flip(1))
    assert found.min() >= -1 and found.max() <= 1
    alone = value_noise(grid[1:2], wide[1:2], wide[1:2].flip(1))
    assert torch.equal(alone, found[1:2])


def test_value_noise_between_cells_against_a_loop():
    grid = lattice(SEEDS[:1], "a", 5, 5)
    for x, y in ((0.25, 3.5), (2.75, 1.1), (3.999, 0.001)):
        found = float(value_noise(grid, torch.full((1, 1, 1), x), torch.full((1, 1, 1), y)))
        known, (i, j) = 0.0, (int(x), int(y))
        for di, dj in ((0, 0), (0, 1), (1, 0), (1, 1)):
            fade = 1.0
            for part, d in ((x - i, di), (y - j, dj)):
                rise = part * part * (3 - 2 * part)
                fade *= rise if d else 1 - rise
            known += fade * float(grid[0, 0, j + dj, i + di])
        assert found == pytest.approx(known, abs=1e-4)


def test_rings_close():
    grid = ring(lattice(SEEDS, "fibres", 8, 90))
    y = torch.linspace(0, 7, 40).expand(4, 1, 40)
    start, end = value_noise(grid, 0 * y, y), value_noise(grid, 0 * y + 90, y)
    torch.testing.assert_close(start, end, atol=1e-5, rtol=0)
    near = value_noise(grid, 0 * y + 89.999, y)
    torch.testing.assert_close(start, near, atol=1e-4, rtol=0)


def test_noise_is_cut_out_by_seed_and_name_alone():
    x = 30 * torch.rand(4, 30, 50, generator=torch.Generator().manual_seed(0)) - 15
    found = noise(SEEDS, "a", x, x.flip(1))
    assert found.min() >= -1 and found.max() <= 1 and float(found.std()) > 0.3
    assert torch.equal(noise(SEEDS[1:2], "a", x[1:2], x[1:2].flip(1)), found[1:2])
    for other in (noise(SEEDS, "b", x, x.flip(1)), noise(SEEDS.flip(0), "a", x, x.flip(1))):
        assert not torch.equal(other, found)
    cells = x.round()
    torch.testing.assert_close(
        noise(SEEDS, "a", cells), draws(SEEDS, "a", cells), atol=2e-4, rtol=0
    )


def test_compiled_noise_is_the_plain_one(monkeypatch):
    x = 30 * torch.rand(4, 30, 50, generator=torch.Generator().manual_seed(0)) - 15
    rows = x.flip(1)
    closed = ring(lattice(SEEDS, "a", 8, 12))

    def all_kinds():
        inside = value_noise(closed, (x + 15) * 0.39, (rows + 15) * 0.23)
        return torch.stack((noise(SEEDS, "a", x, rows), noise(SEEDS, "a", x), inside))

    plain = all_kinds()
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    torch.testing.assert_close(all_kinds(), plain, atol=2e-4, rtol=0)


def test_detail_fades_what_pixels_cannot_show():
    footprint = torch.tensor([0.001, 0.2, 5.0])
    share = detail(2.5, footprint)
    assert share[0] > 0.999 and share[1] == pytest.approx(0.5) and share[2] < 1e-4


def test_schlick_is_near_the_exact_fresnel_reflectance():
    cosine = torch.linspace(0, 1, 91, dtype=torch.float64)
    found, exact = light.schlick(cosine, ((1.376 - 1) / 2.376) ** 2), fresnel(cosine, 1.376)
    assert found[0] == 1 and float(found[-1]) == pytest.approx(float(exact[-1]))
    assert np.abs(found.numpy() - exact).max() < 0.06
    assert pytest.approx(light.CORNEA, abs=1e-4) == ((1.376 - 1) / 2.376) ** 2


def test_mirrored_directions_keep_angle_and_plane():
    way = torch.nn.functional.normalize(torch.randn(3, 50, generator=torch.Generator()), dim=0)
    normal = torch.nn.functional.normalize(torch.randn(3, 50, generator=torch.Generator()), dim=0)
    out = light.mirror(way, normal)
    torch.testing.assert_close(out.norm(dim=0), torch.ones(50))
    torch.testing.assert_close((out * normal).sum(0), -(way * normal).sum(0))


@pytest.mark.parametrize("footprint", [0.0, 0.02, 0.2])
def test_a_lamps_reflection_keeps_its_energy_in_large_pixels(footprint):
    theta = torch.linspace(0, 1.2, 4001, dtype=torch.float64)
    reflected = torch.stack((theta.sin(), 0 * theta, -theta.cos()))
    lamp = torch.tensor([0.0, 0, -1], dtype=torch.float64)[:, None]
    radius = torch.tensor(3.0, dtype=torch.float64)
    bright = light.lobe(reflected, lamp, radius, torch.tensor(footprint, dtype=torch.float64))
    energy = torch.trapezoid(bright * 2 * math.pi * theta.sin(), theta)
    assert float(energy) == pytest.approx(math.pi * math.radians(3) ** 2, rel=0.01)
    assert bright.max() <= 1 and (bright.diff() <= 0).all()


def test_lamps_stand_where_azimuth_and_elevation_say():
    right, up, front = (
        environment.toward(torch.tensor(float(a)), torch.tensor(float(e)))
        for a, e in ((90, 0), (0, 90), (0, 0))
    )
    known = torch.tensor([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]])
    torch.testing.assert_close(torch.stack((right, up, front)), known, atol=1e-6, rtol=0)


def test_a_normal_of_a_plane_faces_the_viewer():
    y, x = torch.meshgrid(torch.arange(6.0), torch.arange(8.0), indexing="ij")
    point = torch.stack((x, y, 0.5 * x - 0.2 * y))[:, None]
    known = torch.tensor([0.5, -0.2, -1]) / math.sqrt(1 + 0.25 + 0.04)
    torch.testing.assert_close(
        light.normal_of(point), known[:, None, None, None].expand(3, 1, 6, 8)
    )


def test_normals_beside_a_tear_are_those_of_the_nearer_side():
    """Two planes, 20 mm apart where one hides the other."""
    y, x = torch.meshgrid(torch.arange(6.0), torch.arange(8.0), indexing="ij")
    behind = (x >= 4).float()
    depth = (0.5 - behind) * x - 0.2 * y + 20 * behind
    slopes = torch.stack((0.5 - behind, torch.full_like(x, -0.2), -torch.ones_like(x)))
    known = (slopes / slopes.norm(dim=0))[:, None]
    point = torch.stack((x, y, depth))[:, None]
    found = light.normal_of(point, torch.ones(1, 1, 1, dtype=torch.bool))
    torch.testing.assert_close(found, known)
    whole = light.normal_of(point, torch.zeros(1, 1, 1, dtype=torch.bool))
    assert torch.equal(whole, light.normal_of(point))
    assert (whole - known)[..., 3:5].abs().min(0).values.max() > 0.1


def test_more_melanin_is_darker_and_browner_skin():
    pale, dark = (
        surface.skin_tone(per_pixel(draw(1, skin_melanin=m)[0]), VISIBLE).flatten()
        for m in (0.2, 2)
    )
    assert (dark < pale).all() and dark[0] / dark[2] > pale[0] / pale[2] > 1


def test_darker_irises_have_more_pigment():
    tones = surface._iris_colour(VISIBLE, torch.linspace(0, 1, 50)[None, None])
    luma = (tones[:, 0, 0] * torch.tensor([0.299, 0.587, 0.114])[:, None]).sum(0)
    assert (luma.diff() < 0).all() and tones[2, 0, 0, 0] > tones[0, 0, 0, 0]


def test_lit_skin_lights_what_the_key_light_does_not_reach():
    params, textures = draw(2, light_ambient=0, light_key=1.5, skin_blood=0, camera_azimuth=0)
    params = replace(params, skin_melanin=torch.tensor([0.2, 2.0]))
    p = per_pixel(params)
    needs, view = effects.of_params(params), stage(params, LARGE)[2]
    lamp = light.lamps(p, VISIBLE, needs, view, textures)
    normal = torch.tensor([0.0, 0.0, -1.0]).view(3, 1, 1, 1).expand(3, 2, 1, 1)
    hidden = light.irradiance(p, lamp, normal, 0 * normal, light.Reach(torch.zeros(()), 0.0))
    tone = surface.skin_tone(p, VISIBLE)
    brightness = (tone * torch.tensor([0.3, 0.6, 0.1]).view(3, 1, 1, 1)).sum(0)
    torch.testing.assert_close(hidden, 0.2 * 1.5 * brightness)
    assert hidden[0] > 2 * hidden[1]

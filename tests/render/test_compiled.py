"""The compiled renderer beside the plain one, its steps beside torch, and no compiler at all."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch._inductor.exc import InvalidCxxCompiler
from torch.nn import functional as F

from gazegan import rng
from gazegan.render import compiled as compiled_module
from gazegan.render import effects, kept, lanes, native
from gazegan.render.compiled import compiled, recorded
from gazegan.render.kernel import write
from gazegan.render.native import Native
from gazegan.render.params import EyeParams
from gazegan.render.plan import Plan, stores
from gazegan.render.prior import Recipe, load_recipe, sample
from gazegan.render.scene import Rows, expose, plainly, render_indices
from gazegan.render.skips import asked, guards
from gazegan.render.steps import LANES, UntraceableError
from gazegan.render.tracing import Tracer

SMALL = Recipe.model_validate({"image": {"height": 24, "width": 40}})


def missing():
    raise InvalidCxxCompiler


def failing(words, **_):
    raise subprocess.CalledProcessError(1, words, stderr="cannot\nbe\n")


@pytest.mark.parametrize(
    ("name", "broken"), [("get_cpp_compiler", missing), ("_machine", lambda _: failing(["c++"]))]
)
def test_without_a_compiler_the_plain_renderer_answers(monkeypatch, name, broken):
    monkeypatch.setattr(native, name, broken)
    said = []
    assert compiled(SMALL, "cpu", said.append) is plainly
    assert len(said) == 1
    assert "--compile: no compiler" in said[0]
    assert "\n" not in said[0]


def test_what_steps_cannot_say_is_rendered_plainly(monkeypatch):
    def unsaid(*_):
        raise UntraceableError("no step for sort")

    monkeypatch.setattr(compiled_module, "recorded", unsaid)
    said = []
    assert compiled(SMALL, "cpu", said.append) is plainly
    assert said == [
        "--compile: this recipe cannot be compiled (no step for sort); rendering without it"
    ]


@pytest.mark.parametrize(
    ("version", "known"), [("gcc version 12", True), ("clang version 19", False)]
)
def test_only_gcc_is_given_words_that_clang_refuses(monkeypatch, tmp_path, version, known):
    given = []

    def compiling(words, **_):  # others may ask a compiler for its version meanwhile
        if "-o" in words:
            given.extend(words)
            Path(words[-1]).touch()

    monkeypatch.setattr(kept, "cache_dir", lambda: str(tmp_path))
    monkeypatch.setattr(native, "get_cpp_compiler", lambda: "c++")
    monkeypatch.setattr(native, "_machine", lambda _: version)
    monkeypatch.setattr(native.subprocess, "run", compiling)
    assert native.build("int nothing;").exists()
    assert ("-fsched-pressure" in given) is known and "-O3" in given


def test_a_wider_reach_of_the_blur_changes_no_bit():
    indices = torch.arange(5)

    def widely(p, s, i, n, rows):
        rows.put(expose(p, s, i, replace(n, blur_reach=9)))

    wide = render_indices(SMALL, 0, indices, renderer=widely)
    assert torch.equal(wide.image, render_indices(SMALL, 0, indices).image)


def test_images_of_other_sizes_have_the_same_kernel():
    texts = []
    for height, width in ((26, 42), (58, 62)):  # whose halves are no other number of the renderer
        recipe = Recipe.model_validate({"image": {"height": height, "width": width}})
        program, made = recorded(recipe, effects.kinds(effects.of_recipe(recipe))[0])
        texts.append(write(program, stores(made.values()), lanes.DIALECT).text)
    assert texts[0] == texts[1]


def test_masks_of_other_loops_are_read_only_where_they_are_kept():
    """Whole faces, which have planes of several sizes."""
    recipe = load_recipe("portrait", ("image.height=24", "image.width=72"))
    program, made = recorded(recipe, effects.kinds(effects.of_recipe(recipe))[0])
    outputs = stores(made.values())
    write(program, outputs, lanes.DIALECT, 2)
    plan = Plan(program, outputs)
    for loop in plan.order():
        own = {*plan.loops.get(loop, ()), *plan.reads(loop)}
        assert set(guards(plan, loop, asked(plan)[loop]).values()) <= own


def steps(params, seed):
    """A bit of everything that steps can say."""
    a, b, c = params.unbind(1)
    x = torch.linspace(-3, 3, 21)[None, None] * a[:, None, None]
    y = torch.linspace(-2, 2, 13)[None, :, None] * b[:, None, None]
    plane = (x * y).addcmul_(x, x, value=0.5).clamp_(-4, 5)
    wide = F.pad(plane, (2, 2, 2, 2), mode="replicate")
    sides = torch.cat((wide[..., 1:2, :], wide[..., 3:, :]), -2)[:, :13, 1:22]
    folded = F.pad(plane[None], (1, 1, 1, 1), mode="reflect")[0, :, 2:, 2:]
    waves = torch.stack((plane.sin(), plane.cos(), (plane.abs() + 0.1).log(), x.atan() + y), 1)
    seen = torch.where(plane > c[:, None, None], waves.mean(1), sides.exp() / (1 + y * y))
    words = rng.hash32(torch.arange(13 * 21)[None] + seed[:, None]).view(-1, 13, 21)
    hidden = (folded.floor() - seen).abs().sqrt() * (x - 1).clamp(min=0) + 1e-3 * rng.unit(words)
    row = (plane.floor().to(torch.int32) + 7).clamp(0, 63)
    found = looked_up((torch.arange(90) * a.square()).sin(), row) if len(params) == 1 else None
    return torch.stack((seen, hidden, torch.lerp(seen, hidden, b[:, None, None])), 1), found


def looked_up(table, at):
    """Numbers side by side, three in a row, and some rows further."""
    upper, last = table[at] - 2 * table[at + 1], table[at + 2]
    below = at + 20
    return torch.stack((upper * last, table[below] * table[below + 1] + table[at + 5]), 1)


def test_steps_do_what_torch_does():
    """Float32 polynomials against torch's functions, moved numbers to the last bit of these."""
    params = torch.rand(5, 3, generator=rng.stream(0, "steps")) + 0.5
    seed = torch.arange(5, dtype=torch.int32)
    with Tracer() as tracer:
        first = tracer.follow("params", params[:1].clone()), tracer.follow("seed", seed[:1].clone())
        made = [tracer.value(part) for part in steps(*first)]
    kernel = write(tracer.program, stores(made), lanes.DIALECT)
    run = Native(kernel, tracer.program.planes)
    assert kernel.text.count("look_up_two(m") == 2
    planes, found = torch.empty(5, 3, 13, 21), torch.empty(5, 2, 13, 21)
    run(params, seed, (planes, found), torch.arange(5))
    torch.testing.assert_close(planes, steps(params, seed)[0], atol=2e-6, rtol=2e-6)
    for k in range(5):
        torch.testing.assert_close(found[k], steps(params[k : k + 1], seed[k : k + 1])[1][0])


@pytest.mark.skipif(LANES == 8, reason="eight is what this processor works on")
def test_steps_do_so_on_processors_that_work_on_eight_numbers():
    case = f"{__file__}::{test_steps_do_what_torch_does.__name__}"
    narrow = {**os.environ, "ATEN_CPU_CAPABILITY": "avx2"}
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", case]
    done = subprocess.run(words, env=narrow, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    asked = [sys.executable, "-c", "from gazegan.render.steps import LANES; print(LANES)"]
    assert int(subprocess.check_output(asked, env=narrow)) == 8


@pytest.mark.parametrize(("waves", "kept"), [(1, 1), (9, 2)])
def test_a_plane_is_kept_for_a_later_loop_only_where_it_costs_much(waves, kept):
    def smoothed(params):
        across, down = torch.linspace(-3, 3, 21), torch.linspace(-2, 2, 13)
        plane = across * down[:, None] * params[:, :, None]
        for _ in range(waves):
            plane = plane.sin()
        below = F.pad(plane + across, (0, 0, 1, 1), mode="replicate")[:, 2:]
        return below * plane

    params = torch.rand(1, 1, generator=rng.stream(0, "kept")) + 0.5
    with Tracer() as tracer:
        made = [tracer.value(smoothed(tracer.follow("params", params)))]
    plan = Plan(tracer.program, stores(made))
    assert len(plan.kept) == kept
    run = Native(write(tracer.program, stores(made), lanes.DIALECT), tracer.program.planes)
    found = torch.empty(1, 13, 21)
    run(params, torch.zeros(1), (found,), torch.zeros(1))
    torch.testing.assert_close(found, smoothed(params), atol=2e-6, rtol=2e-6)


@pytest.mark.parametrize("moved", [False, True])
def test_a_kept_plane_is_skipped_where_no_loop_wants_it(moved):
    """Unless it is moved, so that it counts beside the places at which a mask is not zero."""
    across, down = torch.linspace(-3, 3, 40), torch.linspace(-2, 2, 13)

    def shown(params):
        where = (across + down[:, None] * params[:, :, None] - 1.5).clamp(min=0)
        plane = across * down[:, None] + params[:, :, None]
        for _ in range(20):
            plane = plane.sin()
        wide = F.pad(plane * where + (plane if moved else 0), (0, 0, 1, 1), mode="replicate")
        return wide[:, 2:] + (plane + 2) * where, plane, where

    params = torch.rand(1, 1, generator=rng.stream(0, "skipped")) + 0.5
    with Tracer() as tracer:
        out, plane, where = shown(tracer.follow("params", params))
        made, kept, mask = ([tracer.value(part)] for part in (out, plane, where))
    plan = Plan(tracer.program, stores(made))
    first = next(loop for loop in plan.order() if int(kept[0].at[0]) in plan.loops.get(loop, ()))
    chosen = guards(plan, first, asked(plan)[first])
    assert int(kept[0].at[0]) in plan.kept
    assert chosen.get(int(kept[0].at[0])) == (None if moved else int(mask[0].at[0]))
    run = Native(write(tracer.program, stores(made), lanes.DIALECT), tracer.program.planes)
    found = torch.empty(1, 13, 40)
    run(params, torch.zeros(1), (found,), torch.zeros(1))
    torch.testing.assert_close(found, shown(params)[0], atol=4e-6, rtol=4e-6)


def test_functions_hold_far_from_one():
    """What ends a step: exponentials that vanish, numbers that all but overflow a division."""

    def ends(params):
        x = torch.linspace(-30, 30, 64)[None, None] * params[:, :, None]
        huge = (x.abs() + 1e-3) ** 4
        parts = ((-x * x).exp(), (-x.abs() - 60).exp(), 1 / huge, x / huge.sqrt(), (huge / 9).log())
        return torch.stack((*parts, 1 / (1e-12 * huge), (1e12 * huge).sqrt()), 1)

    params = torch.tensor([[1.0], [0.01], [-40.0]])
    with Tracer() as tracer:
        made = [tracer.value(ends(tracer.follow("params", params[:1].clone())))]
    run = Native(write(tracer.program, stores(made), lanes.DIALECT), tracer.program.planes)
    found = torch.empty(3, 7, 1, 64)
    run(params, torch.zeros(3), (found,), torch.tensor([0, 1, 2]))
    torch.testing.assert_close(found, ends(params), atol=1e-30, rtol=2e-5)


def test_rows_are_put_where_they_belong():
    with Tracer() as tracer:
        params = torch.ones(1, 2)
        made = [tracer.value(tracer.follow("params", params)[:, :1, None] * torch.ones(4, 20))]
    run = Native(write(tracer.program, stores(made), lanes.DIALECT), tracer.program.planes)
    out, rows = torch.full((50, 4, 20), -1.0), torch.randperm(50, generator=rng.stream(0, "rows"))
    values = torch.stack((torch.arange(40.0), torch.zeros(40)), 1)
    run(values, torch.zeros(40), (out,), rows[:40])
    assert torch.equal(out[rows[:40], 0, 0], values[:, 0]) and (out[rows[40:]] == -1).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", [None, "studio"])
def test_compiled_eyes_are_those_of_the_plain_renderer(name):
    """Within 2 grey levels but for 1 pixel in 10,000, alone or in any batch."""
    small = load_recipe(name, ("image.height=24", "image.width=40")) if name else SMALL
    said = []
    fast = compiled(small, "cpu", said.append)
    assert not said
    indices = torch.arange(7, 107)
    plain = render_indices(small, 3, indices)
    quick = render_indices(small, 3, indices, renderer=fast)
    off = 255 * (plain.image - quick.image).abs()
    assert float((off > 2).float().mean()) <= 1e-4
    assert torch.equal(quick.params, plain.params)
    assert torch.equal(quick.id, plain.id)
    assert torch.equal(quick.gaze, plain.gaze)
    # A thick lash ends where its neighbour's place begins, on one side of a pixel or the other.
    assert float(((quick.masks - plain.masks).abs() > 2e-3).float().mean()) <= 1e-5
    assert torch.equal(quick.landmarks, plain.landmarks)
    alone = render_indices(small, 3, indices[40:41], renderer=fast)
    assert torch.equal(alone.image, quick.image[40:41])


@pytest.mark.slow
def test_a_compiled_eye_in_profile_wears_glasses_too():
    """The passes that few eyes need, which a compiled render takes eye by eye."""
    eyes = {"glasses": {"choice": [0, 1]}, "head_yaw": {"choice": [0, 45, -45]}}
    recipe = Recipe.model_validate({"image": {"height": 24, "width": 40}, "eyes": eyes})
    needs = effects.of_recipe(recipe)
    fast = compiled(recipe)
    params, seed = sample(recipe, 1, torch.arange(32)), torch.arange(32, dtype=torch.int32)
    flat = EyeParams.from_flat(params.flat())
    quick, plain = (Rows.new(recipe.image, 32) for _ in range(2))
    fast(flat, seed, recipe.image, needs, quick)
    plainly(flat, seed, recipe.image, needs, plain)
    off = 255 * (quick.room.image - plain.room.image)
    assert float((off.abs() > 2).float().mean()) <= 1e-4


@pytest.mark.slow
def test_what_comes_after_the_lens_is_compiled_or_done_after_it():
    """Motion blur, a Bayer mosaic, depth and normals; JPEG and equalisation follow in torch."""
    image = {"height": 24, "width": 40, "depth": True, "equalised": True}
    eyes = {"jpeg": [40, 90], "motion": [0, 3]}
    recipe = Recipe.model_validate({"image": image, "eyes": eyes})
    said = []
    fast, indices = compiled(recipe, "cpu", said.append), torch.arange(64)
    assert not said
    plain = render_indices(recipe, 1, indices)
    quick = render_indices(recipe, 1, indices, renderer=fast)
    # A grey level off may be many off where a histogram is evened out.
    assert float((255 * (plain.image - quick.image).abs() > 8).float().mean()) <= 1e-3
    torch.testing.assert_close(quick.depth, plain.depth, atol=0.01, rtol=1e-5)
    torch.testing.assert_close(quick.normals, plain.normals, atol=2e-2, rtol=0)

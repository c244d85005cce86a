"""The compiled renderer beside the plain one, and what happens where no compiler is."""

from dataclasses import replace

import pytest
import torch

from gazegan.render import compiled as module
from gazegan.render.compiled import compiled
from gazegan.render.prior import Recipe
from gazegan.render.scene import expose, render_indices

SMALL = Recipe.model_validate({"image": {"height": 24, "width": 40}})


def test_without_a_compiler_the_plain_renderer_answers(monkeypatch):
    def missing():
        raise module.InvalidCxxCompiler

    monkeypatch.setattr(module, "get_cpp_compiler", missing)
    said = []
    assert compiled(SMALL, "cpu", said.append) is expose
    assert len(said) == 1
    assert "--compile: no compiler" in said[0]
    assert "\n" not in said[0]


def test_a_wider_reach_of_the_blur_changes_no_bit():
    indices = torch.arange(5)
    wide = render_indices(
        SMALL, 0, indices, renderer=lambda p, s, i, n: expose(p, s, i, replace(n, blur_reach=9))
    )
    assert torch.equal(wide.image, render_indices(SMALL, 0, indices).image)


@pytest.mark.slow
def test_compiled_eyes_are_those_of_the_plain_renderer():
    """Within 2 grey levels but for 1 pixel in 10,000, for full chunks and a last partial one."""
    said = []
    fast = compiled(SMALL, "cpu", said.append)
    assert not said
    indices = torch.arange(7, 107)
    plain = render_indices(SMALL, 3, indices)
    quick = render_indices(SMALL, 3, indices, renderer=fast)
    off = 255 * (plain.image - quick.image).abs()
    assert float((off > 2).float().mean()) <= 1e-4
    assert torch.equal(quick.params, plain.params)
    assert torch.equal(quick.id, plain.id)
    assert torch.equal(quick.gaze, plain.gaze)
    torch.testing.assert_close(quick.masks, plain.masks, atol=2e-3, rtol=0)
    torch.testing.assert_close(quick.landmarks, plain.landmarks, atol=2e-3, rtol=0)

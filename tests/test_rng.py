"""Draws are a pure function of seed, names and index, and as even as scipy can tell."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gazegan import rng

COUNT = 20_000


def lowbias32(x: int) -> int:
    """The published unsigned form, on Python's integers."""
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x ^= x >> shift
        x = x * factor % 2**32
    return x ^ (x >> 16)


def test_hash_matches_the_unsigned_form():
    words = [
        0,
        1,
        2,
        2**31 - 1,
        2**31,
        2**32 - 1,
        *np.random.default_rng(0).integers(2**32, size=99),
    ]
    signed = torch.tensor(np.array(words, dtype=np.uint32).view(np.int32))
    ours = rng.hash32(signed).numpy().view(np.uint32)
    assert ours.tolist() == [lowbias32(int(word)) for word in words]


def test_hash_never_collides():
    words = torch.arange(2**18, dtype=torch.int32) * 16411
    assert len(rng.hash32(words).unique()) == len(words)


@pytest.mark.parametrize("names", [("iris",), ("iris", 1), ("skin", "noise", 3)])
@pytest.mark.parametrize("seed", [0, 7])
def test_uniform_is_uniform(seed, names):
    draws = rng.uniform(torch.arange(COUNT), seed, *names).numpy()
    assert stats.kstest(draws, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(draws[:-1], draws[1:])[0, 1]) < 4 / COUNT**0.5


def test_seeds_and_names_give_unrelated_draws():
    index = torch.arange(COUNT)
    columns = [
        rng.uniform(index, seed, name).numpy() for seed in (0, 1, 2) for name in ("a", "b", 0)
    ]
    correlations = np.corrcoef(columns)[np.triu_indices(len(columns), 1)]
    assert np.abs(correlations).max() < 5 / COUNT**0.5


@given(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=20), st.integers(0, 2**40))
@settings(deadline=None, max_examples=30)
def test_draws_are_the_same_alone_and_in_a_batch(indices, seed):
    together = rng.uniform(torch.tensor(indices), seed, "x")
    alone = torch.cat([rng.uniform(torch.tensor([i]), seed, "x") for i in indices])
    assert torch.equal(together, alone)
    assert torch.equal(together.flip(0), rng.uniform(torch.tensor(indices[::-1]), seed, "x"))


def test_shape_of_the_index_is_kept():
    index = torch.arange(12).reshape(3, 4)
    assert torch.equal(rng.uniform(index, 1), rng.uniform(index.flatten(), 1).reshape(3, 4))


def test_unit_stays_inside_the_open_interval():
    extremes = torch.tensor([0, 1, -1, 2**31 - 1, -(2**31)], dtype=torch.int32)
    values = rng.unit(extremes)
    assert bool((values > 0).all()) and bool((values < 1).all())


def test_names_do_not_run_together():
    assert rng.mix(1, "ab", "c") != rng.mix(1, "a", "bc") != rng.mix(11, "bc")


@given(st.integers(), st.text())
@settings(deadline=None, max_examples=50)
def test_mixture_fits_a_generator(seed, name):
    assert 0 <= rng.mix(seed, name) < 2**63
    rng.stream(seed, name)


def test_mixture_is_the_same_in_another_process():
    code = "from gazegan.rng import mix; import sys; sys.stdout.write(str(mix(3, 'refine', 12)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert int(done.stdout) == rng.mix(3, "refine", 12) == 514470504933412766


def test_streams_repeat_and_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    first = torch.rand(5, generator=rng.stream(4, "noise"))
    assert torch.equal(first, torch.rand(5, generator=rng.stream(4, "noise")))
    assert not torch.equal(first, torch.rand(5, generator=rng.stream(4, "other")))
    assert torch.equal(before, torch.get_rng_state())


def test_draws_of_many_names_are_those_of_each():
    index = torch.arange(50)
    together = rng.uniforms(index, 7, [("eye", "a"), ("eye", "b"), ("c",)])
    alone = [rng.uniform(index, 7, *names) for names in (("eye", "a"), ("eye", "b"), ("c",))]
    assert torch.equal(together, torch.stack(alone))

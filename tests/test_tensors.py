"""Named generators, and draws."""

import torch

from tutelage.tensors import draw, generator


def test_generators_differ_by_seed_and_by_name():
    """X-3."""
    paths = [
        (0,),
        (1,),
        (0, "data"),
        (0, "data", 1),
        (0, "data", 2),
        (0, "data", "1"),
        (0, "data1"),
    ]
    draws = {torch.rand((), generator=generator(*path)).item() for path in paths}
    assert len(draws) == len(paths)


def test_generators_are_the_same_everywhere():
    """X-3: the seed is the first eight bytes of a digest, so no Python version changes it."""
    assert generator(3, "data", 7).initial_seed() == generator(3, "data", 7).initial_seed()
    assert generator(3, "data", 7).initial_seed() % 2**64 == 0xE5DCC8979A09D67C
    assert generator(3).device.type == "cpu"


def test_generators_leave_the_global_one_alone():
    """X-3."""
    before = torch.get_rng_state()
    torch.rand(3, generator=generator(0, "data"))
    assert torch.equal(torch.get_rng_state(), before)


def test_draws_are_as_frequent_as_their_weights():
    """IRL-2: evenly spaced numbers draw each token in proportion, in a vocabulary of two blocks."""
    weights = torch.zeros(1, 200)
    weights[0, [3, 127, 128, 199]] = torch.tensor([1.0, 2.0, 4.0, 1.0])
    drawn = draw(weights.expand(800, -1), (torch.arange(800) + 0.5) / 800)
    assert drawn.bincount(minlength=200)[[3, 127, 128, 199]].tolist() == [100, 200, 400, 100]

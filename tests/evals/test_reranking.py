"""Re-ranking by hand (IRL-3)."""

import numpy as np
import pytest

from tutelage.evals.reranking import ranks, reranked


def test_the_first_of_each_prompt_by_hand():
    """IRL-3: two prompts of three and two responses; one alone is left out."""
    groups = [0, 0, 1, 0, 1, 2]
    metric = np.array([1.0, 0.0, 3.0, 5.0, 4.0, 100.0])
    reward = np.array([9.0, 1.0, 2.0, 2.0, 2.0, 7.0])  # takes 1 of prompt 0; of 1, a tie: 3.5
    found = {row["by"]: row for row in reranked({"reward": reward}, metric, groups, seed=0)}
    assert list(found) == ["random", "reward", "best"]
    assert found["random"]["mean"] == pytest.approx((2 + 3.5) / 2)
    assert found["reward"]["mean"] == pytest.approx((1 + 3.5) / 2)
    assert found["reward"]["gain"] == pytest.approx((1 + 3.5 - 2 - 3.5) / 2)
    assert found["best"]["mean"] == pytest.approx((5 + 4) / 2)
    assert found["best"]["low"] is None


def test_with_enough_prompts_the_gain_has_an_interval():
    """IRL-3."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(50), 4)
    metric = rng.normal(size=200)
    found = {r["by"]: r for r in reranked({"itself": metric}, metric, groups.tolist(), seed=0)}
    assert found["itself"]["low"] > 0
    assert found["itself"]["low"] < found["itself"]["gain"] < found["itself"]["high"]
    assert found["itself"]["mean"] == found["best"]["mean"]
    assert found["random"]["low"] == found["random"]["high"] == 0


def test_one_response_a_prompt_can_not_be_ranked():
    """IRL-3."""
    assert reranked({"reward": np.ones(3)}, np.ones(3), [0, 1, 2], seed=0) == []


def test_ranks_are_counted_in_each_prompt_and_shared():
    """IRL-3."""
    values = np.array([3.0, 1.0, 3.0, 2.0, 0.0])
    assert ranks(values, [0, 0, 0, 1, 1]) == [1, 3, 1, 1, 2]

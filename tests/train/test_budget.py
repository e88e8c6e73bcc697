"""Budgets stop a run at whichever limit is reached first, and say which."""

import pytest
from pydantic import ValidationError

from tutelage.run_folder import Ledger
from tutelage.train.budget import Budget

LEDGER = Ledger(
    read_words=10**9,
    demonstrated_words=10**9,
    prompt_words=10,
    prompt_tokens=20,
    judged_words=3,
    judged_tokens=5,
    generated_words=100,
    generated_tokens=200,
)


@pytest.mark.parametrize(
    ("name", "used"),
    [
        ("input_words", 13),
        ("input_tokens", 25),
        ("prompt_words", 10),
        ("prompt_tokens", 20),
        ("judged_words", 3),
        ("judged_tokens", 5),
        ("generated_words", 100),
        ("generated_tokens", 200),
    ],
)
def test_each_budget_is_spent_at_its_limit_and_not_before(name: str, used: int) -> None:
    """PPO-3."""
    assert Budget.model_validate({name: used + 1}).spent(LEDGER) is None
    option = f"--budget.{name.replace('_', '-')}"
    for limit in (used, used - 1):
        said = f"the budget {option} {limit} is spent ({used} used)"
        assert Budget.model_validate({name: limit}).spent(LEDGER) == said


def test_of_several_budgets_the_one_exceeded_most_is_named() -> None:
    """PPO-3: 200 of 190 tokens is less over than 13 of 10 words, which was reached before."""
    budget = Budget(generated_tokens=190, input_words=10, judged_words=1000)
    assert "--budget.input-words 10 is" in (budget.spent(LEDGER) or "")


def test_without_limits_nothing_is_ever_spent() -> None:
    """PPO-3."""
    assert Budget().spent(LEDGER) is None


def test_a_budget_of_nothing_is_refused() -> None:
    """X-1."""
    with pytest.raises(ValidationError, match="greater than 0"):
        Budget(generated_words=0)

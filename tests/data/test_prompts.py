"""Prompts as a run uses them: in order, with their columns and places, and not too long."""

from pathlib import Path

import pytest

from data.tokenizers_of_prompts import byte_level
from tutelage.config import UserError
from tutelage.data.prompt_builders import FixedPrompt, TextPrompts
from tutelage.data.prompts import Prompt, Prompts, columns_of, joined, refuse_long_prompts


@pytest.fixture
def prompts(tmp_path: Path) -> Prompts:
    """Prompts of 3, 5, 9 and 6 tokens."""
    file = tmp_path / "q.txt"
    file.write_text("abc\nabcde\n\nabcdefghi\nabcdef\n")
    return TextPrompts(path=file).rows(byte_level(), cache_dir=tmp_path)


def test_prompts_are_a_sequence(prompts: Prompts) -> None:
    """PPO-1."""
    texts = ["abc", "abcde", "abcdefghi", "abcdef"]
    assert [prompt.text for prompt in prompts] == texts
    assert prompts[-1].text == "abcdef"
    assert [prompt.text for prompt in prompts[1:3]] == texts[1:3]
    assert (prompts.num_tokens, prompts.num_words, len(prompts)) == (23, 4, 4)
    with pytest.raises(IndexError):
        prompts[4]


def test_joined_prompts_still_know_where_they_came_from(prompts: Prompts) -> None:
    """PPO-1."""
    fixed = FixedPrompt(prompt="go", num=2).rows(byte_level())
    both = joined([prompts, fixed, prompts])
    assert [prompt.text for prompt in both[3:6]] == ["abcdef", "go", "go"]
    assert both.where(2).endswith("q.txt, line 4")
    assert both.where(5) == "the fixed prompt, copy 2"
    assert both.where(9).endswith("q.txt, line 5")


def test_columns_of_a_batch_have_none_where_a_prompt_has_none() -> None:
    """PPO-1: prompts of several sources may share a batch."""
    batch = [Prompt("a", [1], {"answer": 4}), Prompt("b", [2], {}), Prompt("c", [3], {"id": "x"})]
    assert columns_of(batch) == {"answer": [4, None, None], "id": [None, None, "x"]}
    assert columns_of([Prompt("a", [1], {})]) == {}


@pytest.mark.parametrize(
    ("context", "max_tokens", "message"),
    [
        (13, 4, None),  # 9 + 4
        (12, 4, r"q.txt, line 4 has 9 tokens; .* 4 .* 12 tokens .* reads\. .* at most 8\)"),
        (8, 4, r"q.txt, line 2 has 5 tokens; .* reads; so are 2 others\. .* at most 4\)"),
        (10, 10, r"q.txt, line 1 has 3 .* responses of at most 1 tokens"),
        (8, 10, r"q.txt, line 1 has 3 .* Use a student that reads more"),
    ],
)
def test_a_prompt_without_room_for_its_response_is_refused(
    prompts: Prompts, context: int, max_tokens: int, message: str | None
) -> None:
    """X-1: with the sample that caused it, and what to do."""
    if message is None:
        refuse_long_prompts(prompts, context, max_tokens)
        return
    with pytest.raises(UserError, match=message):
        refuse_long_prompts(prompts, context, max_tokens)

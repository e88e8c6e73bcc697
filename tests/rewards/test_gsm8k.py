import json
from decimal import Decimal

import pytest

from tutelage.rewards.gsm8k import Gsm8k, answer_number
from tutelage.rewards.protocol import RewardError


def score(response, answer):
    return Gsm8k().build()(["Q"], [response], answer=[answer]).scores.item()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("#### 18", "18"),
        ("so it is 18.\n#### 18\n", "18"),
        ("####18", "18"),
        ("#### 1,080", "1080"),
        ("#### 1,234,567.50", "1234567.5"),
        ("#### -5", "-5"),
        ("#### - 5", "-5"),
        ("#### −5", "-5"),
        ("#### +5", "5"),
        ("#### $5", "5"),
        ("#### -$5", "-5"),
        ("#### $-5", "-5"),
        ("#### $ 1,000.", "1000"),
        ("#### 42.", "42"),
        ("#### 42, as said", "42"),
        ("#### 0.1", "0.1"),
        ("#### .5", "0.5"),
        ("#### 007", "7"),
        ("#### 50%", "50"),
        ("#### 5 eggs", "5"),
        ("##### 5", "5"),
        ("#### 5\nQuestion: …\n#### 6", "5"),  # the first: what follows answers another question
        ("#### what?\n#### 6", "6"),
        ("x" * 5000 + "#### 6" + "x" * 5000, "6"),  # anywhere
        ("", None),
        ("18", None),
        ("### 18", None),
        ("####", None),
        ("#### eighteen", None),
        ("####\n18", None),
        ("#### ,", None),
        ("#### 1/2", None),
        ("#### 12/5", None),
        ("#### 1.000.000", None),
        ("#### 10:30", None),
        ("#### 1e3", None),
        ("#### ٣", None),
    ],
)
def test_the_number_after_the_mark_is_read(text, number):
    """PAU-6: the pitfalls of others' readers."""
    assert answer_number(text) == (None if number is None else Decimal(number))


@pytest.mark.parametrize(
    ("response", "answer", "expected"),
    [
        ("16 − 3 = 13\n#### 13", "… <<16-3=13>>\n#### 13", 1),
        ("#### 13.0", "#### 13", 1),
        ("#### 1080", "#### 1,080", 1),
        ("#### 1,080", 1080, 1),
        ("#### 0.1", 0.1, 1),
        ("#### -13", "#### 13", 0),
        ("#### 130", "#### 13", 0),
        ("#### 9007199254740993", "#### 9007199254740992", 0),  # equal as floats
        ("13", "#### 13", -1),
        ("", "#### 13", -1),
    ],
)
def test_right_wrong_and_no_answer(response, answer, expected):
    """PAU-6: 1, 0, −1."""
    assert score(response, answer) == expected


def test_real_solutions_are_right_and_others_are_wrong(shared_data):
    """PAU-6: every problem of GSM8K that is here."""
    for file in sorted((shared_data / "gsm8k").glob("*.jsonl")):
        with file.open(encoding="utf-8") as lines:
            answers = [json.loads(line)["answer"] for line in lines]
        reward = Gsm8k().build()
        prompts = [""] * len(answers)
        assert set(reward(prompts, answers, answer=answers).scores.tolist()) == {1}
        bare = [answer.partition("#### ")[2] for answer in answers]
        assert set(reward(prompts, answers, answer=bare).scores.tolist()) == {1}
        wrong = [f"{answer}1" for answer in answers]
        assert set(reward(prompts, wrong, answer=answers).scores.tolist()) == {0}
        none = [answer.partition("####")[0] for answer in answers]
        assert set(reward(prompts, none, answer=answers).scores.tolist()) == {-1}


def test_the_column_is_needed():
    """PAU-6: one clear sentence."""
    assert Gsm8k().columns() == ("answer",)
    with pytest.raises(RewardError, match=r"no column answer\. They have question\."):
        Gsm8k().build()(["Q"], ["#### 1"], question=["Q"])


@pytest.mark.parametrize("answer", ["eighteen", "", "#### ", None, "1/2", "18 eggs"])
def test_an_answer_without_a_number_is_refused(answer):
    """PAU-6: with the sample that caused it."""
    with pytest.raises(RewardError, match=r"finds no number in .* for sample 2 of 2 \(prompt 'R'"):
        Gsm8k().build()(["Q", "R"], ["#### 1"] * 2, answer=["#### 1", answer])


def test_an_empty_batch_has_no_scores():
    """PAU-6."""
    assert Gsm8k().build()([], [], answer=[]).scores.shape == (0,)

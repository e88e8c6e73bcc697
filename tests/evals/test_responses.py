"""Responses to held-out prompts: right answers, likeness, diversity (IRL-4)."""

import pytest

from tutelage.data.completions import EncodedExample, Example
from tutelage.evals.responses import Response, is_right, mean_self_bleu, measured
from tutelage.evals.similarity import self_bleu


def response(text: str, *, number: int = 0, greedy: bool = True, answer="4", ended=True):
    example = Example("What is 2 + 2?", " 2 + 2 = 4 #### 4", answer, "line 1")
    encoded = EncodedExample(example, [1], [2, 3], False)
    return Response(encoded, number, text, len(text.split()), ended, greedy)


@pytest.mark.parametrize(
    ("text", "answer", "how", "right"),
    [
        (" so #### 4", "4", "gsm8k", True),
        (" so #### 4.0", "1 + 3\n#### 4", "gsm8k", True),
        (" so #### 5", "4", "gsm8k", False),
        (" so 4", "4", "gsm8k", False),
        (" four ", "four", "exact", True),
        (" Four", "four", "exact", False),
        (" #### 4", None, "gsm8k", None),
        (" #### 4", "4", "none", None),
    ],
)
def test_what_is_right_depends_on_how_answers_are_told(text, answer, how, right) -> None:
    assert is_right(text, answer, how) is right


def test_greedy_and_sampled_responses_are_counted_apart() -> None:
    """Two of two greedy ones are right, one of four sampled; one greedy one did not end."""
    found = measured(
        [
            response(" #### 4"),
            response(" 2 + 2 = 4 #### 4", number=1, ended=False),
            response(" #### 4", greedy=False),
            response(" #### 5", greedy=False),
            response(" nothing", number=1, greedy=False),
            response(" none", number=1, greedy=False),
        ],
        "gsm8k",
    )
    measures = found["measures"]
    assert measures["accuracy"] == 1.0
    assert measures["sampled_accuracy"] == 0.25
    assert measures["no_answer"] == 0.0
    assert measures["ended"] == 0.5
    assert measures["response_tokens"] == (2 + 7) / 2
    assert found["counts"] == {"accuracy": 2, "no_answer": 2, "ended": 2}
    assert 0.5 < measures["rouge_l"] < 1
    assert [item["decoding"] for item in found["items"]].count("sampled") == 4
    assert found["items"][0]["is_right"] is True


def test_diversity_is_within_a_prompt() -> None:
    """Responses that are alike within a prompt and differ between prompts have Self-BLEU 1."""
    texts = ["one two three four five", "six seven eight nine ten"]
    alike = [response(texts[n], number=n, greedy=False) for n in (0, 0, 1, 1)]
    assert mean_self_bleu(alike) == pytest.approx(1)
    mixed = [response(text, number=n, greedy=False) for n in (0, 1) for text in texts]
    assert self_bleu(texts) < 0.2
    assert mean_self_bleu(mixed) == pytest.approx(self_bleu(texts))
    assert mean_self_bleu([response("alone", greedy=False)]) is None


def test_without_responses_there_is_nothing_and_without_answers_no_accuracy() -> None:
    assert measured([], "gsm8k") == {}
    assert "accuracy" not in measured([response(" a", answer=None)], "none")["measures"]

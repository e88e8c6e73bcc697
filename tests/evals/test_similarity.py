"""ROUGE and Self-BLEU: by hand, and on files of samples (EV-7)."""

import json
import math
from pathlib import Path

import pytest

from tutelage.config import UserError
from tutelage.evals.similarity import Similarity, read_samples, rouge, self_bleu


def write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("response", "reference", "scores"),
    [
        # 2 of 3 words shared: P = R = 2/3. 1 of 2 pairs. Longest common subsequence: the cat.
        ("the cat sat", "the cat ran", (2 / 3, 1 / 2, 2 / 3)),
        # 3 of 3 words shared, no pair in this order; the longest subsequence has one word.
        ("ran cat the", "the cat ran", (1, 0, 1 / 3)),
        # P = 2/4, R = 2/2: F = 2/3. Pairs: 0 of 3 and of 1. Subsequence 2: F = 2/3.
        ("the big old cat", "the cat", (2 / 3, 0, 2 / 3)),
        ("The CAT!", "the cat", (1, 1, 1)),
        ("", "the cat", (0, 0, 0)),
    ],
)
def test_rouge_by_hand(response, reference, scores):
    """EV-7."""
    found = rouge([(response, reference)])
    assert found == dict(
        zip(("rouge_1", "rouge_2", "rouge_l"), map(pytest.approx, scores), strict=True)
    )


def test_rouge_is_the_mean_over_pairs():
    """EV-7: response and reference are not confused, pairs weigh alike."""
    found = rouge([("a b", "a b"), ("a", "c d e")])
    assert found["rouge_1"] == pytest.approx(0.5)


def test_self_bleu_by_hand():
    """EV-7: equal texts have 1; texts without a word in common nearly 0."""
    assert self_bleu(["one two three four five"] * 3) == pytest.approx(1)
    assert self_bleu(["One, two three four", "one , two three FOUR"]) == pytest.approx(1)
    # Precisions of the first: 4/5, 3/4, 2/3, 1/2; of the second, the same; no brevity penalty.
    mean = math.exp(sum(math.log(p) for p in (4 / 5, 3 / 4, 2 / 3, 1 / 2)) / 4)
    assert self_bleu(["a b c d e", "a b c d f"]) == pytest.approx(mean)
    # All 4 words and 1 of 3 pairs match; of 2 triples and 1 quadruple, 0.1 instead of none.
    smoothed = math.exp(sum(math.log(p) for p in (1, 1 / 3, 0.1 / 2, 0.1)) / 4)
    assert self_bleu(["a b c d", "a b d c"]) == pytest.approx(smoothed)
    assert self_bleu(["", "a b"]) == 0


def test_each_response_is_compared_with_all_others():
    """EV-7: one other text that is the same is enough; the own one doesn't count."""
    same, other = "one two three four five", "six seven eight nine ten"
    assert self_bleu([same, same, other]) == pytest.approx(2 / 3, abs=1e-9)


def test_samples_of_a_run_are_compared_step_by_step(tmp_path: Path):
    """EV-7: the last step's measures stand first; a half-written line is left out."""
    rows = [
        {"step": 20, "kind": "sample", "prompt": "", "response": "a b c d"},
        {"step": 3, "kind": "sample", "prompt": "", "response": "a b c d"},
        {"step": 20, "kind": "sample", "prompt": "", "response": "v w x y"},
        {"step": 3, "kind": "sample", "prompt": "", "response": "a b c d"},
    ]
    file = write(tmp_path / "samples.jsonl", rows)
    file.write_text(file.read_text() + '{"step": 30, "resp')
    result = Similarity().without_student(tmp_path)
    assert result["steps"] == [3, 20]
    assert result["by_step"][0]["self_bleu"] == pytest.approx(1)
    assert result["measures"] == result["by_step"][1]
    assert result["measures"]["self_bleu"] == 0
    assert result["measures"]["responses"] == 2
    assert "rouge_1" not in result["measures"]


def test_references_are_compared_where_they_are_given(tmp_path: Path):
    """EV-7: one response alone has ROUGE but no Self-BLEU."""
    rows = [{"prompt": "x", "response": "the cat sat", "reference": "the cat ran"}]
    file = write(tmp_path / "texts.jsonl", rows)
    result = Similarity().without_student(file)
    assert result["steps"] == [None]
    assert result["measures"]["rouge_1"] == pytest.approx(2 / 3)
    assert result["measures"]["references"] == 1
    assert "self_bleu" not in result["measures"]
    write(file, [*rows, {"response": "a dog"}, {"response": "b", "reference": None}])
    measures = Similarity().without_student(file)["measures"]
    assert measures["rouge_1"] == pytest.approx(2 / 3)
    assert (measures["responses"], measures["references"]) == (3, 1)
    assert "self_bleu" in measures


def test_a_seeded_part_of_many_responses_is_compared(tmp_path: Path):
    """EV-7: the draw depends on the seed alone."""
    rows = [{"response": f"a b c d {'e' * (n % 7)} x{n}"} for n in range(40)]
    file = write(tmp_path / "texts.jsonl", rows)

    def measured(**options: int) -> float:
        return Similarity(**options).without_student(file)["measures"]["self_bleu"]

    assert measured(responses=10) == measured(responses=10)
    assert measured(responses=10) != measured(responses=10, seed=1)
    assert measured(responses=40, seed=1) == measured(responses=1000)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("nonsense", "Expecting value"),
        ("[]", "list"),
        ("{}", "no response"),
        ('{"response": 3}', "must be texts"),
        ('{"response": "a", "reference": ["b"]}', "must be texts"),
        ('{"response": "a", "step": "b"}', "whole number"),
        ("\udcff", "utf-8"),
    ],
)
def test_malformed_rows_are_refused_with_their_line(tmp_path: Path, line: str, reason: str):
    """X-1."""
    file = tmp_path / "texts.jsonl"
    file.write_text('{"response": "a"}\n' + line + "\n", "utf-8", "surrogateescape")
    with pytest.raises(UserError, match=rf"texts\.jsonl, line 2 is not a sample \(.*{reason}"):
        read_samples(file)


def test_nothing_to_compare_is_refused(tmp_path: Path):
    """X-1: no file, no samples, a single sample without reference."""
    suite, file = Similarity(), tmp_path / "samples.jsonl"
    with pytest.raises(UserError, match=r"samples\.jsonl does not exist"):
        suite.without_student(tmp_path)
    write(file, [])
    with pytest.raises(UserError, match=r"samples\.jsonl holds no samples"):
        suite.without_student(tmp_path)
    write(file, [{"step": 7, "response": "a"}])
    with pytest.raises(UserError, match="one sample of its last step and no reference"):
        suite.without_student(tmp_path)


def test_responses_that_are_the_same_have_self_bleu_1_however_short() -> None:
    """EV-7: nothing that was said once more is diverse."""
    assert self_bleu(["6", "6", "6"]) == self_bleu(["", ""]) == self_bleu(["3 dogs"] * 2) == 1
    assert self_bleu(["", "3 dogs"]) == 0

"""The suite token-reward: sums, correlations and re-ranking of a student that is known (IRL-3)."""

import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from scipy.stats import spearmanr

from evals.scorers import scorer_of, small_student, small_tokenizer
from tutelage.cli import main
from tutelage.config import UserError
from tutelage.evals.token_reward import TokenReward
from tutelage.tensors import TokenScores

WORDS = "the cats sleep", "a dog barks loudly", "at us", "sleeps", "a dog", "the cat"


class Fixed(torch.nn.Module):
    """A student with a value for each state (its last token's number ÷ 10) and −1 for any token."""

    context = 64

    def forward(self, token_ids, *, mask, keep):
        """Scores of the kept tokens."""
        keep = keep & mask[:, 1:]
        return TokenScores(-1.0 * keep, token_ids[:, :-1] / 10 * keep)


def written(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def rows_of(prompts: int, each: int) -> list[dict]:
    """Prompts of which each has some responses of different lengths."""
    return [
        {
            "prompt": f"the cat {number}",
            "response": " " + " ".join(WORDS[(number + place) % 6] for place in range(place + 1)),
            "right": (number + place) % 3 == 0,
            "words": place + 0.1 * number,
        }
        for number in range(prompts)
        for place in range(each)
    ]


def result_of(suite: TokenReward, student: torch.nn.Module, folder: Path) -> dict:
    scorer = scorer_of(student, small_tokenizer(folder), batch_tokens=100)
    return suite.combine({task: suite.run_task(task, scorer) for task in suite.tasks()})


def test_items_hold_what_every_token_earns(tmp_path):
    """IRL-3: r = V − 1 − γ V', by hand from the tokens; the end token has V' = 0."""
    path = written(tmp_path / "rows.jsonl", rows_of(2, 1))
    tokenizer = small_tokenizer(tmp_path)
    result = result_of(TokenReward(data=path, gamma=0.5), Fixed(), tmp_path)
    item = result["items"][1]
    states = [tokenizer.encode("the cat 1")[-1], *tokenizer.encode(item["response"])]
    values = [state / 10 for state in states] + [0]
    by_hand = [v - 1 - 0.5 * after for v, after in pairwise(values)]
    assert item["rewards"] == pytest.approx(by_hand, abs=1e-4)
    assert item["reward"] == pytest.approx(sum(by_hand), abs=1e-4)
    assert item["logprobs"] == [-1.0] * len(by_hand)
    assert item["logprob"] == -len(by_hand)
    assert "".join(item["tokens"]) == item["response"] + tokenizer.eos_token
    assert result["gamma"] == 0.5
    assert result["measures"]["rows"] == 2


def test_correlations_are_scipys_and_ranks_are_within_prompts(tmp_path):
    """IRL-3: of the sum, the mean per token, log-probability, and length."""
    path = written(tmp_path / "rows.jsonl", rows_of(12, 4))
    result = result_of(TokenReward(data=path), Fixed(), tmp_path)
    items, measures = result["items"], result["measures"]
    lengths = [len(item["tokens"]) for item in items]
    readouts = {
        "reward": [item["reward"] for item in items],
        "reward_per_token": [i["reward"] / n for i, n in zip(items, lengths, strict=True)],
        "logprob": [-n for n in lengths],
        "length": lengths,
    }
    for metric in ("right", "words"):
        values = [item["metrics"][metric] for item in items]
        for name, column in readouts.items():
            expected = spearmanr(column, values).statistic
            assert measures[f"spearman/{metric}/{name}"] == pytest.approx(expected), name
    rows = {(row["metric"], row["by"]): row for row in result["correlations"]}
    assert len(rows) == 10
    row = rows["words", "length"]
    assert row["low"] < row["spearman"] < row["high"]
    assert row["reason"] is None
    # All tokens have the same log-probability, so it says nothing per token.
    row = rows["words", "logprob_per_token"]
    assert (row["spearman"], row["low"]) == (None, None)
    assert row["reason"] == "the log-probability per token is the same in all rows"
    assert "spearman/words/logprob_per_token" not in measures
    for start in range(0, 48, 4):
        own = items[start : start + 4]
        order = sorted(range(4), key=lambda index: -own[index]["reward"])
        assert [own[index]["rank"] for index in order] == [1, 2, 3, 4]
        assert {item["of"] for item in own} == {4}
    again = {(row["metric"], row["by"]): row for row in result["reranking"]}
    assert measures["reranked/words/random"] == pytest.approx(sum(range(4)) / 4 + 0.55)
    assert again["words", "length"]["mean"] == pytest.approx(3 + 0.55)
    assert again["words", "best"]["mean"] == pytest.approx(3 + 0.55)
    # Without a discount, rewards differ within a prompt as log-probabilities do.
    assert again["words", "reward"]["mean"] == again["words", "logprob"]["mean"]
    json.dumps(result, allow_nan=False)


def test_a_metric_that_says_nothing_gets_a_sentence(tmp_path):
    """IRL-3: constant, too rare or absent; no warning and no NaN."""
    rows = [{**row, "same": 1, "rare": None} for row in rows_of(11, 1)]
    rows[3]["rare"] = 1
    path = written(tmp_path / "rows.jsonl", rows)
    result = result_of(TokenReward(data=path, metrics=("same", "rare")), Fixed(), tmp_path)
    assert result["verdicts"] == [
        "same: same is the same in all 11 rows.",
        "rare: one row has rare, too few for a correlation.",
    ]
    assert {row["spearman"] for row in result["correlations"]} == {None}
    assert not any("/" in name for name in result["measures"])
    assert result["reranking"] == []
    texts = written(tmp_path / "texts.jsonl", [{"prompt": "a", "response": " b"}])
    result = result_of(TokenReward(data=texts), Fixed(), tmp_path)
    assert result["verdicts"] == [
        "No column of texts.jsonl holds numbers to set the reward against."
    ]
    assert len(result["items"]) == 1


def test_few_prompts_have_a_correlation_without_an_interval(tmp_path):
    """IRL-3."""
    path = written(tmp_path / "rows.jsonl", rows_of(3, 3))
    result = result_of(TokenReward(data=path, metrics=("words",)), Fixed(), tmp_path)
    row = result["correlations"][0]
    assert row["spearman"] is not None
    assert row["low"] is None
    assert row["reason"] == "an interval needs at least 10 prompts that differ"
    assert result["verdicts"][0].endswith("there are too few prompts to say which is higher.")


def test_the_verdict_says_which_of_the_two_is_higher(tmp_path):
    """IRL-3: rewards that are the metric, beside log-probabilities that know less of it."""
    path = written(tmp_path / "rows.jsonl", rows_of(60, 1))
    items = result_of(TokenReward(data=path), Fixed(), tmp_path)["items"]
    rated = [
        {"prompt": item["prompt"], "response": item["response"], "m": sign * item["reward"]}
        for sign in (1, -1)
        for item in items
    ]
    path = written(tmp_path / "rated.jsonl", rated[:60])
    (up,) = result_of(TokenReward(data=path), Fixed(), tmp_path)["verdicts"]
    assert "m: Spearman's ρ with the summed reward is 1.000 (1.000 to 1.000), with the log-" in up
    assert "; that of the reward is higher: the difference is 0." in up
    path = written(tmp_path / "rated.jsonl", rated[60:])
    (down,) = result_of(TokenReward(data=path), Fixed(), tmp_path)["verdicts"]
    assert "; that of the reward is lower: the difference is −" in down


def test_what_the_student_can_not_read_is_refused(tmp_path):
    """X-1: with file, line and lengths."""
    path = written(tmp_path / "rows.jsonl", [{"prompt": "the cat " * 60, "response": " a"}])
    with pytest.raises(UserError, match=r"rows\.jsonl, line 1: the prompt has \d+ tokens and the"):
        result_of(TokenReward(data=path), Fixed(), tmp_path)


def test_a_student_of_nans_is_refused(tmp_path):
    """X-1: not a table of nulls."""
    student = small_student(small_tokenizer(tmp_path))
    with torch.no_grad():
        student.model.transformer.wte.weight.fill_(math.nan)
    path = written(tmp_path / "rows.jsonl", rows_of(1, 1))
    with pytest.raises(UserError, match="rewards that are not finite"):
        result_of(TokenReward(data=path), student, tmp_path)


def test_the_command_line_stores_and_shows_it(tmp_path, monkeypatch, capsys):
    """IRL-3, X-2: in parts, with a table; wrong columns are refused before a model loads."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tutelage.evals.token_reward.ROWS_AT_ONCE", 20)
    tokenizer = small_tokenizer(tmp_path)
    small_student(tokenizer).save(tmp_path / "model", tokenizer)
    path = written(tmp_path / "rows.jsonl", rows_of(12, 4))
    command = ["eval", "model", "--suite", "token-reward", "--data", str(path)]
    assert main([*command, "--metrics", "right", "--gamma", "0.9"]) == 0
    shown = capsys.readouterr().out
    assert "spearman/right/reward" in shown
    assert "right: Spearman's ρ with the summed reward is" in shown
    stored = json.loads((tmp_path / "evals" / "token_reward" / "model.json").read_text())
    assert stored["measures"]["rows"] == len(stored["items"]) == 48
    assert (stored["gamma"], stored["version"]) == (0.9, 1)
    whole = [item["reward"] for item in stored["items"]]
    assert main([*command, "--metrics", "right", "--gamma", "0.9", "--batch-tokens", "1"]) == 0
    monkeypatch.setattr("tutelage.evals.token_reward.ROWS_AT_ONCE", 256)
    (tmp_path / "evals" / "token_reward" / "model.json").unlink()
    assert main([*command, "--metrics", "right", "--gamma", "0.9", "--batch-tokens", "1"]) == 0
    stored = json.loads((tmp_path / "evals" / "token_reward" / "model.json").read_text())
    assert [item["reward"] for item in stored["items"]] == pytest.approx(whole, abs=1e-4)
    capsys.readouterr()
    assert main([*command, "--metrics", "wrong"]) == 2
    assert "has no such column" in capsys.readouterr().err
    assert main(["eval", "model", "--suite", "token-reward", "--data", "no.jsonl"]) == 2
    assert "no.jsonl does not exist" in capsys.readouterr().err

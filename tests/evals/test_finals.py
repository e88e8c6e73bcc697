"""Arms by their last measures, and what a score costs in diversity (IRL-5)."""

import json

import pytest

from evals.group_folders import write_scored_group, write_scored_run
from tutelage.config import UserError
from tutelage.evals.groups import write_arms
from tutelage.evals.trade_off import beats, trade_off

T1 = 12.706204736
"""Student's t at 0.975 with one degree of freedom: the half interval of two seeds that lie d
apart is T1 d / 2."""


@pytest.fixture
def group(tmp_path):
    """Two arms with seeds 0 and 1; the second is better in both by seed."""
    plain = {0: {"accuracy": 0.2, "self_bleu": 0.6}, 1: {"accuracy": 0.4, "self_bleu": 0.5}}
    other = {0: {"accuracy": 0.5, "self_bleu": 0.4}, 1: {"accuracy": 0.6, "self_bleu": 0.45}}
    return write_scored_group(tmp_path / "group", {"lambda 0": plain, "lambda 0.1": other})


def test_last_measures_are_means_over_seeds(group):
    """IRL-5: of the last milestone alone; those before it were all 0."""
    arms = write_arms(group)["arms"]
    found = arms["lambda 0"]["finals"]
    assert list(found) == ["responses accuracy", "responses self_bleu", "validation loss"]
    accuracy = found["responses accuracy"]
    assert accuracy["mean"] == pytest.approx(0.3)
    assert accuracy["high"] - accuracy["mean"] == pytest.approx(T1 * 0.2 / 2)
    assert accuracy["values"] == [0.2, 0.4]
    assert accuracy["seeds"] == arms["lambda 0"]["seeds"] == [0, 1]
    assert found["validation loss"]["mean"] == 2.0
    assert arms["lambda 0"]["runs"] == {"0": "lambda_0-seed0", "1": "lambda_0-seed1"}


def test_differences_are_taken_seed_by_seed(group):
    """IRL-5: 0.3 and 0.2, though each arm by itself spreads more."""
    result = write_arms(group)
    gap = result["arms"]["lambda 0.1"]["differences"]["responses accuracy"]
    assert gap["values"] == pytest.approx([0.3, 0.2])
    assert gap["mean"] == pytest.approx(0.25)
    assert gap["mean"] - gap["low"] == pytest.approx(T1 * 0.1 / 2)
    assert result["baseline"] == "lambda 0"
    assert result["arms"]["lambda 0"]["differences"] == {}


def test_only_seeds_that_both_have_are_compared(tmp_path):
    """IRL-5: 0.7 less 0.4, and no other."""
    plain = {0: {"accuracy": 0.2}, 1: {"accuracy": 0.4}}
    other = {1: {"accuracy": 0.7}, 2: {"accuracy": 0.9}}
    result = write_arms(write_scored_group(tmp_path, {"a": plain, "b": other}))
    gap = result["arms"]["b"]["differences"]["responses accuracy"]
    assert (gap["seeds"], gap["n"], gap["low"]) == ([1], 1, None)
    assert gap["mean"] == pytest.approx(0.3)


def test_a_sentence_tells_score_and_diversity_of_each_arm(group):
    """IRL-5: with intervals, and against the first arm."""
    assert write_arms(group)["sentences"] == [
        "lambda 0: accuracy 0.30 [−0.97, 1.57], Self-BLEU 0.55 [−0.09, 1.19] (2 seeds).",
        "lambda 0.1: accuracy 0.55 [−0.09, 1.19], Self-BLEU 0.43 [0.11, 0.74] (2 seeds); against "
        "lambda 0: accuracy +0.25 [−0.39, +0.89], Self-BLEU −0.12 [−1.08, +0.83] (2 seeds).",
        "By means, the front is lambda 0.1: no arm is at least as good as one of these in both "
        "score and diversity, and better in one.",
    ]


def test_one_seed_has_no_interval_and_no_seed_no_difference(tmp_path):
    """IRL-5: nothing is promised that was not measured."""
    arms = {"a": {0: {"rouge_l": 0.25}}, "b": {1: {"rouge_l": 0.5}}, "c": {0: None}}
    assert write_arms(write_scored_group(tmp_path, arms))["sentences"] == [
        "a: ROUGE-L 0.25 (one seed).",
        "b: ROUGE-L 0.50 (one seed); no seed was run for both it and a.",
        "c: no finished run.",
    ]


def test_a_narrow_interval_is_told_more_finely(tmp_path):
    """IRL-5: 0.001 apart, which is T1 0.0005 either way."""
    arms = {"a": {0: {"accuracy": 0.5}, 1: {"accuracy": 0.501}}}
    [told] = write_arms(write_scored_group(tmp_path, arms))["sentences"]
    assert told == "a: accuracy 0.500 [0.494, 0.507] (2 seeds)."


def test_a_difference_of_nothing_has_no_sign_of_less(tmp_path):
    """IRL-5: −0.004 is told as +0.00."""
    arms = {"a": {0: {"accuracy": 0.504}}, "b": {0: {"accuracy": 0.5}}}
    told = write_arms(write_scored_group(tmp_path, arms))["sentences"][1]
    assert told == "b: accuracy 0.50 (one seed); against a: accuracy +0.00 (one seed)."


def test_without_responses_the_first_measure_is_told(tmp_path):
    """IRL-5: there is no front then."""
    arms = {"a": {0: {"loss": 2.5}}, "b": {0: {"loss": 2.25}}}
    result = write_arms(write_scored_group(tmp_path, arms))
    assert result["sentences"][1] == (
        "b: validation loss 2.25 (one seed); against a: validation loss −0.25 (one seed)."
    )
    assert result["trade_off"]["score"] is None
    assert result["trade_off"]["front"] == []


def test_missing_and_unfinished_runs_are_named_and_left_out(tmp_path):
    """IRL-5: not fatal; the finished seed counts."""
    late = {"accuracy": 0.9, "last_step": 500}
    arms = {"a": {0: {"accuracy": 0.5}, 1: None, 2: late, 3: {"accuracy": 0.1}}}
    group = write_scored_group(tmp_path, arms)
    for path in (group / "a-seed3" / "evals").glob("*/*.json"):
        path.unlink()
    result = write_arms(group)
    assert {row["run"]: row["reason"] for row in result["left_out"]} == {
        "a-seed1": "it has not begun",
        "a-seed2": "it is not finished: its last milestone is at update 500 of 1,000",
        "a-seed3": "it has no evaluations yet",
    }
    assert result["arms"]["a"]["finals"]["responses accuracy"]["values"] == [0.5]


def test_measures_that_could_not_be_told_are_none(tmp_path):
    """IRL-5: a run without Self-BLEU has a score, and no place in the trade-off."""
    whole = {"accuracy": 0.5, "self_bleu": 0.5}
    arms = {"a": {0: whole}, "b": {0: whole | {"self_bleu": None}, 1: whole | {"accuracy": 0.7}}}
    result = write_arms(write_scored_group(tmp_path, arms))
    assert result["arms"]["b"]["finals"]["responses accuracy"]["n"] == 2
    assert result["arms"]["b"]["finals"]["responses self_bleu"]["seeds"] == [1]
    assert result["trade_off"]["points"]["b"]["score"]["values"] == [0.7]
    assert result["trade_off"]["front"] == ["b"]


def test_the_result_is_stored(group):
    """X-2."""
    assert write_arms(group) == json.loads((group / "arms.json").read_text())


def test_a_group_of_trials_and_demonstrations_is_not_compared_like_this(tmp_path):
    """TND-5: it needs surprisals of words, whatever else was measured."""
    group = write_scored_group(tmp_path, {"tnd": {0: {"accuracy": 0.5}}}, recipe="tnd")
    result = write_arms(group)
    assert "trade_off" not in result
    assert result["left_out"][0]["reason"] == "it has no surprisals of words yet"


def test_a_file_that_is_no_result_is_named(tmp_path):
    """X-1."""
    group = write_scored_group(tmp_path, {"a": {0: {"accuracy": 0.5}}})
    write_scored_run(group / "stranger", accuracy=0.0)
    (group / "a-seed0" / "evals" / "responses" / "step_1000.json").write_text("[")
    with pytest.raises(UserError, match=r"step_1000\.json is not JSON"):
        write_arms(group)


@pytest.mark.parametrize(
    ("one", "other", "is_better"),
    [
        ((0.6, 0.4), (0.5, 0.5), True),
        ((0.6, 0.5), (0.5, 0.5), True),  # as alike, and better
        ((0.5, 0.4), (0.5, 0.5), True),  # as good, and more diverse
        ((0.5, 0.5), (0.5, 0.5), False),
        ((0.6, 0.6), (0.5, 0.5), False),  # a better score at the price of diversity
        ((0.4, 0.4), (0.5, 0.5), False),
    ],
)
def test_to_beat_is_to_be_as_good_in_both_and_better_in_one(one, other, is_better):
    """IRL-5: (score, Self-BLEU)."""
    assert beats(one, other) is is_better


def test_the_front_is_what_none_beats():
    """IRL-5: most diverse first; equals share it; ROUGE-L is the score if there is no accuracy."""
    places = {"x": (0.5, 0.5), "y": (0.3, 0.2), "z": (0.5, 0.6), "w": (0.2, 0.3), "v": (0.5, 0.5)}
    arms = {
        name: {0: {"responses rouge_l": score, "responses self_bleu": alike}}
        for name, (score, alike) in places.items()
    }
    found = trade_off(arms)
    assert found.score == "responses rouge_l"
    assert found.front == ["y", "x", "v"]
    for seeds in arms.values():
        seeds[0]["responses accuracy"] = 0.5
    assert trade_off(arms).front == ["y"]

"""Arms of a group beside their baseline (TND-5, TND-6)."""

import json
import math
from statistics import fmean

import pytest

from evals.group_folders import LAST, MIDDLES, ROUNDS, write_arm_run, write_group
from tutelage.config import UserError
from tutelage.evals import development
from tutelage.evals.arm_ages import sentence
from tutelage.evals.groups import write_arms
from tutelage.evals.over_seeds import SeedMean, seed_mean

SHIFTS = {0: -0.1, 1: -0.2, 2: -0.3}


@pytest.fixture
def group(tmp_path):
    """Three seeds of clm and of an arm that is 0.1, 0.2 and 0.3 earlier, with twice the words."""
    clm = {seed: {"shift": 0.05 * seed} for seed in SHIFTS}
    tnd = {
        seed: {"shift": 0.05 * seed + shift, "words_a_round": 200, "updates_a_round": 4}
        for seed, shift in SHIFTS.items()
    }
    return write_group(tmp_path / "group", {"clm": clm, "tnd": tnd})


def test_a_mean_over_seeds_has_students_interval():
    """TND-5: 1, 2, 3 have deviation 1; t of two degrees of freedom is 4.302653."""
    half = 4.302653 / math.sqrt(3)
    assert seed_mean([1, 2, 3]) == pytest.approx((2, 2 - half, 2 + half, 3))
    assert seed_mean([5]) == (5, None, None, 1)


def test_ages_on_equal_steps_are_those_of_the_curves(group):
    """TND-6, EV-4: the middle of each curve; differences −0.1, −0.2, −0.3 by seed."""
    arm = write_arms(group)["arms"]["tnd"]["axes"]["steps"]
    assert arm["words"] == 3
    middle = fmean(MIDDLES.values())
    values = [middle + 0.05 * seed + shift for seed, shift in SHIFTS.items()]
    assert arm["ages"]["half"]["values"] == pytest.approx(values, abs=0.01)
    assert arm["baseline"]["half"]["mean"] == pytest.approx(middle + 0.05, abs=0.01)
    gap = arm["difference"]["half"]
    assert gap["values"] == pytest.approx([-0.1, -0.2, -0.3], abs=0.01)
    half = 4.302653 * 0.1 / math.sqrt(3)
    assert (gap["low"], gap["high"]) == pytest.approx((-0.2 - half, -0.2 + half), abs=0.02)
    assert arm["difference"]["average"]["mean"] == pytest.approx(-0.2, abs=0.02)
    assert arm["ages"]["average"]["mean"] > arm["ages"]["half"]["mean"] + 0.05


def test_the_average_is_that_of_ten_fractions(tmp_path):
    """EV-4: of a sigmoid's fall, p is past at middle + scale · ln(p / (1 − p))."""
    arm = write_arms(write_group(tmp_path, {"clm": {0: {}}}))["arms"]["clm"]["axes"]["steps"]
    logits = [math.log(p / (1 - p)) for p in (0.5 + 0.05 * number for number in range(10))]
    # The late word's fall is cut off a little by the last milestone.
    expected = fmean(MIDDLES.values()) + 0.12 * fmean(logits)
    assert arm["ages"]["average"]["mean"] == pytest.approx(expected, abs=0.02)


def test_equal_words_and_equal_updates_shift_ages_by_what_a_round_holds(group):
    """TND-6: 200 words and 4 updates a round, against 100 and 1, over the first half of steps."""
    axes = write_arms(group)["arms"]["tnd"]["axes"]
    for axis, factor in (("words", 2), ("updates", 4)):
        gap = axes[axis]["difference"]["half"]["mean"]
        assert gap == pytest.approx(-0.2 + math.log10(factor), abs=0.04)
    half = axes["words"]["ages"]["half"]["mean"]
    assert half == pytest.approx(fmean(MIDDLES.values()) - 0.15 + math.log10(200), abs=0.04)


def test_runs_are_compared_up_to_where_the_shorter_one_ends(tmp_path):
    """TND-6: a run that is cut after 339 rounds has the ages of one that really ended there."""
    clm = {"clm": {0: {"ended": 1034}}}  # 103,400 words
    tnd = {"words_a_round": 305}  # as many after 339.02 rounds
    whole = write_group(tmp_path / "whole", clm | {"tnd": {0: tnd}})
    at_end = write_group(tmp_path / "ended", clm | {"tnd": {0: tnd | {"ended": 339}}})
    one, other = (
        write_arms(each)["arms"]["tnd"]["axes"]["words"]["ages"]["average"]["mean"]
        for each in (whole, at_end)
    )
    assert one == pytest.approx(other, abs=0.0005)


def test_a_word_that_falls_only_after_the_common_end_has_no_age_there(tmp_path):
    """TND-6: clm sees 16,160 words, as many as tnd in 40 steps; "under" falls around step 158."""
    arms = {"clm": {0: {"words_a_round": 10}}, "tnd": {0: {"words_a_round": 404}}}
    axes = write_arms(write_group(tmp_path, arms))["arms"]["tnd"]["axes"]
    assert (axes["steps"]["words"], axes["words"]["words"]) == (3, 2)


def test_only_words_that_every_run_acquires_count(tmp_path):
    """TND-5: without the late word in one of four runs, it is in none of the means."""
    arms = {"clm": {0: {}, 1: {}}, "tnd": {0: {}, 1: {"never": ("under",)}}}
    facts = write_arms(write_group(tmp_path, arms))["arms"]
    axis = facts["tnd"]["axes"]["steps"]
    assert axis["words"] == 2
    early = (MIDDLES["ball"] + MIDDLES["dog"]) / 2
    assert axis["ages"]["half"]["values"] == pytest.approx([early, early], abs=0.01)
    assert axis["baseline"]["half"]["values"] == pytest.approx([early, early], abs=0.01)
    assert facts["clm"]["axes"]["steps"]["words"] == 3
    assert facts["tnd"]["words"] == {"measured": 3, "in_every_run": 2, "in_no_run": 0}


def test_an_arm_that_acquires_nothing_says_so(tmp_path):
    """TND-5."""
    arms = {"clm": {0: {}}, "trials_only": {0: {"never": tuple(MIDDLES)}}}
    arm = write_arms(write_group(tmp_path, arms))["arms"]["trials_only"]
    assert arm["words"]["in_no_run"] == 3
    assert arm["axes"]["steps"]["sentence"] == (
        "On equal steps, trials_only and clm can't be compared: no word is acquired in every run "
        "of both."
    )
    assert arm["vocabulary"]["steps"]["mean"][-1] == 0


def test_a_reason_that_all_curves_share_is_told(tmp_path):
    """TND-5: milestones 0, 2, 3, 4 and 5 are too few, and that is nobody's arm's fault."""
    arms = write_arms(write_group(tmp_path, {arm: {0: {"ended": 5}} for arm in ("clm", "tnd")}))
    why = ", as 4 milestones are too few for a curve of 7 parameters"
    facts = arms["arms"]
    assert facts["clm"]["axes"]["steps"]["reason"] == f"no word is acquired in every run{why}"
    assert facts["tnd"]["axes"]["steps"]["sentence"] == (
        "On equal steps, tnd and clm can't be compared: no word is acquired in every run of both"
        f"{why}."
    )


def test_seeds_are_paired(tmp_path):
    """TND-5: seeds 1 and 2 were run for both; the spread of seeds themselves does not count."""
    clm = {seed: {"shift": 0.3 * seed} for seed in (0, 1, 2)}
    tnd = {seed: {"shift": 0.3 * seed - 0.1} for seed in (1, 2, 3)}
    arm = write_arms(write_group(tmp_path, {"tnd": tnd, "clm": clm}))["arms"]["tnd"]
    axis = arm["axes"]["steps"]
    assert axis["pairs"] == [1, 2]
    assert axis["difference"]["half"]["values"] == pytest.approx([-0.1, -0.1], abs=0.01)
    assert "earlier than clm by 0.099" in axis["sentence"]


def test_without_common_seeds_there_is_no_difference(tmp_path):
    """TND-5."""
    axis = write_arms(write_group(tmp_path, {"clm": {0: {}}, "tnd": {1: {}}}))
    axis = axis["arms"]["tnd"]["axes"]["steps"]
    assert "difference" not in axis
    assert axis["sentence"].endswith("can't be compared: no seed was run for both.")


def test_missing_and_unfinished_runs_are_named_and_left_out(tmp_path):
    """TND-5: not fatal; the finished seed counts."""
    tnd = {0: {}, 1: None, 2: {"ended": 800, "planned": LAST}}
    group = write_group(tmp_path, {"clm": {0: {}}, "tnd": tnd, "late": {0: None}})
    write_arm_run(group / "clm-seed1")
    for file in (group / "clm-seed1" / "evals" / "surprisal").iterdir():
        file.unlink()
    content = json.loads((group / "group.json").read_text())
    content["arms"].append({"arm": "clm", "seed": 1, "run": "clm-seed1"})
    (group / "group.json").write_text(json.dumps(content))
    result = write_arms(group)
    assert {row["run"]: row["reason"] for row in result["left_out"]} == {
        "tnd-seed1": "it has not begun",
        "tnd-seed2": "it is not finished: its last milestone is at update 662 of 1,616",
        "late-seed0": "it has not begun",
        "clm-seed1": "it has no surprisals of words yet",
    }
    assert result["arms"]["tnd"]["seeds"] == [0]
    assert result["arms"]["tnd"]["axes"]["steps"]["difference"]["half"]["low"] is None
    late = result["arms"]["late"]["axes"]["steps"]
    assert late["reason"] == "late has no finished run"


def test_a_run_with_a_budget_may_end_before_its_steps(tmp_path):
    """TND-5: nobody knows beforehand how far it goes."""
    group = write_group(tmp_path, {"clm": {0: {"ended": 800, "planned": 10**6}}})
    config = group / "clm-seed0" / "config.yaml"
    config.write_text("recipe: tnd\nbudget: {generated_words: 100}\n")
    assert write_arms(group)["arms"]["clm"]["seeds"] == [0]


def test_effective_vocabulary_counts_words_over_each_axis(tmp_path):
    """TND-6: means over two seeds, one of which never acquires the late word."""
    arms = {"clm": {0: {}, 1: {"never": ("under",)}}}
    curves = write_arms(write_group(tmp_path, arms))["arms"]["clm"]["vocabulary"]
    for axis, factor in (("steps", 1), ("words", 100)):
        for place, count in zip(curves[axis]["at"], curves[axis]["mean"], strict=True):
            past = [10**middle * factor <= place for middle in MIDDLES.values()]
            assert count == past[0] + past[1] + past[2] / 2
    assert curves["steps"]["at"] == list(ROUNDS[1:])
    assert curves["steps"]["high"][-1] > 2.5 > curves["steps"]["low"][-1]


def test_surprisal_and_last_measures_are_means_over_seeds(tmp_path):
    """TND-6: perplexities 20 and 30; the mean surprisal at each milestone."""
    arms = {"clm": {0: {}, 1: {"perplexity": 30, "shift": 0.2}}}
    arm = write_arms(write_group(tmp_path, arms))["arms"]["clm"]
    assert arm["finals"]["perplexity"]["mean"] == pytest.approx(25)
    assert arm["finals"]["perplexity"]["n"] == 2
    stored = [
        json.loads((tmp_path / f"clm-seed{s}/evals/surprisal/round_{LAST}.json").read_text())
        for s in (0, 1)
    ]
    last = fmean(each["measures"]["surprisal"] for each in stored)
    assert arm["surprisal"]["steps"]["mean"][-1] == pytest.approx(last)
    assert arm["finals"]["surprisal"]["mean"] == pytest.approx(last)
    assert arm["surprisal"]["words"]["at"][-1] == 100 * LAST


def test_runs_that_count_neither_rounds_nor_all_words_use_what_they_count(tmp_path):
    """X-2: round is then the update, words seen are the words read."""
    old = {"is_old": True, "words_a_round": 100}
    arm = write_arms(write_group(tmp_path, {"clm": {0: old}}))["arms"]["clm"]
    ages = [arm["axes"][axis]["ages"]["half"]["mean"] for axis in ("steps", "updates", "words")]
    middle = fmean(MIDDLES.values())
    assert ages == pytest.approx([middle, middle, middle + math.log10(50)], abs=0.02)


def test_curves_are_fitted_once(group, monkeypatch):
    """TND-5: a second look at the group fits nothing, and finds the same."""
    first = write_arms(group)
    assert json.loads((group / "arms.json").read_text()) == first
    monkeypatch.setattr(development, "fit_double_sigmoid", None)
    assert write_arms(group) == first


@pytest.mark.parametrize(
    ("gap", "said"),
    [
        (
            SeedMean(-0.12, -0.19, -0.05, 3),
            "On equal steps, tnd is earlier than clm by 0.12 log10 steps (95 % interval 0.05 to "
            "0.19, 3 seeds, 84 words): after 0.76 times the steps.",
        ),
        (
            SeedMean(0.3, 0.1, 0.5, 5),
            "On equal steps, tnd is later than clm by 0.30 log10 steps (95 % interval 0.10 to "
            "0.50, 5 seeds, 84 words): after 2.00 times the steps.",
        ),
        (
            SeedMean(-0.03, -0.1, 0.04, 3),
            "On equal steps, tnd and clm can't be told apart: tnd is earlier by 0.03 log10 steps, "
            "but the 95 % interval reaches from 0.10 earlier to 0.04 later (3 seeds, 84 words).",
        ),
        (
            SeedMean(0.12, None, None, 1),
            "On equal steps, tnd is later than clm by 0.12 log10 steps with one seed (84 words): "
            "how much of that is chance can't be told.",
        ),
    ],
)
def test_a_sentence_promises_no_more_than_the_interval(gap, said):
    """TND-5."""
    assert sentence("tnd", "clm", "steps", gap, num_words=84) == said


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "group.json can't be read"),
        ('{"recipe": "tnd"}', "group.json can't be read"),
        ('{"arms": [{"arm": "clm", "seed": "x", "run": "a"}]}', "group.json can't be read"),
        ('{"arms": []}', "names no runs"),
        ('{"arms": [{"arm": "clm", "seed": 0, "run": "../a"}]}', "runs lie in the group's folder"),
    ],
)
def test_a_group_that_is_none_is_refused(tmp_path, content, message):
    """X-1."""
    (tmp_path / "group.json").write_text(content)
    with pytest.raises(UserError, match=message):
        write_arms(tmp_path)


def test_a_file_that_is_no_result_is_named(group):
    """X-1."""
    path = group / "tnd-seed1" / "evals" / "surprisal" / "round_2.json"
    path.write_text("{")
    with pytest.raises(UserError, match=r"round_2\.json is not JSON"):
        write_arms(group)
    path.write_text('{"step": 2}')
    with pytest.raises(UserError, match="is not a result of the suite surprisal"):
        write_arms(group)


def test_a_difference_that_rounds_to_nothing_has_no_direction():
    """TND-6: nobody is "earlier by 0.00"."""
    gap = SeedMean(mean=-0.003, low=-0.2, high=0.194, n=3)
    assert sentence("tnd", "clm", "steps", gap, num_words=84) == (
        "On equal steps, tnd and clm can't be told apart: the 95 % interval reaches from 0.20 "
        "earlier to 0.19 later (3 seeds, 84 words)."
    )
    gap = SeedMean(mean=-0.003, low=None, high=None, n=1)
    assert sentence("tnd", "clm", "steps", gap, num_words=84) == (
        "On equal steps, tnd is as early as clm, within 0.005 log10 steps, with one seed (84 "
        "words): how much of that is chance can't be told."
    )

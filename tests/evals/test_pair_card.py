"""The card of a reward model on pairs (RM-2, R11)."""

import json
import math
import re
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from tutelage.config import UserError
from tutelage.evals.pair_card import calibration, expected_error, histogram, outcomes, pair_card

scores = st.floats(-50, 50, allow_nan=False).map(lambda x: round(x, 1))
pairs_of_scores = st.lists(st.tuples(scores, scores), min_size=1, max_size=80)


def pair(subset="", prompt="p", chosen="good", rejected="bad"):
    return SimpleNamespace(prompt=prompt, chosen=chosen, rejected=rejected, subset=subset)


def card(margins, *, lengths=None, subsets=None, baselines=None):
    """The card of a model that gives these margins."""
    n = len(margins)
    lengths = lengths or [(2, 1)] * n
    baselines = baselines or {"length": [a - b for a, b in lengths]}
    test = [pair(subset) for subset in subsets or [""] * n]
    return pair_card(test, margins, [0.0] * n, lengths, baselines)


def test_a_small_card_by_hand():
    """RM-2: four pairs: right by 2, wrong by 1, a tie, right by 1."""
    found = card(
        [2.0, -1.0, 0.0, 1.0],
        lengths=[(5, 3), (4, 4), (1, 9), (2, 3)],
        baselines={"length": [2, 0, -8, -1], "bag_of_words": [1, 1, 1, -1]},
    )
    measures = found["measures"]
    assert measures["accuracy"] == (1 + 0 + 0.5 + 1) / 4
    assert measures["accuracy_length"] == (1 + 0.5 + 0 + 0) / 4
    assert measures["accuracy_bag_of_words"] == 0.75
    assert measures["above_length"] == 0.25
    assert measures["above_bag_of_words"] == -0.125
    assert measures["margin"] == 0.5
    assert measures["ties"] == 0.25
    # Of three pairs with two lengths the model takes the longer one, then ties, then the shorter.
    assert measures["longer_wins"] == (1 + 0.5 + 0) / 3
    assert measures["longer_chosen"] == 1 / 3
    assert found["counts"]["longer_wins"] == found["counts"]["longer_chosen"] == 3
    assert found["counts"]["accuracy"] == found["counts"]["accuracy_length"] == 4
    rank = spearmanr([2, -1, 0, 1], [2, 0, -8, -1]).statistic
    assert measures["spearman_length"] == pytest.approx(rank)
    # One bin of four: confidences σ(2), σ(1), σ(0), σ(1), and 2.5 of 4 are right.
    sure = (1 / (1 + math.exp(-2)) + 2 / (1 + math.exp(-1)) + 0.5) / 4
    assert measures["ece"] == pytest.approx(abs(sure - 2.5 / 4))
    assert found["calibration"] == [
        {"n": 4, "confidence": pytest.approx(sure), "accuracy": 2.5 / 4}
    ]
    json.dumps(found, allow_nan=False)


def test_measures_come_with_the_most_telling_first():
    """X-2: a report shows the first one in its summary."""
    names = list(
        card([1.0, -1.0], baselines={"length": [1, 1], "bag_of_words": [0, 0]})["measures"]
    )
    assert names[:4] == ["accuracy", "accuracy_length", "accuracy_bag_of_words", "above_length"]


@pytest.mark.parametrize(
    ("right", "length_right", "sentence"),
    [
        # Of 1000 pairs: 700 right where length has 600, all of them among the 700.
        (
            range(700),
            range(600),
            r"Beats length by 10\.0 points \(95 % interval 8\.\d to 11\.\d\)\.",
        ),
        (range(600), range(700), r"Does not beat length: it is 10\.0 points below it \(95 % inter"),
        (
            range(610),
            range(30, 635),
            r"the difference of 0\.5 points may be chance \(95 % interval −1\.0",
        ),
        # Better than a length that is worse than guessing, but guessing itself.
        (
            range(505),
            range(400),
            r"Does not beat length: it is 10\.5 points above it .* may be chance",
        ),
    ],
)
def test_the_verdict_says_whether_the_model_beats_length(right, length_right, sentence):
    """R11: honest about chance."""
    margins, length = (
        [1.0 if i in r else -1.0 for i in range(1000)] for r in (right, length_right)
    )
    found = card(margins, baselines={"length": length, "bag_of_words": margins})
    assert found["verdict"] == found["baselines"][0]["verdict"]
    assert re.search(sentence, found["verdict"])
    low, high = (found["measures"][f"above_length_{end}"] for end in ("low", "high"))
    assert found["verdict"].startswith("Beats") == (low > 0 and len(right) == 700)
    assert (found["baselines"][0]["low"], found["baselines"][0]["high"]) == (low, high)
    assert found["baselines"][1]["verdict"].startswith("Does not beat a bag of words")


def test_five_pairs_beat_nothing():
    """R11: all right where length is right of four shows little."""
    found = card([1.0] * 5, baselines={"length": [1, 1, 1, 1, -1]})
    assert found["verdict"].startswith("Does not beat length: the difference of 20.0 points may be")


def test_subsets_have_accuracies_of_their_own():
    """RM-3: in the order of their names, and none if there is but one."""
    found = card(
        [1.0, -1.0, 1.0, 0.0],
        subsets=["helpful", "harmless", "helpful", ""],
        baselines={"length": [1, 1, -1, 1]},
    )
    assert found["subsets"] == [
        {"name": "(none)", "n": 1, "accuracy": 0.5, "baselines": {"length": 1.0}},
        {"name": "harmless", "n": 1, "accuracy": 0.0, "baselines": {"length": 1.0}},
        {"name": "helpful", "n": 2, "accuracy": 1.0, "baselines": {"length": 0.5}},
    ]
    assert found["measures"]["subset/helpful"] == 1.0
    assert found["counts"]["subset/helpful"] == 2
    assert card([1.0, 1.0], subsets=["only", "only"])["subsets"] == []


@given(pairs_of_scores, st.randoms(use_true_random=False))
def test_order_does_not_matter(pairs, rng):
    """X-4: not even to bins of equal confidence."""
    margins = [a - b for a, b in pairs]
    shuffled = rng.sample(margins, len(margins))
    one, two = calibration(np.array(margins)), calibration(np.array(shuffled))
    assert [each["n"] for each in one] == [each["n"] for each in two]
    assert expected_error(one) == pytest.approx(expected_error(two))
    assert histogram(np.array(margins)) == histogram(np.array(shuffled))


@given(pairs_of_scores)
def test_turning_every_pair_round_turns_the_accuracy(pairs):
    """X-4."""
    margins = np.array([a - b for a, b in pairs])
    assert outcomes(margins).mean() == pytest.approx(1 - outcomes(-margins).mean())


@given(st.integers(1, 600), st.integers(0, 2**32 - 1))
def test_bins_of_confidence_are_those_of_a_naive_definition(n, seed):
    """R11: sorted by confidence and cut into pieces of equal numbers (no two are equal here)."""
    margins = np.random.default_rng(seed).normal(size=n) * 2
    found = calibration(margins)
    num_bins = min(max(n // 20, 1), 10)
    ranked = margins[np.argsort(np.abs(margins))]
    pieces = [
        ranked[[math.floor((i + 0.5) * num_bins / n) == b for i in range(n)]]
        for b in range(num_bins)
    ]
    error = sum(
        len(piece) / n * abs((1 / (1 + np.exp(-np.abs(piece)))).mean() - (piece > 0).mean())
        for piece in pieces
    )
    assert [each["n"] for each in found] == [len(piece) for piece in pieces]
    assert max(each["n"] for each in found) - min(each["n"] for each in found) <= 1
    assert expected_error(found) == pytest.approx(error)


def test_pairs_of_the_same_confidence_are_in_one_bin():
    """R11: else the bins, and the error, would come from the order of the pairs."""
    (only,) = calibration(np.array([-1.0] * 20 + [1.0] * 20))
    assert (only["n"], only["accuracy"]) == (40, 0.5)


def test_pairs_of_equal_lengths_say_nothing_about_length():
    """R11."""
    measures = card([1.0, 1.0, -1.0], lengths=[(2, 1), (3, 3), (1, 1)])["measures"]
    assert (measures["longer_wins"], measures["longer_chosen"]) == (1.0, 1.0)


def test_a_calibrated_model_has_little_error():
    """R11: right as often as it is sure; twice the margins make it too sure."""
    rng = np.random.default_rng(0)
    margins = np.abs(rng.normal(size=20_000) * 1.5)
    right = rng.random(20_000) < 1 / (1 + np.exp(-margins))
    signed = np.where(right, margins, -margins)
    assert expected_error(calibration(signed)) < 0.015
    assert expected_error(calibration(3 * signed)) > 0.1


@given(st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=1, max_size=200))
def test_histograms_lose_no_pair_and_mix_no_bin(margins):
    """X-3: 0 is an edge, every margin is in a bin, a tie, or beyond the bins."""
    margins = np.array(margins)
    found = histogram(margins)
    total = sum(found["counts"]) + found["ties"] + found["below"] + found["above"]
    assert total == len(margins)
    assert found["ties"] == (margins == 0).sum()
    if found["edges"]:
        assert 0.0 in found["edges"]
        assert len(found["counts"]) == len(found["edges"]) - 1 <= 26
        middle = found["edges"].index(0.0)
        assert sum(found["counts"][:middle]) + found["below"] == (margins < 0).sum()
        assert found["below"] + found["above"] <= 0.1 * len(margins)


def test_few_margins_are_beyond_the_bins():
    """X-3: of normal margins nearly all are drawn, in bins that are narrow enough."""
    found = histogram(np.random.default_rng(0).normal(size=2000))
    assert found["below"] + found["above"] < 10
    assert 12 <= len(found["counts"]) <= 26


def test_bins_are_round_and_far_margins_are_counted_beside_them():
    """X-3."""
    margins = np.array([*np.linspace(-1, 2, 301), 1e6])
    found = histogram(margins)
    assert np.diff(found["edges"]) == pytest.approx(0.2)
    assert (found["edges"][0], found["above"], found["below"]) == (-1.0, 1, 0)
    assert found["ties"] == 1


def test_the_worst_examples_are_the_surest_mistakes():
    """RM-2: at most ten, texts of at most 600 characters, prompts by their end."""
    margins = [float(m) for m in (*range(-15, 0), 0, 5)]
    test = [pair("s", f"{i} " + "x" * 700 + "END", "c" * 700, "short") for i in range(len(margins))]
    found = pair_card(
        test, margins, [0.0] * len(margins), [(7, 3)] * len(margins), {"length": margins}
    )["worst"]
    assert [row["number"] for row in found] == list(range(10))
    assert [row["margin"] for row in found] == margins[:10]
    first = found[0]
    assert first["prompt"] == "…" + "x" * 596 + "END"
    assert first["chosen"] == "c" * 599 + "…"
    assert first["rejected"] == "short"
    assert (first["chosen_tokens"], first["rejected_tokens"], first["subset"]) == (7, 3, "s")
    assert (first["chosen_score"], first["rejected_score"]) == (-15.0, 0.0)
    assert card([0.0, 1.0])["worst"] == []


def test_what_is_not_defined_is_left_out():
    """X-2: no NaN, no warning."""
    measures = card([0.0, 0.0, 0.0])["measures"]
    assert "spearman_length" not in measures
    assert measures["accuracy"] == 0.5
    assert measures["longer_wins"] == 0.5
    equal = card([1.0, -1.0], lengths=[(3, 3), (2, 2)])
    assert not {"longer_wins", "longer_chosen", "spearman_length"} & equal["measures"].keys()
    assert not {"longer_wins", "longer_chosen"} & equal["counts"].keys()


def test_no_pairs_and_no_finite_scores_are_refused():
    """RM-7."""
    with pytest.raises(UserError, match="There are no test pairs"):
        card([])
    with pytest.raises(UserError, match="no finite score to 2 of 3 test pairs"):
        card([math.nan, 1.0, math.inf])

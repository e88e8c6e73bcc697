"""Ages of acquisition over the stored surprisals of a run (EV-4, TND-6)."""

import json
import math

import numpy as np
import pytest

from tutelage.config import UserError
from tutelage.evals.acquisition import DEFINITIONS, acquisition, correlate
from tutelage.evals.naoa import DoubleSigmoid, Sigmoid, naoa

STEPS = [0, *(round(10 ** (0.3 + 0.05 * number)) for number in range(74))]
STEPS = sorted(set(STEPS))
MIDDLES = {"ball": 1.5, "dog": 2.0, "under": 3.0}
CHANCE = 14  # bits: 16,384 tokens


def stored(words: dict, *, contexts: int = 3, words_a_step: int | None = 100) -> list:
    """Results of the suite surprisal at every step; each word is a curve over log10 steps."""
    found = []
    for step in STEPS:
        x = np.array([math.log10(max(step, 1))])
        rows = []
        for word, curve in words.items():
            mean = None if curve is None else float(curve(x)[0])
            single = [] if mean is None else [mean] * contexts
            rows.append({"word": word, "category": "kind", "surprisal": mean, "surprisals": single})
        result = {"vocab_size": 2**CHANCE, "word_surprisals": rows}
        if words_a_step:
            result["words"] = step * words_a_step
        found.append((step, result))
    return found


def curves() -> dict[str, Sigmoid]:
    return {word: Sigmoid(CHANCE, 4, middle, 0.15) for word, middle in MIDDLES.items()}


def test_ages_of_known_curves():
    """EV-4: curves from chance to 4 bits, whose middle is the age for TnD and Chang & Bergen."""
    found = acquisition(stored(curves()))
    for definition in ("tnd", "chang_bergen"):
        assert found.ages(definition) == pytest.approx(MIDDLES, abs=0.01)
    measures = found.measures()
    assert measures["tnd"] == pytest.approx(6.5 / 3, abs=0.01)
    # Ages 1.5, 2 and 3: sample deviation 0.7638, over the root of 3.
    assert measures["tnd_standard_error"] == pytest.approx(0.441, abs=0.01)
    assert measures["tnd_words"] == measures["words"] == 3
    assert found.words["dog"]["category"] == "kind"
    curve = Sigmoid(CHANCE, 4, 2.0, 0.15)
    x = np.log10(np.array(STEPS[1:], dtype=float))
    assert found.words["dog"]["tnd"]["fitted"] == pytest.approx(curve(x), abs=0.02)
    assert found.words["dog"]["surprisal"][1:] == pytest.approx(curve(x))


def test_parameters_and_ages_of_a_word_belong_together():
    """EV-4: the stored parameters give the stored ages again."""
    word = acquisition(stored(curves())).words["dog"]["tnd"]
    fit = DoubleSigmoid(**word["parameters"])
    assert word["age"] == word["ages"]["0.50"] == naoa(fit, 0.5)
    assert word["ages"]["0.95"] == naoa(fit, 0.95)
    assert word["average"] == pytest.approx(sum(word["ages"].values()) / 10)


def test_effective_vocabulary_counts_the_words_whose_age_is_past():
    """EV-4: monotone; 0 at the start, and all words at the end."""
    found = acquisition(stored(curves()))
    ages = found.ages("tnd").values()
    for step, count in zip(found.steps, found.effective_vocabulary, strict=True):
        assert count == sum(step >= 10**age for age in ages)
    assert found.effective_vocabulary[0] == 0
    assert found.effective_vocabulary[-1] == 3
    assert found.measures()["effective_vocabulary"] == 3


def test_babylm_counts_in_words_where_they_are_known():
    """EV-4: the same curves over 100 words a step have ages 2 later than over steps."""
    words = {"ball": Sigmoid(24, 6, 2.0, 0.15)}
    one = acquisition(stored(words)).ages("babylm_2025")["ball"]
    other = acquisition(stored(words, words_a_step=None)).ages("babylm_2025")["ball"]
    assert one - other == pytest.approx(2, abs=0.02)
    # In nats the curve falls from 16.6 to 4.2, and is in the middle of 18.2 and 4.2 before 2.
    middle = (math.log2(300_000) / math.log(2) + 6) / 2
    assert other == pytest.approx(2 + 0.15 * math.log((24 - middle) / (middle - 6)), abs=0.03)


def test_ages_say_what_they_count():
    """EV-4: words where all milestones know them; else what stands in the place of steps."""
    assert set(acquisition(stored(curves())).units.values()) == {"steps", "words"}
    assert acquisition(stored(curves())).units["tnd"] == "steps"
    results = stored({"ball": Sigmoid(24, 6, 2.0, 0.15)})
    plain = acquisition(stored({"ball": Sigmoid(24, 6, 2.0, 0.15)}, words_a_step=None))
    assert set(plain.units.values()) == {"steps"}
    del results[7][1]["words"]  # one milestone does not know: steps and words are never mixed
    assert acquisition(results) == plain
    assert set(acquisition(results, unit="words").units.values()) == {"words"}


def test_words_without_an_age_have_a_reason():
    """EV-4: flat, rising, never measured; the others are as they were."""
    odd = {
        "flat": lambda x: 0 * x + 9,
        "rising": lambda x: 4 + 2 * x,
        "empty": None,
    }
    found = acquisition(stored(curves() | odd))
    for word in odd:
        for definition in DEFINITIONS:
            row = found.words[word][definition]
            assert "age" not in row
            assert row["reason"]
    assert found.words["flat"]["tnd"]["reason"] == "surprisal does not fall clearly"
    assert found.words["rising"]["tnd"]["reason"] == "surprisal rises"
    assert found.words["empty"]["tnd"]["reason"] == "no surprisal at any milestone"
    assert found.ages("tnd") == acquisition(stored(curves())).ages("tnd")
    assert found.measures()["words"] == 6
    assert found.measures()["tnd_words"] == 3


def test_milestones_may_come_in_any_order_and_lack_words():
    """EV-4."""
    results = stored(curves())
    shuffled = results[::2] + results[1::2]
    assert acquisition(shuffled) == acquisition(results)
    rows = results[5][1]["word_surprisals"]
    results[5][1]["word_surprisals"] = [row for row in rows if row["word"] != "dog"]
    found = acquisition(results)
    assert found.words["dog"]["surprisal"][5] is None
    assert found.ages("tnd") == pytest.approx(MIDDLES, abs=0.01)


def test_result_is_json():
    """X-2: without NaN, numpy numbers or keys that are no text."""
    words = curves() | {"empty": None}
    found = acquisition(stored(words), human={"children": {"ball": 20.0}})
    text = json.dumps(found.result(), allow_nan=False)
    assert json.loads(text) == found.result() | {"version": 1}


def test_correlation_is_over_the_shared_words():
    """EV-4: by hand. (1, 2, 3) and (1, 2, 9): r = 8/√(2·38); the ranks agree."""
    row = correlate({"a": 1, "b": 2, "c": 3, "d": 7}, {"a": 1, "c": 9, "b": 2, "e": 5})
    assert row["n"] == 3
    assert row["pearson"] == pytest.approx(8 / math.sqrt(2 * 38))
    assert row["spearman"] == pytest.approx(1)
    assert 0 < row["pearson_p"] < 1
    for ages in ({"a": 1, "b": 2}, {"a": 1, "b": 1, "c": 1}):
        row = correlate(ages, {"a": 1, "b": 2, "c": 3})
        assert row["n"] == len(ages)
        assert "pearson" not in row
        assert row["reason"]


def test_every_definition_is_correlated_with_every_source():
    """EV-4."""
    human = {"children": {"ball": 16.0, "dog": 18.0, "under": 30.0}, "adults": {"ball": 3.0}}
    rows = acquisition(stored(curves()), human=human).correlations
    assert [(row["human"], row["definition"]) for row in rows] == [
        (source, definition) for source in human for definition in DEFINITIONS
    ]
    assert rows[0]["n"] == 3
    assert rows[0]["spearman"] == pytest.approx(1)
    assert rows[3]["n"] == 1


def test_runs_that_have_no_ages_are_refused():
    """X-1: no milestones, results of another suite, several vocabularies."""
    with pytest.raises(UserError, match=r"no milestone with word surprisals.*--suite surprisal"):
        acquisition([])
    with pytest.raises(UserError, match="result of step 7 is not one of the suite surprisal"):
        acquisition([(7, {"measures": {}})])
    results = stored(curves())
    results[3][1]["vocab_size"] = 100
    with pytest.raises(UserError, match="vocabularies of 100 and 16384 tokens"):
        acquisition(results)

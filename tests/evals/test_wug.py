"""Wug: preferences between two forms, and their correlation with people's."""

import json
import math
from pathlib import Path

import pytest

from evals.scorers import Opinion, scorer_of, small_tokenizer
from tutelage.config import UserError
from tutelage.evals.wug import Wug, correlate, preference


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory):
    return small_tokenizer(tmp_path_factory.mktemp("cache"))


def write(file: Path, *words: tuple[str, object]) -> Path:
    rows = [{"sentences": sentences, "ratio": ratio} for sentences, ratio in words]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return file


def evaluate(suite: Wug, scorer) -> dict:
    suite.check()
    return suite.combine({task: suite.run_task(task, scorer) for task in suite.tasks()})


def test_preferences_are_log_odds_or_officially_probabilities() -> None:
    """EV-2: fp32 probabilities of large odds are all 1; log-odds still differ."""
    assert preference((-1.0, -3.0), "half") == 2.0
    assert preference((-1.0, -3.0), "first") == pytest.approx(1 / (1 + math.exp(-2)))
    # Against two others: 1 / (1 + 2 e⁻²), with odds of e² / 2.
    assert preference((-1.0, -3.0, -3.0), "first") == pytest.approx(1 / (1 + 2 * math.exp(-2)))
    assert preference((-1.0, -3.0, -3.0), "half") == pytest.approx(2 - math.log(2))
    assert preference((-1.0, -90.0), "first") == preference((-1.0, -80.0), "first") == 1.0
    assert preference((-1.0, -90.0), "half") > preference((-1.0, -80.0), "half")


def test_correlation_is_spearmans() -> None:
    """EV-2: ρ = 1 − 6 Σd² / (n (n² − 1)); here d = 0, 1, −1, 0."""
    result = correlate([0.1, 0.2, 0.3, 0.4], [-5.0, 2.0, 1.0, 3.0])
    assert result is not None
    assert result.rho == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert 0 < result.p_value < 1


@pytest.mark.parametrize("model", [[1.0, 1.0, 1.0], [1.0, math.nan, 2.0]])
def test_no_correlation_is_none(model: list[float]) -> None:
    """EV-2: a constant or broken student gives no number."""
    assert correlate([0.1, 0.2, 0.3], model) is None


def test_words_of_all_files_are_correlated_together(tokenizer, tmp_path: Path) -> None:
    """EV-2: with one nat a token, a longer second form is a preference for the first."""
    write(tmp_path / "a.jsonl", ("x\txyz", 0.7), ("x\txyzxyz", 0.9))
    write(tmp_path / "b.jsonl", ("xyz\tx", 0.2), ("x\ty", 1))
    result = evaluate(Wug(data=tmp_path), scorer_of(Opinion(), tokenizer))
    # Ranks of people: 2, 3, 1, 4; of the student 3, 4, 1, 2: d = −1, −1, 0, 2.
    assert result["measures"] == {"spearman": pytest.approx(1 - 6 * 6 / (4 * 15))}
    assert result["num_words"] == 4
    assert result["counts"] == {}
    assert result["convention"]["scored"] == "the whole sentence"


def test_the_official_rule_stores_probabilities_and_its_convention(
    tokenizer, tmp_path: Path
) -> None:
    """EV-2: the first token of each form has no score, as this tokenizer puts none before it."""
    file = write(tmp_path / "a.jsonl", ("xy\txyz", 0.2), ("xyz\txy", 0.6))
    part = Wug(data=file, ties="first").run_task("a", scorer_of(Opinion(), tokenizer))
    likely = 1 / (1 + math.exp(-1))
    assert part["sum"] == pytest.approx([likely, 1 - likely])
    assert part["human"] == [0.2, 0.6]
    assert part["convention"] == {
        "before_text": "nothing",
        "scored": "the whole sentence",
        "ties": "first",
    }


@pytest.mark.parametrize(
    ("ties", "preferences", "ranks"),
    [
        # Odds of e¹⁸ and e²⁸ differ, but fp32 probabilities are 1 from about e¹⁷ on.
        ("half", (math.log(1 / 2), 18, 28, math.log(1 / 2)), (1.5, 3, 4, 1.5)),
        ("first", (1 / 3, 1, 1, 1 / 3), (1.5, 3.5, 3.5, 1.5)),
    ],
)
def test_past_tenses_of_three_forms_are_ranked(
    tokenizer, tmp_path: Path, ties, preferences, ranks
) -> None:
    """EV-2: by hand; words that are preferred alike share their ranks."""
    file = write(
        tmp_path / "past.jsonl",
        ("xy\tyz\tzx", 0.1),
        (f"xy\t{'z' * 20}\t{'y' * 60}", 0.3),
        (f"xy\t{'z' * 30}\t{'y' * 60}", 0.2),
        ("xy\tyy\tzz", 0.4),
    )
    suite, scorer = Wug(data=file, ties=ties), scorer_of(Opinion(), tokenizer)
    assert suite.run_task("past", scorer)["sum"] == pytest.approx(list(preferences))
    pairs = [(human - 2.5, rank - 2.5) for human, rank in zip((1, 3, 2, 4), ranks, strict=True)]
    product, *squares = (sum(a[i] * a[j] for a in pairs) for i, j in ((0, 1), (0, 0), (1, 1)))
    rho = product / math.sqrt(math.prod(squares))
    assert evaluate(suite, scorer)["measures"]["spearman"] == pytest.approx(rho)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        (("x y", 0.5), r"a\.jsonl, line 1: sentences is one sentence"),
        (("x\ty", 1.5), r"ratio is 1\.5, but it must be from 0 to 1"),
        (("x\ty", "0.5"), r"ratio is '0\.5', but it must be a number"),
        (("x\ty", math.nan), "ratio is nan, but"),
        (("x\ty", 0.5), "ratio is the same in all rows"),
    ],
)
def test_bad_words_are_refused(tmp_path: Path, word, message: str) -> None:
    """EV-2: before a model loads."""
    with pytest.raises(UserError, match=message):
        Wug(data=write(tmp_path / "a.jsonl", word)).check()

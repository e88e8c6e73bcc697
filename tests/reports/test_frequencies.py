"""Word frequencies in trials and demonstrations against surprisal (TND-6)."""

import re

import numpy as np
import pytest
from scipy.stats import spearmanr

from evals.group_folders import write_arm_run
from tutelage.config import UserError
from tutelage.reports.frequencies import (
    Frequencies,
    RankCorrelation,
    correlation,
    read_frequencies,
)
from tutelage.reports.frequency_panels import _scatter, frequency_panels, told
from tutelage.reports.html import page_of
from tutelage.reports.runs import read_run
from tutelage.reports.svg import Stylist

BITS = {"ball": 3.0, "dog": 5.0, "under": 9.0, "sofa": 7.0}
CSV = """token,corpus,trials,demonstrations
Ġball,900,30,40
ball,5,1,2
dog,500,20,0
 under,100,3,0
",",4000,90,80
<script>,1,1,1
"""


def written(folder, name="round_1616", text=CSV):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.csv").write_text(text)
    return folder


def frequencies(trials, bits, corpus=None):
    trials = np.array(trials, dtype=float)
    corpus = np.zeros(len(trials)) if corpus is None else np.array(corpus, dtype=float)
    counts = {"trials": trials, "demonstrations": trials, "corpus": corpus}
    return Frequencies("m", np.array(bits, dtype=float), counts, len(trials))


def test_a_word_is_counted_where_it_is_one_token(tmp_path):
    """TND-6: that with a blank before it first; of a word of several tokens nothing is known."""
    found = read_frequencies(written(tmp_path), "round_1616", BITS)
    assert found is not None
    assert found.bits.tolist() == [3.0, 5.0, 9.0]
    assert found.counts["trials"].tolist() == [30, 20, 3]
    assert found.counts["demonstrations"].tolist() == [40, 0, 0]
    assert found.counts["corpus"].tolist() == [900, 500, 100]
    assert found.num_words == 4


def test_without_a_table_of_that_milestone_there_is_nothing(tmp_path):
    """TND-6."""
    written(tmp_path, "round_8")
    assert read_frequencies(tmp_path, "round_1616", BITS) is None
    assert read_frequencies(tmp_path, "round_8", {}) is None


@pytest.mark.parametrize(
    "text",
    ["token,corpus\nball,1\n", "token,corpus,trials,demonstrations\nball,1,x,2\n",
     "token,corpus,trials,demonstrations\nball,1\n"],
)  # fmt: skip
def test_a_table_that_lacks_counts_is_named(tmp_path, text):
    """X-1."""
    with pytest.raises(UserError, match=r"m\.csv cannot be read: it lacks a token or a count"):
        read_frequencies(written(tmp_path, "m", text), "m", BITS)


def test_correlation_is_that_of_ranks():
    """TND-6: −1 for any fall; with p and n."""
    result = correlation(frequencies([0, 1, 10, 1000, 5000], [9, 8, 5, 4, 1]), "trials")
    assert result is not None
    assert (result.n, result.rho, result.given) == (5, pytest.approx(-1), None)
    assert correlation(frequencies([1, 1, 1, 1], [1, 2, 3, 4]), "trials") is None
    assert correlation(frequencies([1, 2, 3], [1, 2, 3]), "trials") is None


def test_what_the_corpus_explains_is_taken_out():
    """TND-6: the partial correlation is that of what lines leave of the ranks."""
    rng = np.random.default_rng(1)
    corpus = rng.permutation(80)
    trials = corpus + rng.normal(0, 12, 80)
    bits = -corpus + rng.normal(0, 12, 80)
    found = frequencies(trials - trials.min(), bits, corpus)
    result = correlation(found, "trials")
    assert result is not None
    assert result.rho == pytest.approx(spearmanr(trials, bits)[0])  # pyright: ignore

    def left(values):
        ranks, by = (np.argsort(np.argsort(each)) for each in (values, corpus))
        return ranks - np.polyval(np.polyfit(by, ranks, 1), by)

    assert result.given == pytest.approx(np.corrcoef(left(trials), left(bits))[0, 1])
    assert result.rho < -0.4
    assert result.p < 0.001
    assert result.given_p is not None
    assert result.given_p > 0.05
    own = correlation(found, "corpus")
    assert own is not None
    assert own.given is None


def test_a_correlation_is_told_with_its_words():
    """TND-6."""
    found = Frequencies("m", np.zeros(84), {}, 90)
    assert told(found, RankCorrelation(84, -0.4512, 0.0001, -0.1, 0.36)) == (
        "Spearman’s ρ = −0.45 (p < 0.001), n = 84 of 90 words. "
        "Given the frequency in the corpus: ρ = −0.10 (p = 0.360)."
    )
    assert told(found, RankCorrelation(84, 0.2, 0.04, None, None)) == (
        "Spearman’s ρ = 0.20 (p = 0.040), n = 84 of 90 words."
    )
    assert told(found, None).startswith("No correlation")


def test_the_page_has_a_dot_for_each_word_at_the_last_milestone(tmp_path):
    """TND-6: of runs that had trials or demonstrations."""
    path = tmp_path / "run"
    write_arm_run(path)
    written(path / "frequencies", "round_8", "token,corpus,trials,demonstrations\n")
    written(path / "frequencies")
    stylist = Stylist()
    panels = frequency_panels([read_run(path)], stylist)
    assert [panel.name for panel in panels] == ["trials", "demonstrations", "corpus"]
    rules = dict(re.findall(r"^\.(\w+)\{(.*)\}$", stylist.css(), re.MULTILINE))
    (dots,) = (
        tag for tag in re.findall(r"<path[^>]*>", panels[0].plot)
        if "stroke-linecap: round" in rules.get(re.findall(r'class="(\w+)"', tag)[0], "")
    )  # fmt: skip
    places = re.findall(r"M (\S+) (\S+)", dots)
    assert len(places) == 3
    ball, dog, under = ((float(x), float(y)) for x, y in places)
    assert ball[0] > dog[0] > under[0]  # more frequent, further to the right
    assert ball[1] > under[1]  # fewer bits, further down
    page = page_of([read_run(path)])
    assert "Frequency and surprisal at the last milestone" in page
    assert "<script" not in page


def test_many_words_have_a_dot_each():
    """TND-6: 300; none is taken for a part of a line."""
    found = frequencies(range(300), range(300, 0, -1))
    svg = _scatter(found, "trials", Stylist(), name="trials", run=0)
    assert max(path.count(" L ") for path in re.findall(r"<path[^>]*>", svg)) == 300


def test_a_run_that_only_read_has_no_such_charts(tmp_path):
    """TND-6."""
    path = tmp_path / "run"
    write_arm_run(path)
    text = "token,corpus,trials,demonstrations\nĠball,9,0,0\nĠdog,5,0,0\n"
    written(path / "frequencies", text=text)
    assert frequency_panels([read_run(path)], Stylist()) == []

"""Words in reports: which are drawn, how, and what is told of their ages (EV-4, TND-6)."""

import itertools
import json
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from reports.conftest import STEPS, falling, write_result, write_words
from tutelage.config import UserError
from tutelage.reports.curves import Curve, vocabulary_curves
from tutelage.reports.html import page_of
from tutelage.reports.plots import Axis, line_chart
from tutelage.reports.runs import read_run, read_runs
from tutelage.reports.svg import Stylist
from tutelage.reports.word_plots import histogram, learning_curves
from tutelage.reports.words import WordCurve, ages_of, chosen, correlations, reasons, word_curves

AGES = {f"word{number:02}": 0.9 + 0.05 * number for number in range(40)}
ODD = {"flat": lambda x: 9.0, "level": lambda x: 8.0, "worse": lambda x: 4 + 2 * x}
NO_WORDS = {"words": {}, "steps": [], "units": {}, "correlations": []}
FEW = {"early": falling(1.2), "late": falling(2.2), **ODD}


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """A run with two words that have an age and three that have none."""
    return write_words(a_run(tmp_path_factory.mktemp("few") / "few"), FEW, human={"early": 14})


def a_run(path):
    path.mkdir(parents=True)
    (path / "config.yaml").write_text("recipe: pretrain\n")
    return path


def array(*values):
    return np.array(values, dtype=float)


def word_curve(run=0, age: float | None = 1.0, reason="", bits=(10, 6, 2)):
    steps, heights = array(1, 10, 100), array(*bits)
    fitted = steps if age is not None else array()
    return WordCurve(run, steps, heights, fitted, heights[: len(fitted)], age, reason)


def drawn(svg, stylist):
    """The paths in runs' colours, each as its rule and its points."""
    rules = dict(re.findall(r"^\.(\w+)\{(.*)\}$", stylist.css(), re.MULTILINE))
    paths = [
        (rules[path.attrib["class"]], re.findall(r"[ML] (\S+) (\S+)", path.attrib["d"]))
        for path in ET.fromstring(svg).iter("path")
        if "--series" in rules.get(path.attrib.get("class"), "")
    ]
    return [(rule, [(float(x), float(y)) for x, y in points]) for rule, points in paths]


def test_words_are_spread_from_the_first_to_the_last_and_one_stands_for_each_reason(tmp_path):
    """EV-4: twelve of 42, two of which have no age for the same reason."""
    curves = {word: falling(age) for word, age in AGES.items()} | ODD
    run = read_run(write_words(a_run(tmp_path / "run"), curves))
    words = chosen([run], [])
    assert len(words) == 12
    assert words[-2:] == ["flat", "worse"]
    assert words[:-2] == sorted(words[:-2])
    assert (words[0], words[9]) == ("word00", "word39")
    gaps = np.diff([AGES[word] for word in words[:-2]])
    assert gaps == pytest.approx(np.full(9, 0.05 * 39 / 9), abs=0.051)


def test_words_asked_for_are_drawn_in_their_order_and_once(few):
    """EV-4."""
    assert chosen([read_run(few)], ["worse", "early", "worse"]) == ["worse", "early"]


def test_a_word_without_surprisals_is_refused_with_the_nearest_one(few, make_run):
    """X-1."""
    with pytest.raises(UserError, match=r"--words earli: there are no .* Did you mean early\?"):
        chosen([read_run(few)], ["earli"])
    with pytest.raises(UserError, match="Run tutelage eval RUN --suite surprisal first"):
        chosen([read_run(make_run(evals=False))], ["early"])


def test_words_without_ages_are_spread_over_the_last_surprisal(tmp_path):
    """EV-3: surprisals alone make curves, without fits, ages or reasons."""
    curves = {f"w{number:02}": lambda x, n=number: 20 - n - x for number in range(23)}
    run = read_run(write_words(a_run(tmp_path / "run"), curves, ages=False))
    assert chosen([run], []) == [f"w{number:02}" for number in range(22, -1, -2)]
    (curve,) = word_curves("w00", [run])
    assert (curve.age, curve.reason, len(curve.fitted)) == (None, "", 0)
    assert "Learning curves of words" in page_of([run])
    assert "No age" not in page_of([run])


def test_a_curve_has_its_points_its_fit_and_its_age(few):
    """EV-4: step 0 has no place on a logarithmic axis; a curve without a fit says why."""
    run = read_run(few)
    (curve,) = word_curves("early", [run])
    x = np.log10(array(*STEPS[1:]))
    expected = [falling(1.2)(each) for each in x]
    assert curve.steps.tolist() == curve.fit_steps.tolist() == list(STEPS[1:])
    assert curve.bits == pytest.approx(expected)
    assert curve.fitted == pytest.approx(expected, abs=0.05)
    assert curve.age == pytest.approx(1.2, abs=0.02)
    assert curve.reason == ""
    (flat,) = word_curves("flat", [run])
    assert (flat.age, flat.reason) == (None, "surprisal does not fall clearly")
    assert len(flat.fitted) == 0


def test_milestones_that_could_not_measure_a_word_have_no_point(few, tmp_path):
    """EV-3: a surprisal of null, as the suite writes it for a word without a context."""
    run = a_run(tmp_path / "run")
    for step, bits in ((5, 9.0), (6, None), (7, 8.0)):
        row = {"word": "ball", "surprisal": bits}
        result = {"step": step, "measures": {}, "word_surprisals": [row]}
        write_result(run, "surprisal", f"step_{step}", result)
    (curve,) = word_curves("ball", [read_run(run)])
    assert (curve.steps.tolist(), curve.bits.tolist()) == ([5, 7], [9, 8])


def test_each_run_that_measured_a_word_has_its_curve(few, tmp_path):
    """EV-4."""
    other = write_words(a_run(tmp_path / "other"), {"early": falling(1.5)}, ages=False)
    runs = read_runs([few, other])
    assert [curve.run for curve in word_curves("early", runs)] == [0, 1]
    assert [curve.run for curve in word_curves("late", runs)] == [0]


def test_the_age_is_marked_where_it_is_on_the_fitted_curve():
    """EV-4: step 10 is the middle of 1 and 100 on log steps; 6 bits the middle of 10 and 2."""
    stylist = Stylist()
    svg = learning_curves({"ball": [word_curve()]}, stylist, run_names=["r"])["ball"]
    (_, fit), (rule, mark) = (one for one in drawn(svg, stylist) if "fill: none" in one[0])
    assert "stroke-dasharray: 3" in rule
    assert [x for x, _ in mark] == [fit[1][0]] * 2
    assert fit[1][0] == pytest.approx((fit[0][0] + fit[2][0]) / 2, abs=0.1)
    assert fit[1][1] == pytest.approx((fit[0][1] + fit[2][1]) / 2, abs=0.1)
    points = [
        (float(use.attrib["x"]), float(use.attrib["y"])) for use in ET.fromstring(svg).iter("use")
    ]
    assert points == [pytest.approx(point, abs=0.1) for point in fit]
    label = "Learning curve of ball, surprisal by step: r from 10 to 2 bits, age 1.00."
    assert ET.fromstring(svg).attrib["aria-label"] == label


def test_the_whole_fit_is_inside_its_chart():
    """EV-4: a fit may end lower than the points."""
    curve = word_curve()._replace(fitted=array(14, 6, 0.5))
    stylist = Stylist()
    root = ET.fromstring(learning_curves({"ball": [curve]}, stylist, run_names=["r"])["ball"])
    (box,) = root.iter("rect")
    top, height = float(box.attrib["y"]), float(box.attrib["height"])
    _, fit = next(one for one in drawn(ET.tostring(root), stylist) if "fill: none" in one[0])
    assert all(top <= y <= top + height + 0.1 for _, y in fit)


def test_a_word_without_an_age_has_points_alone():
    """EV-4."""
    stylist = Stylist()
    curve = word_curve(age=None, reason="surprisal rises")
    svg = learning_curves({"ball": [curve]}, stylist, run_names=["r"])["ball"]
    assert [rule for rule, _ in drawn(svg, stylist) if "fill: none" in rule] == []
    assert len(list(ET.fromstring(svg).iter("use"))) == 3
    assert "no age (surprisal rises)" in svg


def test_charts_of_words_share_steps_and_have_bits_of_their_own():
    """EV-4: what one word needs changes no other's scale of bits; noise is not blown up."""
    stylist = Stylist()
    words = {"long": [word_curve(bits=(60, 40, 20))], "flat": [word_curve(bits=(9.1, 9, 8.9))]}
    charts = learning_curves(words, stylist, run_names=["r"])
    heights, places = [], []
    for svg in charts.values():
        _, fit = next(one for one in drawn(svg, stylist) if "fill: none" in one[0])
        heights.append(abs(fit[0][1] - fit[2][1]))
        places.append([x for x, _ in fit])
    assert places[0] == places[1]
    assert heights[0] > 100
    # 0.2 of the 4.32 bits that the lowest chart spans.
    assert heights[1] == pytest.approx(117 * 0.2 / 4.32, rel=0.05)


def test_a_chart_of_a_word_does_not_show_the_one_before_it():
    """EV-4."""
    words = {"a": [word_curve(), word_curve(run=1)], "b": [word_curve(age=None)]}
    charts = learning_curves(words, Stylist(), run_names=["r", "s"])
    alone = learning_curves({"b": [word_curve(age=None)]}, Stylist(), run_names=["r", "s"])
    assert charts["b"].count("<use") == alone["b"].count("<use") == 3


def test_a_histogram_counts_ages():
    """EV-4: three ages of 1 and one of 2: bars in the ratio 3 : 1, at their places."""
    stylist = Stylist()
    svg = histogram({0: [1, 1, 1, 2]}, stylist, name="tnd", unit="steps", run_names=["r"])
    ((_, outline),) = drawn(svg, stylist)
    floor = max(y for _, y in outline)
    bars = sorted({round(floor - y) for _, y in outline} - {0})
    assert bars[1] / bars[0] == pytest.approx(3, rel=0.02)
    assert "age (log10 steps)" in svg
    label = "Histogram of ages, tnd: r 4 words from 1.00 to 2.00, median 1.00."
    assert ET.fromstring(svg).attrib["aria-label"] == label


@pytest.mark.parametrize("ages", [[2.5], [1.0, 1.0], [0.3, 6.9], [k / 100 for k in range(400)]])
def test_every_age_is_inside_its_histogram(ages):
    """EV-4: in one bin or many, of few words or many; heights are read against the ticks."""
    stylist = Stylist()
    svg = histogram({0: ages}, stylist, name="n", unit="steps", run_names=["r"])
    ((_, outline),) = drawn(svg, stylist)
    floor = max(y for _, y in outline)
    ticks = [text for text in ET.fromstring(svg).iter("text") if text.attrib["x"] == "34.088"]
    ys = [float(tick.attrib["y"]) for tick in ticks]
    word = (ys[0] - ys[1]) / (float(ticks[1].text) - float(ticks[0].text))
    heights = [floor - y for (x1, y), (x2, _) in itertools.pairwise(outline) if x1 != x2]
    assert sum(heights) / word == pytest.approx(len(ages), rel=0.02)
    assert len(heights) <= 24


def test_histograms_of_several_runs_are_outlines():
    """EV-4: bars would hide each other."""
    stylist = Stylist()
    svg = histogram({0: [1, 2], 8: [1, 3]}, stylist, name="n", unit="steps", run_names=["r"] * 9)
    rules = [rule for rule, _ in drawn(svg, stylist)]
    assert all("fill: none" in rule for rule in rules)
    assert ["--series-0" in rules[0], "--series-1" in rules[1]] == [True, True]
    assert "stroke-dasharray: " in rules[1]


def test_effective_vocabulary_is_a_step_function_from_zero(few):
    """EV-4: level until the next milestone, then up."""
    run, stylist = read_run(few), Stylist()
    curves = vocabulary_curves([run])
    assert curves[0].steps.tolist() == list(STEPS)
    expected = [sum(step >= 10**age for age in (1.2, 2.2)) for step in STEPS]
    assert curves[0].values.tolist() == expected
    axis = Axis("steps", is_log=False)
    svg = line_chart(curves, axis, stylist, name="n", run_names=["r"], is_count=True)
    assert svg is not None
    (line,) = (points for rule, points in drawn(svg, stylist) if "fill: none" in rule)
    # Step 0 and the last one are the ends of the axis; the first word is known at step 16.
    known = next(step for step in STEPS if step >= 10**1.2)
    first = next(x for (x, y), (_, y2) in itertools.pairwise(line) if y != y2)
    share = (first - line[0][0]) / (line[-1][0] - line[0][0])
    assert share == pytest.approx(known / STEPS[-1], abs=0.001)
    moves = [(x2 != x1, y2 != y1) for (x1, y1), (x2, y2) in itertools.pairwise(line)]
    assert (True, True) not in moves
    assert moves.count((False, True)) == 2
    assert "0" in [text.text for text in ET.fromstring(svg).iter("text")]


def test_a_count_is_drawn_from_zero():
    """EV-4: also if the first milestone knows words already."""
    steps, counts = array(1, 2, 3), array(500, 505, 510)
    curve = Curve(0, steps, steps, counts, counts, 0)
    axis, options = Axis("steps", is_log=False), {"name": "n", "run_names": ["r"]}
    for is_count in (True, False):
        svg = line_chart([curve], axis, Stylist(), is_count=is_count, **options)
        ticks = [text.text for text in ET.fromstring(svg or "").iter("text")]
        assert ("0" in ticks) == is_count


def test_words_without_an_age_are_counted_by_reason(few):
    """EV-4."""
    table = reasons([read_run(few)])
    assert table.rows[0] == [
        "tnd",
        "2",
        "3",
        "2: surprisal does not fall clearly; 1: surprisal rises",
    ]
    assert [row[0] for row in table.rows] == ["tnd", "chang_bergen", "babylm_2025"]
    assert all(int(row[1]) + int(row[2]) == 5 for row in table.rows)


def test_correlations_are_told_with_n_and_p(tmp_path):
    """EV-4: rank correlation 1 of four words, and a reason where there are too few."""
    ages = {"a": 0.9, "b": 1.2, "c": 1.8, "d": 2.4}
    curves = {word: falling(age) for word, age in ages.items()}
    known = {"a": 12, "b": 13, "c": 20, "d": 21}
    one = read_run(write_words(a_run(tmp_path / "one"), curves, human=known))
    table = correlations([one])
    assert table is not None
    name, n, pearson, spearman = table.rows[0]
    assert (name, n, spearman) == ("children, tnd", "4", "1.000 (p < 0.001)")
    r = float(pearson.split()[0])
    # t with two degrees of freedom: P(|T| > t) = 1 - t / sqrt(t**2 + 2) = 1 - r
    assert float(re.findall(r"p = (\S+)\)", pearson)[0]) == pytest.approx(1 - r, abs=0.0015)
    few = read_run(write_words(a_run(tmp_path / "few"), curves, human={"a": 1}))
    table = correlations([few])
    assert table is not None
    assert table.rows[0][2] == "– (fewer than three words with different ages)"
    assert correlations([read_run(a_run(tmp_path / "none"))]) is None


def test_the_page_shows_words_ages_and_vocabulary(few, tmp_path):
    """EV-4, X-2: of one run, and of two whose reasons are named with the run."""
    page = page_of([read_run(few)])
    charts = re.findall(r'<span class="key">(.*?)</span>', page)
    assert [chart for chart in charts if chart in FEW] == ["early", "late", "flat", "worse"]
    assert {"tnd", "effective vocabulary", "surprisal"} <= set(charts)
    assert "tnd_words" not in charts
    assert "<b>n = 2 of 5</b>" in page
    assert "No age: surprisal rises.</p>" in page
    assert "Correlation with people’s ages of acquisition" in page
    both = page_of(read_runs([few, write_words(a_run(tmp_path / "b"), FEW)]), ["worse", "late"])
    assert "No age: surprisal rises (few, b)." in both
    charts = re.findall(r'<span class="key">(.*?)</span>', both)
    assert [chart for chart in charts if chart in FEW] == ["worse", "late"]
    assert both.count("<b>n = 2 of 5</b>") >= 2


def test_hostile_words_are_shown_and_not_obeyed(tmp_path):
    """X-2."""
    evil = '</svg></style><script>alert(1)</script> $x_1$ & "'
    run = a_run(tmp_path / "run")
    write_words(run, {evil: falling(1.5), "b": falling(1.7), "c": falling(2)}, human={evil: 3})
    result = json.loads((run / "evals/acquisition/all.json").read_text())
    result["correlations"][0]["human"] = evil
    result["words"]["b"]["tnd"] = {"reason": evil}
    write_result(run, "acquisition", "all", result)
    page = page_of([read_run(run)])
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(1)") >= 4


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("surprisal", {"word_surprisals": [{"word": "a"}]}),
        ("surprisal", {"word_surprisals": 3}),
        ("acquisition", {"words": {"a": {}}, "effective_vocabulary": [], "steps": []}),
        ("acquisition", {**NO_WORDS, "effective_vocabulary": [1]}),
    ],
)
def test_a_result_of_another_form_is_refused_in_one_sentence(tmp_path, name, change):
    """X-2."""
    run = a_run(tmp_path / "run")
    write_result(run, name, "all", {"step": 5, "measures": {}, **change})
    with pytest.raises(UserError, match=r"all\.json cannot be read: its words are not as"):
        read_run(run)


def test_measures_of_acquisition_alone_make_curves_like_any(tmp_path):
    """X-2: another program's result without words."""
    run = a_run(tmp_path / "run")
    write_result(run, "acquisition", "all", {"step": 5, "measures": {"tnd": 2.0}})
    read = read_run(run)
    assert ages_of(read) is None
    assert '<span class="key">tnd</span>' in page_of([read])


def test_words_of_a_run_give_the_same_bytes(few):
    """X-2."""
    assert page_of([read_run(few)]) == page_of([read_run(few)])

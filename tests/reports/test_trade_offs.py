"""Groups compared by last measures in reports: the trade-off of score and diversity (IRL-5)."""

import html
import itertools
import json
import re
import xml.etree.ElementTree as ET

import pytest

from evals.group_folders import write_scored_group
from reports.pages import rows_of, shapes
from tutelage.config import UserError
from tutelage.evals.groups import write_arms
from tutelage.reports.groups import Estimate, read_group
from tutelage.reports.html import write_report
from tutelage.reports.svg import Stylist
from tutelage.reports.trade_off_plot import Mark, trade_off_chart

EVIL = '</svg><script>alert(1)</script><img src=x onerror="alert(1)">&'


def responses(accuracy, alike):
    """Measures of a run."""
    return {"accuracy": accuracy, "rouge_l": 0.5, "self_bleu": alike, "response_tokens": 40.0}


ARMS = {
    "lambda 0": {0: responses(0.50, 0.60), 1: responses(0.54, 0.62)},
    "lambda 0.1": {0: responses(0.60, 0.50), 1: responses(0.62, 0.54)},
    "lambda 1": {0: responses(0.30, 0.40), 1: {"last_step": 500}},
    "sft": {0: None},
}


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    """Three arms, one with an unfinished run, and one that has not begun."""
    folder = write_scored_group(tmp_path_factory.mktemp("group") / "pareto", ARMS)
    write_arms(folder)
    return folder


@pytest.fixture(scope="module")
def page(group, tmp_path_factory):
    """The page about it."""
    out = tmp_path_factory.mktemp("page") / "page.html"
    write_report([group], out)
    return out.read_text()


def test_the_page_says_what_was_stored(page, group):
    """IRL-5: a sentence an arm, and one on the front."""
    stored = json.loads((group / "arms.json").read_text())["sentences"]
    told = re.findall(r"<li>((?:lambda|sft|By means).*?)</li>", page)
    shown = [html.unescape(sentence) for sentence in told if ":" in sentence]
    assert shown == stored
    assert "the front is lambda 1, lambda 0.1:" in page
    assert "Ages of words" not in page


def test_tables_hold_last_measures_and_differences(page):
    """IRL-5: by eval, with intervals over seeds; the baseline's own difference is no row."""
    first, second, third = rows_of(page, "responses, at the last milestone")
    assert first == [
        "lambda 0", "2", "0.52 [0.27, 0.77]", "0.500 [0.500, 0.500]", "0.61 [0.48, 0.74]",
        "40.000 [40.000, 40.000]",
    ]  # fmt: skip
    assert second[2] == "0.61 [0.48, 0.74]"
    assert third[:3] == ["lambda 1", "1", "0.30 (one seed)"]
    gaps = rows_of(page, "Less lambda 0’s, seed by seed", tag="summary")
    assert [row[0] for row in gaps] == ["lambda 0.1", "lambda 1"]
    assert gaps[0][2] == "+0.09 [−0.04, +0.22]"
    assert rows_of(page, "validation, at the last milestone")[0][2] == "2.000 [2.000, 2.000]"


def test_runs_that_do_not_count_are_named(page):
    """IRL-5."""
    assert "Runs: 2 of 7 are left out" in page
    assert "it is not finished: its last milestone is at update 500 of 1,000" in page
    assert "it has not begun" in page


def test_axes_say_which_direction_is_better(page):
    """IRL-5."""
    svg = re.search(r'<svg[^>]*aria-label="Scatter.*?</svg>', page)
    assert svg
    texts = [element.text for element in ET.fromstring(svg[0]).iter("text")]
    assert "better, more diverse ← Self-BLEU → more alike" in texts
    assert "worse ← accuracy → better" in texts
    assert {"lambda 0", "lambda 0.1", "lambda 1"} <= set(texts)
    assert "lambda 0.1 0.52, 0.61; lambda 1 0.4, 0.3. The front is lambda 0.1, lambda 1" in svg[0]


MARKS = [
    Mark("a", 0, Estimate(0.5, 0.4, 0.6, 2, (0.45, 0.55)), Estimate(1, 0, 2, 2, (0.5, 1.5)), True),
    Mark("b", 1, Estimate(0.7, None, None, 1, (0.7,)), Estimate(3, None, None, 1, (3,)), True),
    Mark("c", 2, Estimate(0.8, None, None, 1, (0.8,)), Estimate(2, None, None, 1, (2,)), False),
]


def chart(marks):
    """A picture and what its marks and lines look like."""
    stylist = Stylist()
    svg = trade_off_chart(marks, stylist, x_label="Self-BLEU", y_label="accuracy")
    return svg, stylist


def test_marks_lie_where_means_are():
    """IRL-5: more alike is further right, a better score is further up; seeds around the mean."""
    svg, stylist = chart(MARKS)
    dots = [(float(at["x"]), float(at["y"])) for _, at in shapes(svg, stylist, "use")]
    (low, high, a), (_, b), (_, c) = dots[:3], dots[3:5], dots[5:]
    assert a == pytest.approx([(low[axis] + high[axis]) / 2 for axis in (0, 1)], abs=0.1)
    across, up = (b[0] - a[0]) / 0.2, (a[1] - b[1]) / 2
    assert c == pytest.approx((a[0] + 0.3 * across, a[1] - up), abs=0.2)
    assert across > 0
    assert up > 0


def test_intervals_reach_both_ways_from_the_mean():
    """IRL-5: of one seed there are none."""
    svg, stylist = chart(MARKS)
    bars = [
        re.findall(r"[ML] (\S+) (\S+)", attributes["d"])
        for rule, attributes in shapes(svg, stylist)
        if "stroke-width: 1.6" in rule and "opacity: 0.6" in rule
    ]
    assert len(bars) == 2
    (left, right), (bottom, top) = [[tuple(map(float, end)) for end in bar] for bar in bars]
    assert left[1] == right[1]
    assert bottom[0] == top[0]
    assert (left[0] + right[0]) / 2 == pytest.approx(bottom[0], abs=0.2)
    assert (bottom[1] + top[1]) / 2 == pytest.approx(left[1], abs=0.2)


def test_the_front_is_a_staircase_through_its_marks_alone():
    """IRL-5: right from one to the place of the next, then up to it."""
    svg, stylist = chart(MARKS)
    rules = dict(re.findall(r"^\.(\w+)\{(.*)\}$", stylist.css(), re.MULTILINE))
    [line] = [
        [tuple(map(float, place)) for place in re.findall(r"[ML] (\S+) (\S+)", path.attrib["d"])]
        for path in ET.fromstring(svg).iter("path")
        if "stroke-dasharray" in rules.get(path.attrib.get("class"), "")
    ]
    dots = [(float(at["x"]), float(at["y"])) for _, at in shapes(svg, stylist, "use")]
    a, b = dots[2], dots[4]
    corner = (b[0], a[1])
    for place in (a, corner, b):
        assert min(abs(x - place[0]) + abs(y - place[1]) for x, y in line) < 0.3
    assert all(x <= y for x, y in itertools.pairwise(x for x, _ in line))
    assert all(x >= y for x, y in itertools.pairwise(y for _, y in line))


def test_arms_beside_the_front_are_hollow():
    """IRL-5."""
    svg, stylist = chart(MARKS)
    rules = dict(re.findall(r"^\.(\w+)\{(.*)\}$", stylist.css(), re.MULTILINE))
    outlined = [
        rules[element.attrib["class"]]
        for element in ET.fromstring(svg).iter("use")
        if "stroke-width: 1.6" in rules.get(element.attrib.get("class", ""), "")
    ]
    assert len(outlined) == 3
    assert "fill: var(--series-0)" in outlined[0]
    assert "fill: var(--series-1)" in outlined[1]
    assert "fill-opacity: 0" in outlined[2]


def test_arms_at_one_place_make_a_chart():
    """IRL-5: a task that no arm learns."""
    nothing = Estimate(0.0, 0.0, 0.0, 2, (0.0, 0.0))
    marks = [Mark(name, 0, nothing, nothing, True) for name in ("one", "two")]
    svg, _ = chart(marks)
    assert {"one", "two"} <= {element.text for element in ET.fromstring(svg).iter("text")}


def test_without_a_score_there_are_tables_alone(tmp_path):
    """IRL-5."""
    group = write_scored_group(tmp_path / "g", {"a": {0: {"ended": 1.0}}, "b": {0: {"ended": 0.5}}})
    write_arms(group)
    write_report([group], tmp_path / "p.html")
    page = (tmp_path / "p.html").read_text()
    assert "Scatter chart" not in page
    assert "Upper left is better" not in page
    assert rows_of(page, "responses, at the last milestone")[1] == ["b", "1", "0.50 (one seed)"]


def test_names_of_arms_are_shown_and_not_obeyed(tmp_path):
    """X-2."""
    group = write_scored_group(tmp_path / "g", {"a": {0: responses(0.5, 0.5)}})
    rows = [{"arm": EVIL, "seed": 0, "run": "a-seed0"}]
    (group / "group.json").write_text(json.dumps({"recipe": "irl", "arms": rows}))
    write_arms(group)
    write_report([group], tmp_path / "p.html")
    page = (tmp_path / "p.html").read_text()
    assert "&lt;script" in page
    assert "<script" not in page
    assert "<img" not in page
    for svg in re.findall(r"<svg.*?</svg>", page):
        ET.fromstring(svg)


@pytest.mark.parametrize(
    "content",
    [
        '{"baseline": "a", "arms": {}, "left_out": [], "trade_off": {}}',
        '{"baseline": "a", "arms": {}, "left_out": [], "trade_off": 1, "sentences": []}',
    ],
)
def test_a_result_that_was_tampered_with_is_named(tmp_path, content):
    """X-1."""
    group = write_scored_group(tmp_path, {"a": {0: responses(0.5, 0.5)}})
    (group / "arms.json").write_text(content)
    with pytest.raises(UserError, match=r"arms\.json cannot be read"):
        read_group(group)

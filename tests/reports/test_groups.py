"""Groups of runs in reports: arms side by side (TND-5, TND-6)."""

import html
import json
import re
import xml.etree.ElementTree as ET

import pytest

from evals.group_folders import write_arm_run, write_group
from reports.conftest import write_lines
from reports.pages import rows_of, shapes
from tutelage.config import UserError
from tutelage.evals.groups import write_arms
from tutelage.reports.arm_plots import Dots, Line, band_chart, dot_chart
from tutelage.reports.arms import arms_section, told
from tutelage.reports.groups import Band, Estimate, group_in, read_group
from tutelage.reports.html import write_report
from tutelage.reports.svg import Stylist

EVIL = '</svg></style><script>alert(1)</script><img src=x onerror="alert(1)">&'
ARMS = {
    "clm": {0: {}, 1: {"shift": 0.06}},
    "tnd": {
        0: {"shift": -0.2, "words_a_round": 200},
        1: {"shift": -0.16, "words_a_round": 200},
        2: {"ended": 800, "planned": 1616},
    },
    "late": {0: None},
}


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """A group of two arms with two seeds each, an unfinished run, and an arm that has not begun."""
    folder = write_group(tmp_path_factory.mktemp("group") / "sweep", ARMS)
    rows = [{"step": step, "budget/read_words": 50 * step, "a/loss": 1.0} for step in range(1, 9)]
    write_lines(folder / "tnd-seed0" / "metrics.jsonl", rows)
    write_arms(folder)
    return folder


@pytest.fixture(scope="module")
def page(compared, tmp_path_factory):
    """The page about it."""
    out = tmp_path_factory.mktemp("page") / "page.html"
    write_report([compared], out)
    return out.read_text()


def test_the_page_says_who_is_earlier_on_each_axis(page, compared):
    """TND-6: the sentences that were stored, and no others."""
    axes = json.loads((compared / "arms.json").read_text())["arms"]["tnd"]["axes"]
    told = re.findall(r"<li>(On equal .*?)</li>", page)
    expected = [axes[axis]["sentence"] for axis in ("steps", "words", "updates")]
    assert [html.unescape(sentence) for sentence in told] == expected
    assert "On equal steps, tnd is earlier than clm by 0.21 log10 steps" in page
    assert "<h1>sweep</h1>" in page
    assert "2 arms, 6 runs." in page


def test_tables_hold_ages_and_differences_with_intervals(page, compared):
    """TND-5."""
    steps = json.loads((compared / "arms.json").read_text())["arms"]["tnd"]["axes"]["steps"]
    clm, tnd = rows_of(page, "Ages of words in log10 steps")
    assert clm[:3] == ["clm", "2", "3"]
    assert clm[4] == clm[6] == "–"
    gap = steps["difference"]["half"]
    expected = f"−{-gap['mean']:.2f} [−{-gap['low']:.2f}, −{-gap['high']:.2f}]"
    assert tnd[:3] == ["tnd", "2", "3"]
    assert tnd[4] == expected
    assert tnd[3].startswith(f"{steps['ages']['half']['mean']:.2f} [")
    assert rows_of(page, "Words acquired")[0] == ["clm", "2", "3", "3", "0", "0"]


def test_runs_that_do_not_count_are_named(page):
    """TND-5."""
    assert "Runs: 2 of 6 are left out" in page
    assert "it is not finished: its last milestone is at update 662 of 1,616" in page
    assert "it has not begun" in page


def test_one_run_stands_for_each_arm_below(page):
    """X-2: the first that counts; curves are drawn over steps only, to keep the page small."""
    assert "clm is clm-seed0, tnd is tnd-seed0." in re.sub(r"\s+", " ", page)
    assert '<span class="key">a/loss</span>' in page
    assert "by-words" not in re.sub("<style>.*?</style>", "", page, flags=re.DOTALL)
    assert '<div class="plot words' not in page


def test_vocabulary_stands_over_steps_and_over_words_side_by_side(page):
    """TND-6."""
    names = re.findall(
        r'<span class="key">(effective vocabulary.*?|mean surprisal.*?)</span>', page
    )
    assert names == [
        "effective vocabulary, over steps", "effective vocabulary, over words seen",
        "mean surprisal, bits, over steps", "mean surprisal, bits, over words seen",
    ]  # fmt: skip
    assert 'aria-label="Dot chart of perplexity: clm 20; tnd 20."' in page


def test_names_of_arms_are_shown_and_not_obeyed(tmp_path):
    """X-2."""
    run = EVIL.replace("/", "")
    group = write_group(tmp_path / "group", {"clm": {0: {}}})
    write_arm_run(group / run, shift=-0.1)
    rows = [{"arm": "clm", "seed": 0, "run": "clm-seed0"}, {"arm": EVIL, "seed": 0, "run": run}]
    (group / "group.json").write_text(json.dumps({"arms": rows}))
    write_arms(group)
    out = tmp_path / "p.html"
    write_report([group], out)
    page = out.read_text()
    assert html.escape(EVIL)[:40] in page or "&lt;/svg&gt;" in page
    assert "<script" not in page
    assert "<img" not in page
    assert page.count("</style>") == 1
    for svg in re.findall(r"<svg.*?</svg>", page):
        ET.fromstring(svg)


def test_a_group_that_was_not_compared_shows_its_runs(tmp_path):
    """X-2."""
    group = write_group(tmp_path / "group", {"clm": {0: {}}, "tnd": {0: {}}})
    write_report([group], tmp_path / "p.html")
    page = (tmp_path / "p.html").read_text()
    assert "The arms have not been compared yet" in page
    assert "not compared yet</td>" in page


def test_one_seed_and_one_arm_make_a_page(tmp_path):
    """TND-5: no interval, no difference."""
    group = write_group(tmp_path / "group", {"tnd": {0: {}}})
    write_arms(group)
    section = arms_section(read_group(group), Stylist())
    assert section.sentences == []
    assert section.differences == []
    assert section.tables[0].rows.rows[0][3].endswith("(one seed)")
    write_report([group], tmp_path / "p.html")


def test_the_first_run_that_counts_stands_for_its_arm(tmp_path):
    """TND-5: an unfinished one only if there is no other."""
    unfinished = {"ended": 800, "planned": 1616}
    group = write_group(tmp_path, {"clm": {0: unfinished, 1: {}}, "tnd": {0: unfinished}})
    write_arms(group)
    runs = read_group(group).runs
    assert [(run.name, run.path.name) for run in runs] == [
        ("clm", "clm-seed1"), ("tnd", "tnd-seed0"),
    ]  # fmt: skip


def test_a_group_is_shown_alone(compared, make_run):
    """X-1."""
    assert group_in([compared, compared]) == compared
    assert group_in([make_run()]) is None
    with pytest.raises(UserError, match="a page shows one group alone"):
        group_in([make_run("second"), compared])


def test_a_group_that_has_not_begun_is_refused(tmp_path):
    """X-1."""
    with pytest.raises(UserError, match=r"None of the runs of .* has begun"):
        read_group(write_group(tmp_path, {"clm": {0: None}}))


@pytest.mark.parametrize("content", ["{", "[]", '{"arms": {"clm": {}}}', '{"arms": {"clm": 1}}'])
def test_a_result_that_was_tampered_with_is_named(tmp_path, content):
    """X-1."""
    group = write_group(tmp_path, {"clm": {0: {}}})
    (group / "arms.json").write_text(content)
    with pytest.raises(UserError, match=r"arms\.json cannot be read"):
        read_group(group)


@pytest.mark.parametrize(
    ("estimate", "is_difference", "text"),
    [
        (Estimate(1.934, 1.851, 2.012, 3), False, "1.93 [1.85, 2.01]"),
        (Estimate(-0.1204, -0.19, 0.05, 3), True, "−0.12 [−0.19, +0.05]"),
        (Estimate(-0.1204, -0.123, -0.118, 3), True, "−0.120 [−0.123, −0.118]"),
        (Estimate(1234.5, 1200, 1300, 2), False, "1,234.5 [1,200, 1,300]"),
        (Estimate(2.5, None, None, 1), False, "2.50 (one seed)"),
        (Estimate(-0.02, -0.5, 0.46, 2), False, "−0.02 [−0.50, 0.46]"),
        (None, False, "–"),
    ],
)
def test_a_mean_is_told_with_its_interval(estimate, is_difference, text):
    """TND-5."""
    assert told(estimate, is_difference=is_difference) == text


def test_a_difference_of_nothing_has_no_sign_of_less():
    """X-2: −0.002 is told as +0.00."""
    assert told(Estimate(-0.002, None, None, 1), is_difference=True) == "+0.00 (one seed)"


def test_dots_lie_in_the_middle_of_their_intervals():
    """TND-5: two arms, two estimates each; seeds are faint dots."""
    rows = [
        Dots("one", 0, [Estimate(-2, -3, -1, 2, (-2.5, -1.5)), Estimate(-1, -2, 0, 2)]),
        Dots("two", 1, [Estimate(1, None, None, 1, (1.0,)), Estimate(2, None, None, 1)]),
    ]
    stylist = Stylist()
    options = {"name": "n", "x_label": "x", "is_difference": True}
    svg = dot_chart(rows, stylist, **options)
    lines = [
        [float(x) for x in re.findall(r"[ML] (\S+) \S+", attributes["d"])]
        for rule, attributes in shapes(svg, stylist)
        if "stroke-width: 1.6" in rule
    ]
    intervals = [line for line in lines if len(line) == 2 and line[0] != line[1]]
    dots = [float(at["x"]) for _, at in shapes(svg, stylist, "use")]
    assert len(intervals) == 2
    assert len(dots) == 2 + 4 + 1
    means = [dots[2], dots[3]]
    assert means == pytest.approx([sum(line) / 2 for line in intervals], abs=0.2)
    unit = (intervals[0][1] - intervals[0][0]) / 2
    assert dots[-1] - dots[2] == pytest.approx(4 * unit, abs=0.4)
    assert "one -2, -1; two 1, 2" in svg
    assert [e.text for e in ET.fromstring(svg).iter("text")][-2:] == ["one", "two"]


def test_an_enormous_interval_does_not_flatten_the_rest():
    """TND-5: two seeds can have an interval a hundred times as long as their distance."""
    rows = [Dots("one", 0, [Estimate(0.1, -99, 99, 2, (0.0, 0.2))])]
    stylist = Stylist()
    svg = dot_chart(rows, stylist, name="n", x_label="x", is_difference=False)
    dots = sorted(float(at["x"]) for _, at in shapes(svg, stylist, "use"))
    assert dots[-1] - dots[0] > 60  # of 331 points


def test_bands_need_a_place_above_0_and_several_seeds():
    """TND-6: one seed is a line; without a place on a logarithmic axis there is no chart."""
    one = Line("one", 0, Band([0, 1, 10], [0, 1, 2], [None] * 3, [None] * 3))
    two = Line("two", 1, Band([1, 10], [1, 2], [0.5, 1.5], [1.5, 2.5]))
    options = {"name": "n", "x_label": "steps", "is_count": True}
    found = []
    for lines in ([one], [one, two]):
        stylist = Stylist()
        svg = band_chart(lines, stylist, **options)
        assert svg is not None
        drawn = ["stroke-width: 1.7" in rule for rule, _ in shapes(svg, stylist)]
        found.append((sum(drawn), "fill-opacity: 0.16" in stylist.css()))
    assert found == [(1, False), (2, True)]
    nowhere = Line("none", 0, Band([], [], [], []))
    assert band_chart([nowhere], Stylist(), **options) is None


def test_a_vocabulary_that_stays_empty_has_no_chart():
    """TND-6: beside an arm that learns some words, it is a line at 0."""
    empty = Line("one", 0, Band([1, 10], [0.0, 0.0], [None] * 2, [None] * 2))
    some = Line("two", 1, Band([1, 10], [0.0, 2.0], [None] * 2, [None] * 2))
    options = {"name": "n", "x_label": "steps", "is_count": True}
    assert band_chart([empty, empty], Stylist(), **options) is None
    assert "one from 0 to 0; two from 0 to 2" in (
        band_chart([empty, some], Stylist(), **options) or ""
    )


def test_sentences_on_many_arms_are_closed_but_for_the_first(tmp_path):
    """TND-5: three sentences an arm, arm by arm."""
    arms = {name: {0: {}} for name in ("a", "b", "clm", "d", "e")}
    group = write_group(tmp_path, arms)
    write_arms(group)
    section = arms_section(read_group(group), Stylist())
    of = [re.findall(r"^On [a-z ]+, (\w+) is ", told)[0] for told in section.sentences]
    assert of == ["a"] * 3 + ["b"] * 3 + ["d"] * 3
    assert [sentence.split(", ")[0] for sentence in section.further] == [
        "On equal steps", "On equal words seen", "On equal optimiser updates",
    ]  # fmt: skip

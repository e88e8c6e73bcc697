"""Cards of reward and age models in reports (RM-2, TND-4, R11)."""

import json
import re
import xml.etree.ElementTree as ET
from types import SimpleNamespace

import pytest

from tutelage.config import UserError
from tutelage.evals.age_card import age_card
from tutelage.evals.pair_card import pair_card
from tutelage.reports.card_plots import (
    Accuracy,
    accuracy_chart,
    age_chart,
    calibration_chart,
    margin_histogram,
)
from tutelage.reports.card_results import Bin, Margins, StepAges
from tutelage.reports.html import page_of
from tutelage.reports.runs import read_run, read_runs
from tutelage.reports.svg import Stylist, colour_of
from tutelage.reports.tables import wilson
from tutelage.run_folder import RunFolder

HOSTILE = "<script>alert('x')</script> & </td></table>"


def a_run(path, *, margins=None, ages=False, subsets=("",), step=10, text=HOSTILE):
    """A run folder with cards as the recipe stores them."""
    folder = RunFolder(path)
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.yaml").write_text("recipe: reward\n")
    if margins is not None:
        n = len(margins)
        names = [subsets[i % len(subsets)] for i in range(n)]
        pairs = [SimpleNamespace(prompt=text, chosen=text, rejected=text, subset=s) for s in names]
        lengths = [(i % 7 + 1, i % 5 + 1) for i in range(n)]
        baselines = {
            "length": [float(a - b) for a, b in lengths],
            "bag_of_words": [1.0 if i % 3 else -1.0 for i in range(n)],
        }
        card = pair_card(pairs, margins, [0.0] * n, lengths, baselines)
        folder.write_eval("reward-card", f"step_{step}", {"step": step, **card})
    if ages:
        steps = [1, 2, 4, 8] * 5
        predicted = [0.2, 0.9, 2.1, 2.8] * 4 + [0.0, 1.0, 2.0, 2.0]
        baselines = {"length": [1.0, 1.5] * 10, "train_mean": [1.5] * 20}
        card = age_card(steps, predicted, [text] * 20, baselines)
        folder.write_eval("age-card", f"step_{step}", {"step": step, **card})
    return path


def page(*paths):
    return page_of(read_runs(list(paths)))


def bars(svg, stylist, variable):
    """The widths of what is filled with a colour of the page, in points."""
    rules = dict(re.findall(r"^\.(\w+)\{(.*)\}$", stylist.css(), re.MULTILINE))
    found = []
    for path in ET.fromstring(svg).iter("path"):
        rule = rules.get(path.attrib.get("class", ""), "")
        if f"fill: var({variable})" in rule:
            points = [float(x) for x, _ in re.findall(r"[ML] (\S+) (\S+)", path.attrib["d"])]
            found.append(max(points) - min(points))
    return found


def heights(svg, stylist, variable):
    """The heights of what is filled with a colour of the page, in points."""
    rules = dict(re.findall(r"^\.(\w+)\{(.*)\}$", stylist.css(), re.MULTILINE))
    found = []
    for path in ET.fromstring(svg).iter("path"):
        if f"fill: var({variable})" in rules.get(path.attrib.get("class", ""), ""):
            points = [float(y) for _, y in re.findall(r"[ML] (\S+) (\S+)", path.attrib["d"])]
            found.append(max(points) - min(points))
    return found


def test_the_page_shows_verdicts_charts_and_examples(tmp_path):
    """RM-2: in place of the bars that every other eval gets, and of curves of one point."""
    margins = [0.01, 2.0, -3.0, 0.0] * 20
    found = page(a_run(tmp_path / "run", margins=margins, subsets=("harmless", "helpful")))
    assert re.findall(r'<span class="key">(.*?)</span>', found) == [
        "accuracy", "margins", "calibration", "accuracy by subset",
    ]  # fmt: skip
    verdicts = re.findall(r"<li>(Does not beat .*?|Beats .*?)</li>", found)
    card = json.loads((tmp_path / "run/evals/reward-card/step_10.json").read_text())
    assert verdicts == [row["verdict"] for row in card["baselines"]]
    assert "20 wrong · 20 ties · 40 right" in found
    assert f"ECE {card['measures']['ece']:.3f}" in found
    assert "The 10 pairs that are decided wrongly by the largest margins" in found
    assert found.count('class="text prompt"') == 10
    low, high = wilson(0.625, 80)
    assert f"<td>0.625</td><td>{low:.3f} to {high:.3f}</td>" in found
    assert "Last milestone, with 95 % intervals" not in found
    assert "reward-card accuracy 0.625" in found


def test_ages_have_their_chart_and_table(tmp_path):
    """TND-4."""
    found = page(a_run(tmp_path / "run", ages=True))
    assert "Beats length: a mean squared error of" in found
    assert "predicted and true age" in found
    assert "over 4 checkpoints: 1.000" in found
    measures = json.loads((tmp_path / "run/evals/age-card/step_10.json").read_text())["measures"]
    bounds = [f"{measures[f'spearman_{end}']:.3f}" for end in ("low", "high")]
    assert f"over texts: 95 % interval {' to '.join(bounds)}" in found
    assert re.search(
        r'<th scope="row">model</th><td>0\.\d+</td><td>0\.9\d+</td><td>0\.9\d+</td>', found
    )
    assert '<th scope="row">train mean</th><td>1.250</td><td>0.000</td><td>–</td>' in found
    assert "The 10 texts whose ages are missed by most" in found


def test_hostile_texts_and_names_are_shown_as_texts(tmp_path):
    """X-2: in texts, subsets and descriptions of charts."""
    path = a_run(tmp_path / "run", margins=[-1.0] * 4, ages=True, subsets=(HOSTILE, 'a"b<i>'))
    found = page(path)
    assert "<script" not in found
    assert "<i>" not in found
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &lt;/td&gt;" in found
    assert re.search(r"<text[^>]*>a\"b&lt;i&gt;  \(n = 2\)</text>", found)


def test_runs_have_cards_side_by_side_and_each_its_last_milestone(tmp_path):
    """X-2: with several milestones, curves too."""
    one = a_run(tmp_path / "one", margins=[1.0, -1.0])
    a_run(tmp_path / "two", margins=[-1.0] * 3, step=5)
    two = a_run(tmp_path / "two", margins=[1.0, -1.0, 1.0], step=20)
    found = page(one, two)
    assert re.findall(r"<h4>(.*?)</h4>", found) == ["one", "two"]
    asides = re.findall(r'<span class="aside">(n = .*?)</span>', found)
    assert asides == ["n = 2", "n = 3"]
    assert found.count("plot steps linear") == 12
    assert page(one).count("plot steps linear") == 0


@pytest.mark.parametrize("margins", [[1.0], [-1.0], [0.0] * 9, [1e30, -1e30], [1e-30] * 30])
def test_extreme_cards_are_drawn(tmp_path, margins):
    """X-3: one pair, all ties, huge and tiny margins."""
    found = page(a_run(tmp_path / "run", margins=margins, text=""))
    assert ("All pairs are ties" in found) == (margins[0] == 0)
    assert ("decided wrongly" in found) == (min(margins) < 0)
    assert "nan" not in "".join(re.findall(r"<svg.*?</svg>", found))


def test_thirty_subsets_take_four_charts(tmp_path):
    """RM-3: none is left out."""
    names = [f"subset-{i}" for i in range(30)]
    found = page(a_run(tmp_path / "run", margins=[1.0, -1.0] * 30, subsets=names))
    assert found.count(">accuracy by subset<") == 4
    assert len(set(re.findall(r">(subset-\d+)  \(n = 2\)</text>", found))) == 30


def test_bars_are_as_long_as_accuracies():
    """R11: the chart is from 0 to 1, 0.975 of its width."""
    stylist = Stylist()
    groups = {
        "model": [Accuracy(0.8, 50, colour_of(0))],
        "length": [Accuracy(0.4, 50, colour_of(1))],
    }
    svg = accuracy_chart(groups, stylist, name="accuracy")
    (model,), (length,) = (bars(svg, stylist, f"--series-{i}") for i in (0, 1))
    assert model / length == pytest.approx(2, abs=0.01)
    assert model == pytest.approx(0.8 * 0.975 * 4.6 * 72, abs=0.5)
    assert 'aria-label="Bar chart of accuracy: model 0.800; length 0.400."' in svg


def test_wrong_margins_are_on_the_left_and_in_another_colour():
    """R11."""
    stylist = Stylist()
    svg = margin_histogram(Margins([-1.0, 0.0, 1.0, 2.0], [3, 6, 9], 2, 1, 4), stylist)
    assert svg is not None
    (wrong,), right = heights(svg, stylist, "--series-1"), heights(svg, stylist, "--series-2")
    assert [height / wrong for height in right] == pytest.approx([2, 3], abs=0.01)
    assert "4 wrong, 2 ties, 19 right" in svg
    assert margin_histogram(Margins([], [], 5, 0, 0), stylist) is None


def test_charts_of_calibration_and_ages_tell_their_numbers():
    """R11, TND-4: to those who can't see them."""
    stylist = Stylist()
    svg = calibration_chart([Bin(20, 0.6, 0.5), Bin(20, 0.9, 1.0)], stylist, colour=colour_of(0))
    assert "Calibration: 0.60 sure, 0.50 right; 0.90 sure, 1.00 right." in svg
    rows = [StepAges(1, 4, 0.5, 0.0, 1.0), StepAges(8, 4, 2.5, 2.0, 3.0)]
    svg = age_chart(rows, stylist, colour=colour_of(0))
    assert "Predicted log2 step by true step: step 1 0.50; step 8 2.50." in svg


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        (
            "histogram",
            {"edges": [0, 1], "counts": [1, 2], "ties": 0, "below": 0, "above": 0},
            "fit",
        ),
        ("worst", [{"prompt": "p"}], "no 'subset'"),
        ("baselines", 3, "not iterable"),
        ("calibration", [{"n": 1, "confidence": 0.5, "accuracy": 7}], "not between 0 and 1"),
        ("counts", {"accuracy": 0}, "of no pairs"),
    ],
)
def test_a_broken_card_is_refused_with_its_path(tmp_path, field, value, reason):
    """X-2."""
    path = a_run(tmp_path / "run", margins=[1.0, -1.0])
    file = path / "evals/reward-card/step_10.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), field: value}))
    with pytest.raises(UserError, match=rf"step_10\.json cannot be read: its card .*{reason}"):
        read_run(path)


def test_measures_alone_are_drawn_as_those_of_any_eval(tmp_path):
    """X-2: a result of that name that another program wrote."""
    path = a_run(tmp_path / "run")
    result = {"step": 1, "measures": {"accuracy": 0.5}, "counts": {"accuracy": 8}}
    RunFolder(path).write_eval("reward-card", "step_1", result)
    assert "Last milestone, with 95 % intervals" in page(path)
    assert 'class="verdicts' not in page(path)

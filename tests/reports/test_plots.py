import re
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pytest

from tutelage.reports.curves import Curve
from tutelage.reports.plots import Axis, Bar, bar_chart, line_chart
from tutelage.reports.svg import Stylist
from tutelage.reports.thinning import smoothed

LINEAR, LOG = Axis("steps", False), Axis("steps", True)


def curve(values, run=0, first_step=1):
    values = np.array(values, dtype=float)
    steps = np.arange(len(values), dtype=float) + first_step
    return Curve(run, steps, steps * 10, values, smoothed(values), 0)


def chart(curves, axis=LINEAR, stylist=None, name="a/loss"):
    svg = line_chart(curves, axis, stylist or Stylist(), name=name, run_names=["r0", "r1"])
    assert svg is not None
    return ET.fromstring(svg)


def texts(root):
    return [element.text for element in root.iter("text")]


def lines(root, stylist):
    """The classes of drawn lines, as rules."""
    rules = dict(re.findall(r"^\.(\w+)\{(.*)\}$", stylist.css(), re.MULTILINE))
    drawn = [rules[e.attrib["class"]] for e in root.iter("path") if "class" in e.attrib]
    return [rule for rule in drawn if "--series" in rule]


def test_the_same_data_gives_the_same_bytes():
    """X-2."""
    noisy = np.random.default_rng(0).normal(size=500)

    def once():
        stylist = Stylist()
        svgs = [line_chart([curve(noisy)], LINEAR, stylist, name="n", run_names=["r"])]
        return [
            *svgs,
            bar_chart({"a": [Bar(0, 0.5, (0.4, 0.6))]}, stylist, name="n"),
            stylist.css(),
        ]

    assert once() == once()


def test_a_chart_does_not_depend_on_those_before_it():
    """X-2."""
    last = curve([1, 2, 3], run=1)
    used = Stylist()
    for values, axis in (([1e6, 1, 2, 3, 4], LOG), ([-5, 5], LINEAR)):
        chart([curve(values)], axis, used)
    assert texts(chart([last], stylist=used)) == texts(chart([last], stylist=Stylist()))
    first, second = (
        [path.attrib["d"] for path in chart([last], stylist=stylist).iter("path")]
        for stylist in (used, Stylist())
    )
    assert first == second


def test_charts_hold_no_style_date_or_foreign_name():
    """X-2."""
    stylist = Stylist()
    svg = line_chart([curve([1, 2, 3])], LINEAR, stylist, name="n", run_names=["r"])
    assert svg is not None
    for unwanted in ("style", "metadata", "http", "xmlns", "DejaVu", "#0000"):
        assert unwanted not in svg + stylist.css()


def test_charts_of_one_page_share_no_identity_and_every_reference_has_its_target():
    """X-2."""
    stylist = Stylist()
    roots = [chart([curve([1, 2, 3])], stylist=stylist) for _ in range(2)]
    identities = [e.attrib["id"] for root in roots for e in root.iter() if "id" in e.attrib]
    assert len(identities) == len(set(identities)) > 0
    used = set(
        re.findall(r"#([\w-]+)", " ".join(ET.tostring(r, encoding="unicode") for r in roots))
    )
    assert used == set(identities)


def test_matplotlib_is_left_as_it_was():
    """X-2."""
    before = dict(matplotlib.rcParams)
    chart([curve([1, 2, 3])])
    assert dict(matplotlib.rcParams) == before


def test_every_run_keeps_its_colour_and_the_eighth_is_dashed():
    """X-2."""
    stylist = Stylist()
    curves = [curve([1, 2, 3], run=run) for run in (1, 7, 8)]
    svg = line_chart(curves, LINEAR, stylist, name="n", run_names=[f"r{i}" for i in range(9)])
    assert svg is not None
    rules = [r for r in lines(ET.fromstring(svg), stylist) if "fill: none" in r]
    assert ["var(--series-1)" in rule for rule in rules] == [True, False, True]
    assert "var(--series-0)" in rules[1]
    solid = [bool(re.search(r"stroke-dasharray: \d", rule)) for rule in rules]
    assert solid == [False, True, True]


def test_a_noisy_metric_is_drawn_raw_and_smoothed():
    """X-2."""
    noisy = curve(np.random.default_rng(0).normal(size=500))
    for one, count in ((noisy, 2), (curve(np.arange(500)), 1)):
        stylist = Stylist()
        assert len(lines(chart([one], stylist=stylist), stylist)) == count


def test_a_spike_survives_thinning():
    """X-2."""
    values = np.zeros(20_000)
    values[7_001] = 0.3
    line = max(chart([curve(values)]).iter("path"), key=lambda e: len(e.attrib["d"]))
    heights = [float(y) for y in re.findall(r"[ML] \S+ (\S+)", line.attrib["d"])]
    assert max(heights) - min(heights) > 100


def test_ten_thousand_rows_take_no_more_than_their_share():
    """X-2."""
    noisy = curve(np.random.default_rng(0).normal(size=10_000))
    svg = line_chart([noisy], LINEAR, Stylist(), name="n", run_names=["r"])
    assert svg is not None
    assert len(svg) < 45_000


def test_a_log_axis_leaves_out_step_zero():
    """TND-6."""
    root = chart([curve(range(5, 2005), first_step=0)], LOG)
    assert "step (log scale)" in texts(root)
    assert line_chart([curve([1], first_step=0)], LOG, Stylist(), name="n", run_names=["r"]) is None


def test_a_metric_over_decades_gets_a_log_scale():
    """X-2."""
    assert {"1", "100"} <= set(texts(chart([curve([5000, 90, 1, 1.5, 2])])))
    assert {"1", "2", "5", "10", "20"} <= set(texts(chart([curve([20, 1, 1, 1, 1])])))
    assert "100" not in texts(chart([curve([-5000, 90, 1, 1.5, 2])]))


def test_one_point_and_equal_points_are_drawn():
    """X-2."""
    chart([curve([3.0])])
    chart([curve([0.0, 0.0, 0.0])])
    chart([curve([1e-300, 1e300])])


def test_ticks_are_short():
    """X-2."""
    assert {"0", "500", "1.5k"} <= set(texts(chart([curve(range(1500))])))
    assert {"1e-5", "3e-5"} <= set(texts(chart([curve([0, 5e-5, 3e-5])])))
    root = chart([curve([1, 2e6])])
    assert {"1M", "500k"} <= set(texts(root))


def test_charts_are_described_in_words():
    """X-2."""
    root = chart([curve([9, 4, 3.5]), curve([8, 2], run=1)], name='<b>"&')
    assert root.attrib["role"] == "img"
    label = 'Line chart of <b>"& by step: r0 from 9 to 3.5; r1 from 8 to 2.'
    assert root.attrib["aria-label"] == label


@pytest.mark.parametrize("name", ["$x_1$ and $", "</svg><script>", "字 𝕏 \u202e", "a\nb\x0c"])
def test_any_measure_can_have_a_bar(name):
    """EV-2."""
    svg = bar_chart({name: [Bar(0, 0.5, (0.4, 0.6))]}, Stylist(), name="e")
    assert "<script" not in svg
    if "\x0c" not in name:
        assert name in texts(ET.fromstring(svg))


def test_bars_are_drawn_for_every_run():
    """EV-2."""
    stylist = Stylist()
    bars = {"a": [Bar(0, 0.5, (0.4, 0.6)), Bar(1, 0.7, (0.6, 0.8))], "b": [Bar(1, 0.2, (0.1, 0.3))]}
    root = ET.fromstring(bar_chart(bars, stylist, name="e"))
    rules = [rule for rule in lines(root, stylist) if "fill: var" in rule]
    assert ["--series-0" in rule for rule in rules] == [True, False, False]
    assert root.attrib["aria-label"] == "Bar chart of e: a 0.500, 0.700; b 0.200."


def test_a_chart_of_zeros_may_follow_one_over_decades():
    """X-2: the axes are used again; a logarithmic scale of the chart before stays with it."""
    stylist = Stylist()
    chart([curve([1e-3, 1e-3, 1e-3, 5.0])], stylist=stylist)
    assert "0" in texts(chart([curve([0.0, 0.0, 0.0])], stylist=stylist))

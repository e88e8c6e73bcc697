"""What a report shows of trials: groups of metrics, ends of responses, words generated."""

import json
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from reports.trial_runs import write_trials
from test_docs import undocumented
from tutelage.reports.charts import axes_of, groups_of
from tutelage.reports.curves import Curve, training_curves, word_counts
from tutelage.reports.html import page_of
from tutelage.reports.plots import UNITS, Axis, line_chart
from tutelage.reports.runs import read_run, read_runs
from tutelage.reports.shares import Shares, share_chart
from tutelage.reports.svg import Stylist
from tutelage.reports.tables import ending, summary
from tutelage.reports.trials import (
    FINISHES,
    FRACTIONS,
    GROUPS,
    finish_shares,
    grouped,
    note_of,
)

STEPS = Axis("steps", False)


@pytest.fixture(scope="module")
def trials(tmp_path_factory):
    """A run of 60 rounds of eight steps."""
    return read_run(write_trials(tmp_path_factory.mktemp("trials") / "run"))


@pytest.fixture(scope="module")
def page(trials):
    """The page about it."""
    return page_of([trials])


def curve(steps, values, run=0):
    steps, values = np.array(steps, dtype=float), np.array(values, dtype=float)
    return Curve(run, steps, steps * 10, values, values, 0, steps * 100)


def shares_of(places, **parts):
    at = np.array(places, dtype=float)
    return Shares(
        {"steps": at, "words": np.array([]), "generated": at * 100},
        {name: np.array(parts.get(name, [0.0] * len(at)), dtype=float) for name in FINISHES},
    )


def areas(svg, stylist):
    """The filled areas of a chart: the heights, from 0 to 1, of each one's corners, by shade."""
    rules = dict(re.findall(r"^\.(\w+)\{(.*)\}$", stylist.css(), re.MULTILINE))
    root = ET.fromstring(svg)
    (frame,) = (rect.attrib for rect in root.iter("rect"))
    top, height = float(frame["y"]), float(frame["height"])
    found = {}
    for path in root.iter("path"):
        shade = re.search(r"fill: var\(--shade-(\d)\)", rules.get(path.attrib.get("class"), ""))
        if shade and "clip-path" in path.attrib:
            corners = re.findall(r"[ML] (\S+) (\S+)", path.attrib["d"])
            assert len({x for x, _ in corners}) > 1  # wider than nothing
            heights = {round(1 - (float(y) - top) / height, 2) for _, y in corners}
            found[int(shade[1])] = sorted(heights)
    return found


def texts(svg):
    return [element.text for element in ET.fromstring(svg).iter("text")]


def test_metrics_of_trials_are_grouped_by_what_they_tell():
    """X-2."""
    keys = [
        "demonstration/loss", "trial/loss", "trial/entropy", "trial/kl", "trial/new", "reward/b",
        "reward/std", "reward/a", "reward/total", "rollout/kept_mass", "rollout/eos_fraction",
        "rollout/response_tokens", "optim/lr",
    ]  # fmt: skip
    assert list(grouped(keys).items()) == [
        ("demonstration", ["demonstration/loss"]),
        ("reward", ["reward/total", "reward/b", "reward/a", "reward/std"]),
        ("KL to the reference", ["trial/kl"]),
        ("policy update", ["trial/loss"]),
        ("critic", []),
        ("entropy", ["trial/entropy"]),
        ("responses", ["rollout/response_tokens", "rollout/kept_mass"]),
        ("trial", ["trial/new"]),
        ("optim", ["optim/lr"]),
    ]


def test_entropies_agree_only_where_the_student_drew_from_all_it_could():
    """TND-6: not with top-k, nor over a demonstrator's texts."""
    note = note_of("entropy")
    assert "Where the student drew all tokens from that whole distribution, the two agree" in note
    assert "another’s texts" in note


def test_without_trials_groups_are_named_like_their_keys():
    """X-2."""
    keys = ["demonstration/loss", "demonstration/accuracy", "epoch", "optim/lr"]
    assert grouped(keys) == {
        "demonstration": keys[:2], "other": ["epoch"], "optim": ["optim/lr"],
    }  # fmt: skip


def test_every_metric_of_a_trial_has_one_chart(trials, page):
    """X-2."""
    charts = re.findall(r'<span class="key">(.*?)</span>', page)
    logged = {key for row in trials.metrics for key in row if "/" in key}
    assert sorted(charts) == sorted(logged - set(FRACTIONS) | {"finish reasons"})
    heads = re.findall(r"<h3>(.*?)</h3>", page)
    assert heads == ["Exposure", *GROUPS, "optim", "budget", "time"]
    for metrics in GROUPS.values():
        assert metrics.note in page


def test_every_metric_of_a_trial_is_defined(trials):
    """X-2: in docs/metrics.md."""
    assert not undocumented({key for metrics in GROUPS.values() for key in metrics.keys})
    assert not undocumented({key for row in trials.metrics for key in row})


def test_a_metric_told_once_a_round_has_a_point_for_each_round(trials):
    """X-2."""
    curves = training_curves([trials])
    assert curves["reward/total"][0].steps.tolist() == list(range(1, 481, 8))
    assert curves["trial/entropy"][0].steps.tolist() == list(range(1, 481))


def test_words_of_a_round_are_spread_over_its_steps(tmp_path):
    """X-7: they are counted at its first step, and learned from in all."""
    (tmp_path / "config.yaml").write_text("recipe: ppo\n")
    key = "budget/generated_words"
    rows = [
        {"step": step, "round": (step - 1) // 4, "a/b": 1.0, key: 100 * ((step - 1) // 4 + 1)}
        for step in range(1, 11)
    ]
    run = read_run(tmp_path)._replace(metrics=rows)
    counts = word_counts(run)
    assert counts["words"].size == 0
    assert counts["generated"].tolist() == [[0, 4, 8, 10], [0, 100, 200, 300]]
    (found,) = training_curves([run])["a/b"]
    assert found.words.size == 0
    assert found.along("generated").tolist() == [25, 50, 75, 100, 125, 150, 175, 200, 250, 300]
    # Rounds without words in between keep the count where it was.
    idle = [{"step": 10 + n, "round": 2 + n, key: 300} for n in (1, 2)]
    assert word_counts(run._replace(metrics=rows + idle))["generated"][1, -3:].tolist() == [300] * 3


def test_the_axis_of_words_generated_is_there_if_a_run_counted_them(trials, make_run):
    """X-7."""
    read = read_run(make_run(evals=False))
    assert [axis.unit for axis in axes_of([trials])] == ["steps", "generated"]
    assert [axis.unit for axis in axes_of([read])] == ["steps", "words"]
    both = page_of([trials, read])
    for unit in ("steps", "words", "generated"):
        assert f'id="by-{unit}"' in both
        assert both.count(f'<div class="plot {unit} linear">') == both.count('class="key"')
    # What a run did not count is not drawn, and said so.
    assert "Nothing to draw on this axis." in both
    assert list(UNITS) == ["steps", "words", "generated"]


def test_each_axis_shows_what_its_button_chooses(page):
    """X-7: one rule for each variant, none shown twice."""
    css = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert css is not None
    for unit in ("words", "generated"):
        for scale, chosen in (("linear", ":not(:has(#is-log:checked))"), ("log", "")):
            assert re.search(
                rf"body.*:has\(#by-{unit}:checked\){re.escape(chosen)} \.plot\.{unit}\.{scale} "
                r"\{ display: block \}",
                css[1],
            )
    assert "body:has(:is(#by-words, #by-generated):checked) .plot.steps" in css[1]


def test_how_responses_ended_is_known_where_all_fractions_are():
    """PPO-4."""
    curves = {
        "rollout/eos_fraction": [curve([1, 9, 17], [0.5, 0.6, 0.7])],
        "rollout/length_fraction": [curve([1, 17], [0.5, 0.3]), curve([1], [1.0], run=1)],
    }
    shares = finish_shares(curves, 0)
    assert shares is not None
    assert {name: values.tolist() for name, values in shares.parts.items()} == {
        "eos": [0.5, 0.7], "stop": [0, 0], "length": [0.5, 0.3], "context": [0, 0],
    }  # fmt: skip
    assert {unit: at.tolist() for unit, at in shares.places.items()} == {
        "steps": [1, 17], "words": [10, 170], "generated": [100, 1700],
    }  # fmt: skip
    assert finish_shares(curves, 2) is None
    assert finish_shares({}, 0) is None


def test_fractions_that_never_meet_are_not_drawn():
    """PPO-4."""
    curves = {
        "rollout/eos_fraction": [curve([1], [0.5])],
        "rollout/length_fraction": [curve([9], [0.5])],
    }
    assert finish_shares(curves, 0) is None


def test_noisy_fractions_are_smoothed_and_still_add_up(tmp_path):
    """X-2."""
    run = read_run(write_trials(tmp_path / "long", rounds=300))
    curves = training_curves([run])
    shares = finish_shares(curves, 0)
    assert shares is not None
    np.testing.assert_allclose(sum(shares.parts.values()), 1, rtol=0, atol=1e-12)
    raw = curves["rollout/eos_fraction"][0].values
    assert np.abs(np.diff(shares.parts["eos"])).sum() < np.abs(np.diff(raw)).sum() / 3


def test_ends_that_never_happen_have_no_area_and_no_name():
    """X-2."""
    stylist = Stylist()
    shares = shares_of([1, 9, 17], eos=[0.5, 0.6, 0.75], length=[0.5, 0.4, 0.25])
    svg = share_chart(shares, STEPS, stylist, name="ends")
    assert svg is not None
    assert {"eos 75 %", "length 25 %", "step"} <= set(texts(svg))
    assert not [text for text in texts(svg) if text and text.startswith(("stop", "context"))]
    # The shades are those of the ends, drawn or not.
    assert areas(svg, stylist) == {0: [0, 0.5, 0.6, 0.75], 2: [0.5, 0.6, 0.75, 1]}
    label = ET.fromstring(svg).attrib["aria-label"]
    assert label == "Stacked areas of ends by step: eos from 0.5 to 0.75; length from 0.5 to 0.25."


def test_shares_have_a_chart_for_each_axis_on_which_they_have_a_place():
    """X-7."""
    shares = shares_of([0, 9, 90], eos=[0.1, 0.6, 0.7], length=[0.9, 0.4, 0.3])
    assert share_chart(shares, Axis("words", False), Stylist(), name="ends") is None
    generated = share_chart(shares, Axis("generated", False), Stylist(), name="ends")
    assert generated is not None
    assert "words generated" in texts(generated)
    log = share_chart(shares, Axis("steps", True), Stylist(), name="ends")
    assert log is not None
    assert "eos from 0.6 to 0.7" in ET.fromstring(log).attrib["aria-label"]
    assert share_chart(shares_of([0], eos=[1.0]), Axis("steps", True), Stylist(), name="e") is None


def test_a_single_round_is_drawn_as_a_bar():
    """X-2."""
    stylist = Stylist()
    svg = share_chart(shares_of([1], eos=[0.25], stop=[0.75]), STEPS, stylist, name="ends")
    assert svg is not None
    assert areas(svg, stylist) == {0: [0, 0.25], 1: [0.25, 1]}


def test_several_runs_have_a_chart_of_ends_each(tmp_path):
    """X-2."""
    runs = read_runs([write_trials(tmp_path / name, rounds=5, seed=1) for name in "ab"])
    groups = groups_of(training_curves(runs), [STEPS], Stylist(), runs)
    (responses,) = (group for group in groups if group.name == "responses")
    assert [chart.name for chart in responses.charts] == [
        "rollout/response_tokens", "rollout/kept_mass", "finish reasons: a", "finish reasons: b",
    ]  # fmt: skip


def test_groups_without_a_metric_are_left_out(trials):
    """X-2: leave-one-out has no critic, and a trial may have no reference."""
    curves = training_curves([trials])
    kept = {k: v for k, v in curves.items() if k.startswith(("reward/", "trial/entropy"))}
    groups = groups_of(kept, [STEPS], Stylist(), [trials])
    assert [group.name for group in groups] == ["reward", "entropy"]


def test_explained_variance_is_cut_off_far_below_zero():
    """X-2: it begins at −30 and would hide all that follows."""
    options = {"name": "n", "run_names": ["r"], "lowest": -1.0}
    deep = line_chart([curve([1, 2, 3, 4], [-30, -5, 0.5, 0.8])], STEPS, Stylist(), **options)
    assert deep is not None
    ticks = [
        float(t.replace("−", "-")) for t in texts(deep) if t and re.fullmatch(r"[−-]?[\d.]+", t)
    ]
    assert min(ticks) == -1.0
    # Nothing is cut off if there is nothing above, or nothing below.
    for values in ([-30.0, -5.0], [-0.5, 0.5]):
        free = {"name": "n", "run_names": ["r"]}
        assert line_chart([curve([1, 2], values)], STEPS, Stylist(), **options) == line_chart(
            [curve([1, 2], values)], STEPS, Stylist(), **free
        )


def test_explained_variance_is_the_metric_that_is_cut_off(trials, page):
    """X-2."""
    assert training_curves([trials])["trial/explained_variance"][0].values.min() < -20
    chart = re.search(r">trial/explained_variance<.*?</figure>", page, re.DOTALL)
    assert chart is not None
    assert ">-1<" in chart[0]
    assert not re.search(r">-[2-9]", chart[0])


def test_a_trial_is_summed_up_by_its_reward_and_its_distance(trials):
    """X-2: the loss need not fall while the student learns."""
    facts = summary(trials, 0, training_curves([trials]), {})
    assert [fact.label for fact in facts] == [
        "steps", "words generated", "reward/total", "trial/kl",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("budget", "rounds", "said"),
    [
        ({"generated_words": 700}, None, "finished its budget of 700 generated words"),
        ({"input_tokens": 60}, None, "finished its budget of 60 input tokens"),
        ({"judged_words": 21}, None, "finished its budget of 21 judged words"),
        ({"input_tokens": 61, "prompt_words": None}, None, "ended at step 40"),
        ({"generated_words": 701}, 90, "ended at step 40 of 720"),
        ({"generated_words": None}, None, "ended at step 40 of 720"),
        (None, None, "ended at step 40 of 720"),
    ],
)
def test_a_run_ends_when_its_budget_is_spent(tmp_path, budget, rounds, said):
    """PPO-3."""
    (tmp_path / "config.yaml").write_text(json.dumps({"budget": budget, "rounds": rounds}))
    counts = {"generated_words": 700, "prompt_tokens": 40, "judged_tokens": 20, "judged_words": 21}
    run = read_run(tmp_path)._replace(
        metrics=[{"step": 40}], ledger=counts, environment={"sessions": [{"steps": 720}]}
    )
    assert ending(run) == said

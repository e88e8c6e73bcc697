"""Rewards of tokens in reports: colours, numbers, and the texts they belong to (IRL-3)."""

import json
import re
from html.parser import HTMLParser

import pytest

from tutelage.config import UserError
from tutelage.reports.html import page_of
from tutelage.reports.runs import read_runs
from tutelage.reports.svg import Stylist, colour_of
from tutelage.reports.token_plots import bin_means, metric_chart
from tutelage.reports.token_results import Told, token_results
from tutelage.reports.token_rewards import LEVELS, level_of, scale_of
from tutelage.run_folder import RunFolder

HOSTILE = "<script>alert('x')</script>"


def item(number: int, *, of: int = 1, metrics: dict | None = None) -> dict:
    """A response of three tokens whose summed reward is the number."""
    return {
        "prompt": f"prompt {number}",
        "response": f"yes {number}",
        "metrics": {} if metrics is None else metrics,
        "tokens": ["yes", f" {number}", "</s>"],
        "rewards": [number - 1.0, 0.0, 1.0],
        "logprobs": [-1.0, -2.0, -0.5],
        "reward": float(number),
        "logprob": -3.5,
        "rank": 1,
        "of": of,
    }


def correlation(metric: str, by: str, **more: object) -> dict:
    row = {"metric": metric, "by": by, "rows": 9, "spearman": 0.25, "low": -0.125, "high": 0.5}
    row |= {"reward_above": None, "above_low": None, "above_high": None, "reason": None}
    return row | more


def content(items: list[dict], correlations: list[dict] | None = None, **more: object) -> dict:
    """A stored result."""
    return {
        "version": 1,
        "step": 10,
        "measures": {"reward": 1.0, "rows": len(items)},
        "gamma": 0.5,
        "verdicts": ["right: nothing."],
        "correlations": correlations or [],
        "reranking": [],
        "items": items,
        **more,
    }


def a_run(path, *results: dict):
    """A run with results at steps 10, 20 and so on."""
    folder = RunFolder(path)
    path.mkdir()
    (path / "config.yaml").write_text("recipe: irl\n")
    for number, result in enumerate(results, 1):
        step = {"step": 10 * number}
        folder.write_eval("token_reward", f"step_{10 * number}", {**result, **step})
    return path


def page(*paths):
    return page_of(read_runs(list(paths)))


class Tokens(HTMLParser):
    """The tokens of a page in order: class, title, text."""

    def __init__(self, text: str):
        super().__init__()
        self.found: list[list[str]] = []
        self.is_token = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        of = dict(attrs)
        self.is_token = "title" in of and of.get("class", "").startswith("reward")
        if self.is_token:
            self.found.append([of["class"], of["title"], ""])

    def handle_data(self, data):
        if self.is_token:
            self.found[-1][2] += data

    def handle_endtag(self, tag):
        self.is_token = False


def test_each_token_has_the_colour_and_title_of_its_reward(tmp_path):
    """IRL-3: from orange at −4 to blue at 4, and the legend says so."""
    one = item(1)
    one |= {"tokens": ["a", "\n", "", " b", "</s>"], "rewards": [-4.0, 4.0, 0.3, 2.4, -9.5]}
    one |= {"logprobs": [-1.0, -0.5, 0.0, -2.25, -3.0]}
    many = {**one, "tokens": ["x"] * 95, "rewards": [4.0] * 95, "logprobs": [-1.0] * 95}
    text = page(a_run(tmp_path / "run", content([{**one, "reward": 9.0}, many])))
    found = Tokens(text).found[:5]
    assert [token[0] for token in found] == [
        "reward-5",
        "reward5",
        "reward0",
        "reward3",
        "reward-5",
    ]
    assert [token[2] for token in found] == ["a", "↵\n", "▁", " b", "</s>"]
    assert found[3][1] == "reward 2.4, log-probability −2.25"
    legend = re.findall(r'<span class="reward(-?\d)">([^<]*)</span>', text)
    assert legend[0] == ("-5", "≤ −4")
    assert legend[5] == ("0", "0")
    assert legend[6:8] == [("1", "0.8"), ("2", "1.6")]
    assert legend[-1] == ("5", "≥ 4")
    assert len(legend) == 2 * LEVELS + 1
    assert "with γ = 0.5, in nats" in text


@pytest.mark.parametrize(
    ("rewards", "limit"),
    [([0.0], 1.0), ([3.0], 3.0), ([-6.1], 7.5), ([0.011], 0.02), ([99.0], 100.0)],
)
def test_the_scale_is_a_round_number_that_holds_the_rewards(rewards, limit):
    """IRL-3."""
    told = Told("", ["a"], rewards, [0.0], 0.0, 0.0, {}, 1, 1)
    assert scale_of([told]) == pytest.approx(limit)


def test_levels_are_even_and_symmetric():
    """IRL-3: the middle one is 0, the last ones are open."""
    limits = [level_of(reward, 10.0) for reward in (-99, -10, -9.1, -1.1, -0.9, 0, 0.9, 1.1, 99)]
    assert limits == [-5, -5, -5, -1, 0, 0, 0, 1, 5]


def test_responses_over_the_range_are_shown_best_first():
    """IRL-3: with a metric, three of its highest value and three of its lowest."""
    items = [item(n, metrics={"right": float(n % 2), "half": 0.5}) for n in range(20)]
    results = token_results(content(items, [correlation("right", "reward")]))
    assert [told.reward for told in results.shown] == [19, 18, 11, 10, 1, 0]
    assert results.points["right"][:2] == [(0.0, 0.0), (1.0, 1.0)]
    plain = token_results(content(items))
    assert [told.reward for told in plain.shown] == [19, 15, 11, 8, 4, 0]
    same = token_results(content(items, [correlation("half", "reward")]))
    assert same.shown == plain.shown
    unknown = [{**one, "metrics": {"right": None}} for one in items]
    some = token_results(content(unknown, [correlation("right", "reward")]))
    assert some.shown[0].metrics == {}
    assert some.points == {"right": []}


def test_tables_have_intervals_or_reasons(tmp_path):
    """IRL-3: and re-ranking beside chance and the best."""
    items = [item(n, of=2, metrics={"right": float(n % 2)}) for n in range(9)]
    rows = [
        correlation("right", "reward"),
        correlation("right", "length", spearman=None, low=None, high=None, reason="no spread"),
        correlation("right", "logprob", reward_above=-0.5, above_low=-0.75, above_high=-0.25),
    ]
    reranking = [
        {"metric": "right", "by": "random", "mean": 0.5, "gain": 0.0, "low": 0.0, "high": 0.0},
        {"metric": "right", "by": "reward", "mean": 0.75, "gain": 0.25, "low": None, "high": None},
    ]
    text = page(a_run(tmp_path / "run", content(items, rows, reranking=reranking)))
    cells = [
        re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall("<tr>.*</tr>", text)
    ]
    assert ["right", "reward, summed", "9", "0.250", "−0.125 to 0.500", "", ""] in cells
    assert ["right", "length", "9", "–", "no spread", "–", ""] in cells
    assert cells[3][5:] == ["−0.500", "−0.750 to −0.250"]
    assert ["right", "chance", "0.500", "", ""] in cells
    assert ["right", "reward, summed", "0.750", "0.250", ""] in cells
    assert "rank 1 of 2 to this prompt" in text
    assert "6 of 9 responses" in text


def test_the_last_milestone_of_each_run_is_shown_and_measures_are_curves(tmp_path):
    """IRL-3, R11."""
    old, new = content([item(1)]), content([item(2)])
    one = a_run(tmp_path / "one", old, new)
    text = page(one, a_run(tmp_path / "two", content([item(7)])))
    assert "prompt 1" not in text
    assert text.index("<h4>one</h4>") < text.index("prompt 2") < text.index("<h4>two</h4>")
    assert text.count('class="plot steps linear"') == 2
    alone = page(a_run(tmp_path / "three", old))
    assert 'class="plot steps linear"' not in alone


def test_texts_are_text_and_long_ones_end(tmp_path):
    """X-8: nothing of a model's output is markup; the page has no inline style."""
    long = {**item(3), "tokens": [HOSTILE] * 400, "rewards": [0.5] * 400, "logprobs": [-1.0] * 400}
    long |= {"prompt": HOSTILE * 90, "metrics": {HOSTILE: 1.0}}
    other = {**item(2), "metrics": {HOSTILE: 0.0}}
    rows = [correlation(HOSTILE, "reward", reason=HOSTILE)]
    text = page(a_run(tmp_path / "run", content([long, other], rows, verdicts=[HOSTILE])))
    assert "<script" not in text
    assert " style=" not in text
    assert "… 100 more tokens" in text
    assert len(Tokens(text).found) == 303
    assert "style-src 'sha256-" in text.replace("&#39;", "'")


def test_a_result_without_items_has_measures_alone(tmp_path):
    """X-8."""
    text = page(a_run(tmp_path / "run", {"step": 1, "measures": {"reward": -1.5}}))
    assert "Rewards of tokens" not in text
    assert "−1.5" in text or "-1.5" in text


@pytest.mark.parametrize("damage", [{"tokens": ["a"]}, {"reward": "x"}, {"rank": None, "of": []}])
def test_a_damaged_result_is_refused_with_its_file(damage, tmp_path):
    """X-8."""
    run = a_run(tmp_path / "run", content([{**item(1), **damage}]))
    with pytest.raises(
        UserError, match=r"step_10\.json.*rewards of tokens are not as tutelage eval"
    ):
        page(run)


def test_a_metric_over_rewards_is_drawn_with_means_of_bins():
    """IRL-3: bins of equally many rows, so that few odd ones say little."""
    points = [(float(n), float(n >= 16)) for n in range(32)]
    assert bin_means(points) == [(1.5 + 4 * n, float(n >= 4)) for n in range(8)]
    assert bin_means(points[:5]) == [(2.0, 0.0)]
    svg = metric_chart(points, Stylist(), metric="right", colour=colour_of(0))
    assert "Means of right by summed reward, from 32 responses: 0 at 1.5; " in svg
    assert metric_chart(points[:1], Stylist(), metric="right", colour=colour_of(0)) is None


def test_what_the_suite_stores_is_understood(tmp_path):
    """IRL-3: from the command line to the page, with true students and tokens."""
    from evals.scorers import scorer_of, small_student, small_tokenizer
    from tutelage.evals.token_reward import TokenReward

    data = tmp_path / "rows.jsonl"
    rows = [
        {"prompt": f"the cat {n % 4}", "response": " a dog barks" * (1 + n % 3), "right": n % 2}
        for n in range(12)
    ]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    tokenizer = small_tokenizer(tmp_path)
    scorer = scorer_of(small_student(tokenizer), tokenizer)
    suite = TokenReward(data=data)
    result = suite.combine({task: suite.run_task(task, scorer) for task in suite.tasks()})
    text = page(a_run(tmp_path / "run", result))
    (verdict,) = result["verdicts"]
    assert verdict.replace("'", "&#39;") in text
    assert "an interval needs at least 10 prompts that differ" in text
    shown = [token for token in Tokens(text).found if token[2] == tokenizer.eos_token]
    assert len(shown) == 6


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb, as WCAG defines it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_can_be_read_on_the_strongest_colours_by_day_and_by_night(tmp_path):
    """IRL-3: a contrast of 4.5 at least."""
    text = page(a_run(tmp_path / "run", content([item(1)])))
    inks = re.findall(r"--ink: (#\w{6})", text)
    pairs = re.findall(r"--low: (#\w{6}); --high: (#\w{6})", text)
    assert len(inks) == len(pairs) == 2
    for ink, colours in zip(inks, pairs, strict=True):
        for colour in colours:
            low, high = sorted((luminance(ink), luminance(colour)))
            assert (high + 0.05) / (low + 0.05) >= 4.5

import base64
import hashlib
import json
import random
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tutelage.config import UserError
from tutelage.reports.html import page_of, write_report
from tutelage.reports.runs import read_run, read_runs

VOID = {"meta", "input", "br", "hr", "img", "link"}


class Page(HTMLParser):
    """What a browser would see: elements with their attributes, and text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts, self.open = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        """An element begins."""
        self.tags.append(tag)
        self.attributes += [(tag, *attr) for attr in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        """An element without content."""
        self.tags.append(tag)
        self.attributes += [(tag, *attr) for attr in attrs]

    def handle_endtag(self, tag):
        """An element ends: the last one begun."""
        assert self.open.pop() == tag

    def handle_data(self, data):
        """Text."""
        self.texts.append(data)

    def values(self, name):
        """Every value of one attribute."""
        return [value for _, key, value in self.attributes if key == name]


def page_about(*paths):
    return page_of(read_runs(list(paths)))


def test_the_page_of_one_run_answers_in_order(one_page):
    """X-2."""
    assert re.findall(r"<h2[^>]*>(.*?)</h2>", one_page) == [
        "Results", "Curves", "Evaluations", "Samples over time", "Configuration", "Environment",
    ]  # fmt: skip
    assert re.search(
        r'<p class="lede">pretrain · finished all 2,000 steps · words read 3,800,000 · '
        r"words generated 640 · demonstration/loss 2\.1\d+ · minimal_pairs mean 0\.\d+ · "
        r"perplexity 9\.999</p>",
        one_page,
    )


def test_every_logged_metric_and_every_measure_has_a_chart(make_run, one_page):
    """X-2."""
    path = make_run()
    charts = re.findall(r'<span class="key">(.*?)</span>', one_page)
    logged = {k for row in read_run(path).metrics for k in row if "/" in k and "eval/" not in k}
    assert set(charts) == logged | {"perplexity", "mean"} | set(
        read_run(path).evaluations[0].measures
    )
    # steps and words, linear and logarithmic
    assert one_page.count('class="plot ') == 4 * len(charts)


def test_the_page_is_well_formed_and_asks_for_nothing(page_of_three):
    """X-2."""
    page = Page(page_of_three)
    assert page.open == []
    assert not {"script", "link", "img", "iframe", "object", "base", "form"} & set(page.tags)
    assert page.values("src") == []
    assert all(value.startswith("#") for value in page.values("href"))
    assert page.values("style") == []
    identities = page.values("id")
    assert len(identities) == len(set(identities))
    assert {v[1:] for v in page.values("href")} | set(page.values("for")) <= set(identities)
    assert set(page.values("aria-labelledby")) <= set(identities)
    assert not [key for _, key, _ in page.attributes if key.startswith("on")]
    assert "url(http" not in "".join(page.texts)
    assert "@import" not in "".join(page.texts)


def test_the_page_allows_its_own_style_sheet_and_nothing_else(one_page):
    """X-2."""
    (css,) = re.findall(r"<style>(.*?)</style>", one_page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    (policy,) = (v for v in Page(one_page).values("content") if v.startswith("default-src"))
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def test_hostile_text_is_shown_and_not_obeyed(make_run):
    """X-2."""
    evil = "</svg></style><script>alert(1)</script><img src=x onerror=alert(1)> & \" '"
    path = make_run("<i>run")
    sample = {"step": 5, "prompt": evil, "response": evil, "scores": {evil: 1}}
    (path / "samples.jsonl").write_text(json.dumps(sample) + "\n")
    with (path / "metrics.jsonl").open("a") as handle:
        handle.write(json.dumps({"step": 5, f"{evil}/{evil}": 1, f"eval/{evil}": 2}) + "\n")
    (path / "config.yaml").write_text(json.dumps({"recipe": evil, evil: {"x": evil}}))
    (path / "environment.json").write_text(json.dumps({evil: evil, "command": [evil]}))
    folder = path / "evals" / "<u>"
    folder.mkdir(parents=True)
    measured = {"step": 5, "milestone": evil, "measures": {evil: 0.5}, "counts": {evil: 9}}
    (folder / "x.json").write_text(json.dumps(measured))
    page = Page(page_about(path, make_run("plain")))
    assert page.open == []
    assert not {"script", "img", "i", "u"} & set(page.tags)
    assert "".join(page.texts).count(evil) > 10


def test_the_same_run_gives_the_same_bytes(make_run):
    """X-2."""
    paths = [make_run("a", evals=False), make_run("b", evals=False, seed=3)]
    assert page_about(*paths) == page_about(*paths)


def test_a_run_without_metrics_has_a_page_that_says_so(tmp_path):
    """X-2."""
    (tmp_path / "config.yaml").write_text("recipe: pretrain\nsteps: 100\n")
    text = page_about(tmp_path)
    assert "No metrics have been logged yet." in text
    assert "No ledger.json has been written yet." in text
    assert "No environment.json has been written yet." in text
    assert "pretrain · ended before its first metrics" in text


def test_several_runs_are_compared_and_overlaid(page_of_three):
    """X-2."""
    text = page_of_three
    assert "<h1>a · b · c</h1>" in text
    assert re.search(r"What differs.*optim\.lr.*0\.001.*0\.003.*id=\"curves\"", text, re.DOTALL)
    loss = re.search(r"demonstration/loss</span>\s*(<span class=\"finals\">.*?)</figcaption>", text)
    assert loss is not None
    assert re.findall(r"series-\d", loss[1]) == ["series-0", "series-1", "series-2"]
    assert text.count('class="swatch') == 6
    assert "ended at step 900 of 2,000" in text


def test_runs_of_one_configuration_differ_in_nothing(make_run):
    """X-2."""
    assert "The configurations are the same." in page_about(
        make_run("a", evals=False), make_run("b", evals=False, seed=4)
    )


def test_the_axes_offered_are_those_the_runs_have(make_run, one_page, tmp_path):
    """X-7."""
    assert {"by-words", "is-log"} <= set(Page(one_page).values("id"))
    assert "is-log" not in Page(page_about(make_run("b", evals=False))).values("id")
    (tmp_path / "config.yaml").write_text("recipe: pretrain\n")
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "a/b": 1}\n{"step": 2, "a/b": 2}\n')
    assert "by-words" not in Page(page_about(tmp_path)).values("id")


def test_an_eval_of_many_measures_is_drawn_in_part_and_told_in_full(make_run):
    """EV-2."""
    path = make_run(evals=False)
    folder = path / "evals" / "blimp"
    folder.mkdir(parents=True)
    names = [f"paradigm_{i:02}" for i in range(67)]
    for step in (10, 20):
        result = {
            "step": step, "milestone": f"s{step}", "measures": dict.fromkeys(names, 0.6),
            "counts": dict.fromkeys(names, 100),
        }  # fmt: skip
        (folder / f"s{step}.json").write_text(json.dumps(result))
    text = page_about(path)
    assert len(re.findall(r'<span class="key">paradigm', text)) == 12
    assert "55 further measures are in the tables below." in text
    assert text.count('<figure class="card bars">') == 5
    assert len(re.findall(r"paradigm_\d\d 0\.600", text)) == 67
    assert text.count('<th scope="row">paradigm_') == 2 * 67
    assert text.count("0.6 [0.502, 0.691], n = 100") == 67


def test_only_counted_proportions_have_a_bar(make_run):
    """EV-2."""
    path = make_run(evals=False)
    (path / "evals" / "mixed").mkdir(parents=True)
    measured = {"counted": 0.5, "uncounted": 0.5, "perplexity": 9.0}
    result = {"step": 5, "measures": measured, "counts": {"counted": 10, "perplexity": 10}}
    (path / "evals" / "mixed" / "s5.json").write_text(json.dumps(result))
    assert 'aria-label="Bar chart of mixed: counted 0.500."' in page_about(path)


def test_many_samples_are_thinned_and_long_ones_cut(make_run):
    """X-2."""
    path = make_run(evals=False)
    rows = [
        {"step": step, "prompt": "p", "response": f"step{step} " + "x" * 5000}
        for step in range(1, 101)
        for _ in range(25 if step == 100 else 1)
    ]
    (path / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = page_about(path)
    assert "40 of 100 steps, evenly spaced." in text
    shown = [int(step) for step in re.findall(r'<span class="step">step (\d+)', text)]
    assert (shown[0], shown[-1], len(shown)) == (1, 100, 40)
    assert "5 further samples of this step are in samples.jsonl." in text
    assert max(map(len, re.findall("x+", text))) == 2000 - len("step1 ") - len("…")


def test_a_response_stands_over_its_reference_and_says_whether_it_is_right(make_run):
    """IRL-4: the reference once for each prompt, under the greedy response."""
    path = make_run()
    row = {
        "step": 5,
        "kind": "sample",
        "prompt": "2 + 2?",
        "reference": " it is four",
        "is_right": True,
    }
    rows = [
        {**row, "response": " four", "decoding": "greedy"},
        {**row, "response": " 5", "decoding": "sampled", "is_right": False},
    ]
    (path / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = page_about(path)
    assert text.count("Reference:  it is four") == 1
    assert text.index("<span>greedy</span> <span>right</span>") < text.index("Reference:")
    assert "<span>sampled</span> <span>wrong</span>" in text


def test_samples_of_any_shape_are_shown(make_run):
    """X-2."""
    path = make_run(evals=False)
    rows = [{"step": 1}, {"step": 2, "response": 5, "prompt": None, "scores": {"age": None}}]
    (path / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "age –" in page_about(path)


def test_a_run_of_ten_thousand_rows_and_twenty_keys_makes_a_small_page(make_run):
    """X-2."""
    path, rng = make_run(), random.Random(0)
    rows = [
        {
            "step": step, "budget/read_words": 1900 * step,
            **{f"trial/metric_{k}": rng.gauss(k, 1) for k in range(20)},
        }
        for step in range(1, 10_001)
    ]  # fmt: skip
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert len(page_about(path).encode()) < 3_000_000


def test_the_page_replaces_an_old_one_and_leaves_nothing_beside_it(make_run, tmp_path):
    """X-2."""
    out = tmp_path / "pages" / "report.html"
    out.parent.mkdir()
    out.write_text("old")
    write_report([make_run(evals=False)], out)
    assert out.read_text().startswith("<!doctype html>")
    assert [path.name for path in out.parent.iterdir()] == ["report.html"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("folder.html", r"is a folder. Give a file, for example .*folder\.html/report\.html"),
        ("metrics.jsonl", r"does not end in \.html"),
        ("report", r"does not end in \.html.* Give for example .*report\.html"),
    ],
)
def test_an_out_that_is_no_page_is_refused_before_anything_is_read(tmp_path, name, why):
    """X-1."""
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(UserError, match=rf"--out .*{why}"):
        write_report([tmp_path / "absent"], tmp_path / name)


def test_an_out_that_cannot_be_written_is_one_sentence(make_run, tmp_path):
    """X-1."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"--out .*file/a\.html cannot be written: .*\. Choose"):
        write_report([make_run(evals=False)], tmp_path / "file" / "a.html")


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_browser_shows_the_page_without_a_complaint_or_a_request(make_run, tmp_path):
    """X-2."""
    out = tmp_path / "report.html"
    write_report([make_run("a", num_steps=200), make_run("b", lr=0.01)], out)
    log, errors = browse(out, tmp_path)
    assert "CONSOLE" not in errors
    assert requests_of_pages(log) == 0


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_the_browser_would_have_told_of_a_request_and_of_a_complaint(tmp_path):
    """X-2."""
    page = tmp_path / "bad.html"
    page.write_text('<img src="http://127.0.0.1:9/x.png"><script>console.error("no")</script>')
    log, errors = browse(page, tmp_path)
    assert "CONSOLE" in errors
    assert requests_of_pages(log) == 1


def requests_of_pages(log: str) -> int:
    """How many requests a page made; those of the browser itself have no origin."""
    initiators = re.findall(r'"initiator":"([^"]*)"', log)
    return len(initiators) - initiators.count("not an origin")


def browse(page: Path, tmp_path: Path) -> tuple[str, str]:
    """The network log and the console messages of Chromium opening a page."""
    assert CHROMIUM is not None
    log = tmp_path / "net.json"
    done = subprocess.run(
        [
            CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
            "--disable-background-networking", "--disable-component-update", "--no-first-run",
            "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={log}",
            f"--screenshot={tmp_path / 'page.png'}", "--proxy-server=127.0.0.1:9", page.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return log.read_text(), done.stderr

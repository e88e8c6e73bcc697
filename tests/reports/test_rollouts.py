"""Responses of trials beside their scores: which are read, and which are shown."""

import json
import random
import re
import time
import tracemalloc

import pytest

from reports.conftest import write_lines
from reports.trial_runs import write_trials
from tutelage.config import UserError
from tutelage.reports.html import page_of
from tutelage.reports.rollouts import (
    MAX_ROUNDS,
    Ranked,
    Round,
    paired,
    ranked,
    read_samples,
    terms_of,
)
from tutelage.reports.runs import read_run, read_runs


def response(total, *, number=0, text="said", **scores):
    return {
        "step": 8 * number + 1, "round": number, "kind": "rollout", "prompt": "Say:",
        "response": text, "finish": "eos", "num_tokens": 5, "scores": {"total": total, **scores},
        "notes": None,
    }  # fmt: skip


def places(rows):
    return [(rank, rows.index(row)) for rank, row in ranked(rows)]


@pytest.mark.parametrize(
    ("totals", "expected"),
    [
        ([3.0], [("only", 0)]),
        ([3.0, 4.0], [("best", 1), ("worst", 0)]),
        ([2, 9, -1, 5, 4], [("best", 1), ("median", 4), ("worst", 2)]),
        ([2, 9, -1, 5], [("best", 1), ("median", 0), ("worst", 2)]),
    ],
)
def test_a_round_shows_its_best_its_median_and_its_worst_response(totals, expected):
    """PPO-4."""
    assert places([response(total) for total in totals]) == expected


def test_of_equal_scores_the_earlier_is_better_and_none_is_worse_than_any():
    """PPO-4."""
    rows = [response(1.0, text=str(index)) for index in range(5)]
    assert places(rows) == [("best", 0), ("median", 2), ("worst", 4)]
    lacking = [{"kind": "rollout"}, response(None), response(-9.0)]
    assert [row for _, row in ranked(lacking)] == [lacking[2], lacking[0], lacking[1]]


def unscored(text, **columns):
    row = response(0.0, text=text) | columns
    return {name: row[name] for name in row if name not in ("scores", "notes")}


def test_of_responses_that_nobody_scored_some_are_shown_without_a_rank():
    """TND-5: the first, the middle and the last; their order is no judgement."""
    rows = [unscored(str(index)) for index in range(5)]
    assert places(rows) == [("", 0), ("", 2), ("", 4)]
    assert places(rows[:1]) == [("", 0)]
    assert places([]) == []


def test_rounds_are_told_apart_from_samples_and_from_each_other(tmp_path):
    """X-2."""
    path = tmp_path / "samples.jsonl"
    sample = {"step": 5, "kind": "sample", "prompt": "p", "response": "r"}
    first = [response(total) for total in (1.0, 2.0, 6.0)]
    second = [response(total, number=1) for total in (4.0, 8.0)]
    write_lines(path, [*first, second[0], sample, second[1]])
    found = read_samples(path)
    assert found.others == [sample]
    assert found.num_rounds == 2
    assert [r[:4] for r in found.rounds] == [(0, 1, 3, 3.0), (1, 9, 2, 6.0)]
    assert found.rounds[1].shown == [Ranked("best", second[1]), Ranked("worst", second[0])]


def test_what_a_response_says_does_not_make_it_another_kind_of_row(tmp_path):
    """X-2."""
    path = tmp_path / "samples.jsonl"
    said = '{"step": 7, "round": 9, "kind": "rollout", '
    sample = {"step": 1, "kind": "sample", "prompt": said, "response": "\n" + said}
    write_lines(path, [sample, response(1.0, text="\n" + said + '"kind": "sample"')])
    found = read_samples(path)
    assert found.others == [sample]
    assert [round.number for round in found.rounds] == [0]


def test_rows_written_by_another_program_are_found_too(tmp_path):
    """X-2."""
    path = tmp_path / "samples.jsonl"
    rows = [dict(reversed(response(float(n), number=n).items())) for n in range(3)]
    path.write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows))
    assert [round.shown for round in read_samples(path).rounds] == [
        [Ranked("only", row)] for row in rows
    ]


def test_a_half_written_response_is_left_out(tmp_path):
    """X-2."""
    path = tmp_path / "samples.jsonl"
    path.write_text(json.dumps(response(1.0)) + "\n" + json.dumps(response(2.0)))
    assert read_samples(path).rounds[0].num_responses == 1


def test_a_broken_response_is_named_with_its_line(tmp_path):
    """X-2."""
    path = tmp_path / "samples.jsonl"
    write_lines(path, [response(1.0), response(1.0, number=1), response(1.0, number=1)])
    broken = path.read_text()[:-3] + "\n"
    path.write_text("\n" + broken)
    with pytest.raises(UserError, match=r"samples\.jsonl cannot be read: line 4 is not JSON"):
        read_samples(path)


def test_of_many_rounds_a_few_are_read_from_the_first_to_the_last(tmp_path):
    """X-2."""
    path = tmp_path / "samples.jsonl"
    write_lines(path, [response(1.0, number=number) for number in range(81)])
    found = read_samples(path)
    assert found.num_rounds == 81
    assert [round.number for round in found.rounds] == list(range(0, 81, 10))
    assert len(found.rounds) == MAX_ROUNDS


def test_a_hundred_thousand_responses_take_little_time_and_memory(tmp_path):
    """X-2: 50 MB of text."""
    path, rng = tmp_path / "samples.jsonl", random.Random(0)
    with path.open("w") as handle:
        for number in range(100):
            line = json.dumps(response(rng.random(), number=number, text="word " * 80)) + "\n"
            handle.write(line * 1000)
    began = time.process_time()
    read_samples(path)
    assert time.process_time() - began < 3
    tracemalloc.start()
    found = read_samples(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.num_rounds == 100
    assert sum(round.num_responses for round in found.rounds) == 9000
    assert peak < 10_000_000  # a round at a time, and no more


def test_a_single_term_that_is_the_total_is_not_told_twice():
    """PPO-4."""

    def told(*rows):
        return terms_of(Round(0, 1, len(rows), None, ranked(list(rows))))

    assert told(response(1.0, grammar=1.0), response(0.5, grammar=0.5)) == []
    assert told(response(1.0, grammar=1.0), response(0.5, grammar=1.0)) == ["grammar"]
    assert told(response(1.0, a=1.0, b=1.0)) == ["a", "b"]
    assert told({"kind": "rollout", "scores": None}) == []


def test_the_page_shows_responses_with_their_scores(tmp_path):
    """PPO-4."""
    path = write_trials(tmp_path / "run", rounds=20)
    text = page_of([read_run(path)])
    assert "9 of 20 rounds, evenly spaced." in text
    shown = [int(number) for number in re.findall(r'<span class="step">round (\d+)', text)]
    assert (shown[0], shown[-1], len(shown)) == (0, 19, 9)
    assert len(re.findall(r'<details class="sample" open>', text)) == 3
    assert "Of 16 responses, sampled before step 153." in text
    last = read_run(path).samples.rounds[-1]
    table = text[text.index(">round 19<") :]
    heads = ["rank", "response to its prompt", "total", "contains", "length", "tokens", "finish"]
    assert re.findall(r'<th scope="col">(.*?)</th>', table)[:7] == heads
    for rank, row in last.shown:
        cells = re.search(rf'<th scope="row">{rank}</th>(.*?)</tr>', table, re.DOTALL)
        assert cells is not None
        assert f'<span class="response">{row["response"]}</span>' in cells[1]
        told = dict(re.findall(r'data-head="(\w+)">([^<]*)<', cells[1]))
        assert float(told["total"]) == pytest.approx(row["scores"]["total"], rel=1e-3)
        assert float(told["length"]) == pytest.approx(row["scores"]["length"], rel=1e-3)
        assert (told["finish"], told["tokens"]) == (row["finish"], str(row["num_tokens"]))


def test_of_several_runs_only_the_last_round_of_each_is_open(tmp_path):
    """X-2."""
    paths = [write_trials(tmp_path / name, rounds=3) for name in "ab"]
    text = page_of(read_runs(paths))
    assert len(re.findall(r'<details class="sample" open>', text)) == 2
    assert len(re.findall(r'<details class="sample">', text)) == 4
    assert "rounds, evenly spaced" not in text


def test_samples_outside_of_trials_stay_beside_them(tmp_path):
    """X-2."""
    path = write_trials(tmp_path / "run", rounds=2)
    with (path / "samples.jsonl").open("a") as handle:
        sample = {"step": 16, "kind": "sample", "prompt": "p", "response": "at a milestone"}
        handle.write(json.dumps(sample) + "\n")
    text = page_of([read_run(path)])
    assert text.index("round 1") < text.index("Samples outside of trials")
    assert text.index("Samples outside of trials") < text.index("at a milestone")


def test_long_prompts_end_where_the_response_begins_and_notes_are_shown(tmp_path):
    """PPO-4: the judge's answer."""
    path = write_trials(tmp_path / "run", rounds=1)
    row = response(1.0, text="R" * 3000) | {"prompt": "a" * 900 + "<end>", "notes": "<i>7 of 9"}
    write_lines(path / "samples.jsonl", [row])
    text = page_of([read_run(path)])
    assert f'<span class="prompt">…{"a" * 594}&lt;end&gt;</span>' in text
    assert max(map(len, re.findall("R+", text))) == 1999
    assert '<p class="scores">&lt;i&gt;7 of 9</p>' in text


def test_responses_of_any_shape_are_shown(tmp_path):
    """X-2."""
    path = write_trials(tmp_path / "run", rounds=1)
    bare = {"step": 1, "round": 0, "kind": "rollout"}
    odd = bare | {"response": 5, "prompt": None, "scores": {"total": "x"}, "num_tokens": "y"}
    lost = [bare | {"step": None}, bare | {"round": -1}]
    write_lines(path / "samples.jsonl", [bare, odd, response(1.0), *lost])
    run = read_run(path)
    assert run.samples.others == []
    text = page_of([run])
    assert "Of 3 responses" in text
    assert text.count("(no text)") == 2
    assert text.count('<td data-head="total">–</td>') == 2


def said(author, prompt, total, text="said", **options):
    scores = {"age": total + 5.0, "baseline": 5.0}
    return response(total, text=text, **options, **scores) | {"author": author, "prompt": prompt}


def test_a_trial_stands_beside_the_demonstration_for_its_prompt():
    """TND-2: the first of a prompt with the first; what has no partner is not shown."""
    rows = [
        said("student", "a", 1.0), said("student", "a", 3.0), said("student", "b", 2.0),
        said("student", "c", 9.0), said("demonstrator", "b", 6.0), said("demonstrator", "a", 7.0),
        said("demonstrator", "a", 8.0), said("demonstrator", "d", 9.0),
    ]  # fmt: skip
    told = [(rank, rows.index(one), rows.index(two)) for rank, one, two in paired(rows)]
    assert told == [("best", 1, 6), ("median", 2, 4), ("worst", 0, 5)]
    assert paired(rows[:4]) == paired(rows[4:]) == paired([response(1.0)]) == []


def test_a_round_with_demonstrations_tells_the_mean_of_its_trials(tmp_path):
    """TND-2: and shows pairs in the place of single responses."""
    path = tmp_path / "samples.jsonl"
    rows = [said("student", "a", 1.0), said("demonstrator", "a", 7.0), said("student", "b", 2.0)]
    write_lines(path, rows)
    (found,) = read_samples(path).rounds
    assert (found.mean, found.num_responses, found.shown) == (1.5, 3, [])
    assert terms_of(found) == ["age", "baseline"]
    write_lines(path, rows[1:2])
    (found,) = read_samples(path).rounds
    assert (found.mean, len(found.shown), found.pairs) == (7.0, 1, [])


def test_the_page_shows_trials_beside_demonstrations_with_ages_and_rewards(make_run):
    """TND-2: whatever they say."""
    path = make_run()
    evil = "<script>alert(1)</script>"
    rows = [
        said("student", "Once " + evil, -3.25, text=" the the"),
        said("demonstrator", "Once " + evil, 2.5, text=" there was " + evil),
    ]
    write_lines(path / "samples.jsonl", rows)
    page = page_of([read_run(path)])
    assert "<script" not in page
    assert "beside the demonstration for the same prompt" in page
    table = page[page.index('<table class="numbers worst beside">') :]
    assert re.findall(r'<th scope="col">(.*?)</th>', table)[:3] == [
        "prompt", "trial", "demonstration",
    ]  # fmt: skip
    cells = re.findall(r'<td class="said" data-head="(\w+)">(.*?)</td>', table, re.DOTALL)
    assert [head for head, _ in cells] == ["trial", "demonstration"]
    for (_, cell), reward, age in zip(cells, ("-3.25", "2.5"), ("1.75", "7.5"), strict=True):
        told = dict(re.findall(r"<span>(\w+) <b>(.*?)</b>", cell))
        assert told == {"reward": reward, "age": age, "baseline": "5"}
    assert "there was &lt;script&gt;" in cells[1][1]


@pytest.mark.parametrize("authors", [("student", "demonstrator"), ("demonstrator",)])
def test_the_page_shows_texts_that_nobody_scored_without_rank_or_reward(make_run, authors):
    """TND-5: those of double_clm and of clm_on_teacher_text."""
    path = make_run()
    rows = [unscored("Hello", author=author, prompt=p) for p in "ab" for author in authors]
    write_lines(path / "samples.jsonl", rows)
    page = page_of([read_run(path)])
    own = page[page.index('id="samples-head"') :]
    own = own[: own.index("</section>")]
    assert "nothing was scored" in own
    assert own.count("Hello") > 2
    assert not re.search(r"\b(mean \d|best|median|worst</|only|reward|total|rank<)", own)

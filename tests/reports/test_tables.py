import pytest

from tutelage.reports import tables
from tutelage.reports.runs import read_run, read_runs


@pytest.mark.parametrize(
    ("proportion", "trials", "low", "high"),
    [
        # (p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n) with z² = 3.841459
        (0.8, 10, 0.490162, 0.943318),
        (0.0, 10, 0.0, 0.277533),  # z²/n / (1 + z²/n) = 0.384146 / 1.384146
        (1.0, 10, 0.722467, 1.0),
        (0.5, 1000, 0.469069, 0.530931),
    ],
)
def test_wilson_interval(proportion, trials, low, high):
    """EV-2."""
    assert tables.wilson(proportion, trials) == pytest.approx((low, high), abs=1e-6)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234567, "1,234,567"),
        (3.21449, "3.214"),
        (2000.0, "2,000"),
        (21264.7, "21,265"),
        (1234.56, "1,234.6"),
        (0.00012345, "0.0001234"),
        (1.2e-7, "1.2e-07"),
        (0, "0"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
    ],
)
def test_numbers_are_written_for_people(value, text):
    """X-2."""
    assert tables.number(value) == text


@pytest.mark.parametrize(
    ("steps", "last", "running", "text"),
    [
        (2000, 2000, False, "finished all 2,000 steps"),
        (2000, 2000, True, "finished all 2,000 steps"),
        (2000, 1200, False, "ended at step 1,200 of 2,000"),
        (2000, 1200, True, "still running at step 1,200 of 2,000"),
        (None, 1200, False, "ended at step 1,200"),
        (2000, None, True, "still running before its first metrics"),
    ],
)
def test_how_a_run_ended(make_run, steps, last, running, text):
    """X-2."""
    run = read_run(make_run())
    metrics = [{"step": last}] if last else []
    run = run._replace(config={"steps": steps}, metrics=metrics, is_running=running)
    assert tables.ending(run) == text


def test_one_run_has_its_exposure_by_kind(make_run):
    """X-7."""
    table = tables.ledger([read_run(make_run())])
    assert table is not None
    assert table.heads == ["exposure", "words", "tokens"]
    assert table.rows[0] == ["read", "3,800,000", "4,750,000"]
    assert table.rows[3] == ["generated", "640", "0"]
    kinds = ["read", "prompt", "demonstrated", "generated", "judged"]
    assert [row[0] for row in table.rows] == kinds


def test_several_runs_have_a_row_each_and_a_column_for_each_count_in_use(make_run):
    """X-7."""
    runs = read_runs([make_run("a"), make_run("b", num_steps=1000)])
    table = tables.ledger(runs)
    assert table is not None
    assert table.heads == ["run", "read words", "read tokens", "generated words"]
    assert table.rows[1] == ["b", "1,900,000", "2,375,000", "640"]
    assert tables.ledger([run._replace(ledger={}) for run in runs]) is None


def test_only_fields_that_differ_are_differences(make_run):
    """X-2."""
    runs = read_runs([make_run("a"), make_run("b", lr=0.003)])
    table = tables.differences(runs)
    assert table.heads == ["field", "a", "b"]
    assert table.rows == [["optim.lr", "0.001", "0.003"]]


def test_a_field_that_one_run_lacks_is_a_difference(make_run):
    """X-2."""
    runs = read_runs([make_run("a"), make_run("b")])
    runs[1].config["reward"] = {"kind": "age"}
    assert tables.differences(runs).rows == [["reward.kind", "–", "age"]]


def test_secrets_are_hidden_wherever_they_stand(make_run):
    """X-2."""
    run = read_run(make_run())
    run.config.update(
        hub={"token": "tok-1", "hub_token": "tok-2", "repo": "me/it", "api_key": "tok-3"},
        judge={"url": "https://me:tok-4@host/v1", "key": "sk-tok5abcdefgh"},
        data={"max_tokens": 5, "tokenizer": "bpe", "eos_token": "</s>"},
    )
    run.environment["command"] = [
        "tutelage", "--hub-token", "tok-6", "--api-key=tok-7", "--hub.token", "tok-8", "--seed=1",
    ]  # fmt: skip
    shown = {row[0]: row[1] for row in tables.configuration([run]).rows}
    shown |= {row[0]: row[1] for row in tables.environment([run]).rows}
    assert not [text for text in shown.values() if "tok-" in text or "tok5" in text]
    assert shown["command"] == (
        "tutelage --hub-token (hidden) --api-key=(hidden) --hub.token (hidden) --seed=1"
    )
    assert shown["judge.url"] == "https://(hidden)@host/v1"
    assert (shown["data.max_tokens"], shown["data.eos_token"]) == ("5", "</s>")
    assert (shown["hub.repo"], shown["data.tokenizer"]) == ("me/it", "bpe")


def test_the_uncommitted_diff_is_told_by_its_length_only(make_run):
    """X-2."""
    rows = dict(tables.environment([read_run(make_run())]).rows)
    assert rows["git.diff"] == "2 lines"
    assert rows["times resumed"] == "1"
    assert rows["git.untracked"] == "none"
    assert rows["packages.torch"] == "2.13.0"


def test_a_run_outside_git_has_an_environment(make_run):
    """X-2."""
    run = read_run(make_run())
    run.environment["git"] = None
    assert dict(tables.environment([run]).rows)["git"] == "none"


def test_measures_show_interval_and_trials_where_they_are_counted(make_run):
    """EV-2."""
    run = read_run(make_run())
    last = run.evaluations[-1]._replace(
        measures={"wh": 0.8, "ppl": 12.5, "free": 0.5}, counts={"wh": 10, "ppl": 10}
    )
    table = tables.measures([run._replace(evaluations=[last])], "minimal_pairs")
    assert table.heads == ["measure", "first (step_2000)"]
    assert table.rows == [
        ["wh", "0.8 [0.490, 0.943], n = 10"], ["ppl", "12.5"], ["free", "0.5"],
    ]  # fmt: skip


def test_the_comparison_has_a_column_for_each_fact_of_any_run(make_run):
    """X-2."""
    runs = read_runs([make_run("a"), make_run("b", num_steps=1000)])
    facts = [[tables.Fact("x", "1")], [tables.Fact("y", "2")]]
    table = tables.comparison(runs, facts)
    assert table.heads == ["run", "x", "y", "state"]
    assert table.rows[0] == ["a", "1", "–", "finished all 2,000 steps"]
    assert table.rows[1] == ["b", "–", "2", "ended at step 1,000 of 2,000"]

import fcntl
import json

import pytest

from tutelage.config import UserError
from tutelage.reports.json_lines import json_lines
from tutelage.reports.rollouts import Samples
from tutelage.reports.runs import read_run, read_runs


def test_an_unterminated_last_line_is_left_out(tmp_path):
    """X-2."""
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n\n{"step": 2}\n{"step": 3}')
    assert list(json_lines(path)) == [{"step": 1}, {"step": 2}]


def test_a_half_written_character_at_the_end_is_left_out(tmp_path):
    """X-2."""
    path = tmp_path / "samples.jsonl"
    path.write_bytes('{"step": 1}\n{"response": "é'.encode()[:-1])
    assert list(json_lines(path)) == [{"step": 1}]


@pytest.mark.parametrize(
    ("line", "why"), [("{oops}", "line 2 is not JSON"), ("[1]", "line 2 is not a JSON object")]
)
def test_a_broken_line_is_named_with_its_file(tmp_path, line, why):
    """X-2."""
    (tmp_path / "metrics.jsonl").write_text(f'{{"step": 1}}\n{line}\n')
    with pytest.raises(UserError, match=rf"metrics\.jsonl cannot be read: {why}"):
        list(json_lines(tmp_path / "metrics.jsonl"))


def test_a_run_that_has_only_begun_can_be_read(tmp_path):
    """X-2."""
    (tmp_path / "config.yaml").write_text("recipe: pretrain\n")
    run = read_run(tmp_path)
    assert run.config == {"recipe": "pretrain"}
    assert (run.metrics, run.samples, run.evaluations) == ([], Samples([], [], 0), [])
    assert (run.ledger, run.environment, run.last_step) == ({}, {}, 0)


def test_evaluations_are_in_the_order_of_their_steps(make_run):
    """X-2."""
    run = read_run(make_run())
    assert [e.step for e in run.evaluations] == [1, 3, 10, 30, 100, 300, 1000, 2000]
    assert run.evaluations[-1].milestone == "step_2000"
    assert run.evaluations[-1].counts["quantifiers"] == 250


def test_measures_that_are_no_numbers_are_left_out(tmp_path):
    """X-2."""
    (tmp_path / "config.yaml").write_text("recipe: pretrain\n")
    (tmp_path / "evals" / "naoa").mkdir(parents=True)
    result = {"step": 5, "measures": {"a": 1, "b": None, "c": "x", "d": True}}
    (tmp_path / "evals" / "naoa" / "chck_1M.json").write_text(json.dumps(result))
    (evaluation,) = read_run(tmp_path).evaluations
    assert (evaluation.eval, evaluation.milestone) == ("naoa", "chck_1M")
    assert evaluation.measures == {"a": 1.0}


@pytest.mark.parametrize(
    "result", ["[]", "{", '{"step": 1}', '{"step": "1", "measures": {}}', '{"step": 1, "counts": 3']
)
def test_an_evaluation_of_another_shape_is_named(tmp_path, result):
    """X-2."""
    (tmp_path / "config.yaml").write_text("recipe: pretrain\n")
    (tmp_path / "evals" / "naoa").mkdir(parents=True)
    (tmp_path / "evals" / "naoa" / "step_5.json").write_text(result)
    with pytest.raises(UserError, match=r"step_5\.json cannot be read"):
        read_run(tmp_path)


@pytest.mark.parametrize("config", ["recipe: [", "- a\n", "just words"])
def test_a_config_that_is_no_mapping_is_refused(tmp_path, config):
    """X-2."""
    (tmp_path / "config.yaml").write_text(config)
    with pytest.raises(UserError, match=r"config\.yaml cannot be read"):
        read_run(tmp_path)


def test_a_mistyped_run_gets_the_nearest_one(make_run, tmp_path):
    """X-1."""
    make_run("nursery-small")
    with pytest.raises(UserError, match=r"no run folder .*nursery-smal\. Did you mean .*-small\?"):
        read_run(tmp_path / "nursery-smal")


def test_a_folder_of_runs_lists_them(make_run, tmp_path):
    """X-1."""
    make_run("a")
    make_run("b")
    with pytest.raises(UserError, match=r"no config\.yaml\. It holds runs: give .*a, .*b\."):
        read_run(tmp_path)


def test_a_folder_that_is_no_run_and_a_file_are_refused(tmp_path):
    """X-1."""
    with pytest.raises(UserError, match=r"is not a run folder, as it has no config\.yaml"):
        read_run(tmp_path)
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(UserError, match="is a file; give the folder"):
        read_run(tmp_path / "notes.txt")


def test_a_run_given_twice_is_shown_once(make_run, tmp_path):
    """X-2."""
    first, second = make_run("first"), make_run("second")
    (tmp_path / "link").symlink_to(first)
    runs = read_runs([first, second, tmp_path / "link", first])
    assert [run.name for run in runs] == ["first", "second"]


def test_runs_of_equal_names_are_told_apart(make_run):
    """X-2."""
    paths = [make_run("x/a/run"), make_run("x/b/run"), make_run("other")]
    assert [run.name for run in read_runs(paths)] == ["a/run", "b/run", "other"]


def test_a_run_is_running_while_its_lock_is_held(make_run):
    """X-2."""
    path = make_run()
    assert not read_run(path).is_running
    with open(path / ".lock", "w") as handle:
        assert not read_run(path).is_running
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert read_run(path).is_running

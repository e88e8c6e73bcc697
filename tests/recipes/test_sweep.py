"""Groups of runs: arms of any recipes × seeds, stopped and gone on with."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from recipes.pretraining import finish, options, weights, write_corpus
from recipes.trying import write_student
from tutelage.config import UserError
from tutelage.recipes.ppo import Ppo
from tutelage.recipes.sweep import Planned, compare, run_sweep, sentences
from tutelage.recipes.tnd import Tnd
from tutelage.recipes.tnd_arms import clm

STOPS_ONCE = """
import os, pathlib, signal

def score(responses):
    mark = pathlib.Path({mark!r})
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGINT)
    return [float(len(response)) for response in responses]
"""

LATE = """
import os, sys, time
from pathlib import Path
from tutelage.cli import main
from tutelage.recipes import sweep

is_late, look, state_of = os.environ["RANK"] == "1", sweep.refuse_used, sweep.state_of

def look_late(group):
    end = time.monotonic() + 1.5
    while is_late and not list(group.glob("*")) and time.monotonic() < end:
        time.sleep(0.01)
    look(group)

sweep.refuse_used = look_late
sweep.state_of = lambda folder: "complete" if is_late else state_of(folder)
sys.exit(main(sys.argv[1:]))
"""
"""The second process looks late, and sees another disk than the first."""


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that has read next to nothing."""
    return write_student(tmp_path_factory.mktemp("student"), steps=4)


def trying(student: Path, **more: object) -> Ppo:
    """Two rounds of trials."""
    return Ppo.model_validate(
        {
            "student": {"path": str(student)},
            "batch_size": 4,
            "rounds": 2,
            "rollout": {"max_tokens": 4},
            "update": {"kind": "ppo", "epochs": 1, "minibatch_size": 4},
            "prompts": {"kind": "fixed", "prompt": "the cat"},
            "reward": {"kind": "length"},
            "compute": {"precision": "fp32", "use_cpu": True},
            **more,
        }
    )


def reading(corpus: Path, student: Path) -> Tnd:
    """Two steps of imitation, and nothing else."""
    config = Tnd.model_validate(
        {
            "student": {"path": str(student)},
            "data": {"kind": "text", "path": str(corpus)},
            "block_length": 16,
            "batch_size": 4,
            "steps": 2,
            "compute": {"precision": "fp32", "use_cpu": True},
        }
    )
    return clm(config)


def test_arms_may_be_of_several_recipes(student: Path, tmp_path: Path, capsys) -> None:
    """IRL-5: each run is one of its own recipe, in the group of another."""
    corpus = write_corpus(tmp_path / "stories.jsonl", documents=20)
    trial, text = trying(student), reading(corpus, student)
    runs = [Planned("own words", 0, trial), Planned("text", 3, text)]
    group = tmp_path / "group"
    own = trial.model_copy(update={"out": group})
    assert run_sweep(own, None, recipe="ppo", runs=runs, conclude=compare) == 0
    stored = json.loads((group / "group.json").read_text())
    assert stored["recipe"] == "ppo"
    assert [row["run"] for row in stored["arms"]] == ["own_words-seed0", "text-seed3"]
    configs = [
        yaml.safe_load((group / name / "config.yaml").read_text())
        for name in (".", "own_words-seed0", "text-seed3")
    ]
    assert [(each["recipe"], each["seed"]) for each in configs] == [
        ("ppo", 0), ("ppo", 0), ("tnd", 3),
    ]  # fmt: skip
    assert configs[2]["out"] == str(group / "text-seed3")
    said = capsys.readouterr().out
    assert "Run 2 of 2: text-seed3" in said
    assert f"Report: {group / 'report.html'}" in said
    assert list(json.loads((group / "arms.json").read_text())["arms"]) == ["own words", "text"]


def test_a_stopped_group_tells_how_to_go_on_and_does(student: Path, tmp_path: Path, capsys) -> None:
    """X-3: what is complete is not trained again; the other run ends as if it had not stopped."""
    code = tmp_path / "reward.py"
    code.write_text(STOPS_ONCE.format(mark=str(tmp_path / "mark")))
    stops = {"reward": {"kind": "function", "path": f"{code}:score"}}
    runs = [Planned("length", 0, trying(student)), Planned("own", 0, trying(student, **stops))]
    ends: list[Path] = []
    status = []
    for group, resume in (("stopped", False), ("stopped", True), ("whole", False)):
        path = tmp_path / group
        own = trying(student, out=str(path))
        folder = path if resume else None
        status.append(run_sweep(own, folder, recipe="ppo", runs=runs, conclude=ends.append))
        said = capsys.readouterr().out
        assert ("Run 1 of 2: length-seed0" in said) is not resume
        assert "Run 2 of 2: own-seed0" in said
        assert (f"Go on with: tutelage ppo --resume {path}" in said) is (len(status) == 1)
    assert status == [130, 0, 0]
    assert ends == [tmp_path / "stopped", tmp_path / "whole"]
    assert weights(tmp_path / "stopped" / "own-seed0") == weights(tmp_path / "whole" / "own-seed0")


def test_an_arm_that_can_not_be_trained_is_refused_before_the_first(student, tmp_path) -> None:
    """X-1: and nothing is written."""
    missing = trying(tmp_path / "nowhere")
    runs = [Planned("a", 0, trying(student)), Planned("b", 0, missing)]
    own = trying(student, out=str(tmp_path / "group"))
    with pytest.raises(UserError, match="nowhere"):
        run_sweep(own, None, recipe="ppo", runs=runs, conclude=compare)
    assert not (tmp_path / "group").exists()


def test_a_signal_in_a_last_round_ends_the_group_after_that_run(student, tmp_path, capsys) -> None:
    """X-3: the run is complete; by itself it would have ended well."""
    code, mark = tmp_path / "reward.py", tmp_path / "mark"
    code.write_text(STOPS_ONCE.format(mark=str(mark)))
    last = trying(student, rounds=1, reward={"kind": "function", "path": f"{code}:score"})
    assert last.model_copy(update={"out": tmp_path / "alone"}).run() == 0
    assert mark.exists()
    mark.unlink()
    runs = [Planned("last", 0, last), Planned("more", 0, trying(student))]
    group, ends = tmp_path / "group", []
    own = last.model_copy(update={"out": group})
    status = run_sweep(own, None, recipe="ppo", runs=runs, conclude=ends.append)
    assert mark.exists()
    assert status == 130
    assert f"Go on with: tutelage ppo --resume {group}" in capsys.readouterr().out
    assert (group / "last-seed0" / "complete.json").is_file()
    assert not (group / "more-seed0").exists()
    assert run_sweep(own, group, recipe="ppo", runs=runs, conclude=ends.append) == 0
    assert ends == [group]


def test_a_group_that_can_not_start_leaves_nothing(student, tmp_path: Path) -> None:
    """X-1: not even if its first run is refused late, when its student is there."""
    wrong = trying(student, rollout={"max_tokens": 4_000})
    wrong.check()
    own = wrong.model_copy(update={"out": tmp_path / "group"})
    with pytest.raises(UserError, match="4000"):
        run_sweep(own, None, recipe="ppo", runs=[Planned("a", 0, wrong)], conclude=compare)
    assert not (tmp_path / "group").exists()


def test_of_several_processes_the_main_one_looks_at_the_disk(tmp_path: Path) -> None:
    """X-5: others may be late, or see files that are not there."""
    corpus, group = write_corpus(tmp_path / "stories.jsonl", documents=20), tmp_path / "group"
    script = tmp_path / "late.py"
    script.write_text(LATE)
    _, *more = options(corpus, group, steps=1)
    more = [*more, "--sweep", "clm", "--seeds", "2"]
    two = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    running = subprocess.Popen(
        [*two, str(script), "tnd", *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = finish(running)
    assert running.returncode == 0, said
    assert all((group / f"clm-seed{seed}" / "complete.json").is_file() for seed in (0, 1))


def test_what_came_out_is_told_of_ages_and_of_last_measures() -> None:
    """EV-5: an axis without ages has no sentence."""
    ages = {"clm": {"axes": {"steps": {}}}, "tnd": {"axes": {"steps": {"sentence": "Sooner."}}}}
    assert sentences({"arms": ages}) == ["Sooner."]
    assert sentences({"arms": {"clm": {}}, "sentences": ["Better."]}) == ["Better."]

"""Groups of runs: arms of any recipes × seeds, stopped and gone on with."""

import json
from pathlib import Path

import pytest
import yaml

from recipes.pretraining import weights, write_corpus
from recipes.trying import write_student
from tutelage.config import UserError
from tutelage.recipes.ppo import Ppo
from tutelage.recipes.sweep import Planned, compare, run_sweep
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

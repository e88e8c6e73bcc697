"""Sweeps of `tutelage tnd`: what a later arm can't do is refused before the first is trained."""

import json
import shutil
from pathlib import Path

import pytest

from recipes import pretraining
from recipes.raising import options, write_age_model, write_teacher
from tutelage.cli import main


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Corpus, teacher and age model."""
    folder = tmp_path_factory.mktemp("taught")
    corpus, teacher = write_teacher(folder)
    return corpus, teacher, write_age_model(folder, teacher)


@pytest.fixture(scope="module")
def other(taught: tuple, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with other tokens than the teacher's."""
    out = tmp_path_factory.mktemp("other") / "run"
    own = {"tokenizer__vocab-size": 280, "steps": 1, "samples__num": 1}
    assert main(pretraining.options(taught[0], out, **own)) == 0
    return out / "checkpoints" / "step_1"


def sweep(taught: tuple[Path, Path, Path], out: Path, *arms: str, **more: object) -> list[str]:
    """A sweep of these arms."""
    return [*options(*taught, out, steps=4, **more), "--sweep", *arms]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"rollout__max-tokens": 30}, "more than the 32 that this student reads"),
        ({"interaction__prompt-tokens": 500}, "No document of the corpus has more than 500"),
        ({"rollout__banned-words": "us or"}, "--rollout.banned-words us or is more than"),
        (
            {"demonstrator__sampling__banned-words": "us or"},
            "--demonstrator.sampling.banned-words us or is more than",
        ),
        ({"demonstrator__banned-file": ...}, "banned.txt: us or is more than"),
    ],
)
def test_what_only_a_later_arm_can_not_do_is_refused_first(
    taught: tuple, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: dict, message: str
) -> None:
    """X-1: no arm is trained, and nothing is written."""
    if "demonstrator__banned-file" in more:
        more = {"demonstrator__banned-file": tmp_path / "banned.txt"}
        (tmp_path / "banned.txt").write_text("us or\n")
    assert main(sweep(taught, tmp_path / "group", "clm", "tnd", **more)) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "group").exists()


def test_other_tokens_are_refused_first_and_the_mended_sweep_starts(
    taught: tuple, other: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """X-1: into the same folder; what came out is told at the end (EV-5)."""
    group = tmp_path / "group"
    assert main(sweep(taught, group, "clm", "tnd", tokenizer__path=other)) == 2
    assert f"--tokenizer.path {taught[1]}" in capsys.readouterr().err
    assert not group.exists()
    assert main(sweep(taught, group, "clm", "tnd", evals__surprisal__max_contexts=1)) == 0
    axes = json.loads((group / "arms.json").read_text())["arms"]["tnd"]["axes"].values()
    told = [axis["sentence"] for axis in axes if "sentence" in axis]
    assert told
    said = capsys.readouterr().out
    assert all(sentence in said for sentence in told)


def test_an_update_that_is_too_large_for_a_later_arm_is_refused_first(
    taught: tuple, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """X-1: trials alone are half as many texts as trials and demonstrations."""
    group = tmp_path / "group"
    arms = sweep(taught, group, "tnd", "trials_only", **{"update__minibatch-size": 8})
    assert main(arms) == 2
    assert "--update.minibatch-size 8 is more than" in capsys.readouterr().err
    assert not group.exists()


def test_an_age_model_with_several_labels_is_refused_first(
    taught: tuple, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """X-1."""
    corpus, teacher, ages = taught
    several = tmp_path / "several"
    shutil.copytree(ages, several)
    config = json.loads((several / "config.json").read_text())
    names = {"id2label": {0: "a", 1: "b"}, "label2id": {"a": 0, "b": 1}}
    (several / "config.json").write_text(json.dumps({**config, **names}))
    assert main(sweep((corpus, teacher, several), tmp_path / "group", "clm", "tnd")) == 2
    assert "has 2 labels" in capsys.readouterr().err
    assert not (tmp_path / "group").exists()

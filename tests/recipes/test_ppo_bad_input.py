"""What `tutelage ppo` refuses, before anything is written."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from recipes.trying import RLOO, options, write_student
from tutelage.cli import main


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.getbasetemp() / "cache")


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_student(tmp_path_factory.mktemp("student"))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"student__path": "nowhere/at/all"}, "--student.path nowhere/at/all is not a folder"),
        ({"rollout__min_tokens": 9}, "--rollout.min-tokens 9 is more than"),
        ({"batch_size": 6, **RLOO}, "--batch-size 6 does not divide among groups of 4"),
        ({"update__minibatch_size": 99}, "--update.minibatch-size 99 is more than"),
        ({"shaping__truncation": "bootstrap", **RLOO}, "needs --update.kind ppo"),
        ({"kl__reference": "none", "kl__target": 2}, "needs a reference"),
        ({"rollout__max_tokens": 60}, "more than the 32 tokens that the student reads"),
        ({"reward__kind": "gsm8k"}, "needs a column answer"),
        ({"optim__schedule": "linear", "rounds": None}, "Give --rounds too"),
        ({"reward__kind": "contians"}, "contains"),
        ({"kl__reference": "./none"}, "--kl.reference ./none holds no model"),
        ({"rollout__banned_tokens": 300}, "--rollout.banned-tokens 300 is no token"),
        ({"rollout__temperature": 1e-40}, "--rollout.temperature is 1e-40"),
        ({"rollout__banned_words": "zebra"}, "--rollout.banned-words zebra is more than one"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    student: Path, tmp_path: Path, more: dict, said: str, capsys: pytest.CaptureFixture
) -> None:
    """X-1: exit status 2, one sentence, no run folder."""
    out = tmp_path / "run"
    try:
        status = main(options(student, out, **more))
    except SystemExit as error:
        status = error.code
    printed = "".join(capsys.readouterr())
    assert status == 2
    assert said in " ".join(printed.split())
    assert not out.exists()


def test_a_reference_with_other_tokens_is_refused(
    student: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """PPO-3."""
    from models.students import gpt2, tokenizer_of

    gpt2().save(tmp_path / "other", tokenizer_of())
    out = tmp_path / "run"
    assert main(options(student, out, kl__reference=tmp_path / "other")) == 2
    assert "has other tokens than the student" in capsys.readouterr().err
    assert not out.exists()


def test_bans_that_leave_nothing_are_refused(
    student: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """X-1: before anything is written."""
    out = tmp_path / "run"
    banned = map(str, range(len(AutoTokenizer.from_pretrained(student))))
    assert main([*options(student, out), "--rollout.banned-tokens", *banned]) == 2
    assert "tokens are banned, so nothing can be written" in capsys.readouterr().err
    assert not out.exists()


def changed(student: Path, folder: Path, change: Callable[[Any], None]) -> Path:
    """The student's tokenizer beside another model."""
    tokenizer = AutoTokenizer.from_pretrained(student)
    config = AutoConfig.from_pretrained(student)
    change(config)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def shorten(config: Any) -> None:
    config.n_positions = 8


def drop_tokens(config: Any) -> None:
    config.vocab_size -= 10


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (shorten, "reads at most 8 tokens, but texts may have 11. "),
        (drop_tokens, "has embeddings for 290 only."),
    ],
)
def test_a_reference_that_can_not_read_what_is_written_is_refused(
    student: Path, tmp_path: Path, change: Any, said: str, capsys: pytest.CaptureFixture
) -> None:
    """PPO-3: before anything is written."""
    other, out = changed(student, tmp_path / "other", change), tmp_path / "run"
    assert main(options(student, out, kl__reference=other)) == 2
    printed = " ".join(capsys.readouterr().err.split())
    assert f"--kl.reference {other}" in printed
    assert said in printed
    assert "--tokenizer.path" not in printed
    assert not out.exists()


def test_a_reference_without_a_tokenizer_is_refused(
    student: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """PPO-3: the message is about the option that was given."""
    other, out = tmp_path / "other", tmp_path / "run"
    AutoModelForCausalLM.from_pretrained(student).save_pretrained(other)
    assert main(options(student, out, kl__reference=other)) == 2
    assert f"--kl.reference {other} can't be used. " in capsys.readouterr().err
    assert not out.exists()


def test_an_empty_prompt_file_is_refused(
    student: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """PPO-1."""
    empty = tmp_path / "prompts.jsonl"
    empty.write_text("")
    assert main(options(student, tmp_path / "run", prompts__kind="text", prompts__path=empty)) == 2
    assert "prompts.jsonl" in capsys.readouterr().err

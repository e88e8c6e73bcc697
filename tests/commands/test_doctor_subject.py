"""`tutelage doctor TARGET`: what it examines, and how it tells."""

import json
import re
from pathlib import Path

import pytest

from tutelage import cli
from tutelage.commands.doctor_subject import NUM_RESPONSES, subject_of
from tutelage.config import UserError
from tutelage.data.grammar import NurseryCorpus
from tutelage.data.tokenizer import TokenizerConfig
from tutelage.models.student import StudentConfig
from tutelage.recipes.ppo import Ppo
from tutelage.recipes.pretrain import Pretrain
from tutelage.run_folder import RunFolder, write_json

CORPUS = NurseryCorpus(num_words=1_000)
SHAPE = {"layers": 1, "heads": 2, "width": 16, "context": 128}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """A new student, saved."""
    folder = tmp_path_factory.mktemp("saved")
    tokenizer = TokenizerConfig(vocab_size=300).build(CORPUS, folder / "cache")
    StudentConfig(**SHAPE).build(tokenizer, seed=0).save(folder / "checkpoint", tokenizer)
    return folder / "checkpoint"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def ppo(checkpoint, body: str, **options) -> Path:
    """A config.yaml of `ppo` with a reward of one's own."""
    Path("mine.py").write_text(f"def score(responses, **columns):\n    return {body}\n")
    reward = {"kind": "function", "path": "mine.py:score"}
    config = {"student": {"path": str(checkpoint)}, "rollout": {"max_tokens": 8}, **options}
    Ppo(reward=reward, **config).save(Path("config.yaml"))
    return Path("config.yaml")


def examined(capsys, target) -> dict:
    """The JSON that `tutelage doctor TARGET --json` prints; the exit status agrees with it."""
    status = cli.main(["doctor", str(target), "--json"])
    report = json.loads(capsys.readouterr().out)
    assert status == (0 if report["ok"] else 1)
    return report


def test_a_sound_recipe_passes_in_lines_for_people(checkpoint, capsys, monkeypatch):
    """X-8: each check is one line with its number and tolerance; exit status 0."""
    monkeypatch.setenv("COLUMNS", "60")
    assert cli.main(["doctor", str(ppo(checkpoint, "[len(text) for text in responses]"))]) == 0
    lines = capsys.readouterr().out.splitlines()
    checks = [line for line in lines if line[:2] in ("✓ ", "✗ ", "- ")]
    assert len(checks) == 13
    for line in checks:
        assert re.fullmatch(r". .+: .+ [\d.e+-]+ \(at (most|least) [\d.e+-]+\)", line), line
    assert lines[0].startswith("config.yaml: ")
    assert lines[-1].startswith("All checks pass (")


def test_a_failure_is_told_in_words(checkpoint, capsys):
    """X-8: what it means, what causes it, what to do; exit status 1."""
    assert cli.main(["doctor", str(ppo(checkpoint, "[1.0] * len(responses)"))]) == 1
    told = " ".join(capsys.readouterr().out.split())
    assert "✗ The reward tells responses apart: standard deviation of the scores 0 (" in told
    assert "All 16 responses got the same score" in told
    assert "Usual causes: a reward that looks for" in told
    assert "What to do: read the responses" in told
    assert "1 of 13 checks failed" in told


def test_json_holds_every_check_with_its_number_and_diagnosis(checkpoint, capsys):
    """X-8."""
    report = examined(capsys, ppo(checkpoint, "1 / 0"))
    assert not report["ok"]
    rows = {row["check"]: row for row in report["checks"]}
    assert rows["first_ratio"]["state"] == "good"
    assert 0 <= rows["first_ratio"]["measured"] <= rows["first_ratio"]["tolerance"]
    assert rows["first_ratio"]["diagnosis"] is None
    assert rows["reward_numbers"]["state"] == "broken"
    assert "ZeroDivisionError" in rows["reward_numbers"]["diagnosis"]["meaning"]
    assert report["seconds"] > 0


def test_a_checkpoint_is_examined_without_a_reward(checkpoint, capsys):
    """X-8."""
    report = examined(capsys, checkpoint)
    assert report["ok"]
    assert {row["check"] for row in report["checks"]}.isdisjoint({"reward_numbers"})
    assert "prompts of the nursery" in report["subject"]


def test_a_run_is_examined_at_its_newest_checkpoint(checkpoint):
    """X-8: with the sampling and reward of its recipe; before there is one, at its start."""
    config = Ppo.load(ppo(checkpoint, "responses", rollout={"max_tokens": 100, "top_k": 7}))
    folder = RunFolder.create(Path("run"), config=config.to_yaml(), seed=0)
    assert subject_of("run").description.startswith(f"run: {checkpoint}, 16 responses")
    subject = None
    for step in (2, 10):
        path = folder.checkpoints / f"step_{step}"
        subject = subject_of(str(checkpoint))
        subject.student.save(path, subject.tokenizer)
        write_json(path / "milestone.json", {"step": step})
    subject = subject_of("run")
    assert "run/checkpoints/step_10, " in subject.description
    assert subject.sampling.top_k == 7
    assert subject.sampling.max_tokens == 32
    assert subject.reward is not None
    assert subject.student.value_head is not None


def test_a_run_of_pretrain_is_examined_too(checkpoint, capsys):
    """X-8: what applies to a model; a new student where there is no checkpoint."""
    Pretrain(
        data=CORPUS, tokenizer=TokenizerConfig(vocab_size=300), student=StudentConfig(**SHAPE)
    ).save(Path("config.yaml"))
    report = examined(capsys, "config.yaml")
    assert report["ok"]
    assert "a new student" in report["subject"]
    folder = RunFolder.create(Path("run"), config=Path("config.yaml").read_text(), seed=0)
    subject = subject_of("config.yaml")
    subject.student.save(folder.checkpoints / "step_1", subject.tokenizer)
    write_json(folder.checkpoints / "step_1" / "milestone.json", {"step": 1})
    assert "run/checkpoints/step_1, " in subject_of("run").description


def test_few_prompts_come_again_and_many_are_not_read(checkpoint):
    """X-8: in under a minute, however large the corpus."""
    Path("few.jsonl").write_text('{"prompt": "the dog", "n": 1}\n{"prompt": "a cat", "n": 2}\n')
    prompts = {"kind": "text", "path": "few.jsonl"}
    config = ppo(checkpoint, "responses", prompts=prompts)
    texts = [prompt.text for prompt in subject_of(str(config)).prompts]
    assert texts == ["the dog", "a cat"] * (NUM_RESPONSES // 2)
    many = '{"prompt": "the dog"}\n' * 20_000 + "and what is this?\n"
    Path("many.jsonl").write_text(many)
    prompts = {"kind": "text", "path": "many.jsonl"}
    assert len(subject_of(str(ppo(checkpoint, "responses", prompts=prompts))).prompts) == 16


def test_a_small_context_has_room_for_prompts_and_responses(checkpoint):
    """X-8."""
    small = StudentConfig(**SHAPE | {"context": 24})
    tokenizer = subject_of(str(checkpoint)).tokenizer
    small.build(tokenizer, seed=0).save(Path("small"), tokenizer)
    subject = subject_of("small")
    longest = max(len(prompt.token_ids) for prompt in subject.prompts)
    assert subject.sampling.max_tokens <= 24 - longest


def test_what_a_run_would_refuse_is_refused(checkpoint, capsys):
    """X-8: exit status 2, one message."""
    Path("long.jsonl").write_text(json.dumps({"prompt": "the dog " * 99}) + "\n")
    long = ppo(checkpoint, "responses", prompts={"kind": "text", "path": "long.jsonl"})
    assert cli.main(["doctor", str(long)]) == 2
    assert "more than the 128 tokens that the student reads" in capsys.readouterr().err
    assert cli.main(["doctor", "no/such/folder"]) == 2
    assert "There is no folder no/such/folder." in capsys.readouterr().err
    Path("strange.yaml").write_text("recipe: strange\n")
    with pytest.raises(UserError, match="strange"):
        subject_of("strange.yaml")


def test_a_real_student_is_sound(shared_data, capsys):
    """X-8: 260K parameters, trained on TinyStories by another program."""
    report = examined(capsys, shared_data / "stories260K")
    states = {row["check"]: row["state"] for row in report["checks"]}
    # It was trained on stories that begin with a token of their own, but end with none.
    assert states.pop("ending") == "notable"
    assert set(states.values()) == {"good"}
    assert report["seconds"] < 60

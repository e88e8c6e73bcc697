"""`tutelage data age`: checkpoints write, and each text keeps the step it was written at."""

import re
import shutil
from pathlib import Path

import pytest

from recipes.pretraining import options, write_corpus
from tutelage.cli import main
from tutelage.commands import data_age
from tutelage.data.ages import Ages
from tutelage.run_folder import read_lines


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with milestones at steps 2, 8 and 16."""
    folder = tmp_path_factory.mktemp("aged")
    corpus = write_corpus(folder / "stories.jsonl", documents=60)
    more = {"steps": 16, "milestones__spacing": "list", "milestones__at": 2}
    arguments = options(corpus, folder / "run", **more)
    place = arguments.index("--milestones.at")
    arguments.insert(place + 2, "8")
    assert main(arguments) == 0
    return folder


@pytest.fixture
def place(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, with the run and its corpus."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copytree(trained, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def age(*targets: str, out: str = "ages.jsonl", **more: object) -> list[str]:
    values = {
        "prompts.kind": "text",
        "prompts.path": "stories.jsonl",
        "prompts.column": "text",
        "per-checkpoint": 10,
        "max-tokens": 20,
        "out": out,
        **{name.replace("_", "-"): value for name, value in more.items()},
    }
    return ["data", "age", *targets, *(str(w) for n, v in values.items() for w in (f"--{n}", v))]


def test_every_milestone_of_a_run_writes_what_an_age_model_reads(place, capsys):
    """TND-4: text, step, prompt and checkpoint; the same prompts for all."""
    assert main(age("run")) == 0
    rows = read_lines(place / "ages.jsonl")
    assert [row["step"] for row in rows] == [2] * 10 + [8] * 10 + [16] * 10
    assert list(rows[0]) == ["text", "step", "prompt", "checkpoint"]
    assert {row["checkpoint"] for row in rows[:10]} == {"run/checkpoints/step_2"}
    prompts = [row["prompt"] for row in rows]
    assert prompts[:10] == prompts[10:20] == prompts[20:]
    assert len(set(prompts[:10])) > 5
    assert all(row["text"].startswith(row["prompt"]) for row in rows)
    assert len({row["text"] for row in rows}) > 25
    shown = capsys.readouterr().out
    assert "ages.jsonl: 30 texts of 3 checkpoints.\n  step 2: " in shown
    Ages(path="ages.jsonl").check()
    assert not list(place.glob(".ages*"))


def test_prompts_and_texts_are_as_long_as_asked(place, monkeypatch):
    """TND-4: counted in tokens; a text has 20 with its prompt, whatever the prompt has."""
    lengths: list[int] = []
    load = data_age.load

    def records_lengths(name, **more):
        model, tokenizer = load(name, **more)
        decode = tokenizer.decode
        tokenizer.decode = lambda ids, **how: lengths.append(len(ids)) or decode(ids, **how)
        return model, tokenizer

    monkeypatch.setattr(data_age, "load", records_lengths)
    assert main(age("run")) == 0
    assert max(lengths[-10:]) == 20  # the last ten are the texts, whole
    tokenizer = load("run/checkpoints/step_2", trust_remote_code=False)[1]
    prompts = [row["prompt"] for row in read_lines(place / "ages.jsonl")]
    assert {len(tokenizer.encode(prompt)) for prompt in prompts} == {5}
    lengths.clear()
    (place / "stories.jsonl").write_text('{"text": "the cat"}\n{"text": "the cat sees us ."}\n')
    assert main(age("run", out="whole.jsonl", prompt_tokens="None")) == 0
    assert max(lengths[-10:]) == 20
    assert {row["prompt"] for row in read_lines(place / "whole.jsonl")} == {
        "the cat", "the cat sees us .",
    }  # fmt: skip


def test_the_same_command_gives_the_same_bytes_and_another_seed_others(place):
    """TND-4: whatever the number of texts written at once."""
    written = []
    for number, more in enumerate(({}, {"rows_at_once": 3}, {"seed": 1})):
        assert main(age("run", out=f"{number}.jsonl", **more)) == 0
        written.append((place / f"{number}.jsonl").read_bytes())
    assert written[0] == written[1] != written[2]


def test_prompts_come_again_only_when_all_have_come(place):
    """TND-4: three prompts, seven texts; a response depends on its place, so none is doubled."""
    (place / "few.txt").write_text("the cat\na dog\nour duck\n")
    more = {"prompts.path": "few.txt", "prompts.column": "prompt", "per_checkpoint": 7}
    assert main(age("run", **more)) == 0
    prompts = [row["prompt"] for row in read_lines(place / "ages.jsonl")[:7]]
    assert len(set(prompts[:3])) == len(set(prompts[3:6])) == 3


def test_a_stopped_command_goes_on_where_it_was(place, monkeypatch):
    """TND-4: what finished checkpoints wrote is kept, and the file is as if nothing happened."""
    assert main(age("run", out="whole.jsonl")) == 0
    loaded = []
    load = data_age.load

    def stops_at_the_third(name, **more):
        loaded.append(name)
        if len(loaded) == 3:
            raise KeyboardInterrupt
        return load(name, **more)

    monkeypatch.setattr(data_age, "load", stops_at_the_third)
    assert main(age("run")) == 130
    assert not (place / "ages.jsonl").exists()
    assert main(age("run")) == 0
    assert [Path(name).name for name in loaded] == ["step_2", "step_8", "step_16", "step_16"]
    assert (place / "ages.jsonl").read_bytes() == (place / "whole.jsonl").read_bytes()


def test_other_options_or_weights_keep_nothing_of_a_stopped_command(place, monkeypatch):
    """TND-4: parts are never stale."""
    folder = place / ".ages.jsonl.parts"
    monkeypatch.setattr(data_age.shutil, "rmtree", lambda path: None)
    for more in ({}, {}, {"seed": 1}, {"temperature": 0.5}):
        (place / "ages.jsonl").unlink(missing_ok=True)
        assert main(age("run", **more)) == 0
    assert len(list(folder.iterdir())) == 9
    (place / "ages.jsonl").unlink()
    (place / "stories.jsonl").write_text('{"text": "one other prompt for all of them"}\n')
    assert main(age("run")) == 0
    assert len(list(folder.iterdir())) == 12
    (place / "ages.jsonl").unlink()
    shutil.copy("run/checkpoints/step_8/model.safetensors", "run/checkpoints/step_2")
    assert main(age("run")) == 0
    assert len(list(folder.iterdir())) == 13


def test_folders_tell_their_steps_by_file_or_name(place):
    """TND-4: milestone.json first, then the number at the end of the name, or a list."""
    shutil.copytree("run/checkpoints/step_8", "any")
    shutil.copytree("run/checkpoints/step_16", "checkpoint-16")
    (place / "checkpoint-16" / "milestone.json").unlink()
    assert main(age("any", "checkpoint-16")) == 0
    assert {row["step"] for row in read_lines(place / "ages.jsonl")} == {8, 16}
    (place / "list.csv").write_text("checkpoint,step\nany,3\ncheckpoint-16,400\n")
    assert main(age("list.csv", out="listed.jsonl")) == 0
    assert {row["step"] for row in read_lines(place / "listed.jsonl")} == {3, 400}


def test_what_cannot_be_done_is_refused_and_nothing_written(place, capsys):
    """X-1: one sentence, status 2."""
    shutil.copytree("run/checkpoints/step_8", "nameless")
    (place / "nameless" / "milestone.json").unlink()
    (place / "old.jsonl").write_text("precious")
    before = sorted(place.iterdir())
    for arguments, message in (
        (age("run", out="ages.csv"), "--out is ages.csv, but its name must end in .jsonl."),
        (age("run", out="old.jsonl"), "--out old.jsonl exists. Name another file, or delete it."),
        (age("run/checkpoints/step_8"), "at least two steps, but the steps here are 8."),
        (age("nameless", "run"), "The step of nameless is unknown: it has no milestone.json"),
        (age("./none"), "There is no folder ./none."),
        (age("run", **{"prompts.path": "none.jsonl"}), "none.jsonl does not exist"),
        (age(), "No run is given. Name run folders or checkpoints."),
    ):
        assert main(arguments) == 2, arguments
        assert message in " ".join(capsys.readouterr().err.split()), arguments
        assert sorted(place.iterdir()) == before, arguments
    assert main(age("run", max_tokens=5)) == 2
    assert "--max-tokens is 5, but a prompt alone has 5 tokens." in capsys.readouterr().err
    assert not (place / "ages.jsonl").exists()


def test_steps_are_read_from_the_end_of_a_name():
    """TND-4."""
    found = {name: re.search(data_age.STEP_IN_NAME, name) for name in
             ("step_100", "checkpoint-500", "7", "step100", "v1.5", "step_100_final")}  # fmt: skip
    assert {name: its and its[1] for name, its in found.items()} == {
        "step_100": "100", "checkpoint-500": "500", "7": "7", "step100": "100", "v1.5": None,
        "step_100_final": None,
    }  # fmt: skip

"""`tutelage tnd` from its command line: cycles, arms, resuming, groups, bad input."""

import csv
import json
import shutil
import signal
from collections import Counter
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from recipes import pretraining
from recipes.pretraining import finish, process, rows, weights
from recipes.raising import options, write_age_model, write_teacher
from test_docs import undocumented
from tutelage.cli import main
from tutelage.recipes.tnd_arms import ABLATIONS, ARMS
from tutelage.recipes.tnd_presets import PRESETS, Tnd
from tutelage.run_folder import read_lines


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Corpus, teacher and age model."""
    folder = tmp_path_factory.mktemp("taught")
    corpus, teacher = write_teacher(folder)
    return corpus, teacher, write_age_model(folder, teacher)


def lessons(out: Path) -> list[str]:
    return [row["lesson"] for row in read_lines(out / "metrics.jsonl") if "lesson" in row]


def logged(out: Path) -> set[str]:
    return {key for row in read_lines(out / "metrics.jsonl") for key in row}


def test_three_steps_of_imitation_then_one_of_interaction(taught, tmp_path: Path) -> None:
    """TND-1, TND-2, TND-6: rows, samples, ledger and tables tell the same story."""
    out = tmp_path / "run"
    assert main(options(*taught, out)) == 0
    assert lessons(out) == (["demonstration"] * 3 + ["trial"]) * 3
    samples = read_lines(out / "samples.jsonl")
    assert Counter(row["author"] for row in samples) == {"student": 18, "demonstrator": 18}
    ledger = json.loads((out / "ledger.json").read_text())
    for author, kind in (("student", "generated"), ("demonstrator", "demonstrated")):
        own = [row for row in samples if row["author"] == author]
        assert sum(row["num_tokens"] for row in own) == ledger[f"{kind}_tokens"]
        assert sum(len(row["response"].split()) for row in own) == ledger[f"{kind}_words"]
    assert ledger["read_tokens"] == 9 * 8 * 16
    with open(out / "frequencies" / "round_12.csv") as handle:
        table = list(csv.DictReader(handle))
    for column, kind in (("trials", "generated"), ("demonstrations", "demonstrated")):
        assert sum(int(row[column]) for row in table) == ledger[f"{kind}_tokens"]
    mark = json.loads((out / "checkpoints" / "round_12" / "milestone.json").read_text())
    assert (mark["round"], mark["step"]) == (12, 12)
    assert mark["seen_words"] == sum(v for k, v in ledger.items() if k.endswith("_words"))
    AutoModelForCausalLM.from_pretrained(out / "checkpoints" / "round_12")
    assert not undocumented(logged(out))


def test_the_ages_of_the_learner_are_its_steps(taught, tmp_path: Path) -> None:
    """TND-3: interactions are at steps 4, 8 and 12."""
    assert main(options(*taught, tmp_path / "run", shaping__normalise=False)) == 0
    trials = [r for r in read_lines(tmp_path / "run" / "metrics.jsonl") if "reward/total" in r]
    assert [2 ** row["interaction/baseline"] for row in trials] == pytest.approx([4, 8, 12])


def test_without_trials_it_is_pretraining_bit_for_bit(taught, tmp_path: Path) -> None:
    """TND-1: the CLM baseline needs neither teacher nor age model."""
    corpus, teacher, _ = taught
    same = {"steps": 12, "student__dropout": 0.0, "optim__warmup-steps": 2, "samples__num": 1}
    same |= {
        "tokenizer__path": teacher,
        "tokenizer__vocab-size": 300,
        "optim__schedule": "constant",
    }
    assert main(pretraining.options(corpus, tmp_path / "plain", **same)) == 0
    more = {"tokenizer__path": teacher, "curriculum__trials-per-cycle": 0, "age__path": None}
    more |= {"demonstrator__path": None}
    assert main(options(*taught, tmp_path / "clm", **more)) == 0
    one = load_file(tmp_path / "plain" / "checkpoints" / "step_12" / "model.safetensors")
    other = load_file(tmp_path / "clm" / "checkpoints" / "round_12" / "model.safetensors")
    assert one.keys() == other.keys()
    assert all(one[name].equal(other[name]) for name in one)


def test_the_released_code_imitates_after_ppo(taught, tmp_path: Path) -> None:
    """TND-6: twice, and it knows the age of demonstrations, here log2 of 60 steps."""
    out = tmp_path / "run"
    assert main(options(*taught, out, mode="released_code")) == 0
    assert lessons(out)[:7] == ["demonstration"] * 3 + ["trial"] + ["echo"] * 3
    shown = [r for r in read_lines(out / "samples.jsonl") if r["author"] == "demonstrator"]
    assert {round(2 ** row["scores"]["age"]) for row in shown} == {60}
    mark = json.loads((out / "checkpoints" / "round_12" / "milestone.json").read_text())
    assert (mark["round"], mark["step"]) == (12, 21)


@pytest.mark.parametrize(
    ("more", "authors", "kinds"),
    [
        ({"interaction__texts": "trials", "demonstrator__path": None}, {"student"}, {"trial"}),
        ({"interaction__texts": "demonstrations"}, {"demonstrator"}, {"trial"}),
        (
            {"interaction__learn": "imitation", "age__path": None},
            {"student", "demonstrator"},
            {"echo"},
        ),
        ({"age__baseline": "twin"}, {"student", "demonstrator"}, {"trial"}),
        ({"curriculum__overlay": "trials"}, {"student", "demonstrator"}, {"trial"}),
        ({"frozen__precision": "bf16"}, {"student", "demonstrator"}, {"trial"}),
        (
            {"age__shape": "ratio", "curriculum__first": "trials"},
            {"student", "demonstrator"},
            {"trial"},
        ),
    ],
)
def test_arms_learn_from_whom_they_should(taught, tmp_path, more, authors, kinds) -> None:
    """TND-5, TND-7."""
    own = {} if "demonstrator__path" not in more else {"tokenizer__path": taught[1]}
    assert main(options(*taught, tmp_path / "run", steps=4, **more, **own)) == 0
    assert {r["author"] for r in read_lines(tmp_path / "run" / "samples.jsonl")} == authors
    assert set(lessons(tmp_path / "run")) - {"demonstration"} == kinds
    assert not undocumented(logged(tmp_path / "run"))


@pytest.mark.parametrize("more", [{}, {"mode": "released_code", "age__baseline": "twin"}])
def test_killed_runs_end_like_whole_ones(taught, tmp_path: Path, more: dict) -> None:
    """X-3: in the middle of a cycle, twice; twin, tables and texts as they would have been."""
    settings = {"steps": 24, "saving__resume-rounds": 2, **more}
    settings |= {"milestones__spacing": "every", "milestones__every": 10}
    settings |= {"milestones__unit": "rounds"}
    assert main(options(*taught, tmp_path / "whole", **settings)) == 0
    out, arguments = tmp_path / "run", options(*taught, tmp_path / "run", **settings)
    for moment in (4, 13):
        running = process(arguments)
        path = out / "metrics.jsonl"
        while running.poll() is None and (
            not path.exists() or path.read_bytes().count(b"\n") < moment
        ):
            pass
        running.kill()
        finish(running)
        assert running.returncode == -signal.SIGKILL
        arguments = ["tnd", "--resume", str(out)]
    assert main(arguments) == 0
    assert rows(out) == rows(tmp_path / "whole")
    assert weights(out) == weights(tmp_path / "whole")
    for name in ("samples.jsonl", "ledger.json", "frequencies/round_24.csv"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_sweep_trains_each_arm_with_each_seed_once(taught, tmp_path: Path, capsys) -> None:
    """TND-5: and goes on where it was, even in the middle of a run."""
    group = tmp_path / "group"
    more = {"sweep": "clm", "seeds": 2, "steps": 8, "evals__surprisal__max-contexts": 1}
    arguments = options(*taught, group, **more)
    place = arguments.index("clm")
    arguments = [*arguments[: place + 1], "tnd", *arguments[place + 1 :]]
    assert main(arguments) == 0
    names = [row["run"] for row in json.loads((group / "group.json").read_text())["arms"]]
    assert names == ["clm-seed0", "tnd-seed0", "clm-seed1", "tnd-seed1"]
    assert all((group / name / "complete.json").is_file() for name in names)
    assert set(json.loads((group / "arms.json").read_text())["arms"]) == {"clm", "tnd"}
    assert "tnd" in (group / "report.html").read_text()
    before = weights(group / "tnd-seed1")
    (group / "tnd-seed1" / "complete.json").unlink()
    capsys.readouterr()
    assert main(["tnd", "--resume", str(group)]) == 0
    said = capsys.readouterr().out
    assert "Run 4 of 4" in said
    assert "Run 3 of 4" not in said
    assert weights(group / "tnd-seed1") == before


def test_two_processes_raise_the_student_that_one_does(taught, tmp_path: Path) -> None:
    """TND-7, X-5: the same texts, rewards and losses, up to rounding."""
    more = {"mode": "released_code", "steps": 8, "interaction__batch-size": 8}
    assert main(options(*taught, tmp_path / "one", **more)) == 0
    launched = ["launch", "--processes", "2", *options(*taught, tmp_path / "two", **more)]
    running = process(launched)
    said = finish(running)
    assert running.returncode == 0, said
    one, two = (read_lines(tmp_path / name / "samples.jsonl") for name in ("one", "two"))
    first = [row for row in one if row["step"] == one[0]["step"]]
    same = {(row["author"], row["prompt"], row["response"]) for row in two}
    assert {(row["author"], row["prompt"], row["response"]) for row in first} <= same
    compared = 0
    for ours, theirs in zip(rows(tmp_path / "one"), rows(tmp_path / "two"), strict=True):
        for name in set(ours) & {"demonstration/loss", "trial/loss", "echo/loss", "reward/total"}:
            assert theirs[name] == pytest.approx(ours[name], abs=2e-3)
            compared += 1
    assert compared >= 12


def test_presets_and_arms_stand() -> None:
    """TND-5."""
    assert set(ARMS) - {"tnd"} <= set(PRESETS)
    assert set(ABLATIONS) <= set(ARMS)
    for name in PRESETS:
        config = PRESETS[name]()
        assert Tnd.model_validate(config.model_dump()) == config
    assert not PRESETS["clm"]().has_interaction
    assert PRESETS["double_clm"]().has_echo
    assert not PRESETS["double_clm"]().has_ppo
    assert PRESETS["student_588"]().student.shape() == (12, 12, 588, 1024)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"demonstrator__path": None}, "There is nobody to demonstrate"),
        ({"age__path": None}, "There is nobody to tell ages"),
        ({"demonstrator__path": "./nowhere"}, "--demonstrator.path ./nowhere is not a folder"),
        ({"sweep": "ablation"}, "--sweep ablation is no arm. Did you mean ablations?"),
        ({"sweep": "masked_teacher"}, "A masked teacher needs words that it never writes"),
        ({"update__minibatch-size": 13}, "13 is more than the 12 texts of an interaction"),
        ({"curriculum__trials-per-cycle": 0, "curriculum__demonstrations-per-cycle": 0}, "neither"),
        ({"rollout__max-tokens": 30}, "are more than the 32 that this student reads"),
        ({"interaction__prompt-tokens": 500}, "No document of the corpus has more than 500"),
        ({"demonstrator__sampling__banned-words": "us or"}, "--demonstrator.sampling.banned-words"),
        ({"demonstrator__banned-file": "nothing.txt"}, "nothing.txt can't be read"),
        ({"kl__reference": "start"}, "tnd has no KL to a reference"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(taught, tmp_path, capsys, more, message) -> None:
    """X-1: and nothing is written."""
    if "banned" in str(more):
        more |= {"interaction__texts": "both"}
    assert main(options(*taught, tmp_path / "run", **more)) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_word_of_the_file_of_banned_words_is_named_with_the_file(taught, tmp_path, capsys):
    """X-1: the others are named with their option."""
    path = tmp_path / "ban.txt"
    path.write_text("the\n\nnot a token\n")
    more = {"demonstrator__banned-file": path}
    assert main(options(*taught, tmp_path / "run", **more)) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"--demonstrator.banned-file {path}: not a token is more than one token" in said
    assert "banned-words" not in said


def test_a_run_with_a_silent_teacher_goes_on_once_its_config_makes_it_speak(
    taught, tmp_path, capsys
):
    """TND-2: as the message says."""
    corpus, teacher, ages = taught
    silent, out = tmp_path / "silent", tmp_path / "run"
    shutil.copytree(teacher, silent)
    model = AutoModelForCausalLM.from_pretrained(teacher)
    with torch.no_grad():  # the end token, whatever comes before
        end = model.lm_head.weight[model.config.eos_token_id].mul_(100)
        model.transformer.ln_f.weight.zero_()
        model.transformer.ln_f.bias.copy_(end)
    model.save_pretrained(silent)
    assert main(options(corpus, silent, ages, out, steps=8)) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "set min_tokens under demonstrator, sampling in the run's config.yaml" in said
    assert "--resume" in said
    config = yaml.safe_load((out / "config.yaml").read_text())
    config["demonstrator"]["sampling"]["min_tokens"] = 2
    (out / "config.yaml").write_text(yaml.safe_dump(config))
    assert main(["tnd", "--resume", str(out)]) == 0
    shown = [r for r in read_lines(out / "samples.jsonl") if r["author"] == "demonstrator"]
    assert min(row["num_tokens"] for row in shown) >= 2


def test_a_model_of_preferences_tells_no_ages(taught, tmp_path: Path, capsys) -> None:
    """TND-3."""
    corpus, teacher, _ = taught
    wrong = write_age_model(tmp_path, teacher, learned="preferences")
    assert main(options(corpus, teacher, wrong, tmp_path / "run")) == 2
    assert "is a reward model of preferences" in capsys.readouterr().err


def test_a_demonstrator_with_other_tokens_is_refused(taught, tmp_path: Path, capsys) -> None:
    """TND-2: and the message says how to mend it."""
    own = {"tokenizer__vocab-size": 280, "steps": 1}
    corpus, teacher, ages = taught
    assert main(pretraining.options(corpus, tmp_path / "other", **own)) == 0
    tokens = tmp_path / "other" / "checkpoints" / "step_1"
    assert main(options(corpus, teacher, ages, tmp_path / "run", tokenizer__path=tokens)) == 2
    said = capsys.readouterr().err
    assert "has other tokens than the student" in said
    assert f"--tokenizer.path {teacher}" in said

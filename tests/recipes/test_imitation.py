"""`tutelage sft` and `irl` as users meet them: they learn, stop, go on, sweep, and refuse."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM

from recipes.imitating import options, write_questions
from recipes.pretraining import finish, process, rows, weights
from test_docs import undocumented
from tutelage.cli import main
from tutelage.models.student import StudentConfig
from tutelage.recipes import irl, sft
from tutelage.recipes.irl_sweep import PARETO, planned
from tutelage.recipes.sft import Sft
from tutelage.run_folder import read_lines


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.getbasetemp() / "cache")


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_questions(tmp_path_factory.mktemp("questions") / "questions.jsonl")


@pytest.fixture(scope="module")
def everything(questions: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Options of `irl` with all of it on, for a student that has learned before."""
    out = tmp_path_factory.mktemp("before") / "run"
    assert main(options("sft", questions, out, steps=60)) == 0
    shape = ("layers", "heads", "width", "context")
    return {
        **{f"student__{name}": None for name in shape},
        "tokenizer__vocab_size": None,
        "student__path": out / "checkpoints" / "step_60",
        "student__lora__rank": 4,
        "steps": 60,
        "lambda_td": 0.2,
        "lambda_kl": 0.05,
        "mle_steps": 5,
        "kl__estimator": "sampled",
        "online__fraction": 0.25,
        "online__sampling__max_tokens": 6,
        "saving__eval_steps": 30,
        "saving__resume_rounds": 10,
    }


@pytest.fixture(scope="module")
def whole(
    questions: Path, everything: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run of `irl` with everything on that nobody stopped."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert main(options("irl", questions, out, **everything)) == 0
    return out


@pytest.mark.parametrize("recipe", ["sft", "irl"])
def test_it_learns_to_answer(recipe: str, questions: Path, tmp_path: Path) -> None:
    """IRL-2, IRL-4: the loss falls, answers look like references, every key is documented."""
    out = tmp_path / "run"
    assert main(options(recipe, questions, out, steps=120, student__dropout=0.0)) == 0
    found = rows(out)
    learned = [row for row in found if "imitation/nll" in row]
    assert learned[0]["imitation/nll"] > 4
    assert learned[-1]["imitation/nll"] < 0.6
    last = found[-1]
    assert last["eval/responses/rouge_l"] > 0.5
    assert 0 < last["eval/validation/loss"] < 1.5
    assert ("imitation/td_penalty" in learned[-1]) == (recipe == "irl")
    assert not undocumented({key for row in read_lines(out / "metrics.jsonl") for key in row})
    sample = read_lines(out / "samples.jsonl")[-1]
    assert {"prompt", "response", "reference", "decoding"} <= set(sample)
    stored = json.loads((out / "evals" / "responses" / "step_120.json").read_text())
    assert len(stored["items"]) == 4 * 3
    assert AutoModelForCausalLM.from_pretrained(out / "checkpoints" / "step_120")
    assert "It is" in (out / "report.html").read_text()


def test_without_weights_it_equals_supervised_fine_tuning_bit_for_bit(
    questions: Path, tmp_path: Path
) -> None:
    """IRL-2: with λ_td = λ_kl = 0 weights, losses and answers are those of sft."""
    runs = {"sft": {}, "irl": {"lambda_td": 0, "lambda_kl": 0}}
    for recipe, more in runs.items():
        assert main(options(recipe, questions, tmp_path / recipe, **more)) == 0
    one, other = tmp_path / "sft", tmp_path / "irl"
    assert weights(one) == weights(other)
    shared = [name for name in rows(one)[0] if name in rows(other)[0]]
    assert {"imitation/loss", "imitation/nll", "optim/grad_norm"} <= set(shared)
    for ours, theirs in zip(rows(one), rows(other), strict=True):
        for name in ours:
            assert ours[name] == theirs[name]


def test_a_run_that_is_killed_goes_on_to_the_same_end(
    whole: Path, questions: Path, everything: dict[str, Any], tmp_path: Path
) -> None:
    """X-3, with own texts, drawn tokens, LoRA and dropout: the same rows, samples and weights."""
    out = tmp_path / "run"
    running = process(options("irl", questions, out, **everything))
    path = out / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not path.exists() or path.read_bytes().count(b"\n") < 24:
        assert time.monotonic() < deadline, "the run writes nothing"
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    finish(running)
    assert len(rows(out)) < len(rows(whole))
    assert main(["irl", "--resume", str(out)]) == 0
    assert rows(out) == rows(whole)
    assert read_lines(out / "samples.jsonl") == read_lines(whole / "samples.jsonl")
    assert (out / "ledger.json").read_text() == (whole / "ledger.json").read_text()
    assert weights(out) == weights(whole)


def test_own_texts_and_the_reference_are_logged(whole: Path) -> None:
    """IRL-4, Q9, Q10; none of it in the first steps of likelihood alone."""
    found = [row for row in rows(whole) if "imitation/loss" in row]
    more = {"imitation/kl", "imitation/own_reward", "imitation/own_td_penalty"}
    assert all(more <= set(row) for row in found[5:])
    assert not any(more & set(row) for row in found[:5])
    ledger = json.loads((whole / "ledger.json").read_text())
    assert ledger["generated_tokens"] > 0
    assert not undocumented({key for row in read_lines(whole / "metrics.jsonl") for key in row})


def test_two_processes_learn_what_one_does(questions: Path, tmp_path: Path) -> None:
    """X-5: the loss of every step is the same up to rounding."""
    more = {"steps": 6, "student__dropout": 0.0, "lambda_td": 0.3, "responses__prompts": 3}
    assert main(options("irl", questions, tmp_path / "one", **more)) == 0
    launched = ["launch", "--processes", "2", *options("irl", questions, tmp_path / "two", **more)]
    running = process(launched)
    said = finish(running)
    assert running.returncode == 0, said
    for one, two in zip(rows(tmp_path / "one"), rows(tmp_path / "two"), strict=True):
        for name in set(one) & {"imitation/loss", "imitation/reward", "eval/validation/loss"}:
            assert two[name] == pytest.approx(one[name], abs=2e-4)


def test_a_sweep_trains_every_arm_and_compares_them(questions: Path, tmp_path: Path) -> None:
    """IRL-2: arms of several weights and of sft with a bonus, resumable, with one report."""
    out = tmp_path / "group"
    names = ["lambda_0", "lambda_0.3", "entropy_0.1"]
    arguments = options("irl", questions, out, steps=4, seeds=1)
    assert main([*arguments, "--sweep", *names]) == 0
    group = json.loads((out / "group.json").read_text())
    assert [row["arm"] for row in group["arms"]] == names
    first = (out / "entropy_0.1-seed0" / "config.yaml").read_text().splitlines()[0]
    assert first == "recipe: sft"
    assert main(["irl", "--resume", str(out)]) == 0
    assert "lambda_0.3" in (out / "report.html").read_text()


def test_the_usual_arms_are_six_weights_and_a_bonus_and_the_first_is_sft() -> None:
    runs = planned(irl.PRESETS["pareto"]())
    assert [run.arm for run in runs[: len(PARETO)]] == list(PARETO)
    assert len(runs) == 3 * len(PARETO)
    first = runs[0].config
    assert first.lambda_td == first.lambda_kl == 0
    assert isinstance(runs[6].config, Sft)
    assert runs[6].config.entropy_coef == 0.1


def test_arms_of_a_trained_student_differ_in_their_weight_only() -> None:
    """A KL is in all arms of lambda or in none."""
    base = irl.Irl(student=StudentConfig(path="gpt2"), sweep=("lambda_0", "lambda_1"))
    for given, expected in ((None, 0.0), (0.2, 0.2)):
        runs = planned(base.model_copy(update={"lambda_kl": given}))
        assert [run.config.kl_weight for run in runs] == [expected, expected]


@pytest.mark.parametrize("module", [sft, irl])
def test_every_preset_is_a_valid_configuration(module) -> None:
    for preset in module.PRESETS.values():
        config = preset()
        assert config == type(config).model_validate(config.model_dump())


REFUSED = [
    ("irl", {"sweep": "lambda"}, "--sweep lambda is not known"),
    ("irl", {"lambda_kl": 0.1}, "would keep a new student near its random weights"),
    ("irl", {"online__fraction": 0.2, "lambda_td": 0}, "whose weight --lambda-td is 0"),
    ("sft", {"optim__schedule": "cosin"}, "cosine"),
    ("sft", {"student__context": 16}, "this student reads at most 16"),
    ("irl", {"sweep": "entropy_0.1", "lambda_kl": 0.1, "kl__reference": "gpt2"}, "have no KL"),
    ("irl", {"kl__reference": "./nothing"}, "--kl.reference ./nothing holds no model"),
    ("sft", {"data__path": "nothing.jsonl"}, "nothing.jsonl"),
    ("sft", {"data__prompt_template": "{{ promt }}"}, "prompt"),
]


@pytest.mark.parametrize(("recipe", "more", "said"), REFUSED)
def test_bad_input_is_refused_in_a_sentence_before_anything_is_written(
    recipe: str, more: dict, said: str, questions: Path, tmp_path: Path, capsys
) -> None:
    """X-1: exit status 2, and no folder."""
    out = tmp_path / "run"
    assert main(options(recipe, questions, out, **more)) == 2
    assert said in capsys.readouterr().err
    assert not out.exists()


def test_an_example_without_a_completion_is_left_out_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_questions(tmp_path / "questions.jsonl", number=40)
    with path.open("a") as handle:
        handle.write(json.dumps({"prompt": "And now?", "completion": " "}) + "\n")
    assert main(options("sft", path, tmp_path / "run", steps=1, responses__prompts=0)) == 0
    assert "1 with an empty completion" in capsys.readouterr().out

"""`tutelage ppo` as users meet it: it learns, stops, goes on and spends its budget."""

import csv
import json
import os
import random
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from recipes.pretraining import finish, process, rows, weights
from recipes.trying import RLOO, options, write_student
from tutelage.cli import main
from tutelage.recipes.ppo import PRESETS, Ppo
from tutelage.run_folder import read_lines
from tutelage.train.budget import Budget

PPO = {"update__epochs": 2}


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.getbasetemp() / "cache")


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_student(tmp_path_factory.mktemp("student"))


def rewards(out: Path) -> list[float]:
    return [row["reward/total"] for row in rows(out) if "reward/total" in row]


@pytest.mark.parametrize("update", [PPO, RLOO], ids=["ppo", "rloo"])
def test_the_student_learns_to_say_a_word(student: Path, tmp_path: Path, update: dict) -> None:
    """PPO-3: from one response in five to more than nine in ten; the KL is bounded."""
    out = tmp_path / "run"
    settings = {"rounds": 20, "batch_size": 32, "kl__coef": 0.01, "optim__lr": 0.002, **update}
    assert main(options(student, out, **settings)) == 0
    found = rewards(out)
    assert found[0] < 0.5
    assert sum(found[-5:]) / 5 > 0.9
    first = rows(out)[0]
    assert first["trial/ratio"] == pytest.approx(1, abs=1e-5)
    assert first["trial/kl"] == pytest.approx(0, abs=1e-5)
    assert rows(out)[-1]["step"] == 20 * (8 if update is PPO else 4)
    assert (out / "report.html").is_file()


def test_a_checkpoint_is_a_plain_model(student: Path, tmp_path: Path) -> None:
    """X-4, PPO-5: Transformers loads it; another run goes on from it with its critic."""
    out = tmp_path / "run"
    assert main(options(student, out, rounds=1)) == 0
    path = out / "checkpoints" / "step_4"
    model = AutoModelForCausalLM.from_pretrained(path)
    tokenizer = AutoTokenizer.from_pretrained(path)
    token_ids = tokenizer("the cat", return_tensors="pt")["input_ids"]
    assert model.generate(token_ids, max_new_tokens=3, do_sample=False).shape[1] >= 3
    assert (path / "value_head.safetensors").is_file()
    assert main(options(path, tmp_path / "next", rounds=1)) == 0


def test_interaction_is_counted_and_budgets_end_the_run(student: Path, tmp_path: Path) -> None:
    """PPO-3, X-7: the first limit that is reached, after whole rounds, said in words."""
    out = tmp_path / "run"
    settings = {
        "rounds": 50,
        "budget__generated_tokens": 300,
        "budget__prompt_words": 10_000,
        "milestones__spacing": "every",
        "milestones__every": 100,
        "milestones__unit": "interaction_tokens",
    }
    running = process(options(student, out, **settings))
    said = finish(running)
    assert running.returncode == 0, said
    assert "--budget.generated-tokens 300 is spent" in said
    ledger = json.loads((out / "ledger.json").read_text())
    samples = read_lines(out / "samples.jsonl")
    assert ledger["generated_tokens"] == sum(row["num_tokens"] for row in samples) >= 300
    assert ledger["generated_words"] == sum(len(row["response"].split()) for row in samples)
    assert ledger["prompt_words"] == sum(len(row["prompt"].split()) for row in samples)
    per_round = len(samples) // len({row["round"] for row in samples})
    assert sum(row["num_tokens"] for row in samples[:-per_round]) < 300
    names = {path.name for path in (out / "checkpoints").iterdir()}
    assert all(re.fullmatch(r"checkpoint_\d+K?_tokens", name) for name in names)
    running = process(["ppo", "--resume", str(out)])
    assert "is complete: the budget" in finish(running)
    assert running.returncode == 0


def test_a_run_that_its_budget_alone_ends_tells_no_number_of_steps(
    student: Path, tmp_path: Path
) -> None:
    """X-7: nobody knows it beforehand; neither does environment.json, for which it is null."""
    out = tmp_path / "run"
    settings = {"rounds": None, "budget__generated_words": 100}
    running = process(options(student, out, **settings))
    said = finish(running)
    assert running.returncode == 0, said
    assert f"{out}: until the budget is spent, on cpu" in said
    assert re.search(r"Done after step \d+: the budget --budget.generated-words 100", said), said
    assert "000000" not in said
    assert " of " not in said
    (session,) = json.loads((out / "environment.json").read_text())["sessions"]
    assert session["steps"] is None


def test_responses_and_statistics_are_csv_files_too(student: Path, tmp_path: Path) -> None:
    """PPO-4: the same numbers as metrics.jsonl and samples.jsonl."""
    out = tmp_path / "run"
    assert main(options(student, out, rounds=2)) == 0
    with open(out / "meta_data" / "generated_outputs.csv", newline="") as handle:
        found = list(csv.DictReader(handle))
    samples = read_lines(out / "samples.jsonl")
    assert [row["response"] for row in found] == [row["response"] for row in samples]
    assert [float(r["reward"]) for r in found] == [r["scores"]["total"] for r in samples]
    with open(out / "meta_data" / "training_stats.csv", newline="") as handle:
        assert [int(row["step"]) for row in csv.DictReader(handle)] == list(range(1, 9))


def test_without_out_a_run_is_named_after_its_budget(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PPO-4."""
    monkeypatch.chdir(tmp_path)
    assert main(options(student, None, budget__generated_words=5, rounds=1)) == 0
    (found,) = Path("runs").iterdir()
    assert re.fullmatch(r"step_150_5_words__\d{4}-\d\d-\d\d__\d\d-\d\d-\d\d", found.name)


def test_runs_with_a_budget_that_start_together_have_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RM-7: a number is put behind a name that is taken."""
    monkeypatch.chdir(tmp_path)
    for _ in range(3):
        out = Ppo(budget=Budget(generated_words=5)).default_out()
        out.mkdir(parents=True)  # which fails if there is one already
        assert out.name.startswith("new_5_words__")


MORE = {"rounds": 12, "saving__resume_rounds": 2, "kl__target": 0.5, "shaping__normalise": True}


def test_killed_runs_end_like_whole_ones(student: Path, tmp_path: Path) -> None:
    """X-3: kill -9 inside a rollout or between epochs: weights, rows, samples, ledger, CSV."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert main(options(student, whole, **MORE)) == 0
    rng = random.Random(3)
    running = process(options(student, cut, **MORE))
    for _ in range(2):
        path = cut / "metrics.jsonl"
        number = len(read_lines(path)) + rng.randint(3, 9)
        while running.poll() is None and len(read_lines(path)) < number:
            time.sleep(0.002)
        running.send_signal(signal.SIGKILL)
        running.communicate()
        running = process(["ppo", "--resume", str(cut)])
    said = finish(running)
    assert running.returncode == 0, said
    assert rows(cut) == rows(whole)
    assert read_lines(cut / "samples.jsonl") == read_lines(whole / "samples.jsonl")
    assert (cut / "ledger.json").read_text() == (whole / "ledger.json").read_text()
    assert weights(cut) == weights(whole)
    name = Path("meta_data") / "generated_outputs.csv"
    assert (cut / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize("shard", [False, True], ids=["ddp", "fsdp2"])
def test_two_processes_learn_what_one_learns(student: Path, tmp_path: Path, shard: bool) -> None:
    """X-5: rollouts, rewards and updates are shared out; micro-batches differ; numbers don't."""
    settings = {"rounds": 3, "microbatch_tokens": 40, "shaping__normalise": True, "kl__target": 0.5}
    settings["compute__use_cpu"] = False  # launch finds out by itself
    one, two = tmp_path / "one", tmp_path / "two"
    assert main(options(student, one, **settings)) == 0
    settings["compute__shard"] = shard
    launch = ["launch", "--processes", "2", "--", *options(student, two, **settings)]
    running = process(launch)
    said = finish(running)
    assert running.returncode == 0, said
    for mine, theirs in zip(rows(one), rows(two), strict=True):
        assert mine.pop("lesson") == theirs.pop("lesson")
        assert mine == pytest.approx(theirs, rel=2e-3, abs=1e-5)
    texts = [[row["response"] for row in read_lines(out / "samples.jsonl")] for out in (one, two)]
    assert texts[0] == texts[1]


REWARD = """
from pathlib import Path


def score(prompts, responses):
    scores = [float(len(response)) / 40 for response in responses]
    trap = Path(__file__).with_name("trap")
    if trap.exists():
        trap.write_text(trap.read_text() + ".")
        if trap.read_text() == "...":
            scores[1] = float("nan")
    return scores
"""


@pytest.mark.parametrize("calls", ["", ".."], ids=["third round", "first round"])
def test_a_reward_that_fails_stops_the_run_and_it_can_go_on(
    calls: str, student: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """PPO-3: one sentence with the sample; once mended, the run ends like one without a failure,
    and an optimiser that has taken no step yet has no memory of having been saved.
    """
    code = tmp_path / "scorer.py"
    code.write_text(REWARD)
    settings = {"reward__kind": "function", "reward__path": f"{code}:score", "rounds": 4}
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert main(options(student, whole, **settings)) == 0
    (tmp_path / "trap").write_text(calls)
    assert main(options(student, out, **settings)) == 1
    said = " ".join("".join(capsys.readouterr()).split())
    assert "nan for sample 2 of 16 (prompt 'the cat', response" in said
    assert f"--resume {out}" in said.replace(" /", "/").replace("--resume/", "--resume /")
    (tmp_path / "trap").unlink()
    assert main(["ppo", "--resume", str(out)]) == 0
    assert rows(out) == rows(whole)
    assert weights(out) == weights(whole)


RANKED = """
import os


def score(responses):
    bad = float("nan") if os.environ["RANK"] == "1" else 0.0
    return [bad] * len(responses)
"""


def test_a_reward_that_fails_in_another_process_says_why(student: Path, tmp_path: Path) -> None:
    """PPO-3, X-5: only the main process speaks, so it tells what another one met."""
    code = tmp_path / "ranked.py"
    code.write_text(RANKED)
    settings: dict[str, Any] = {"reward__kind": "function", "reward__path": f"{code}:score"}
    settings["compute__use_cpu"] = False  # launch finds out by itself
    launch = ["launch", "--processes", "2", "--", *options(student, tmp_path / "run", **settings)]
    running = process(launch)
    said = " ".join(finish(running).split())
    assert running.returncode == 1, said
    assert "returned nan for sample 1 of 8 (prompt 'the cat', response" in said


def test_a_policy_that_runs_away_is_stopped(student: Path, tmp_path: Path) -> None:
    """P24: without a reference the KL to the policy that sampled has a limit."""
    out = tmp_path / "run"
    settings = {"kl__reference": "none", "kl__limit": 0.01, "optim__lr": 0.05, "rounds": 20}
    running = process(options(student, out, **settings))
    said = finish(running)
    assert running.returncode == 1, said
    assert "above --kl.limit 0.01" in " ".join(said.split())
    last = rows(out)[-1]
    assert last["trial/policy_kl"] > 0.01
    assert "trial/kl" not in rows(out)[0]


def test_a_round_that_was_stopped_is_done_again(student: Path, tmp_path: Path) -> None:
    """X-3: a run that the limit stopped within a round goes on from before it."""
    settings = {"kl__reference": "none", "rounds": 3, "saving__resume_rounds": 1}
    settings |= {"optim__lr": 0.02, "optim__warmup_steps": 8}
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert main(options(student, whole, **settings)) == 0
    moved = [row["trial/policy_kl"] for row in rows(whole)]
    # Four updates a round: the third of the second round is beyond it, and none before.
    limit = (max(moved[:6]) + moved[6]) / 2
    assert moved[6] > max(moved[:6])
    assert main(options(student, out, **settings, kl__limit=limit)) == 1
    assert len(rows(out)) == 7
    config = out / "config.yaml"
    config.write_text(config.read_text().replace(f"limit: {limit}", "limit: null"))
    assert main(["ppo", "--resume", str(out)]) == 0
    assert rows(out) == rows(whole)
    assert weights(out) == weights(whole)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_stand(name: str) -> None:
    """X-1."""
    config = PRESETS[name]()
    assert type(config).model_validate(config.model_dump(mode="json")) == config


def test_real_stories_under_length_and_a_function(shared_data: Path, tmp_path: Path) -> None:
    """PPO-1, PPO-3: stories260K on TinyStories' prompts; the reward rises, every term is there."""
    code = tmp_path / "dots.py"
    code.write_text(
        "def dots(prompts, responses):\n    return [min(r.count('.'), 4) / 4 for r in responses]\n"
    )
    out = tmp_path / "run"
    arguments = [
        "ppo", "--student.path", str(shared_data / "stories260K"), "--prompts.kind", "tinystories",
        "--prompts.path", str(shared_data / "tinystories"), "--prompts.max-tokens", "2000",
        "--reward.kind", "combine", "--reward.parts", f"function path={code}:dots",
        "0.2 length target=40", "--rollout.max-tokens", "32", "--batch-size", "32",
        "--rounds", "12", "--optim.lr", "0.001", "--compute.precision", "fp32", "--out", str(out),
    ]  # fmt: skip
    assert main(arguments) == 0
    found = rewards(out)
    assert sum(found[-3:]) / 3 > sum(found[:3]) / 3 + 0.1
    assert {"reward/dots", "reward/length"} <= set(rows(out)[0])
    assert max(row["trial/kl"] for row in rows(out) if "trial/kl" in row) < 2  # nats a token

"""One iteration of PPO beside TRL's: the same policy, reward model, prompts and sizes.

Prints one JSON line. 64 prompts of 5 to 16 tokens, 64 new tokens each, a GPT-2 of 4 layers, 4
heads, width 256 and vocabulary 8,192; a reward model of the same size; a frozen reference; one or
four epochs of four minibatches. Each arm is a process of its own, so that its highest resident
size is its own too; arms take turns an iteration at a time, and ratios are medians over turns.

- tutelage: the recipe's own session and loop, in float32 and in its default precision.
- trl: the experimental PPO of TRL, in float32 (on a CPU its bf16 changes nothing), with a value
  model of its own, as it requires. It runs in an environment of its own, built on first use.

The prompts are one batch, for then TRL makes an optimiser step for each minibatch, as tutelage
does. With more prompts than a batch it collects the gradients of all four: a step an epoch.

`score` is everything between the last token sampled and the first update.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PEER = Path(__file__).parent / "peers" / "trl_ppo.py"
PINS = ("transformers==5.23.0", "trl==1.12.0", "accelerate==1.15.0", "datasets==5.2.0")
TORCH = "torch==2.13.0"
ROWS, MINIBATCHES, NEW, VOCAB = 64, 4, 64, 8_192
EPOCHS = (1, 4)
GOALS = {"fp32": 2.3, "default": 3.0, "memory": 2.0}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=5, help="times that every arm takes a turn")
    parser.add_argument("--environment", type=Path, help="where the peer's environment is or goes")
    parser.add_argument("--ours", nargs=3, metavar="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ours:
        precision, epochs, folder = options.ours
        take_turns(precision, int(epochs), Path(folder))
        return 0
    python = peer_python(options.environment or default_environment())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = {**os.environ, "XDG_CACHE_HOME": name, "HF_HUB_OFFLINE": "1"}
        write_work(folder)
        turns = {}
        for epochs in EPOCHS:
            # A turn more than is counted, to warm up.
            peer = [str(python), str(PEER), str(folder), str(epochs), str(options.pairs + 1)]
            ours = [sys.executable, __file__, "--ours"]
            commands = {"trl": peer} | {
                kind: [*ours, precision, str(epochs), str(folder)]
                for kind, precision in (("fp32", "fp32"), ("default", "auto"))
            }
            turns[epochs] = measure(commands, options.pairs, environment)
    print(json.dumps(summary(turns)))
    return 0


# The peer's environment, and the work


def default_environment() -> Path:
    from tutelage.data.cache import default_cache_dir

    return default_cache_dir() / "bench" / PINS[1].replace("==", "-")


def peer_python(folder: Path) -> Path:
    """Python of an environment with the peer in it, made if it is not there yet."""
    python, done = folder / "bin" / "python", folder / "complete"
    if not done.exists():
        print(f"Building the peer's environment in {folder}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        # torch first, for its build is to be the one that is installed for tutelage.
        for pins in ([TORCH], PINS):
            command = [str(python), "-m", "pip", "install", "--quiet", *pins]
            subprocess.run(command, check=True, stdout=sys.stderr)
        done.touch()
    return python


def write_work(folder: Path) -> None:
    """A policy, a reward model, and prompts: as text for us, as tokens for the peer."""
    import torch
    from transformers import GPT2ForSequenceClassification

    from tutelage.data.corpora import TextCorpus
    from tutelage.data.tokenizer import TokenizerConfig
    from tutelage.models.student import StudentConfig

    rng = random.Random(0)
    words = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(2, 9))) for _ in range(3 * VOCAB)]
    text = folder / "words.txt"
    text.write_text("\n".join(" ".join(words[i : i + 20]) for i in range(0, len(words), 20)))
    tokenizer = TokenizerConfig(vocab_size=VOCAB, min_frequency=1).build(
        TextCorpus(path=text), folder
    )
    assert len(tokenizer) == VOCAB
    student = StudentConfig(size="5m").build(tokenizer, seed=0)
    student.save(folder / "student", tokenizer)
    torch.manual_seed(0)
    config: Any = student.base.config.from_dict({**student.base.config.to_dict(), "num_labels": 1})
    GPT2ForSequenceClassification(config).save_pretrained(folder / "reward_model")
    tokenizer.save_pretrained(folder / "reward_model")
    rows = []
    while len(rows) < ROWS:
        prompt = " ".join(rng.sample(words, 8))
        token_ids = tokenizer.encode(prompt)[: rng.randint(5, 16)]
        prompt = tokenizer.decode(token_ids)
        if 5 <= len(again := tokenizer.encode(prompt)) <= 16:
            rows.append((prompt, again))
    (folder / "prompts.jsonl").write_text(
        "".join(json.dumps({"prompt": prompt}) + "\n" for prompt, _ in rows)
    )
    (folder / "prompts.json").write_text(json.dumps([token_ids for _, token_ids in rows]))


# Our side


def take_turns(precision: str, epochs: int, folder: Path) -> None:
    """One round for every line on standard input; answers what it took."""
    from rich.console import Console

    from tutelage.data.prompt_builders import TextPrompts
    from tutelage.lessons.updates import PpoUpdate
    from tutelage.models.student import StudentConfig
    from tutelage.recipes.ppo import Ppo
    from tutelage.rewards.preference import Preference
    from tutelage.rollout.engine import Sampling
    from tutelage.run_folder import RunFolder
    from tutelage.train.compute import ComputeConfig
    from tutelage.train.loop import Progress, train

    recipe = Ppo(
        student=StudentConfig(path=str(folder / "student")),
        prompts=TextPrompts(path=folder / "prompts.jsonl"),
        reward=Preference(path=str(folder / "reward_model")),
        rollout=Sampling(max_tokens=NEW, min_tokens=NEW),  # no end token before the limit
        update=PpoUpdate(epochs=epochs, minibatch_size=ROWS // MINIBATCHES),
        batch_size=ROWS,
        compute=ComputeConfig(precision=precision, use_cpu=True),  # pyright: ignore
        rounds=1_000,
    )
    compute = recipe.compute.build()
    session = recipe.session(compute, RunFolder(folder / "run"), Console(quiet=True))
    seen: dict[str, float] = {}

    def after_step(progress: Progress) -> None:
        times = {n: v for n, v in progress.metrics.items() if n.startswith("time/")}
        seen.update({name: v for name, v in times.items() if name.count("_") == 1})
        seen["steps"] = seen.get("steps", 0) + 1

    while answer({"ready": True}):
        seen.clear()
        began, used = time.perf_counter(), time.process_time()
        train(
            session.student,
            session.learners,
            session.curriculum,
            steps=session.progress.step + epochs * MINIBATCHES,
            compute=compute,
            progress=session.progress,
            after_step=[after_step],
        )
        wall = time.perf_counter() - began
        sample = seen["time/rollout_seconds"]
        score = seen["time/reward_seconds"] + seen["time/scoring_seconds"]
        parts = {"sample": sample, "score": score, "update": wall - sample - score}
        cpu, steps = time.process_time() - used, int(seen["steps"])
        report = {"wall": wall, "cpu": cpu, **parts, "steps": steps, "peak": peak()}
        print(json.dumps(report), flush=True)


def answer(value: dict[str, Any]) -> str:
    """Say something, and wait for the next line; an empty one is the end."""
    print(json.dumps(value), flush=True)
    return sys.stdin.readline()


def peak() -> int:
    """The highest resident size of this process so far, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024


# Turns


def measure(
    commands: dict[str, list[str]], pairs: int, environment: dict[str, str]
) -> dict[str, list[dict[str, Any]]]:
    """What each arm's turns took, the first of each left out."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    arms = {name: subprocess.Popen(c, env=environment, **pipes) for name, c in commands.items()}
    turns: dict[str, list[dict[str, Any]]] = {name: [] for name in arms}
    try:
        for pair in range(pairs + 1):
            for name in list(arms) if pair % 2 else reversed(arms):
                turns[name].append(turn(arms[name]))
            print({name: values[-1] for name, values in turns.items()}, file=sys.stderr)
    finally:
        for arm in arms.values():
            arm.terminate()
            arm.wait()
    return {name: values[1:] for name, values in turns.items()}


def turn(arm: Any) -> dict[str, Any]:
    """Have an arm make one iteration."""
    reply(arm)  # it is ready
    arm.stdin.write("go\n")
    arm.stdin.flush()
    return reply(arm)


def reply(arm: Any) -> dict[str, Any]:
    line = arm.stdout.readline()
    if not line:
        raise RuntimeError(f"{arm.args} ended by itself; its messages are above.")
    return json.loads(line)


# Result


def summary(turns: dict[int, dict[str, list[dict[str, Any]]]]) -> dict[str, Any]:
    """The JSON line."""
    import torch

    def ratio(epochs: int, kind: str, clock: str) -> float:
        pairs = zip(turns[epochs][kind], turns[epochs]["trl"], strict=True)
        return round(statistics.median(b[clock] / a[clock] for a, b in pairs), 3)

    def ratios(clock: str) -> dict[str, float]:
        cases = [(epochs, kind) for epochs in turns for kind in ("fp32", "default")]
        return {f"{kind}_{epochs}_epochs": ratio(epochs, kind, clock) for epochs, kind in cases}

    def medians(runs: list[dict[str, Any]]) -> dict[str, float]:
        names = ("wall", "cpu", "sample", "score", "update", "steps")
        found = {name: round(statistics.median(run[name] for run in runs), 3) for name in names}
        return {**found, "peak_mb": runs[-1]["peak"] >> 20}

    arms = {
        f"{kind}_{epochs}_epochs": medians(runs)
        for epochs, kinds in turns.items()
        for kind, runs in kinds.items()
    }
    return {
        "bench": "ppo",
        "ratio": ratio(4, "default", "wall"),
        "goal": GOALS["default"],
        "ours": arms["default_4_epochs"]["wall"],
        "peer": arms["trl_4_epochs"]["wall"],
        "unit": "seconds per iteration",
        "pairs": len(turns[4]["trl"]),
        "ratios": {**ratios("wall"), **{f"memory_{n}": r for n, r in ratios("peak").items()}},
        "ratios_of_cpu_seconds": ratios("cpu"),
        "goals": GOALS,
        "arms": arms,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
    }


if __name__ == "__main__":
    sys.exit(main())

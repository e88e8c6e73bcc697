"""Training a reward model beside TRL's RewardTrainer; and a read-out on a frozen trunk's cache.

Prints one JSON line. Two parts:

- trl: a classifier of GPT-2's shape (4 layers, 4 heads, width 256, vocabulary 8,192) learns pairs
  of hh-rlhf of at most 512 tokens, 64 pairs a step. All arms start from the same weights and read
  the same tokens, batch for batch, so their losses can be compared. tutelage is the recipe's own
  session and loop, in float32 and in its default precision. The peer reads 8 pairs at once and
  collects their gradients, in float32, in bfloat16, and at its defaults (bfloat16 and gradient
  checkpointing). It runs in an environment of its own, built on first use.
- frozen: a read-out of a new T5 of the shape of T5 small that does not learn: an epoch on the
  hidden states that are kept on disk, and an epoch that reads the texts anew.

Each arm is a process of its own, so that its highest resident size is its own too; arms take turns,
and ratios are medians over turns, of which the first is not counted.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ppo import answer, default_environment, measure, peak, peer_python

from tutelage.data.pair_sources import HhRlhfPairs
from tutelage.data.tokenizer import TokenizerConfig
from tutelage.models.readouts import DecoderOutput, LastToken, LayerwiseAttention
from tutelage.models.reward_model import Trunk
from tutelage.recipes.reward import Reward
from tutelage.train.compute import ComputeConfig
from tutelage.train.optim import Optim

PEER = Path(__file__).parent / "peers" / "trl_reward.py"
BATCH, MAX_TOKENS, VOCAB, LR = 64, 512, 8_192, 1e-4
STEPS = 2
FROZEN_PAIRS = 128
PEERS = ("fp32", "bf16", "defaults")
READOUTS = {
    "layerwise_attention": LayerwiseAttention(),
    "decoder_output": DecoderOutput(),
}
GOALS = {"pairs": 2.0, "memory": 1.0, "loss_difference": 1e-3, "frozen": 20.0}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=5, help="times that every arm takes a turn")
    parser.add_argument("--part", choices=["trl", "frozen"], help="this one alone")
    parser.add_argument("--data", type=Path, help="folder of hh-rlhf; default: from the hub")
    parser.add_argument("--environment", type=Path, help="where the peer's environment is or goes")
    parser.add_argument("--ours", nargs=3, metavar="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ours:
        part, kind, folder = options.ours
        {"trl": train_some, "frozen": train_epochs}[part](kind, Path(folder))
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = {**os.environ, "XDG_CACHE_HOME": name, "HF_HUB_OFFLINE": "1"}
        write_work(folder, options.data, (options.pairs + 1) * STEPS)
        ours = [sys.executable, __file__, "--ours"]
        found: dict[str, Any] = {}
        if options.part != "frozen":
            python = str(peer_python(options.environment or default_environment()))
            turns = [str(STEPS), str(options.pairs + 1)]
            commands = {f"trl_{k}": [python, str(PEER), name, k, *turns] for k in PEERS}
            commands |= {k: [*ours, "trl", k, name] for k in ("fp32", "auto")}
            found["trl"] = measure(commands, options.pairs, environment)
        if options.part != "trl":
            arms = [f"{kind}:{how}" for kind in READOUTS for how in ("cached", "read")]
            commands = {arm: [*ours, "frozen", arm, name] for arm in arms}
            found["frozen"] = measure(commands, options.pairs, environment)
    print(json.dumps(summary(found)))
    return 0


# The work


def recipe(folder: Path, **options: Any) -> Reward:
    """Our recipe on the pairs in a folder."""
    work = json.loads((folder / "work.json").read_text())
    settings: dict[str, Any] = {
        "batch_size": BATCH,
        "max_tokens": MAX_TOKENS,
        "val_fraction": 0.0,
        "data": HhRlhfPairs(path=work["data"], subsets=("harmless-base",)),
        "tokenizer": TokenizerConfig(path=str(folder / "tokenizer")),
        "optim": Optim(
            lr=LR, schedule="linear", warmup_steps=0, weight_decay=0, beta2=0.999, max_grad_norm=1
        ),
        "steps": work["steps"],
    }
    return Reward(**{**settings, **options})


def write_work(folder: Path, data: Path | None, steps: int) -> None:
    """A tokenizer, a classifier, and for the peer the tokens of all batches in our order."""
    from tutelage.data.packing import BlockOrder
    from tutelage.models.reward_folder import Facts

    path = None if data is None else str(data.expanduser().resolve())
    (folder / "work.json").write_text(json.dumps({"data": path, "steps": steps}))
    training = TokenizerConfig(vocab_size=VOCAB)
    tokenizer = recipe(folder, tokenizer=training).build_tokenizer()
    tokenizer.save_pretrained(folder / "tokenizer")
    # The peer looks for the last token that is no padding.
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    facts = Facts(readout=LastToken(), learned="preferences", max_tokens=MAX_TOKENS, add_eos=True)
    model = Trunk(size="5m").build(tokenizer, facts, seed=0)
    model.save(folder / "model", tokenizer)
    encoded = recipe(folder).read(tokenizer).data.train  # pyright: ignore
    order = BlockOrder(len(encoded), 0).indices(0, steps * BATCH)
    work = {
        "batch_size": BATCH,
        "lr": LR,
        "chosen_ids": [encoded[index].chosen_ids for index in order],
        "rejected_ids": [encoded[index].rejected_ids for index in order],
    }
    (folder / "pairs.json").write_text(json.dumps(work))
    lines = [each.pair for each in encoded[:FROZEN_PAIRS]]
    for part, some in (("train", lines), ("test", lines[:1])):
        file = folder / "some" / "harmless-base" / f"{part}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        rows = [{"chosen": p.prompt + p.chosen, "rejected": p.prompt + p.rejected} for p in some]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))


# Our side


def train_some(precision: str, folder: Path) -> None:
    """Some steps for every line on standard input; answers what they took."""
    compute = ComputeConfig(precision=precision, use_cpu=True)  # pyright: ignore
    model = Trunk(path=str(folder / "model"))
    take_turns(recipe(folder, model=model, readout=LastToken(), compute=compute), folder, STEPS)


def train_epochs(arm: str, folder: Path) -> None:
    """One epoch for every line on standard input; answers what it took."""
    kind, how = arm.split(":")
    make = Uncached if how == "read" else Reward
    options = recipe(
        folder,
        data=HhRlhfPairs(path=folder / "some", subsets=("harmless-base",)),
        model=Trunk(layers=6, heads=8, width=512, frozen=True),
        readout=READOUTS[kind],
        compute=ComputeConfig(use_cpu=True),
    )
    take_turns(make(**dict(options)), folder, FROZEN_PAIRS // BATCH)


class Uncached(Reward):
    """The recipe with a frozen trunk that is run each time."""

    def texts(self, model: Any, task: Any, compute: Any, console: Any) -> Any:
        """Tokens."""
        from tutelage.lessons.texts import TokenTexts

        return {part: TokenTexts(rows) for part, rows in task.rows.items()}


def take_turns(options: Reward, folder: Path, steps: int) -> None:
    from rich.console import Console

    from tutelage.run_folder import RunFolder
    from tutelage.train.loop import Progress, train

    session = options.session(
        options.compute.build(), RunFolder(folder / "run"), Console(quiet=True)
    )
    losses: list[float] = []
    note: Callable[[Progress], None] = lambda progress: losses.append(  # noqa: E731
        progress.metrics["preference/loss"]
    )
    while answer({"ready": True}):
        began, used = time.perf_counter(), time.process_time()
        train(
            session.student,
            session.learners,
            session.curriculum,
            steps=session.progress.step + steps,
            compute=session.compute,
            progress=session.progress,
            after_step=[note],
        )
        wall, cpu = time.perf_counter() - began, time.process_time() - used
        print(json.dumps({"wall": wall, "cpu": cpu, "peak": peak(), "losses": losses}), flush=True)


# Result


def summary(found: dict[str, dict[str, list[dict[str, Any]]]]) -> dict[str, Any]:
    """The JSON line."""
    import torch

    result: dict[str, Any] = {"bench": "reward"}
    if "trl" in found:
        result |= beside_trl(found["trl"])
    if "frozen" in found:
        result["frozen"] = frozen(found["frozen"])
    machine = {
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": [round(load, 1) for load in os.getloadavg()],
    }
    return {**result, "goals": GOALS, **machine}


def beside_trl(arms: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    def ratios(clock: str) -> dict[str, float]:
        cases = {"fp32": "fp32", "auto_to_fp32": "fp32", "auto_to_bf16": "bf16",
                 "auto_to_defaults": "defaults"}  # fmt: skip
        return {
            name: ratio(arms[name.partition("_")[0]], arms[f"trl_{peer}"], clock)
            for name, peer in cases.items()
        }

    losses = {name: runs[-1]["losses"] for name, runs in arms.items()}
    rates = {
        name: round(statistics.median(STEPS * BATCH / run["wall"] for run in runs), 2)
        for name, runs in arms.items()
    }
    return {
        "ratio": ratios("wall")["fp32"],
        "goal": GOALS["pairs"],
        "ours": rates["fp32"],
        "peer": rates["trl_fp32"],
        "unit": "pairs per second",
        "pairs": len(arms["fp32"]),
        "rates": rates,
        "ratios": ratios("wall"),
        "ratios_of_cpu_seconds": ratios("cpu"),
        "ratios_of_memory": ratios("peak"),
        "peak_mb": {name: runs[-1]["peak"] >> 20 for name, runs in arms.items()},
        "largest_loss_difference": {
            name: max(abs(a - b) for a, b in zip(losses[name], losses[f"trl_{peer}"], strict=True))
            for name, peer in (("fp32", "fp32"), ("auto", "bf16"))
        },
        "losses": {name: [round(loss, 5) for loss in some] for name, some in losses.items()},
    }


def frozen(arms: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Each read-out's epochs on its cache, and with the trunk."""
    result: dict[str, Any] = {"unit": "seconds per epoch", "pairs_of_texts": FROZEN_PAIRS}
    for kind in READOUTS:
        cached, read = arms[f"{kind}:cached"], arms[f"{kind}:read"]
        losses = [runs[-1]["losses"] for runs in (cached, read)]
        result[kind] = {
            "ratio": ratio(cached, read, "wall"),
            "ratio_of_cpu_seconds": ratio(cached, read, "cpu"),
            "cached": round(statistics.median(run["wall"] for run in cached), 4),
            "read": round(statistics.median(run["wall"] for run in read), 2),
            "largest_loss_difference": max(abs(a - b) for a, b in zip(*losses, strict=True)),
            "peak_mb": [runs[-1]["peak"] >> 20 for runs in (cached, read)],
        }
    return result


def ratio(ours: list[dict[str, Any]], peers: list[dict[str, Any]], clock: str) -> float:
    """How many times as much the peer takes: the median over turns."""
    both = zip(ours, peers, strict=True)
    return round(statistics.median(peer[clock] / our[clock] for our, peer in both), 3)


if __name__ == "__main__":
    sys.exit(main())

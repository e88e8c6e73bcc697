"""Minimal pairs beside the way of the official BabyLM 2025 pipeline: pairs a second, same scores.

Prints one JSON line. Two students: a Llama of the shape of stories260K (its vocabulary of 512 cuts
sentences into many tokens), and our GPT-2 of 5M parameters. Two kinds of work: minimal pairs, and
five options after a long story, as in entity tracking.

The peer does what the pipeline does with a causal model at its default settings (fp32, 64 rows a
batch, no worker of the loader, all cores in each operation): each text is tokenized by itself,
batches stand in the order of the file, the first texts of a batch are one forward pass, the second
ones another, each padded to its longest, and log-probabilities of the whole vocabulary are made at
all positions. With --pipeline, the peer is the pipeline itself: its loader and scoring out of a
checkout of github.com/babylm/evaluation-pipeline-2025 with its requirements installed.

Neither arm's start-up is counted. Arms take turns within a pair of runs; ratios are medians over
them. With --busy, so many other programs compute all the while. Peak memory is that of a process
that scores few or many rows.

With --model, --data and --stories, the same on a saved model and real files (BLiMP's, and those of
entity tracking).
"""

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from babylm_2025 import Answers, official, peer
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from tutelage.data.corpora import TextCorpus
from tutelage.data.tokenizer import TokenizerConfig
from tutelage.evals.choices import judge
from tutelage.evals.entity_tracking import EntityTracking
from tutelage.evals.minimal_pairs import MinimalPairs
from tutelage.evals.scoring import Scorer
from tutelage.models.student import StudentConfig
from tutelage.models.student_module import Student

GOALS = {"stories260K": 10.0, "5m": 4.0}
CPU = torch.device("cpu")
MEMORY_ROWS = (1_000, 60_000)


class Question(NamedTuple):
    """Texts that begin alike or not at all."""

    prefix: str
    options: list[str]


def main() -> int:
    options = parse()
    if options.memory_of:
        print(peak_memory(options.memory_of))
        return 0
    work = {
        "pairs": some_pairs(options.data, options.rows),
        "options": some_stories(options.stories, options.rows // 8),
    }
    memory = {rows: memory_in_process(rows) for rows in MEMORY_ROWS}
    with tempfile.TemporaryDirectory() as folder, busy(options.busy):
        results = {
            f"{name}/{kind}": compare(*student, questions, options)
            for name, student in students(options.model, work, Path(folder)).items()
            for kind, questions in work.items()
        }
    rows = {kind: len(questions) for kind, questions in work.items()}
    print(json.dumps(summary(results, rows) | conditions(options) | {"peak_mb_of_rows": memory}))
    return 0


def parse() -> Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Minimal pairs beside the official pipeline")
    parser.add_argument("--pairs", type=int, default=5, help="times that both arms take a turn")
    parser.add_argument("--rows", type=int, default=400, help="minimal pairs in a turn")
    parser.add_argument("--model", type=Path, help="a saved model instead of one of its shape")
    parser.add_argument("--data", type=Path, help="files of minimal pairs instead of the nursery's")
    parser.add_argument("--stories", type=Path, help="files of entity tracking instead of made-up")
    parser.add_argument("--pipeline", type=Path, help="a checkout of the pipeline: the true peer")
    parser.add_argument("--busy", type=int, default=0, help="other programs that compute")
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Inside, so many other processes compute without a pause."""
    command = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()


# Work


def some_pairs(data: Path | None, count: int) -> list[Question]:
    """Minimal pairs spread over all tasks."""
    suite = MinimalPairs(data=data)
    choices = [choice for task in suite.tasks() for choice in suite.pairs(task)]
    some = random.Random(0).sample(choices, min(count, len(choices)))
    return [Question("", [text.text for text in choice.texts]) for choice in some]


def some_stories(data: Path | None, count: int) -> list[Question]:
    """Five options after each of some stories of boxes."""
    rng = random.Random(0)
    if data:
        suite = EntityTracking(data=data)
        choices = [choice for task in suite.tasks() for choice in suite.choices(task)]
        cut = [[(t.text[: t.start], t.text[t.start :]) for t in choice.texts] for choice in choices]
        some = rng.sample(cut, min(count, len(cut)))
        return [Question(parts[0][0], [option for _, option in parts]) for parts in some]
    things = ["ball", "key", "cup", "book", "shoe", "spoon", "hat", "doll", "car", "bell"]

    def held() -> str:
        return " and ".join(f"the {thing}" for thing in rng.sample(things, rng.randint(1, 3)))

    return [
        Question(
            ", ".join(f"Box {box} contains {held()}" for box in range(7)) + ". Box 3 contains ",
            [f"{held()}." for _ in range(5)],
        )
        for _ in range(count)
    ]


def students(
    path: Path | None, work: dict[str, list[Question]], folder: Path
) -> dict[str, tuple[Student, Any]]:
    """Students with their tokenizers, both saved in the folder too, as the pipeline wants them."""
    texts = [q.prefix + option for questions in work.values() for q in questions for option in q[1]]
    sizes = {"stories260K": 512, "5m": 8_192}
    tokenizers = {name: tokenizer(texts, size, folder) for name, size in sizes.items()}
    if path:
        tokenizers["stories260K"] = AutoTokenizer.from_pretrained(path)
    found = {
        "stories260K": small_llama(path, tokenizers["stories260K"]),
        "5m": StudentConfig(size="5m").build(tokenizers["5m"], seed=0),
    }
    for name, student in found.items():
        student.save(folder / name, tokenizers[name])
        tokenizers[name] = AutoTokenizer.from_pretrained(folder / name)
    return {name: (student, tokenizers[name]) for name, student in found.items()}


def tokenizer(texts: list[str], vocab_size: int, folder: Path) -> Any:
    """A tokenizer trained on the texts and on made-up words, for those may be too few."""
    rng = random.Random(0)
    words = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(2, 8))) for _ in range(vocab_size)]
    file = folder / f"{vocab_size}.txt"
    file.write_text("\n".join([*texts, *words, *words]))
    corpus = TextCorpus(path=file, document="line")
    return TokenizerConfig(vocab_size=vocab_size).build(corpus, folder)


def small_llama(path: Path | None, tokenizer: Any) -> Any:
    """The saved model, or a new one of the shape of stories260K."""
    if path:
        return StudentConfig(path=str(path)).build(tokenizer, seed=0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=172,
        num_hidden_layers=5,
        num_attention_heads=8,
        num_key_value_heads=4,
        max_position_embeddings=512,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    return Student(LlamaForCausalLM(config))


def ours(student: Any, tokenizer: Any, file: Path) -> Answers:
    """Summed log-probabilities of each row's texts by tutelage, from file to numbers."""
    scorer, suite = Scorer(student, tokenizer, device=CPU), EntityTracking(data=file)
    return [verdict.sums for verdict in judge(suite.choices(file.stem), scorer, ties="first")]


# Measures


class Comparison(NamedTuple):
    """Seconds of each turn by arm, on the wall and of the CPU, and how far scores differ."""

    wall: dict[str, list[float]]
    cpu: dict[str, list[float]]
    difference: float | None
    same_choices: float


def compare(
    student: Any, tokenizer: Any, questions: list[Question], options: Namespace
) -> Comparison:
    """Both arms in turns; the first turn of each is not counted."""
    wall: dict[str, list[float]] = {"tutelage": [], "official": []}
    cpu: dict[str, list[float]] = {"tutelage": [], "official": []}
    answers: dict[str, Answers] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "questions.jsonl"
        write_questions(questions, file)
        theirs = partial(peer, student, tokenizer, file)
        if options.pipeline:
            theirs = official(student, tokenizer, file, pipeline=options.pipeline)
        arms = {"tutelage": partial(ours, student, tokenizer, file), "official": theirs}
        for turn in range(options.pairs + 1):
            for name in list(arms) if turn % 2 else reversed(arms):
                start = time.perf_counter(), time.process_time()
                answers[name] = arms[name]()
                wall[name].append(time.perf_counter() - start[0])
                cpu[name].append(time.process_time() - start[1])
            print({name: round(seconds[-1], 2) for name, seconds in wall.items()}, file=sys.stderr)
    one, other = (torch.tensor(answers[name]) for name in arms)
    return Comparison(
        {name: seconds[1:] for name, seconds in wall.items()},
        {name: seconds[1:] for name, seconds in cpu.items()},
        None if options.pipeline else float((one - other).abs().max()),
        float((one.argmax(1) == other.argmax(1)).float().mean()),
    )


def write_questions(questions: Iterable[Question], file: Path) -> None:
    """As entity tracking has them."""
    with file.open("w") as lines:
        for prefix, options in questions:
            row = {"numops": 0, "input_prefix": prefix, "options": options}
            lines.write(f"{json.dumps(row)}\n")


def memory_in_process(rows: int) -> int:
    """Peak memory in MB of a new process that scores so many rows."""
    command = [sys.executable, __file__, "--memory-of", str(rows)]
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def peak_memory(rows: int) -> int:
    """Peak memory of this process in MB, having scored so many made-up pairs of short texts."""
    rng = random.Random(0)
    words = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(2, 8))) for _ in range(500)]

    def text() -> str:
        return " ".join(rng.choices(words, k=4))

    with tempfile.TemporaryDirectory() as folder:
        tokens = tokenizer([" ".join(words)], 512, Path(folder))
        file = Path(folder) / "questions.jsonl"
        write_questions((Question("", [text(), text()]) for _ in range(rows)), file)
        scorer = Scorer(small_llama(None, tokens), tokens, device=CPU)
        EntityTracking(data=file).run_task(file.stem, scorer)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit // 2**20


def ratio(seconds: dict[str, list[float]]) -> float:
    """How many times faster we are: the median over turns."""
    pairs = zip(seconds["tutelage"], seconds["official"], strict=True)
    return round(statistics.median(theirs / ours for ours, theirs in pairs), 2)


def summary(results: dict[str, Comparison], rows: dict[str, int]) -> dict[str, Any]:
    """The JSON line."""
    rates = {
        name: {
            arm: round(rows[name.partition("/")[2]] / statistics.median(seconds), 1)
            for arm, seconds in result.wall.items()
        }
        for name, result in results.items()
    }
    main = "stories260K/pairs"
    return {
        "bench": "evaluate",
        "ratio": ratio(results[main].wall),
        "goal": GOALS["stories260K"],
        "ours": rates[main]["tutelage"],
        "peer": rates[main]["official"],
        "unit": "pairs/s",
        "pairs": len(results[main].wall["tutelage"]),
        "ratios": {name: ratio(result.wall) for name, result in results.items()},
        "ratios_of_cpu_seconds": {name: ratio(result.cpu) for name, result in results.items()},
        "goals": GOALS,
        "rows_per_second": rates,
        "largest_difference_nats": {name: result.difference for name, result in results.items()},
        "same_choices": {name: result.same_choices for name, result in results.items()},
        "rows": rows,
    }


def conditions(options: Namespace) -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "peer_is": "the pipeline itself" if options.pipeline else "its way, restated",
        "other_programs": options.busy,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
    }


if __name__ == "__main__":
    sys.exit(main())

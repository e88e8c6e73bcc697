"""What recipes that read a corpus share: its packed text, evaluations on the way, samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from pydantic import PositiveInt

from tutelage.config import Config, UserError
from tutelage.data.cache import default_cache_dir
from tutelage.data.corpora import Corpus
from tutelage.data.tokenizer import TokenizerConfig
from tutelage.evals.along import Along

if TYPE_CHECKING:
    import torch
    from rich.console import Console

    from tutelage.data.packing import Blocks
    from tutelage.models.student import Student
    from tutelage.train.compute import Compute


class Samples(Config):
    """What the student writes at each evaluation, for people to read."""

    prompts: tuple[str, ...] = ("",)
    """Prompts to continue; an empty one starts a new document. None: no samples."""
    num: PositiveInt = 2
    """Samples of each prompt."""
    max_tokens: PositiveInt = 48
    """Longest sample, in tokens; shorter where the student's context ends."""

    def room(self, student: Student, tokenizer: Any) -> int:
        """Tokens that the student can add to the longest prompt."""
        longest = max(len(tokenizer(prompt)["input_ids"]) for prompt in self.prompts)
        room = student.context - max(longest, 1)
        if room < 1:
            raise UserError(
                f"A prompt of --samples.prompts has {longest} tokens, but this student reads at "
                f"most {student.context}. Shorten it."
            )
        return room

    def take(
        self, student: Student, tokenizer: Any, compute: Compute, seed: int
    ) -> list[dict[str, str]]:
        """Samples as rows for samples.jsonl; the same random numbers at every milestone."""
        from tutelage.rollout.generate import generate

        # The processes of a sharded student take every forward pass together.
        if not self.prompts or not (compute.is_main or compute.config.shard):
            return []
        prompts = [prompt for prompt in self.prompts for _ in range(self.num)]
        max_tokens = min(self.max_tokens, self.room(student, tokenizer))
        with compute.gathered(student):
            responses = generate(
                student.model, tokenizer, prompts, max_tokens=max_tokens, seed=seed
            )
        return [
            {"kind": "sample", "prompt": prompt, "response": response}
            for prompt, response in zip(prompts, responses, strict=True)
        ]


class HasTexts(Protocol):
    """Data of another form that can be read as texts."""

    def check(self) -> None:
        """Refuse what can't be read."""
        ...

    def texts(self) -> Iterator[str]:
        """The texts that are there to train on."""
        ...

    def fingerprint(self) -> str:
        """Hash of the texts."""
        ...


class TextsOf(NamedTuple):
    """Data's texts as a corpus, for a tokenizer to be trained on."""

    data: HasTexts

    def check(self) -> None:
        """Refuse what the data refuse."""
        self.data.check()

    def documents(self) -> Iterator[str]:
        """The texts."""
        return self.data.texts()

    def fingerprint(self) -> str:
        """Hash of the texts."""
        return self.data.fingerprint()


class Text(NamedTuple):
    """What a student reads."""

    tokenizer: Any
    blocks: Blocks
    held_out: Blocks | None


def refuse_long_blocks(block_length: int, student: Student) -> None:
    """Raise if blocks are longer than what the student can read."""
    if block_length > student.context:
        raise UserError(
            f"--block-length is {block_length}, but this student reads at most "
            f"{student.context} tokens. Lower --block-length or raise --student.context."
        )


def read_text(
    data: Corpus,
    eval_data: Corpus | None,
    tokenizer: TokenizerConfig,
    *,
    block_length: int,
    console: Console,
) -> Text:
    """The tokenizer, and the corpora as packed blocks."""
    from tutelage.data.packing import Blocks, tokenize

    cache = default_cache_dir()
    with console.status("Reading the corpus") as status:

        def blocks(corpus: Corpus) -> Blocks:
            stream = tokenize(
                corpus,
                built,
                cache_dir=cache,
                progress=lambda done: status.update(f"Packing: {done:,} tokens"),
            )
            return Blocks(stream, block_length)

        built = tokenizer.build(data, cache)
        held_out = blocks(eval_data) if eval_data is not None else None
        return Text(built, blocks(data), held_out)


def evaluate(
    student: torch.nn.Module, text: Text, evals: Along, *, batch_size: int, compute: Compute
) -> dict[str, dict[str, Any]]:
    """Results by the name of the evaluation: perplexity on held-out text, and suites."""
    from tutelage.evals.perplexity import perplexity

    results: dict[str, dict[str, Any]] = {}
    if text.held_out is not None:
        results["perplexity"] = perplexity(
            student,
            text.held_out,
            batch_size=batch_size,
            device=compute.device,
            rank=compute.rank,
            num_processes=compute.num_processes,
            total=compute.sum,
        ).result()
    results |= evals.measure(student, text.tokenizer, compute.device)
    return results

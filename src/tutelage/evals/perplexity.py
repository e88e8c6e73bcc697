"""Perplexity: exp of the mean negative log-likelihood of held-out blocks (EV-1)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import Field

from tutelage.config import Config
from tutelage.data import AnyCorpus
from tutelage.data.cache import default_cache_dir
from tutelage.data.grammar import NurseryCorpus

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from tutelage.data.packing import Blocks
    from tutelage.evals.scoring import Scorer

VERSION = 1


class Perplexity(Config):
    """Perplexity of held-out text: exp of the mean negative log-likelihood of its tokens."""

    data: AnyCorpus = NurseryCorpus(num_words=10_000, seed=1)
    """Held-out text."""
    block_length: Annotated[int, Field(ge=2)] = 128
    """Tokens per block; packed like training text, and the first of a block is not scored."""

    def check(self) -> None:
        """Refuse a corpus that can't be read."""
        self.data.check()

    def tasks(self) -> list[str]:
        """One part: the text."""
        return ["text"]

    def run_task(self, task: str, scorer: Scorer) -> dict[str, Any]:
        """Perplexity of the text."""
        from tutelage.data.packing import Blocks, tokenize

        stream = tokenize(self.data, scorer.tokenizer, cache_dir=default_cache_dir())
        blocks = Blocks(stream, self.block_length)
        batch_size = max(1, scorer.batch_tokens // self.block_length)
        measured = perplexity(scorer.student, blocks, batch_size=batch_size, device=scorer.device)
        return measured.result()

    def combine(self, parts: dict[str, dict[str, Any]]) -> dict[str, Any]:
        """The result of the one part."""
        return {**parts["text"], "seeds": {"data": self.data.seed}}


class Measured(NamedTuple):
    """How well a student predicts held-out text."""

    nll: float
    """Mean over predicted tokens, in nats."""
    num_tokens: int
    """Predicted tokens: all but the first of each block."""
    bits_per_word: float
    """Summed surprisal over the words of the blocks; unlike perplexity, it compares students
    whose tokenizers differ."""

    def result(self) -> dict[str, Any]:
        """As stored in evals/perplexity/<milestone>.json."""
        return {
            "version": VERSION,
            "measures": {
                "perplexity": math.exp(self.nll),
                "nll": self.nll,
                "bits_per_word": self.bits_per_word,
            },
            "num_tokens": self.num_tokens,
        }


def perplexity(
    student: torch.nn.Module,
    blocks: Blocks,
    *,
    batch_size: int,
    device: torch.device,
    rank: int = 0,
    num_processes: int = 1,
    total: Callable[[Tensor], Tensor] = lambda tensor: tensor,
) -> Measured:
    """Perplexity of packed blocks, read in fp32 with dropout off.

    Args:
        student: Called with (batch, time) token ids; processes take turns with batches.
        blocks: Held-out text, packed like training text.
        batch_size: Blocks per forward pass.
        device: Where the student is.
        rank: Number of this process.
        num_processes: Number of processes; all must call this together.
        total: Sums a tensor over the processes.
    """
    import torch

    was_training = student.training
    student.eval()
    nll = torch.zeros((), dtype=torch.float64)
    stride = batch_size * num_processes
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        for start in range(0, len(blocks), stride):
            first = start + rank * batch_size
            indices = list(range(first, min(first + batch_size, len(blocks))))
            # Every process runs every forward pass (a sharded student needs it), if on a spare row.
            rows = blocks.rows(indices or [0])
            logprobs = student(rows.token_ids.to(device)).logprobs
            nll -= logprobs.cpu().double().sum() if indices else 0.0
    student.train(was_training)
    summed = float(total(nll.to(device)))
    num_tokens = len(blocks) * (blocks.length - 1)
    num_words = blocks.words(range(len(blocks)))
    return Measured(
        nll=summed / num_tokens,
        num_tokens=num_tokens,
        bits_per_word=summed / math.log(2) / max(num_words, 1),
    )

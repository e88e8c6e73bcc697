"""Demonstration: learn to imitate text, token by token (causal language modelling)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from tutelage.batch import Batch
from tutelage.config import UserError
from tutelage.data.packing import BlockOrder, BlockRows, Blocks
from tutelage.objectives.clm import masked_sum, nll

if TYPE_CHECKING:
    import torch
    from torch import Tensor


# Most tokens in a forward pass, whatever is allowed: a CPU's caches hold what they leave behind.
# 16,384 tokens at once take a seventh longer.
_AT_ONCE = {"cpu": 2_048}


class Share(NamedTuple):
    """Which part of every batch a process takes."""

    rank: int = 0
    num_processes: int = 1


ALONE = Share()


class Demonstration:
    """Blocks of a packed corpus in a seeded, endless order."""

    name = "demonstration"

    def __init__(
        self,
        blocks: Blocks,
        *,
        batch_size: int,
        microbatch_size: int | None = None,
        document_mask: bool = False,
        seed: int,
        device: torch.device,
        share: Share = ALONE,
        steps_per_round: int = 1,
    ):
        if batch_size % share.num_processes:
            raise UserError(
                f"--batch-size {batch_size} does not divide among {share.num_processes} processes. "
                f"Make it a multiple of {share.num_processes}."
            )
        self.blocks = blocks
        self.order = BlockOrder(len(blocks), seed)
        self.batch_size = batch_size
        most = max(1, _AT_ONCE.get(device.type, batch_size * blocks.length) // blocks.length)
        self.microbatch_size = min(microbatch_size or batch_size, most)
        self.document_mask = document_mask
        self.device = device
        self.share = share
        self.steps_per_round = steps_per_round
        self.position = 0  # blocks handed out since the beginning

    def round(self, student: torch.nn.Module) -> Iterator[Batch]:
        """The next batches; the last ones of an epoch are filled up from the next."""
        for _ in range(self.steps_per_round):
            batch = self.batch(self.position)
            self.position += self.batch_size  # before the step: a run may be stopped after it
            yield batch

    def batch(self, position: int) -> Batch:
        """The batch that starts at a position of the endless order."""
        indices = self.order.indices(position, self.batch_size)
        rows = self.blocks.rows(indices)
        if self.document_mask:
            num_terms = int((rows.segments[:, 1:] == rows.segments[:, :-1]).sum())
        else:
            num_terms = rows.token_ids[:, 1:].numel()
        local = self.batch_size // self.share.num_processes
        start = self.share.rank * local
        size = min(self.microbatch_size, local)
        digest = hashlib.sha256(rows.token_ids.numpy().tobytes()).hexdigest()[:12]
        return Batch(
            microbatches=[
                BlockRows(*(part[i : min(i + size, start + local)] for part in rows))
                for i in range(start, start + local, size)
            ],
            num_terms=num_terms,
            exposure={
                "read_words": self.blocks.words(indices),
                "read_tokens": rows.token_ids.numel(),
            },
            name=f"{digest} (blocks {position} to {position + self.batch_size - 1})",
        )

    def loss(
        self, student: torch.nn.Module, microbatch: BlockRows
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Summed negative log-likelihood, in nats, of every token but each block's first.

        With a document mask, a document's first token is not predicted either: nothing that
        predicts it may be seen.
        """
        rows = BlockRows(*(part.to(self.device, non_blocking=True) for part in microbatch))
        if not self.document_mask:
            return nll(student(rows.token_ids).logprobs).sum(), {}
        keep = rows.segments[:, 1:] == rows.segments[:, :-1]
        scores = student(
            rows.token_ids, keep=keep, segments=rows.segments, positions=rows.positions
        )
        return masked_sum(nll(scores.logprobs), keep), {}

    def state_dict(self) -> dict[str, Any]:
        """The position in the corpus, and which corpus it is."""
        return {"position": self.position, "corpus": self.blocks.stream.key}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on at a saved position."""
        if state["corpus"] != self.blocks.stream.key:
            raise UserError(
                "The corpus (or its tokenizer) changed since this run began, so it cannot go on. "
                "Put the old text back, or start a new run with --student.path on a checkpoint."
            )
        self.position = state["position"]

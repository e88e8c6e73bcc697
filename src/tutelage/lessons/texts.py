"""Texts for a reward model to read: tokens, or the hidden states that a trunk made of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from tutelage.rows import padded, portions

if TYPE_CHECKING:
    from tutelage.lessons.machine import Machine

# Most places of texts in a forward pass, whatever more is allowed: what a CPU's caches hold.
_AT_ONCE = {"cpu": 1536}


class Texts(Protocol):
    """Many texts, by their numbers."""

    @property
    def lengths(self) -> Sequence[int]:
        """Places of each text in the tensors that `inputs` gives."""
        ...

    def inputs(self, indices: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor]:
        """What a reward model's forward pass takes: some texts, and a mask of their places."""
        ...


class TokenTexts:
    """Texts as token ids."""

    def __init__(self, rows: Sequence[Sequence[int]]):
        self.rows = rows
        self.lengths = [len(row) for row in rows]

    def inputs(self, indices: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor]:
        """Token ids (batch, time), padded on the right, and where they are real."""
        return padded([self.rows[index] for index in indices], device=device)


class StateTexts:
    """Texts as hidden states in a file, which is mapped into memory and read as needed.

    Args:
        path: The states of all texts one after another, each (place, block, hidden).
        lengths: Places of each text.
        shape: Blocks and hidden width.
        dtype: Number format of the file.
    """

    def __init__(
        self, path: Path, lengths: Sequence[int], shape: tuple[int, int], dtype: torch.dtype
    ):
        self.lengths = lengths
        self.starts = torch.tensor([0, *lengths]).cumsum(0).tolist()
        size = self.starts[-1] * shape[0] * shape[1]
        flat = torch.from_file(str(path), shared=False, size=size, dtype=dtype)
        self.states = flat.view(-1, *shape)

    def inputs(self, indices: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor]:
        """Hidden states (batch, block, place, hidden), 0 where there is no text, and a mask."""
        lengths = torch.tensor([self.lengths[index] for index in indices])
        width = int(lengths.max())
        found = self.states.new_zeros(len(indices), width, *self.states.shape[1:])
        for row, index in enumerate(indices):
            start, end = self.starts[index], self.starts[index + 1]
            found[row, : end - start] = self.states[start:end]
        mask = torch.arange(width) < lengths[:, None]
        return found.transpose(1, 2).to(device), mask.to(device)


def score_texts(
    model: torch.nn.Module,
    texts: Texts,
    indices: Iterable[int],
    *,
    machine: Machine,
    microbatch_tokens: int | None,
) -> Tensor:
    """Scores of some texts, in their order, without gradients; the processes share the work.

    All processes take as many forward passes as the busiest.
    """
    wanted = list(indices)
    portion = portions(texts.lengths, wanted, at_once(microbatch_tokens, machine.device))
    own = portion[machine.rank :: machine.num_processes]
    busiest = len(portion[:: machine.num_processes])
    scores = torch.zeros(len(texts.lengths), device=machine.device)
    was_training = model.training
    model.eval()
    with torch.no_grad(), machine.autocast():
        for some in own + portion[:1] * (busiest - len(own)):
            inputs, mask = texts.inputs(some, machine.device)
            found = model(inputs, mask)
            if some in own:
                scores[some] = found
    model.train(was_training)
    return machine.sum(scores)[wanted].cpu()


def at_once(microbatch_tokens: int | None, device: torch.device) -> int | None:
    """Most places of texts in a forward pass, where so many at most are allowed."""
    limits = (microbatch_tokens, _AT_ONCE.get(device.type))
    return min((limit for limit in limits if limit is not None), default=None)


def shared_portions(
    lengths: Sequence[int], indices: Sequence[int], machine: Machine, most_tokens: int | None
) -> list[list[int]]:
    """This process's share of some rows, in portions; some may be empty, so all have as many.

    Rows of like lengths are dealt out in turn, so that all processes have as much to do.
    """
    ordered = sorted(indices, key=lambda index: (lengths[index], index))
    shares = [
        portions(lengths, ordered[rank :: machine.num_processes], most_tokens)
        for rank in range(machine.num_processes)
    ]
    own = shares[machine.rank]
    return own + [[] for _ in range(max(map(len, shares)) - len(own))]

"""Batches: rows of like length are read together, and on a CPU batches side by side.

On the small matrices of small students, cores that share each operation wait for each other much of
the time, and on a busy machine nearly all of it; so each core reads batches of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from tutelage.evals.families import LONGEST, Family, answered, can_branch, families, lay_out

if TYPE_CHECKING:
    import torch
    from torch import Tensor

MOST_THREADS = 8
"""Of Python: more would wait for each other too. Cores are shared out among them."""

Item = TypeVar("Item")
Part = dict[int, "Tensor"]
"""Scores of some rows, by their numbers."""


class Reader(NamedTuple):
    """A student in evaluation mode, and rows, no two the same, each scored from its start on."""

    student: Any
    device: torch.device
    rows: Sequence[tuple[int, ...]]
    starts: Sequence[int]

    def logprobs(self, batch_tokens: int) -> list[Tensor]:
        """Of each row, the log-probabilities of its scored tokens, on the CPU.

        Args:
            batch_tokens: Most tokens of a batch, padding included, but for one long row.
        """
        import torch

        branches = can_branch(self.student)
        short = [i for i, row in enumerate(self.rows) if branches and len(row) <= LONGEST]
        long = sorted(set(range(len(self.rows))).difference(short))
        groups = families(self.rows, short, self._width()) if branches else []
        threads = torch.get_num_threads() if branches and self.device.type == "cpu" else 1
        total = sum(family.length for family in groups) + sum(len(self.rows[i]) for i in long)
        most = min(batch_tokens, -(-total // threads))
        jobs: list[Callable[[], Part]] = [
            *(
                partial(self._apart, part)
                for part in batches(long, lambda i: len(self.rows[i]), most)
            ),
            *(
                partial(self._together, part)
                for part in batches(groups, lambda family: family.length, most)
            ),
        ]
        found: Part = {}
        for part in side_by_side(jobs, threads):
            found.update(part)
        return [found[number] for number in range(len(self.rows))]

    def _width(self) -> int:
        """Numbers that the student keeps of a token."""
        return self.student.base.config.get_text_config().hidden_size

    def _together(self, group: list[Family]) -> Part:
        """Of families, each in a line of its own."""
        numbers = [number for family in group for number in family.rows]
        with self._exactly():
            layout = lay_out(group, self.rows, self.starts).to(self.device)
            scores = answered(self.student, layout)[layout.answers].cpu()
        parts = scores.split([len(self.rows[i]) - self.starts[i] for i in numbers])
        return dict(zip(numbers, parts, strict=True))

    def _apart(self, numbers: list[int]) -> Part:
        """Of rows, each in a line of its own."""
        import torch

        from tutelage.rows import padded

        token_ids, mask = padded([self.rows[i] for i in numbers])
        starts = torch.tensor([self.starts[i] for i in numbers])
        keep = torch.arange(1, token_ids.shape[1]) >= starts[:, None]
        inputs = {"mask": mask.to(self.device), "keep": keep.to(self.device)}
        with self._exactly():
            scores = self.student(token_ids.to(self.device), **inputs).logprobs.cpu()
        return {
            number: line[self.starts[number] - 1 : len(self.rows[number]) - 1]
            for number, line in zip(numbers, scores, strict=True)
        }

    @contextmanager
    def _exactly(self) -> Iterator[None]:
        """Inside, this thread computes without gradients or lower precision."""
        import torch

        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            yield


def side_by_side(jobs: Sequence[Callable[[], Part]], cores: int) -> Iterator[Part]:
    """Results of jobs in their order, done by threads that share out the cores."""
    import torch

    threads = min(cores, len(jobs), MOST_THREADS)
    if threads < 2:
        yield from (job() for job in jobs)
        return
    before, share = torch.get_num_threads(), cores // threads
    torch.set_num_threads(share)
    try:
        with ThreadPoolExecutor(threads) as pool:
            yield from pool.map(lambda job: job(), jobs)
    finally:
        torch.set_num_threads(before)


def batches(
    items: Sequence[Item], length: Callable[[Item], int], batch_tokens: int
) -> Iterator[list[Item]]:
    """Items in groups of like length, each of at most `batch_tokens` padded tokens."""
    group: list[Item] = []
    for item in sorted(items, key=length, reverse=True):
        if group and length(group[0]) * (len(group) + 1) > batch_tokens:
            yield group
            group = []
        group.append(item)
    if group:
        yield group

"""Families: rows that begin alike are read together, each common beginning once.

A family is a tree of tokens that lies in one line, branch after branch. A token sees those on its
way from the root, at the positions that they have in its row, so every number is that of the row
alone. What ends a row is not read at all: nothing is asked about what comes after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch
    from torch import Tensor

LONGEST = 1_024
"""Tokens of a line: attention costs the square of it."""


class Family(NamedTuple):
    """Rows in one line, by their numbers, in the order of their tokens."""

    rows: tuple[int, ...]
    common: tuple[int, ...]
    """Of each row, how many of its first tokens are those of the row before it in the family."""
    length: int
    """Tokens of the tree."""


class Layout(NamedTuple):
    """A batch of families, a line each, and what is asked about it."""

    token_ids: Tensor
    """Tokens that others come after (line, time)."""
    positions: Tensor
    """Of each token, its position in its rows."""
    lasts: Tensor
    """Of each token, the place in its line of the last token that sees it."""
    before: Tensor
    """Of each question, the place of the token before it, lines laid end to end."""
    targets: Tensor
    """Of each question, the token asked about."""
    answers: Tensor
    """Of each scored token, row by row, the number of its question: alike rows share them."""

    def to(self, device: torch.device) -> Layout:
        """The same on a device."""
        return self._replace(**{name: part.to(device) for name, part in self._asdict().items()})


def families(rows: Sequence[tuple[int, ...]], numbers: Sequence[int], width: int) -> list[Family]:
    """The rows of some numbers, no two the same, in families, each as large as is cheaper to read.

    To read a token is taken to cost as much as to look at as many others as the student is wide.
    """

    def cost(length: int) -> int:
        return length * (width + length)

    found: list[Family] = []
    for index in sorted(numbers, key=rows.__getitem__):
        row = rows[index]
        if found:
            family = found[-1]
            common = shared_tokens(rows[family.rows[-1]], row)
            length = family.length + len(row) - common
            if length <= LONGEST and cost(length) < cost(family.length) + cost(len(row)):
                found[-1] = Family((*family.rows, index), (*family.common, common), length)
                continue
        found.append(Family((index,), (0,), len(row)))
    return found


def shared_tokens(one: Sequence[int], other: Sequence[int]) -> int:
    """How many first tokens two rows have in common."""
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def lay_out(
    group: Sequence[Family], rows: Sequence[tuple[int, ...]], starts: Sequence[int]
) -> Layout:
    """One batch of families; of each row, the tokens from its start on are asked about."""
    import torch

    token_ids: list[int] = []
    positions: list[int] = []
    parents: list[int] = []
    ends: list[int] = []
    lines: list[int] = []
    asked: list[int] = []
    for line, family in enumerate(group):
        path: list[int] = []
        for index, common in zip(family.rows, family.common, strict=True):
            row, first = rows[index], len(token_ids)
            for node in path[common:]:
                ends[node] = first - 1
            own = range(first, first + len(row) - common)
            parents += [path[common - 1] if common else first, *own[:-1]]
            path = [*path[:common], *own]
            token_ids += row[common:]
            positions += range(common, len(row))
            ends += own
            lines += [line] * len(own)
            asked += path[starts[index] :]
        for node in path:
            ends[node] = len(token_ids) - 1
    nodes = torch.tensor([token_ids, positions, parents, ends, lines])
    return _placed(nodes, torch.tensor(asked))


def _placed(nodes: Tensor, asked: Tensor) -> Layout:
    """The layout of trees whose nodes stand in the order of reading.

    Args:
        nodes: Of each node its token, position, parent, last descendant and line.
        asked: Nodes that are asked about, for each row.
    """
    import torch

    token_ids, _, parents, ends, lines = nodes
    inner = ends > torch.arange(len(ends))
    counts = torch.bincount(lines[inner])
    time = int(counts.max())
    # Inner nodes up to and with each node, without those of the lines before.
    columns = inner.cumsum(0) - 1 - (counts.cumsum(0) - counts)[lines]
    places = lines * time + columns
    lasts = torch.arange(time).repeat(len(counts))  # padding sees itself
    lasts[places[inner]] = columns[ends[inner]]
    read = torch.zeros(2, len(lasts), dtype=torch.long)
    read[:, places[inner]] = nodes[:2, inner]
    questions, answers = asked.unique(return_inverse=True)
    return Layout(
        token_ids=read[0].view(-1, time),
        positions=read[1].view(-1, time),
        lasts=lasts.view(-1, time),
        before=places[parents[questions]],
        targets=token_ids[questions],
        answers=answers,
    )


def can_branch(student: torch.nn.Module) -> bool:
    """Whether a student can be told which tokens see which."""
    from torch.distributed.tensor import DTensor

    from tutelage.config import UserError
    from tutelage.models.architecture import refuse_document_mask
    from tutelage.models.student_module import Student

    if not isinstance(student, Student) or not student.has_chunked_head:
        return False
    if any(isinstance(parameter, DTensor) for parameter in student.parameters()):
        return False
    try:
        refuse_document_mask(student.base, LONGEST)
    except UserError:
        return False
    return student.base.config._attn_implementation in ("sdpa", "eager")


def answered(student: Any, layout: Layout) -> Tensor:
    """Log-probabilities of the targets of all questions, by a student that can branch."""
    import torch

    order = torch.arange(layout.token_ids.shape[1], device=layout.token_ids.device)
    seen = (layout.lasts[:, None, :] >= order[:, None]) & (order <= order[:, None])
    base = student.base
    if base.config._attn_implementation == "eager":
        lowest = torch.finfo(base.dtype).min
        seen = torch.zeros(seen.shape, dtype=base.dtype).to(seen.device).masked_fill(~seen, lowest)
    states = student.read(
        input_ids=layout.token_ids,
        attention_mask=seen[:, None],
        position_ids=layout.positions,
        use_cache=False,
    )
    asked = states.map(lambda part: part.flatten(0, 1)[layout.before])
    return student.score(asked, layout.targets).logprobs

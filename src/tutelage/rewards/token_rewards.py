"""The reward of each token that a language model reveals: r(s, a) = V(s) + log π(a|s) − γ V(s').

Read as IQ-Learn reads it (`objectives/iqlearn.py`), any causal language model is the best policy
for some reward of tokens. A response is read as finished: the token that ends texts follows it, has
a reward too, and V' = 0 after it. With γ = 1 the rewards of a response add up to V of its prompt
plus its log-probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float
    from torch import Tensor

BATCH_TOKENS = 2048


class Finished(NamedTuple):
    """A prompt, of at least one token, and a response whose last token ends the text."""

    prompt_ids: tuple[int, ...]
    response_ids: tuple[int, ...]

    @property
    def length(self) -> int:
        """Tokens of both."""
        return len(self.prompt_ids) + len(self.response_ids)


class TokenRewards(NamedTuple):
    """What a model reveals of each token of a response: float32, on the CPU, in nats."""

    rewards: Float[Tensor, " time"]
    logprobs: Float[Tensor, " time"]
    soft_values: Float[Tensor, " time"]
    """V of the state in which the token was chosen."""

    @property
    def total(self) -> float:
        """Sum of the rewards, added in double precision."""
        return float(self.rewards.double().sum())


def finished(tokenizer: Any, prompts: Sequence[str], responses: Sequence[str]) -> list[Finished]:
    """Prompts and responses as tokens, each by itself, as in training and when one is sampled.

    Args:
        tokenizer: A fast one, with a token that ends texts.
        prompts: What was given; an empty one is the token that begins a text.
        responses: What was answered; each gets one end token.
    """
    from tutelage.data.completion_tokens import completion_tokens, prompt_tokens, refuse_unfit

    refuse_unfit(tokenizer)
    pairs = zip(
        prompt_tokens(tokenizer, prompts), completion_tokens(tokenizer, responses), strict=True
    )
    return [Finished(tuple(prompt_ids), tuple(ids)) for prompt_ids, ids in pairs]


def token_rewards(
    student: torch.nn.Module,
    rows: Sequence[Finished],
    *,
    gamma: float = 1.0,
    device: torch.device | None = None,
    batch_tokens: int = BATCH_TOKENS,
) -> list[TokenRewards]:
    """The rewards of each response's tokens; equal rows get equal numbers, bit for bit.

    A number depends on its own row alone: not on batches, padding or other rows.

    Args:
        student: Any module that is called as a `Student` is, in float32.
        rows: Prompts and responses, none longer than the student reads.
        gamma: Discount, in [0, 1].
        device: Where the student is; the CPU, if not given.
        batch_tokens: Most tokens of a batch, padding included, but for one long row.
    """
    import torch

    from tutelage.rows import portions

    device = device or torch.device("cpu")
    distinct = list(dict.fromkeys(rows))
    found: dict[Finished, TokenRewards] = {}
    was_training = student.training
    student.eval()
    try:
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            lengths = [row.length for row in distinct]
            for numbers in portions(lengths, range(len(distinct)), batch_tokens):
                batch = [distinct[number] for number in numbers]
                found.update(zip(batch, _read(student, batch, gamma, device), strict=True))
    finally:
        student.train(was_training)
    return [found[row] for row in rows]


def _read(
    student: torch.nn.Module, rows: Sequence[Finished], gamma: float, device: torch.device
) -> list[TokenRewards]:
    """One batch; column t of all but `token_ids` and `mask` is about token t + 1."""
    import torch

    from tutelage.objectives import iqlearn
    from tutelage.rows import padded

    token_ids, mask = padded([[*row.prompt_ids, *row.response_ids] for row in rows], device=device)
    starts = torch.tensor([len(row.prompt_ids) - 1 for row in rows], device=device)[:, None]
    ends = torch.tensor([row.length - 2 for row in rows], device=device)[:, None]
    column = torch.arange(token_ids.shape[1] - 1, device=device)
    keep = (column >= starts) & (column <= ends)
    scores = student(token_ids, mask=mask, keep=keep)
    following = iqlearn.next_soft_values(scores.logsumexps, keep & (column == ends))
    rewards = iqlearn.token_rewards(scores.logprobs, scores.logsumexps, following, gamma=gamma)
    parts = [part.float().cpu() for part in (rewards, scores.logprobs, scores.logsumexps)]
    spans = [slice(len(row.prompt_ids) - 1, row.length - 1) for row in rows]
    return [TokenRewards(*(part[i, span] for part in parts)) for i, span in enumerate(spans)]


def pieces(tokenizer: Any, token_ids: Sequence[int]) -> list[str]:
    """The text of each token; of a character that several share, the last has it.

    Args:
        tokenizer: A fast one.
        token_ids: Those of a response; what ends it is spelled out.
    """
    from tokenizers.decoders import DecodeStream

    stream = DecodeStream(skip_special_tokens=False)
    backend = tokenizer.backend_tokenizer
    return [stream.step(backend, token_id) or "" for token_id in token_ids]

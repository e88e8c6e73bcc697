"""The modules of read-outs: hidden states and a mask in, one score a text out.

Padding never takes part: a state whose mask is false has no weight in any pooling.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

EPS = 1e-6


class Readout(Protocol):
    """Scores texts by their hidden states."""

    def __call__(
        self,
        states: Float[Tensor, "batch block time hidden"],
        mask: Bool[Tensor, "batch time"],
    ) -> Float[Tensor, " batch"]:
        """One score for each text; states whose mask is false have no influence."""
        ...


class AttentionPooling(nn.Module):
    """`Σᵢ aᵢ xᵢ` with `a = softmax(q · x)`: one learned query says which states count."""

    def __init__(self, width: int):
        super().__init__()
        self.query = nn.Parameter(torch.randn(width) * width**-0.5)

    def forward(
        self,
        states: Float[Tensor, "*rows item hidden"],
        mask: Bool[Tensor, "*rows item"] | None = None,
    ) -> Float[Tensor, "*rows hidden"]:
        """The states of each row pooled into one; a row has at least one that counts."""
        weights = _weights(states @ self.query.to(states.dtype), mask)
        return (weights.unsqueeze(-2) @ states).squeeze(-2)

    def of_normed(
        self,
        states: Float[Tensor, "*rows item hidden"],
        mask: Bool[Tensor, "*rows item"] | None,
        gain: Float[Tensor, " hidden"],
    ) -> Float[Tensor, "*rows hidden"]:
        """What `forward` makes of `gain ⊙ xᵢ / rᵢ`, where rᵢ is a state's root mean square.

        Normalised states would take longer to write and read than all the rest, so both products
        are with the states themselves: `(query ⊙ gain) · xᵢ / rᵢ` and `gain ⊙ Σᵢ (aᵢ / rᵢ) xᵢ`.
        """
        query, gain = (self.query * gain).to(states.dtype), gain.to(states.dtype)
        squares = torch.linalg.vector_norm(states, dim=-1).square() / states.shape[-1]
        scales = (squares + EPS).rsqrt()
        weights = _weights(states @ query * scales, mask) * scales
        return gain * (weights.unsqueeze(-2) @ states).squeeze(-2)


def _weights(
    relevance: Float[Tensor, "*rows item"], mask: Bool[Tensor, "*rows item"] | None
) -> Float[Tensor, "*rows item"]:
    """How much each item counts; they sum to 1."""
    if mask is not None:
        relevance = relevance.masked_fill(~mask, -torch.inf)
    return relevance.float().softmax(-1).to(relevance.dtype)


class WeightedPooling(nn.Module):
    """`Σᵢ wᵢ xᵢ` with one learned weight for each place."""

    def __init__(self, num_items: int):
        super().__init__()
        self.weights = nn.Parameter(torch.randn(num_items) * num_items**-0.5)

    def forward(self, states: Float[Tensor, "batch item hidden"]) -> Float[Tensor, "batch hidden"]:
        """The states of each row pooled into one."""
        return torch.einsum("i,bih->bh", self.weights.to(states.dtype), states)


class GatedGelu(nn.Module):
    """`GELU(x U) ⊙ (x V)` (Shazeer, 2020, https://arxiv.org/abs/2002.05202), as in FLAN-T5."""

    def __init__(self, width: int, out: int):
        super().__init__()
        self.gate = nn.Linear(width, out, bias=False)
        self.value = nn.Linear(width, out, bias=False)

    def forward(self, states: Float[Tensor, "*rows hidden"]) -> Float[Tensor, "*rows out"]:
        """The projection of each state."""
        return F.gelu(self.gate(states), approximate="tanh") * self.value(states)


class AttentionWithGate(nn.Module):
    """RMS norm, attention pooling, gated-GELU projection."""

    def __init__(self, width: int, out: int):
        super().__init__()
        self.norm = nn.RMSNorm(width, eps=EPS)
        self.pooling = AttentionPooling(width)
        self.projection = GatedGelu(width, out)

    def forward(
        self,
        states: Float[Tensor, "batch item hidden"],
        mask: Bool[Tensor, "batch item"] | None = None,
    ) -> Float[Tensor, "batch out"]:
        """The features of each row of states."""
        return self.projection(self.pooling.of_normed(states, mask, self.norm.weight))


class LayerwisePooling(nn.Module):
    """Every block's tokens pooled by attention of their own, then blocks pooled into one."""

    def __init__(self, width: int, out: int, num_blocks: int, across: nn.Module):
        super().__init__()
        self.blocks = nn.ModuleList(AttentionWithGate(width, out) for _ in range(num_blocks))
        self.across = across

    def forward(
        self,
        states: Float[Tensor, "batch block time hidden"],
        mask: Bool[Tensor, "batch time"],
    ) -> Float[Tensor, "batch out"]:
        """The features of each text."""
        pooled = [block(states[:, index], mask) for index, block in enumerate(self.blocks)]
        return self.across(torch.stack(pooled, dim=1))


class BlockPooling(nn.Module):
    """The states of one token in several blocks, pooled by attention over blocks."""

    def __init__(self, width: int, out: int):
        super().__init__()
        self.pooling = AttentionWithGate(width, out)

    def forward(
        self,
        states: Float[Tensor, "batch block 1 hidden"],
        mask: Bool[Tensor, "batch 1"],
    ) -> Float[Tensor, "batch out"]:
        """The features of each text."""
        return self.pooling(states.squeeze(2))


class OnlyState(nn.Module):
    """The one state that there is."""

    def forward(
        self,
        states: Float[Tensor, "batch 1 1 hidden"],
        mask: Bool[Tensor, "batch 1"],
    ) -> Float[Tensor, "batch hidden"]:
        """The state of each text."""
        return states[:, 0, 0]


class Scoring(nn.Module):
    """Pooling, then further layers if there are any (RMS norm, linear, GELU), then a linear score.

    The last layer's weights are drawn from N(0, 1 / √(width + 1)) (Huang et al., 2024,
    https://arxiv.org/abs/2403.17031).
    """

    def __init__(self, pooling: nn.Module, width: int, extra_layers: Sequence[int]):
        super().__init__()
        self.pooling = pooling
        layers: list[nn.Module] = []
        for out in extra_layers:
            linear = nn.Linear(width, out, bias=False)
            layers += [nn.RMSNorm(width, eps=EPS), linear, nn.GELU(approximate="tanh")]
            width = out
        self.layers = nn.Sequential(*layers)
        self.score = nn.Linear(width, 1, bias=False)
        nn.init.normal_(self.score.weight, std=(width + 1) ** -0.5)

    def forward(
        self,
        states: Float[Tensor, "batch block time hidden"],
        mask: Bool[Tensor, "batch time"],
    ) -> Float[Tensor, " batch"]:
        """The score of each text."""
        return self.score(self.layers(self.pooling(states, mask))).squeeze(-1)


class LinearScore(nn.Module):
    """A linear layer on the last token's state."""

    def __init__(self, score: nn.Linear):
        super().__init__()
        self.score = score

    def forward(
        self,
        states: Float[Tensor, "batch 1 1 hidden"],
        mask: Bool[Tensor, "batch 1"],
    ) -> Float[Tensor, " batch"]:
        """The score of each text."""
        return self.score(states[:, 0, 0]).squeeze(-1)

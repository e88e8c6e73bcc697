"""What is learned from scored responses: PPO with a critic, or REINFORCE with other responses.

An update turns the rewards of tokens into advantages once a round, and says of every portion what
its loss is. Rewards hold the penalty for leaving the reference, so both updates know it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from tutelage.config import Config, UserError

if TYPE_CHECKING:
    from torch import Tensor

    from tutelage.tensors import TokenScores

UnitInterval = Annotated[float, Field(ge=0, le=1)]
Clip = Annotated[float, Field(gt=0, lt=1)]


class Told(NamedTuple):
    """What an update says of a round."""

    tensors: Mapping[str, Tensor]
    """Per row, (batch) or (batch, response time): what its losses need."""
    metrics: Mapping[str, float]


class PpoUpdate(Config):
    """Proximal policy optimisation (Schulman et al., 2017, https://arxiv.org/abs/1707.06347)."""

    kind: Literal["ppo"] = "ppo"
    """Clipped policy updates, with advantages from a value head."""
    epochs: PositiveInt = 4
    """Passes over each round's responses, every one in a new order."""
    minibatch_size: PositiveInt | None = None
    """Responses per optimiser step; default: all of the round."""
    gamma: UnitInterval = 1.0
    """Discount of a reward, per token."""
    lam: UnitInterval = 0.95
    """GAE's λ: 1 trusts the rewards, 0 the critic."""
    clip: Clip = 0.2
    """The ratio to the policy that sampled earns nothing beyond 1 ± this."""
    dual_clip: Annotated[float, Field(gt=1)] | None = None
    """Most that a bad token's ratio can cost, as a multiple of its advantage; none: no limit."""
    value_clip: PositiveFloat | None = 0.2
    """Most that a value may move without being penalised for it; none: no limit."""
    value_coef: NonNegativeFloat = 0.1
    """Weight of the value loss."""
    entropy_coef: NonNegativeFloat = 0.0
    """Weight of the bonus for entropy."""
    whiten_advantages: bool = True
    """Give the round's advantages mean 0 and variance 1."""
    loss_per: Literal["token", "sequence"] = "token"
    """What weighs the same in the loss: every token, or every response."""

    group_size: Literal[1] = 1
    """Responses to each prompt."""

    def tell(
        self,
        rewards: Tensor,
        mask: Tensor,
        *,
        values: Tensor | None,
        bootstrap: Tensor,
        total: Callable[[Tensor], Tensor],
    ) -> Told:
        """Advantages and returns by GAE; moments are taken over all processes."""
        from tutelage.objectives.moments import moments, whiten
        from tutelage.objectives.ppo import explained_variance, gae
        from tutelage.objectives.scores import token_weights

        assert values is not None
        advantages, returns = gae(
            rewards, values, mask, gamma=self.gamma, lam=self.lam, bootstrap=bootstrap
        )
        errors = total(moments(returns - values, mask))
        spread = total(moments(returns, mask))
        if self.whiten_advantages:
            overall = total(moments(advantages, mask))
            advantages = whiten(advantages, mask, center=True, total=overall)
        tensors = {
            "advantages": advantages,
            "returns": returns,
            "weights": token_weights(mask, per=self.loss_per),
        }
        return Told(tensors, {"explained_variance": float(explained_variance(errors, spread))})

    def loss(self, now: TokenScores, old: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The summed loss of a portion, and sums to log."""
        from tutelage.objectives.ppo import clipped_surrogate, clipped_value_loss

        weights = old["weights"]
        assert now.entropies is not None
        assert now.values is not None
        surrogate = clipped_surrogate(
            now.logprobs,
            old["logprobs"],
            old["advantages"],
            clip=self.clip,
            dual_clip=self.dual_clip,
        )
        misjudged = clipped_value_loss(
            now.values, old["values"], old["returns"], clip=self.value_clip
        )
        policy_loss = (weights * surrogate).sum()
        value_loss = (weights * misjudged).sum()
        loss = policy_loss + self.value_coef * value_loss
        if self.entropy_coef:
            loss = loss - self.entropy_coef * (weights * now.entropies).sum()
        sums = {"policy_loss": policy_loss, "value_loss": value_loss}
        return loss, sums | movement(now, old, clip=self.clip)


class RlooUpdate(Config):
    """REINFORCE, leave one out (Ahmadian et al., 2024, https://arxiv.org/abs/2402.14740)."""

    kind: Literal["rloo"] = "rloo"
    """Each response against the mean of the others to its prompt; no critic."""
    epochs: PositiveInt = 1
    """Passes over each round's responses, every one in a new order."""
    minibatch_size: PositiveInt | None = None
    """Responses per optimiser step; default: all of the round."""
    group_size: Annotated[int, Field(ge=2)] = 4
    """Responses to each prompt; the batch size is a multiple of it."""
    clip: Clip | None = 0.2
    """The ratio of a whole response to the policy that sampled it earns nothing beyond 1 ± this;
    none: no limit."""
    entropy_coef: NonNegativeFloat = 0.0
    """Weight of the bonus for entropy."""

    def tell(
        self,
        rewards: Tensor,
        mask: Tensor,
        *,
        values: Tensor | None,
        bootstrap: Tensor,
        total: Callable[[Tensor], Tensor],
    ) -> Told:
        """Each response's sum of rewards, less the mean of the others of its group."""
        from tutelage.objectives.rloo import leave_one_out
        from tutelage.objectives.scores import token_weights

        advantages = leave_one_out(rewards.sum(1).view(-1, self.group_size)).flatten()
        return Told({"advantages": advantages, "weights": token_weights(mask, per="sequence")}, {})

    def loss(self, now: TokenScores, old: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The summed loss of a portion, and sums to log."""
        from tutelage.objectives.ppo import clipped_surrogate
        from tutelage.objectives.rloo import reinforce_loss, sequence_logprobs

        mask, weights = old["mask"], old["weights"]
        assert now.entropies is not None
        logprobs = sequence_logprobs(now.logprobs, mask)
        old_logprobs = sequence_logprobs(old["logprobs"], mask)
        if self.clip is None:
            losses = reinforce_loss(logprobs, old["advantages"], old_logprobs=old_logprobs)
        else:
            losses = clipped_surrogate(logprobs, old_logprobs, old["advantages"], clip=self.clip)
        policy_loss = (losses * mask.any(1)).sum()
        loss = policy_loss
        if self.entropy_coef:
            loss = loss - self.entropy_coef * (weights * now.entropies).sum()
        return loss, {"policy_loss": policy_loss} | movement(now, old, clip=self.clip)


AnyUpdate = Annotated[PpoUpdate | RlooUpdate, Field(discriminator="kind")]


def movement(
    now: TokenScores, old: Mapping[str, Tensor], *, clip: float | None
) -> dict[str, Tensor]:
    """Sums that say how far the policy has moved since it sampled."""
    from tutelage.objectives.kl import k3
    from tutelage.objectives.ppo import clamp_fraction, clip_fraction, ratio

    weights, advantages = old["weights"], old["advantages"]
    logprobs, old_logprobs = now.logprobs.detach(), old["logprobs"]
    assert now.entropies is not None
    sums = {
        "entropy": now.entropies.detach(),
        "ratio": ratio(logprobs, old_logprobs),
        "policy_kl": k3(old_logprobs, logprobs),
        "clamp_fraction": clamp_fraction(logprobs, old_logprobs),
    }
    if clip is not None and advantages.dim() == 2:
        sums["clip_fraction"] = clip_fraction(logprobs, old_logprobs, advantages, clip=clip)
    return {name: (weights * values).sum() for name, values in sums.items()}


def refuse_indivisible(batch_size: int, update: AnyUpdate, num_processes: int) -> None:
    """Raise unless groups and processes divide a round evenly, and minibatches fit into it."""
    share = update.group_size * num_processes
    if batch_size % share:
        reasons = [f"groups of {update.group_size}"] if update.group_size > 1 else []
        reasons += [f"{num_processes} processes"] if num_processes > 1 else []
        raise UserError(
            f"--batch-size {batch_size} does not divide among {' and '.join(reasons)}. "
            f"Make it a multiple of {share}."
        )
    if (update.minibatch_size or 0) > batch_size:
        raise UserError(
            f"--update.minibatch-size {update.minibatch_size} is more than --batch-size "
            f"{batch_size}, the responses of a round. Lower it."
        )

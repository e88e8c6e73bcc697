"""How scores become rewards of tokens: ends, truncation, normalisation, and the KL penalty."""

from __future__ import annotations

from typing import Literal

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from tutelage.config import Config, UserError


class Shaping(Config):
    """What happens to scores before anything is learned from them."""

    missing_end_penalty: NonNegativeFloat = 0.0
    """What it costs a response not to end by itself; 0: nothing."""
    missing_end: Literal["subtract", "replace"] = "subtract"
    """Whether the penalty is taken off the score, or the score becomes minus the penalty."""
    truncation: Literal["terminal", "bootstrap", "mask"] = "terminal"
    """What a response is that a limit cut off: ended there; unfinished, its critic's value standing
    for the score to come; or nothing to learn from."""
    normalise: bool = False
    """Give the scores of the run so far mean 0 and variance 1."""

    def check(self, *, has_critic: bool) -> None:
        """Refuse settings that contradict each other, or would do nothing."""
        if self.missing_end == "replace" and not self.missing_end_penalty:
            raise UserError(
                "--shaping.missing-end replace says how a penalty is taken, but there is none. "
                "Give --shaping.missing-end-penalty, too."
            )
        if self.truncation != "terminal" and not has_critic:
            raise UserError(
                f"--shaping.truncation {self.truncation} needs --update.kind ppo: leave-one-out "
                "compares whole responses by their scores. Use terminal."
            )
        if self.truncation != "terminal" and self.missing_end_penalty:
            raise UserError(
                f"--shaping.truncation {self.truncation} leaves out the scores of responses that "
                "did not end, and --shaping.missing-end-penalty with them. Give one of the two."
            )


class Kl(Config):
    """What keeps the student near a reference."""

    reference: str = "start"
    """start: the student as it began. none: no reference. Else the folder or hub name of a model
    with the same tokens."""
    coef: NonNegativeFloat = 0.05
    """Weight of the KL, in units of score per nat; at the beginning, if there is a target."""
    place: Literal["reward", "loss"] = "reward"
    """Whether the KL is taken off each token's reward, or added to the loss."""
    target: PositiveFloat | None = None
    """KL of a whole response, in nats, that the weight is adapted to keep; none: fixed weight."""
    horizon: PositiveInt = 10_000
    """Responses over which an error of the KL acts in full on the weight."""
    limit: PositiveFloat | None = None
    """Most KL per token, in nats, that a step may lie from the policy that sampled; beyond it the
    run stops."""

    def check(self) -> None:
        """Refuse settings that contradict each other, or would do nothing."""
        usual = type(self).model_fields
        if self.reference == "none" and self.coef not in (0, usual["coef"].default):
            raise UserError(
                f"--kl.coef {self.coef:g} is the weight of the KL to a reference, but "
                "--kl.reference is none. Leave out one of the two."
            )
        if self.reference == "none" and self.place != "reward":
            raise UserError(
                f"--kl.place {self.place} is a place for the KL to a reference, but "
                "--kl.reference is none. Leave out one of the two."
            )
        if self.target is None and self.horizon != usual["horizon"].default:
            raise UserError(
                f"--kl.horizon {self.horizon} says how fast the weight of the KL is adapted to a "
                "target, but there is none. Give --kl.target, or leave it out."
            )
        if self.target is not None and (self.reference == "none" or self.coef == 0):
            raise UserError(
                "--kl.target adapts the weight of the KL to a reference, so it needs a reference "
                "and a --kl.coef above 0."
            )

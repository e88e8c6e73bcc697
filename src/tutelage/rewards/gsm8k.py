"""Reward for right answers to GSM8K's problems (Cobbe et al., 2021, https://arxiv.org/abs/2110.14168)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from tutelage.config import Config
from tutelage.data.answers import answer_number, right_number
from tutelage.rewards.protocol import Reward, RewardError, Scores, blame

if TYPE_CHECKING:
    import torch


class Gsm8k(Config):
    """1 for the right number after ####, 0 for a wrong one, −1 for none."""

    kind: Literal["gsm8k"] = "gsm8k"
    """Right answers to problems whose rows have a column answer."""

    def check(self) -> None:
        """Nothing can be missing."""

    def columns(self) -> tuple[str, ...]:
        """The solution, which ends in `#### number`, or the number alone."""
        return ("answer",)

    def build(self, device: torch.device | None = None) -> Reward:
        """The reward."""
        return self.score

    def score(
        self, prompts: Sequence[str], responses: Sequence[str], **columns: Sequence[Any]
    ) -> Scores:
        """1, 0 or −1 for each response."""
        if "answer" not in columns:
            raise RewardError(
                "The reward gsm8k needs the right answers, but the prompts have no column answer. "
                f"They have {', '.join(columns) or 'no further columns'}."
            )
        values: list[float] = []
        for index, (response, answer) in enumerate(zip(responses, columns["answer"], strict=True)):
            right = right_number(answer)
            if right is None:
                what = f"The reward gsm8k finds no number in the answer {str(answer)[-60:]!r}"
                remedy = "An answer must be a number, or end in `#### number`."
                raise blame(what, remedy, index, prompts, responses)
            found = answer_number(response)
            values.append(-1.0 if found is None else float(found == right))
        return Scores.of(self.kind, values)

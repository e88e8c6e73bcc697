"""Reward by a trained reward model: `tutelage reward`'s, or any sequence classifier's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import PositiveInt

from tutelage.config import Config
from tutelage.models.reward_folder import Loaded, load_reward_model, refuse_folder
from tutelage.rewards.protocol import Reward, RewardError, Scores

if TYPE_CHECKING:
    import torch

    from tutelage.data.framing import Framed


class Preference(Config):
    """What a reward model says of prompt and response, read as one text."""

    kind: Literal["preference"] = "preference"
    """A trained reward model."""
    path: str
    """Folder or hub name of the reward model: what `tutelage reward` saved, or a sequence
    classifier with one label."""
    batch_tokens: PositiveInt = 1536
    """Most tokens, padding included, that the reward model reads at once; changes speed and memory,
    not the scores."""

    def check(self) -> None:
        """Refuse a folder that is not that of a reward model."""
        refuse_folder(self.path)

    def columns(self) -> tuple[str, ...]:
        """None."""
        return ()

    def build(self, device: torch.device | None = None) -> Reward:
        """The reward model, in float32 on the device."""
        import torch

        loaded = load_reward_model(self.path)
        loaded.model.to(device or torch.device("cpu"))
        return Scorer(loaded, name="preference", batch_tokens=self.batch_tokens)


class Scorer:
    """A reward model, called with texts.

    Args:
        loaded: The reward model.
        name: What its term is called.
        batch_tokens: Most tokens, padding included, that it reads at once.
    """

    def __init__(self, loaded: Loaded, *, name: str, batch_tokens: int) -> None:
        self.model, self.tokenizer, self.facts = loaded
        self.name = name
        self.batch_tokens = batch_tokens

    def __call__(
        self, prompts: Sequence[str], responses: Sequence[str], **columns: Sequence[Any]
    ) -> Scores:
        """The scores, with a note on each text that was too long."""
        import torch

        from tutelage.rows import portions

        rows = self._rows(prompts, responses)
        scores = torch.zeros(len(rows))  # made outside inference mode, so that others may use it
        with torch.inference_mode():
            lengths = [len(row.token_ids) for row in rows]
            for batch in portions(lengths, range(len(rows)), self.batch_tokens):
                scores[batch] = self._score([rows[index].token_ids for index in batch])
        notes = [
            f"only the last {self.facts.max_tokens} tokens were read" if row.was_cut else ""
            for row in rows
        ]
        return Scores(scores, {self.name: scores}, notes if any(notes) else None)

    def _rows(self, prompts: Sequence[str], responses: Sequence[str]) -> list[Framed]:
        """Tokens of each text, framed as in training; never none."""
        from tutelage.data.framing import frame

        rows = frame(
            self.tokenizer,
            prompts,
            responses,
            max_tokens=self.facts.max_tokens,
            add_eos=self.facts.add_eos,
        )
        if all(row.token_ids for row in rows):
            return rows
        begin: Any = self.tokenizer.bos_token_id
        begin = self.tokenizer.eos_token_id if begin is None else begin
        if begin is None:
            raise RewardError(
                "The reward model can't score an empty text: its tokenizer has neither a token "
                "that begins a text nor one that ends it. Give prompts that are not empty."
            )
        return [row if row.token_ids else row._replace(token_ids=[begin]) for row in rows]

    def _score(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        """Scores of rows."""
        from tutelage.rows import padded

        token_ids, mask = padded(rows, device=next(self.model.parameters()).device)
        return self.model(token_ids, mask).cpu()

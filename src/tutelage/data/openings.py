"""The first tokens of each document of a packed corpus, as prompts (TND-2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from tutelage.config import UserError
from tutelage.data.prompts import Prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from tutelage.data.packing import TokenStream


class Openings(Sequence[Prompt]):
    """A prompt for every document that goes on after so many tokens.

    Args:
        stream: The corpus.
        tokenizer: Its tokenizer.
        num_tokens: Tokens of a prompt.
    """

    def __init__(
        self, stream: TokenStream, tokenizer: PreTrainedTokenizerBase, num_tokens: int
    ) -> None:
        starts = stream.document_starts(0, stream.num_tokens)
        # A document's last token ends it, so there are more than that behind the prompt.
        lengths = np.diff(starts, append=stream.num_tokens)
        self.starts = starts[lengths > num_tokens + 1]
        if not len(self.starts):
            raise UserError(
                f"No document of the corpus has more than {num_tokens} tokens, so none can give a "
                "prompt. Lower --interaction.prompt-tokens, or give longer documents."
            )
        self.stream = stream
        self.tokenizer = tokenizer
        self.num_tokens = num_tokens

    def __len__(self) -> int:
        """Documents that are long enough."""
        return len(self.starts)

    @overload
    def __getitem__(self, index: int) -> Prompt: ...
    @overload
    def __getitem__(self, index: slice) -> list[Prompt]: ...
    def __getitem__(self, index: int | slice) -> Any:
        """The prompt that the document with this number opens with."""
        if isinstance(index, slice):
            return [self[number] for number in range(len(self))[index]]
        start = int(self.starts[index])
        token_ids = self.stream.tokens(start, start + self.num_tokens).tolist()
        return Prompt(str(self.tokenizer.decode(token_ids)), token_ids, {})

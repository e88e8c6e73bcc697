"""Scores: how likely a student finds given tokens after given tokens (EV-2, EV-3)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tutelage.config import UserError
from tutelage.evals.batches import Reader

if TYPE_CHECKING:
    import torch
    from torch import Tensor

BATCH_TOKENS = {"cpu": 2_048}
DEVICE_BATCH_TOKENS = 16_384


class Row(NamedTuple):
    """Tokens, of which those from `start` on are scored, each given all before it."""

    token_ids: list[int]
    start: int
    """At least 1: nothing says how likely a first token is."""


class Text(NamedTuple):
    """A text, scored from a character on."""

    text: str
    start: int = 0
    place: str = ""
    """Where it is from, for messages: a file and line."""


class Scorer:
    """Log-probabilities under a student, computed in fp32 with dropout off.

    A number depends on its own row alone: not on the batch size, padding or other rows.
    """

    def __init__(
        self,
        student: torch.nn.Module,
        tokenizer: Any,
        *,
        device: torch.device,
        batch_tokens: int | None = None,
    ) -> None:
        """Read with a student on `device`.

        Args:
            student: Any module that is called as a `Student` is.
            tokenizer: The student's.
            device: Where the student is.
            batch_tokens: Most tokens of a batch, padding included, but for one long text; by
                default about what keeps the device busy.
        """
        from tokenizers import Tokenizer

        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise UserError(
                f"The tokenizer {tokenizer.name_or_path or type(tokenizer).__name__} has no fast "
                "version (tokenizer.json), which tells the characters of each token. "
                "Convert it with transformers and save it again."
            )
        self.student = student
        self.tokenizer = tokenizer
        self.device = device
        usual = BATCH_TOKENS.get(device.type, DEVICE_BATCH_TOKENS)
        self.batch_tokens = usual if batch_tokens is None else batch_tokens
        self.begin = _begin(tokenizer)
        self.begin_token: str = tokenizer.convert_ids_to_tokens(self.begin)
        # A copy without switches that would change the caller's tokenizer.
        self._tokenizer = Tokenizer.from_str(backend.to_str())
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    @property
    def context(self) -> int:
        """Most tokens that the student was made to read at once."""
        return getattr(self.student, "context", sys.maxsize)

    @property
    def has_rotary_positions(self) -> bool:
        """Whether longer texts can be read too, if badly: no table of positions ends."""
        base = getattr(self.student, "base", None)
        config = base.config.get_text_config() if base is not None else None
        return getattr(config, "rope_parameters", None) is not None

    def own_tokens(self) -> str:
        """What the tokenizer by itself puts before a text, spelled out; often nothing."""
        encoding = self._tokenizer.encode("a")
        pairs = zip(encoding.special_tokens_mask, encoding.tokens, strict=True)
        tokens = list(pairs)
        return "".join(t for s, t in tokens[: [s for s, _ in tokens].index(0)] if s)

    def encode(self, texts: Sequence[Text], *, own_tokens: bool = False) -> list[Row]:
        """Rows of texts; a token that reaches into the scored part belongs to it.

        Args:
            texts: Texts with the characters from which on they are scored.
            own_tokens: Put before each text what the tokenizer does by itself, even if that is
                nothing and the first token so remains without a score, instead of `begin`; and
                read texts beyond the context where that is possible.
        """
        limit = sys.maxsize if own_tokens and self.has_rotary_positions else self.context
        encodings = self._tokenizer.encode_batch(
            [text.text for text in texts], add_special_tokens=own_tokens
        )
        before = [] if own_tokens else [self.begin]
        rows = []
        for text, encoding in zip(texts, encodings, strict=True):
            token_ids, start = [*before, *encoding.ids], len(before)
            if text.start or own_tokens:
                ends = [end for _, end in encoding.offsets]
                shift = encoding.offsets[0][0] if ends else 0
                scored = [i for i, end in enumerate(ends) if end > text.start + shift]
                start = len(before) + scored[0] if scored else len(token_ids)
                # A token that closes a text has no characters and no part in its score.
                token_ids = token_ids[: len(before) + scored[-1] + 1] if scored else token_ids
            rows.append(Row(token_ids, max(start, 1)))
            refuse(text, rows[-1], limit)
        return rows

    def logprobs(self, rows: Sequence[Row]) -> list[Tensor]:
        """Of each row, the fp32 log-probabilities of its tokens from `start` on, in nats.

        Equal rows get equal numbers, bit for bit.
        """
        keys = [tuple(row.token_ids) for row in rows]
        starts: dict[tuple[int, ...], int] = {}
        for key, row in zip(keys, rows, strict=True):
            starts[key] = min(row.start, starts.get(key, row.start))
        reader = Reader(self.student, self.device, list(starts), list(starts.values()))
        was_training = self.student.training
        self.student.eval()
        try:
            found = dict(zip(starts, reader.logprobs(self.batch_tokens), strict=True))
        finally:
            self.student.train(was_training)
        pairs = zip(keys, rows, strict=True)
        return [found[key][row.start - starts[key] :] for key, row in pairs]


def refuse(text: Text, row: Row, context: int) -> None:
    """Raise if a text can't be scored."""
    place = f"{text.place}: " if text.place else ""
    shown = text.text if len(text.text) <= 60 else f"{text.text[:57]}..."
    if row.start >= len(row.token_ids):
        raise UserError(
            f"{place}the tokenizer makes no token that can be scored out of "
            f"{text.text[text.start :]!r}. Leave this row out."
        )
    if len(row.token_ids) > context:
        raise UserError(
            f"{place}{shown!r} is {len(row.token_ids)} tokens long, but this student reads at "
            f"most {context}. Leave this row out, or take a student with more context."
        )


def _begin(tokenizer: Any) -> int:
    """The id that stands before a text: the beginning-of-text token, or else the end-of-text."""
    for token_id in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token_id is not None:
            return token_id
    raise UserError(
        "The tokenizer has neither a beginning-of-text nor an end-of-text token, so nothing can "
        "stand before a text. Load it, set eos_token, and save it again."
    )

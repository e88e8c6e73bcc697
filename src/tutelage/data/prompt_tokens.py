"""Documents to prompts: tokens, a random cut, a budget, and the file that keeps them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from transformers import PreTrainedTokenizerFast

from tutelage.config import UserError
from tutelage.data.cache import cached, default_cache_dir
from tutelage.data.encoding import Encoder
from tutelage.data.prompt_rows import Row, Texts, refuse_blank, refuse_reserved
from tutelage.data.prompts import Prompts

FORMAT_VERSION = 1
"""Raised when the same rows and settings would give other prompts."""
ROWS_AT_ONCE = 256
BROKEN = "\N{REPLACEMENT CHARACTER}"
SCHEMA = pa.schema(
    [
        ("input_ids", pa.list_(pa.uint32())),
        ("query", pa.string()),
        ("num_tokens", pa.int32()),
        ("num_words", pa.int32()),
        ("columns", pa.string()),
        ("source", pa.int32()),
        ("place", pa.int64()),
    ]
)


class Lengths(NamedTuple):
    """How long prompts are, in tokens: documents are cut at random, whole prompts are chosen."""

    shortest: int
    longest: int | None
    is_cut: bool
    seed: int


class Limit(NamedTuple):
    """Most tokens and words of all prompts together; None: no limit."""

    tokens: int | None
    words: int | None

    def after(self, prompts: Prompts) -> Limit:
        """What these prompts leave."""
        return Limit(
            None if self.tokens is None else self.tokens - prompts.num_tokens,
            None if self.words is None else self.words - prompts.num_words,
        )

    def holds(self, num_tokens: int, num_words: int) -> bool:
        """Whether so much is not too much."""
        used = zip((num_tokens, num_words), self, strict=True)
        return all(most is None or number <= most for number, most in used)

    def within(self, other: Limit) -> Limit:
        """The smaller of both, for each unit."""
        pairs = zip(self, other, strict=True)
        return Limit(*(min((n for n in pair if n is not None), default=None) for pair in pairs))


class PromptEncoder:
    """Token ids of prompts: begun as the tokenizer begins a text, never ended.

    Nothing that a prompt says becomes a special token.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = tokenizer
        self._encoder = Encoder(tokenizer)
        self.start = _start(tokenizer)
        """Tokens that the tokenizer puts before any text: none for GPT-2, one for Llama."""

    def fingerprint(self) -> str:
        """Hash of everything that decides the token ids."""
        return hashlib.sha256(
            json.dumps([self._encoder.fingerprint(), self.start]).encode()
        ).hexdigest()

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        """Each text's tokens."""
        flat, lengths = self._encoder(texts)
        ends = np.cumsum(lengths)
        rows = zip((ends - lengths).tolist(), (ends - 1).tolist(), strict=True)
        return [self.start + flat[a:b].tolist() for a, b in rows]

    def empty(self) -> list[int]:
        """The tokens of a prompt without text: the one token that begins a text."""
        token = self._tokenizer.bos_token_id
        token = self._encoder.eos_id if token is None else token
        return self.start or [int(token)]  # pyright: ignore[reportArgumentType]

    def decode(self, token_ids: list[int]) -> str:
        """The text of these tokens, without special ones."""
        return str(
            self._tokenizer.decode(
                token_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        )


def make_prompts(
    texts: Texts,
    tokenizer: PreTrainedTokenizerFast,
    lengths: Lengths,
    own: Limit,
    outer: Limit | None,
    cache_dir: Path | None,
) -> Prompts:
    """The prompts of one source up to the first that its limits do not hold, made only once.

    Args:
        texts: Documents to cut, or prompts.
        tokenizer: The student's.
        lengths: How documents are cut, or which prompts are used.
        own: The source's limit.
        outer: What other sources left of a common limit; with one there may be no prompt.
        cache_dir: Where prompts are kept.
    """
    limit = own if outer is None else own.within(outer)
    encoder = PromptEncoder(tokenizer)
    content = texts.fingerprint()
    parts = [FORMAT_VERSION, content, encoder.fingerprint(), lengths, limit]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def write(file: Path) -> None:
        with file.open("wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
            for batch in batches(texts, encoder, lengths, limit):
                writer.write_batch(batch)
        if texts.fingerprint() != content:
            raise UserError("The prompts changed while they were read. Start again.")

    file = cached((cache_dir or default_cache_dir()) / "prompts" / f"{key}.arrow", write)
    table = pa.ipc.open_file(pa.memory_map(str(file))).read_all()
    prompts = Prompts(table, texts.sources())
    if outer is None:
        refuse_none_within(prompts)
    return prompts


def refuse_none_within(prompts: Prompts) -> None:
    """Raise if the limit is so small that it holds no prompt."""
    if not len(prompts):
        raise UserError(
            "Not even the first prompt fits into max_tokens or max_words. Raise the limit, or "
            "lower query_max_length."
        )


def batches(
    texts: Texts, encoder: PromptEncoder, lengths: Lengths, limit: Limit
) -> Iterator[pa.RecordBatch]:
    """Prompts of the right length, in order, up to the first that the limit does not hold."""
    rows, sources = texts.rows(), texts.sources()
    num_read = num_kept = longest = num_tokens = num_words = 0
    while chunk := list(islice(rows, ROWS_AT_ONCE)):
        samples: list[dict[str, Any]] = []
        for row, token_ids in zip(chunk, encoder([row.text for row in chunk]), strict=True):
            longest = max(longest, len(token_ids))
            sample = _sample(row, token_ids, num_read, sources, encoder, lengths)
            num_read += 1
            if sample is None:
                continue
            num_kept += 1
            num_tokens += sample["num_tokens"]
            num_words += sample["num_words"]
            if not limit.holds(num_tokens, num_words):
                yield pa.RecordBatch.from_pylist(samples, schema=SCHEMA)
                return
            samples.append(sample)
        yield pa.RecordBatch.from_pylist(samples, schema=SCHEMA)
    if not num_kept:
        raise _none_fits(sources, num_read, longest, lengths)


def fixed_prompt(
    text: str, count: int, tokenizer: PreTrainedTokenizerFast, own: Limit, outer: Limit | None
) -> Prompts:
    """One prompt, repeated; an empty one is the token that begins a text."""
    encoder = PromptEncoder(tokenizer)
    limit = own if outer is None else own.within(outer)
    token_ids = encoder([text])[0] if text else encoder.empty()
    if text and len(token_ids) == len(encoder.start):
        raise _no_token("The fixed prompt", text)
    sample = _row_of_table(Row(text, {}), text, token_ids, "")
    while count and not limit.holds(count * len(token_ids), count * sample["num_words"]):
        count -= 1
    table = pa.Table.from_pylist([sample | {"place": n} for n in range(1, count + 1)], SCHEMA)
    prompts = Prompts(table, ["the fixed prompt, copy"])
    if outer is None:
        refuse_none_within(prompts)
    return prompts


def _start(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """The tokens that the tokenizer puts before a text."""
    backend = tokenizer.backend_tokenizer
    plain = backend.encode("a", add_special_tokens=False).ids
    begun = backend.encode("a").ids
    places = [n for n in range(len(begun)) if begun[n : n + len(plain)] == plain] if plain else []
    return begun[: places[0]] if places else []


def _sample(
    row: Row,
    token_ids: list[int],
    number: int,
    sources: list[str],
    encoder: PromptEncoder,
    lengths: Lengths,
) -> dict[str, Any] | None:
    """The prompt that a row gives, if it gives one of the right length."""
    refuse_reserved(row, sources)
    where = f"{sources[row.source]} {row.place}"
    if lengths.is_cut:
        cut = _cut(token_ids, number, encoder, lengths)
        return cut and _row_of_table(row, *cut, where)
    refuse_blank(row, sources)
    if len(token_ids) == len(encoder.start):
        raise _no_token(f"{where}: the prompt", row.text)
    if not lengths.shortest <= len(token_ids) <= (lengths.longest or len(token_ids)):
        return None
    return _row_of_table(row, row.text, token_ids, where)


def _cut(
    token_ids: list[int], number: int, encoder: PromptEncoder, lengths: Lengths
) -> tuple[str, list[int]] | None:
    """A document's beginning, of a random length that does not end inside a character."""
    low = max(lengths.shortest, len(encoder.start) + 1)
    high = min(lengths.longest or len(token_ids), len(token_ids))
    if high < low:
        return None
    digest = hashlib.sha256(f"{lengths.seed} {number}".encode()).digest()
    drawn = low + int.from_bytes(digest[:8]) % (high - low + 1)
    for length in (*range(drawn, low - 1, -1), *range(drawn + 1, high + 1)):
        text = encoder.decode(token_ids[:length])
        if not text.endswith(BROKEN):
            return text, token_ids[:length]
    return None


def _row_of_table(row: Row, text: str, token_ids: list[int], where: str) -> dict[str, Any]:
    try:
        columns = json.dumps(row.columns, ensure_ascii=False)
    except TypeError as error:
        raise UserError(
            f"{where}: a further column cannot be kept ({error}). Leave only columns of text, "
            "numbers, lists and objects."
        ) from None
    return {
        "input_ids": token_ids,
        "query": text,
        "num_tokens": len(token_ids),
        "num_words": len(text.split()),
        "columns": columns,
        "source": row.source,
        "place": row.place,
    }


def _no_token(what: str, text: str) -> UserError:
    return UserError(
        f"{what} {text[:40]!r} has no token under this student's tokenizer. Take it out, or give "
        "another."
    )


def _none_fits(sources: list[str], num_read: int, longest: int, lengths: Lengths) -> UserError:
    name = sources[0].rpartition(",")[0] or sources[0]
    if not num_read:
        return UserError(f"{name} holds no prompt. Give a file with at least one.")
    allowed = (
        f"{lengths.shortest} or more"
        if lengths.longest is None
        else (f"{lengths.shortest} to {lengths.longest}")
    )
    return UserError(
        f"{name}: none of its {num_read} texts can be a prompt of {allowed} tokens; the longest "
        f"has {longest}. Change query_min_length and query_max_length."
    )

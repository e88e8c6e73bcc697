"""How often tokens are read and written: tables beside a run's milestones (TND-6)."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tutelage.run_folder import RunFolder, write_text

if TYPE_CHECKING:
    from torch import Tensor

    from tutelage.data.packing import TokenStream
    from tutelage.lessons.exchange import Exchange
    from tutelage.recipes.text import Text

CHUNK_TOKENS = 1 << 22


def corpus_counts(stream: TokenStream, vocab_size: int) -> list[int]:
    """How often each token is in a packed corpus."""
    import numpy as np

    counts = np.zeros(vocab_size, dtype=np.int64)
    for start in range(0, stream.num_tokens, CHUNK_TOKENS):
        tokens = stream.tokens(start, min(start + CHUNK_TOKENS, stream.num_tokens))
        counts += np.bincount(tokens, minlength=vocab_size)
    return counts.tolist()


def frequency_table(tokenizer: Any, stream: TokenStream, written: Mapping[str, Tensor]) -> str:
    """A CSV table with a row for each token that occurs: corpus, trials, demonstrations."""
    names = ["corpus", *written]
    columns = [corpus_counts(stream, len(tokenizer)), *(c.tolist() for c in written.values())]
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["token", *names])
    for token, counts in enumerate(zip(*columns, strict=True)):
        if any(counts):
            rows.writerow([tokenizer.decode([token]), *counts])
    return table.getvalue()


def write_frequencies(
    folder: RunFolder, milestone: str, text: Text, exchange: Exchange | None
) -> None:
    """Store how often each token is in the corpus, and was in trials and demonstrations so far."""
    if exchange is None:
        return
    path = folder.path / "frequencies" / f"{milestone}.csv"
    path.parent.mkdir(exist_ok=True)
    write_text(path, frequency_table(text.tokenizer, text.blocks.stream, exchange.counts))

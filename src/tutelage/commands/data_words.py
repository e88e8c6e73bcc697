"""`tutelage data words`: a word set from a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, PositiveInt

from tutelage.config import Config, UserError
from tutelage.data import AnyCorpus

if TYPE_CHECKING:
    from tutelage.data.words import Search


SHOWN = 100
"""Words that were asked for and are too rare, of which the number of contexts is shown."""


class DataWords(Config):
    """Find words in a corpus, each with texts that lead up to it: a set for --suite surprisal."""

    data: AnyCorpus
    """Corpus to search, all of it."""
    out: Path
    """File to write, which must not exist yet; it ends in .jsonl."""
    words: Path | None = None
    """Words to find: plain text (one a line), a table with a column word or definition (.csv,
    .tsv), or a word set such as cdi_childes.json; all words of the corpus if not given."""
    min_contexts: PositiveInt = 100
    """Words with fewer different contexts are left out."""
    max_contexts: PositiveInt = 512
    """Most contexts of a word that are kept, drawn by the seed."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of the draw."""

    def run(self) -> None:
        """Search, write the set, and say which words were left out."""
        from rich.console import Console
        from rich.progress import track

        from tutelage.data.word_lists import load_list
        from tutelage.data.words import find_words, save_words

        if self.out.suffix != ".jsonl":
            raise UserError(f"--out is {self.out}, but its name must end in .jsonl.")
        if self.out.exists():
            raise UserError(f"--out {self.out} exists. Name another file, or delete it.")
        words = None if self.words is None else load_list(self.words)
        self.data.check()
        self.out.parent.mkdir(parents=True, exist_ok=True)
        console = Console(highlight=False, soft_wrap=True)
        texts = track(
            self.data.documents(),
            "Searching",
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        found = find_words(
            texts,
            words,
            min_contexts=self.min_contexts,
            max_contexts=self.max_contexts,
            seed=self.seed,
        )
        summary = self.summary(found)
        save_words(found.words, self.out)
        console.print(summary, markup=False)

    def summary(self, found: Search) -> str:
        """How many words were found; of those that were asked for, which were not, and why."""
        words, too_few = found.words.words, found.too_few
        if not words:
            raise UserError(
                f"No word has {self.min_contexts} different contexts in this corpus: the most is "
                f"{max(too_few.values(), default=0)}. Lower --min-contexts, or search more text."
            )
        contexts = sum(len(word.contexts) for word in words)
        told = f"{self.out}: {len(words):,} words with {contexts:,} contexts."
        if not too_few:
            return told
        told += f"\n{len(too_few):,} words have fewer than {self.min_contexts} contexts"
        if self.words is None:
            return f"{told}."
        rarer = sorted(too_few.items(), key=lambda item: -item[1])
        shown = ", ".join(f"{word} {count}" for word, count in rarer[:SHOWN])
        rest = rarer[SHOWN:]
        more = f", and {len(rest):,} more with at most {rest[0][1]}" if rest else ""
        return f"{told}: {shown}{more}."

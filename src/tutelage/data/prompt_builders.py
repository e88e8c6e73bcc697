"""Where prompts come from: corpora cut to their beginnings, ready prompts, or one fixed prompt.

A source checks itself cheaply and gives its prompts in the order of its file, up to the first
that would exceed its limit of tokens or words; `combine` fills one limit from several sources.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, cast

from pydantic import BeforeValidator, Field, PositiveInt, ValidationError, model_validator

from tutelage.config import Config, UserError, explain
from tutelage.data.grammar import NurseryCorpus
from tutelage.data.prompt_rows import Conversations, PromptFiles, StoryIdeas
from tutelage.parts import PART, typed

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from tutelage.data.prompt_tokens import Lengths, Limit
    from tutelage.data.prompts import Prompts

Seed = Annotated[int, Field(ge=0, lt=2**63)]


class Limited(Config):
    """How much of a source is used."""

    max_tokens: PositiveInt | None = None
    """Most tokens of all prompts together: they are taken in order, up to the first that does not
    fit."""

    max_words: PositiveInt | None = None
    """Most words of all prompts together, split at white space."""


class Beginnings(Limited):
    """Prompts that are the beginnings of documents."""

    query_min_length: PositiveInt = 32
    """Fewest tokens of a prompt; shorter documents are left out."""

    query_max_length: PositiveInt = 128
    """Most tokens of a prompt. Each document is cut at a random length between the two (at most
    its own), the same whenever it is read."""

    seed: Seed = 0
    """Seed of the random lengths."""

    @model_validator(mode="after")
    def _refuse_crossed(self) -> Self:
        refuse_crossed(self.query_min_length, self.query_max_length)
        return self


class Whole(Limited):
    """Prompts that are used as they are."""

    query_min_length: PositiveInt = 1
    """Fewest tokens of a prompt; shorter ones are left out."""

    query_max_length: PositiveInt | None = None
    """Most tokens of a prompt; longer ones are left out, never cut."""

    @model_validator(mode="after")
    def _refuse_crossed(self) -> Self:
        refuse_crossed(self.query_min_length, self.query_max_length)
        return self


class NurseryPrompts(Beginnings):
    """Beginnings of the built-in nursery's conversations; needs no files."""

    kind: Literal["nursery"] = "nursery"
    """Beginnings of conversations that the built-in grammar makes."""

    query_min_length: PositiveInt = 4
    """Fewest tokens of a prompt."""

    query_max_length: PositiveInt = 16
    """Most tokens of a prompt. Each conversation is cut at a random length between the two."""

    num_words: PositiveInt = 100_000
    """Words of conversation to make."""

    def check(self) -> None:
        """Nothing can be missing: the grammar is part of the package."""

    def rows(
        self,
        tokenizer: PreTrainedTokenizerFast,
        *,
        limit: Limit | None = None,
        cache_dir: Path | None = None,
    ) -> Prompts:
        """The prompts, in order, made once; with an outer limit there may be none."""
        from tutelage.data.prompt_tokens import make_prompts

        texts = Conversations(NurseryCorpus(num_words=self.num_words, seed=self.seed))
        return make_prompts(texts, tokenizer, _cut(self), _limit(self), limit, cache_dir)


class TinyStoriesPrompts(Beginnings):
    """Beginnings of stories (Eldan and Li, 2023, https://arxiv.org/abs/2305.07759)."""

    kind: Literal["tinystories"] = "tinystories"
    """Beginnings of TinyStories."""

    path: Path | None = None
    """File or folder with the stories; without it, they are fetched from the hub."""

    hub: str = "roneneldan/TinyStories"
    """Name on the hub, owner/name or owner/name@revision, when no path is given."""

    split: Literal["train", "validation"] = "train"
    """Split on the hub, when no path is given."""

    column: str = "text"
    """Column with the story."""

    def check(self) -> None:
        """Refuse a missing, empty or unreadable file, or a wrong column, from the first rows."""
        if self.path is not None:
            self._texts().check(is_whole=False)

    def rows(
        self,
        tokenizer: PreTrainedTokenizerFast,
        *,
        limit: Limit | None = None,
        cache_dir: Path | None = None,
    ) -> Prompts:
        """The prompts, in order, made once; with an outer limit there may be none."""
        from tutelage.data.prompt_tokens import make_prompts

        return make_prompts(self._texts(), tokenizer, _cut(self), _limit(self), limit, cache_dir)

    def _texts(self) -> PromptFiles:
        return PromptFiles.find(self.path, self.hub, self.split, self.column, "story")


class ImdbPrompts(Beginnings):
    """Beginnings of film reviews (Maas et al., 2011, https://aclanthology.org/P11-1015)."""

    kind: Literal["imdb"] = "imdb"
    """Beginnings of IMDB's film reviews."""

    path: Path | None = None
    """File or folder with the reviews; without it, they are fetched from the hub."""

    hub: str = "stanfordnlp/imdb"
    """Name on the hub, owner/name or owner/name@revision, when no path is given."""

    split: Literal["train", "test", "unsupervised"] = "train"
    """Split on the hub, when no path is given."""

    column: str = "text"
    """Column with the review; the others, such as the label, go to rewards."""

    def check(self) -> None:
        """Refuse a missing, empty or unreadable file, or a wrong column, from the first rows."""
        if self.path is not None:
            self._texts().check(is_whole=False)

    def rows(
        self,
        tokenizer: PreTrainedTokenizerFast,
        *,
        limit: Limit | None = None,
        cache_dir: Path | None = None,
    ) -> Prompts:
        """The prompts, in order, made once; with an outer limit there may be none."""
        from tutelage.data.prompt_tokens import make_prompts

        return make_prompts(self._texts(), tokenizer, _cut(self), _limit(self), limit, cache_dir)

    def _texts(self) -> PromptFiles:
        return PromptFiles.find(self.path, self.hub, self.split, self.column, "line")


class WritingPrompts(Whole):
    """Ideas for stories (Fan et al., 2018, https://arxiv.org/abs/1805.04833), used whole.

    A leading tag such as `[WP]` becomes `Story idea:`, and `Story:` is put at the end.
    """

    kind: Literal["writingprompts"] = "writingprompts"
    """WritingPrompts: `Story idea: … Story:`."""

    path: Path | None = None
    """File or folder with the ideas; without it, they are fetched from the hub."""

    hub: str = "euclaise/writingprompts"
    """Name on the hub, owner/name or owner/name@revision, when no path is given."""

    split: Literal["train", "validation", "test"] = "train"
    """Split on the hub, when no path is given."""

    column: str = "prompt"
    """Column with the idea; the others, such as the story that somebody wrote, go to rewards."""

    def check(self) -> None:
        """Refuse a missing, empty or unreadable file, or a wrong column, from the first rows."""
        if self.path is not None:
            self._texts().check(is_whole=True)

    def rows(
        self,
        tokenizer: PreTrainedTokenizerFast,
        *,
        limit: Limit | None = None,
        cache_dir: Path | None = None,
    ) -> Prompts:
        """The prompts, in order, made once; with an outer limit there may be none."""
        from tutelage.data.prompt_tokens import make_prompts

        texts = StoryIdeas(self._texts())
        return make_prompts(texts, tokenizer, _whole(self), _limit(self), limit, cache_dir)

    def _texts(self) -> PromptFiles:
        return PromptFiles.find(self.path, self.hub, self.split, self.column, "line")


class FixedPrompt(Limited):
    """One prompt of your own."""

    kind: Literal["fixed"] = "fixed"
    """One prompt, the same for every response."""

    prompt: str = "Once upon a time"
    """The prompt; an empty one lets the student begin a text."""

    num: PositiveInt = 1
    """How often it comes, which matters in combination with other prompts."""

    def check(self) -> None:
        """Refuse a prompt of blanks, which is neither a prompt nor the start of a text."""
        if self.prompt and self.prompt.isspace():
            raise UserError(
                f"The fixed prompt is blank ({self.prompt!r}). Give it words, or nothing at all "
                "to let the student begin a text."
            )

    def rows(
        self,
        tokenizer: PreTrainedTokenizerFast,
        *,
        limit: Limit | None = None,
        cache_dir: Path | None = None,
    ) -> Prompts:
        """The prompt `num` times, or as often as the limits hold."""
        from tutelage.data.prompt_tokens import fixed_prompt

        return fixed_prompt(self.prompt, self.num, tokenizer, _limit(self), limit)


class TextPrompts(Whole):
    """Prompts of your own: JSON lines, plain text, Parquet or Arrow; a file or a folder."""

    kind: Literal["text"] = "text"
    """Prompts of your own, in files."""

    path: Path
    """File (.jsonl, .json, .txt, .parquet, .arrow; .gz of JSON and text), a folder of them, read
    in the order of their names, or a folder that Datasets saved."""

    column: str = "prompt"
    """Column with the prompt; the others, such as an answer, go to rewards under their names."""

    document: Literal["line", "paragraph", "file"] = "line"
    """What one prompt is in plain text: a line, the lines up to a blank one, or a whole file."""

    cut: bool = False
    """Take each text's beginning only, of a random length from query_min_length to
    query_max_length tokens."""

    seed: Seed = 0
    """Seed of the random lengths, with cut."""

    @model_validator(mode="after")
    def _refuse_cut_without_length(self) -> Self:
        if self.cut and self.query_max_length is None:
            raise ValueError("cut needs query_max_length, the most tokens of a prompt")
        return self

    def check(self) -> None:
        """Refuse a missing, empty or unreadable file, or a wrong column, from the first rows."""
        self._texts().check(is_whole=not self.cut)

    def rows(
        self,
        tokenizer: PreTrainedTokenizerFast,
        *,
        limit: Limit | None = None,
        cache_dir: Path | None = None,
    ) -> Prompts:
        """The prompts, in order, made once; with an outer limit there may be none."""
        from tutelage.data.prompt_tokens import make_prompts

        lengths = _cut(self) if self.cut else _whole(self)
        return make_prompts(self._texts(), tokenizer, lengths, _limit(self), limit, cache_dir)

    def _texts(self) -> PromptFiles:
        return PromptFiles.find(self.path, "", "", self.column, self.document)


OneSource = Annotated[
    NurseryPrompts | TinyStoriesPrompts | ImdbPrompts | WritingPrompts | FixedPrompt | TextPrompts,
    Field(discriminator="kind"),
]


class Part(Config):
    """One of several sources."""

    source: OneSource
    """The source."""


def as_source(value: Any) -> OneSource:
    """A source from the words typed, or from the mapping in a file."""
    if isinstance(value, Limited):
        return cast("OneSource", value)
    fields = typed(value) if isinstance(value, str) else value
    try:
        return Part.model_validate({"source": fields}).source
    except ValidationError as error:
        said = explain(error, Part, spell=lambda names: names[-1])
        raise UserError(f"In the part {value!r}: {said}") from None


class CombinedPrompts(Limited):
    """Prompts of several sources, one source after another, under one limit."""

    kind: Literal["combine"] = "combine"
    """Several sources, in the order given: each takes what its own limit and the rest of the
    common one hold."""

    parts: Annotated[
        tuple[Annotated[OneSource, BeforeValidator(as_source), PART], ...], Field(min_length=1)
    ]
    """The sources, each in quotes: its kind and its options, such as
    "writingprompts path=ideas.jsonl max_tokens=1000" "fixed prompt=Hello num=9"."""

    def check(self) -> None:
        """Refuse what any of the sources refuses."""
        for source in self.parts:
            source.check()

    def rows(self, tokenizer: PreTrainedTokenizerFast, *, cache_dir: Path | None = None) -> Prompts:
        """The sources' prompts, in order; each source takes what the ones before it left."""
        from tutelage.data.prompt_tokens import refuse_none_within
        from tutelage.data.prompts import joined

        left = _limit(self)
        parts: list[Prompts] = []
        for source in self.parts:
            parts.append(source.rows(tokenizer, limit=left, cache_dir=cache_dir))
            left = left.after(parts[-1])
        prompts = joined(parts)
        refuse_none_within(prompts)
        return prompts


def refuse_crossed(shortest: int, longest: int | None) -> None:
    """Raise if the least length is more than the most."""
    if longest is not None and shortest > longest:
        raise ValueError(
            f"query_min_length is {shortest}, but query_max_length is only {longest}. "
            "Lower the first or raise the second."
        )


def _limit(source: Limited) -> Limit:
    from tutelage.data.prompt_tokens import Limit

    return Limit(source.max_tokens, source.max_words)


def _cut(source: Beginnings | TextPrompts) -> Lengths:
    from tutelage.data.prompt_tokens import Lengths

    return Lengths(source.query_min_length, source.query_max_length, True, source.seed)


def _whole(source: Whole) -> Lengths:
    from tutelage.data.prompt_tokens import Lengths

    return Lengths(source.query_min_length, source.query_max_length, False, 0)

"""Prompts with completions as tokens: what is left out, what is cut, and what is held out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from tutelage.config import UserError
from tutelage.data.answers import Answers
from tutelage.data.completion_tokens import completion_tokens, prompt_tokens, refuse_unfit
from tutelage.data.drafts import Draft, refuse_unknown_field, shortened
from tutelage.data.held_out import hold_out, refuse_fractions
from tutelage.data.lengths import Lengths

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

EXAMPLES_AT_ONCE = 500
DROPS = {
    "dropped_empty": "with an empty completion",
    "dropped_long_completion": "with a completion longer than max_completion_tokens",
    "dropped_long_prompt": "with a prompt longer than max_prompt_tokens",
    "dropped_long": "longer than max_tokens",
    "dropped_in_validation": "with a prompt of the validation set",
}
"""Why examples are left out, in the order in which they are looked at."""
CUTS = {"cut_prompts": "with a prompt cut", "cut_completions": "with a completion cut"}
"""What happened to examples that are used."""


class Example(NamedTuple):
    """A prompt and what should follow it."""

    prompt: str
    """As the student reads it: shortened, where it was cut."""
    completion: str
    """All of it, even where only its beginning is learned."""
    answer: str | None
    """What tells whether a response is right, if anything does."""
    where: str
    """Where the row stands: `questions.jsonl, line 3`."""


class EncodedExample(NamedTuple):
    """An example, and what a student reads of it."""

    example: Example
    prompt_ids: list[int]
    """At least one token: the one that begins a text, if there is no prompt."""
    completion_ids: list[int]
    """The end token is the last one, unless the completion was cut."""
    is_cut: bool
    """Whether the completion's end is missing."""


class ExampleData(NamedTuple):
    """Examples in two parts; no prompt is in both."""

    train: list[EncodedExample]
    validation: list[EncodedExample]
    counts: dict[str, int]
    """`read`, every reason of `DROPS`, every one of `CUTS`, and the size of each part."""
    answers: Answers = "none"
    """How responses can be checked."""
    firsts: Mapping[str, str] = {}
    """Where the first example of each reason stands."""


def read_examples(
    name: str,
    train: Iterable[Draft],
    validation: Iterable[Draft] | None,
    tokenizer: PreTrainedTokenizerBase,
    *,
    lengths: Lengths,
    val_fraction: float,
    seed: int,
) -> ExampleData:
    """Encoded examples in their parts.

    Args:
        name: How the data are called in messages.
        train: Examples to train on.
        validation: Those of a validation set of its own, or None.
        tokenizer: The student's.
        lengths: How long examples may be.
        val_fraction: Part of the examples that is held out, unless there is a validation set.
        seed: Of that choice.
    """
    refuse_unfit(tokenizer)
    refuse_fractions(val_fraction, 0)
    reader, tested = _Reader(tokenizer, lengths), _Reader(tokenizer, lengths)
    held = list(tested.fitting(validation or ()))
    if validation is not None:
        tested.refuse_none(f"the validation set of {name}", held)
    found = list(reader.unseen(train, {each.group for each in held}))
    reader.refuse_none(name, found)
    kept, split_off = _split(found, val_fraction if validation is None else 0, seed)
    held += split_off
    if not kept:
        raise UserError(
            f"{name}: its {len(found):,} examples have so few different prompts that none is left "
            "to train on. Lower val_fraction, or add examples with other prompts."
        )
    dropped = {what: reader.counts[what] + tested.counts[what] for what in ("read", *DROPS)}
    counts = dropped | _sizes(kept, held)
    train_part, validation_part = ([each.encoded for each in part] for part in (kept, held))
    return ExampleData(train_part, validation_part, counts, firsts=tested.firsts | reader.firsts)


def told(data: ExampleData) -> str:
    """How many examples there are, what was cut and what was left out, in a sentence."""
    counts = data.counts
    parts = f"Data: {counts['train']:,} for training, {counts['validation']:,} for validation"
    cut = [f"; {counts[name]:,} {what}" for name, what in CUTS.items() if counts[name]]
    dropped = [f"{counts[drop]:,} {why} (the first: {data.firsts[drop]})"
               for drop, why in DROPS.items() if counts[drop]]  # fmt: skip
    rest = "; left out: " + ", ".join(dropped) if dropped else ""
    return f"{parts}{''.join(cut)}{rest}."


class _Fitted(NamedTuple):
    encoded: EncodedExample
    group: str
    """Examples of a group are in one part."""
    has_cut_prompt: bool


def _split(
    found: Sequence[_Fitted], val_fraction: float, seed: int
) -> tuple[list[_Fitted], list[_Fitted]]:
    """Those to train on, and those held out."""
    groups = [each.group for each in found]
    parts = hold_out(groups, val_fraction=val_fraction, test_fraction=0, seed=seed)
    both = list(zip(found, parts, strict=True))
    return [e for e, part in both if part == "train"], [e for e, part in both if part != "train"]


def _sizes(train: Sequence[_Fitted], validation: Sequence[_Fitted]) -> dict[str, int]:
    both = (*train, *validation)
    return {
        "cut_prompts": sum(each.has_cut_prompt for each in both),
        "cut_completions": sum(each.encoded.is_cut for each in both),
        "train": len(train),
        "validation": len(validation),
    }


class _Reader:
    """Drafts to encoded examples, and the count of what became of them."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, lengths: Lengths) -> None:
        self.tokenizer = tokenizer
        self.lengths = lengths
        self.counts: Counter[str] = Counter()
        self.firsts: dict[str, str] = {}

    def fitting(self, drafts: Iterable[Draft]) -> Iterator[_Fitted]:
        """The examples that can be used; the others are counted."""
        rest = iter(drafts)
        while chunk := list(islice(rest, EXAMPLES_AT_ONCE)):
            full = list(self._not_empty(chunk))
            prompts = prompt_tokens(self.tokenizer, [draft.prompt for draft in full])
            completions = completion_tokens(self.tokenizer, [draft.completion for draft in full])
            for draft, prompt_ids, completion_ids in zip(full, prompts, completions, strict=True):
                fitted = self._fitted(draft, prompt_ids, completion_ids)
                if isinstance(fitted, str):
                    self.drop(fitted, draft.where)
                else:
                    yield fitted

    def unseen(self, drafts: Iterable[Draft], groups: set[str]) -> Iterator[_Fitted]:
        """The examples that can be used and are of none of these groups."""
        for each in self.fitting(drafts):
            if each.group in groups:
                self.drop("dropped_in_validation", each.encoded.example.where)
            else:
                yield each

    def drop(self, reason: str, where: str) -> None:
        """Count an example that is left out."""
        self.counts[reason] += 1
        self.firsts.setdefault(reason, where)

    def refuse_none(self, name: str, found: Sequence[_Fitted]) -> None:
        """Raise, with the reasons, if no example is left."""
        if found:
            return
        reasons = []
        for drop, why in DROPS.items():
            if self.counts[drop]:
                limit = getattr(self.lengths, why.split()[-1], "")
                told = f"{self.counts[drop]:,} {why} {limit}".rstrip()
                reasons.append(f"{told} (the first: {self.firsts[drop]})")
        is_long = any("long" in drop and self.counts[drop] for drop in DROPS)
        advice = "give other rows"
        if is_long:
            advice = "raise that length, or cut what is longer (long_prompts, long_completions)"
        raise UserError(
            f"{name}: none of its {self.counts['read']:,} examples can be used: "
            f"{' and '.join(reasons)}. Look at the data, or {advice}."
        )

    def _not_empty(self, drafts: Iterable[Draft]) -> Iterator[Draft]:
        for draft in drafts:
            self.counts["read"] += 1
            refuse_unknown_field(draft, self.lengths.cut_field)
            if draft.completion.strip():
                yield draft
            else:
                self.drop("dropped_empty", draft.where)

    def _fitted(
        self, draft: Draft, prompt_ids: list[int], completion_ids: list[int]
    ) -> _Fitted | str:
        """The example within its lengths, or the reason why it can't be.

        Where both may be cut, the completion is, only if a shorter prompt is not enough.
        """
        lengths, can_cut = self.lengths, self.lengths.long_completions == "cut"
        most = lengths.max_completion_tokens
        if most is not None and len(completion_ids) > most and not can_cut:
            return "dropped_long_completion"
        kept = completion_ids[:most]
        most_prompt = lengths.max_prompt_tokens or lengths.max_tokens - 1
        prompt = self._within(draft, prompt_ids, min(most_prompt, lengths.max_tokens - len(kept)))
        if prompt is None and can_cut:
            prompt = self._within(draft, prompt_ids, most_prompt)
        if prompt is None:
            is_long = lengths.max_prompt_tokens and len(prompt_ids) > most_prompt
            return "dropped_long_prompt" if is_long else "dropped_long"
        text, ids = prompt
        kept = kept[: lengths.max_tokens - len(ids)]
        example = Example(text, draft.completion, draft.answer, draft.where)
        encoded = EncodedExample(example, ids, kept, len(kept) < len(completion_ids))
        return _Fitted(encoded, draft.group or text or draft.completion, text != draft.prompt)

    def _within(self, draft: Draft, ids: list[int], most: int) -> tuple[str, list[int]] | None:
        """The prompt with at most so many tokens, as text and tokens, if it can be had."""
        if len(ids) <= most:
            return draft.prompt, ids
        if self.lengths.long_prompts == "drop" or most < 1:
            return None
        text = shortened(
            draft,
            self.lengths.cut_field,
            self.lengths.long_prompts,
            tokenizer=self.tokenizer,
            fits=lambda text: len(prompt_tokens(self.tokenizer, [text])[0]) <= most,
        )
        return None if text is None else (text, prompt_tokens(self.tokenizer, [text])[0])

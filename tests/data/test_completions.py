"""Examples become tokens in two parts; what is left out or cut is counted."""

from collections.abc import Iterable

import pytest
from pydantic import ValidationError

from data.tokenizers_of_prompts import END, byte_level
from tutelage.config import UserError
from tutelage.data.completions import CUTS, DROPS, EncodedExample, read_examples, told
from tutelage.data.drafts import Draft, plain
from tutelage.data.lengths import Lengths

TOKENIZER = byte_level()


def draft(prompt: str, completion: str, number: int = 1) -> Draft:
    return plain(prompt, completion, None, f"file, line {number}")


def drafts(number: int, *, prompts: int | None = None) -> list[Draft]:
    return [draft(f"p{n % (prompts or number)}:", f" yes {n}", n + 1) for n in range(number)]


def read(train: Iterable[Draft], validation=None, *, val_fraction=0.0, seed=0, **lengths):
    limits = Lengths(**{"max_tokens": 40} | lengths)
    how = {"lengths": limits, "val_fraction": val_fraction, "seed": seed}
    return read_examples("the file", train, validation, TOKENIZER, **how)


def only(train: Draft, **lengths) -> EncodedExample:
    (found,) = read([train], **lengths).train
    return found


def text(token_ids):
    return TOKENIZER.decode(token_ids)


def test_examples_are_encoded_as_prompt_and_completion_apart():
    """IRL-1: the end token belongs to the completion."""
    data = read(drafts(40), val_fraction=0.1)
    for example, prompt_ids, completion_ids, is_cut in [*data.train, *data.validation]:
        assert text(prompt_ids) == example.prompt
        assert text(completion_ids) == f"{example.completion}{END}"
        assert not is_cut
    assert [len(part) for part in data[:2]] == [36, 4]


def test_every_example_is_counted_once():
    """IRL-1: read = left out by reason + the two parts."""
    long = "x" * 40
    bad = [draft("p", " ", 3), draft("p" * 9, "", 4), draft("p", "c" * 10, 5), draft(long, "c", 6),
           draft("p" * 20, "c" * 9, 7), draft("v", " seen", 8)]  # fmt: skip
    held = [draft("v", " yes"), draft("w", "\n", 2)]
    limits = {"max_prompt_tokens": 25, "max_completion_tokens": 10, "max_tokens": 28}
    data = read([*bad, *drafts(9)], held, **limits)
    assert data.counts == {
        "read": 17,
        "dropped_empty": 3,
        "dropped_long_completion": 1,
        "dropped_long_prompt": 1,
        "dropped_long": 1,
        "dropped_in_validation": 1,
        "cut_prompts": 0,
        "cut_completions": 0,
        "train": 9,
        "validation": 1,
    }
    assert data.firsts == {
        "dropped_empty": "file, line 3",
        "dropped_long_completion": "file, line 5",
        "dropped_long_prompt": "file, line 6",
        "dropped_long": "file, line 7",
        "dropped_in_validation": "file, line 8",
    }
    assert set(data.counts) == {"read", *DROPS, *CUTS, "train", "validation"}
    assert told(data) == (
        "Data: 9 for training, 1 for validation; left out: 3 with an empty completion (the first: "
        "file, line 3), 1 with a completion longer than max_completion_tokens (the first: file, "
        "line 5), 1 with a prompt longer than max_prompt_tokens (the first: file, line 6), 1 longer"
        " than max_tokens (the first: file, line 7), 1 with a prompt of the validation set (the "
        "first: file, line 8)."
    )


@pytest.mark.parametrize(
    ("prompt", "completion", "lengths", "drop"),
    [  # the completion has one token more: its end
        (30, 9, {}, None),
        (30, 10, {}, "dropped_long"),
        (20, 3, {"max_prompt_tokens": 20}, None),
        (21, 3, {"max_prompt_tokens": 20}, "dropped_long_prompt"),
        (3, 19, {"max_completion_tokens": 20}, None),
        (3, 20, {"max_completion_tokens": 20}, "dropped_long_completion"),
        (50, 3, {}, "dropped_long"),
        (3, 50, {}, "dropped_long"),
    ],
)
def test_what_fits_exactly_is_kept(prompt, completion, lengths, drop):
    """IRL-1."""
    data = read([draft("p" * prompt, "c" * completion), *drafts(2)], **lengths)
    assert {name for name in DROPS if data.counts[name]} == ({drop} if drop else set())
    assert len(data.train) == 2 + (drop is None)


@pytest.mark.parametrize(
    ("prompt", "completion", "lengths", "kept", "learned"),
    [
        (30, 20, {}, "p" * 30, "c" * 10),  # to fit max_tokens
        (30, 10, {}, "p" * 30, "c" * 10),  # the end token alone is missing
        (3, 9, {"max_completion_tokens": 5}, "ppp", "c" * 5),
        (30, 9, {}, "p" * 30, "c" * 9 + END),  # nothing is cut
        (39, 9, {}, "p" * 39, "c"),
    ],
)
def test_a_completion_is_cut_at_its_end_and_has_no_end_token(
    prompt, completion, lengths, kept, learned
):
    """IRL-1: a cut completion is no terminal state."""
    given = draft("p" * prompt, "c" * completion)
    found = only(given, long_completions="cut", **lengths)
    assert (text(found.prompt_ids), text(found.completion_ids)) == (kept, learned)
    assert found.is_cut == (not learned.endswith(END))
    assert found.example.completion == given.completion


def test_a_prompt_that_leaves_no_room_for_a_completion_is_not_kept():
    """IRL-1: one token of the completion at least."""
    data = read([draft("p" * 40, "c"), *drafts(2)], long_completions="cut")
    assert data.counts["dropped_long"] == 1


@pytest.mark.parametrize(
    ("prompt", "how", "lengths", "kept"),
    [
        ("a bcd " * 9, "cut_tokens", {}, ("a bcd " * 9)[:36]),
        ("a bcd " * 9, "cut_tokens", {"max_prompt_tokens": 7}, "a bcd a"),
        ("one\ntwo\nthree " * 2 + "four" * 9, "cut_paragraphs", {}, "one\ntwo\nthree one\ntwo"),
        ("one\n \n\ntwo" + "o" * 40, "cut_paragraphs", {}, "one"),
        ("b" * 36, "cut_paragraphs", {}, "b" * 36),
    ],
)
def test_a_prompt_is_cut_at_its_end(prompt, how, lengths, kept):
    """IRL-1: as little as is needed: the completion has 4 of 40 tokens."""
    found = only(draft(prompt, "yes"), long_prompts=how, **lengths)
    assert (found.example.prompt, text(found.prompt_ids)) == (kept, kept)
    assert text(found.completion_ids) == f"yes{END}"
    data = read([draft(prompt, "yes")], long_prompts=how, **lengths)
    assert data.counts["cut_prompts"] == (kept != prompt)


def test_a_prompt_whose_first_line_is_too_long_is_left_out():
    """IRL-1: nothing would be left of it."""
    data = read([draft("b" * 40 + "\nc", "yes"), *drafts(2)], long_prompts="cut_paragraphs")
    assert (data.counts["dropped_long"], len(data.train)) == (1, 2)


def test_of_both_the_prompt_is_cut_first():
    """IRL-1: and the completion only where a shorter prompt is not enough."""
    both = {"long_prompts": "cut_tokens", "long_completions": "cut"}
    found = only(draft("p" * 50, "c" * 29), **both)
    assert (len(found.prompt_ids), text(found.completion_ids)) == (10, "c" * 29 + END)
    found = only(draft("p" * 50, "c" * 60), **both)
    assert (len(found.prompt_ids), len(found.completion_ids), found.is_cut) == (39, 1, True)
    found = only(draft("p" * 50, "c" * 60), max_prompt_tokens=8, **both)
    assert (len(found.prompt_ids), len(found.completion_ids)) == (8, 32)


def test_the_named_field_is_cut_and_the_prompt_written_again():
    """IRL-1: without a name, the longest field."""

    def render(name: str, text: str) -> str:
        fields = {"story": "s" * 30, "question": "q" * 20} | {name: text}
        return f"{fields['story']}|{fields['question']}:"

    fields = {"story": "s" * 30, "question": "q" * 20}
    given = Draft(render("", ""), "yes", None, "file, line 1", fields, render)
    how = {"long_prompts": "cut_tokens"}
    assert only(given, **how).example.prompt == "s" * 14 + "|" + "q" * 20 + ":"
    named = only(given, cut_field="question", **how)
    assert named.example.prompt == "s" * 30 + "|" + "q" * 4 + ":"
    with pytest.raises(
        UserError,
        match=r"file, line 1: cut_field is 'quest', but the texts that "
        r"its prompt holds are 'story', 'question'. Did you mean question\?",
    ):
        only(given, cut_field="quest", **how)  # fmt: skip


def test_no_prompt_is_in_two_parts():
    """IRL-1: whatever the seed; another seed holds out other prompts."""
    found = [read(drafts(60, prompts=12), val_fraction=0.2, seed=seed) for seed in (0, 0, 1)]
    prompts = [[{each.example.prompt for each in part} for part in data[:2]] for data in found]
    for train, validation in prompts:
        assert not train & validation
        assert len(train | validation) == 12
    assert prompts[0] == prompts[1] != prompts[2]


def test_groups_are_kept_together():
    """IRL-1: problems that differ in the order of their terms."""
    given = [plain(f"p{n}", " yes", None, "w", group=str(n % 5)) for n in range(20)]
    data = read(given, val_fraction=0.2)
    held = {int(each.example.prompt[1:]) % 5 for each in data.validation}
    assert (len(data.validation), len(held)) == (4, 1)


def test_texts_without_a_prompt_are_split_by_themselves():
    """IRL-1: they are not one group."""
    bare = [draft("", f"yes {n}") for n in range(20)]
    data = read(bare, val_fraction=0.2)
    assert [len(part) for part in data[:2]] == [16, 4]
    assert {text(each.prompt_ids) for each in data.train} == {END}
    again = read(bare, [draft("", "yes 7")])
    assert again.counts["dropped_in_validation"] == 1


def test_a_validation_set_is_used_as_it_is():
    """IRL-1: val_fraction is left aside, and no prompt of it is trained on."""
    data = read(drafts(40, prompts=20), drafts(4), val_fraction=0.9)
    assert [len(part) for part in data[:2]] == [32, 4]
    assert data.counts["dropped_in_validation"] == 8


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ([draft("p", " ", 7)] * 3, {}, "the file: none of its 3 examples can be used: 3 with an "
         "empty completion (the first: file, line 7). Look at the data, or give other rows."),
        (drafts(9), {"max_tokens": 5}, "none of its 9 examples can be used: 9 longer than "
         "max_tokens 5 (the first: file, line 1). Look at the data, or raise that length, or cut "
         "what is longer (long_prompts, long_completions)."),
        (drafts(9), {"max_completion_tokens": 3}, "9 with a completion longer than "
         "max_completion_tokens 3 (the"),
        (drafts(9), {"validation": [draft("v", "")]}, "the validation set of the file: none of its "
         "1 examples can be used"),
        (drafts(9, prompts=1), {"val_fraction": 0.1}, "its 9 examples have so few different "
         "prompts that none is left to train on. Lower val_fraction"),
    ],
)  # fmt: skip
def test_what_leaves_nothing_is_refused_with_its_reasons(given, options, message):
    """X-1, IRL-1."""
    with pytest.raises(UserError) as error:
        read(given, **options)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cut_field": "story"}, "cut_field goes with long_prompts cut_tokens or cut_paragraphs"),
        ({"max_tokens": 9, "max_prompt_tokens": 9}, "max_prompt_tokens must be less than"),
        ({"max_tokens": 9, "max_completion_tokens": 10}, "max_completion_tokens must be less than"),
        ({"long_prompts": "cut"}, "'drop', 'cut_tokens' or 'cut_paragraphs'"),
    ],
)
def test_lengths_that_contradict_each_other_are_refused(options, message):
    """X-1."""
    with pytest.raises(ValidationError, match=message):
        Lengths(**options)

"""Pairs become tokens in three parts; what is left out is counted."""

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from data.tokenizers_of_prompts import byte_level
from tutelage.config import UserError
from tutelage.data.preferences import DROPS, Pair, Reading, read_pairs, texts_of

TOKENIZER = byte_level()
READING = Reading(
    max_tokens=40, over_long="filter", val_fraction=0.1, test_fraction=0.1, seed=0, add_eos=True
)


def read(pairs, test=None, **changes):
    return read_pairs("the file", pairs, test, TOKENIZER, READING._replace(**changes))


def pairs(number: int, *, prompts: int | None = None) -> list[Pair | None]:
    return [Pair(f"p{n % (prompts or number)}:", f" good {n}", " bad") for n in range(number)]


def text(token_ids):
    return TOKENIZER.decode(token_ids)


def test_pairs_are_encoded_as_prompt_and_response():
    """RM-3."""
    data = read(pairs(40))
    for pair, chosen, rejected in [*data.train, *data.validation, *data.test]:
        assert text(chosen) == f"{pair.prompt}{pair.chosen}<|endoftext|>"
        assert text(rejected) == f"{pair.prompt} bad<|endoftext|>"
    assert [len(part) for part in data[:3]] == [32, 4, 4]


def test_every_pair_is_counted_once():
    """RM-3, R13: read = left out by reason + the three parts."""
    long = "x" * 40
    bad = [None, Pair("p:", " ", "no"), Pair("p:", "yes", "\n"), Pair("p:", " same", "same "),
           Pair("p:", long, "no"), Pair("p:", "yes", long), Pair(long, "yes", "no")]  # fmt: skip
    data = read([*bad, *pairs(40)], [Pair("p3:", "x", "y"), Pair("p:", "", "y")])
    assert data.counts == {
        "read": 49,
        "dropped_no_shared_prompt": 1,
        "dropped_empty": 3,
        "dropped_identical": 1,
        "dropped_long": 3,
        "dropped_in_test": 1,
        "cut": 0,
        "train": 35,
        "validation": 4,
        "test": 1,
    }
    left_out = sum(data.counts[reason] for reason in DROPS)
    assert data.counts["read"] == left_out + sum(len(part) for part in data[:3])


def test_a_pair_that_fits_exactly_is_kept():
    """RM-3: prompt, response and end token are 40 tokens, then 41."""
    fitting = Pair("p" * 30, "r" * 9, "s")
    assert read([fitting, *pairs(3)]).counts["dropped_long"] == 0
    longer = Pair("p" * 30, "r", "s" * 10)
    assert read([longer, *pairs(3)]).counts["dropped_long"] == 1


def test_prompts_are_cut_on_the_left_when_asked():
    """RM-3, R6: a pair whose response leaves no room for its prompt is still left out."""
    cut, too_long = Pair("P" * 60, "r" * 38, "s" * 5), Pair("P" * 60, "r" * 39, "s")
    half = Pair("P" * 30, "r" * 30, "s")
    data = read([cut, half, too_long, *pairs(20)], over_long="truncate_prompt_left")
    assert (data.counts["cut"], data.counts["dropped_long"]) == (2, 1)
    row = next(each for part in data[:3] for each in part if each.pair == cut)
    assert text(row.chosen_ids) == "P" + "r" * 38 + "<|endoftext|>"
    assert text(row.rejected_ids) == "P" * 34 + "s" * 5 + "<|endoftext|>"


def test_responses_that_are_the_same_to_the_tokenizer_are_identical():
    """RM-3: such as newlines to T5."""
    backend = Tokenizer(models.WordLevel({"a": 0, "b": 1, "?": 2}, unk_token="?"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="?")
    given = [Pair("a", " a b", " a\nb"), *(Pair("a" * n, " a", " b") for n in range(9))]
    reading = READING._replace(add_eos=False)
    counts = read_pairs("the file", given, None, tokenizer, reading).counts
    assert (counts["dropped_identical"], counts["read"]) == (1, 10)


def test_no_prompt_is_in_two_parts():
    """RM-3: nor are two continuations of one dialogue."""
    dialogues = [
        Pair(f"\n\nHuman: {n % 12}\n\nAssistant:{' so' * m}", f" yes {n}", " no")
        for n in range(60)
        for m in (0, 1)
    ]
    data = read(dialogues, val_fraction=0.2, test_fraction=0.2)
    openings = [{each.pair.prompt.split("\n")[2] for each in part} for part in data[:3]]
    assert all(openings)
    assert sum(len(each) for each in openings) == len(set().union(*openings)) == 12


def test_pairs_without_a_prompt_are_split_by_their_texts():
    """RM-3: they are not one group."""
    bare = [Pair("", f"yes {n}", "no") for n in range(20)]
    assert read(bare, val_fraction=0.2, test_fraction=0.2).counts["train"] == 12


def test_a_test_set_is_used_as_it_is():
    """RM-3: test_fraction is left aside, and no prompt of the test set is trained on."""
    data = read(pairs(40, prompts=20), pairs(4), test_fraction=0.9)
    assert [len(part) for part in data[:3]] == [30, 2, 4]  # a tenth of 32 is 3, but prompts have 2
    assert data.counts["dropped_in_test"] == 8
    tested = {each.pair.prompt for each in data.test}
    assert not tested & {each.pair.prompt for part in data[:2] for each in part}


@pytest.mark.parametrize(
    ("given", "changes", "message"),
    [
        (pairs(9), {"max_tokens": 5}, "the file: none of its 9 pairs can be used: 9 longer than "
         "max_tokens 5. Look at the data, or raise max_tokens."),
        ([Pair("p", "same", "same")] * 3, {}, "none of its 3 pairs can be used: 3 with identical "
         "responses. Look at the data, or give other pairs."),
        (pairs(9, prompts=1), {}, "its 9 pairs have so few different prompts that none is left"),
        (pairs(9), {"val_fraction": 0.6, "test_fraction": 0.5}, "leave nothing to train on"),
    ],
)  # fmt: skip
def test_what_leaves_nothing_to_train_on_is_refused_with_its_reasons(given, changes, message):
    """RM-3."""
    with pytest.raises(UserError) as error:
        read(given, **changes)
    assert message in str(error.value)


def test_texts_for_a_tokenizer_hold_each_prompt_once():
    """RM-3."""
    assert list(texts_of([None, Pair("p:", " a", " b")])) == ["p: a", " b"]

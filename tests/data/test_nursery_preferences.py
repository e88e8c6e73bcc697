"""Preferences of the nursery."""

from collections import Counter
from statistics import mean

import pytest

from data.tokenizers_of_prompts import byte_level
from tutelage.data.grammar import is_grammatical
from tutelage.data.lexicon import tokens
from tutelage.data.nursery_preferences import nursery_preferences
from tutelage.data.pair_sources import NurseryPairs

PAIRS = nursery_preferences(800, 3)


def test_one_side_is_grammatical_and_the_other_is_not():
    """RM-3: by the nursery's own judge."""
    assert len(PAIRS) == 800
    for pair in PAIRS:
        assert is_grammatical(pair.chosen.strip()), pair
        assert not is_grammatical(pair.rejected.strip()), pair
        assert pair.rejected.strip()[0].isupper(), pair


def test_what_was_changed_is_what_the_subset_says():
    """RM-3: swapped words are the same words, a doubled one is one more."""
    assert Counter(pair.subset for pair in PAIRS) == dict.fromkeys(
        ("swap", "drop", "double", "contrast"), 200
    )
    for subset, difference in (("swap", 0), ("double", 1), ("drop", -1)):
        for pair in PAIRS:
            if pair.subset == subset:
                words = [len(side.replace("'s", " 's").split()) for side in pair[1:3]]
                assert words[1] - words[0] == difference, pair


def test_length_does_not_tell_which_side_is_better():
    """RM-3: on average the sides are equally long, and the longer one wins half the time."""
    differences = [len(pair.chosen.split()) - len(pair.rejected.split()) for pair in PAIRS]
    assert abs(mean(differences)) < 0.05
    wins = mean((d > 0) + (d == 0) / 2 for d in differences)
    assert wins == pytest.approx(0.5, abs=0.04)


def test_prompts_are_conversations_up_to_the_mothers_mark():
    """RM-3."""
    for pair in PAIRS:
        lines = pair.prompt.split("\n")
        assert lines[-1] == "*MOT:"
        assert 2 <= len(lines) <= 5
        assert all(line.startswith(("*MOT: ", "*CHI: ")) for line in lines[:-1])
        assert all(side.startswith(" ") for side in pair[1:3])
    assert len({pair.prompt for pair in PAIRS}) > 700


def test_the_seed_decides_the_pairs():
    """RM-3: and more pairs begin with the same ones, but for minimal pairs."""
    assert nursery_preferences.__wrapped__(40, 3) == nursery_preferences(40, 3)
    assert not {*nursery_preferences(40, 4)} & {*PAIRS}
    prints = [NurseryPairs(num_pairs=n, seed=s).fingerprint() for n in (40, 41) for s in (0, 1)]
    prints.append(NurseryPairs(num_pairs=40, errors=("shuffle",)).fingerprint())
    assert len(set(prints)) == 5


def test_shuffled_sentences_have_the_same_words_in_another_order():
    """RM-3: one sentence of a turn; no other error if none is asked for."""
    pairs = nursery_preferences(200, 3, ("shuffle",))
    assert {pair.subset for pair in pairs} == {"shuffle"}
    moved = []
    for pair in pairs:
        assert is_grammatical(pair.chosen.strip()), pair
        assert not is_grammatical(pair.rejected.strip()), pair
        sides = [tokens(side.strip()) for side in pair[1:3]]
        first, second = ([word.lower() for word in side] for side in sides)
        assert sorted(first) == sorted(second), pair
        moved.append(sum(a != b for a, b in zip(first, second, strict=True)))
        changed = [n for n, (a, b) in enumerate(zip(first, second, strict=True)) if a != b]
        between = first[min(changed) : max(changed)]
        assert not {".", "?", "!"} & {*between}, pair
    assert mean(moved) > 3


def test_kinds_of_error_take_turns_in_the_order_given():
    """RM-3."""
    pairs = nursery_preferences(6, 3, ("double", "shuffle"))
    assert [pair.subset for pair in pairs] == ["double", "shuffle"] * 3


def test_they_are_read_in_three_parts():
    """RM-3."""
    source = NurseryPairs(num_pairs=100)
    data = source.read(
        byte_level(),
        max_tokens=512,
        over_long="filter",
        val_fraction=0.1,
        test_fraction=0.2,
        seed=0,
        add_eos=True,
    )
    assert [len(part) for part in data[:3]] == [70, 10, 20]
    assert len(list(source.texts())) == 200

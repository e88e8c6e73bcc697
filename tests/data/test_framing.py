"""Prompt and response as one row of tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from data.tokenizers_of_prompts import byte_level, llama_like
from tutelage.config import UserError
from tutelage.data.framing import Framed, frame, num_begin_tokens

BYTES, LLAMA = byte_level(), llama_like()


def one(tokenizer, prompt, response, *, max_tokens=100, add_eos=True) -> Framed:
    return frame(tokenizer, [prompt], [response], max_tokens=max_tokens, add_eos=add_eos)[0]


def words(*, end: str | None = "</s>") -> PreTrainedTokenizerFast:
    """Whole words; nothing before a text, `</s>` after it, as T5 does."""
    vocabulary = {word: n for n, word in enumerate(["</s>", "<unk>", "a", "b", "c", "d"])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if end:
        backend.post_processor = TemplateProcessing(
            single=f"$A {end}", special_tokens=[("</s>", 0)]
        )
        backend.add_special_tokens([end])
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=end, unk_token="<unk>")


def test_prompt_and_response_are_one_text_and_the_end_token_counts_as_response():
    """RM-3: bytes, so every number is known by hand: "hi" 2, " yo" 3 and the end token."""
    row = one(BYTES, "hi", " yo")
    assert BYTES.decode(row.token_ids[:-1]) == "hi yo"
    assert row.token_ids[-1] == BYTES.eos_token_id
    assert (len(row.token_ids), row.num_response_tokens, row.was_cut) == (6, 4, False)
    assert one(BYTES, "hi", " yo", add_eos=False) == Framed(row.token_ids[:-1], 3, False)


def test_the_tokenizers_own_special_tokens_are_there_once():
    """RM-3, R14: begin and end tokens that a chat template spelled out are not doubled."""
    plain = one(LLAMA, "the cat", " is hot")
    assert (plain.token_ids[0], plain.token_ids[-1]) == (1, 2)
    assert plain.token_ids.count(1) == plain.token_ids.count(2) == 1
    assert one(LLAMA, "<s>the cat", " is hot</s>") == plain
    assert one(LLAMA, "<s>the cat", " is hot</s>", add_eos=False) == plain
    assert [num_begin_tokens(each) for each in (LLAMA, BYTES, words())] == [1, 0, 0]


def test_a_token_over_the_boundary_is_the_responses():
    """RM-3: `▁is` of `the` + ` is` begins with the blank, which is the response's."""
    assert one(words(), "a ", "b c").num_response_tokens == 3
    assert one(words(), "a", " b c").num_response_tokens == 3
    assert one(words(), "a b", "c d").num_response_tokens == 3  # `bc` is one token


def test_long_rows_lose_tokens_on_the_left_but_not_the_begin_token():
    """RM-3, R6: the end token and the response stay."""
    whole = one(LLAMA, "the cat", " is hot").token_ids
    cut = one(LLAMA, "the cat", " is hot", max_tokens=10)
    assert cut.token_ids == [1, *whole[-9:]]
    assert (cut.num_response_tokens, cut.was_cut) == (8, True)
    short = one(LLAMA, "the cat", " is hot", max_tokens=4)
    assert short == Framed([1, *whole[-3:]], 3, True)
    assert one(LLAMA, "the cat", " is hot", max_tokens=len(whole)).was_cut is False


TEXTS = st.text(alphabet="abc dé\n", max_size=12)


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=4), st.integers(1, 30))
def test_a_batch_is_its_rows_and_the_response_is_what_follows_the_prompt(pairs, max_tokens):
    """RM-3: no row depends on its neighbours; bytes of the response, counted."""
    prompts, responses = [p for p, _ in pairs], [r for _, r in pairs]
    rows = frame(BYTES, prompts, responses, max_tokens=max_tokens, add_eos=True)
    for (prompt, response), row in zip(pairs, rows, strict=True):
        assert row == one(BYTES, prompt, response, max_tokens=max_tokens)
        number = len(response.encode()) + 1
        total = len(prompt.encode()) + number
        assert row.num_response_tokens == min(number, max_tokens)
        assert (len(row.token_ids), row.was_cut) == (min(total, max_tokens), total > max_tokens)


def test_t5_drops_newlines_and_still_tells_the_response(shared_data):
    """RM-1: T5's own tokenizer, from its sentencepiece file."""
    tokenizer = AutoTokenizer.from_pretrained(shared_data / "tokenizers" / "t5")
    row = one(tokenizer, "\n\nHuman: hi\n\nAssistant:", " hello\nyou")
    pieces = tokenizer.convert_ids_to_tokens(row.token_ids)
    assert pieces == ["▁Human", ":", "▁hi", "▁Assistant", ":", "▁hello", "▁you", "</s>"]
    assert row.num_response_tokens == 3


def test_tokenizers_that_cannot_do_it_are_refused_in_one_sentence():
    """RM-3."""

    class Slow:
        name_or_path, is_fast = "mine", False

    with pytest.raises(UserError, match="The tokenizer mine is a slow one, which does not say"):
        frame(Slow(), ["a"], ["b"], max_tokens=9, add_eos=True)  # pyright: ignore
    with pytest.raises(UserError, match="has no end token that could be put behind responses"):
        one(words(end=None), "a", " b")
    assert one(words(end=None), "a", " b", add_eos=False).num_response_tokens == 1

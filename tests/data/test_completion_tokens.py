"""Prompts begin as the tokenizer begins texts, completions end with one end token."""

import pytest

from data.tokenizers_of_prompts import END, byte_level, llama_like
from tutelage.config import UserError
from tutelage.data.completion_tokens import completion_tokens, prompt_tokens, refuse_unfit


def test_a_prompt_is_begun_and_never_ended():
    """IRL-1: Llama's <s> before it, no </s> after it."""
    tokenizer = llama_like()
    (ids,) = prompt_tokens(tokenizer, ["so"])
    assert tokenizer.convert_ids_to_tokens(ids) == ["<s>", "▁", "s", "o"]
    (ids,) = prompt_tokens(byte_level(), ["so"])
    assert byte_level().decode(ids) == "so"


def test_a_begin_token_that_the_prompt_spells_out_is_there_once():
    """IRL-1: chat templates write it."""
    tokenizer = llama_like()
    (ids,) = prompt_tokens(tokenizer, ["<s>so"])
    assert tokenizer.convert_ids_to_tokens(ids)[:2] == ["<s>", "▁"]
    (ids,) = prompt_tokens(byte_level(), [f"{END}so"])
    assert byte_level().decode(ids) == f"{END}so"


@pytest.mark.parametrize(("tokenizer", "begin"), [(llama_like(), "<s>"), (byte_level(), END)])
def test_no_prompt_is_the_token_that_begins_a_text(tokenizer, begin):
    """IRL-1: something must stand before the first token that is learned."""
    assert tokenizer.convert_ids_to_tokens(prompt_tokens(tokenizer, ["", "so"])[0]) == [begin]


def test_a_completion_has_its_own_tokens_and_one_end_token():
    """IRL-1."""
    assert byte_level().decode(completion_tokens(byte_level(), [" so"])[0]) == f" so{END}"
    tokenizer = llama_like()
    (ids,) = completion_tokens(tokenizer, ["so"])
    assert tokenizer.convert_ids_to_tokens(ids) == ["▁", "s", "o", "</s>"]


@pytest.mark.parametrize("spelled", [END, f"{END}\n", f"{END} \n\n"])
def test_an_end_token_that_the_completion_spells_out_is_there_once(spelled):
    """IRL-1: chat templates write it, with a line end behind it."""
    (ids,) = completion_tokens(byte_level(), [f" so \n{spelled}"])
    assert byte_level().decode(ids) == f" so \n{END}"


def test_a_tokenizer_without_an_end_token_is_refused():
    """X-1."""
    tokenizer = byte_level()
    tokenizer.eos_token = None
    with pytest.raises(UserError, match="has no end token to put behind completions"):
        refuse_unfit(tokenizer)

"""Prompts from the beginnings of a packed corpus's documents."""

import json
from pathlib import Path

import pytest

from tutelage.config import UserError
from tutelage.data.corpora import TextCorpus
from tutelage.data.openings import Openings
from tutelage.data.packing import tokenize
from tutelage.data.tokenizer import TokenizerConfig

TEXTS = ["one two three four", "five", "six seven eight", "one two", "four four four four four"]


@pytest.fixture
def packed(tmp_path: Path):
    """Stream and tokenizer."""
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    corpus = TextCorpus(path=path)
    tokenizer = TokenizerConfig(vocab_size=300).build(corpus, tmp_path)
    return tokenize(corpus, tokenizer, cache_dir=tmp_path), tokenizer


@pytest.mark.parametrize("num_tokens", [1, 3, 8])
def test_a_prompt_is_the_beginning_of_a_document_that_goes_on(packed, num_tokens):
    """TND-2: never across the end of one."""
    stream, tokenizer = packed
    openings = Openings(stream, tokenizer, num_tokens)
    rows = [tokenizer(text)["input_ids"] for text in TEXTS]
    expected = [row[:num_tokens] for row in rows if len(row) > num_tokens]
    assert [prompt.token_ids for prompt in openings] == expected
    assert [prompt.text for prompt in openings[1:3]] == [
        tokenizer.decode(row) for row in expected[1:3]
    ]
    assert len(openings) == len(expected)


def test_a_corpus_of_short_documents_is_refused(packed):
    """X-1."""
    with pytest.raises(UserError, match="No document of the corpus has more than 99 tokens"):
        Openings(*packed, 99)

"""Tables of how often tokens are read and written."""

import csv
import io
import json
from collections import Counter
from pathlib import Path

import torch

from tutelage.data.corpora import TextCorpus
from tutelage.data.packing import tokenize
from tutelage.data.tokenizer import TokenizerConfig
from tutelage.recipes import frequencies
from tutelage.recipes.frequencies import frequency_table


def test_every_token_that_occurs_has_a_row(tmp_path: Path, monkeypatch) -> None:
    """TND-6: counted in the corpus, chunk by chunk, beside what was written."""
    monkeypatch.setattr(frequencies, "CHUNK_TOKENS", 7)
    path = tmp_path / "texts.jsonl"
    texts = ["a ball, a cat", 'the "cat" sat', "a\nb"]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    corpus = TextCorpus(path=path)
    tokenizer = TokenizerConfig(vocab_size=280).build(corpus, tmp_path)
    stream = tokenize(corpus, tokenizer, cache_dir=tmp_path)
    trials = torch.zeros(len(tokenizer), dtype=torch.long)
    trials[tokenizer("zz")["input_ids"]] = 5
    rows = list(csv.DictReader(io.StringIO(frequency_table(tokenizer, stream, {"trials": trials}))))
    expected = Counter(t for text in texts for t in tokenizer(text)["input_ids"])
    expected[tokenizer.eos_token_id] = len(texts)
    found = {row["token"]: int(row["corpus"]) for row in rows if int(row["corpus"])}
    assert found == {tokenizer.decode([token]): count for token, count in expected.items()}
    assert {row["token"]: row["trials"] for row in rows if int(row["trials"])} == {"z": "5"}

"""Word surprisal: which tokens are a word's, against the plain model and against minicons."""

import json
import math
import random
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from tutelage.config import UserError
from tutelage.data.word_files import load_words
from tutelage.data.words import Word, WordSet, save_words
from tutelage.evals import surprisal as module
from tutelage.evals.scoring import Row, Scorer
from tutelage.evals.surprisal import Surprisal, Unaligned, word_rows, word_surprisals
from tutelage.models.student import StudentConfig
from tutelage.tensors import TokenScores

CPU = torch.device("cpu")
LETTERS = {letter: number for number, letter in enumerate("abcdefghij .\"'", start=10)}


def bpe(merges: list[str], *, split: bool) -> PreTrainedTokenizerFast:
    """Letters, and the merges in order; with `split`, blanks begin a word as GPT-2 has it."""
    pairs = [tuple(merge.split("+")) for merge in merges]
    vocab = {"<s>": 0, "<u>": 1} | LETTERS
    if split:
        vocab["Ġ"] = 30
    vocab |= {one + two: 40 + number for number, (one, two) in enumerate(pairs)}
    tokenizer = Tokenizer(models.BPE(vocab, pairs, unk_token="<u>"))
    if split:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", unk_token="<u>")


class Uniform(torch.nn.Module):
    """Every token costs the natural logarithm of its id."""

    context = 8

    def forward(self, token_ids, *, keep, mask):
        """Scores of the tokens to keep."""
        logprobs = -token_ids[:, 1:].double().log().float() * (keep & mask[:, 1:])
        return TokenScores(logprobs, logprobs)


def scorer(tokenizer: PreTrainedTokenizerFast) -> Scorer:
    return Scorer(Uniform(), tokenizer, device=CPU)


def own_tokens(tokenizer: PreTrainedTokenizerFast, context: str, word: str) -> list[str] | str:
    (row,) = word_rows([Word(word, "", (context,)).in_context(0)], scorer(tokenizer))
    if isinstance(row, Unaligned):
        return row.reason
    assert row.token_ids[0] == 0
    return tokenizer.convert_ids_to_tokens(row.token_ids[row.start :])


@pytest.mark.parametrize(
    ("context", "word", "tokens"),
    [
        ("b", "a", ["Ġa"]),
        ("b", "ab", ["Ġa", "b"]),
        ("", "ab", ["a", "b"]),
        ("b ", "a", ["Ġa"]),
        ("b  ", "a", ["Ġa"]),
        ("b", "a b", ["Ġa", "Ġ", "b"]),
        ("b", "c", ["Ġ", "c"]),
    ],
)
def test_the_blank_before_a_word_is_part_of_it(context, word, tokens):
    """EV-3: as one token with it or as a token of its own; one blank only."""
    assert own_tokens(bpe(["Ġ+a"], split=True), context, word) == tokens


def test_a_token_that_is_shared_with_the_context_is_refused():
    """EV-3: letters that merge across the blank, and across a quotation mark before the word."""
    tokenizer = bpe(["b+ ", "b +a", '"+a'], split=False)
    reason = own_tokens(tokenizer, "cb", "ac")
    assert reason == (
        "The tokenizer can't align 'ac' in 'cb ac': the token 'b a' holds also what stands "
        "before it."
    )
    assert own_tokens(tokenizer, "b", "c") == (
        "The tokenizer can't align 'c' in 'b c': the token 'b ' holds also what stands before it."
    )
    assert own_tokens(tokenizer, "c", "ab") == [" ", "a", "b"]


def test_words_without_tokens_of_their_own_are_refused():
    """EV-3: unknown letters, and words longer than the context."""
    tokenizer = bpe([], split=False)
    assert own_tokens(tokenizer, "b", "xyz") == (
        "The tokenizer doesn't know 'xyz': it becomes the unknown token."
    )
    assert own_tokens(tokenizer, "", "abcdefg") == list("abcdefg")
    assert own_tokens(tokenizer, "", "abcdefgh") == (
        "'abcdefgh' is longer than the student's context."
    )


def test_long_contexts_lose_their_beginning():
    """EV-3: the student reads its beginning-of-text token and the last tokens, never more."""
    tokenizer = bpe([], split=False)
    (row,) = word_rows([("jihgfedcb a", 10, 11)], scorer(tokenizer))
    assert isinstance(row, Row)
    assert tokenizer.convert_ids_to_tokens(row.token_ids) == ["<s>", *"fedcb a"]
    assert row.start == 6


def test_surprisal_is_summed_over_the_words_tokens_in_bits():
    """EV-3: by hand. A token costs log2 of its id; b is 11, c is 12, the blank 20."""
    words = [Word("b", "toy", ("a", "")), Word("bc", "", ("a",)), Word("c", "", ())]
    one, two, none = word_surprisals(words, scorer(bpe([], split=False)))
    bits = [math.log2(20 * 11), math.log2(11)]
    assert one["surprisals"] == pytest.approx(bits, abs=1e-6)
    assert one["surprisal"] == pytest.approx(sum(bits) / 2, rel=1e-6)
    # Of two values the sample deviation is |x − y|/√2, and over √2 their half distance.
    assert one["standard_error"] == pytest.approx(abs(bits[0] - bits[1]) / 2, rel=1e-5)
    assert (one["word"], one["category"], one["contexts"], one["unaligned"]) == ("b", "toy", 2, 0)
    assert two["surprisal"] == pytest.approx(math.log2(20 * 11 * 12), rel=1e-6)
    assert two["standard_error"] is None
    assert none["surprisal"] is None
    assert none["contexts"] == 0
    assert none["reason"] == "'c' has no contexts."
    assert "reason" not in one


def test_contexts_that_cannot_be_aligned_are_left_out_and_counted():
    """EV-3: the others still count; a word with none gets the reason."""
    tokenizer = bpe(["b+ "], split=False)
    words = [Word("a", "", ("b", "c", "d")), Word("c", "", ("b", "b"))]
    some, none = word_surprisals(words, scorer(tokenizer))
    assert (some["contexts"], some["unaligned"]) == (2, 1)
    assert some["surprisal"] == pytest.approx(math.log2(20 * 10), rel=1e-6)
    assert (none["contexts"], none["unaligned"], none["surprisal"]) == (0, 2, None)
    assert none["reason"].startswith("The tokenizer can't align 'c' in 'b c'")


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Surprisal:
    """Five words in parts of two."""
    words = [Word(w, "kind", ("a", "b")[: number % 3]) for number, w in enumerate("cdefg")]
    save_words(WordSet("words", tuple(words)), tmp_path / "words.jsonl")
    monkeypatch.setattr(module, "WORDS_AT_ONCE", 2)
    return Surprisal(data=tmp_path / "words.jsonl")


def test_parts_hold_every_word_once_and_combine_in_order(suite: Surprisal):
    """EV-3: words weigh alike, whatever the number of their contexts; the result is JSON."""
    assert suite.tasks() == ["words 1 to 2", "words 3 to 4", "words 5 to 5"]
    reader = scorer(bpe([], split=False))
    parts = {task: suite.run_task(task, reader) for task in suite.tasks()}
    result = suite.combine(json.loads(json.dumps(parts)))
    assert [row["word"] for row in result["word_surprisals"]] == list("cdefg")
    # c and f have no contexts; d, e, g have 1, 2, 1. The blank is token 20; d 13, e 14, g 16.
    mean = sum(math.log2(20 * token) for token in (13, 14, 16)) / 3
    assert result["measures"] == {
        "surprisal": pytest.approx(mean, rel=1e-6),
        "words": 3,
        "words_without_surprisal": 2,
        "contexts": 4,
        "unaligned_contexts": 0,
    }
    assert result["vocab_size"] == len(reader.tokenizer)
    assert next(iter(result["measures"])) == "surprisal"


def test_a_word_set_without_any_surprisal_is_refused(tmp_path: Path):
    """X-1."""
    save_words(WordSet("words", (Word("c", "", ()),)), tmp_path / "words.jsonl")
    suite = Surprisal(data=tmp_path / "words.jsonl")
    parts = {task: suite.run_task(task, scorer(bpe([], split=False))) for task in suite.tasks()}
    with pytest.raises(UserError, match=r"No word has a surprisal: 'c' has no contexts\."):
        suite.combine(parts)


def test_words_that_the_tokenizer_does_not_know_are_refused_before_training(tmp_path: Path):
    """TND-6: one that it knows is enough."""
    tokenizer = bpe(["a+b"], split=False)
    words = [Word("xyz", "", ("b ",)), Word("wow", "", ("b ",))]
    path = tmp_path / "words.jsonl"
    save_words(WordSet("words", tuple(words)), path)
    with pytest.raises(UserError, match=r"No word of .*words\.jsonl can be scored.*'wow'"):
        Surprisal(data=path).refuse_unreadable(scorer(tokenizer))
    save_words(WordSet("words", (*words, Word("ab", "", ("b ",)))), path)
    Surprisal(data=path).refuse_unreadable(scorer(tokenizer))


def test_what_cannot_be_read_is_refused_before_a_model_loads(tmp_path: Path):
    """X-1: missing file, folder without word set, malformed row."""
    with pytest.raises(UserError, match=r"none\.jsonl does not exist"):
        Surprisal(data=tmp_path / "none.jsonl").check()
    with pytest.raises(UserError, match=r"cdi_childes\.json does not exist"):
        Surprisal(data=tmp_path).check()
    (tmp_path / "words.jsonl").write_text('{"word": "a"}\n')
    with pytest.raises(UserError, match=r"words\.jsonl, line 1 is not a word"):
        Surprisal(data=tmp_path / "words.jsonl").check()


def test_fingerprint_changes_with_the_contexts(suite: Surprisal):
    """EV-3, X-2."""
    before = suite.fingerprint()
    assert suite.data is not None
    assert Surprisal(data=suite.data).fingerprint() == before
    suite.data.write_text(suite.data.read_text().replace('"b"', '"c"'))
    assert suite.fingerprint() != before


def test_the_nurserys_words_are_measured_without_data():
    """EV-3, X-9."""
    suite = Surprisal()
    suite.check()
    assert suite.tasks()[0] == "words 1 to 64"
    assert int(suite.tasks()[-1].split()[-1]) >= 600


def stories(shared_data: Path) -> Scorer:
    folder = str(shared_data / "stories260K")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return Scorer(StudentConfig(path=folder).build(tokenizer, seed=0), tokenizer, device=CPU)


def cdi_sample(shared_data: Path, count: int) -> list[Word]:
    words = load_words(shared_data / "cdi_childes" / "cdi_childes.json").words
    single = [word._replace(contexts=(c,)) for word in words for c in word.contexts]
    return random.Random(0).sample(single, count)


def test_surprisal_is_that_of_the_plain_model(shared_data: Path):
    """EV-3: against the logits of Transformers, one text at a time, to 1e-4 bits."""
    reader = stories(shared_data)
    words = cdi_sample(shared_data, 40)
    for word, found in zip(words, word_surprisals(words, reader), strict=True):
        context = reader.tokenizer(word.contexts[0])["input_ids"]
        whole = reader.tokenizer(f"{word.contexts[0]} {word.word}", return_tensors="pt")[
            "input_ids"
        ]
        assert whole[0, : len(context)].tolist() == context
        with torch.no_grad():
            logprobs = reader.student.model(whole).logits[0].double().log_softmax(-1)
        places = range(len(context), whole.shape[1])
        nats = -sum(logprobs[place - 1, whole[0, place]].item() for place in places)
        assert found["surprisal"] == pytest.approx(nats / math.log(2), abs=1e-4)
        assert len(context) > 1


@pytest.mark.slow
def test_surprisal_equals_minicons(shared_data: Path):
    """EV-3: 300 words in context of the CDI set, on the same model, to 1e-4 bits."""
    minicons = pytest.importorskip("minicons.scorer", exc_type=ImportError)
    reader = stories(shared_data)
    words = cdi_sample(shared_data, 300)
    other = minicons.IncrementalLMScorer(
        reader.student.model, device="cpu", tokenizer=reader.tokenizer
    )
    for word, found in zip(words, word_surprisals(words, reader), strict=True):
        (expected,) = other.conditional_score(
            [word.contexts[0]],
            [word.word],
            reduction=lambda scores: -scores.sum(0).item(),
            base_two=True,
        )
        assert found["surprisal"] == pytest.approx(expected, abs=1e-4)


def test_words_and_contexts_can_be_fewer_to_save_time():
    """TND-6: words evenly spread over the set, of each its first contexts."""
    everything = Surprisal()._words().words
    few = Surprisal(max_words=10, max_contexts=3)._words().words
    assert [word.word for word in few] == [
        everything[int(i * len(everything) / 10)].word for i in range(10)
    ]
    assert all(word.contexts == known.contexts[:3] for word in few for known in everything
               if known.word == word.word)  # fmt: skip
    assert Surprisal(max_words=10**6)._words().words == everything
    assert Surprisal(max_contexts=3).fingerprint() != Surprisal().fingerprint()

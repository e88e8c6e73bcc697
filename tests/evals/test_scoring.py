"""Scores are those of the plain model, whatever stands beside a row."""

import random

import pytest
import torch
from tokenizers.processors import TemplateProcessing
from transformers import LlamaConfig, LlamaForCausalLM

from evals.scorers import Opinion, scorer_of, small_student, small_tokenizer
from tutelage.config import UserError
from tutelage.evals.scoring import Row, Text
from tutelage.models.student_module import Student


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory):
    return small_tokenizer(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def student(tokenizer):
    return small_student(tokenizer)


@pytest.fixture(params=[1, 2])
def cores(request: pytest.FixtureRequest):
    """So many cores, wherever the test runs."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def copied(tokenizer):
    """A tokenizer of the same vocabulary, to be changed."""
    backend = tokenizer.backend_tokenizer
    copy = type(backend).from_str(backend.to_str())
    return type(tokenizer)(tokenizer_object=copy, bos_token="<|endoftext|>")


def llama(context: int) -> LlamaForCausalLM:
    """A random model with rotary positions."""
    config = LlamaConfig(
        vocab_size=300,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=context,
    )
    torch.manual_seed(0)
    return LlamaForCausalLM(config)


def plain(student, row: Row) -> list[float]:
    """Log-probabilities of one row, from the model's own logits."""
    student.eval()
    with torch.no_grad():
        logprobs = student.model(torch.tensor([row.token_ids])).logits[0].log_softmax(-1)
    return [logprobs[t - 1, row.token_ids[t]].item() for t in range(row.start, len(row.token_ids))]


def random_rows(seed: int, count: int = 30) -> list[Row]:
    rng = random.Random(seed)
    lengths = [rng.randint(2, 60) for _ in range(count)]
    tokens = [[rng.randrange(260) for _ in range(length)] for length in lengths]
    return [Row(row, rng.randint(1, len(row) - 1)) for row in tokens]


@pytest.mark.parametrize("batch_tokens", [1, 40, 300, 8_192])
def test_scores_are_those_of_each_row_alone(tokenizer, student, batch_tokens: int) -> None:
    """EV-2: to 1e-5, with any batch size and padding; only the tokens from `start` on."""
    rows = random_rows(0)
    found = scorer_of(student, tokenizer, batch_tokens).logprobs(rows)
    for row, logprobs in zip(rows, found, strict=True):
        assert logprobs.dtype == torch.float32
        assert logprobs.tolist() == pytest.approx(plain(student, row), abs=1e-5)


@pytest.mark.parametrize("kind", ["gpt2", "gpt2-eager", "llama"])
@pytest.mark.parametrize("batch_tokens", [1, 200, 8_192])
def test_rows_that_share_a_beginning_are_those_of_each_row_alone(
    tokenizer, batch_tokens: int, kind: str
) -> None:
    """EV-2: siblings of all shapes, the beginning itself among them, beside strangers."""
    rng = random.Random(1)
    stem = [rng.randrange(260) for _ in range(40)]
    rows = random_rows(4, 5)
    for length in [*range(15, 25), *[40] * 10]:
        own = [rng.randrange(260) for _ in range(rng.randint(1, 9))]
        rows.append(Row([*stem[:length], *own], rng.randint(1, length + len(own) - 1)))
    rows += [Row(stem, 39), Row(stem, 1), Row([*stem, 7], 40), Row(stem[:2], 1)]
    student = Student(llama(64)) if kind == "llama" else small_student(tokenizer)
    if kind == "gpt2-eager":
        student.base.set_attn_implementation("eager")
    scorer = scorer_of(student, tokenizer, batch_tokens)
    for row, logprobs in zip(rows, scorer.logprobs(rows), strict=True):
        assert logprobs.tolist() == pytest.approx(plain(student, row), abs=1e-5)


def test_equal_rows_get_equal_numbers(tokenizer, student) -> None:
    """EV-2: bit for bit, so that a tie is a tie; wherever they are scored from."""
    rows = random_rows(2)
    whole = [Row(row.token_ids, 1) for row in rows]
    found = scorer_of(student, tokenizer, 100).logprobs([*rows, *whole, *rows])
    parts = found[:30], found[30:60], found[60:]
    for row, one, all_of_it, again in zip(rows, *parts, strict=True):
        assert len(one) == len(row.token_ids) - row.start
        assert torch.equal(one, again)
        assert torch.equal(one, all_of_it[row.start - 1 :])


def test_dropout_gradients_and_autocast_are_off_and_the_mode_comes_back(tokenizer, cores) -> None:
    """EV-2: fp32 in evaluation mode, in the middle of training."""
    student = small_student(tokenizer)
    student.train()
    for module in student.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    rows = random_rows(3, 5)
    with torch.autocast("cpu", torch.bfloat16):
        found = scorer_of(student, tokenizer).logprobs(rows)
    assert student.training
    student.eval()
    for row, logprobs in zip(rows, found, strict=True):
        assert not logprobs.requires_grad
        assert logprobs.tolist() == pytest.approx(plain(student, row), abs=1e-5)


def test_a_text_begins_with_the_beginning_token_and_is_scored_whole(tokenizer, student) -> None:
    """EV-2: even if the tokenizer itself puts nothing before a text."""
    scorer = scorer_of(student, tokenizer)
    (row,) = scorer.encode([Text("the cat sleeps")])
    assert row == Row([tokenizer.bos_token_id, *tokenizer("the cat sleeps")["input_ids"]], 1)
    assert scorer.begin == tokenizer.bos_token_id
    assert scorer.begin_token == "<|endoftext|>"


def test_a_tokenizers_own_tokens_may_be_none(tokenizer, student) -> None:
    """EV-2: then the first token has no score, as in the official pipeline."""
    scorer = scorer_of(student, tokenizer)
    (row,) = scorer.encode([Text("the cat sleeps")], own_tokens=True)
    assert row == Row(tokenizer("the cat sleeps")["input_ids"], 1)
    assert scorer.own_tokens() == ""


def test_a_tokenizers_own_tokens_are_kept_and_not_scored(tokenizer, student) -> None:
    """EV-2: one before the text is read, one after it makes no difference."""
    copy = copied(tokenizer)
    end = ("<|endoftext|>", tokenizer.eos_token_id)
    copy.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|endoftext|> $A <|endoftext|>", special_tokens=[end]
    )
    scorer = scorer_of(student, copy)
    (row,) = scorer.encode([Text("the cat")], own_tokens=True)
    assert row == Row([end[1], *tokenizer("the cat")["input_ids"]], 1)
    assert scorer.own_tokens() == "<|endoftext|>"


@pytest.mark.parametrize("own_tokens", [False, True])
def test_a_span_starts_with_the_token_that_reaches_into_it(
    tokenizer, student, own_tokens: bool
) -> None:
    """EV-2: a space belongs to the word after it, and so does a token that has it."""
    scorer = scorer_of(student, tokenizer)
    text = "a dog barks loudly"
    for start in range(1, len(text)):
        (row,) = scorer.encode([Text(text, start)], own_tokens=own_tokens)
        scored = tokenizer.decode(row.token_ids[row.start :])
        assert text.endswith(scored)
        assert len(scored) >= len(text) - start
        rest = tokenizer.decode(row.token_ids[row.start + 1 :])
        assert len(rest) < len(text) - start


def test_nothing_to_score_is_refused_with_its_place(tokenizer, student) -> None:
    """EV-2."""
    scorer = scorer_of(student, tokenizer)
    with pytest.raises(
        UserError, match=r"pairs\.jsonl, line 3: the tokenizer makes no token .* ''"
    ):
        scorer.encode([Text("a cat"), Text("", 0, "pairs.jsonl, line 3")])
    with pytest.raises(UserError, match="makes no token"):
        scorer.encode([Text("a cat", 5)])
    with pytest.raises(UserError, match="makes no token"):
        scorer.encode([Text("a")], own_tokens=True)


def test_a_text_beyond_the_context_is_refused_with_its_place(tokenizer, student) -> None:
    """EV-2: also under the official rule, where positions end there."""
    scorer = scorer_of(student, tokenizer)
    message = r"a\.jsonl, line 1: 'xx.*\.\.\.' is 65 tokens long, but .* reads at most 64"
    for own_tokens, length in ((False, 64), (True, 65)):
        with pytest.raises(UserError, match=message):
            scorer.encode([Text("x" * length, 0, "a.jsonl, line 1")], own_tokens=own_tokens)
        assert scorer.encode([Text("x" * (length - 1))], own_tokens=own_tokens)


def test_rotary_positions_read_on_under_the_official_rule_only(tokenizer) -> None:
    """EV-2: the official pipeline does not look at the context, and such a model has no end."""
    scorer = scorer_of(Student(llama(8)), tokenizer)
    text = Text("x" * 20)
    rows = scorer.encode([text], own_tokens=True)
    assert len(scorer.logprobs(rows)[0]) == 19
    with pytest.raises(UserError, match="at most 8"):
        scorer.encode([text])


def test_a_tokenizer_that_can_begin_no_text_is_refused(tokenizer) -> None:
    """EV-2."""
    bare = type(tokenizer)(tokenizer_object=tokenizer.backend_tokenizer)
    with pytest.raises(UserError, match="neither a beginning-of-text nor an end-of-text"):
        scorer_of(Opinion(), bare)


def test_the_callers_tokenizer_is_left_as_it_is(tokenizer, student) -> None:
    """EV-2: with padding and truncation that would change scores."""
    copy = copied(tokenizer)
    copy.backend_tokenizer.enable_truncation(3)
    copy.backend_tokenizer.enable_padding(length=9)
    (row,) = scorer_of(student, copy).encode([Text("a dog barks")])
    assert row.token_ids[1:] == tokenizer("a dog barks")["input_ids"]
    assert copy.backend_tokenizer.truncation["max_length"] == 3

"""The sampler: what it draws, what it says of it, and how responses end."""

import pytest
import torch
from pydantic import ValidationError
from scipy import stats
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from models.students import OTHERS, VOCAB, gpt2, student_of, tokenizer_of
from tutelage.config import UserError
from tutelage.models.student_module import Student, new_value_head
from tutelage.rollout.engine import Sampling, sample
from tutelage.rollout.generate import spare_ids

PROMPTS = [[1, 2, 3], [4], [5, 6, 7, 8, 9, 1, 2], [9, 9], [3, 1], [2]]
DECODED = ["GPT2", *OTHERS]


def lively(student: Student, factor: float = 6.0) -> Student:
    """The student with a sharper output distribution, and a value head."""
    with torch.no_grad():
        for parameter in student.model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(factor if parameter.std() < 0.1 else 1.0)
    return Student(student.model, new_value_head(student.base, folder=None, seed=1)).eval()


def take(student, prompts=PROMPTS, seed=0, **options):
    options = {"max_tokens": 12} | options
    extra = {name: options.pop(name) for name in ("row_numbers", "constraint") if name in options}
    return sample(student, tokenizer_of(), prompts, Sampling(**options), seed=seed, **extra)


def scored(student, rollout, temperature=1.0):
    """Log-probabilities and values of a fresh forward pass over each row by itself."""
    rows = []
    for prompt, response in zip(rollout.prompt_ids, rollout.response_ids, strict=True):
        with torch.no_grad():
            scores = student(torch.tensor([prompt + response]), temperature=temperature)
        start = len(prompt) - 1
        rows.append((scores.logprobs[0, start:], scores.values[0, start:]))
    return rows


@pytest.mark.parametrize("engine", ["tutelage", "transformers"])
@pytest.mark.parametrize("name", DECODED)
def test_logprobs_and_values_are_those_of_a_fresh_forward_pass(name, engine):
    """PPO-3: for learned positions, rotary ones and grouped heads; prompts of any lengths."""
    student = lively(student_of(name))
    rollout = take(student, temperature=0.8, engine=engine)
    assert [len(row) for row in rollout.response_ids] == rollout.mask.sum(1).tolist()
    for index, (logprobs, values) in enumerate(scored(student, rollout, 0.8)):
        number = len(logprobs)
        torch.testing.assert_close(rollout.logprobs[index, :number], logprobs, rtol=0, atol=2e-5)
        torch.testing.assert_close(rollout.values[index, :number], values, rtol=0, atol=2e-5)
        assert not rollout.logprobs[index, number:].any()


def test_adapters_take_part_in_sampling():
    """PPO-3: a LoRA student samples with its adapters."""
    student = gpt2(lora={"rank": 2})
    for name, parameter in student.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    student = lively(student)
    rollout = take(student)
    for index, (logprobs, _) in enumerate(scored(student, rollout)):
        torch.testing.assert_close(
            rollout.logprobs[index, : len(logprobs)], logprobs, rtol=0, atol=2e-5
        )


@pytest.mark.parametrize("options", [{}, {"top_k": 5, "top_p": 0.8}, {"top_p": 0.6}])
def test_a_sample_depends_on_its_seed_and_number_alone(options):
    """PPO-3: not on the rows beside it, nor on their order."""
    student = lively(gpt2())
    together = take(student, **options)
    assert take(student, **options, rows_at_once=1).response_ids == together.response_ids
    assert take(student, **options, rows_at_once=4).response_ids == together.response_ids
    order = [4, 0, 5, 2, 1, 3]
    shuffled = take(student, [PROMPTS[i] for i in order], row_numbers=order, **options)
    assert shuffled.response_ids == [together.response_ids[i] for i in order]
    assert take(student, **options, seed=1).response_ids != together.response_ids
    same = take(student, [[1, 2]] * 4, **options).response_ids
    assert len({tuple(row) for row in same}) > 1


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 0.5},
        {"top_k": 4},
        {"top_p": 0.7},
        {"top_k": 6, "top_p": 0.5, "temperature": 1.5},
        {"banned_tokens": (0, 3, 5)},
    ],
    ids=str,
)
def test_the_distribution_is_that_of_transformers(options):
    """PPO-3: two tokens drawn 4,000 times by both engines (chi-square, tiny vocabulary)."""
    from transformers import GPT2Config, GPT2LMHeadModel

    tokenizer = tokenizer_of(9)
    config = GPT2Config(
        vocab_size=9, n_positions=16, n_embd=8, n_layer=1, n_head=1,
        bos_token_id=8, eos_token_id=8, pad_token_id=7,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        student = lively(Student(GPT2LMHeadModel(config)), 15.0)
    counts = []
    for engine in ("tutelage", "transformers"):
        sampling = Sampling(max_tokens=2, rows_at_once=4_000, engine=engine, **options)
        prompts = [[1, 2], [3]] * 2_000
        rollout = sample(student, tokenizer, prompts, sampling, seed=3)
        pairs = torch.tensor([[*row, 8][:2] for row in rollout.response_ids])
        kind = torch.arange(len(prompts)) % 2
        counts.append((kind * 81 + pairs[:, 0] * 9 + pairs[:, 1]).bincount(minlength=162))
    table = torch.stack(counts)
    table = torch.cat(
        [table[:, table.sum(0) >= 10], table[:, table.sum(0) < 10].sum(1, keepdim=True)], dim=1
    )
    table = table[:, table.sum(0) > 0]
    assert table.shape[1] > 5
    assert stats.chi2_contingency(table.numpy()).pvalue > 0.001
    for tokens in options.get("banned_tokens", ()):
        assert not any(tokens in row for row in rollout.response_ids)


def test_responses_end_where_they_should():
    """PPO-3: at the end token, which is kept; at a stop string; at the limit or the context."""
    student = lively(gpt2())
    ends = VOCAB - 1
    plain = take(student, [[1, 2]] * 64, max_tokens=20)
    assert {"eos", "length"} == set(plain.finish)
    for row, finish in zip(plain.response_ids, plain.finish, strict=True):
        assert (row[-1] == ends) == (finish == "eos")
        assert ends not in row[:-1]
        assert finish == "eos" or len(row) == 20
    assert not any("<end>" in text for text in plain.responses)
    near = take(student, [[1] * 30, [1] * 31, [1, 2]], max_tokens=12)
    assert [len(row) for row in near.response_ids[:2]] == [2, 1] or "eos" in near.finish[:2]
    assert "context" in near.finish
    stopped = take(student, [[1, 2]] * 64, max_tokens=20, stop=("w1",))
    assert "stop" in stopped.finish
    for before, text, row, finish in zip(
        plain.responses, stopped.responses, stopped.response_ids, stopped.finish, strict=True
    ):
        assert before.startswith(text)
        assert (finish == "stop") == ("w1" in before)
        assert "w1" not in text
        if finish == "stop":  # the token that completed the string was drawn, so it is learned
            assert "w1" in tokenizer_of().decode(row[-1:])


def test_a_row_at_the_end_of_the_context_waits_for_others():
    """PPO-3: it stays in the batch until enough rows can leave together, and reads no further."""
    rollout = take(lively(gpt2()), [[1] * 30, *[[1, 2]] * 9])
    assert len(rollout.response_ids[0]) == 2
    assert rollout.finish[0] == "context"


def test_minimum_length_and_bans_hold():
    """PPO-3."""
    student = lively(gpt2())
    rollout = take(student, [[1, 2]] * 64, max_tokens=10, min_tokens=6, banned_words=("w7",))
    assert min(map(len, rollout.response_ids)) >= 6
    assert not any(7 in row for row in rollout.response_ids)
    assert any(len(row) < 10 for row in rollout.response_ids)


@pytest.mark.parametrize("engine", ["tutelage", "transformers"])
def test_kept_mass_and_support_are_those_of_the_definition(engine):
    """PPO-3: what top-k, top-p and bans leave, under the whole policy."""
    student = lively(gpt2())
    options = {"top_k": 6, "top_p": 0.8, "banned_tokens": (2, 4), "temperature": 0.9}
    options |= {"max_tokens": 5, "engine": engine}
    full = take(student, **options)
    truncated = take(student, **options, support="truncated")
    assert truncated.response_ids == full.response_ids
    for index, (prompt, row) in enumerate(zip(full.prompt_ids, full.response_ids, strict=True)):
        logits = student.model(torch.tensor([prompt + row])).logits[0, len(prompt) - 1 : -1] / 0.9
        for step, token in enumerate(row):
            probs = logits[step].softmax(0)
            allowed = probs.clone()
            allowed[[2, 4]] = 0
            best = allowed.topk(6).indices
            share = allowed[best] / allowed[best].sum()
            kept = best[share.cumsum(0) - share < 0.8].tolist()
            mass = probs[kept].sum()
            assert token in kept
            torch.testing.assert_close(full.kept_mass[index, step], mass, rtol=1e-5, atol=1e-6)
            found = truncated.support[index, step].tolist()
            assert [t for t in found if t >= 0] == kept
            torch.testing.assert_close(
                truncated.logprobs[index, step], (probs[token] / mass).log(), rtol=1e-5, atol=1e-5
            )
    everything = take(student, max_tokens=5)
    torch.testing.assert_close(everything.kept_mass, torch.ones_like(everything.kept_mass))


@pytest.mark.parametrize("engine", ["tutelage", "transformers"])
@pytest.mark.parametrize("options", [{}, {"top_k": 5}, {"banned_tokens": (2,)}], ids=str)
def test_rows_that_fill_a_vocabulary_up_are_never_drawn(engine, options):
    """PPO-3: a model may have more embeddings than there are tokens."""
    size = VOCAB - 17
    student = lively(gpt2())
    sampling = Sampling(max_tokens=12, engine=engine, **options)
    rollout = sample(student, tokenizer_of(size), [[1, 2]] * 32, sampling, seed=0)
    drawn = {token for row in rollout.response_ids for token in row}
    assert max(drawn) < size
    assert len(drawn) > size // 2
    plain = take(student, [[1, 2]] * 32, engine=engine, **options)
    assert max(token for row in plain.response_ids for token in row) >= size


def test_numbers_without_a_token_are_never_drawn():
    """PPO-3: wherever they are; those that have one can be."""
    tokenizer = tokenizer_of(VOCAB - 17)
    holes = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel({"a": 0, "b": 9, "c": VOCAB - 1}, unk_token="a")),
        eos_token="c",
    )
    assert spare_ids(gpt2().base, tokenizer) == list(range(VOCAB - 17, VOCAB))
    assert spare_ids(gpt2().base, tokenizer_of()) == []
    rollout = sample(gpt2(), holes, [[0]] * 64, Sampling(max_tokens=6), seed=0)
    assert {token for row in rollout.response_ids for token in row} == {0, 9, VOCAB - 1}


def test_constraints_see_each_row_and_decide():
    """PAU-4: the row's number and what it has written so far."""

    def alternate(logits, responses, numbers):
        wanted = (numbers + responses.shape[1]) % 5
        return torch.full_like(logits, -torch.inf).scatter(1, wanted[:, None], 0.0)

    rollout = take(lively(gpt2()), max_tokens=3, row_numbers=range(6), constraint=alternate)
    assert rollout.response_ids == [[(n + t) % 5 for t in range(3)] for n in range(6)]


@pytest.mark.parametrize("engine", ["tutelage", "transformers"])
def test_sampling_leaves_no_trace(engine):
    """X-3: neither in the random state nor in the student's mode, which has no dropout inside."""
    student = lively(gpt2(dropout=0.5)).train()
    state = torch.get_rng_state()
    rollout = take(student, engine=engine)
    assert torch.equal(torch.get_rng_state(), state)
    assert student.training
    assert student.model.training
    student.eval()
    for index, (logprobs, _) in enumerate(scored(student, rollout)):
        torch.testing.assert_close(
            rollout.logprobs[index, : len(logprobs)], logprobs, rtol=0, atol=2e-5
        )


def test_bad_settings_are_refused():
    """X-1."""
    student = gpt2()
    with pytest.raises(UserError, match=r"min-tokens 9 is more than --rollout.max-tokens 3"):
        take(student, max_tokens=3, min_tokens=9)
    with pytest.raises(UserError, match=r"needs --rollout.top-k"):
        take(student, support="truncated")
    with pytest.raises(UserError, match="empty string"):
        take(student, stop=("",))
    with pytest.raises(UserError, match="Prompt 2 has 32 tokens"):
        take(student, [[1], [1] * 32])
    with pytest.raises(UserError, match="Prompt 1 has 0 tokens"):
        take(student, [[]])
    with pytest.raises(UserError, match="banned-tokens 99 is no token"):
        take(student, banned_tokens=(99,))


@pytest.mark.parametrize("engine", ["tutelage", "transformers"])
def test_bans_leave_something_to_draw(engine):
    """X-1: the end alone is enough, unless a response may not end yet."""
    student = gpt2()
    end = tokenizer_of().eos_token_id
    rest = tuple(token for token in range(VOCAB) if token != end)
    with pytest.raises(UserError, match=f"All {VOCAB} tokens are banned"):
        take(student, engine=engine, banned_tokens=(*rest, end))
    with pytest.raises(UserError, match="but those that end a response, which"):
        take(student, engine=engine, banned_tokens=rest, min_tokens=1)
    assert set(take(student, engine=engine, banned_tokens=rest).finish) == {"eos"}


@pytest.mark.parametrize("engine", ["tutelage", "transformers"])
def test_the_lowest_temperature_draws_the_likeliest_token(engine):
    """X-1: lower ones, whose logits would overflow, are refused."""
    student = lively(gpt2())
    coldest = take(student, engine=engine, temperature=1e-3, max_tokens=5)
    assert coldest.response_ids == take(student, top_k=1, max_tokens=5).response_ids
    with pytest.raises(ValidationError, match="temperature"):
        Sampling(temperature=1e-40)


def test_nothing_to_write_is_nothing():
    """PPO-3."""
    assert take(gpt2(), []).responses == []

"""Exchanges: who writes what, what it is worth, and what is learned from it."""

import copy
import math

import pytest
import torch
from torch.nn import functional as F

from lessons.trials import prompts, student_of
from models.students import VOCAB, gpt2, tokenizer_of
from tutelage.config import UserError
from tutelage.lessons.demonstration import Demonstration
from tutelage.lessons.echo import Echo
from tutelage.lessons.exchange import Exchange, Writer, refuse_uneven
from tutelage.lessons.shaping import Kl, Shaping
from tutelage.lessons.trial import Trial
from tutelage.lessons.twin import WithTwin
from tutelage.lessons.updates import PpoUpdate
from tutelage.rewards.protocol import RewardError, Scores
from tutelage.rollout.engine import Sampling, sample
from tutelage.tensors import generator
from tutelage.train.compute import ComputeConfig

MACHINE = ComputeConfig(use_cpu=True, precision="fp32").build()
SAMPLING = Sampling(max_tokens=6)
SHOWING = Sampling(max_tokens=9, top_k=5, banned_tokens=(3, 4))
NUM_PROMPTS = 4


def ages(prompts, responses, **columns) -> Scores:
    """An age model: a third of the words of prompt and response."""
    return Scores.of(
        "age", [len((p + r).split()) / 3 for p, r in zip(prompts, responses, strict=True)]
    )


def exchange(student, *, texts=("trials", "demonstrations"), **options) -> Exchange:
    writers = {
        "trials": Writer(student, SAMPLING),
        "demonstrations": Writer(options.pop("teacher", gpt2(dropout=0.0)), SHOWING),
    }
    settings = {
        "shape": "difference",
        "step_of": lambda number: 4 * (number + 1),
        "known_age": None,
        "twin": None,
        "seed": 5,
        "machine": MACHINE,
        **options,
    }
    age_model = settings.pop("age_model", ages)
    return Exchange({n: writers[n] for n in texts}, tokenizer_of(), age_model, **settings)


def trial(student, stage, **options) -> Trial:
    settings = {
        "temperature": 1.0,
        "update": PpoUpdate(epochs=1),
        "shaping": Shaping(),
        "kl": Kl(reference="none", coef=0.0),
        "reference": None,
        "batch_size": NUM_PROMPTS * stage.voices,
        "microbatch_tokens": None,
        "seed": 5,
        "machine": MACHINE,
        **options,
    }
    return Trial(student, prompts(), stage, **settings)


def rounds(lesson, student, count=1) -> list:
    return [batch for _ in range(count) for batch in lesson.round(student)]


def test_a_trial_and_its_demonstration_stand_one_after_another():
    """TND-2: both continue the same prompt, and each is what its author writes alone."""
    student = student_of()
    stage = exchange(student)
    lesson = trial(student, stage)
    (batch,) = rounds(lesson, student)
    rollout = stage.played.rollout
    asked = [p.token_ids for p in lesson.prompts]
    assert rollout.prompt_ids[::2] == rollout.prompt_ids[1::2]
    assert all(ids in asked for ids in rollout.prompt_ids)
    for place, (name, writer) in enumerate(stage.writers.items()):
        alone = sample(
            writer.student,
            tokenizer_of(),
            rollout.prompt_ids[place::2],
            writer.sampling,
            seed=generator(5, name, 0).initial_seed(),
        )
        assert rollout.response_ids[place::2] == alone.response_ids
    authors = [row["author"] for row in batch.samples]
    assert authors == ["student", "demonstrator"] * NUM_PROMPTS
    assert [row["response"] for row in batch.samples] == rollout.responses
    assert rollout.mask.sum(1).tolist() == [len(ids) for ids in rollout.response_ids]


def test_the_demonstrator_never_writes_what_is_banned():
    """TND-5: masked teacher."""
    student = student_of()
    stage = exchange(student)
    rounds(trial(student, stage), student, 5)
    assert not stage.counts["demonstrations"][[3, 4]].any()
    assert stage.counts["trials"][[3, 4]].any()


@pytest.mark.parametrize("shape", ["difference", "ratio", "raw", "binary"])
def test_texts_are_worth_what_their_age_says_at_the_learner_s_step(shape):
    """TND-3: the second exchange is at step 8; demonstrations are scored likewise."""
    student = student_of()
    stage = exchange(student, shape=shape)
    *_, batch = rounds(trial(student, stage), student, 2)
    for row in batch.samples:
        age = len((row["prompt"] + row["response"]).split()) / 3
        worth = {
            "difference": age - 3,
            "ratio": age / 3,
            "raw": age,
            "binary": age if age >= 3 else -1.0,
        }
        assert row["scores"]["age"] == pytest.approx(age)
        assert row["scores"]["baseline"] == pytest.approx(3)
        assert row["scores"]["total"] == pytest.approx(worth[shape])


@pytest.mark.parametrize("texts", [("trials", "demonstrations"), ("demonstrations",)])
def test_the_released_code_knows_the_age_of_demonstrations(texts):
    """TND-3: and its age model reads trials alone."""
    student, read = student_of(), []

    def noted(prompts, responses, **columns):
        read.extend(responses)
        return ages(prompts, responses)

    stage = exchange(student, texts=texts, known_age=math.log2(1000), age_model=noted)
    (batch,) = rounds(trial(student, stage), student)
    assert read == [row["response"] for row in batch.samples if row["author"] == "student"]
    for row in batch.samples:
        known = row["author"] == "demonstrator"
        age = math.log2(1000) if known else len((row["prompt"] + row["response"]).split()) / 3
        assert row["scores"]["total"] == pytest.approx(age - 2)


def test_a_twin_s_text_can_be_what_ages_are_compared_with():
    """TND-3: for each prompt its own."""
    student = student_of()
    twin = Writer(gpt2(), SAMPLING)
    stage = exchange(student, twin=twin)
    (batch,) = rounds(trial(student, stage), student)
    ids = stage.played.rollout.prompt_ids[::2]
    seed = generator(5, "twin", 0).initial_seed()
    alone = sample(twin.student, tokenizer_of(), ids, SAMPLING, seed=seed)
    texts = [p["prompt"] for p in batch.samples[::2]]
    expected = ages(texts, alone.responses).scores.tolist()
    for place in (0, 1):
        found = [row["scores"]["baseline"] for row in batch.samples[place::2]]
        assert found == pytest.approx(expected)


def test_the_first_ratio_is_one_for_demonstrations_too():
    """TND-2: old log-probabilities are the student's own, whoever wrote."""
    student = student_of()
    lesson = trial(student, exchange(student))
    (batch,) = rounds(lesson, student)
    (portion,) = batch.microbatches
    _, sums = lesson.loss(student, portion)
    assert float(sums["ratio"]) / batch.num_terms == pytest.approx(1, abs=1e-5)
    rollout = lesson.stage.played.rollout
    with torch.no_grad():
        for index in range(2 * NUM_PROMPTS):
            ids = torch.tensor([rollout.prompt_ids[index] + rollout.response_ids[index]])
            size = len(rollout.response_ids[index])
            expected = student(ids).logprobs[0, -size:]
            row = int((portion.rows.token_ids[:, : ids.shape[1]] == ids).all(1).nonzero()[0])
            torch.testing.assert_close(
                portion.tensors["logprobs"][row, :size], expected, rtol=0, atol=1e-5
            )


def test_the_ledger_counts_a_prompt_once_and_each_author_s_tokens_apart():
    """X-7."""
    student = student_of()
    (batch,) = rounds(trial(student, exchange(student)), student)
    rows = batch.samples
    tokens = [sum(row["num_tokens"] for row in rows[place::2]) for place in (0, 1)]
    words = [sum(len(row["response"].split()) for row in rows[place::2]) for place in (0, 1)]
    assert batch.exposure["generated_tokens"] == tokens[0]
    assert batch.exposure["demonstrated_tokens"] == tokens[1]
    assert batch.exposure["generated_words"] == words[0]
    assert batch.exposure["demonstrated_words"] == words[1]
    assert batch.exposure["prompt_words"] == sum(len(row["prompt"].split()) for row in rows[::2])


def test_means_are_logged_of_trials_and_demonstrations():
    """TND-6."""
    student = student_of()
    (batch,) = rounds(trial(student, exchange(student)), student)
    for place, kind in enumerate(("trial", "demonstration")):
        totals = [row["scores"]["total"] for row in batch.samples[place::2]]
        mean = sum(totals) / NUM_PROMPTS
        assert batch.metrics[f"interaction/{kind}_reward"] == pytest.approx(mean, abs=1e-5)
    assert batch.metrics["interaction/baseline"] == 2


def test_token_frequencies_count_what_was_written():
    """TND-6."""
    student = student_of()
    stage = exchange(student)
    lesson = trial(student, stage)
    written = torch.zeros(2, VOCAB, dtype=torch.long)
    for _ in range(3):
        rounds(lesson, student)
        for index, row in enumerate(stage.played.rollout.response_ids):
            written[index % 2] += torch.bincount(torch.tensor(row), minlength=VOCAB)
    assert stage.counts["trials"].equal(written[0])
    assert stage.counts["demonstrations"].equal(written[1])
    other = trial(student, exchange(student))
    other.load_state_dict(lesson.state_dict())
    assert other.stage.counts["trials"].equal(written[0])
    (again,), (batch,) = rounds(other, student), rounds(lesson, student)
    assert again.samples == batch.samples


def test_a_demonstrator_with_nothing_to_say_stops_the_run():
    """TND-2."""
    teacher = gpt2()
    with torch.no_grad():  # the end token, whatever comes before
        teacher.base.transformer.ln_f.weight.zero_()
        teacher.base.transformer.ln_f.bias.copy_(teacher.base.lm_head.weight[VOCAB - 1] * 1e4)
    student = student_of()
    with pytest.raises(RewardError, match=r"ended all of its 4 texts at once.* config\.yaml"):
        rounds(trial(student, exchange(student, teacher=teacher)), student)


def test_a_demonstrator_may_have_more_embeddings_than_tokens():
    """TND-2: it never writes the numbers that are no tokens, and the others are counted."""
    size = VOCAB - 17
    stage = exchange(student_of(), teacher=gpt2(dropout=0.0))
    stage.tokenizer = tokenizer_of(size)
    stage.counts = {name: torch.zeros(size, dtype=torch.long) for name in stage.counts}
    asked = [prompt for prompt in prompts() if max(prompt.token_ids) < size][:1] * 16
    played = stage.play(asked, round=0, row_numbers=range(16))
    tokens = [token for row in played.rollout.response_ids for token in row]
    assert sum(int(table.sum()) for table in stage.counts.values()) == len(tokens)


def test_texts_without_an_age_model_have_no_scores():
    """TND-5: they are imitated, and a worth of 0 would be a lie."""
    stage = exchange(student_of(), age_model=None)
    played = stage.play(prompts()[:1] * 2, round=0, row_numbers=range(2))
    assert [row["author"] for row in played.samples] == ["student", "demonstrator"]
    assert not any("scores" in row or "notes" in row for row in played.samples)


@pytest.mark.parametrize(
    ("batch_size", "minibatch_size", "num_processes", "message"),
    [
        (3, None, 2, r"--interaction.batch-size 3 does not divide among 2 .* a multiple of 2\."),
        (4, 9, 2, r"--update.minibatch-size 9 is more than the 8 texts .*-size 4, of two authors"),
    ],
)
def test_what_does_not_divide_is_named_as_it_was_given(
    batch_size, minibatch_size, num_processes, message
):
    """X-1: texts are twice as many as prompts, but prompts are what was asked for."""
    with pytest.raises(UserError, match=message):
        refuse_uneven(batch_size, 2, PpoUpdate(minibatch_size=minibatch_size), num_processes)


def test_what_divides_is_not_refused():
    """X-1."""
    refuse_uneven(4, 2, PpoUpdate(minibatch_size=8), 2)
    refuse_uneven(3, 1, PpoUpdate(), 3)


@pytest.mark.parametrize("twice", [False, True])
def test_an_echo_imitates_exactly_the_texts_of_the_exchange(twice):
    """TND-5: mean loss over all tokens but each text's first; twice, of random halves before."""
    student = student_of()
    stage = exchange(student, age_model=None)
    lesson = Echo(trial(student, stage), stage, plays=True, twice=twice)
    batches = rounds(lesson, student)
    assert len(batches) == lesson.steps_per_round == (3 if twice else 1)
    rollout = stage.played.rollout
    texts = [p + r for p, r in zip(rollout.prompt_ids, rollout.response_ids, strict=True)]
    parts = [[row for m in batch.microbatches for row in m] for batch in batches]
    assert sorted(parts[-1]) == sorted(texts)
    if twice:
        assert [len(part) for part in parts] == [len(texts) // 2] * 2 + [len(texts)]
        assert sorted(parts[0] + parts[1]) == sorted(texts)
        assert {row in texts[::2] for row in parts[0]} == {True, False}  # trials and others
    for batch, part in zip(batches, parts, strict=True):
        found = sum(float(lesson.loss(student, m)[0].detach()) for m in batch.microbatches)
        expected = 0.0
        for text in part:
            logits = student.model(torch.tensor([text])).logits[0, :-1]
            loss = F.cross_entropy(logits, torch.tensor(text[1:]), reduction="sum")
            expected += float(loss.detach())
        assert found == pytest.approx(expected, rel=1e-5)
        assert batch.num_terms == sum(len(text) - 1 for text in part)
    assert lesson.trial.rounds == 1


def test_a_process_without_texts_adds_nothing_to_an_echo():
    """X-5."""
    student = student_of()
    stage = exchange(student, age_model=None)
    loss, _ = Echo(trial(student, stage), stage, plays=True, twice=False).loss(student, [])
    assert float(loss.detach()) == 0
    loss.backward()


class Numbers(Demonstration):
    """Three batches of numbers in place of a corpus."""

    def __init__(self):
        self.position = 0
        self.device = torch.device("cpu")
        self.document_mask = False

    def round(self, student):
        from tutelage.batch import Batch
        from tutelage.data.packing import BlockRows

        rng = torch.Generator().manual_seed(self.position)
        ids = torch.randint(VOCAB, (4, 8), generator=rng)
        none = torch.zeros_like(ids)
        parts = [BlockRows(ids[:2], none[:2], none[:2]), BlockRows(ids[2:], none[2:], none[2:])]
        yield Batch(parts, 28, {}, "numbers")
        self.position += 1

    def state_dict(self):
        return {"position": self.position}

    def load_state_dict(self, state):
        self.position = state["position"]


def test_a_twin_learns_what_a_student_learns_that_imitates_only():
    """TND-3: same batches, same optimiser; its state resumes."""
    student = gpt2()
    alone, twin = copy.deepcopy(student), copy.deepcopy(student)

    def learner(module):
        optimizer = torch.optim.AdamW(module.parameters(), lr=1e-2)
        return optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)

    plain, (optimizer, _) = Numbers(), learner(alone)
    lesson = WithTwin(Numbers(), twin, *learner(twin), max_grad_norm=1e9, machine=MACHINE)
    for _ in range(3):
        for batch in plain.round(alone):
            for part in batch.microbatches:
                (plain.loss(alone, part)[0] / batch.num_terms).backward()
            optimizer.step()
            optimizer.zero_grad()
        rounds(lesson, student)
    for name, weights in twin.state_dict().items():
        torch.testing.assert_close(weights, alone.state_dict()[name])
    other = copy.deepcopy(student)
    again = WithTwin(Numbers(), other, *learner(other), max_grad_norm=1e9, machine=MACHINE)
    again.load_state_dict(copy.deepcopy(lesson.state_dict()))
    rounds(again, student)
    rounds(lesson, student)
    for name, weights in twin.state_dict().items():
        assert weights.equal(other.state_dict()[name])

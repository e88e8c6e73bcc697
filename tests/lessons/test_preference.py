"""Lessons of preference and regression, and the hidden states of a frozen trunk."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from models.reward_models import READOUTS, small_model
from tutelage.config import UserError
from tutelage.lessons.preference import Preference
from tutelage.lessons.regression import Regression
from tutelage.lessons.states import cached_states, key_of
from tutelage.lessons.texts import TokenTexts, at_once, score_texts, shared_portions
from tutelage.models.reward_model import Trunk
from tutelage.train.compute import ComputeConfig

LENGTHS = [(3, 5), (9, 4), (2, 2), (7, 8), (5, 12), (6, 1)]
NUM_PAIRS = len(LENGTHS)
MACHINE = ComputeConfig(precision="fp32", use_cpu=True).build()
FROZEN = Trunk(layers=2, heads=2, width=16, frozen=True)


def rows(seed: int = 0) -> list[list[int]]:
    """Token ids of pairs, chosen and rejected in turn."""
    rng = torch.Generator().manual_seed(seed)
    sizes = [size for pair in LENGTHS for size in pair]
    return [torch.randint(2, 50, (size,), generator=rng).tolist() for size in sizes]


def preference(texts, **options) -> Preference:
    settings = {
        "margins": None,
        "num_words": [len(row) for row in rows()],
        "num_tokens": [len(row) for row in rows()],
        "batch_size": NUM_PAIRS,
        "microbatch_tokens": None,
        "centring_coef": 0.0,
        "seed": 0,
        "machine": MACHINE,
        "key": "a",
    }
    return Preference(texts, **{**settings, **options})


def regression(texts, **options) -> Regression:
    settings = {
        "targets": [float(i) for i in range(2 * NUM_PAIRS)],
        "spread": 2.0,
        "num_words": [len(row) for row in rows()],
        "num_tokens": [len(row) for row in rows()],
        "batch_size": 2 * NUM_PAIRS,
        "microbatch_tokens": None,
        "seed": 0,
        "machine": MACHINE,
        "key": "a",
    }
    return Regression(texts, **{**settings, **options})


def totals(lesson, model) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    """Sums over a batch's portions, and the gradients of its loss."""
    model.zero_grad()
    (batch,) = lesson.round(model)
    sums: dict[str, float] = {}
    for microbatch in batch.microbatches:
        loss, more = lesson.loss(model, microbatch)
        loss.backward()
        for name, value in {"loss": loss, **more}.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach())
    return sums, {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("kind", READOUTS)
def test_the_loss_is_that_of_each_pair_read_alone(kind):
    """RM-2, R9."""
    model = small_model(kind)
    margins = [0.5, 0.0, 1.0, 0.0, 0.0, 2.0]
    lesson = preference(TokenTexts(rows()), margins=margins, centring_coef=0.01)
    sums, _ = totals(lesson, model)
    with torch.no_grad():
        scores = [model(torch.tensor([row])) for row in rows()]
    expected = 0.0
    for pair, margin in enumerate(margins):
        a, b = scores[2 * pair], scores[2 * pair + 1]
        expected += float(-F.logsigmoid(a - b - margin) + 0.01 * (a + b) ** 2)
    assert sums["loss"] == pytest.approx(expected, rel=1e-5)
    right = sum(float(scores[2 * i] > scores[2 * i + 1]) for i in range(NUM_PAIRS))
    assert sums["accuracy"] == right
    leads = sum(float(scores[2 * i] - scores[2 * i + 1]) for i in range(NUM_PAIRS))
    assert sums["margin"] == pytest.approx(leads, abs=1e-4)


def test_prompts_that_are_read_once_change_neither_loss_nor_gradients():
    """RM-2: pairs in one row each, against all texts in rows of their own."""
    model = small_model("last_token")
    prompt = [7, 8, 9, 10, 11]
    texts = TokenTexts([prompt[: len(row)] + row for row in rows()])
    joined = preference(texts, centring_coef=0.1, microbatch_tokens=40)
    sums, grads = totals(joined, model)
    assert joined.joins
    apart = preference(texts, centring_coef=0.1)
    apart.lengths = joined.lengths
    expected, others = totals(apart, model)
    assert not apart.joins
    assert sums == pytest.approx(expected, abs=1e-4)
    for name, grad in grads.items():
        torch.testing.assert_close(others[name], grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["last_token", "layerwise_attention"])
def test_portions_hold_no_more_places_than_allowed(kind):
    """X-5: of both sides of their pairs, joined or apart."""
    model, seen = small_model(kind), []
    model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    lesson = preference(TokenTexts(rows()), microbatch_tokens=40)
    totals(lesson, model)
    assert lesson.joins == (kind == "last_token")
    assert max(token_ids.numel() for token_ids in seen) <= 40


def test_a_cpu_reads_no_more_at_once_than_its_caches_hold():
    """X-5: results stay the same."""
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert [at_once(most, cpu) for most in (None, 10, 10**6)] == [1536, 10, 1536]
    assert [at_once(most, gpu) for most in (None, 10, 10**6)] == [None, 10, 10**6]


def test_a_batch_that_was_handed_out_is_not_handed_out_again():
    """X-3: though its round ended with it."""
    lesson = preference(TokenTexts(rows()), batch_size=2)
    model = small_model("last_token")
    names = [next(iter(lesson.round(model))).name for _ in range(2)]
    assert names == ["pairs 0 to 1 of the order", "pairs 2 to 3 of the order"]


@pytest.mark.parametrize("make", [preference, regression])
def test_portions_change_neither_loss_nor_gradients(make):
    """X-5: memory only."""
    model = small_model("layerwise_attention")
    whole, grads = totals(make(TokenTexts(rows())), model)
    for most in (1, 16, 40):
        sums, parts = totals(make(TokenTexts(rows()), microbatch_tokens=most), model)
        assert sums == pytest.approx(whole, abs=1e-4)
        for name, grad in grads.items():
            torch.testing.assert_close(parts[name], grad, rtol=1e-4, atol=1e-5)


def test_the_regression_is_on_the_targets_in_units_of_their_spread():
    """TND-4."""
    model = small_model("last_token")
    sums, _ = totals(regression(TokenTexts(rows())), model)
    with torch.no_grad():
        scores = [float(model(torch.tensor([row]))) for row in rows()]
    errors = sum((score - target) ** 2 for target, score in enumerate(scores))
    assert sums["squared_error"] == pytest.approx(errors, rel=1e-5)
    assert sums["loss"] == pytest.approx(errors / 4, rel=1e-5)
    assert sums["prediction"] == pytest.approx(sum(scores), abs=1e-4)


def test_an_epoch_has_each_pair_once_and_exposure_counts_what_was_read():
    """RM-5, X-7."""
    lesson = preference(TokenTexts(rows()), batch_size=2)
    batches = [batch for _ in range(3) for batch in lesson.round(small_model("last_token"))]
    seen = sorted(pair for batch in batches for part in batch.microbatches for pair in part)
    assert seen == list(range(NUM_PAIRS))
    tokens = sum(batch.exposure["read_tokens"] for batch in batches)
    assert tokens == sum(map(sum, LENGTHS)) == sum(b.exposure["read_words"] for b in batches)


def test_a_run_that_goes_on_reads_what_it_would_have_read():
    """X-3."""
    lesson, other = (preference(TokenTexts(rows()), batch_size=4) for _ in range(2))
    model = small_model("last_token")
    rounds = [batch.microbatches for _ in range(4) for batch in lesson.round(model)]
    list(other.round(model))
    again = preference(TokenTexts(rows()), batch_size=4)
    again.load_state_dict(other.state_dict())
    rest = [batch.microbatches for _ in range(3) for batch in again.round(model)]
    assert rest == rounds[1:]
    assert rest[0] != rounds[0]
    with pytest.raises(UserError, match="changed since this run began"):
        preference(TokenTexts(rows()), key="b").load_state_dict(other.state_dict())


class Process:
    """One of several processes; only what sharing work needs."""

    def __init__(self, rank: int, num_processes: int):
        self.rank, self.num_processes = rank, num_processes


@pytest.mark.parametrize("num_processes", [1, 2, 3])
@pytest.mark.parametrize("most", [None, 8, 20])
def test_processes_share_rows_and_have_equally_many_portions(num_processes, most):
    """X-5."""
    lengths = [5, 1, 7, 3, 9, 2, 8]
    shares = [
        shared_portions(lengths, range(7), Process(rank, num_processes), most)
        for rank in range(num_processes)
    ]
    assert len({len(share) for share in shares}) == 1
    assert sorted(i for share in shares for part in share for i in part) == list(range(7))
    sizes = [max(lengths[i] for i in p) * len(p) for share in shares for p in share if len(p) > 1]
    assert most is None or max(sizes, default=0) <= most


def test_a_process_without_work_adds_nothing():
    """X-5."""
    model = small_model("last_token")
    for lesson in (preference(TokenTexts(rows())), regression(TokenTexts(rows()))):
        loss, sums = lesson.loss(model, [])
        assert float(loss.detach()) == 0
        assert all(float(value) == 0 for value in sums.values())
        loss.backward()


def states(model, folder: Path, **options):
    said: list[str] = []
    settings = {"machine": MACHINE, "microbatch_tokens": 30, **options}
    found = cached_states(
        model, rows(), cache_dir=folder, say=said.append, progress=lambda done: None, **settings
    )
    return found, said


@pytest.mark.parametrize("kind", READOUTS)
def test_training_on_the_cache_gives_the_numbers_of_training_with_the_trunk(kind, tmp_path):
    """RM-4: losses and gradients to 1e-5, over several steps."""
    losses = []
    for is_cached in (True, False):
        model = small_model(kind, trunk=FROZEN)
        texts = states(model, tmp_path)[0] if is_cached else TokenTexts(rows())
        lesson = preference(texts, microbatch_tokens=24, batch_size=4)
        learned = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(learned, lr=1e-2)
        found = []
        for _ in range(6):
            sums, _ = totals(lesson, model)
            found.append(sums["loss"])
            optimizer.step()
        losses.append(found)
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert losses[0][0] != losses[0][-1]


def test_the_cache_is_used_again_and_its_size_is_told_before(tmp_path):
    """RM-4."""
    model = small_model("full_attention", trunk=FROZEN)
    first, said = states(model, tmp_path)
    (file,) = (tmp_path / "states").glob("*.bin")
    assert len(said) == 1
    assert "Hidden states of 12 texts: 0.0 MB" in said[0]
    assert file.stat().st_size == sum(map(sum, LENGTHS)) * 2 * 16 * 4
    written = file.stat().st_mtime_ns
    second, said = states(model, tmp_path)
    assert said == []
    assert file.stat().st_mtime_ns == written
    torch.testing.assert_close(first.states, second.states, rtol=0, atol=0)


def test_a_corrupt_cache_is_made_anew(tmp_path):
    """RM-4: never silently stale."""
    model = small_model("decoder_output", trunk=FROZEN)
    good = states(model, tmp_path)[0].states.clone()
    (file,) = (tmp_path / "states").glob("*.bin")
    content = bytearray(file.read_bytes())
    content[10] ^= 1
    file.write_bytes(content)
    again, said = states(model, tmp_path)
    assert len(said) == 1
    torch.testing.assert_close(again.states, good, rtol=0, atol=0)


def test_any_change_makes_a_new_key():
    """RM-4: weights, texts, read-out's needs, precision."""
    model = small_model("attention_pooled_encoder", trunk=FROZEN)
    fewer = small_model("attention_pooled_encoder", trunk=FROZEN, n_blocks_to_use=1)
    changed = small_model("attention_pooled_encoder", trunk=FROZEN)
    with torch.no_grad():
        next(changed.model.parameters()).view(-1)[7] += 1e-6
    other_rows = [[*rows()[0][:-1], 3], *rows()[1:]]
    joined = [rows()[0] + rows()[1], [], *rows()[2:]]
    bf16 = ComputeConfig(precision="bf16", use_cpu=True).build()
    keys = [
        key_of(one, some, machine, torch.float32)
        for one, some, machine in [
            (model, rows(), MACHINE),
            (fewer, rows(), MACHINE),
            (changed, rows(), MACHINE),
            (model, other_rows, MACHINE),
            (model, joined, MACHINE),
            (model, rows(), bf16),
        ]
    ]
    assert len(set(keys)) == len(keys)
    again = small_model("attention_pooled_encoder", trunk=FROZEN)
    again.readout.score.weight.data += 1  # the head does not matter
    assert key_of(again, rows(), MACHINE, torch.float32) == keys[0]


def test_scores_come_in_the_order_asked_for():
    """RM-5: whatever the portions."""
    model = small_model("decoder_output")
    texts = TokenTexts(rows())
    wanted = [4, 0, 7]
    found = score_texts(model, texts, wanted, machine=MACHINE, microbatch_tokens=9)
    with torch.no_grad():
        alone = torch.cat([model(torch.tensor([rows()[index]])) for index in wanted])
    torch.testing.assert_close(found, alone, rtol=0, atol=1e-5)

"""The loop divides summed losses once by the number of terms of the whole optimiser step."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from tutelage.batch import Batch
from tutelage.train.compute import Compute, ComputeConfig
from tutelage.train.loop import DivergedError, Learner, Progress, Stop, train, update


class Squares:
    """A lesson whose loss is the summed squared error of a linear student."""

    name = "squares"

    def __init__(self, batches: list[Batch]):
        self.batches = batches
        self.rounds = 0

    def round(self, student: torch.nn.Module) -> Iterator[Batch]:
        self.rounds += 1
        yield from self.batches

    def loss(
        self, student: torch.nn.Module, microbatch: Any
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        inputs, targets = microbatch
        errors = student(inputs) - targets
        return errors.square().sum(), {"absolute": errors.abs().sum()}

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


@pytest.fixture
def compute() -> Compute:
    return ComputeConfig(precision="fp32", use_cpu=True).build()


def linear(seed: int = 0) -> torch.nn.Linear:
    layer = torch.nn.Linear(3, 1)
    values = torch.randn(4, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        layer.weight.copy_(values[:3])
        layer.bias.copy_(values[3:])
    return layer


def learner(student: torch.nn.Module, lesson: Squares, lr: float = 0.1) -> Learner:
    optimizer = torch.optim.SGD(student.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    return Learner(lesson, optimizer, schedule, max_grad_norm=1e9)


def batch_of(inputs: Tensor, targets: Tensor, sizes: list[int], num_terms: int) -> Batch:
    parts = list(zip(inputs.split(sizes), targets.split(sizes), strict=True))
    return Batch(parts, num_terms, {"read_tokens": num_terms}, "b")


def numbers(rows: int) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(1)
    return torch.randn(rows, 3, generator=rng), torch.randn(rows, 1, generator=rng)


@pytest.mark.parametrize("sizes", [[8], [2, 2, 2, 2], [5, 1, 2]])
def test_micro_batches_of_any_size_change_nothing(compute: Compute, sizes: list[int]) -> None:
    """Accumulation ×k equals batch ×k, also where micro-batches are unequal."""
    inputs, targets = numbers(8)
    whole, parts = linear(), linear()
    batches = [batch_of(inputs, targets, split, 8) for split in ([8], sizes)]
    rows = [
        update(student, learner(student, Squares([])), batch, compute)
        for student, batch in zip((whole, parts), batches, strict=True)
    ]
    assert rows[0] == pytest.approx(rows[1], rel=1e-6)
    torch.testing.assert_close(whole.weight, parts.weight, rtol=1e-6, atol=0)


def test_tokens_are_weighted_alike_by_hand(compute: Compute) -> None:
    """4 terms of loss 1 and 1 term of loss 5: (4 + 5) / 5 = 1.8, not (1 + 5) / 2 = 3."""
    student = linear()
    with torch.no_grad():
        student.weight.zero_()
        student.bias.zero_()
    targets = torch.tensor([1.0, 1, 1, 1, 5**0.5])[:, None]
    batch = batch_of(torch.zeros(5, 3), targets, [4, 1], 5)
    row = update(student, learner(student, Squares([])), batch, compute)
    assert row["squares/loss"] == pytest.approx(1.8)
    assert row["squares/absolute"] == pytest.approx((4 + 5**0.5) / 5)


def test_gradients_are_clipped_to_the_learners_norm(compute: Compute) -> None:
    """The logged norm is the one before clipping; the step has the clipped one."""
    inputs, targets = numbers(4)
    student, lesson = linear(), Squares([])
    before = torch.nn.utils.parameters_to_vector(student.parameters()).clone()
    clipped = learner(student, lesson, lr=1.0)._replace(max_grad_norm=0.25)
    row = update(student, clipped, batch_of(inputs, targets, [4], 4), compute)
    after = torch.nn.utils.parameters_to_vector(student.parameters())
    assert row["optim/grad_norm"] > 0.25
    assert (before - after).norm().item() == pytest.approx(0.25, rel=1e-4)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_before_the_update(compute: Compute, value: float) -> None:
    """The batch is named and the weights stay as they were."""
    student = linear()
    weights = student.weight.clone()
    batch = batch_of(torch.ones(1, 3), torch.tensor([[value]]), [1], 1)
    with pytest.raises(DivergedError, match="batch b"):
        update(student, learner(student, Squares([])), batch, compute)
    assert torch.equal(student.weight, weights)


def test_lessons_alternate_by_round_and_keep_their_own_optimisers(compute: Compute) -> None:
    """A curriculum is a function of the round; steps are counted over all lessons."""
    inputs, targets = numbers(4)
    one, two = (batch_of(inputs, targets, [4], 4) for _ in range(2))
    lessons = {"first": Squares([one]), "second": Squares([one, two])}
    student = linear()
    learners = {name: learner(student, lesson) for name, lesson in lessons.items()}
    progress, seen = Progress(), []
    train(
        student,
        learners,
        lambda round: ["second"] if round % 2 else ["first"],
        steps=5,
        compute=compute,
        progress=progress,
        after_step=[lambda p: seen.append(p.step)],
        after_round=[lambda p: seen.append(-p.round)],
    )
    # Rounds have 1, 2, 1, 2 … steps; the fourth is cut at step 5.
    assert seen == [1, -1, 2, 3, -2, 4, -3, 5, -4]
    assert (lessons["first"].rounds, lessons["second"].rounds) == (2, 2)
    assert progress.ledger.read_tokens == 20


def test_a_hook_ends_the_run_at_once(compute: Compute) -> None:
    """P24: a limit is not passed by further steps of the same round, which has no end then."""
    inputs, targets = numbers(4)
    student, lesson = linear(), Squares([batch_of(inputs, targets, [4], 4)] * 3)

    def stop(progress: Progress) -> None:
        progress.stop = Stop("enough", 0) if progress.step == 4 else progress.stop

    progress, ends = Progress(), []
    train(
        student,
        {"squares": learner(student, lesson)},
        lambda round: ["squares"],
        steps=100,
        compute=compute,
        progress=progress,
        after_step=[stop],
        after_round=[lambda progress: ends.append(progress.round)],
    )
    assert (progress.step, progress.round, ends) == (4, 1, [1])


def test_a_round_may_have_several_lessons(compute: Compute) -> None:
    """TND-1: each with its own optimiser, in the order given; hooks after the whole round."""
    inputs, targets = numbers(4)
    batch = batch_of(inputs, targets, [4], 4)
    lessons = {"first": Squares([batch]), "second": Squares([batch, batch])}
    student = linear()
    learners = {name: learner(student, lesson) for name, lesson in lessons.items()}
    progress, seen = Progress(), []
    train(
        student,
        learners,
        lambda round: ["second", "first"] if round % 2 else ["first"],
        steps=6,
        compute=compute,
        progress=progress,
        after_step=[lambda p: seen.append(p.step)],
        after_round=[lambda p: seen.append(-p.round)],
    )
    # Rounds have 1, 2 + 1, 1, 2 + 1 … steps; the fourth is cut at step 6, within its first lesson.
    assert seen == [1, -1, 2, 3, 4, -2, 5, -3, 6, -4]
    assert (lessons["first"].rounds, lessons["second"].rounds) == (3, 2)

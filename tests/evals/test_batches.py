"""Batches keep to the budget, and threads change nothing."""

from typing import Any

import hypothesis
import pytest
import torch
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from tutelage.evals.batches import Reader, batches, side_by_side
from tutelage.evals.families import LONGEST
from tutelage.models.student_module import Student

CPU = torch.device("cpu")


@pytest.fixture
def student() -> Student:
    config = LlamaConfig(
        vocab_size=300,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=2_048,
    )
    torch.manual_seed(0)
    return Student(LlamaForCausalLM(config)).eval()


@pytest.fixture
def cores():
    """Two cores, wherever the test runs."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield 2
    torch.set_num_threads(before)


def alone(student: Student, row: tuple[int, ...]) -> torch.Tensor:
    """Log-probabilities of a row's tokens, from the model's own logits."""
    with torch.no_grad():
        logprobs = student.base(torch.tensor([row])).logits[0].log_softmax(-1)
    return logprobs[:-1].gather(1, torch.tensor(row)[1:, None]).squeeze(1)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_change_no_number_and_give_the_cores_back(student, cores: int, threads) -> None:
    """EV-2: batches of threads are those of their rows alone, in the order of the rows."""
    torch.set_num_threads(threads)
    rng = torch.Generator().manual_seed(0)
    lengths = [5, 30, 17, 2, 30, 8]
    rows = [tuple(torch.randint(300, (n,), generator=rng).tolist()) for n in lengths]
    found = Reader(student, CPU, rows, [1] * len(rows)).logprobs(40)
    assert torch.get_num_threads() == threads
    for row, scores in zip(rows, found, strict=True):
        torch.testing.assert_close(scores, alone(student, row), rtol=0, atol=1e-5)


def calls(module: torch.nn.Module) -> list[tuple[int, ...]]:
    """A list that gets the shape of what the module reads, whenever it is called."""
    found = []

    def note(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        found.append(tuple([*args, *kwargs.values()][0].shape))

    module.register_forward_pre_hook(note, with_kwargs=True)
    return found


def test_rows_too_long_for_a_family_are_read_whole(student, cores: int) -> None:
    """EV-2: beside shorter ones with the same beginning; no square mask is made for them."""
    stem = tuple(i % 300 for i in range(LONGEST))
    rows = [(*stem, 1), (*stem, 2), (*stem[:50], 3), (*stem[:50], 4)]
    starts = [LONGEST, 5, 1, 50]
    whole = calls(student)
    found = Reader(student, CPU, rows, starts).logprobs(10)
    assert whole == [(1, LONGEST + 1)] * 2
    for row, start, scores in zip(rows, starts, found, strict=True):
        torch.testing.assert_close(scores, alone(student, row)[start - 1 :], rtol=0, atol=1e-5)


def test_little_work_is_shared_out_too(student, cores: int) -> None:
    """EV-2: it does not stay in one batch while other cores have none."""
    batches_read = calls(student.base.get_decoder())
    rows = [(first, 1, 2, 3) for first in range(10)]
    Reader(student, CPU, rows, [1] * 10).logprobs(100_000)
    assert batches_read == [(5, 3)] * 2


def test_jobs_share_out_the_cores_and_errors_come_through(cores: int) -> None:
    """EV-2: each of two threads computes with one core; after an error there are two again."""
    assert [*side_by_side([torch.get_num_threads] * 3, cores)] == [1, 1, 1]  # pyright: ignore
    assert torch.get_num_threads() == 2
    assert [*side_by_side([torch.get_num_threads], cores)] == [2]  # pyright: ignore

    def fail() -> dict:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        list(side_by_side([fail, fail], cores))
    assert torch.get_num_threads() == 2


@hypothesis.given(st.lists(st.integers(1, 99), max_size=30), st.integers(1, 200))
def test_batches_hold_every_row_once_within_the_budget(lengths: list[int], budget: int) -> None:
    """EV-2: a row longer than the budget stands alone."""
    rows = range(len(lengths))
    groups = list(batches(rows, lengths.__getitem__, budget))
    assert sorted(row for group in groups for row in group) == list(rows)
    for group in groups:
        assert len(group) == 1 or max(lengths[row] for row in group) * len(group) <= budget

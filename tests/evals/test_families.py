"""Rows that begin alike lie in one tree, and each token sees what it sees in its row."""

import hypothesis
import torch
from hypothesis import strategies as st

from evals.scorers import Opinion, scorer_of, small_student, small_tokenizer
from tutelage.evals.families import LONGEST, can_branch, families, lay_out
from tutelage.evals.scoring import Row

ROWS = st.lists(
    st.lists(st.integers(0, 2), min_size=2, max_size=9).map(tuple), min_size=1, unique=True
)


def test_families_save_tokens_and_lose_no_row() -> None:
    """EV-2: rows with a common beginning lie in one line; beginnings are laid out once."""
    stem = tuple(range(30))
    rows = [(*stem, 50), (9, 9), (*stem, 51, 52), (*stem[:3], 60), (*stem, 53)]
    found = families(rows, range(5), 10)
    assert [(f.rows, f.common, f.length) for f in found] == [
        ((0, 2, 4), (0, 30, 30), 30 + 1 + 2 + 1),
        # 3 tokens saved are not worth that 30 are looked at.
        ((3,), (0,), 4),
        ((1,), (0,), 2),
    ]
    (wide, _) = families(rows, range(5), 1_000)
    assert wide.rows == (0, 2, 4, 3)
    assert wide.common == (0, 30, 30, 3)


def test_a_line_is_never_longer_than_attention_can_bear() -> None:
    """EV-2."""
    rows = [(*range(LONGEST - 6), last, 0) for last in range(9)]
    found = families(rows, range(9), 64)
    assert all(family.length <= LONGEST for family in found)
    assert sorted(row for family in found for row in family.rows) == list(range(9))
    assert len(found) == 3


@hypothesis.given(ROWS, st.data())
def test_every_question_is_asked_after_exactly_its_own_tokens(rows, data) -> None:
    """EV-2: read off the layout for each token: what stands before it, where, and what it sees."""
    starts = [data.draw(st.integers(1, len(row) - 1)) for row in rows]
    group = families(rows, range(len(rows)), data.draw(st.integers(1, 50)))
    layout = lay_out(group, rows, starts)
    numbers = iter(layout.answers.tolist())
    time = layout.token_ids.shape[1]
    # Padding too: what sees nothing at all may turn into no number and spread.
    assert (layout.lasts >= torch.arange(time)).all()
    for number in (number for family in group for number in family.rows):
        for target in range(starts[number], len(rows[number])):
            question = next(numbers)
            line, place = divmod(int(layout.before[question]), time)
            seen = [i for i in range(place + 1) if layout.lasts[line, i] >= place]
            assert tuple(layout.token_ids[line, seen].tolist()) == rows[number][:target]
            assert layout.positions[line, seen].tolist() == list(range(target))
            assert int(layout.targets[question]) == rows[number][target]
    assert next(numbers, None) is None


@hypothesis.given(ROWS)
def test_no_question_is_asked_twice_in_a_line_and_no_token_is_read_for_nothing(rows) -> None:
    """EV-2: with all rows in one line, each beginning is read and each token asked about once."""
    (family,) = families(rows, range(len(rows)), 100_000)[:1]
    rows = [rows[number] for number in family.rows]
    (family,) = families(rows, range(len(rows)), 100_000)
    layout = lay_out([family], rows, [1] * len(rows))
    beginnings = {row[:end] for row in rows for end in range(1, len(row))}
    assert layout.token_ids.shape == (1, len(beginnings))
    asked = {row[:end] for row in rows for end in range(2, len(row) + 1)}
    assert len(layout.targets) == len(asked)


def test_a_student_without_masks_of_its_own_reads_rows_alone(tmp_path) -> None:
    """EV-2: where it can't be told which tokens see which, nothing is shared."""
    tokenizer = small_tokenizer(tmp_path)
    student = small_student(tokenizer)
    assert can_branch(student)
    assert not can_branch(Opinion())
    rows = [Row([*range(30), last], 1) for last in range(40, 45)]
    together = scorer_of(student, tokenizer).logprobs(rows)
    student.has_chunked_head = False
    assert not can_branch(student)
    for one, other in zip(together, scorer_of(student, tokenizer).logprobs(rows), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)

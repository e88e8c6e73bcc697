"""Milestones come where the papers put them, once each."""

from datetime import datetime
from itertools import islice, takewhile
from pathlib import Path

import pytest
from pydantic import ValidationError

from tutelage.run_folder import Ledger
from tutelage.train.milestones import Milestones, Position, milestone_name, run_name

EVENING = datetime(2025, 7, 20, 23, 15, 10)


def test_log_milestones_are_those_of_trials_and_demonstrations() -> None:
    """TND-6: every 2 steps to 20, 5 to 100, 10 to 500, 50 to 1000, 500 to 10k, then 10k."""
    expected = [
        *range(2, 21, 2),
        *range(25, 101, 5),
        *range(110, 501, 10),
        *range(550, 1001, 50),
        *range(1500, 10001, 500),
        20000,
        30000,
    ]
    assert list(islice(Milestones(spacing="log").points(), len(expected))) == expected


def test_babylm_milestones_count_words() -> None:
    """PRE-2: 1M…10M by 1M, to 100M by 10M, to 1B by 100M."""
    m = 1_000_000
    expected = [*range(m, 11 * m, m), *range(20 * m, 101 * m, 10 * m)]
    expected += [*range(200 * m, 1001 * m, 100 * m)]
    points = takewhile(lambda p: p <= 1000 * m, Milestones(spacing="babylm").points())
    assert list(points) == expected


@pytest.mark.parametrize(
    ("unit", "at", "name"),
    [
        ("steps", 1_000_000, "step_1000000"),
        ("words", 7_000_000, "chck_7M"),
        ("words", 1_000_000_000, "chck_1000M"),
        ("words", 500_000, "chck_500K"),
        ("tokens", 1_234, "tokens_1234"),
        ("interaction_tokens", 100_000, "checkpoint_100K_tokens"),
        ("interaction_words", 2_500_000, "checkpoint_2500K_words"),
    ],
)
def test_names_are_babylms_for_words(unit: str, at: int, name: str) -> None:
    """PRE-2: 1B is chck_1000M in BabyLM's own lists."""
    assert milestone_name(unit, at) == name  # pyright: ignore[reportArgumentType]


def test_each_milestone_is_passed_once_and_late_ones_are_not_lost() -> None:
    """PRE-2: a step that jumps over two milestones reaches the later one."""
    upcoming = Milestones(spacing="every", unit="words", every=10).upcoming(Position(0, 0, 0))
    passed = [upcoming.passed(Position(0, 0, words)) for words in (4, 9, 10, 12, 35, 39, 40)]
    assert [due and due.at for due in passed] == [None, None, 10, None, 30, None, 40]


def test_a_resumed_run_does_not_see_old_milestones_again() -> None:
    """X-3."""
    upcoming = Milestones(spacing="every", every=10).upcoming(Position(20, 0, 0))
    assert upcoming.passed(Position(21, 0, 0)) is None
    assert upcoming.passed(Position(30, 0, 0)) == ("step_30", 30)


def test_last_has_no_milestones_of_its_own() -> None:
    """PRE-2."""
    assert list(Milestones().points()) == []


@pytest.mark.parametrize("wrong", [{"spacing": "every"}, {"every": 5}, {"spacing": "list"}])
def test_half_told_milestones_are_refused(wrong: dict[str, object]) -> None:
    """X-1."""
    with pytest.raises(ValidationError, match="give both or neither"):
        Milestones.model_validate(wrong)


def test_interaction_is_prompts_responses_and_the_judges_output() -> None:
    """PPO-4: checkpoints every so many tokens of interaction."""
    ledger = Ledger(
        read_tokens=10**9,
        read_words=10**9,
        prompt_tokens=60,
        prompt_words=6,
        generated_tokens=30,
        generated_words=3,
        judged_tokens=10,
        judged_words=1,
        demonstrated_tokens=10**9,
    )
    position = Position.of(7, ledger)
    assert (position.interaction_tokens, position.interaction_words) == (100, 10)
    for unit, name in (("tokens", "checkpoint_50_tokens"), ("words", "checkpoint_5_words")):
        every = {"tokens": 50, "words": 5}[unit]
        milestones = Milestones.model_validate(
            {"spacing": "every", "unit": f"interaction_{unit}", "every": every}
        )
        before = position._replace(interaction_tokens=99, interaction_words=9)
        upcoming = milestones.upcoming(Position(0, 0, 0))
        due = upcoming.passed(before)
        assert due
        assert due.name == name
        due = upcoming.passed(position)
        assert due
        assert due.at == 2 * every


def test_facts_tell_of_interaction_only_where_there_was_any() -> None:
    """X-2."""
    assert Position(1, 2, 3).facts() == {"step": 1, "tokens": 2, "words": 3}
    facts = Position(1, 2, 3, 40, 4).facts()
    assert facts["interaction_tokens"] == 40
    assert facts["interaction_words"] == 4


@pytest.mark.parametrize(
    ("model", "limit", "unit", "name"),
    [
        (
            "meta-llama/Llama-3-8b-instruct",
            300_000,
            "tokens",
            "meta-llama_Llama-3-8b-instruct_300K_tokens",
        ),
        ("gpt2", 1_000_000, "words", "gpt2_1M_words"),
        ("runs/first/checkpoints/chck_7M", 1_234, "steps", "chck_7M_1234_steps"),
        ("./student/", 500, "tokens", "student_500_tokens"),
        ("owner/name@main branch", 500, "tokens", "owner_name_main_branch_500_tokens"),
    ],
)
def test_runs_are_named_after_model_limit_and_time(
    model: str, limit: int, unit: str, name: str
) -> None:
    """PPO-4."""
    found = run_name(model, limit, unit, EVENING)  # pyright: ignore[reportArgumentType]
    assert found == f"{name}__2025-07-20__23-15-10"


def test_a_folder_with_one_slash_is_not_a_hub_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PPO-4."""
    (tmp_path / "runs" / "first").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert run_name("runs/first", 1, "steps", EVENING).startswith("first_1_steps__")


def test_rounds_of_the_curriculum_can_be_counted():
    """TND-6: as log-spaced milestones, named after rounds; stored beside steps."""
    milestones = Milestones(spacing="log", unit="rounds")
    assert milestones.counted() == "rounds"
    upcoming = milestones.upcoming(Position(0, 0, 0))
    passed = [upcoming.passed(Position(3 * r, 0, 0, rounds=r)) for r in (1, 2, 3, 4, 20, 21, 25)]
    assert [due and due.name for due in passed] == [
        None, "round_2", None, "round_4", "round_20", None, "round_25",
    ]  # fmt: skip
    assert Position(6, 1, 1, rounds=2, seen_words=1).facts() == {
        "step": 6, "tokens": 1, "words": 1, "round": 2,
    }  # fmt: skip


def test_words_seen_are_read_prompted_demonstrated_and_one_s_own():
    """X-7."""
    ledger = Ledger(read_words=1, prompt_words=20, demonstrated_words=300, generated_words=4000)
    assert Position.of(1, ledger).seen_words == 4321
    assert Position.of(1, ledger).facts()["seen_words"] == 4321

"""Lists of checkpoints with their step or word counts (EV-4)."""

from pathlib import Path

import pytest

from tutelage.config import UserError
from tutelage.evals.checkpoint_list import Listed, is_list, read_list, results_of


def write(tmp_path: Path, text: str) -> Path:
    """A list, beside the folders a and b."""
    for name in ("a", "b", "run/checkpoints"):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
    path = tmp_path / "mine.csv"
    path.write_text(text)
    return path


def test_checkpoints_come_in_the_order_of_training_from_where_the_list_is(tmp_path: Path) -> None:
    """EV-4: a folder beside the list, or a name on the hub; further columns are left aside."""
    path = write(tmp_path, "note,step,checkpoint,words\nx,200,b,7000\n,30,someone/small,900\n")
    assert read_list(path) == [
        Listed("someone/small", "step_30", {"step": 30, "words": 900}, f"{path}, line 3"),
        Listed(f"{tmp_path}/b", "step_200", {"step": 200, "words": 7000}, f"{path}, line 2"),
    ]
    assert results_of(path) == tmp_path / "evals" / "mine"


def test_words_may_stand_in_the_place_of_steps(tmp_path: Path) -> None:
    """EV-4."""
    path = write(tmp_path, "\ufeffcheckpoint,words\na,1000000\n")
    assert [(row.milestone, row.position) for row in read_list(path)] == [
        ("words_1000000", {"words": 1_000_000})
    ]


def test_a_list_is_known_by_its_name() -> None:
    """X-1."""
    assert is_list("a/b.csv")
    assert is_list(Path("B.CSV"))
    assert not is_list("csv")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("checkpoint,steps\na,1\n", "no column step. Did you mean steps?"),
        ("chekpoint,step\na,1\n", "no column checkpoint. Did you mean chekpoint?"),
        ("", "no column checkpoint"),
        ("checkpoint,step\n", "lists no checkpoint"),
        ("checkpoint,step\na,1\nb,many\n", "line 3: step is many"),
        ("checkpoint,step\na,-1\n", "line 2: step is -1"),
        ("checkpoint,step,words\na,1\n", "line 2: words is missing"),
        ("checkpoint,step\na,5\nb,5\n", "line 3: step 5 is in the list a second time"),
        ("checkpoint,step\n,5\n", "line 2: checkpoint is missing"),
        ("checkpoint,step\nrun,5\n", "line 2: run is a run"),
        ('checkpoint,step\n"a,5\n', "cannot be read"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    """X-1: bad input is one sentence."""
    with pytest.raises(UserError) as refusal:
        read_list(write(tmp_path, text))
    assert said in str(refusal.value)
    assert "mine.csv" in str(refusal.value)


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    """X-1."""
    with pytest.raises(UserError, match="There is no list of checkpoints"):
        read_list(tmp_path / "none.csv")

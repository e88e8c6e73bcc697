"""`tutelage demo`: the whole story, at a size of seconds, on a text of one's own."""

import json
from pathlib import Path

import pytest

from recipes.pretraining import write_corpus
from tutelage.cli import main
from tutelage.commands import demo_stages
from tutelage.commands.demo import split_of


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer steps of everything."""
    for name, value in {
        "TEACHER_STEPS": 8,
        "STUDENT_STEPS": 8,
        "AGES": (1, 2, 4, 8),
        "LOOKS": (2, 4, 6, 8),
        "TEXTS_PER_AGE": 24,
        "CONTEXTS": 1,
    }.items():
        monkeypatch.setattr(demo_stages, name, value)


def test_the_story_is_told_to_its_end_and_goes_on_where_it_stopped(
    tiny: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """X-9: what is done is not done again."""
    text, out = write_corpus(tmp_path / "stories.jsonl", documents=300), tmp_path / "demo"
    assert main(["demo", "--text", str(text), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "5 of 5: students learn" in said
    assert "rank correlation" in said
    assert str(out / "students" / "report.html") in said
    arms = json.loads((out / "students" / "arms.json").read_text())["arms"]
    assert set(arms) == {"clm", "tnd", "demonstrations_only"}
    kept = (out / "age" / "checkpoints" / "best" / "model.safetensors").stat().st_mtime_ns
    (out / "students" / "report.html").unlink()
    (out / "students" / "tnd-seed0" / "complete.json").unlink()
    assert main(["demo", "--resume", str(out)]) == 0
    said = capsys.readouterr().out
    assert "5 of 5: students learn" in said
    assert "4 of 5" not in said
    assert "clm-seed0" not in said
    assert (out / "age" / "checkpoints" / "best" / "model.safetensors").stat().st_mtime_ns == kept


def test_a_tenth_of_a_text_is_put_aside(tmp_path: Path) -> None:
    """X-9: nothing is in both parts, and nothing is lost."""
    path = tmp_path / "text.txt"
    path.write_text("".join(f"line {i}\n" for i in range(95)))
    train, held_out = split_of(path)
    assert len(held_out) == 9
    assert not {*train} & {*held_out}
    assert {*train, *held_out} == {f"line {i}" for i in range(95)}


def test_bad_input_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """X-1."""
    short = tmp_path / "short.txt"
    short.write_text("one line\nand another\n")
    assert main(["demo", "--text", str(short), "--out", str(tmp_path / "a")]) == 2
    assert "has 2 documents, but 40 are needed" in capsys.readouterr().err
    assert main(["demo", "--resume", str(tmp_path)]) == 2
    assert "is no demo that was stopped" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()

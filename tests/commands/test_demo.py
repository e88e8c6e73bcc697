"""`tutelage demo`: the whole story, at a size of seconds, on a text of one's own."""

import json
import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest

from recipes.pretraining import write_corpus
from tutelage.cli import main
from tutelage.commands import demo_stages
from tutelage.commands.demo import refuse_unfit, split_of


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


def interrupt_when(path: Path) -> threading.Thread:
    """Send this process Ctrl-C once there is a folder."""

    def act() -> None:
        while not path.exists():
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    return thread


def test_the_story_is_told_to_its_end_and_goes_on_where_it_stopped(
    tiny: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """X-9, X-3: what is done is not done again; Ctrl-C stops it while the teacher writes, too."""
    text, out = write_corpus(tmp_path / "stories.jsonl", documents=300), tmp_path / "demo"
    thread = interrupt_when(out / ".ages.jsonl.parts")
    assert main(["demo", "--text", str(text), "--out", str(out)]) == 130
    thread.join()
    assert f"Go on with: tutelage demo --resume {out}" in capsys.readouterr().out
    assert not (out / "ages.jsonl").exists()
    assert main(["demo", "--resume", str(out)]) == 0
    said = capsys.readouterr().out
    assert "2 of 5" not in said
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
    assert main(["demo", "--resume", str(tmp_path)]) == 2
    assert "is no demo that was stopped" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("few.txt", "one line\nand another\n", "has 2 documents, but 40 are needed"),
        ("column.jsonl", '{"body": "a cat"}\n' * 60, "'body'. Call the column of texts text."),
        ("number.jsonl", '{"text": 3}\n' * 60, "Put texts into the column text"),
        ("late.jsonl", '{"text": "a cat"}\n' * 200 + '{"body": "a"}\n', "the column of texts"),
        ("lines.txt", "the cat sees the dog\n" * 300, "no document of more than 5 words"),
        ("little.txt", "the cat sees the dog .\n" * 60, "has 36 words, but 64 are needed"),
        ("same.txt", "the cat sees the dog .\n" * 300, "after 5 different beginnings"),
    ],
)
def test_a_text_that_is_not_enough_is_refused_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: str, message: str
) -> None:
    """X-1: nothing is written, and no option is named that a demo lacks."""
    (tmp_path / name).write_text(content)
    assert main(["demo", "--text", str(tmp_path / name), "--out", str(tmp_path / "demo")]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("--") == said.count("--text")
    assert not (tmp_path / "demo").exists()


def test_a_hundred_short_lines_are_enough(tmp_path: Path) -> None:
    """X-9: limits are not stricter than the stages need."""
    rng = random.Random(0)
    words = ["the cat", "a dog", "my bird", "one ball"]
    lines = [f"{rng.choice(words)} sees {rng.choice(words)} now" for _ in range(110)]
    path = tmp_path / "text.txt"
    path.write_text("".join(f"{line}\n" for line in lines))
    refuse_unfit(path)

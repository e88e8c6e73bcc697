"""The two CSV files say what metrics.jsonl and samples.jsonl say."""

import csv
import os
from pathlib import Path
from typing import Any

import pytest

from tutelage import spreadsheets
from tutelage.run_folder import RunFolder
from tutelage.spreadsheets import write_spreadsheets


def rollout(prompt: str, response: str, scores: dict[str, float], **more: Any) -> dict[str, Any]:
    place = {"step": 1, "round": 0, "kind": "rollout"}
    return {
        **place, "prompt": prompt, "response": response, "finish": "eos", "num_tokens": 3,
        "scores": scores, "notes": None, **more,
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", config="recipe: ppo\n", seed=0)


def table(folder: RunFolder, name: str) -> list[dict[str, str]]:
    with open(folder.path / "meta_data" / name, encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle, strict=True))


def test_responses_have_prompt_response_reward_and_raw_answer(folder: RunFolder) -> None:
    """PPO-4: each term of the reward is a column, and other samples are left out."""
    nasty = 'She said: "No,\r\nnever"; =1+1, naïve 🐈 \u2028\x00'
    folder.append_sample(
        rollout("Once", nasty, {"total": 0.1 + 0.2, "judge": 0.5}, raw_answer="5/9")
    )
    folder.append_sample({"step": 1, "kind": "sample", "prompt": "x", "response": "y"})
    folder.append_sample(
        rollout("", "", {"total": -1.0, "length": 2.0}, step=2, finish="length", notes="cut")
    )
    write_spreadsheets(folder.path)
    first, second = table(folder, "generated_outputs.csv")
    assert first == {
        "prompt": "Once",
        "response": nasty,
        "reward": repr(0.1 + 0.2),
        "raw_answer": "5/9",
        "step": "1",
        "round": "0",
        "finish": "eos",
        "num_tokens": "3",
        "reward/judge": "0.5",
        "reward/length": "",
    }
    assert (second["prompt"], second["reward"], second["raw_answer"]) == ("", "-1.0", "")
    assert (second["reward/length"], second["finish"]) == ("2.0", "length")


def test_statistics_have_a_row_for_each_row_of_metrics(folder: RunFolder) -> None:
    """PPO-4: keys that come later are columns too; null is empty."""
    folder.append_metrics({"step": 1, "round": 0, "trial/loss": 0.25})
    folder.append_metrics({"step": 1, "round": 0, "eval/x/y": 3})
    folder.append_metrics({"step": 2, "round": 1, "trial/loss": float("nan")})
    write_spreadsheets(folder.path)
    rows = table(folder, "training_stats.csv")
    assert [list(row.values()) for row in rows] == [
        ["1", "0", "0.25", ""],
        ["1", "0", "", "3"],
        ["2", "1", "", ""],
    ]
    assert list(rows[0]) == ["step", "round", "trial/loss", "eval/x/y"]


def test_a_run_without_rows_has_headings_only(folder: RunFolder) -> None:
    """PPO-4."""
    write_spreadsheets(folder.path)
    text = (folder.path / "meta_data" / "training_stats.csv").read_bytes()
    assert text == b"step,round\r\n"
    assert table(folder, "generated_outputs.csv") == []


def test_a_row_that_is_being_written_is_left_out(folder: RunFolder) -> None:
    """X-2."""
    folder.append_metrics({"step": 1, "round": 0})
    with open(folder.metrics_path, "a") as handle:
        handle.write('{"step": 2, "ro')
    write_spreadsheets(folder.path)
    assert len(table(folder, "training_stats.csv")) == 1


def test_a_resumed_run_ends_with_the_same_files(folder: RunFolder, tmp_path: Path) -> None:
    """X-3: bit for bit, though rows were written that the resumed run took back."""
    straight = RunFolder.create(tmp_path / "straight", config="recipe: ppo\n", seed=0)
    rows = [rollout("Once", f"{n} times", {"total": float(n)}, step=n) for n in range(4)]
    for row in rows:
        straight.append_sample(row)
    write_spreadsheets(straight.path)
    for row in rows[:2]:
        folder.append_sample(row)
    size = folder.samples_path.stat().st_size
    folder.append_sample(rollout("Once", "lost", {"total": 9.0, "other": 1.0}))
    write_spreadsheets(folder.path)
    os.truncate(folder.samples_path, size)
    for row in rows[2:]:
        folder.append_sample(row)
    write_spreadsheets(folder.path)
    names = [Path("meta_data") / name for name in ("generated_outputs.csv", "training_stats.csv")]
    assert [(folder.path / name).read_bytes() for name in names] == [
        (straight.path / name).read_bytes() for name in names
    ]


def test_a_write_that_fails_leaves_the_old_files(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """X-2."""
    folder.append_metrics({"step": 1, "round": 0})
    write_spreadsheets(folder.path)

    def full(handle: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(spreadsheets.os, "fsync", full)
    folder.samples_path.write_text("")
    with pytest.raises(OSError, match="disk full"):
        write_spreadsheets(folder.path)
    assert len(table(folder, "training_stats.csv")) == 1
    assert sorted(os.listdir(folder.path / "meta_data")) == [
        "generated_outputs.csv",
        "training_stats.csv",
    ]

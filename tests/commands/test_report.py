import subprocess
import sys
from pathlib import Path

import pytest

from evals.group_folders import write_group
from reports.conftest import falling, write_words
from tutelage.cli import main


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder after two steps."""
    folder = tmp_path / "runs" / "first"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("recipe: pretrain\nsteps: 2\n")
    (folder / "metrics.jsonl").write_text(
        '{"step": 1, "a/loss": 3.0}\n{"step": 2, "a/loss": 2.0}\n'
    )
    return folder


def test_the_command_writes_the_page_and_says_where(run, tmp_path, capsys):
    """X-2."""
    out = tmp_path / "new" / "page.html"
    assert main(["report", str(run), "--out", str(out)]) == 0
    assert "pretrain · finished all 2 steps · a/loss 2" in out.read_text()
    assert capsys.readouterr().out == f"Report: {out}\n"


def test_several_runs_make_one_page(run, tmp_path):
    """X-2."""
    second = run.rename(run.with_name("second"))
    run.mkdir()
    (run / "config.yaml").write_text("recipe: pretrain\n")
    assert main(["report", str(run), str(second), "--out", str(tmp_path / "p.html")]) == 0
    assert "<h1>first · second</h1>" in (tmp_path / "p.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "a.html"], "No run is given"),
        (["runs/first", "--out", "a.txt"], "--out a.txt does not end in .html"),
        (["runs/first", "--out", "runs"], "--out runs is a folder"),
        (["runs/firts", "--out", "a.html"], "Did you mean runs/first?"),
        (["runs", "--out", "a.html"], "It holds runs: give runs/first."),
        (["runs/first/config.yaml", "--out", "a.html"], "is a file; give the folder"),
    ],
)
def test_a_mistake_is_one_sentence_and_writes_nothing(
    run, tmp_path, monkeypatch, capsys, arguments, message
):
    """X-1."""
    monkeypatch.chdir(tmp_path)
    assert main(["report", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_words_are_chosen_on_the_command_line(run, tmp_path, capsys):
    """EV-4: those that are named are drawn; an unknown one is refused with the nearest name."""
    write_words(run, {"ball": falling(1.5), "dog": falling(2)}, ages=False)
    page = tmp_path / "p.html"
    command = ["report", str(run), "--out", str(page), "--words"]
    assert main([*command, "dgo"]) == 2
    assert "Did you mean dog?" in capsys.readouterr().err
    assert not page.exists()
    assert main([*command, "dog"]) == 0
    shown = page.read_text()
    assert '<span class="key">dog</span>' in shown
    assert '<span class="key">ball</span>' not in shown


def test_a_missing_out_is_refused(run, capsys):
    """X-1."""
    assert main(["report", str(run)]) == 2
    assert "out" in capsys.readouterr().err


def test_the_command_line_loads_neither_numbers_nor_plots():
    """X-1."""
    code = (
        "import sys, tutelage.commands.report; "
        "print(*{'matplotlib', 'numpy', 'jinja2', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_group_is_compared_and_shown(tmp_path, capsys):
    """TND-5: arms.json is written beside its runs."""
    group = write_group(tmp_path / "group", {"clm": {0: {}}, "tnd": {0: {"shift": -0.2}}})
    out = tmp_path / "p.html"
    assert main(["report", str(group), "--out", str(out)]) == 0
    assert (group / "arms.json").is_file()
    assert "On equal steps, tnd is earlier than clm by 0.20 log10 steps" in out.read_text()
    assert f"Report: {out}" in capsys.readouterr().out


def test_a_page_that_cannot_be_is_refused_before_arms_are_compared(tmp_path, capsys):
    """X-1."""
    group = write_group(tmp_path / "group", {"clm": {0: {}}})
    assert main(["report", str(group), "--out", str(tmp_path / "p.txt")]) == 2
    assert not (group / "arms.json").exists()

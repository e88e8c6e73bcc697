"""`tutelage eval`: every milestone of a run is measured once, and an interruption loses little."""

import json
import shutil
from pathlib import Path
from typing import get_args

import pytest

from recipes.pretraining import options, write_corpus
from tutelage.cli import main
from tutelage.commands.eval import Suite, subjects
from tutelage.evals import SUITES
from tutelage.evals.minimal_pairs import MinimalPairs
from tutelage.evals.surprisal import Surprisal
from tutelage.run_folder import read_lines


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated")
    corpus = write_corpus(folder / "stories.jsonl", documents=60)
    out = folder / "run"
    more = {"steps": 12, "milestones__spacing": "list", "milestones__at": 4}
    assert main(options(corpus, out, **more)) == 0
    return out


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Two phenomena in BLiMP's format."""
    folder = tmp_path / "pairs"
    folder.mkdir()
    for name, bad in (("order", "cat the sees ball the ."), ("number", "the cat see the ball .")):
        row = {
            "sentence_good": "the cat sees the ball .",
            "sentence_bad": bad,
            "UID": name,
            "linguistics_term": name,
            "field": "syntax",
        }
        (folder / f"{name}.jsonl").write_text(json.dumps(row) + "\n")
    return folder


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """Two words in two contexts."""
    path = tmp_path / "words.jsonl"
    rows = [
        {"word": word, "category": "things", "contexts": ["the cat sees the", "a dog likes the"]}
        for word in ("ball", "book")
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_all_milestones_of_a_run_are_measured(
    run: Path, pairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """EV-2, X-2: results beside the run, with position, version, options and a table."""
    assert main(["eval", str(run), "--suite", "minimal-pairs", "--data", str(pairs)]) == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("step_4", "step_12", "order", "number"))
    for milestone, step in (("step_4", 4), ("step_12", 12)):
        stored = json.loads((run / f"evals/minimal_pairs/{milestone}.json").read_text())
        assert (stored["milestone"], stored["step"]) == (milestone, step)
        assert stored["words"] > 0
        assert {"version", "measures", "counts", "seconds", "options"} <= set(stored)
        assert 0 <= stored["measures"]["order"] <= 1


def test_what_is_measured_is_kept_until_something_changes(
    run: Path, pairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Finished work is not redone; other data or options are measured anew."""
    command = ["eval", str(run), "--suite", "minimal-pairs", "--data", str(pairs)]
    assert main([*command, "--batch-tokens", "64"]) == 0
    files = sorted((run / "evals/minimal_pairs").iterdir())
    before = [file.stat().st_mtime_ns for file in files]
    assert main(command) == 0
    assert [file.stat().st_mtime_ns for file in files] == before
    assert main([*command, "--ties", "first"]) == 0
    assert [file.stat().st_mtime_ns for file in files] != before
    before = [file.stat().st_mtime_ns for file in files]
    with open(pairs / "order.jsonl", "a") as handle:
        handle.write((pairs / "number.jsonl").read_text())
    assert main([*command, "--ties", "first"]) == 0
    assert [file.stat().st_mtime_ns for file in files] != before


def test_an_interruption_keeps_the_parts_that_are_done(
    run: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resumable: the second call runs the second part only, and the result is whole."""
    command = ["eval", str(run / "checkpoints/step_4"), "--suite", "minimal-pairs"]
    command += ["--data", str(pairs), "--batch-tokens", "128"]
    (run / "evals/minimal_pairs/step_4.json").unlink(missing_ok=True)
    asked: list[str] = []
    run_task = MinimalPairs.run_task

    def interrupted(self, task, scorer):
        asked.append(task)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return run_task(self, task, scorer)

    monkeypatch.setattr(MinimalPairs, "run_task", interrupted)
    assert main(command) == 130
    parts = read_lines(run / "evals/minimal_pairs/.step_4.parts.jsonl")
    assert [row["task"] for row in parts] == asked[:1]
    assert main(command) == 0
    assert len(asked) == 3
    assert asked[1] == asked[2]
    stored = json.loads((run / "evals/minimal_pairs/step_4.json").read_text())
    assert {"order", "number"} <= set(stored["measures"])
    assert not (run / "evals/minimal_pairs/.step_4.parts.jsonl").exists()


def test_perplexity_is_that_of_training(run: Path, tmp_path: Path) -> None:
    """EV-1: the suite and the run's own evaluation agree."""
    held_out = write_corpus(tmp_path / "held_out.jsonl", documents=30, seed=1)
    command = ["eval", str(run), "--suite", "perplexity", "--data.kind", "text"]
    assert main([*command, "--data.path", str(held_out), "--block-length", "16"]) == 0
    values = [
        json.loads((run / f"evals/perplexity/{name}.json").read_text())["measures"]["perplexity"]
        for name in ("step_4", "step_12")
    ]
    assert values[1] < values[0] < 301


def test_ages_of_acquisition_come_from_stored_surprisals(
    run: Path, words: Path, tmp_path: Path
) -> None:
    """EV-4: over all milestones together; the report reads the result like any other."""
    assert main(["eval", str(run), "--suite", "surprisal", "--data", str(words)]) == 0
    assert main(["eval", str(run), "--suite", "acquisition"]) == 0
    stored = json.loads((run / "evals/acquisition/all.json").read_text())
    assert stored["steps"] == [4, 12]
    assert set(stored["words"]) == {"ball", "book"}
    assert stored["measures"]["tnd_words"] == 0  # two milestones are too few: a reason instead
    assert all("reason" in word["tnd"] for word in stored["words"].values())
    assert main(["report", str(run), "--out", str(tmp_path / "page.html")]) == 0


def test_a_list_of_checkpoints_is_measured_like_a_run(
    run: Path, words: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """EV-4: checkpoints with their steps and words, in any order; results lie beside the list."""
    for name, step in {"one": 4, "two": 12}.items():
        shutil.copytree(run / f"checkpoints/step_{step}", tmp_path / "elsewhere" / name)
    mine = tmp_path / "mine.csv"
    mine.write_text("checkpoint,step,words\nelsewhere/two,120,900\nelsewhere/one,40,300\n")
    ages = ["eval", str(mine), "--suite", "acquisition"]
    assert main(ages) == 2
    assert f"Run tutelage eval {mine} --suite surprisal first." in capsys.readouterr().err
    for target in (run, mine):
        assert main(["eval", str(target), "--suite", "surprisal", "--data", str(words)]) == 0
    results = tmp_path / "evals" / "mine"
    measured = json.loads((results / "surprisal/step_40.json").read_text())
    own = json.loads((run / "evals/surprisal/step_4.json").read_text())
    assert (measured["step"], measured["words"], measured["milestone"]) == (40, 300, "step_40")
    assert measured["word_surprisals"] == own["word_surprisals"]
    assert main(ages) == 0
    stored = json.loads((results / "acquisition/all.json").read_text())
    assert (stored["steps"], stored["milestone"]) == ([40, 120], "all")
    assert stored["units"] == {"tnd": "steps", "chang_bergen": "steps", "babylm_2025": "words"}
    assert set(stored["words"]) == {"ball", "book"}
    # What the list says counts, not what it said when the checkpoints were measured.
    mine.write_text("checkpoint,step\nelsewhere/two,120\nelsewhere/one,40\n")
    assert main(ages) == 0
    stored = json.loads((results / "acquisition/all.json").read_text())
    assert stored["units"]["babylm_2025"] == "steps"
    # Another checkpoint in the same place has no surprisals yet.
    shutil.copytree(tmp_path / "elsewhere/one", tmp_path / "elsewhere/three")
    mine.write_text("checkpoint,step,words\nelsewhere/two,120,900\nelsewhere/three,40,300\n")
    assert main(ages) == 2
    assert "line 3: no word surprisals of" in capsys.readouterr().err


def test_ages_of_a_list_without_steps_count_words(
    run: Path, words: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """EV-4."""
    mine = tmp_path / "mine.csv"
    rows = [f"{run}/checkpoints/step_{step},{1000 * step}" for step in (4, 12)]
    mine.write_text("\n".join(["checkpoint,words", *rows]))
    assert main(["eval", str(mine), "--suite", "surprisal", "--data", str(words)]) == 0
    assert main(["eval", str(mine), "--suite", "acquisition"]) == 0
    stored = json.loads((tmp_path / "evals/mine/acquisition/all.json").read_text())
    assert stored["steps"] == [4000, 12000]
    assert set(stored["units"].values()) == {"words"}
    mine.write_text(f"checkpoint,words\n{tmp_path},5\n")
    assert main(["eval", str(mine), "--suite", "surprisal", "--data", str(words)]) == 2
    assert f"{mine}, line 2: {tmp_path} is not a checkpoint" in capsys.readouterr().err


def test_results_carry_the_seeds_of_what_was_drawn(run: Path, words: Path) -> None:
    """X-2: text of a corpus, contexts of the nursery; what a file gives is not drawn."""
    corpus = ["--data.kind", "nursery", "--data.num-words", "500", "--data.seed", "3"]
    for suite, more, seeds in (
        ("perplexity", [*corpus, "--block-length", "16"], {"data": 3}),
        ("surprisal", ["--data", str(words)], {}),
    ):
        assert main(["eval", str(run / "checkpoints/step_4"), "--suite", suite, *more]) == 0
        path = run / "evals" / suite / "step_4.json"
        assert json.loads(path.read_text())["seeds"] == seeds
    row = {"word": "ball", "surprisal": 1.0, "contexts": 1, "unaligned": 0}
    parts = {"words 1 to 1": {"vocab_size": 9, "word_surprisals": [row]}}
    assert Surprisal().combine(parts)["seeds"] == {"contexts": 0}


def test_samples_are_compared_without_a_student(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EV-7: one result of a run, or of a file of responses; no weights are read."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delattr("tutelage.commands.eval.load")
    assert main(["eval", str(run), "--suite", "similarity"]) == 0
    stored = json.loads((run / "evals/similarity/all.json").read_text())
    assert stored["step"] == stored["steps"][-1] == 12
    assert stored["measures"]["responses"] > 1
    rows = [{"response": "a cat sat", "reference": "a cat ran"}, {"response": "b"}]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["eval", "texts.jsonl", "--suite", "similarity"]) == 0
    stored = json.loads((tmp_path / "evals/similarity/texts.json").read_text())
    assert stored["measures"]["rouge_1"] == pytest.approx(2 / 3)


def test_milestones_come_in_the_order_of_training(run: Path) -> None:
    """step_12 after step_4, whatever the names."""
    assert [subject.milestone for subject in subjects(str(run))] == ["step_4", "step_12"]


def test_every_suite_has_a_name_on_the_command_line() -> None:
    """X-1: the registry and the option agree."""
    assert get_args(Suite) == tuple(SUITES)


@pytest.mark.parametrize("suite", SUITES)
def test_every_suite_explains_its_options(suite: str, capsys: pytest.CaptureFixture[str]) -> None:
    """X-1."""
    assert main(["eval", "--suite", suite, "--help"]) == 0
    own = {"acquisition": "--human", "similarity": "--responses"}.get(suite, "--data")
    assert own in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{run}", "--suite", "minimal-pears"], "Did you mean minimal-pairs?"),
        (["{run}"], "--suite"),
        (["{run}/nothing", "--suite", "perplexity"], "no folder"),
        (["{run}", "--suite", "minimal-pairs", "--data", "{run}/missing.jsonl"], "missing.jsonl"),
        (["{empty}", "--suite", "minimal-pairs"], "no milestone"),
        (["{empty}", "--suite", "acquisition"], "--suite surprisal"),
        (["{run}/checkpoints/step_4", "--suite", "acquisition"], "is not a run"),
        (["{run}", "--suite", "acquisition", "--human", "missing.csv"], "missing.csv"),
        (["{run}/none.csv", "--suite", "surprisal"], "There is no list of checkpoints"),
        (["missing.jsonl", "--suite", "similarity"], "missing.jsonl does not exist"),
        (["{empty}", "--suite", "similarity"], "samples.jsonl does not exist"),
    ],
)
def test_mistakes_are_one_sentence(
    arguments: list[str],
    said: str,
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """X-1: unknown suite, no suite, no checkpoint, missing file, a run without milestones."""
    (tmp_path / "empty/checkpoints").mkdir(parents=True)
    filled = [word.format(run=run, empty=tmp_path / "empty") for word in arguments]
    assert main(["eval", *filled]) == 2
    assert said in capsys.readouterr().err

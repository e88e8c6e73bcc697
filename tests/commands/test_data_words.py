"""`tutelage data words`: a word set that the surprisal suite reads."""

import json
from pathlib import Path

import pytest

from tutelage.cli import main
from tutelage.data.word_files import load_words


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`dog` stands in 12 different contexts, `cat` in 3, `uh oh` in 1."""
    lines = [f"number {'x' * n} dog ran" for n in range(1, 13)] + ["a cat", "the cat", "my cat"]
    (tmp_path / "texts.txt").write_text("\n".join([*lines, "he said uh oh", "a dog.\n"]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


SEARCH = ["data", "words", "--data.kind", "text", "--data.path", "texts.txt", "--out", "set.jsonl"]


def words(file: Path) -> dict[str, int]:
    return {word.word: len(word.contexts) for word in load_words(file).words}


def test_words_of_a_list_are_found_and_the_others_told(texts, capsys):
    """EV-3: readable by the surprisal suite, in the list's order, with categories."""
    (texts / "list.csv").write_text(
        "definition,category\nuh oh,sound\ncow,animal\ncat,animal\ndog (pet),animal\n"
    )
    search = [*SEARCH, "--words", "list.csv", "--min-contexts", "3", "--max-contexts", "10"]
    assert main(search) == 0
    assert capsys.readouterr().out == (
        "set.jsonl: 2 words with 13 contexts.\n"
        "2 words have fewer than 3 contexts: uh oh 1, cow 0.\n"
    )
    assert words(texts / "set.jsonl") == {"cat": 3, "dog": 10}
    rows = [json.loads(line) for line in (texts / "set.jsonl").read_text().splitlines()]
    assert [row["category"] for row in rows] == ["animal", "animal"]
    assert set(rows[0]["contexts"]) == {"a", "the", "my"}


def test_without_a_list_every_frequent_word_is_found(texts, capsys):
    """EV-3: contexts are drawn by the seed."""
    (texts / "texts.txt").write_text((texts / "texts.txt").read_text().replace("dog ran", "dog"))
    assert main([*SEARCH, "--min-contexts", "2", "--max-contexts", "5"]) == 0
    shown = capsys.readouterr().out
    assert "2 words with 8 contexts." in shown
    assert shown.endswith(" words have fewer than 2 contexts.\n")
    assert words(texts / "set.jsonl") == {"cat": 3, "dog": 5}
    again = [*SEARCH[:-1], "other.jsonl", "--min-contexts", "2", "--max-contexts", "5"]
    assert main([*again, "--seed", "1"]) == 0
    assert words(texts / "other.jsonl") == {"cat": 3, "dog": 5}
    assert (texts / "other.jsonl").read_text() != (texts / "set.jsonl").read_text()


def test_of_many_rare_words_the_nearest_are_shown(texts, capsys):
    """EV-3."""
    names = [f"word{'abcdefghijkl'[n // 12]}{'abcdefghijkl'[n % 12]}" for n in range(120)]
    (texts / "list.txt").write_text("\n".join([*names, "cat", "dog"]))
    assert main([*SEARCH, "--words", "list.txt", "--min-contexts", "4"]) == 0
    shown = capsys.readouterr().out
    assert "121 words have fewer than 4 contexts: cat 3, wordaa 0, " in shown
    assert shown.endswith(" 0, and 21 more with at most 0.\n")
    assert shown.count("word") == 99 + 2


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--out", "set.csv"], "--out is set.csv, but its name must end in .jsonl."),
        (["--out", "old.jsonl"], "--out old.jsonl exists. Name another file, or delete it."),
        (["--words", "none.txt"], "none.txt does not exist."),
        (["--data.path", "none.txt"], "none.txt"),
        (["--min-contexts", "13"], "No word has 13 different contexts in this corpus: the most is"),
        (["--max-contexts", "0"], "--max-contexts is 0, but it must be greater than 0."),
    ],
)
def test_what_cannot_be_done_is_refused_and_nothing_written(texts, capsys, more, message):
    """X-1: one sentence, status 2."""
    (texts / "old.jsonl").write_text("precious")
    (texts / "texts.txt").write_text("number x dog\nnumber y dog\n")
    assert main([*SEARCH, *more]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert {file.name for file in texts.iterdir()} == {"old.jsonl", "texts.txt"}
    assert (texts / "old.jsonl").read_text() == "precious"


def test_a_folder_is_made_once_all_files_of_the_corpus_look_readable(texts, capsys):
    """X-1: a wrong column of the last file is found before hours of search."""
    (texts / "corpus").mkdir()
    for name, column in (("a", "text"), ("b", "story")):
        rows = [json.dumps({column: f"number {n} dog"}) for n in range(3)]
        (texts / "corpus" / f"{name}.jsonl").write_text("\n".join(rows))
    search = [*SEARCH[:5], "corpus", "--out", "new/set.jsonl", "--min-contexts", "3"]
    assert main(search) == 2
    assert "b.jsonl, line 1 has no column 'text'" in capsys.readouterr().err
    assert not (texts / "new").exists()
    (texts / "corpus" / "b.jsonl").unlink()
    assert main(search) == 0
    assert words(texts / "new" / "set.jsonl") == {"dog": 3}


def test_a_group_of_commands_lists_them_and_names_the_nearest(capsys):
    """X-1."""
    assert main(["data", "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("usage: tutelage data NAME [options]\n")
    assert "  data words  Find words" in shown
    assert "eval" not in shown
    assert main(["data"]) == 2
    assert capsys.readouterr().out == shown
    assert main(["data", "wrods"]) == 2
    assert "no recipe or command data wrods. Did you mean data words?" in capsys.readouterr().err
    assert main(["dta"]) == 2
    assert "no recipe or command dta. Did you mean data?" in capsys.readouterr().err
    assert main(["data", "words", "--help"]) == 0
    assert "usage: tutelage data words" in capsys.readouterr().out

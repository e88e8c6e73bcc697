"""Every source of prompts reads what it says, in order, and refuses what it cannot read."""

import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pytest
from pyarrow import parquet
from pydantic import ValidationError

from data.tokenizers_of_prompts import byte_level
from tutelage.commands.arguments import parse
from tutelage.config import Config, UserError
from tutelage.data import AnyPrompts
from tutelage.data.prompt_builders import (
    CombinedPrompts,
    FixedPrompt,
    ImdbPrompts,
    NurseryPrompts,
    TextPrompts,
    TinyStoriesPrompts,
    WritingPrompts,
    as_source,
)
from tutelage.data.prompt_rows import story_idea
from tutelage.data.prompts import Prompt
from tutelage.parts import written

TOKENIZER = byte_level()
QUESTIONS = [
    {"prompt": "1 + 1?", "answer": "2", "level": 1},
    {"prompt": "2 + 2?", "answer": "4", "level": None},
]


class Recipe(Config):
    """A program that takes prompts."""

    prompts: AnyPrompts = FixedPrompt()
    """Prompts."""


def told(*argv: str) -> Any:
    """The prompts that a command line asks for."""
    config, _ = parse(Recipe, argv, prog="recipe", presets={}, is_recipe=False)
    assert isinstance(config, Recipe)
    return config.prompts


def texts(prompts: Sequence[Prompt]) -> list[str]:
    return [prompt.text for prompt in prompts]


def write_jsonl(file: Path, rows: Sequence[object]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def questions_as(kind: str, folder: Path) -> Path:
    file = folder / f"questions.{kind}"
    table = pa.Table.from_pylist(QUESTIONS)
    if kind == "jsonl":
        return write_jsonl(file, QUESTIONS)
    if kind == "parquet":
        parquet.write_table(table, file)
    else:
        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    return file


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "arrow"])
def test_prompts_of_ones_own_keep_their_other_columns(kind: str, tmp_path: Path) -> None:
    """PPO-1: rewards see an answer under its column's name."""
    source = TextPrompts(path=questions_as(kind, tmp_path))
    source.check()
    prompts = source.rows(TOKENIZER, cache_dir=tmp_path)
    assert texts(prompts) == ["1 + 1?", "2 + 2?"]
    assert [prompt.columns for prompt in prompts] == [
        {"answer": "2", "level": 1},
        {"answer": "4", "level": None},
    ]
    place = "line 2" if kind == "jsonl" else "row 2"
    assert prompts.where(1) == f"{tmp_path / f'questions.{kind}'}, {place}"


def test_rows_of_a_table_are_counted_through(tmp_path: Path) -> None:
    """X-1: tables are read a thousand rows at a time."""
    texts = [f"number {n}" for n in range(1, 2002)]
    parquet.write_table(pa.table({"prompt": texts}), tmp_path / "a.parquet")
    prompts = TextPrompts(path=tmp_path / "a.parquet").rows(TOKENIZER, cache_dir=tmp_path)
    assert prompts[2000].text == "number 2001"
    assert prompts.where(2000).endswith("a.parquet, row 2001")


@pytest.mark.parametrize(
    ("document", "expected", "place"),
    [
        ("line", ["One", "two", "three"], "line 4"),
        ("paragraph", ["One\ntwo", "three"], "document 2"),
        ("file", ["One\ntwo\n\nthree\n"], "document 1"),
    ],
)
def test_plain_text_gives_lines_paragraphs_or_files(
    document: str, expected: list[str], place: str, tmp_path: Path
) -> None:
    """PPO-1."""
    (tmp_path / "a.txt").write_text("One\ntwo\n\nthree\n")
    source = TextPrompts.model_validate({"path": tmp_path / "a.txt", "document": document})
    source.check()
    prompts = source.rows(TOKENIZER, cache_dir=tmp_path)
    assert texts(prompts) == expected
    assert prompts.where(len(prompts) - 1).endswith(place)


def test_documents_of_ones_own_can_be_cut(tmp_path: Path) -> None:
    """PPO-1: a folder of files is one source."""
    for name in "ab":
        write_jsonl(tmp_path / f"{name}.jsonl", [{"text": name * 40}, {"text": ""}])
    source = TextPrompts(
        path=tmp_path, column="text", cut=True, query_min_length=5, query_max_length=9
    )
    source.check()
    prompts = source.rows(TOKENIZER, cache_dir=tmp_path)
    assert [prompt.text[0] for prompt in prompts] == ["a", "b"]
    assert all(5 <= len(prompt.token_ids) <= 9 for prompt in prompts)
    assert prompts.where(1) == f"{tmp_path / 'b.jsonl'}, line 1"


@pytest.mark.parametrize("source", [TinyStoriesPrompts, ImdbPrompts])
def test_stories_and_reviews_are_cut_to_their_beginnings(
    source: type[TinyStoriesPrompts] | type[ImdbPrompts], tmp_path: Path
) -> None:
    """PPO-1."""
    document = "Once there was a cat. " * 10
    file = write_jsonl(tmp_path / "a.jsonl", [{"text": document, "label": 1}, {"text": "Short."}])
    made = source(path=file, query_min_length=10, query_max_length=20)
    made.check()
    (prompt,) = made.rows(TOKENIZER, cache_dir=tmp_path)
    assert document.startswith(prompt.text)
    assert 10 <= len(prompt.text) <= 20
    assert prompt.columns == {"label": 1}


def test_tinystories_as_published_text_is_cut_story_by_story(tmp_path: Path) -> None:
    """PPO-1."""
    (tmp_path / "a.txt").write_text("Cats sat.\n\nThey ran.\n<|endoftext|>\nDogs ran.\n")
    source = TinyStoriesPrompts(path=tmp_path / "a.txt", query_min_length=4, query_max_length=4)
    assert texts(source.rows(TOKENIZER, cache_dir=tmp_path)) == ["Cats", "Dogs"]


@pytest.mark.parametrize(
    ("idea", "prompt"),
    [
        ("[WP] A cat wakes up.", "Story idea: A cat wakes up. Story:"),
        ("  [ CW ]A cat .\n", "Story idea: A cat . Story:"),
        ("[ WP ] [ X-Post from /r/x ] A cat", "Story idea: A cat Story:"),
        ("A cat [ seriously ] sat", "Story idea: A cat [ seriously ] sat Story:"),
        ("Story idea: A cat Story:", "Story idea: A cat Story:"),
    ],
)
def test_the_leading_tag_becomes_story_idea_and_story_comes_last(idea: str, prompt: str) -> None:
    """PPO-1."""
    assert story_idea(idea) == prompt


def test_writing_prompts_are_whole_and_keep_their_story(tmp_path: Path) -> None:
    """PPO-1: a cut would take `Story:` off; longer ones than asked for are left out."""
    rows = [
        {"prompt": "[WP] A cat", "story": "It sat."},
        {"prompt": "[WP] A very long idea about cats", "story": "They sat."},
    ]
    file = write_jsonl(tmp_path / "a.jsonl", rows)
    (prompt,) = WritingPrompts(path=file, query_max_length=30).rows(TOKENIZER, cache_dir=tmp_path)
    assert prompt == ("Story idea: A cat Story:", prompt.token_ids, {"story": "It sat."})
    assert len(WritingPrompts(path=file).rows(TOKENIZER, cache_dir=tmp_path)) == 2


def test_the_nursery_gives_beginnings_of_conversations_without_any_file(tmp_path: Path) -> None:
    """X-9."""
    source = NurseryPrompts(num_words=200, query_min_length=6, query_max_length=10)
    source.check()
    prompts = source.rows(TOKENIZER, cache_dir=tmp_path)
    assert len(prompts) > 2
    assert {prompt.text[:6] for prompt in prompts} <= {"*MOT: ", "*CHI: "}
    assert (
        NurseryPrompts(num_words=200, seed=1).rows(TOKENIZER, cache_dir=tmp_path)[0]
        != (NurseryPrompts(num_words=200).rows(TOKENIZER, cache_dir=tmp_path)[0])
    )


@pytest.mark.parametrize(
    ("max_tokens", "expected"),
    [
        (None, ["aaaa", "aaaa", "go", "go", "go", "bb", "bb"]),
        (16, ["aaaa", "aaaa", "go", "go", "go", "bb"]),
        (11, ["aaaa", "aaaa", "go"]),
        (7, ["aaaa", "go"]),
        (3, ["go"]),
    ],
)
def test_sources_fill_one_limit_in_the_order_given(
    max_tokens: int | None, expected: list[str], tmp_path: Path
) -> None:
    """PPO-1: each takes what the ones before it left, up to the first prompt that does not fit."""
    (tmp_path / "a.txt").write_text("aaaa\n" * 2)
    (tmp_path / "b.txt").write_text("bb\n" * 2)
    combined = CombinedPrompts(
        max_tokens=max_tokens,
        parts=(
            TextPrompts(path=tmp_path / "a.txt"),
            FixedPrompt(prompt="go", num=3),
            TextPrompts(path=tmp_path / "b.txt"),
        ),
    )
    combined.check()
    prompts = combined.rows(TOKENIZER, cache_dir=tmp_path)
    assert texts(prompts) == expected
    assert max_tokens is None or prompts.num_tokens <= max_tokens


def test_a_limit_in_words_is_shared_as_well(tmp_path: Path) -> None:
    """PPO-1."""
    first, second = (FixedPrompt(prompt=text, num=2) for text in ("one two", "three"))
    for max_words, num in ((6, 4), (5, 3), (4, 2)):
        combined = CombinedPrompts(parts=(first, second), max_words=max_words)
        assert len(combined.rows(TOKENIZER, cache_dir=tmp_path)) == num


def test_a_source_keeps_to_its_own_limit_too(tmp_path: Path) -> None:
    """PPO-1: in words here; the smaller limit counts."""
    (tmp_path / "a.txt").write_text("one two\n" * 5)
    source = TextPrompts(path=tmp_path / "a.txt", max_words=5)
    for max_words, num in ((100, 2), (3, 1)):
        combined = CombinedPrompts(parts=(source,), max_words=max_words)
        assert len(combined.rows(TOKENIZER, cache_dir=tmp_path)) == num
    with pytest.raises(UserError, match="Not even the first prompt fits"):
        CombinedPrompts(parts=(source,), max_words=1).rows(TOKENIZER, cache_dir=tmp_path)


def test_sources_are_told_on_the_command_line_in_order(tmp_path: Path) -> None:
    """X-1."""
    file = str(write_jsonl(tmp_path / "a.jsonl", [{"text": "A cat sat."}]))
    parts = (f"tinystories path={file} query_max_length=40", "fixed 'prompt=Hello you' num=2")
    options = ("--prompts.kind", "combine", "--prompts.max-tokens", "50", "--prompts.parts")
    combined = told(*options, *parts)
    assert combined == CombinedPrompts(
        max_tokens=50,
        parts=(
            TinyStoriesPrompts(path=Path(file), query_max_length=40),
            FixedPrompt(prompt="Hello you", num=2),
        ),
    )
    Recipe(prompts=combined).save(tmp_path / "config.yaml")
    assert Recipe.load(tmp_path / "config.yaml").prompts == combined
    assert tuple(as_source(written(part)) for part in combined.parts) == combined.parts


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            "--prompts.kind tinystories --prompts.query-min-length 9 --prompts.query-max-length 4",
            r"--prompts: query_min_length is 9, but query_max_length is only 4",
        ),
        (
            "--prompts.kind text --prompts.path a --prompts.query-min-length 9 "
            "--prompts.query-max-length 4",
            r"query_min_length is 9, but query_max_length is only 4",
        ),
        ("--prompts.kind text --prompts.path a --prompts.cut", "cut needs query_max_length"),
        ("--prompts.kind combine --prompts.parts storys", r"In the part 'storys': source.kind is"),
        (
            "--prompts.kind combine --prompts.parts 'imdb quer_max_length=9'",
            r"In the part .*: quer_max_length is unknown. Did you mean query_max_length\?",
        ),
        ("--prompts.kind combine --prompts.parts 'imdb path'", r"can't be read. Write a kind"),
        ("--prompts.kind combine --prompts.parts ''", r"can't be read. Write a kind"),
        (
            "--prompts.kind combine --prompts.parts 'imdb query_min_length=200'",
            r"In the part .*: query_min_length is 200, but query_max_length is only 128",
        ),
        (
            "--prompts.kind combine --prompts.parts 'combine parts=imdb'",
            r"source.kind is combine, but it must be one of",
        ),
        ("--prompts.kind tinystory", r"one of nursery, .* Did you mean tinystories\?"),
        ("--prompts.prompt x --prompts.path y", r"--prompts.path belongs to --prompts.kind"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_is_read(
    options: str, message: str
) -> None:
    """X-1."""
    with pytest.raises(UserError, match=message):
        told(*shlex.split(options))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.jsonl", None, r"missing.jsonl does not exist"),
        ("empty.jsonl", "", r"empty.jsonl is empty"),
        ("blank.txt", "\n \n", r"blank.txt holds no text"),
        ("a.jsonl", '{"promt": "x"}\n', r"no column 'prompt'; .*Did you mean promt\?"),
        ("a.jsonl", '{"prompt": "x"}\n{"prompt": " "}\n', r"line 2: the prompt is empty"),
        ("a.jsonl", '{"prompt": 5}\n', r"line 1: column 'prompt' holds int, not text"),
        ("a.jsonl", '{"prompt": "x", "prompts": 1}\n', r"cannot be called 'prompts'"),
        ("a.csv", "prompt\nx\n", r"a.csv is of no known type"),
    ],
)
def test_files_that_hold_no_prompts_are_refused_by_their_check(
    name: str, content: str | None, message: str, tmp_path: Path
) -> None:
    """X-1: before a model or tokenizer loads."""
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message):
        TextPrompts(path=tmp_path / name).check()
    with pytest.raises(UserError, match=message):
        CombinedPrompts(parts=(FixedPrompt(), TextPrompts(path=tmp_path / name))).check()


def test_a_table_without_the_column_is_refused(tmp_path: Path) -> None:
    """X-1."""
    with pytest.raises(UserError, match=r"no column 'promt'; .* Did you mean prompt\?"):
        TextPrompts(path=questions_as("parquet", tmp_path), column="promt").check()


def test_a_blank_fixed_prompt_is_refused() -> None:
    """X-1."""
    FixedPrompt(prompt="").check()
    with pytest.raises(UserError, match="blank"):
        FixedPrompt(prompt="  ").check()
    with pytest.raises(ValidationError):
        FixedPrompt(num=0)


def test_without_a_path_the_hub_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PPO-1: a folder on disk stands for the hub, which Datasets loads the same way."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "ideas").mkdir()
    write_jsonl(tmp_path / "ideas" / "train.jsonl", [{"prompt": "[WP] A cat", "story": "Sat."}])
    source = WritingPrompts(hub=str(tmp_path / "ideas"))
    source.check()
    (prompt,) = source.rows(TOKENIZER, cache_dir=tmp_path)
    assert (prompt.text, prompt.columns) == ("Story idea: A cat Story:", {"story": "Sat."})


def test_sources_are_described_without_heavy_imports() -> None:
    """X-1: --help stays fast."""
    code = (
        "import sys; import tutelage.data; import tutelage.data.prompts;"
        "heavy = {'torch', 'transformers', 'numpy', 'pyarrow', 'datasets'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_real_corpora_give_prompts_of_the_length_asked_for(
    shared_data: Path, tmp_path: Path
) -> None:
    """PPO-1."""
    for source, name in ((TinyStoriesPrompts, "tinystories"), (ImdbPrompts, "imdb")):
        made = source(path=shared_data / name / "train.jsonl", max_tokens=20_000)
        made.check()
        prompts = made.rows(TOKENIZER, cache_dir=tmp_path)
        assert 20_000 - 128 <= prompts.num_tokens <= 20_000
        assert {32 <= len(prompt.token_ids) <= 128 for prompt in prompts} == {True}
        assert all("\N{REPLACEMENT CHARACTER}" not in prompt.text for prompt in prompts)


def test_real_ideas_and_questions_are_whole(shared_data: Path, tmp_path: Path) -> None:
    """PPO-1."""
    ideas = WritingPrompts(path=shared_data / "writingprompts" / "train.jsonl")
    ideas.check()
    prompts = ideas.rows(TOKENIZER, cache_dir=tmp_path)
    assert len(prompts) == 293
    assert all(p.text.startswith("Story idea: ") and p.text.endswith(" Story:") for p in prompts)
    assert not any(p.text.startswith("Story idea: [") for p in prompts)
    questions = TextPrompts(path=shared_data / "gsm8k" / "test.jsonl", column="question")
    questions.check()
    prompts = questions.rows(TOKENIZER, cache_dir=tmp_path)
    assert len(prompts) == 300
    assert all("####" in prompt.columns["answer"] for prompt in prompts)

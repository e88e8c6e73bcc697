import gzip
import json
import subprocess
import sys
from pathlib import Path

import datasets
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from pydantic import TypeAdapter, ValidationError

from tutelage.config import UserError
from tutelage.data import AnyCorpus
from tutelage.data.corpora import BabyLMCorpus, BookCorpus, TextCorpus, TinyStoriesCorpus

STORIES = ["Lily had a red ball.", "  Tom's café — très bon!\r\n\ttwo\n", "日本語 🐈"]
REAL = Path(__file__).parents[3] / "shared" / "data"


def write_jsonl(file: Path, rows: list[object]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def read(corpus: TextCorpus) -> list[str]:
    corpus.check()
    return list(corpus.documents())


def stories_as(kind: str, folder: Path) -> Path:
    """STORIES, in a file or folder of that kind."""
    rows = [{"text": text, "n": n} for n, text in enumerate(STORIES)]
    file = folder / f"stories.{kind}"
    match kind:
        case "jsonl" | "json":
            write_jsonl(file, rows)
        case "jsonl.gz":
            file.write_bytes(gzip.compress("".join(json.dumps(r) + "\n" for r in rows).encode()))
        case "parquet":
            parquet.write_table(pa.Table.from_pylist(rows), file)
        case "arrow":
            with pa.ipc.new_file(file, pa.Table.from_pylist(rows).schema) as writer:
                writer.write_table(pa.Table.from_pylist(rows), max_chunksize=2)
        case "saved":
            datasets.Dataset.from_list(rows).save_to_disk(str(file))
    return file


@pytest.mark.parametrize("kind", ["jsonl", "json", "jsonl.gz", "parquet", "arrow", "saved"])
def test_every_format_gives_each_text_byte_for_byte(kind: str, tmp_path: Path) -> None:
    """PRE-1."""
    for corpus in (
        TextCorpus(path=stories_as(kind, tmp_path)),
        TinyStoriesCorpus(path=tmp_path / f"stories.{kind}"),
    ):
        corpus.check()
        assert list(corpus.documents()) == STORIES


@pytest.mark.parametrize(
    ("document", "documents"),
    [
        ("line", ["One", "two ", "three"]),
        ("paragraph", ["One\ntwo ", "three"]),
        ("file", ["One\r\ntwo \n \n\nthree"]),
    ],
)
def test_plain_text_splits_into_lines_paragraphs_or_files(
    document: str, documents: list[str], tmp_path: Path
) -> None:
    """PRE-1."""
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfOne\r\ntwo \n \n\nthree")
    corpus = TextCorpus.model_validate({"path": tmp_path, "document": document})
    assert list(corpus.documents()) == documents


def test_only_newlines_end_a_line(tmp_path: Path) -> None:
    """PRE-1: Python's splitlines would also cut at these."""
    (tmp_path / "a.txt").write_bytes("one\x0btwo\u2028three\x85four\rfive\n".encode())
    corpus = TextCorpus(path=tmp_path)
    assert list(corpus.documents()) == ["one\x0btwo\u2028three\x85four\rfive"]


def test_tinystories_text_ends_stories_at_their_mark(tmp_path: Path) -> None:
    """PRE-1."""
    file = tmp_path / "TinyStories.txt"
    file.write_text(
        "\nA cat.\n\nIt sat.\n<|endoftext|>\n\n<|endoftext|>\nA dog <|endoftext|> ran.\n"
    )
    assert list(TinyStoriesCorpus(path=file).documents()) == [
        "A cat.\n\nIt sat.",
        "A dog <|endoftext|> ran.",
    ]


def test_tinystories_text_without_marks_is_refused_before_it_fills_memory(tmp_path: Path) -> None:
    """X-1."""
    (tmp_path / "a.txt").write_text(("word " * 1000 + "\n") * 300)
    with pytest.raises(UserError, match=r"a.txt has no line <\|endoftext\|>"):
        TinyStoriesCorpus(path=tmp_path).check()


def test_babylm_reads_its_folder_by_name_line_by_line(tmp_path: Path) -> None:
    """PRE-1."""
    (tmp_path / "b").mkdir()
    (tmp_path / "open_subtitles.train").write_text("*CHI:\tmore milk .\n\n= = =\n")
    (tmp_path / "childes.train").write_text("*CHI:\twhat ?\n")
    (tmp_path / "b" / "c.train").write_text("nested\n")
    (tmp_path / ".hidden.train").write_text("no\n")
    (tmp_path / "README.md").write_text("no\n")
    corpus = BabyLMCorpus(path=tmp_path)
    corpus.check()
    found = ["nested", "*CHI:\twhat ?", "*CHI:\tmore milk .", "= = ="]
    assert list(corpus.documents()) == found


def test_a_hub_data_set_is_read_from_its_arrow_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PRE-1: a folder on disk stands for the hub, which Datasets loads the same way."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "books"
    folder.mkdir()
    write_jsonl(folder / "train.jsonl", [{"text": text} for text in STORIES])
    corpus = BookCorpus(hub=str(folder))
    corpus.check()
    assert list(corpus.documents()) == STORIES
    assert corpus.fingerprint() == BookCorpus(hub=str(folder)).fingerprint()


def test_a_hub_data_set_that_cannot_be_had_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """X-1."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"nobody/nothing .split train. cannot be loaded"):
        list(BookCorpus(hub="nobody/nothing").documents())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.jsonl", None, r"missing.jsonl does not exist"),
        ("empty.txt", b"", r"empty.txt is empty"),
        ("blank.txt", b"\n \n\t\n", r"blank.txt holds no text"),
        ("notes.docx", b"x", r"notes.docx is of no known type: .*\.jsonl.*\.parquet"),
        ("a.parquet.gz", b"x", r"is of no known type"),
        ("a.jsonl", b'{"text": "a"}\n\n{"text": \n', r"a.jsonl, line 3 is not JSON"),
        ("a.json", b'["a"]\n', r"a.json, line 1 is JSON, but not an object"),
        ("a.jsonl", b'{"txt": "a", "id": 1}\n', r"line 1 has no column 'text'; .*'txt', 'id'. Did"),
        ("a.jsonl", b'{"story": "a"}\n', r"columns are 'story'. Set column"),
        ("a.jsonl", b'{"text": 3}\n', r"line 1: column 'text' holds int, not text"),
        ("a.jsonl", b'{"text": null}\n', r"line 1: column 'text' holds null"),
        ("a.jsonl", b'{"text": "\\ud83d"}\n', r"line 1: .* half a character .\\ud83d"),
        ("a.jsonl", b"[" * 100_000, r"line 1 is not JSON"),
        ("a.txt", b"fine\nbad \xff byte\n", r"a.txt, line 2 is not UTF-8 .byte 0xff at place 5"),
        ("a.jsonl", b'{"text": "\xe9"}', r"a.jsonl, line 1 is not UTF-8 .byte 0xe9"),
        ("a.txt.gz", b"not gzip", r"a.txt.gz cannot be read"),
        ("a.txt.gz", gzip.compress(b"x\n" * 9999, mtime=0)[:-9], r"a.txt.gz cannot be read"),
        ("a.txt.gz", gzip.compress(b"x", mtime=0)[:10] + b"\xff" * 50, r"a.txt.gz cannot be read"),
        ("a.parquet", b"PAR1 not really", r"a.parquet cannot be read"),
        ("a.arrow", b"not really", r"a.arrow cannot be read"),
    ],
)
def test_a_bad_file_is_refused_in_one_clear_sentence(
    name: str, content: bytes | None, message: str, tmp_path: Path
) -> None:
    """X-1."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        read(TextCorpus(path=tmp_path / name))


def test_a_bad_byte_in_a_whole_file_is_refused_with_its_line(tmp_path: Path) -> None:
    """X-1."""
    (tmp_path / "a.txt").write_bytes(b"one\ntwo\n\xff")
    with pytest.raises(UserError, match="line 3 is not UTF-8"):
        TextCorpus(path=tmp_path, document="file").check()


@pytest.mark.parametrize("kind", ["parquet", "arrow", "saved"])
def test_a_table_without_the_column_or_with_numbers_is_refused(kind: str, tmp_path: Path) -> None:
    """X-1."""
    path = stories_as(kind, tmp_path)
    with pytest.raises(UserError, match=r"has no column 'texts'; .*'text', 'n'. Did you mean text"):
        TextCorpus(path=path, column="texts").check()
    with pytest.raises(UserError, match="column 'n' holds int64, not text"):
        TextCorpus(path=path, column="n").check()


def test_a_null_deep_in_a_table_is_refused_with_its_row(tmp_path: Path) -> None:
    """X-1."""
    texts = ["a"] * 2500 + [None]
    parquet.write_table(pa.table({"text": texts}), tmp_path / "a.parquet")
    corpus = TextCorpus(path=tmp_path)
    corpus.check()
    with pytest.raises(UserError, match="row 2501: column 'text' holds null"):
        list(corpus.documents())


def test_text_in_a_table_that_is_not_utf8_is_refused_with_its_rows(tmp_path: Path) -> None:
    """X-1."""
    texts = pa.array([b"a"] * 1200 + [b"\xff"]).view(pa.string())
    table = pa.table({"text": texts})
    with pa.ipc.new_file(tmp_path / "a.arrow", table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(UserError, match="rows 1001 to 1201: column 'text' holds text that is not"):
        list(TextCorpus(path=tmp_path).documents())


def test_text_kept_as_categories_is_text(tmp_path: Path) -> None:
    """PRE-1."""
    texts = ["b", "a", "b"]
    parquet.write_table(
        pa.table({"text": pa.array(texts).dictionary_encode()}), tmp_path / "a.parquet"
    )
    assert read(TextCorpus(path=tmp_path)) == texts


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_blank_rows_are_no_documents(kind: str, tmp_path: Path) -> None:
    """PRE-1."""
    rows = [{"text": text} for text in ("", "a", " \n\t", "b")]
    if kind == "jsonl":
        write_jsonl(tmp_path / "a.jsonl", rows)
    else:
        parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    assert read(TextCorpus(path=tmp_path)) == ["a", "b"]


def test_folders_without_text_or_of_several_formats_are_refused(tmp_path: Path) -> None:
    """X-1."""
    (tmp_path / "picture.png").write_bytes(b"x")
    with pytest.raises(UserError, match=r"holds no file of a known type \(\.jsonl"):
        TextCorpus(path=tmp_path).check()
    (tmp_path / "a.txt").write_text("x")
    write_jsonl(tmp_path / "b.jsonl", [{"text": "x"}])
    with pytest.raises(UserError, match=r"several formats \(a.txt, b.jsonl\)"):
        TextCorpus(path=tmp_path).check()


def test_a_saved_data_set_with_splits_asks_for_one(tmp_path: Path) -> None:
    """X-1."""
    one = datasets.Dataset.from_dict({"text": STORIES})
    datasets.DatasetDict(train=one, test=one).save_to_disk(str(tmp_path / "d"))
    with pytest.raises(UserError, match="splits train, test"):
        TextCorpus(path=tmp_path / "d").check()
    assert list(TextCorpus(path=tmp_path / "d" / "test").documents()) == STORIES


def test_checking_reads_only_the_first_rows(tmp_path: Path) -> None:
    """X-1: what is wrong deep in a file comes later, with its line."""
    write_jsonl(tmp_path / "a.jsonl", [{"text": "a"}] * 1000 + [{}])
    corpus = TextCorpus(path=tmp_path)
    corpus.check()
    with pytest.raises(UserError, match="line 1001 has no column 'text'; its columns are"):
        list(corpus.documents())


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    num=st.integers(1, 300),
    small=st.floats(0.01, 0.99),
    large=st.floats(0.01, 0.99),
    seed=st.integers(0, 5),
)
def test_a_fraction_keeps_order_and_a_smaller_one_is_part_of_it(
    num: int, small: float, large: float, seed: int, tmp_path: Path
) -> None:
    """PRE-1."""
    small, large = sorted((small, large))
    (tmp_path / "a.txt").write_text("".join(f"{n}\n" for n in range(num)))
    less, more = (
        [int(text) for text in TextCorpus(path=tmp_path, fraction=f, seed=seed).documents()]
        for f in (small, large)
    )
    assert more == sorted(more)
    assert set(less) <= set(more)


def test_a_fraction_keeps_about_its_share_and_depends_on_the_seed(tmp_path: Path) -> None:
    """PRE-1: 10,000 draws at 0.3 lie within 5 standard deviations (229) of 3,000."""
    (tmp_path / "a.txt").write_text("".join(f"{n}\n" for n in range(10_000)))
    one, other = (
        list(TextCorpus(path=tmp_path, fraction=0.3, seed=seed).documents()) for seed in (0, 1)
    )
    assert abs(len(one) - 3000) < 229
    assert one != other
    assert one == list(TextCorpus(path=tmp_path, fraction=0.3).documents())


def test_the_fingerprint_is_of_content_and_reading_not_of_names_or_times(tmp_path: Path) -> None:
    """PRE-1."""
    one, other = tmp_path / "one.txt", tmp_path / "other.txt"
    one.write_text("a b\n")
    other.write_text("a b\n")
    same = TextCorpus(path=one).fingerprint()
    assert TextCorpus(path=other).fingerprint() == same
    other.write_text("a c\n")
    different = [
        TextCorpus(path=other),
        TextCorpus(path=tmp_path),
        TextCorpus(path=one, document="file"),
        TextCorpus(path=one, fraction=0.5),
        TextCorpus(path=one, fraction=0.5, seed=1),
    ]
    hashes = {corpus.fingerprint() for corpus in different}
    assert len(hashes | {same}) == len(different) + 1


def test_the_fingerprint_knows_column_and_format(tmp_path: Path) -> None:
    """PRE-1."""
    file = write_jsonl(tmp_path / "a.jsonl", [{"text": "a", "title": "b"}])
    (tmp_path / "a.txt").write_bytes(file.read_bytes())
    corpora = [
        TextCorpus(path=file),
        TextCorpus(path=file, column="title"),
        TextCorpus(path=tmp_path / "a.txt"),
    ]
    assert len({corpus.fingerprint() for corpus in corpora}) == 3


def test_the_fingerprint_knows_where_one_file_ends(tmp_path: Path) -> None:
    """PRE-1."""
    hashes = set()
    for number, parts in enumerate((("a\n", "b\nc\n"), ("a\nb\n", "c\n"))):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name, text in zip("xy", parts, strict=True):
            (folder / f"{name}.txt").write_text(text)
        hashes.add(TextCorpus(path=folder, document="file").fingerprint())
    assert len(hashes) == 2


def test_the_kind_picks_the_corpus() -> None:
    """X-1."""
    corpora = TypeAdapter(AnyCorpus)
    assert isinstance(corpora.validate_python({"kind": "babylm"}), BabyLMCorpus)
    with pytest.raises(ValidationError, match="path"):
        corpora.validate_python({"kind": "text"})
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        corpora.validate_python({"kind": "tinystories", "fraction": 1.5})


def test_corpora_and_tokenizer_options_load_no_heavy_library() -> None:
    """X-1: `--help` reads these modules."""
    code = (
        "import sys, tutelage.data, tutelage.data.tokenizer;"
        "print({'torch', 'numpy', 'pyarrow', 'datasets', 'transformers', 'tokenizers'}"
        " & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("path", "column", "num_documents"),
    [
        ("tinystories/train.jsonl", "text", 842),
        ("childrens_books", "text", 12851),
        ("writingprompts/train.jsonl", "story", 293),
    ],
)
def test_real_text_is_read_whole(path: str, column: str, num_documents: int) -> None:
    """PRE-1."""
    if not REAL.is_dir():
        pytest.skip("no shared sample data")
    corpus = TextCorpus(path=REAL / path, column=column)
    corpus.check()
    assert sum(1 for _ in corpus.documents()) == num_documents

"""Documents of one file: plain text, JSON lines, Parquet or Arrow, read piece by piece."""

import codecs
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tutelage.config import UserError, nearest

if TYPE_CHECKING:
    import pyarrow as pa

Document = Literal["line", "paragraph", "file", "story"]
STORY_END = "<|endoftext|>"
LONGEST_STORY = 1_000_000
ROWS_AT_ONCE = 1000


def read_text(file: Path, document: Document) -> Iterator[str]:
    """Documents of a plain text file; those without a single word are left out."""
    if document == "file":
        documents = _whole(file)
    elif document == "line":
        documents = (line for _, line in _lines(file))
    else:
        documents = _groups(file, document)
    return (text for text in documents if text and not text.isspace())


def text_rows(file: Path, document: Document) -> Iterator[tuple[int, str]]:
    """Number, from 1, and text of each document that holds a word: of lines, the line's number."""
    if document == "line":
        return ((n, text) for n, text in _lines(file) if text and not text.isspace())
    return enumerate(read_text(file, document), 1)


def read_json(file: Path, column: str) -> Iterator[str]:
    """The column's text in each line of a JSON lines file; blank texts are left out."""
    for _, row in json_rows(file, column):
        text = row[column]
        if text and not text.isspace():
            yield text


def json_rows(file: Path, column: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and object of each line of a JSON lines file; the column holds text in each."""
    example = f'{{"{column}": "Once upon a time"}}'
    for number, row, line in json_objects(file, example):
        where = f"{file}, line {number}"
        if column not in row:
            raise _no_such_column(where, column, row)
        text = _string(row[column], column, where)
        if "\\u" in line:
            _refuse_surrogates(text, column, where)
        yield number, row


def json_objects(file: Path, example: str) -> Iterator[tuple[int, dict[str, Any], str]]:
    """Number, object and text of each line of a JSON lines file that is not blank.

    Args:
        file: The file.
        example: A right line, for messages.
    """
    for number, line in _lines(file):
        if not line or line.isspace():
            continue
        where, advice = (
            f"{file}, line {number}",
            f"Each line must be one object, such as {example}.",
        )
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{where} is not JSON ({error}). {advice}") from None
        if not isinstance(row, dict):
            raise UserError(f"{where} is JSON, but not an object. {advice}")
        yield number, row, line


def read_table(file: Path, column: str) -> Iterator[str]:
    """The column's text in each row of a Parquet or Arrow file; blank texts are left out."""
    for _, row in table_rows(file, column, columns=[column]):
        text = row[column]
        if text and not text.isspace():
            yield text


def table_rows(
    file: Path, column: str, *, columns: list[str] | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number, from 1, and values of each row of a Parquet or Arrow file.

    Args:
        file: The file.
        column: The column that must hold text.
        columns: Those to read; all of them if not given.
    """
    check_table(file, column)
    for number, values in table_objects(file, columns=columns):
        _string(values[column], column, f"{file}, row {number}")
        yield number, values


def table_objects(
    file: Path, *, columns: list[str] | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number, from 1, and values of each row of a Parquet or Arrow file, whatever they are."""
    first = 0
    for batch in _batches(file, columns):
        names = batch.schema.names
        rows = zip(*(_values(file, batch, name, first) for name in names), strict=True)
        for number, row in enumerate(rows, first + 1):
            yield number, dict(zip(names, row, strict=True))
        first += len(batch)


def check_table(file: Path, column: str) -> None:
    """Refuse a Parquet or Arrow file that is damaged or has no such text column."""
    import pyarrow as pa

    with readable(file, pa.ArrowException):
        schema = _schema(file)
    if column not in schema.names:
        raise _no_such_column(str(file), column, schema.names)
    kind = schema.field(column).type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise UserError(
            f"{file}: column {column!r} holds {kind}, not text. Set column to a text column."
        )


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """Number and text of each line, without its line end."""
    with readable(file), gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            try:
                text = line.decode()
            except UnicodeDecodeError as error:
                raise UserError(
                    f"{file}, line {number} is not UTF-8 (byte 0x{line[error.start]:02x} at "
                    f"place {error.start + 1} of the line). Convert the file to UTF-8."
                ) from None
            yield number, text.removesuffix("\n").removesuffix("\r")


def _whole(file: Path) -> Iterator[str]:
    """The file's text, byte for byte, as one document."""
    with readable(file), gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
        content = stream.read().removeprefix(codecs.BOM_UTF8)
    try:
        yield content.decode()
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{file}, line {number} is not UTF-8 (byte 0x{content[error.start]:02x}). "
            "Convert the file to UTF-8."
        ) from None


def _groups(file: Path, document: Document) -> Iterator[str]:
    """Lines joined by newlines, up to a blank line (paragraph) or an end mark (story)."""
    group: list[str] = []
    size = 0
    for _, line in _lines(file):
        ends = line.strip() == STORY_END if document == "story" else not line or line.isspace()
        if ends:
            yield "\n".join(group).strip("\n")
            group, size = [], 0
            continue
        group.append(line)
        size += len(line)
        if document == "story" and size > LONGEST_STORY:
            raise UserError(
                f"{file} has no line {STORY_END} between its stories (a million characters "
                "passed without one). Read it with kind text and document line or paragraph."
            )
    yield "\n".join(group).strip("\n")


def _values(file: Path, batch: "pa.RecordBatch", column: str, first: int) -> list[Any]:
    """A column's values in a batch whose first row is number `first` + 1 of the file."""
    try:
        return batch.column(column).to_pylist()
    except UnicodeDecodeError as error:
        raise UserError(
            f"{file}, rows {first + 1} to {first + len(batch)}: column {column!r} holds "
            f"text that is not UTF-8 ({error.reason}). Write the file again as UTF-8."
        ) from None


def _batches(file: Path, columns: list[str] | None) -> Iterator["pa.RecordBatch"]:
    """Small record batches of some columns, or of all."""
    import pyarrow as pa
    from pyarrow import parquet

    with readable(file, pa.ArrowException):
        if file.suffix == ".parquet":
            with parquet.ParquetFile(file) as table:
                yield from table.iter_batches(ROWS_AT_ONCE, columns=columns)
            return
        for batch in _arrow(file)[1]:
            for start in range(0, len(batch), ROWS_AT_ONCE):
                yield batch.select(columns or batch.schema.names).slice(start, ROWS_AT_ONCE)


def _schema(file: Path) -> "pa.Schema":
    from pyarrow import parquet

    return parquet.read_schema(file) if file.suffix == ".parquet" else _arrow(file)[0]


def _arrow(file: Path) -> tuple["pa.Schema", Iterable["pa.RecordBatch"]]:
    """Schema and batches of an Arrow file in stream format (as Datasets writes) or file format."""
    import pyarrow as pa

    source = pa.memory_map(str(file))
    try:
        reader = pa.ipc.open_stream(source)
    except pa.ArrowInvalid:
        opened = pa.ipc.open_file(source)
        return opened.schema, map(opened.get_batch, range(opened.num_record_batches))
    return reader.schema, reader


@contextmanager
def readable(file: Path, *damage: type[Exception]) -> Iterator[None]:
    """Turn what a forbidden or damaged file raises into one sentence."""
    try:
        yield
    except (OSError, EOFError, zlib.error, *damage) as error:
        raise UserError(
            f"{file} cannot be read ({error}). Check its permissions, and that it is whole and "
            "of the format that its name says."
        ) from None


def _string(text: object, column: str, where: str) -> str:
    if not isinstance(text, str):
        found = "null" if text is None else type(text).__name__
        raise UserError(
            f"{where}: column {column!r} holds {found}, not text. "
            "Set column to a text column, or take such rows out."
        )
    return text


def _refuse_surrogates(text: str, column: str, where: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"{where}: column {column!r} holds half a character (\\u{ord(text[error.start]):04x}), "
            "which no UTF-8 text can hold. Take it out."
        ) from None


def _no_such_column(where: str, column: str, columns: Iterable[str]) -> UserError:
    names = list(columns)
    advice = nearest(column, names) or " Set column to one of them."
    return UserError(
        f"{where} has no column {column!r}; its columns are {', '.join(map(repr, names))}.{advice}"
    )

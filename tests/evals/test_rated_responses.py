"""Rows with metrics: whose columns count, and what is refused in one sentence (IRL-3)."""

import json
from pathlib import Path

import pytest

from tutelage.config import UserError
from tutelage.evals.rated_responses import read_rated


def written(path: Path, *rows: object) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


TEXTS = {"prompt": "a", "response": "b"}


def test_columns_of_numbers_are_metrics(tmp_path):
    """IRL-3: true and false too; null, NaN and absence are no number; texts are left aside."""
    path = written(
        tmp_path / "rows.jsonl",
        {**TEXTS, "right": True, "rouge": 0.5, "name": "x", "empty": None},
        "",
        {"prompt": "c", "completion": "d", "right": False, "name": 3, "step": 7},
        '{"prompt": "e", "response": "", "completion": "f", "right": null, "rouge": NaN}',
    )
    rows = read_rated(path)
    assert [(row.prompt, row.response) for row in rows] == [("a", "b"), ("c", "d"), ("e", "")]
    assert [row.metrics for row in rows] == [
        {"right": 1.0, "rouge": 0.5},
        {"right": 0.0, "rouge": None},
        {"right": None, "rouge": None},
    ]
    assert rows[1].place == f"{path}, line 3"


def test_of_a_runs_samples_the_scores_count(tmp_path):
    """IRL-3, X-2: and a last line that is still being written is left out."""
    row = {"step": 5, "kind": "sample", "num_tokens": 9, "extra": 1, **TEXTS}
    path = written(tmp_path / "samples.jsonl", {**row, "scores": {"total": 1.5, "exact": 0}}, row)
    with path.open("a") as handle:
        handle.write('{"step": 6, "pro')
    first, second = read_rated(path)
    assert first.metrics == {"total": 1.5, "exact": 0.0}
    assert second.metrics == {"total": None, "exact": None}
    assert read_rated(path, ["step"])[0].metrics == {"step": 5.0}
    assert read_rated(path, ["exact", "extra"])[0].metrics == {"exact": 0.0, "extra": 1.0}


def test_rows_without_any_metric_are_read_too(tmp_path):
    """IRL-3: the rewards of any text can be had."""
    path = written(tmp_path / "rows.jsonl", {**TEXTS, "id": "x"})
    assert read_rated(path)[0].metrics == {}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"prompt": "a", "text": "b"}, "line 1 has no response. It has prompt, text."),
        ({"promt": "a", "response": "b"}, "has no prompt. Did you mean promt?"),
        ({"prompt": "a", "response": ["b"]}, 'response is ["b"], but must be a text.'),
        ('{"prompt": "a", "response": "\\ud800"}', "but must be a text."),
        ("[1]", "is JSON, but not an object."),
        ("{", "is not JSON"),
    ],
)
def test_a_malformed_row_is_refused(row, said, tmp_path):
    """X-1: with file and line."""
    with pytest.raises(UserError) as error:
        read_rated(written(tmp_path / "rows.jsonl", row))
    assert said in str(error.value)
    assert "line 1" in str(error.value)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("rouje", "has no such column. Did you mean rouge? It has rouge, name."),
        ("name", 'rows.jsonl, line 1 has "x" there, which is no number.'),
    ],
)
def test_a_metric_that_is_none_is_refused(wanted, said, tmp_path):
    """X-1."""
    path = written(tmp_path / "rows.jsonl", {**TEXTS, "rouge": 1, "name": "x"})
    with pytest.raises(UserError) as error:
        read_rated(path, [wanted])
    assert said in str(error.value)


def test_missing_and_empty_files_are_refused(tmp_path):
    """X-1."""
    with pytest.raises(UserError, match="does not exist"):
        read_rated(tmp_path / "nothing.jsonl")
    with pytest.raises(UserError, match="is a folder"):
        read_rated(tmp_path)
    with pytest.raises(UserError, match="has no rows"):
        read_rated(written(tmp_path / "rows.jsonl"))

"""Minimal pairs: files of BLiMP and of its supplement, and the pairs of the nursery."""

import json
from pathlib import Path

import pytest

from evals.scorers import Opinion, scorer_of, small_student, small_tokenizer
from tutelage.config import UserError
from tutelage.data.pairs import nursery_pairs, save_pairs
from tutelage.evals.minimal_pairs import MinimalPairs


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory):
    return small_tokenizer(tmp_path_factory.mktemp("cache"))


def write(file: Path, *rows: dict) -> Path:
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return file


def blimp(good: str, bad: str, uid: str, field: str = "syntax", term: str = "binding") -> dict:
    names = {"UID": uid, "field": field, "linguistics_term": term, "pairID": "3"}
    return {"sentence_good": good, "sentence_bad": bad, **names}


def evaluate(suite: MinimalPairs, scorer) -> dict:
    suite.check()
    return suite.combine({task: suite.run_task(task, scorer) for task in suite.tasks()})


def test_files_of_blimp_give_phenomena_fields_and_terms(tokenizer, tmp_path: Path) -> None:
    """EV-2: with one nat a token the shorter sentence wins."""
    write(tmp_path / "b.jsonl", blimp("x", "x y", "short"), blimp("x y", "x", "short", term="npi"))
    write(tmp_path / "a.jsonl", blimp("x", "y", "tie", field="semantics"))
    suite = MinimalPairs(data=tmp_path)
    assert suite.tasks() == ["a", "b"]
    result = evaluate(suite, scorer_of(Opinion(), tokenizer))
    assert result["measures"] == {
        "accuracy": 0.5,
        "accuracy_per_token": 0.5,
        "tie": 0.5,
        "short": 0.5,
        "field/semantics": 0.5,
        "field/syntax": 0.5,
        "linguistics_term/binding": 0.75,
        "linguistics_term/npi": 0.0,
    }
    assert result["counts"]["linguistics_term/binding"] == 2
    assert result["version"] == 2


def test_rows_of_the_supplement_are_named_by_their_file(tokenizer, tmp_path: Path) -> None:
    """EV-2: they have neither a field nor a UID."""
    file = write(tmp_path / "turn_taking.jsonl", {"sentence_good": "x", "sentence_bad": "x y"})
    result = evaluate(MinimalPairs(data=file), scorer_of(Opinion(), tokenizer))
    assert result["measures"]["turn_taking"] == 1.0
    assert result["measures"]["field/supplement"] == 1.0
    assert result["measures"]["linguistics_term/supplement"] == 1.0


def test_without_data_the_pairs_are_those_of_the_nursery(tokenizer, tmp_path: Path) -> None:
    """EV-2: the same as from a file that was saved from them, where nothing is drawn by a seed."""
    scorer = scorer_of(Opinion({number: -number / 100 for number in range(300)}), tokenizer)
    built_in = evaluate(MinimalPairs(), scorer)
    save_pairs(nursery_pairs(), tmp_path / "pairs.jsonl")
    from_file = evaluate(MinimalPairs(data=tmp_path / "pairs.jsonl"), scorer)
    assert built_in["counts"]["accuracy"] == len(nursery_pairs())
    assert (built_in["seeds"], from_file["seeds"]) == ({"pairs": 0}, {})
    for name, value in built_in["measures"].items():
        assert from_file["measures"][name] == pytest.approx(value), name


SENTENCES = [
    ("agreement", "The cats sleep.", "The cats sleeps."),
    ("agreement", "A dog barks at us.", "A dog bark at us."),
    ("agreement", "The cat near the dogs sleeps.", "The cat near the dogs sleep."),
    ("agreement", "These cats bark loudly.", "These cat bark loudly."),
    ("agreement", "The dogs see us.", "The dogs sees us."),
    ("order", "Did the cat sleep?", "Slept the cat did?"),
    ("order", "Us, the dog saw.", "Saw the us, dog."),
    ("order", "Who did the dog see?", "Who the dog did see?"),
    ("order", "The cat that barks sleeps.", "The cat barks that sleeps."),
    ("order", "A loud dog barks.", "A dog loud barks."),
]


@pytest.mark.parametrize(("ties", "agreement", "order"), [("half", 0.4, 0.6), ("first", 0.4, 0.4)])
def test_accuracies_of_a_small_random_student_stay_what_they_were(
    tokenizer, tmp_path: Path, ties, agreement: float, order: float
) -> None:
    """EV-2: frozen, and checked against the plain model when they were."""
    rows = [blimp(good, bad, uid) for uid, good, bad in SENTENCES]
    suite = MinimalPairs(data=write(tmp_path / "a.jsonl", *rows), ties=ties)
    measures = evaluate(suite, scorer_of(small_student(tokenizer), tokenizer))["measures"]
    assert (measures["agreement"], measures["order"]) == (agreement, order)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"a" 1}', r"bad\.jsonl, line 2 is not JSON: .* at column 6"),
        ("[1]", r"line 2 is not a JSON object with named fields, but \[1\]"),
        ('{"sentence": "x"}', "line 2 has no field sentence_good; it has sentence"),
        (
            '{"sentence_good": "x", "sentence_bda": "x"}',
            "no field sentence_bad; it has sentence_good, sentence_bda. Did you mean sentence_bda?",
        ),
        ('{"sentence_good": "x", "sentence_bad": 3}', "sentence_bad is 3, but it must be a text"),
        (
            '{"sentence_good": "x", "sentence_bad": "y", "field": "f"}',
            "line 2 has no field UID; it has sentence_good, sentence_bad, field",
        ),
    ],
)
def test_a_bad_row_is_refused_with_its_place(tmp_path: Path, line: str, message: str) -> None:
    """EV-2: before a model loads."""
    good = json.dumps(blimp("x", "y", "u"))
    (tmp_path / "bad.jsonl").write_text(f"{good}\n{line}\n")
    with pytest.raises(UserError, match=message):
        MinimalPairs(data=tmp_path).check()


def test_files_that_are_not_there_or_empty_or_no_text_are_refused(tmp_path: Path) -> None:
    """EV-2."""
    with pytest.raises(UserError, match=r"nowhere does not exist"):
        MinimalPairs(data=tmp_path / "nowhere").check()
    with pytest.raises(UserError, match=r"holds no \.jsonl file \(it is empty\)"):
        MinimalPairs(data=tmp_path).check()
    (tmp_path / "blimp.zip").write_text("")
    with pytest.raises(UserError, match=r"holds no \.jsonl file \(it has blimp\.zip\)"):
        MinimalPairs(data=tmp_path).check()
    (tmp_path / "a.jsonl").write_text("\n \n")
    with pytest.raises(UserError, match=r"a\.jsonl is empty"):
        MinimalPairs(data=tmp_path).check()
    (tmp_path / "a.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"a\.jsonl is not UTF-8 text"):
        MinimalPairs(data=tmp_path).check()


def test_blank_lines_and_a_byte_order_mark_do_no_harm(tokenizer, tmp_path: Path) -> None:
    """EV-2."""
    row = json.dumps({"sentence_good": "x", "sentence_bad": "x y"})
    (tmp_path / "a.jsonl").write_text(f"\ufeff{row}\n\n{row}\n\n", encoding="utf-8")
    result = evaluate(MinimalPairs(data=tmp_path), scorer_of(Opinion(), tokenizer))
    assert result["counts"]["a"] == 2


def test_a_sentence_without_tokens_is_refused_with_its_place(tokenizer, tmp_path: Path) -> None:
    """EV-2."""
    row = {"sentence_good": "x", "sentence_bad": ""}
    suite = MinimalPairs(data=write(tmp_path / "a.jsonl", row))
    with pytest.raises(UserError, match=r"a\.jsonl, line 1: the tokenizer makes no token"):
        evaluate(suite, scorer_of(Opinion(), tokenizer))

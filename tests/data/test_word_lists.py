"""Lists of words: plain text, Wordbank's and other tables, word sets (EV-3)."""

import pytest

from tutelage.config import UserError
from tutelage.data.word_lists import load_list, spellings


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("ball", ["ball"]),
        (" thank  you\t", ["thank you"]),
        ("chicken (animal)", ["chicken"]),
        ("mommy*", ["mommy"]),
        ("buttocks/bottom*", ["buttocks", "bottom"]),
        ("owie/boo boo", ["owie", "boo boo"]),
        ("don't", ["don't"]),
        ("", []),
        ("(quiet)", []),
    ],
)
def test_an_entry_of_a_list_stands_for_its_words(entry, words):
    """EV-3: remarks in brackets and stars are no part of them."""
    assert spellings(entry) == words


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("list.txt", "ball\r\n\ndog \nball\n", {"ball": "", "dog": ""}),
        ("list.txt", "\ufefffish (food)\nfish (animal)\n", {"fish": ""}),
        (
            "list.csv",
            'id,definition,category,16\n1,ball,toys,0.1\n2,"fish (food)",food,\n'
            "3,fish (animal),animals,0.2\n4,,x,\n",
            {"ball": "toys", "fish": "food"},
        ),
        ("list.csv", "\ufeffcategory,word\n,ball\npet,dog\n", {"ball": "", "dog": "pet"}),
        ("list.tsv", "word\tword_count\nball\t3\nice cream\t2\n", {"ball": "", "ice cream": ""}),
        ("list.json", '{"dog": [{"context": "a"}], "a/b": []}', {"dog": "", "a/b": ""}),
        (
            "list.jsonl",
            '{"word": "dog", "category": "pet", "contexts": []}\n',
            {"dog": "pet"},
        ),
    ],
)
def test_words_of_a_list_are_read_in_order_with_their_categories(tmp_path, name, content, words):
    """EV-3: of a word in several rows, the first counts."""
    (tmp_path / name).write_text(content, encoding="utf-8", newline="")
    found = load_list(tmp_path / name)
    assert found == words
    assert list(found) == list(words)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("list.csv", b"noun,age\nball,3\n", "has no column word or definition; it has noun, age"),
        ("list.csv", b"", "has no column word or definition; it has none"),
        ("list.csv", b'word\n"ball"x\n', r"list\.csv cannot be read"),
        ("list.csv", b"word\n\n", r"list\.csv holds no words"),
        ("list.txt", b"\n \n", r"list\.txt holds no words"),
        ("list.txt", b"\xff\xfe", r"list\.txt cannot be read"),
        ("list.pkl", b"", r"its name must end in \.txt, \.csv, \.tsv, \.json or \.jsonl"),
        ("list.json", b"3", r"list\.json is not a word with its contexts"),
        (None, b"", r"list\.txt does not exist"),
    ],
)
def test_what_is_no_list_of_words_is_refused(tmp_path, name, content, message):
    """X-1."""
    path = tmp_path / (name or "list.txt")
    if name:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        load_list(path)


def test_the_words_of_wordbank_are_read(shared_data):
    """EV-3: 474 items; some are two words of a slash, some the same word with two senses."""
    words = load_list(shared_data / "wordbank" / "child_american_english_proportions.csv")
    assert words["baa baa"] == "sounds"
    assert words["chicken"] == "animals"
    assert {"inside", "in", "TV", "don't", "babysitter's name"} <= set(words)
    assert not [word for word in words if set(word) & set("()*/")]
    assert len(words) == 479

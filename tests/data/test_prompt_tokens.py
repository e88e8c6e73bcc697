"""Documents become prompts of the right length, the same ones each time."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import normalizers
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from data.tokenizers_of_prompts import byte_level, llama_like
from tutelage.config import UserError
from tutelage.data.prompt_rows import Row
from tutelage.data.prompt_tokens import (
    Lengths,
    Limit,
    PromptEncoder,
    batches,
    fixed_prompt,
    make_prompts,
)
from tutelage.data.prompts import Prompts

ALL = Limit(None, None)
WHOLE = Lengths(1, None, False, 0)
TOKENIZER = byte_level()


@dataclass
class Listed:
    """A source that is a list of texts."""

    texts: list[str]
    columns: dict[str, Any] = field(default_factory=dict)
    num_reads: int = 0

    def rows(self) -> Iterator[Row]:
        """The texts."""
        self.num_reads += 1
        return (Row(text, self.columns, 0, n) for n, text in enumerate(self.texts, 1))

    def sources(self) -> list[str]:
        """One."""
        return ["list.txt, line"]

    def fingerprint(self) -> str:
        """The texts themselves."""
        return json.dumps(self.texts)


def prompts_of(
    texts: list[str],
    lengths: Lengths = WHOLE,
    limit: Limit = ALL,
    tokenizer: PreTrainedTokenizerFast = TOKENIZER,
) -> Prompts:
    encoder = PromptEncoder(tokenizer)
    made = list(batches(Listed(texts), encoder, lengths, limit))
    return Prompts(pa.Table.from_batches(made), ["list.txt, line"])


@given(
    st.lists(st.text("ab é🐈\n", min_size=1, max_size=40), min_size=1, max_size=8),
    st.integers(1, 12),
    st.integers(0, 12),
    st.integers(0, 3),
)
def test_a_cut_prompt_is_the_beginning_of_its_document(
    texts: list[str], shortest: int, more: int, seed: int
) -> None:
    """PPO-1: its length is in range, its text is what its tokens decode to, whole characters."""
    lengths = Lengths(shortest, shortest + more, True, seed)
    try:
        prompts = prompts_of(texts, lengths)
    except UserError:
        assert all(len(text.encode()) < shortest or not whole(text, lengths) for text in texts)
        return
    for index, prompt in enumerate(prompts):
        document = texts[prompts.table["place"][index].as_py() - 1]
        assert document.startswith(prompt.text)
        assert len(prompt.token_ids) == len(prompt.text.encode())
        assert shortest <= len(prompt.token_ids) <= shortest + more
        assert TOKENIZER.decode(prompt.token_ids) == prompt.text
    kept = set(prompts.table["place"].to_pylist())
    assert kept == {n for n, text in enumerate(texts, 1) if whole(text, lengths)}


def whole(text: str, lengths: Lengths) -> bool:
    """Whether some prefix of whole characters has a length in range."""
    sizes = {len(text[:end].encode()) for end in range(1, len(text) + 1)}
    assert lengths.longest
    return any(lengths.shortest <= size <= lengths.longest for size in sizes)


def test_cuts_are_uniform_from_the_least_to_the_most_or_the_document() -> None:
    """PPO-1: 6,000 draws from 3…8 and from 3…5, 5 sigma apart at most."""
    for document, longest in (("a" * 100, 8), ("a" * 5, 5)):
        prompts = prompts_of([document] * 6000, Lengths(3, 8, True, 0))
        counts = Counter(prompts.table["num_tokens"].to_pylist())
        sizes = range(3, longest + 1)
        assert set(counts) == set(sizes)
        for size in sizes:
            expected = 6000 / len(sizes)
            assert abs(counts[size] - expected) < 5 * expected**0.5


def test_a_cut_depends_on_seed_and_number_of_the_document_alone() -> None:
    """PPO-1: neither the other documents nor the limit change a prompt."""
    lengths = Lengths(1, 50, True, 7)
    texts = [letter * 60 for letter in "abcdefgh"]
    one = prompts_of(texts, lengths)
    other = prompts_of([*(letter * 55 for letter in "ijklmno"), texts[7]], lengths)
    assert one[7] == other[7]
    assert (
        list(prompts_of(texts, lengths, Limit(100, None)))
        == one[: len(one)][: len(prompts_of(texts, lengths, Limit(100, None)))]
    )
    assert [len(p.token_ids) for p in prompts_of(texts, lengths._replace(seed=8))] != [
        len(p.token_ids) for p in one
    ]
    digest = hashlib.sha256(b"7 2").digest()
    assert len(one[2].token_ids) == 1 + int.from_bytes(digest[:8], "big") % 50


def test_whole_prompts_are_chosen_by_length_and_never_cut() -> None:
    """PPO-1."""
    prompts = prompts_of(["a", "bb", "ccc", "dddd"], Lengths(2, 3, False, 0))
    assert [prompt.text for prompt in prompts] == ["bb", "ccc"]
    assert [prompts.where(n) for n in range(2)] == ["list.txt, line 2", "list.txt, line 3"]


@pytest.mark.parametrize(
    ("limit", "texts"),
    [
        (Limit(9, None), ["one a", "two"]),  # 5 + 3 tokens; a third has 5 more
        (Limit(13, None), ["one a", "two", "three"]),
        (Limit(None, 3), ["one a", "two"]),  # 2 + 1 words, and "three" would be the fourth
        (Limit(100, 2), ["one a"]),
        (Limit(5, 100), ["one a"]),
        (Limit(4, None), []),
        (ALL, ["one a", "two", "three", "x"]),
    ],
)
def test_prompts_are_taken_in_order_up_to_the_first_that_does_not_fit(
    limit: Limit, texts: list[str]
) -> None:
    """PPO-1: a later, shorter one does not jump the queue."""
    prompts = prompts_of(["one a", "two", "three", "x"], limit=limit)
    assert [prompt.text for prompt in prompts] == texts


def test_tokens_begin_as_the_tokenizer_begins_a_text_and_never_end() -> None:
    """PPO-1: `<s>` before, no `</s>` after, and it counts in the length."""
    tokenizer = llama_like()
    prompt = prompts_of(["so nice"], tokenizer=tokenizer)[0]
    assert prompt.token_ids == tokenizer("so nice")["input_ids"][:-1]
    assert prompt.token_ids[0] == 1
    cut = prompts_of(["so nice"] * 50, Lengths(1, 4, True, 0), tokenizer=tokenizer)
    assert {len(prompt.token_ids) for prompt in cut} == {2, 3, 4}
    assert {prompt.text for prompt in cut} == {"", "s", "so"}


def test_what_a_text_spells_never_becomes_a_special_token() -> None:
    """PPO-1: a story that quotes <|endoftext|> does not end there."""
    prompt = prompts_of(["a<|endoftext|>b"])[0]
    assert TOKENIZER.eos_token_id not in prompt.token_ids
    assert prompt.text == "a<|endoftext|>b"


@pytest.mark.parametrize(("tokenizer", "start"), [(byte_level(), 256), (llama_like(), 1)])
def test_an_empty_fixed_prompt_is_the_token_that_begins_a_text(
    tokenizer: PreTrainedTokenizerFast, start: int
) -> None:
    """PPO-1."""
    prompts = fixed_prompt("", 2, tokenizer, ALL, None)
    assert [prompt.token_ids for prompt in prompts] == [[start], [start]]
    assert prompts[0].text == ""


def test_an_empty_prompt_has_all_that_the_tokenizer_puts_before_a_text() -> None:
    """PPO-1: some put a language before it."""
    tokenizer = llama_like()
    marks = [("<s>", 1), ("<unk>", 0)]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<unk> <s> $A", special_tokens=marks
    )
    assert fixed_prompt("", 1, tokenizer, ALL, None)[0].token_ids == [0, 1]
    assert fixed_prompt("s", 1, tokenizer, ALL, None)[0].token_ids[:2] == [0, 1]


def test_a_fixed_prompt_comes_as_often_as_told_or_as_the_limit_holds() -> None:
    """PPO-1."""
    assert len(fixed_prompt("one two", 5, TOKENIZER, ALL, None)) == 5
    assert len(fixed_prompt("one two", 5, TOKENIZER, Limit(20, None), None)) == 2
    assert len(fixed_prompt("one two", 5, TOKENIZER, ALL, Limit(None, 7))) == 3
    assert len(fixed_prompt("one two", 5, TOKENIZER, ALL, Limit(None, 0))) == 0
    with pytest.raises(UserError, match="Not even the first prompt fits"):
        fixed_prompt("one two", 5, TOKENIZER, Limit(6, None), None)


def test_samples_carry_input_ids_query_and_num_tokens_on_disk(tmp_path: Path) -> None:
    """PPO-1: the file that is kept can be read by any program that reads Arrow."""
    make_prompts(Listed(["ab c"], {"answer": 4}), TOKENIZER, WHOLE, ALL, None, tmp_path)
    (file,) = tmp_path.glob("prompts/*.arrow")
    (row,) = pa.ipc.open_file(file.read_bytes()).read_all().to_pylist()
    assert row["query"] == "ab c"
    assert row["input_ids"] == TOKENIZER("ab c")["input_ids"]
    assert row["num_tokens"] == 4
    assert json.loads(row["columns"]) == {"answer": 4}


def test_prompts_are_made_once_for_the_same_content_tokenizer_and_settings(
    tmp_path: Path,
) -> None:
    """PPO-1: whatever differs makes others."""
    source = Listed(["ab c", "d"])
    first = make_prompts(source, TOKENIZER, WHOLE, ALL, None, tmp_path)
    assert list(make_prompts(source, TOKENIZER, WHOLE, ALL, None, tmp_path)) == list(first)
    assert source.num_reads == 1
    for lengths, limit, tokenizer in (
        (WHOLE, Limit(4, None), TOKENIZER),
        (Lengths(1, 2, False, 0), ALL, TOKENIZER),
        (WHOLE, ALL, llama_like()),
    ):
        make_prompts(source, tokenizer, lengths, limit, None, tmp_path)
    assert source.num_reads == 4
    assert make_prompts(Listed(["x"]), TOKENIZER, WHOLE, ALL, None, tmp_path)[0].text == "x"


def test_a_damaged_file_is_made_anew(tmp_path: Path) -> None:
    """PPO-1."""
    make_prompts(Listed(["ab c"]), TOKENIZER, WHOLE, ALL, None, tmp_path)
    (file,) = tmp_path.glob("prompts/*.arrow")
    content = file.read_bytes()
    file.write_bytes(content[:100] + b"!" + content[101:])
    assert make_prompts(Listed(["ab c"]), TOKENIZER, WHOLE, ALL, None, tmp_path)[0].text == "ab c"
    assert file.read_bytes() == content


def test_prompts_that_change_while_they_are_read_are_refused(tmp_path: Path) -> None:
    """PPO-1: nothing is kept under a hash that it does not have."""

    class Changing(Listed):
        def rows(self) -> Iterator[Row]:
            rows = list(super().rows())
            self.texts.append("new")
            return iter(rows)

    with pytest.raises(UserError, match="changed while they were read"):
        make_prompts(Changing(["a"]), TOKENIZER, WHOLE, ALL, None, tmp_path)
    assert not list(tmp_path.glob("prompts/*.arrow"))


@pytest.mark.parametrize(
    ("texts", "lengths", "message"),
    [
        (["a", " \n"], WHOLE, r"list.txt, line 2: the prompt is empty"),
        (["a", ""], WHOLE, r"list.txt, line 2: the prompt is empty"),
        (["abc", "abcde"], Lengths(9, 12, True, 0), r"none of its 2 texts .* 9 to 12 .* has 5"),
        (["abc"], Lengths(9, None, False, 0), r"none of its 1 texts .* 9 or more .* has 3"),
        ([], WHOLE, r"list.txt holds no prompt"),
    ],
)
def test_what_gives_no_prompt_is_one_sentence(
    texts: list[str], lengths: Lengths, message: str
) -> None:
    """X-1: with the sample that caused it."""
    with pytest.raises(UserError, match=message):
        prompts_of(texts, lengths)


def test_a_prompt_without_a_single_token_is_refused() -> None:
    """X-1: this tokenizer knows no letter of it, and drops what it doesn't know."""
    tokenizer = byte_level()
    tokenizer.backend_tokenizer.normalizer = normalizers.Replace("z", "")
    with pytest.raises(UserError, match=r"list.txt, line 2: the prompt 'zz' has no token"):
        prompts_of(["a", "zz"], tokenizer=tokenizer)
    with pytest.raises(UserError, match="The fixed prompt 'zz' has no token"):
        fixed_prompt("zz", 1, tokenizer, ALL, None)


def test_a_limit_that_holds_no_prompt_is_refused_but_not_what_others_left(tmp_path: Path) -> None:
    """PPO-1."""
    with pytest.raises(UserError, match="Not even the first prompt fits"):
        make_prompts(Listed(["abc"]), TOKENIZER, WHOLE, Limit(2, None), None, tmp_path)
    left = make_prompts(Listed(["abc"]), TOKENIZER, WHOLE, ALL, Limit(0, None), tmp_path)
    assert len(left) == 0


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"responses": "x"}, r"line 1: a further column cannot be called 'responses'"),
        ({"picture": b"x"}, r"line 1: a further column cannot be kept"),
    ],
)
def test_columns_that_rewards_could_not_take_are_refused(
    columns: dict[str, Any], message: str, tmp_path: Path
) -> None:
    """X-1."""
    with pytest.raises(UserError, match=message):
        make_prompts(Listed(["a"], columns), TOKENIZER, WHOLE, ALL, None, tmp_path)

"""Demonstrations hand out a corpus in a seeded order, and share it among processes."""

import pytest
import torch

from recipes.pretraining import write_corpus
from tutelage.config import UserError
from tutelage.data.corpora import TextCorpus
from tutelage.data.packing import BlockOrder, Blocks, tokenize
from tutelage.data.tokenizer import TokenizerConfig
from tutelage.lessons import demonstration
from tutelage.lessons.demonstration import Demonstration, Share
from tutelage.models.student import StudentConfig

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> tuple:
    folder = tmp_path_factory.mktemp("text")
    corpus = TextCorpus(path=write_corpus(folder / "stories.jsonl", documents=90))
    tokenizer = TokenizerConfig(vocab_size=300).build(corpus, folder)
    return Blocks(tokenize(corpus, tokenizer, cache_dir=folder), 16), tokenizer


def lesson(blocks: Blocks, **more: object) -> Demonstration:
    settings = {"batch_size": 8, "seed": 3, "device": CPU, **more}
    return Demonstration(blocks, **settings)  # pyright: ignore[reportArgumentType]


def token_ids(lesson: Demonstration, position: int) -> torch.Tensor:
    return torch.cat([rows.token_ids for rows in lesson.batch(position).microbatches])


def test_an_epoch_has_every_block_once_and_the_next_another_order(text: tuple) -> None:
    """PRE-1: the last batch of an epoch is filled up from the next."""
    blocks, _ = text
    order = BlockOrder(len(blocks), 3)
    first, second = order.indices(0, len(blocks)), order.indices(len(blocks), len(blocks))
    assert sorted(first) == sorted(second) == list(range(len(blocks)))
    assert first != second
    batches = [token_ids(lesson(blocks), position) for position in range(0, len(blocks), 8)]
    seen = torch.cat(batches)[: len(blocks)]
    assert torch.equal(seen, blocks.rows(first).token_ids)


def test_processes_share_each_batch_without_overlap(text: tuple) -> None:
    """X-5: their shares, one after the other, are the batch of one process."""
    blocks, _ = text
    whole = lesson(blocks).batch(40)
    parts = [lesson(blocks, share=Share(rank, 4), microbatch_size=1) for rank in range(4)]
    shares = [part.batch(40) for part in parts]
    assert [len(share.microbatches) for share in shares] == [2, 2, 2, 2]
    joined = torch.cat([rows.token_ids for share in shares for rows in share.microbatches])
    assert torch.equal(joined, whole.microbatches[0].token_ids)
    for share in shares:
        assert (share.num_terms, share.exposure, share.name) == whole[1:4]


def test_a_batch_that_does_not_divide_is_refused(text: tuple) -> None:
    """X-5."""
    with pytest.raises(UserError, match="--batch-size 8 does not divide among 3 processes"):
        lesson(text[0], share=Share(0, 3))


def test_terms_are_the_targets_that_count(text: tuple) -> None:
    """PRE-1: all but each block's first; with a document mask, all but each document's first."""
    blocks, _ = text
    plain, masked = lesson(blocks).batch(0), lesson(blocks, document_mask=True).batch(0)
    rows = plain.microbatches[0]
    starts = sum(len(set(row.tolist())) for row in rows.segments)
    assert plain.num_terms == 8 * 15
    assert masked.num_terms == 8 * 16 - starts < plain.num_terms
    assert plain.exposure == masked.exposure
    assert plain.exposure["read_tokens"] == 8 * 16


def test_with_a_document_mask_the_loss_is_that_of_the_documents_alone(text: tuple) -> None:
    """PRE-1: by definition, each piece of a document scored in a batch of its own."""
    blocks, tokenizer = text
    student = StudentConfig(layers=2, heads=2, width=32, context=32).build(tokenizer, seed=0)
    masked = lesson(blocks, document_mask=True)
    batch = masked.batch(0)
    rows = batch.microbatches[0]
    with torch.no_grad():
        loss, _ = masked.loss(student, rows)
        alone = 0.0
        for row, segments in zip(rows.token_ids, rows.segments, strict=True):
            for segment in segments.unique():
                piece = row[segments == segment]
                if len(piece) > 1:
                    alone -= student(piece[None]).logprobs.sum().item()
    assert loss.item() == pytest.approx(alone, rel=1e-5)


def test_rounds_go_on_where_the_state_was_taken(text: tuple) -> None:
    """X-3."""
    blocks, _ = text
    one = lesson(blocks, steps_per_round=3)
    list(one.round(torch.nn.Identity()))
    state = one.state_dict()
    other = lesson(blocks, steps_per_round=3)
    other.load_state_dict(state)
    for batch, again in zip(
        one.round(torch.nn.Identity()), other.round(torch.nn.Identity()), strict=True
    ):
        assert batch.name == again.name
    with pytest.raises(UserError, match="changed since"):
        other.load_state_dict({**state, "corpus": "another"})


def test_a_cpu_reads_so_many_tokens_at_once(text: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    """PRE-1: in more portions the sum and the gradients are the same."""
    blocks, tokenizer = text
    found = []
    for most in ({}, {"cpu": 2 * blocks.length + 1}):
        monkeypatch.setattr(demonstration, "_AT_ONCE", most)
        own = lesson(blocks)
        student = StudentConfig(layers=1, heads=2, width=8, context=32).build(tokenizer, seed=0)
        batch = own.batch(0)
        losses = [own.loss(student, part)[0] for part in batch.microbatches]
        torch.stack(losses).sum().backward()
        grads = [p.grad.flatten() for p in student.parameters() if p.grad is not None]
        found.append((len(losses), torch.stack(losses).sum().detach(), torch.cat(grads)))
    (one, *whole), (several, *parts) = found
    assert (one, several) == (1, 4)
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-4)

"""The official BabyLM 2025 pipeline as a peer: the way of its scoring restated, and itself.

https://github.com/babylm/evaluation-pipeline-2025, evaluation_pipeline/sentence_zero_shot: a causal
model at the default settings.
"""

import json
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import log_softmax
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset

Answers = list[tuple[float, ...]]
"""Of each question, a score of each option."""


class Rows(Dataset):
    """Rows as the pipeline prepares them: one at a time."""

    def __init__(self, file: Path, tokenizer: Any):
        self.rows = [json.loads(line) for line in file.read_text().splitlines()]
        self.tokenizer = tokenizer

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> list[dict[str, torch.Tensor]]:
        row = self.rows[index]
        prefix = row["input_prefix"]
        return [self.prepared(prefix + option, len(prefix)) for option in row["options"]]

    def prepared(self, text: str, start: int) -> dict[str, torch.Tensor]:
        """Tokens, attention mask, and which tokens are scored."""
        encoded = self.tokenizer(text=text, return_offsets_mapping=True)
        phrase = [int(end > start) for _, end in encoded["offset_mapping"]]
        return {
            "tokens": torch.LongTensor(encoded["input_ids"]),
            "mask": torch.LongTensor(encoded["attention_mask"]),
            "phrase": torch.LongTensor(phrase),
        }


def collate(rows: list[list[dict[str, torch.Tensor]]]) -> list[dict[str, torch.Tensor]]:
    """A padded batch of first texts, one of second ones, and so on."""
    return [
        {name: pad_sequence([row[side][name] for row in rows], batch_first=True) for name in first}
        for side, first in enumerate(rows[0])
    ]


def peer(student: Any, tokenizer: Any, file: Path) -> Answers:
    """The same in the way of the official pipeline."""
    model = student.model.eval()
    found: Answers = []
    with torch.no_grad():
        for batch in DataLoader(Rows(file, tokenizer), 64, collate_fn=collate):
            sums = []
            for side in batch:
                inputs, targets = side["tokens"][:, :-1], side["tokens"][:, 1:]
                output = model(input_ids=inputs, attention_mask=side["mask"][:, :-1])
                logprobs = log_softmax(output["logits"] / 1.0, dim=-1)
                chosen = logprobs.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
                sums.append((chosen * side["phrase"][:, 1:]).sum(1))
            found += [tuple(row) for row in torch.stack(sums, dim=1).tolist()]
    return found


def official(student: Any, tokenizer: Any, file: Path, *, pipeline: Path) -> Callable[[], Answers]:
    """The pipeline itself, loaded; called, it gives 1 for the option it takes, 0 for others.

    Args:
        student: Whose Transformers model it scores with.
        tokenizer: Saved in the folder of its name.
        file: Rows as entity tracking has them, alone in its folder.
        pipeline: A checkout, its requirements installed.
    """
    sys.path.insert(0, str(pipeline.resolve()))
    from evaluation_pipeline.sentence_zero_shot import (  # pyright: ignore[reportMissingImports]
        compute_results,
        dataset,
    )

    settings = Namespace(
        data_path=file.parent,
        task="entity_tracking",
        model_path_or_name=tokenizer.name_or_path,
        revision_name=None,
        backend="causal",
        images_path=None,
        image_template=None,
        full_sentence_scores=False,
        save_predictions=True,
        batch_size=64,
    )
    loader = dataset.get_dataloader(settings)
    rows = [json.loads(line)["options"] for line in file.read_text().splitlines()]

    def run() -> Answers:
        _, found = compute_results.compute_results(settings, student.model.eval(), loader, [1.0])
        taken = [row["pred"] for part in found[1.0].values() for row in part["predictions"]]
        pairs = zip(rows, taken, strict=True)
        return [tuple(float(option == one) for option in options) for options, one in pairs]

    return run

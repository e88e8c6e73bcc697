"""Reward by a trained reward model: any sequence classifier of Transformers with one label."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import PositiveInt

from tutelage.config import Config, UserError
from tutelage.rewards.protocol import Reward, RewardError, Scores

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CLASSIFIER = "ForSequenceClassification"


class Preference(Config):
    """What a reward model says of prompt and response, read as one text."""

    kind: Literal["preference"] = "preference"
    """A trained reward model."""
    path: str
    """Folder or hub name of the reward model: a sequence classifier with one label."""
    batch_tokens: PositiveInt = 8192
    """Most tokens, padding included, that the reward model reads at once; changes speed and memory,
    not the scores."""

    def check(self) -> None:
        """Refuse a folder whose config.json is not that of a reward model."""
        folder = Path(self.path).expanduser()
        if not folder.is_dir():
            if self.path[:1] in "./~" or self.path.count("/") > 1:
                raise UserError(
                    f"The reward model {self.path} is not a folder. Give a saved model's folder "
                    "or its name on the hub."
                )
            return
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            names = config.get("architectures") or ["a model of unknown kind"]
        except (OSError, ValueError, AttributeError):
            raise UserError(
                f"The reward model's folder {self.path} holds no model (no config.json that can be "
                "read). Give a folder that save_pretrained wrote."
            ) from None
        if not names[0].endswith(CLASSIFIER):
            raise UserError(
                f"The folder {self.path} holds {names[0]}, which is no reward model: its score "
                f"head would start at random. Give a trained …{CLASSIFIER} with one label."
            )
        # Transformers does not write down its default, two.
        labels = config.get("num_labels") or len(config.get("id2label", (0, 1)))
        refuse_labels(self.path, labels)

    def columns(self) -> tuple[str, ...]:
        """None."""
        return ()

    def build(self, device: torch.device | None = None) -> Reward:
        """The reward model, in float32 on the device."""
        import torch

        self.check()
        model, tokenizer = load_reward_model(self.path)
        model = model.to(device or torch.device("cpu"))  # pyright: ignore[reportArgumentType]
        return _Scorer(model.eval().requires_grad_(False), tokenizer, self.batch_tokens)


def refuse_labels(path: str, num_labels: int) -> None:
    """Raise unless there is one label."""
    if num_labels != 1:
        raise UserError(
            f"The model {path} has {num_labels} labels, but a reward model has one: its score. "
            "Train or save it with num_labels=1."
        )


def load_reward_model(path: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A reward model and its tokenizer, refused if any of its weights would start at random."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from tutelage.models.architecture import without_progress_bars

    folder = Path(path).expanduser()
    name = str(folder) if folder.is_dir() else path
    try:
        # Where a text is too long, its end is kept: the response.
        tokenizer = AutoTokenizer.from_pretrained(name, truncation_side="left")
        with without_progress_bars():
            loaded: Any = AutoModelForSequenceClassification.from_pretrained(
                name, dtype=torch.float32, use_safetensors=True, output_loading_info=True
            )
    except (OSError, ValueError, ImportError) as error:
        raise UserError(
            f"No reward model can be loaded from {path}: {str(error).strip().splitlines()[0]} "
            "Give the folder of a saved sequence classifier (safetensors) with its tokenizer."
        ) from error
    model, info = loaded
    if missing := sorted(info["missing_keys"]):
        raise UserError(
            f"The reward model {path} has no weights for {missing[0]}, which would start at "
            "random. Give a trained reward model, saved with its head."
        )
    refuse_labels(path, model.config.num_labels)
    known = len(model.get_input_embeddings().weight)
    if len(tokenizer) > known:
        raise UserError(
            f"The tokenizer in {path} has {len(tokenizer)} tokens, but the reward model there "
            f"knows {known} only. Save the model with the tokenizer that it was trained with."
        )
    return model, tokenizer


class _Scorer:
    """A reward model and how texts become its input."""

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, batch_tokens: int
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.batch_tokens = batch_tokens
        self.special = {one for one in tokenizer.all_special_ids if one is not None}
        self.vocab_size = len(model.get_input_embeddings().weight)  # pyright: ignore
        longest = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        self.context = min(tokenizer.model_max_length, longest or tokenizer.model_max_length)

    def __call__(
        self, prompts: Sequence[str], responses: Sequence[str], **columns: Sequence[Any]
    ) -> Scores:
        import torch

        pairs = zip(prompts, responses, strict=True)
        texts = [prompt + response for prompt, response in pairs]
        rows = self._rows(texts)
        notes = self._cut(texts, rows)
        scores = torch.zeros(len(rows))  # made outside inference mode, so that others may use it
        with torch.inference_mode():
            for batch in self._batches([len(row) for row in rows]):
                scores[batch] = self._score([rows[index] for index in batch])
        return Scores(scores, {"preference": scores}, notes)

    def _rows(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokens of each text, the way the model's own tokenizer frames them; never none."""
        if not texts:
            return []
        # Not verbose: texts that are too long are cut below.
        rows: list[list[int]] = self.tokenizer(list(texts), verbose=False)["input_ids"]  # pyright: ignore
        if all(rows):
            return rows
        begin: Any = self.tokenizer.bos_token_id
        begin = self.tokenizer.eos_token_id if begin is None else begin
        if begin is None:
            raise RewardError(
                "The reward model can't score an empty text: its tokenizer has neither a token "
                "that begins a text nor one that ends it. Give prompts that are not empty."
            )
        return [row or [begin] for row in rows]

    def _cut(self, texts: Sequence[str], rows: list[list[int]]) -> list[str] | None:
        """Shorten the rows that are too long, and note which those are."""
        notes = [""] * len(rows)
        for index, row in enumerate(rows):
            if len(row) > self.context:
                cut = self.tokenizer(texts[index], truncation=True, max_length=self.context)
                rows[index] = cut["input_ids"]  # pyright: ignore[reportArgumentType]
                notes[index] = f"only the last {self.context} of {len(row)} tokens were read"
        return notes if any(notes) else None

    def _batches(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        """Indices of rows of similar lengths, within the budget of tokens."""
        # So few rows that some token of the vocabulary ends none of them: see _score.
        most_rows = max(1, self.vocab_size - len(self.special) - 1)
        batch: list[int] = []
        for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
            width = lengths[batch[0]] if batch else 0
            is_full = (len(batch) + 1) * width > self.batch_tokens or len(batch) == most_rows
            if batch and is_full:
                yield batch
                batch = []
            batch.append(index)
        if batch:
            yield batch

    def _score(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        """Scores of rows, padded on the right.

        Decoders read their score at the last token that is not the padding token. It is therefore
        one that ends no row here, so that an end-of-text token which also pads is still read.
        """
        import torch

        taken = self.special | {row[-1] for row in rows}
        padding = next(one for one in range(self.vocab_size) if one not in taken)
        self.model.config.get_text_config().pad_token_id = padding
        width = max(map(len, rows))
        token_ids = torch.tensor([[*row, *[padding] * (width - len(row))] for row in rows])
        lengths = torch.tensor([len(row) for row in rows])
        mask = torch.arange(width) < lengths[:, None]
        device = self.model.device
        output = self.model(input_ids=token_ids.to(device), attention_mask=mask.long().to(device))
        return output.logits.float().squeeze(-1).cpu()

"""Text from any causal language model, by the sampler of Transformers."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from tutelage.config import UserError

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ROWS_AT_ONCE = 64


def generate(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    *,
    max_tokens: int,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    greedy: bool = False,
    seed: int = 0,
) -> list[str]:
    """One response for each prompt, without the prompt; an empty prompt is the start of a text.

    Sampling settings that lie in the model's folder are ignored. The caller's random state and
    the model's training mode are as before, afterwards.

    Args:
        model: Any causal language model.
        tokenizer: Its tokenizer.
        prompts: What the responses continue.
        max_tokens: Most tokens of a response; it ends earlier at an end-of-text token.
        temperature: Divides the logits.
        top_k: Sample among the k likeliest tokens only; 0 for all.
        top_p: Sample among the likeliest tokens that together have this probability.
        greedy: Take the likeliest token, and ignore the three before.
        seed: The same seed and prompts give the same responses.
    """
    from transformers import GenerationConfig

    rows = [_token_ids(tokenizer, prompt) for prompt in prompts]
    _refuse_too_long(model, rows, max_tokens)
    sampling = {} if greedy else {"temperature": float(temperature), "top_k": top_k, "top_p": top_p}
    eos = model.generation_config.eos_token_id if model.generation_config else None
    settings = GenerationConfig(
        max_new_tokens=max_tokens,
        do_sample=not greedy,
        eos_token_id=tokenizer.eos_token_id if eos is None else eos,
        pad_token_id=padding_token(tokenizer),
        suppress_tokens=spare_ids(model, tokenizer) or None,
        **sampling,
    )
    responses: list[str] = []
    with seeded_sampling(model, settings, seed):
        for start in range(0, len(rows), ROWS_AT_ONCE):
            responses += _continued(model, tokenizer, rows[start : start + ROWS_AT_ONCE])
    return responses


def _token_ids(tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    """The prompt's tokens, begun but not ended by the tokenizer; at least one."""
    token_ids = cast("list[int]", tokenizer.encode(prompt))
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    is_ended = token_ids[-1:] == [eos] != [bos]
    if is_ended and not prompt.endswith(str(tokenizer.eos_token)):
        token_ids = token_ids[:-1]
    start = eos if bos is None else bos
    if not token_ids and not isinstance(start, int):
        raise UserError(
            "An empty prompt needs a token that begins or ends a text, and this tokenizer "
            "has neither. Give a prompt."
        )
    return token_ids or [cast("int", start)]


def _refuse_too_long(
    model: PreTrainedModel | PeftModel, rows: list[list[int]], max_tokens: int
) -> None:
    """Raise if a prompt and its response are more than the model reads."""
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    longest = max(map(len, rows), default=0)
    if context is not None and longest + max_tokens > context:
        room = context - longest
        remedy = f"Ask for at most {room} tokens, or shorten" if room > 0 else "Shorten"
        raise UserError(
            f"The longest prompt has {longest} tokens; with a response of {max_tokens} that is "
            f"more than the {context} tokens that this model reads. {remedy} the prompt."
        )


def padding_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """Any token will do: what is padding is known from lengths."""
    known = (tokenizer.pad_token_id, tokenizer.eos_token_id, 0)
    return next(token for token in known if isinstance(token, int))


def spare_ids(model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Rows of a model's output that are no tokens: some models fill their vocabulary up."""
    rows = model.config.get_text_config().vocab_size
    if rows <= len(tokenizer):
        return []
    return sorted(set(range(rows)) - set(tokenizer.get_vocab().values()))


@contextmanager
def seeded_sampling(
    model: PreTrainedModel | PeftModel, settings: object, seed: int
) -> Iterator[None]:
    """A seeded sampler without dropout; afterwards everything is as before."""
    import torch

    devices = [model.device] if model.device.type == "cuda" else []
    own, was_training = model.generation_config, model.training
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        log = logging.getLogger("transformers.modeling_utils")
        try:
            model.generation_config = settings  # pyright: ignore
            model.eval()
            log.addFilter(_is_news)
            yield
        finally:
            log.removeFilter(_is_news)
            model.generation_config = own  # pyright: ignore
            model.train(was_training)


def _is_news(record: logging.LogRecord) -> bool:
    """Not the advice to pass an attention mask: one is passed, and dropped where it is all true."""
    return "attention_mask" not in record.getMessage()


def _continued(
    model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase, rows: list[list[int]]
) -> list[str]:
    """Continue one batch, padded on the left; positions count from each row's first token."""
    import torch

    from tutelage.rollout.rows import continuation

    width = max(map(len, rows))
    padding = padding_token(tokenizer)
    token_ids = torch.tensor([[padding] * (width - len(row)) + row for row in rows])
    lengths = torch.tensor([len(row) for row in rows])
    mask = torch.arange(width) >= width - lengths[:, None]
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    takes_positions = "position_ids" in inspect.signature(model.forward).parameters
    output = model.generate(  # pyright: ignore
        token_ids.to(model.device),
        attention_mask=mask.long().to(model.device),
        **({"position_ids": positions.to(model.device)} if takes_positions else {}),
    )
    return [
        continuation(tokenizer, row, new)
        for row, new in zip(rows, output[:, width:].tolist(), strict=True)
    ]

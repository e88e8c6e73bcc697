"""Small reward models of several architectures, saved in folders."""

from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast

WORDS = [f"w{i}" for i in range(20)]
SPECIAL = {"<pad>": 20, "<end>": 21, "<begin>": 22}
CONTEXT = 16


def tokenizer_of(*, pad: str = "<pad>", frame: bool = False, ends: bool = True):
    """A tokenizer of words.

    Args:
        pad: Its padding token.
        frame: Whether it puts `<begin>` and `<end>` around a text.
        ends: Whether it knows a token that ends a text.
    """
    words = {word: i for i, word in enumerate(WORDS)} | SPECIAL
    inner = Tokenizer(WordLevel(words, unk_token="w0"))
    inner.pre_tokenizer = WhitespaceSplit()
    if frame:
        named = [("<begin>", SPECIAL["<begin>"]), ("<end>", SPECIAL["<end>"])]
        inner.post_processor = TemplateProcessing(single="<begin> $A <end>", special_tokens=named)
    names = {"eos_token": "<end>"} if ends else {}
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token=pad, **names)


SHAPES = {
    "GPT2": {"n_positions": CONTEXT, "n_embd": 16, "n_layer": 2, "n_head": 2},
    "Llama": {
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT,
    },
    "Bert": {
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": CONTEXT,
    },
}


def save_classifier(
    folder: Path, name: str, tokenizer, *, num_labels: int = 1, vocab_size: int = 23
) -> Path:
    """Save a random reward model whose scores tell texts apart."""
    config = getattr(transformers, f"{name}Config")(
        **SHAPES[name],
        vocab_size=vocab_size,
        num_labels=num_labels,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=21,
        bos_token_id=22,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = AutoModelForSequenceClassification.from_config(config)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder

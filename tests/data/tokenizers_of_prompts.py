"""Small tokenizers: one like GPT-2's, one like Llama's."""

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

END = "<|endoftext|>"


def byte_level() -> PreTrainedTokenizerFast:
    """One token for each byte, nothing put before a text; as tutelage trains them."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE({letter: n for n, letter in enumerate(alphabet)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([END])
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token=END, eos_token=END)


def llama_like() -> PreTrainedTokenizerFast:
    """One token for each letter, spaces as ▁; `<s>` is put before a text, `</s>` after it."""
    letters = {letter: n for n, letter in enumerate("▁abcdehinorstuyOwl.", 3)}
    vocabulary = {"<unk>": 0, "<s>": 1, "</s>": 2, **letters}
    backend = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    backend.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    backend.add_special_tokens(["<s>", "</s>", "<unk>"])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )

"""Small reward models with every read-out."""

import torch
from pydantic import TypeAdapter
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast

from tutelage.models.readouts import AnyReadout
from tutelage.models.reward_folder import Facts
from tutelage.models.reward_model import Trunk
from tutelage.models.reward_module import RewardModel

POOLED = (
    "layerwise_attention",
    "full_attention",
    "attention_pooled_encoder",
    "attention_pooled_decoder",
)
READOUTS = (*POOLED, "decoder_output", "last_token")
MAX_TOKENS = 32


def word_tokenizer(num_words: int = 48) -> PreTrainedTokenizerFast:
    """A tokenizer of the words w0, w1 and so on."""
    words = {"<pad>": 0, "<end>": 1} | {f"w{i}": i + 2 for i in range(num_words)}
    inner = Tokenizer(WordLevel(words, unk_token="w0"))
    inner.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", eos_token="<end>")


def readout_of(kind: str, **options) -> AnyReadout:
    """A small read-out."""
    own = {"n_blocks_to_use": "all", "pooling_output_dim": 12} if kind in POOLED else {}
    return TypeAdapter(AnyReadout).validate_python({"kind": kind, **own, **options})


def small_model(kind: str, *, trunk: Trunk | None = None, **options) -> RewardModel:
    """A new reward model whose scores tell texts apart."""
    trunk = trunk or Trunk(layers=2, heads=2, width=16)
    facts = Facts(readout=readout_of(kind, **options), max_tokens=MAX_TOKENS, add_eos=True)
    model = trunk.build(word_tokenizer(), facts, seed=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        for parameter in model.parameters():
            if parameter.requires_grad and parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()

"""What scores texts: a trunk, new or saved, and a read-out of its hidden states (RM-1, RM-6)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, PositiveInt

from tutelage.config import Config, UserError
from tutelage.models.lora import Lora
from tutelage.models.readouts import AnyReadout, LastToken
from tutelage.models.reward_folder import CLASSIFIER, Facts, refuse_labels
from tutelage.models.student import SPECIAL, StudentConfig, refuse_vocabulary, set_dropout

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from tutelage.models.reward_module import RewardModel


class Trunk(Config):
    """The transformer under a read-out: new, or a saved one."""

    path: str | None = None
    """Folder or hub name of a T5 (google/flan-t5-small), or, for the read-out last_token, of any
    model that Transformers can classify sequences with; default: a new one."""
    size: str | None = None
    """Size of a new one: tiny, 2m, 5m, 14m, 30m or gpt2-small; tiny if neither path nor shape is
    given. A T5 has as many layers in its encoder, and again in its decoder."""
    layers: PositiveInt | None = None
    """Layers of a new one, instead of those of its size."""
    heads: PositiveInt | None = None
    """Attention heads of each layer, instead of those of its size; they divide the width."""
    width: PositiveInt | None = None
    """Numbers in a hidden state, instead of those of its size."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout while training, wherever the architecture has any."""
    frozen: bool = False
    """Train the read-out alone; hidden states are computed once and kept on disk."""
    lora: Lora = Lora()
    """Low-rank adapters."""
    trust_remote_code: bool = False
    """Run Python code that a model's folder or hub page brings along."""

    def check(self) -> None:
        """Refuse what can be refused before anything heavy loads."""
        if self.frozen and self.lora.rank:
            raise UserError(
                "--model.frozen trains the read-out alone, but --model.lora.rank adds adapters to "
                "train. Give one of them."
            )
        try:
            self._like_a_student(2).check()
        except UserError as error:
            raise UserError(str(error).replace("--student.", "--model.")) from None

    def _like_a_student(self, context: int) -> StudentConfig:
        """The same choice of a shape or a path."""
        is_new = self.path is None
        return StudentConfig(
            path=self.path,
            size=(self.size or "tiny") if is_new else self.size,
            layers=self.layers,
            heads=self.heads,
            width=self.width,
            context=context if is_new else None,
        )

    def build(
        self,
        tokenizer: PreTrainedTokenizerBase,
        facts: Facts,
        *,
        seed: int,
    ) -> RewardModel:
        """The reward model, in float32; new weights depend on the seed only.

        Args:
            tokenizer: Whose tokens it reads; a new trunk gets its vocabulary from it.
            facts: Among them the read-out, and the longest text that it will read.
            seed: Seed of new weights.
        """
        import torch

        from tutelage.models.reward_module import RewardModel
        from tutelage.tensors import generator

        self.check()
        with torch.random.fork_rng(devices=[]):
            # Initialisers draw from the global CPU generator, so it is lent a seed of its own.
            torch.default_generator.manual_seed(generator(seed, "reward model").initial_seed())
            if isinstance(facts.readout, LastToken):
                model = self._classifier(tokenizer, facts.max_tokens)
            else:
                model = self._t5(tokenizer, facts.readout)
            self._refuse_unfit(model, tokenizer, facts.max_tokens)
            return RewardModel.of(model, facts, self._prepared)

    def _refuse_unfit(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_tokens: int
    ) -> None:
        """Raise unless the trunk knows all tokens, and reads texts that are as long as allowed."""
        from tutelage.models.architecture import max_context

        try:
            refuse_vocabulary(model, tokenizer, self.path)
        except UserError as error:
            raise UserError(str(error).replace("the model None", "the trunk")) from None
        if max_tokens > max_context(model):
            raise UserError(
                f"--max-tokens is {max_tokens}, but {self.path or 'this trunk'} reads at most "
                f"{max_context(model)} tokens. Lower --max-tokens."
            )

    def _prepared(self, trunk: Any) -> Any:
        """The trunk as it will be trained: frozen, with adapters, or whole."""
        if self.frozen:
            return trunk.requires_grad_(False)
        if not self.lora.rank:
            return trunk
        from peft import TaskType

        return self.lora.adapt(
            trunk, TaskType.FEATURE_EXTRACTION, dropout=self.dropout, option="model.lora"
        )

    def _t5(self, tokenizer: PreTrainedTokenizerBase, readout: AnyReadout) -> PreTrainedModel:
        """A T5; of the encoder alone, if the read-out reads nothing else."""
        from transformers import AutoConfig, AutoModel, AutoModelForTextEncoding, T5Config

        has_decoder = readout.needs(1).where == "decoder start"
        kind: Any = AutoModel if has_decoder else AutoModelForTextEncoding
        if self.path is not None:
            config = self._read(AutoConfig)
            if not is_t5(config):
                raise UserError(
                    f"The read-out {readout.kind} reads a T5, but --model.path {self.path} is a "
                    f"{config.model_type}. Give a T5 (google/flan-t5-small), or "
                    "--readout.kind last_token."
                )
            config.dropout_rate = self.dropout
            return self._load(kind, config=config)
        size = self._like_a_student(2).shape()
        config = T5Config(
            vocab_size=len(tokenizer),
            d_model=size.width,
            d_kv=size.width // size.heads,
            d_ff=4 * size.width,
            num_layers=size.layers,
            num_heads=size.heads,
            feed_forward_proj="gated-gelu",
            dropout_rate=self.dropout,
            # The decoder starts with padding, as T5's own does.
            **{"decoder_start_token_id": tokenizer.pad_token_id or 0, **special(tokenizer)},
        )
        return kind.from_config(config)

    def _classifier(self, tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> PreTrainedModel:
        """A sequence classifier with one label; a head that was not saved is new."""
        from transformers import (
            AutoConfig,
            AutoModelForSequenceClassification,
            GPT2Config,
            GPT2ForSequenceClassification,
        )

        if self.path is not None:
            config = self._read(AutoConfig)
            if config.is_encoder_decoder:
                raise UserError(
                    f"--readout.kind last_token reads decoders and classifiers, but --model.path "
                    f"{self.path} is a {config.model_type} with encoder and decoder. "
                    "Give another read-out, such as layerwise_attention."
                )
            set_dropout(config, self.dropout)
            if (config.architectures or [""])[0].endswith(CLASSIFIER):
                refuse_labels(str(self.path), config.num_labels)
            config.num_labels = 1
            return self._load(AutoModelForSequenceClassification, config=config)
        size = self._like_a_student(max_tokens).shape()
        config = GPT2Config(
            vocab_size=len(tokenizer),
            n_positions=size.context,
            n_embd=size.width,
            n_layer=size.layers,
            n_head=size.heads,
            activation_function="gelu_pytorch_tanh",
            **{"num_labels": 1, **special(tokenizer)},
        )
        set_dropout(config, self.dropout)
        return GPT2ForSequenceClassification(config)

    def _read(self, auto: Any) -> Any:
        """The saved model's configuration."""
        return self._try(lambda name: auto.from_pretrained(name, **self._trust))

    def _load(self, kind: Any, **arguments: Any) -> PreTrainedModel:
        """The saved model in float32, refused if more than a head would start at random."""
        import torch

        from tutelage.models.architecture import without_progress_bars

        with without_progress_bars():
            model, info = self._try(
                lambda name: kind.from_pretrained(
                    name,
                    dtype=torch.float32,
                    use_safetensors=True,
                    output_loading_info=True,
                    **self._trust,
                    **arguments,
                )
            )
        prefix = f"{model.base_model_prefix}."
        is_classifier = hasattr(model, model.base_model_prefix)
        missing = sorted(
            name for name in info["missing_keys"] if not is_classifier or name.startswith(prefix)
        )
        if missing:
            raise UserError(
                f"--model.path {self.path} has no weights for {missing[0]} and {len(missing) - 1} "
                "more, so they would start at random. Give a complete model."
            )
        return model

    @property
    def _trust(self) -> dict[str, bool]:
        return {"trust_remote_code": self.trust_remote_code}

    def _try(self, load: Any) -> Any:
        """What `load` makes of the path, or one sentence on why not."""
        folder = Path(str(self.path)).expanduser()
        try:
            return load(str(folder) if folder.is_dir() else self.path)
        except (OSError, ValueError, ImportError) as error:
            raise UserError(
                f"No model can be loaded from --model.path {self.path}: "
                f"{str(error).strip().splitlines()[0]} "
                "Give the folder of a saved model (safetensors) or its name on the hub."
            ) from error


def special(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Ids of the special tokens, as a model's configuration has them."""
    return {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in SPECIAL}


def is_t5(config: Any) -> bool:
    """Whether a configuration is that of T5, or of a model with its parts."""
    return config.model_type in ("t5", "mt5", "umt5")

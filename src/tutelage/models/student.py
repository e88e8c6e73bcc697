"""Who learns: a GPT-2-shaped model from sizes, or any causal language model, perhaps with LoRA."""

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import Field, PositiveInt

from tutelage.config import Config, UserError
from tutelage.models.lora import Lora

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    from tutelage.models.student_module import Student


class Size(NamedTuple):
    """Shape of a GPT-2."""

    layers: int
    heads: int
    width: int
    context: int


SIZES = {
    "tiny": Size(2, 2, 64, 512),
    "2m": Size(4, 4, 128, 512),
    "5m": Size(4, 4, 256, 512),
    "14m": Size(6, 6, 384, 512),
    "30m": Size(8, 8, 512, 512),
    "gpt2-small": Size(12, 12, 768, 1024),
}
"""Named sizes; the numbers are parameters in millions at a vocabulary of 8,192."""


SPECIAL = ("bos", "eos", "pad")


class StudentConfig(Config):
    """A causal language model: new, with a shape of GPT-2, or a saved one."""

    path: str | None = None
    """Folder or hub name of any causal language model to go on from, instead of a size."""
    size: str | None = None
    """Size of a new student: tiny, 2m, 5m, 14m, 30m or gpt2-small; 5m if neither path nor shape is
    given."""
    layers: PositiveInt | None = None
    """Layers of a new student, instead of those of its size."""
    heads: PositiveInt | None = None
    """Attention heads of each layer, instead of those of its size; they divide the width."""
    width: PositiveInt | None = None
    """Numbers in a hidden state, instead of those of its size."""
    context: PositiveInt | None = None
    """Most tokens that a new student reads at once, instead of those of its size."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout while training, wherever the architecture has any."""
    lora: Lora = Lora()
    """Low-rank adapters."""
    trust_remote_code: bool = False
    """Run Python code that a model's folder or hub page brings along."""

    def check(self) -> None:
        """Refuse what can be refused before anything heavy loads."""
        if self.path is None:
            self.shape()
            return
        shape = {name: getattr(self, name) for name in ("size", *Size._fields)}
        given = [name for name, value in shape.items() if value is not None]
        if given:
            raise UserError(
                f"--student.path {self.path} already has a shape, so --student.{given[0]} "
                f"{shape[given[0]]} can't apply. Give one or the other."
            )
        folder = Path(self.path).expanduser()
        if folder.is_dir() and not (folder / "config.json").exists():
            raise UserError(
                f"--student.path {self.path} holds no model (no config.json). "
                "Give a folder that save_pretrained wrote, such as one of a run's checkpoints."
            )
        if not folder.is_dir() and (self.path[:1] in "./~" or self.path.count("/") > 1):
            raise UserError(
                f"--student.path {self.path} is not a folder. "
                "Give a saved model's folder or its name on the hub."
            )

    def shape(self) -> Size:
        """The shape of a new student."""
        own = {name: value for name in Size._fields if (value := getattr(self, name)) is not None}
        name = self.size or "5m"
        if name not in SIZES:
            nearest = difflib.get_close_matches(name.lower(), SIZES, n=1, cutoff=0.0)[0]
            raise UserError(
                f"--student.size {name} is not known; did you mean {nearest}? "
                f"Sizes are {', '.join(SIZES)}; or give layers, heads and width."
            )
        size = SIZES[name]._replace(**own)
        if size.width % size.heads:
            raise UserError(
                f"--student.width {size.width} can't be divided among {size.heads} heads. "
                f"Make it a multiple of {size.heads}, or change --student.heads."
            )
        return size

    def build(
        self, tokenizer: "PreTrainedTokenizerBase", *, seed: int, value_head: bool = False
    ) -> "Student":
        """The student, in float32; new weights depend on the seed only.

        Args:
            tokenizer: Whose tokens it reads; a new student gets its vocabulary from it.
            seed: Seed of new weights.
            value_head: Give it a head that says how good a state is: the saved one, or a new one.
        """
        import torch

        from tutelage.models.student_module import Student, new_value_head
        from tutelage.tensors import generator

        self.check()
        with torch.random.fork_rng(devices=[]):
            # Initialisers draw from the global CPU generator, so it is lent a seed of its own.
            torch.default_generator.manual_seed(generator(seed, "student").initial_seed())
            model = self._new(tokenizer) if self.path is None else self._load(self.path)
            refuse_vocabulary(model, tokenizer, self.path)
            folder = None if self.path is None else Path(self.path).expanduser()
            head = new_value_head(model, folder=folder, seed=seed) if value_head else None
            return Student(self._adapted(model) if self.lora.rank else model, head)

    def _adapted(self, model: "PreTrainedModel") -> "PeftModel":
        from peft import TaskType

        return self.lora.adapt(
            model, TaskType.CAUSAL_LM, dropout=self.dropout, option="student.lora"
        )

    def _new(self, tokenizer: "PreTrainedTokenizerBase") -> "PreTrainedModel":
        from transformers import GPT2Config, GPT2LMHeadModel

        size = self.shape()
        config = GPT2Config(
            vocab_size=len(tokenizer),
            n_positions=size.context,
            n_embd=size.width,
            n_layer=size.layers,
            n_head=size.heads,
            # The same function as GPT-2's gelu_new, in one kernel instead of seven.
            activation_function="gelu_pytorch_tanh",
            **{f"{kind}_token_id": getattr(tokenizer, f"{kind}_token_id") for kind in SPECIAL},
        )
        set_dropout(config, self.dropout)
        return GPT2LMHeadModel(config)

    def _load(self, path: str) -> "PreTrainedModel":
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM

        from tutelage.models.architecture import without_progress_bars

        folder = Path(path).expanduser()
        name = str(folder) if folder.is_dir() else path
        try:
            config = AutoConfig.from_pretrained(name, trust_remote_code=self.trust_remote_code)
            set_dropout(config, self.dropout)
            with without_progress_bars():
                loaded: Any = AutoModelForCausalLM.from_pretrained(
                    name,
                    config=config,
                    dtype=torch.float32,
                    use_safetensors=True,
                    trust_remote_code=self.trust_remote_code,
                    output_loading_info=True,
                )
        except (OSError, ValueError, ImportError) as error:
            raise UserError(
                f"No causal language model can be loaded from --student.path {path}: "
                f"{str(error).strip().splitlines()[0]} "
                "Give the folder of a saved model (safetensors) or its name on the hub."
            ) from error
        model, info = loaded
        if missing := sorted(info["missing_keys"]):
            raise UserError(
                f"--student.path {path} has no weights for {missing[0]} and {len(missing) - 1} "
                "more, so they would start at random. Give a complete causal language model."
            )
        return model


def refuse_vocabulary(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", path: str | None
) -> None:
    """Raise if the tokenizer knows more tokens than the model."""
    known = len(model.get_input_embeddings().weight)  # pyright: ignore[reportArgumentType]
    if len(tokenizer) > known:
        raise UserError(
            f"The tokenizer has {len(tokenizer)} tokens, but the model {path} has embeddings for "
            f"{known} only. Use the model's own tokenizer: --tokenizer.path {path}"
        )


def set_dropout(config: "PreTrainedConfig", dropout: float) -> None:
    """Change all dropout probabilities of a config."""
    text = config.get_text_config()
    for name, value in text.to_dict().items():
        if name.endswith(("dropout", "pdrop")) and isinstance(value, (int, float)):
            setattr(text, name, dropout)

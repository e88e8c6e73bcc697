"""Low-rank adapters (Hu et al., 2021, https://arxiv.org/abs/2106.09685), by PEFT."""

from __future__ import annotations

import difflib
import warnings
from typing import TYPE_CHECKING

from pydantic import NonNegativeInt, PositiveFloat

from tutelage.config import Config, UserError

if TYPE_CHECKING:
    from peft import PeftModel, TaskType
    from transformers import PreTrainedModel


class Lora(Config):
    """Low-rank adapters (LoRA): the model is frozen, and small matrices beside it learn."""

    rank: NonNegativeInt = 0
    """Rank of the adapters; 0 for none, so that all weights learn."""
    alpha: PositiveFloat = 16.0
    """Adapters are scaled by alpha / rank."""
    targets: tuple[str, ...] = ()
    """Names of the linear layers that get adapters, such as c_attn or q_proj; none given means all
    but the output head."""

    def adapt(
        self, model: PreTrainedModel, task: TaskType, *, dropout: float, option: str
    ) -> PeftModel:
        """The model frozen, with adapters that learn.

        Args:
            model: Whose linear layers get adapters.
            task: What PEFT should know the model is for.
            dropout: Probability of dropout before the adapters.
            option: Name of this configuration on the command line, for errors.
        """
        from peft import LoraConfig, get_peft_model
        from transformers.pytorch_utils import Conv1D

        layers = fast_layers(model)
        for target in self.targets:
            if target not in layers:
                nearest = difflib.get_close_matches(target, layers, n=1, cutoff=0.0)[0]
                raise UserError(
                    f"--{option}.targets {target} is no linear layer of this model; "
                    f"did you mean {nearest}? It has {', '.join(layers)}."
                )
        targets = self.targets or tuple(layers)
        config = LoraConfig(
            task_type=task,
            r=self.rank,
            lora_alpha=self.alpha,  # pyright: ignore[reportArgumentType]: any number will do
            lora_dropout=dropout,
            target_modules=list(targets),
            fan_in_fan_out=any(issubclass(layers[target], Conv1D) for target in targets),
        )
        with warnings.catch_warnings():
            # PEFT 0.21 asks Transformers for a property by its former name.
            warnings.simplefilter("ignore", FutureWarning)
            return get_peft_model(model, config)  # pyright: ignore[reportReturnType]


def fast_layers(model: PreTrainedModel) -> dict[str, type]:
    """Names and types of a model's linear layers, its output head left out."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    return {
        name.rpartition(".")[2]: type(module)
        for name, module in model.named_modules()
        if isinstance(module, (nn.Linear, Conv1D)) and module is not head
    }

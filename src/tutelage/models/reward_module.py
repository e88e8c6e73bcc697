"""The reward model: a trunk, a read-out, and the scale of its scores; saved as one folder (R4)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float, Int
from safetensors.torch import save_file
from torch import Tensor, nn

from tutelage.config import UserError
from tutelage.models.architecture import (
    count_positions,
    merge_adapter,
    takes_positions,
    without_progress_bars,
)
from tutelage.models.attention import autocast_attention
from tutelage.models.fast_layers import speed_up
from tutelage.models.joined import FIRST, SECOND, ends_of, mask_of, positions_of
from tutelage.models.readout_modules import LinearScore
from tutelage.models.readouts import LastToken
from tutelage.models.reward_folder import FACTS, READOUT, Facts
from tutelage.run_folder import write_folder, write_json

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class RewardModel(nn.Module):
    """Scores texts: `scale · readout(states of the trunk) + shift`.

    The scale is 1 and the shift 0 until `normalise` is called.
    """

    def __init__(
        self,
        model: Any,
        readout: nn.Module | None,
        facts: Facts,
        *,
        num_blocks: int = 1,
        kind: type[PreTrainedModel] | None = None,
    ):
        super().__init__()
        speed_up(model)
        self.model = model
        self.readout = readout
        self.facts = facts
        self.needs = facts.readout.needs(num_blocks)
        self.kind = kind  # of classifier that trunk and read-out are, if they are one
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("shift", torch.zeros(()))

    @classmethod
    def of(
        cls,
        model: PreTrainedModel,
        facts: Facts,
        prepare: Callable[[Any], Any] = lambda trunk: trunk,
    ) -> RewardModel:
        """A reward model over a Transformers model.

        Args:
            model: A T5, or a sequence classifier with one label.
            facts: Among them the read-out: it gets new weights, unless it is a classifier's.
            prepare: What is done to the trunk before it is trained.
        """
        readout = facts.readout
        if isinstance(readout, LastToken):
            score = getattr(model, "score", None)
            if not isinstance(score, nn.Linear):  # an encoder with a head of its own
                return cls(prepare(model), None, facts, kind=type(model))
            return cls(prepare(model.base_model), LinearScore(score), facts, kind=type(model))
        has_decoder = readout.needs(1).where == "decoder start"
        config = model.config
        num_blocks = config.num_decoder_layers if has_decoder else config.num_layers
        wanted = readout.needs(num_blocks).num_blocks
        if wanted > num_blocks:
            raise UserError(
                f"--readout.n-blocks-to-use is {wanted}, but this trunk has {num_blocks} blocks. "
                "Lower it, or give all."
            )
        module: Any = readout.build(config.d_model, num_blocks)
        return cls(prepare(model), module, facts, num_blocks=num_blocks)

    @property
    def base(self) -> Any:
        """The Transformers model itself, inside adapters if there are any."""
        from peft import PeftModel

        return self.model.get_base_model() if isinstance(self.model, PeftModel) else self.model

    @property
    def can_be_cached(self) -> bool:
        """Whether hidden states alone decide the score, so that a frozen trunk's can be kept."""
        return self.readout is not None

    def forward(
        self,
        inputs: Tensor,
        mask: Bool[Tensor, "batch time"] | None = None,
        *,
        owners: Int[Tensor, "pair time"] | None = None,
    ) -> Tensor:
        """Scores of texts (batch), in float32.

        Args:
            inputs: Token ids (batch, time), or the hidden states that `states` made of them.
            mask: True where a text is, false on padding; all true by default.
            owners: Of rows that hold a pair of texts each (see `joined`), whose each token is; then
                scores are those of all first texts, and behind them those of all second ones.
        """
        if mask is None:
            mask = torch.ones(inputs.shape[:2], dtype=torch.bool, device=inputs.device)
        if self.readout is None:
            raw = self.model(input_ids=inputs, attention_mask=mask.long()).logits[:, 0]
        else:
            states = inputs
            if owners is not None:
                states, mask = self._joined_states(inputs, owners)
            elif inputs.dim() == 2:
                states, mask = self.states(inputs, mask)
            with torch.autocast(states.device.type, enabled=False):
                raw = self.readout(states.float(), mask)
        return self.scale * raw.float() + self.shift  # pyright: ignore[reportOperatorIssue]

    def states(
        self, token_ids: Tensor, mask: Bool[Tensor, "batch time"]
    ) -> tuple[Float[Tensor, "batch block place hidden"], Bool[Tensor, "batch place"]]:
        """The hidden states that the read-out reads, and which of them count."""
        where, num_blocks = self.needs
        if where == "last token":
            positions = count_positions(token_ids, mask=mask)
            hidden = self._decoded(token_ids, mask.long(), positions)
            place = mask.shape[1] - 1 - mask.flip(1).float().argmax(1)
            return _only(hidden[:, None], place)
        if where == "decoder start":
            start = torch.full_like(token_ids[:, :1], self._start)
            output = self.model(
                input_ids=token_ids,
                attention_mask=mask.long(),
                decoder_input_ids=start,
                output_hidden_states=True,
                use_cache=False,
            )
            states = torch.stack(output.decoder_hidden_states[-num_blocks:], dim=1)
            return _only(states, torch.zeros_like(start[:, 0]))
        output = self.model(
            input_ids=token_ids, attention_mask=mask.long(), output_hidden_states=True
        )
        hidden = output.hidden_states[-num_blocks:]
        if where == "encoder start":
            first = mask.float().argmax(1)
            rows = torch.arange(len(first), device=first.device)
            states = torch.stack([block[rows, first] for block in hidden], dim=1)
            return states[:, :, None], mask.new_ones(len(first), 1)
        return torch.stack(hidden, dim=1), mask

    def _joined_states(self, token_ids: Tensor, owners: Tensor) -> tuple[Tensor, Tensor]:
        """The last states of each pair's first texts, and then of their second."""
        mask = mask_of(owners, self.base.dtype)
        hidden = self._decoded(token_ids, mask, positions_of(owners))
        rows = torch.arange(len(hidden), device=hidden.device)
        ends = [hidden[rows, ends_of(owners, owner)] for owner in (FIRST, SECOND)]
        states = torch.cat(ends)[:, None, None]
        return states, torch.ones_like(states[:, :, 0, 0], dtype=torch.bool)

    def _decoded(self, token_ids: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        """The last hidden states of a decoder-only trunk."""
        inputs: dict[str, Any] = {"position_ids": positions} if takes_positions(self.base) else {}
        inputs |= {"input_ids": token_ids, "attention_mask": mask, "use_cache": False}
        with autocast_attention(self.base):
            return self.model(**inputs).last_hidden_state

    @property
    def _start(self) -> int:
        """The token that the decoder begins with."""
        start = self.base.config.decoder_start_token_id
        return self.base.config.pad_token_id if start is None else start

    def normalise(self, *, scale: float, shift: float) -> None:
        """Multiply all scores by `scale`, then add `shift`; replaces what was set before."""
        self.scale.fill_(scale)  # pyright: ignore[reportCallIssue]
        self.shift.fill_(shift)  # pyright: ignore[reportCallIssue]

    def save(
        self,
        directory: Path,
        tokenizer: PreTrainedTokenizerBase,
        weights: dict[str, Tensor] | None = None,
    ) -> None:
        """Save a folder that `load_reward_model` loads; a classifier loads by Transformers, too.

        Args:
            directory: Where to; an old folder there is replaced in one go.
            tokenizer: Saved beside the weights.
            weights: This module's full state dict, if its own is sharded over processes.
        """
        state = self.state_dict() if weights is None else weights
        trunk = _under("model.", state)
        if self.base is not self.model:
            trunk = merge_adapter(self.base, trunk)
        head = _under("readout.", state)

        def fill(target: Path) -> None:
            model = self.base
            saved = dict(trunk)
            if self.kind is not None and self.readout is not None:
                with torch.device("meta"):
                    model = self.kind(self.base.config)
                saved = {f"{model.base_model_prefix}.{name}": t for name, t in trunk.items()}
                saved |= head
            for copy in model.all_tied_weights_keys:
                saved.pop(copy, None)
            with without_progress_bars():
                model.save_pretrained(target, state_dict=saved)
            if self.kind is None:
                save_file(head, target / READOUT)
            tokenizer.save_pretrained(target)
            scale = {name: float(state[name]) for name in ("scale", "shift")}
            write_json(target / FACTS, self.facts.model_copy(update=scale).model_dump(mode="json"))

        write_folder(Path(directory), fill)


def _only(
    states: Float[Tensor, "batch block time hidden"], place: Tensor
) -> tuple[Float[Tensor, "batch block 1 hidden"], Bool[Tensor, "batch 1"]]:
    """Of each text, the states at one place."""
    rows = torch.arange(len(place), device=place.device)
    found = states[rows, :, place][:, :, None]
    return found, torch.ones(len(place), 1, dtype=torch.bool, device=place.device)


def _under(prefix: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in weights.items()
        if name.startswith(prefix)
    }

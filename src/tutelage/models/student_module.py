"""The student: a causal language model that says how likely it finds given tokens."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tutelage.chunked_head.head import chunked_head
from tutelage.models.architecture import (
    count_positions,
    has_linear_head,
    max_context,
    merge_adapter,
    refuse_document_mask,
    takes_positions,
    without_progress_bars,
)
from tutelage.models.attention import autocast_attention
from tutelage.models.fast_layers import speed_up
from tutelage.models.reference import ALONE, Compared, read_reference
from tutelage.run_folder import write_folder
from tutelage.tensors import TokenScores, generator, row_entropies, whole_scores

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

VALUE_HEAD = "value_head.safetensors"


Reference = Callable[[], AbstractContextManager["Student"]]
"""Lends a frozen student to compare with."""


class Against(NamedTuple):
    """Whose distributions a student's are compared with, by KL(student‖reference)."""

    reference: Reference
    """A student with adapters may lend itself, with them off."""
    rng: torch.Generator | None = None
    """Draws one token in each state to estimate the KL from; none: the KL itself."""


class States(NamedTuple):
    """What a student has read, at some positions: hidden states of its trunk, or logits.

    Logits are there where the model does more to them than the output head's product; the hidden
    states are then there only if a value head needs them.
    """

    hidden: Tensor | None
    logits: Tensor | None

    def map(self, change: Callable[[Tensor], Tensor]) -> "States":
        """The same change to both parts."""
        return States(*(None if part is None else change(part) for part in self))

    def before(self, keep: Bool[Tensor, "batch time-1"] | None, *, num_states: int) -> "States":
        """Those before each token to keep, or before all tokens but the first of each row.

        Args:
            keep: The tokens.
            num_states: States of each row that predict one of its tokens.
        """
        if keep is None:
            return self.map(lambda part: part[:, :num_states].flatten(0, 1))
        return self.map(lambda part: part[:, :num_states][keep])


class Student(nn.Module):
    """Scores tokens with a Transformers model, its output head a block of positions at a time.

    A student that learns by trials has a value head on the same trunk: one number a state.

    Where a model does more to its logits than `hidden @ weight.T + bias` (soft-capping, scaling),
    `has_chunked_head` is false and its full logits are computed instead: right, with more memory.
    """

    def __init__(self, model: "PreTrainedModel | PeftModel", value_head: nn.Linear | None = None):
        super().__init__()
        speed_up(model)
        self.model = model
        self.value_head = value_head
        self.has_chunked_head = has_linear_head(self.base)

    @property
    def base(self) -> "PreTrainedModel":
        """The Transformers model itself, inside adapters if there are any."""
        from peft import PeftModel

        return self.model.get_base_model() if isinstance(self.model, PeftModel) else self.model  # pyright: ignore

    @property
    def context(self) -> int:
        """Most tokens that the student reads at once."""
        return max_context(self.base)

    def forward(
        self,
        token_ids: Int[Tensor, "batch time"],
        *,
        keep: Bool[Tensor, "batch time-1"] | None = None,
        segments: Int[Tensor, "batch time"] | None = None,
        positions: Int[Tensor, "batch time"] | None = None,
        mask: Bool[Tensor, "batch time"] | None = None,
        temperature: float = 1.0,
        entropy: bool = False,
        support: Int[Tensor, "kept candidate"] | None = None,
        against: Against | None = None,
    ) -> TokenScores:
        """Scores of every token but each row's first, given those before it.

        Args:
            token_ids: Tokens to score; `logprobs[:, t]` is that of `token_ids[:, t + 1]`.
            keep: Tokens to score; the others get 0 and cost no time in the output head.
            segments: Number of the document that each token is in; a token sees its own only.
            positions: Position of each token; by default counted from the start of its document.
            mask: True on real tokens; padding on either side is neither seen nor scored.
            temperature: Divides the logits.
            entropy: Give the entropy of each token's distribution too.
            support: For each token to keep, the tokens that its distribution is over; −1 fills up.
            against: Compare with a reference's distributions, over all tokens at temperature 1.
        """
        if mask is not None:
            real = mask[:, 1:] & mask[:, :-1]
            keep = real if keep is None else keep & real
        assert against is None or (temperature == 1 and support is None)
        targets = token_ids[:, 1:]
        chosen = targets.flatten() if keep is None else targets[keep]
        read: Any = (token_ids, segments, positions, mask)
        if token_ids.shape[1] > self.context:
            # The last token is a target only: a row may be longer by one than what can be read.
            read = tuple(None if part is None else part[:, :-1] for part in read)
        states = self.read(**self.inputs(*read)).before(keep, num_states=targets.shape[1])
        if support is not None:
            scores = self.score_among(states, chosen, temperature, entropy, support)
        else:
            other = (
                ALONE
                if against is None
                else read_reference(against, read, keep, num_states=targets.shape[1])
            )
            scores = self.score(states, chosen, temperature, entropy, other)
        if keep is None:
            # Clones, for sharding (FSDP2) wants results that are no views.
            return scores.map(lambda part: part.view(targets.shape).clone())
        zeros = scores.logprobs.new_zeros(targets.shape)
        return scores.map(lambda part: zeros.index_put((keep,), part))

    def read(self, **inputs: Any) -> "States":
        """What the trunk makes of tokens; the arguments are those of the Transformers model."""
        needs_hidden = self.value_head is not None
        with autocast_attention(self.base):
            if self.has_chunked_head:
                return States(self.base.get_decoder()(**inputs).last_hidden_state, None)
            output = self.base(**inputs, output_hidden_states=needs_hidden)
        return States(output.hidden_states[-1] if needs_hidden else None, output.logits)

    def logits(self, states: "States") -> Float[Tensor, "row vocab"]:
        """Logits of the token after each state, in float32."""
        if states.logits is None:
            head: Any = self.base.get_output_embeddings()
            return head(states.hidden).float()
        return states.logits.float()

    def values(self, states: "States") -> Float[Tensor, " row"] | None:
        """Value of each state, in float32, if there is a value head."""
        if self.value_head is None or states.hidden is None:
            return None
        with torch.autocast(states.hidden.device.type, enabled=False):
            return self.value_head(states.hidden.float()).squeeze(-1)

    def score(
        self,
        states: "States",
        targets: Tensor,
        temperature: float = 1.0,
        entropy: bool = False,
        other: Compared = ALONE,
    ) -> TokenScores:
        """Scores of the target after each state; see `forward`."""
        head: Any = self.base.get_output_embeddings()
        other.refuse_other_tokens(len(head.weight))
        if states.logits is None and other.logits is None:
            hidden: Any = states.hidden
            hidden = hidden if temperature == 1 else hidden / temperature
            bias = head.bias if temperature == 1 or head.bias is None else head.bias / temperature
            beside = {"reference": other.head, "uniforms": other.uniforms}
            scores = chunked_head(hidden, head.weight, bias, targets, entropy=entropy, **beside)
        else:
            beside = {"ref_logits": other.whole_logits(), "uniforms": other.uniforms}
            logits = self.logits(states) / temperature
            scores = whole_scores(logits, targets, entropy=entropy, **beside)
        return scores._replace(values=self.values(states))

    def score_among(
        self,
        states: "States",
        targets: Tensor,
        temperature: float,
        entropy: bool,
        support: Tensor,
    ) -> TokenScores:
        """Scores of targets when only some candidates could follow each state; see `forward`."""
        candidates = torch.cat([targets[:, None], support.clamp(min=0)], dim=1)
        if states.logits is None:
            head: Any = self.base.get_output_embeddings()
            logits = torch.einsum("rh,rch->rc", states.hidden, head.weight[candidates])
            logits = logits if head.bias is None else logits + head.bias[candidates]
        else:
            logits = states.logits.gather(-1, candidates)
        logits = logits.float() / temperature
        chosen, among = logits[:, 0], logits[:, 1:].masked_fill(support < 0, -torch.inf)
        logsumexps = among.logsumexp(-1)
        entropies = row_entropies(among, among.softmax(-1), logsumexps) if entropy else None
        return TokenScores(chosen - logsumexps, logsumexps, entropies, self.values(states))

    def inputs(
        self,
        token_ids: Tensor,
        segments: Tensor | None,
        positions: Tensor | None,
        mask: Tensor | None,
    ) -> dict[str, Any]:
        """Arguments of the Transformers model."""
        # An attention mask is always given: models guess documents from positions without one.
        inputs: dict[str, Any] = {"input_ids": token_ids, "use_cache": False}
        inputs["attention_mask"] = torch.ones_like(token_ids) if mask is None else mask.long()
        if segments is not None:
            inputs["attention_mask"] = self._document_mask(segments, mask)
        if positions is None and (mask is not None or segments is not None):
            positions = count_positions(token_ids, segments, mask)
        if positions is not None and takes_positions(self.base):
            inputs["position_ids"] = positions
        return inputs

    def _document_mask(self, segments: Tensor, mask: Tensor | None) -> Tensor:
        """What is added to attention scores, as (batch, 1, time, time)."""
        refuse_document_mask(self.base, segments.shape[1])
        seen = segments[:, None, :, None] == segments[:, None, None, :]
        if mask is not None:
            seen &= mask[:, None, None, :]
        dtype = self.base.dtype
        return torch.where(seen.tril(), 0.0, torch.finfo(dtype).min).to(dtype)

    def save(
        self,
        directory: Path,
        tokenizer: "PreTrainedTokenizerBase",
        weights: dict[str, Tensor] | None = None,
    ) -> None:
        """Save a folder that `AutoModelForCausalLM.from_pretrained` loads.

        Adapters are merged into the weights saved, and saved by themselves in `adapter/` too. A
        value head has a file of its own, which other programs leave alone.

        Args:
            directory: Where to; an old folder there is replaced in one go.
            tokenizer: Saved beside the weights.
            weights: This module's full state dict, if its own is sharded over processes.
        """
        state = self.state_dict() if weights is None else dict(weights)
        weights = _under("model.", state)
        values = _under("value_head.", state)

        def fill(target: Path) -> None:
            merged = weights
            if self.base is not self.model:
                self.model.save_pretrained(
                    str(target / "adapter"), state_dict=weights, save_embedding_layers=False
                )
                merged = merge_adapter(self.base, weights)
            for copy in self.base.all_tied_weights_keys:
                merged.pop(copy, None)
            with without_progress_bars():
                self.base.save_pretrained(target, state_dict=merged)
            tokenizer.save_pretrained(target)
            if values:
                save_file(values, target / VALUE_HEAD)

        write_folder(Path(directory), fill)


def _under(prefix: str, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights whose names begin with a prefix, named without it."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in weights.items()
        if name.startswith(prefix)
    }


def new_value_head(model: "PreTrainedModel", *, folder: Path | None, seed: int) -> nn.Linear:
    """A value head for a model: the one saved in its folder, or a new one.

    New weights are drawn from N(0, 1 / √(width + 1)), the bias is 0 (Huang et al., 2024,
    https://arxiv.org/abs/2403.17031).
    """
    head = nn.Linear(model.config.get_text_config().hidden_size, 1)
    saved = folder / VALUE_HEAD if folder is not None else None
    if saved is not None and saved.is_file():
        head.load_state_dict(load_file(saved))
        return head
    rng = generator(seed, "value head")
    with torch.no_grad():
        head.weight.normal_(std=(head.in_features + 1) ** -0.5, generator=rng)
        head.bias.zero_()
    return head

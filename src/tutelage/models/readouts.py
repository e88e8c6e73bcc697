"""Read-outs: what turns a trunk's hidden states into one score (RM-1).

Five are for encoder-decoders of T5's shape, one for any sequence classifier of Transformers. Their
modules are in `readout_modules.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from pydantic import Field, PositiveInt

from tutelage.config import Config

if TYPE_CHECKING:
    from tutelage.models.readout_modules import Readout

Where = Literal["encoder tokens", "encoder start", "decoder start", "last token"]


class Needs(NamedTuple):
    """Which hidden states a read-out reads."""

    where: Where
    """All tokens of the encoder; its first token; the decoder's state for one start token; or the
    last token of a decoder-only trunk."""
    num_blocks: int
    """Last transformer blocks whose outputs are read."""


class Deep(Config):
    """What all read-outs of T5's hidden states share."""

    extra_layers: tuple[PositiveInt, ...] = ()
    """Widths of further layers (RMS norm, linear, GELU) between what is pooled and the score."""


class Pooled(Deep):
    """What read-outs that pool several transformer blocks share."""

    pooling_output_dim: PositiveInt = 256
    """Numbers that the gated-GELU projection makes of pooled states."""
    n_blocks_to_use: PositiveInt | Literal["all"] = 4
    """Last transformer blocks whose outputs are read, or all."""

    def blocks(self, num_blocks: int) -> int:
        """How many of a trunk's blocks are read."""
        return num_blocks if self.n_blocks_to_use == "all" else self.n_blocks_to_use


class LayerwiseAttention(Pooled):
    """Each encoder block's tokens pooled by attention, then a learned weighted sum of blocks."""

    kind: Literal["layerwise_attention"] = "layerwise_attention"
    """Attention over the tokens of each encoder block, learned weights over blocks."""

    def needs(self, num_blocks: int) -> Needs:
        """All tokens of the last blocks."""
        return Needs("encoder tokens", self.blocks(num_blocks))

    def build(self, width: int, num_blocks: int) -> Readout:
        """The module; new weights."""
        from tutelage.models.readout_modules import LayerwisePooling, Scoring, WeightedPooling

        num, out = self.blocks(num_blocks), self.pooling_output_dim
        pooling = LayerwisePooling(width, out, num, WeightedPooling(num))
        return Scoring(pooling, out, self.extra_layers)


class FullAttention(Pooled):
    """Each encoder block's tokens pooled by attention, then attention over blocks."""

    kind: Literal["full_attention"] = "full_attention"
    """Attention over the tokens of each encoder block, attention over blocks."""

    def needs(self, num_blocks: int) -> Needs:
        """All tokens of the last blocks."""
        return Needs("encoder tokens", self.blocks(num_blocks))

    def build(self, width: int, num_blocks: int) -> Readout:
        """The module; new weights."""
        from tutelage.models.readout_modules import AttentionPooling, LayerwisePooling, Scoring

        num, out = self.blocks(num_blocks), self.pooling_output_dim
        pooling = LayerwisePooling(width, out, num, AttentionPooling(out))
        return Scoring(pooling, out, self.extra_layers)


class DecoderOutput(Deep):
    """The decoder's last state for one start token."""

    kind: Literal["decoder_output"] = "decoder_output"
    """The decoder's output for one start token."""

    def needs(self, num_blocks: int) -> Needs:
        """The decoder's output."""
        return Needs("decoder start", 1)

    def build(self, width: int, num_blocks: int) -> Readout:
        """The module; new weights."""
        from tutelage.models.readout_modules import OnlyState, Scoring

        return Scoring(OnlyState(), width, self.extra_layers)


class AttentionPooledEncoder(Pooled):
    """The first token's states in the encoder's blocks, pooled by attention."""

    kind: Literal["attention_pooled_encoder"] = "attention_pooled_encoder"
    """Attention over the first token's states in the last encoder blocks."""

    def needs(self, num_blocks: int) -> Needs:
        """The first token's states in the last blocks."""
        return Needs("encoder start", self.blocks(num_blocks))

    def build(self, width: int, num_blocks: int) -> Readout:
        """The module; new weights."""
        from tutelage.models.readout_modules import BlockPooling, Scoring

        out = self.pooling_output_dim
        return Scoring(BlockPooling(width, out), out, self.extra_layers)


class AttentionPooledDecoder(Pooled):
    """The start token's states in the decoder's blocks, pooled by attention."""

    kind: Literal["attention_pooled_decoder"] = "attention_pooled_decoder"
    """Attention over the start token's states in the last decoder blocks."""

    def needs(self, num_blocks: int) -> Needs:
        """The start token's states in the last blocks."""
        return Needs("decoder start", self.blocks(num_blocks))

    def build(self, width: int, num_blocks: int) -> Readout:
        """The module; new weights."""
        from tutelage.models.readout_modules import BlockPooling, Scoring

        out = self.pooling_output_dim
        return Scoring(BlockPooling(width, out), out, self.extra_layers)


class LastToken(Config):
    """A linear layer on the last token's state: the head of Transformers' sequence classifiers."""

    kind: Literal["last_token"] = "last_token"
    """The head of a sequence classifier of Transformers with one label: for decoders (GPT-2, Llama)
    a linear layer on the last token; encoders (BERT) bring a head of their own."""

    def needs(self, num_blocks: int) -> Needs:
        """The last token's state."""
        return Needs("last token", 1)


T5_READOUTS = (
    LayerwiseAttention
    | FullAttention
    | DecoderOutput
    | AttentionPooledEncoder
    | AttentionPooledDecoder
)

AnyReadout = Annotated[T5_READOUTS | LastToken, Field(discriminator="kind")]

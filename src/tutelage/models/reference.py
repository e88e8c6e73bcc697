"""What a reference makes of the tokens that a student is scored on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from tutelage.chunked_head.task import Head
from tutelage.config import UserError

if TYPE_CHECKING:
    from tutelage.models.student_module import Against


class Compared(NamedTuple):
    """The reference's side of a comparison."""

    head: Head | None = None
    """Its states and output head, if that is all there is to its logits."""
    logits: Tensor | None = None
    """Its logits, if not."""
    uniforms: Tensor | None = None
    """What draws a token in each state, if the KL is estimated."""

    def whole_logits(self) -> Tensor | None:
        """All logits, in float32."""
        if self.head is None:
            return None if self.logits is None else self.logits.float()
        return self.head.logits().float()

    def refuse_other_tokens(self, num_tokens: int) -> None:
        """Raise unless a student's distributions are over as many tokens."""
        part = self.logits if self.head is None else self.head.weight.T
        if part is not None and part.shape[1] != num_tokens:
            raise UserError(
                f"The reference's output head has {part.shape[1]} tokens and the student's "
                f"{num_tokens}, so no KL can be formed. Give a reference with a head of that size."
            )


ALONE = Compared()


@torch.no_grad()
def read_reference(
    against: Against, inputs: tuple[Tensor | None, ...], keep: Tensor | None, *, num_states: int
) -> Compared:
    """A reference's states, read with its dropout off, whichever mode it was lent in.

    Args:
        against: Who the reference is.
        inputs: What the student has read: the arguments of `Student.inputs`.
        keep: Tokens whose states are compared, as in `Student.forward`.
        num_states: States of each row that predict one of its tokens.
    """
    with against.reference() as reference, evaluating(reference):
        read = reference.read(**reference.inputs(*inputs))  # pyright: ignore
        states = read.before(keep, num_states=num_states)
        output: Any = reference.base.get_output_embeddings()
    found = Compared(logits=states.logits)
    if states.logits is None:
        assert states.hidden is not None
        bias = None if output.bias is None else output.bias.detach()
        found = Compared(Head(states.hidden, output.weight.detach(), bias))
    if against.rng is None:
        return found
    part = found.logits if found.head is None else found.head.hidden
    assert part is not None
    uniforms = torch.rand(len(part), generator=against.rng, device=against.rng.device)
    return found._replace(uniforms=uniforms.to(part.device))


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Inside, a module is in evaluation mode; afterwards each of its parts has its own again."""
    were_training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        for part in were_training:
            part.training = True

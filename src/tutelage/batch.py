"""What one optimiser step learns from: the shape in which lessons hand work to the loop."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Batch(NamedTuple):
    """The work of one optimiser step."""

    microbatches: Sequence[Any]
    """This process's share, in portions that fit in memory; equally many on every process."""
    num_terms: float
    """What summed losses are divided by: valid tokens of all micro-batches and processes."""
    exposure: Mapping[str, int]
    """Words and tokens that the ledger gains, over all processes."""
    name: str
    """What to call this batch in an error: enough to find it again."""
    metrics: Mapping[str, float] = {}
    """What is known before the step: of a trial's first batch, how its rollout went."""
    samples: Sequence[Mapping[str, Any]] = ()
    """Rows for samples.jsonl; on the main process only."""

"""The frozen trunk's cache: hidden states computed once, kept on disk, keyed by content (RM-4)."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from tutelage.config import UserError
from tutelage.data.cache import cached
from tutelage.lessons.texts import StateTexts, TokenTexts
from tutelage.rows import portions

if TYPE_CHECKING:
    from tutelage.lessons.machine import Machine
    from tutelage.models.reward_module import RewardModel

FORMAT_VERSION = 2
"""Raised when the same trunk and texts would be written otherwise."""


def cached_states(
    model: RewardModel,
    rows: Sequence[Sequence[int]],
    *,
    cache_dir: Path,
    machine: Machine,
    microbatch_tokens: int | None,
    say: Callable[[str], None],
    progress: Callable[[int], None],
) -> StateTexts:
    """What a trunk that does not learn makes of texts, as far as the read-out reads it.

    The key is made of all that decides the content: the trunk's weights and configuration, the
    token ids, what the read-out reads, and the precision. A changed byte makes a new key; a file
    that is not what was written is made anew.

    Args:
        model: Whose trunk is frozen.
        rows: Token ids of each text.
        cache_dir: Where files are kept.
        machine: Device and precision.
        microbatch_tokens: Most tokens of a forward pass, padding included.
        say: Tells the size before the file is written.
        progress: Called with the number of texts that are done, after each forward pass.
    """
    texts = TokenTexts(rows)
    model.eval()
    probe = _states(model, texts, [0], machine)[0]
    shape, dtype = (probe.shape[1], probe.shape[2]), probe.dtype
    has_all = model.needs.where == "encoder tokens"
    lengths = texts.lengths if has_all else [1] * len(rows)
    starts = torch.tensor([0, *lengths]).cumsum(0).tolist()
    size = starts[-1] * shape[0] * shape[1]

    def write(file: Path) -> None:
        num_bytes = size * dtype.itemsize
        _refuse_full_disk(file.parent, num_bytes)
        say(f"Hidden states of {len(rows):,} texts: {num_bytes / 1e6:,.1f} MB in {file.parent}")
        with open(file, "wb") as handle:
            handle.truncate(num_bytes)
        flat = torch.from_file(str(file), shared=True, size=size, dtype=dtype).view(-1, *shape)
        done = 0
        for some in portions(texts.lengths, range(len(rows)), microbatch_tokens):
            for index, states in zip(some, _states(model, texts, some, machine), strict=True):
                flat[starts[index] : starts[index + 1]] = states
            done += len(some)
            progress(done)

    folder = Path(cache_dir) / "states"
    path = cached(folder / f"{key_of(model, rows, machine, dtype)}.bin", write)
    return StateTexts(path, lengths, shape, dtype)


def _states(
    model: RewardModel, texts: TokenTexts, indices: Sequence[int], machine: Machine
) -> list[torch.Tensor]:
    """The states of some texts, each (place, block, hidden), on the CPU."""
    with torch.no_grad(), machine.autocast():
        states, mask = model.states(*texts.inputs(indices, machine.device))
    places = states.transpose(1, 2).cpu()
    return [row[its] for row, its in zip(places, mask.cpu(), strict=True)]


def key_of(
    model: RewardModel, rows: Sequence[Sequence[int]], machine: Machine, dtype: torch.dtype
) -> str:
    """A name that is the same only for the same states."""
    digest = hashlib.sha256()
    config = model.base.config.to_dict()
    for name in ("_name_or_path", "transformers_version", "architectures"):
        config.pop(name, None)
    parts = [FORMAT_VERSION, list(model.needs), str(dtype), machine.precision, config]
    digest.update(json.dumps(parts, sort_keys=True, default=str).encode())
    for name, weights in sorted(model.model.state_dict().items()):
        digest.update(f"{name} {weights.dtype} {tuple(weights.shape)}".encode())
        digest.update(weights.detach().cpu().flatten().view(torch.uint8).numpy().tobytes())
    for row in rows:
        digest.update(torch.tensor([len(row), *row]).numpy().tobytes())
    return digest.hexdigest()


def _refuse_full_disk(folder: Path, num_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < num_bytes:
        raise UserError(
            f"The hidden states would take {num_bytes / 1e9:.1f} GB, but {folder} has "
            f"{free / 1e9:.1f} GB left. Free some space, set XDG_CACHE_HOME to a folder with more, "
            "choose a read-out that reads fewer states (decoder_output), or lower --max-tokens."
        )

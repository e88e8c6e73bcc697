"""What a student is compared with: itself as it began, or another model with the same tokens."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tutelage.config import Config, UserError
from tutelage.data.cache import default_cache_dir
from tutelage.data.grammar import NurseryCorpus
from tutelage.data.tokenizer import TokenizerConfig
from tutelage.models.student import StudentConfig

if TYPE_CHECKING:
    import torch

    from tutelage.models.student_module import Reference, Student


class SavedTokenizer(Config):
    """A saved tokenizer."""

    path: str | None = None
    """Folder or hub name of a saved tokenizer; default: the student's own."""

    def check(self) -> None:
        """Refuse a folder that is not there or holds no tokenizer."""
        TokenizerConfig(path=self.path).check()

    def of(self, student: str | None) -> Any:
        """The tokenizer, or else the student's own."""
        path = self.path or student
        return TokenizerConfig(path=path).build(NurseryCorpus(), default_cache_dir())


def build_reference(
    name: str, student: Student, tokenizer: Any, *, seed: int, device: torch.device
) -> Reference | None:
    """Lends what the student's KL is taken to.

    Args:
        name: `none`; `start`, the student as it is now; or a folder or hub name.
        student: Who will learn.
        tokenizer: Its tokens, which must be the reference's too.
        seed: The run's.
        device: Where the reference is kept.
    """
    if name == "none":
        return None
    if name != "start":
        refuse_other_tokens(name, tokenizer)
        other = StudentConfig(path=name).build(tokenizer, seed=seed)
        return frozen(other, device)
    if student.model is not student.base:
        return lambda: without_adapters(student)
    return frozen(copy.deepcopy(student), device)


def refuse_no_model(name: str) -> None:
    """Raise if a reference is a path without a model."""
    folder = Path(name).expanduser()
    is_path = name[:1] in "./~" or name.count("/") > 1 or folder.exists()
    if is_path and not (folder / "config.json").is_file():
        raise UserError(
            f"--kl.reference {name} holds no model (no config.json). Give a checkpoint's folder, "
            "such as RUN/checkpoints/step_100, a name on the hub, or start."
        )


def frozen(student: Student, device: torch.device) -> Reference:
    """Lends a student that never learns."""
    student.value_head = None
    student.requires_grad_(False).eval().to(device)
    return lambda: nullcontext(student)


@contextmanager
def without_adapters(student: Student) -> Iterator[Student]:
    """The student as it was before its adapters learned anything."""
    with student.model.disable_adapter():  # pyright: ignore[reportCallIssue]
        yield student


def refuse_other_tokens(path: str, tokenizer: Any) -> None:
    """Raise unless a reference has the student's tokens."""
    theirs = SavedTokenizer(path=path).of(None).get_vocab()
    ours = tokenizer.get_vocab()
    if theirs != ours:
        token = next(iter(dict(ours.items() ^ theirs.items())))
        raise UserError(
            f"--kl.reference {path} has other tokens than the student ({len(theirs)} and "
            f"{len(ours)}; {token!r} is not the same), so no KL can be formed. "
            "Give a model with the student's tokenizer, or --kl.reference start."
        )

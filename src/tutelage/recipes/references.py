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


def is_model(name: str) -> bool:
    """Whether a reference is a model of its own."""
    return name not in ("none", "start")


def build_reference(
    name: str,
    student: Student,
    tokenizer: Any,
    *,
    seed: int,
    device: torch.device,
    longest: int | None = None,
) -> Reference | None:
    """Lends what the student's KL is taken to.

    Args:
        name: `none`; `start`, the student as it is now; or a folder or hub name.
        student: Who will learn.
        tokenizer: Its tokens, which must be the reference's too.
        seed: The run's.
        device: Where the reference is kept.
        longest: Most tokens of a text that it will read; none: all that the student can.
    """
    if name == "none":
        return None
    if is_model(name):
        refuse_other_tokens(name, tokenizer)
        with named_reference(name):
            other = StudentConfig(path=name).build(tokenizer, seed=seed)
        refuse_short(name, other.context, longest or student.context)
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


def refuse_short(name: str, context: int, longest: int) -> None:
    """Raise if a reference reads less than it will be given."""
    if context < longest:
        raise UserError(
            f"--kl.reference {name} reads at most {context} tokens, but texts may have {longest}. "
            "Make them shorter, or give a reference that reads more."
        )


@contextmanager
def named_reference(name: str) -> Iterator[None]:
    """Inside, what is wrong with a model or its tokenizer is said of --kl.reference."""
    try:
        yield
    except UserError as error:
        # The loaders speak of the student, whose options would not help here.
        said = str(error).replace("--student.path ", "")
        said = said.removesuffix(f" Use the model's own tokenizer: --tokenizer.path {name}")
        raise UserError(f"--kl.reference {name} can't be used. {said}") from error


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
    with named_reference(path):
        theirs = SavedTokenizer(path=path).of(None).get_vocab()
    ours = tokenizer.get_vocab()
    if theirs != ours:
        token = next(iter(dict(ours.items() ^ theirs.items())))
        raise UserError(
            f"--kl.reference {path} has other tokens than the student ({len(theirs)} and "
            f"{len(ours)}; {token!r} is not the same), so no KL can be formed. "
            "Give a model with the student's tokenizer, or --kl.reference start."
        )

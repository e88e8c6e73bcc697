"""Checkpoints: plain Hugging Face folders, saved at milestones and, if asked, pushed to the hub."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, PositiveInt

from tutelage.config import Config, UserError
from tutelage.run_folder import RunFolder, write_folder, write_json

if TYPE_CHECKING:
    import torch

    from tutelage.train.compute import Compute
    from tutelage.train.display import Display
    from tutelage.train.milestones import Position


class Hub(Config):
    """Push every milestone to the Hugging Face hub, each as a branch of its own name."""

    repo: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")] | None = None
    """Repository to push to, as owner/name; none: nothing leaves this machine."""
    private: bool = True
    """Whether a repository that does not exist yet is made private."""
    retries: PositiveInt = 5
    """Attempts for each push, with waits of 1, 2, 4 … seconds between them."""

    def check(self) -> None:
        """Raise if a push is asked for without being logged in."""
        if self.repo is not None:
            refuse_without_token(f"--hub.repo {self.repo}")


def refuse_without_token(option: str) -> None:
    """Raise if an option needs a hub token and there is none."""
    from huggingface_hub import get_token

    if get_token() is None:
        raise UserError(
            f"{option} needs a hub token, and none was found. "
            "Log in first (hf auth login), or set HF_TOKEN."
        )


def save_checkpoint(
    folder: RunFolder,
    name: str,
    student: torch.nn.Module,
    tokenizer: Any,
    position: Position,
    compute: Compute,
) -> Path:
    """Save the student as `checkpoints/<name>`, on all processes together.

    Beside the Hugging Face files lies `milestone.json` with the steps, tokens and words so far.
    """
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    from tutelage.train.compute import unwrap

    path = folder.checkpoints / name
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    weights = get_model_state_dict(student, options=options)

    def fill(target: Path) -> None:
        unwrap(student).save(target, tokenizer, weights)  # pyright: ignore[reportCallIssue]
        write_json(target / "milestone.json", {"milestone": name, **position.facts()})

    if compute.is_main:
        write_folder(path, fill)
    compute.barrier()
    return path


def push(path: Path, repo: str, hub: Hub, display: Display) -> None:
    """Push a checkpoint to a branch of its name; on lasting failure say so and train on."""
    from huggingface_hub import HfApi

    api = HfApi()

    def upload() -> None:
        api.create_repo(repo, private=hub.private, exist_ok=True)
        api.create_branch(repo, branch=path.name, exist_ok=True)
        api.upload_folder(
            repo_id=repo,
            folder_path=path,
            revision=path.name,
            commit_message=f"Milestone {path.name}",
        )

    if not is_uploaded(upload, path.name, hub.retries, display.say):
        display.say(
            f"{path.name} was not pushed; it is safe in {path}. Push it later: "
            f"hf upload {repo} {path} --revision {path.name}"
        )


def is_uploaded(
    upload: Callable[[], None], name: str, retries: int, say: Callable[[str], None]
) -> bool:
    """Upload, again after 1, 2, 4 … seconds if that fails; whether it was done in the end.

    Args:
        upload: Does it.
        name: What is uploaded, for messages.
        retries: Most attempts.
        say: Where each failure is told.
    """
    # What its client raises, lost connections among it; which client that is, changes.
    from huggingface_hub.errors import HTTPError  # pyright: ignore[reportPrivateImportUsage]

    for attempt in range(1, retries + 1):
        try:
            upload()
            return True
        except (HTTPError, OSError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            say(f"Push of {name}, attempt {attempt} of {retries}: {reason}")
            if attempt < retries:
                time.sleep(2 ** (attempt - 1))
    return False

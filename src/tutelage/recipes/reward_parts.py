"""What becomes of a reward model's held-out texts: validations, and the card of the best model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from tutelage.lessons.machine import Alone
from tutelage.lessons.texts import Texts, score_texts
from tutelage.models.reward_folder import load_reward_model, write_scale
from tutelage.train.best import BEST
from tutelage.train.checkpoint import save_checkpoint

if TYPE_CHECKING:
    from tutelage.models.reward_module import RewardModel
    from tutelage.recipes.reward_tasks import Task
    from tutelage.train.compute import Compute
    from tutelage.train.session import Session


class Parts:
    """The texts of a task, and how they are read."""

    def __init__(self, task: Task, texts: Mapping[str, Texts], microbatch_tokens: int | None):
        self.task = task
        self.texts = texts
        self.microbatch_tokens = microbatch_tokens

    def validate(self, model: torch.nn.Module, compute: Compute) -> dict[str, dict[str, Any]]:
        """The measures on the validation texts, by all processes together; none without texts."""
        texts = self.texts["validation"]
        if not texts.lengths:
            return {}
        scores = self.scores(model, "validation", compute)
        return {"validation": {"measures": self.task.measures("validation", scores)}}

    def scores(self, model: torch.nn.Module, part: str, machine: Compute | Alone) -> torch.Tensor:
        """Scores of a part's texts."""
        texts = self.texts[part]
        return score_texts(
            model,
            texts,
            range(len(texts.lengths)),
            machine=machine,
            microbatch_tokens=self.microbatch_tokens,
        )

    def conclude(self, session: Session) -> None:
        """Test the best model, and save it with the scale of its scores.

        What is tested is loaded from its folder, as its users will load it, but at the scale of
        training, at which a margin is a probability. Done once: a run that goes on after its end
        finds the card.
        """
        compute, folder = session.compute, session.folder
        path = folder.checkpoints / BEST
        if not (path / "milestone.json").is_file():  # there were no validations
            save_checkpoint(
                folder, BEST, session.student, session.tokenizer, session.position(), compute
            )
        card_path = folder.evals / self.task.name / f"{BEST}.json"
        if not compute.is_main or card_path.is_file():
            return
        model = load_reward_model(str(path)).model.to(compute.device)
        self.task.begin(model)
        self._normalise(model, session)
        position = json.loads((path / "milestone.json").read_text())
        if not self.texts["test"].lengths:
            session.say("There is no test set, so no card. Give --test-fraction for one.")
            return
        with session.console.status("Testing"):
            card = self.task.card(self.scores(model, "test", Alone(compute)))
        folder.write_eval(self.task.name, BEST, {**card, "step": position["step"]})
        session.say(f"{path}: {card['verdict']}")

    def _normalise(self, model: RewardModel, session: Session) -> None:
        """Give the saved model the scale of its scores on held-out texts."""
        part = "validation" if self.texts["validation"].lengths else "train"
        scale = self.task.scale(self.scores(model, part, Alone(session.compute)))
        if scale is not None:
            write_scale(session.folder.checkpoints / BEST, **scale._asdict())

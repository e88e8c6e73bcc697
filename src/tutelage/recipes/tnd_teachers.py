"""Who teaches in `tutelage tnd`: the demonstrator, and the model that tells ages."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import PositiveInt

from tutelage.config import Config, UserError
from tutelage.models.reward_folder import load_facts, load_reward_model, refuse_folder
from tutelage.models.student import StudentConfig
from tutelage.objectives.shapes import Shape
from tutelage.recipes.tnd_tokens import refuse_tokens
from tutelage.rewards.preference import Scorer
from tutelage.rollout.engine import Sampling

if TYPE_CHECKING:
    import torch

    from tutelage.lessons.exchange import Writer
    from tutelage.rewards.protocol import Reward

AS_IN_THE_PAPER = {"max_tokens": 123, "top_k": 20, "top_p": 0.95}


class Frozen(Config):
    """Where models that do not learn are kept."""

    precision: Literal["fp32", "bf16"] = "fp32"
    """Number format of their weights."""
    on_cpu: bool = False
    """Keep them off the GPU."""

    def place(self, module: torch.nn.Module, device: torch.device) -> torch.nn.Module:
        """The module, frozen and in its place."""
        import torch

        place = torch.device("cpu") if self.on_cpu else device
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float32
        return module.requires_grad_(False).eval().to(place, dtype)


class Demonstrator(Config):
    """Who shows how it is done."""

    path: str | None = None
    """Folder or hub name of the teacher, a causal language model with the student's tokens."""
    step: PositiveInt | None = None
    """Training step of the teacher, for --mode released_code; default: its milestone.json's."""
    sampling: Sampling = Sampling(**AS_IN_THE_PAPER)
    """How it writes; banned words and tokens are never written."""
    banned_file: Path | None = None
    """Text file of words that it never writes, one a line."""

    def check(self) -> None:
        """Refuse what can be refused before anything heavy loads."""
        if self.path is None:
            raise UserError(
                "There is nobody to demonstrate: give --demonstrator.path, a checkpoint that "
                "`tutelage pretrain` or another program trained."
            )
        try:
            StudentConfig(path=self.path).check()
        except UserError as error:
            raise UserError(str(error).replace("--student.", "--demonstrator.")) from None
        self.banned()
        try:
            self.sampling.check()
        except UserError as error:
            said = str(error).replace("--rollout.", "--demonstrator.sampling.")
            raise UserError(said) from None

    def banned(self) -> tuple[str, ...]:
        """The words that are never written."""
        return (*self.sampling.banned_words, *self.banned_by_file())

    def banned_by_file(self) -> tuple[str, ...]:
        """Those of them that the file names."""
        if self.banned_file is None:
            return ()
        try:
            lines = self.banned_file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"--demonstrator.banned-file {self.banned_file} can't be read ({error}). "
                "Give a text file with one word a line."
            ) from None
        return tuple(line.strip() for line in lines if line.strip())

    def refuse_unmasked(self) -> None:
        """Raise unless there are words that the teacher never writes."""
        if not (self.banned() or self.sampling.banned_tokens):
            raise UserError(
                "A masked teacher needs words that it never writes: give "
                "--demonstrator.sampling.banned-words, --demonstrator.sampling.banned-tokens or "
                "--demonstrator.banned-file."
            )

    def age(self) -> float:
        """log2 of the teacher's training step."""
        import json

        mark = Path(str(self.path)).expanduser() / "milestone.json"
        step = self.step
        if step is None and mark.is_file():
            step = json.loads(mark.read_text(encoding="utf-8")).get("step")
        if not step:
            raise UserError(
                f"The age of --demonstrator.path {self.path} is not known (no milestone.json). "
                "Give --demonstrator.step, the steps that it was trained for."
            )
        return math.log2(step)

    def build(self, tokenizer: Any, device: torch.device, frozen: Frozen) -> Writer:
        """The teacher, ready to write; refused if its tokens are not the student's."""
        from tutelage.lessons.exchange import Writer

        refuse_tokens(self, tokenizer)
        model = StudentConfig(path=self.path).build(tokenizer, seed=0)
        sampling = self.sampling.model_copy(update={"banned_words": self.banned()})
        placed: Any = frozen.place(model, device)
        return Writer(placed, sampling)


class AgeModel(Config):
    """Who says how old a text is, and what follows from it."""

    path: str | None = None
    """Folder or hub name of the age model, of `tutelage reward --preset age`, or of any sequence
    classifier with one label that predicts log2 steps."""
    shape: Shape = "difference"
    """What a text of age a is worth to a learner of age s. difference: a − s. ratio: a / s, where
    an s below 1 counts as 1. raw: a. binary: a, if it is at least s, else −1."""
    baseline: Literal["step", "twin"] = "step"
    """The learner's age s. step: log2 of its step. twin: the predicted age of what a twin, which
    learns by imitation alone, writes for the same prompt."""
    batch_tokens: PositiveInt = 1536
    """Most tokens, padding included, that the age model reads at once; changes speed and memory,
    not the ages."""

    def check(self) -> None:
        """Refuse what can be refused before anything heavy loads."""
        if self.path is None:
            raise UserError(
                "There is nobody to tell ages: give --age.path, a model that "
                "`tutelage reward --preset age` trained."
            )
        refuse_folder(self.path)
        facts = load_facts(Path(self.path).expanduser())
        if facts is not None and facts.learned != "ages":
            raise UserError(
                f"--age.path {self.path} is a reward model of preferences: its scores are no ages. "
                "Give one that learned from `tutelage data age`."
            )

    def build(self, device: torch.device, frozen: Frozen) -> Reward:
        """The age model, ready to be called."""
        loaded = load_reward_model(str(self.path))
        trunk = frozen.place(loaded.model.model, device)
        loaded.model.to(next(trunk.parameters()).device)  # the read-out stays in float32
        return Scorer(loaded, name="age", batch_tokens=self.batch_tokens)

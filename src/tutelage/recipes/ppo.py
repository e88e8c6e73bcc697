"""`tutelage ppo`: a student learns from its own samples and any reward (PPO-3)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, PositiveInt

from tutelage.config import Config, UserError, nearest
from tutelage.data import AnyPrompts
from tutelage.data.cache import default_cache_dir
from tutelage.data.prompt_builders import NurseryPrompts
from tutelage.data.prompts import refuse_long_prompts
from tutelage.evals.along import Along
from tutelage.lessons.shaping import Kl, Shaping
from tutelage.lessons.updates import AnyUpdate, PpoUpdate, RlooUpdate, refuse_indivisible
from tutelage.models.student import StudentConfig
from tutelage.recipes.conduct import conduct
from tutelage.recipes.references import (
    SavedTokenizer,
    build_reference,
    is_model,
    refuse_no_model,
    refuse_other_tokens,
)
from tutelage.rewards import AnyReward
from tutelage.rewards.grammar import NurseryGrammar
from tutelage.rollout.engine import Sampling, banned_ids
from tutelage.run_folder import RunFolder, default_path, unused
from tutelage.train.budget import Budget
from tutelage.train.checkpoint import Hub
from tutelage.train.compute import ComputeConfig
from tutelage.train.loop import Learner, Progress, Stop
from tutelage.train.milestones import Milestones, run_name
from tutelage.train.optim import Optim
from tutelage.train.session import Saving, Session
from tutelage.train.trackers import Trackers

if TYPE_CHECKING:
    from rich.console import Console

    from tutelage.data.prompts import Prompts
    from tutelage.train.compute import Compute


ROUNDS = 100
ENDLESS = 1_000_000


class Ppo(Config):
    """Train a student on its own responses and what a reward says of them."""

    out: Path | None = None
    """Folder of the run, which must not exist yet; default runs/<model>_<budget>__<date>__<time>
    with a budget, and runs/ppo-<date>-<time> without."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of new weights, the order of prompts, samples and minibatches."""
    rounds: PositiveInt | None = None
    """Rounds of sampling and learning; default: 100, or as many as the budget allows."""
    strict: bool = False
    """Refuse to start from a git tree with uncommitted or untracked files."""
    batch_size: PositiveInt = 64
    """Responses that a round samples, over all processes."""
    microbatch_tokens: PositiveInt | None = None
    """Most tokens of a forward pass of the update, padding included; lower it to save memory,
    results stay the same. Default: a whole minibatch at once; on a CPU, what its caches hold."""
    prompts: AnyPrompts = NurseryPrompts()
    """What the student continues."""
    reward: AnyReward = NurseryGrammar()
    """What says how good a response is."""
    student: StudentConfig = StudentConfig()
    """Who learns: a trained model, --student.path; or a new one, with --tokenizer.path."""
    tokenizer: SavedTokenizer = SavedTokenizer()
    """Whose tokens."""
    rollout: Sampling = Sampling()
    """How responses are sampled."""
    shaping: Shaping = Shaping()
    """What happens to scores before they are learned from."""
    kl: Kl = Kl()
    """What keeps the student near a reference."""
    update: AnyUpdate = PpoUpdate()
    """How the student learns from a round."""
    budget: Budget = Budget()
    """Limits of interaction that end the run."""
    evals: Along = Along()
    """What to measure at milestones; a suite is on as soon as one of its options is given."""
    optim: Optim = Optim(lr=2e-5, schedule="constant", warmup_steps=0, weight_decay=0.0, eps=1e-5)
    """Optimiser and schedule."""
    compute: ComputeConfig = ComputeConfig()
    """Precision and sharding."""
    milestones: Milestones = Milestones()
    """When checkpoints are saved and evaluated."""
    saving: Saving = Saving(resume_rounds=20)
    """How often metrics, evaluations and resume points are written."""
    trackers: Trackers = Trackers()
    """Experiment trackers."""
    hub: Hub = Hub()
    """Push of milestones to the hub."""

    def check(self) -> None:
        """Refuse what can be refused before anything heavy loads."""
        self.student.check()
        if self.student.path is None and self.tokenizer.path is None:
            raise UserError(
                "There is nobody to learn: give --student.path, a model that `tutelage pretrain` "
                "or another program trained (or --tokenizer.path, for a new one)."
            )
        self.tokenizer.check()
        self.prompts.check()
        self.reward.check()
        self.rollout.check()
        self.kl.check()
        if is_model(self.kl.reference):
            refuse_no_model(self.kl.reference)
        self.shaping.check(has_critic=self.has_critic)
        refuse_indivisible(self.batch_size, self.update, num_processes=1)
        is_one_step = self.update.epochs == 1 and self.update.minibatch_size in (
            None,
            self.batch_size,
        )
        if self.kl.limit is not None and is_one_step:
            raise UserError(
                "--kl.limit looks at how far the policy has moved since it sampled, but with one "
                "epoch and one minibatch it has not moved before the only step. Leave it out, or "
                "give --update.epochs or --update.minibatch-size."
            )
        if self.rounds is None and self.optim.schedule not in ("constant", "inverse_sqrt"):
            raise UserError(
                f"--optim.schedule {self.optim.schedule} has to know when training ends. "
                "Give --rounds too."
            )
        self.evals.check()
        self.trackers.check()
        self.hub.check()

    @property
    def has_critic(self) -> bool:
        """Whether the student needs a value head."""
        return self.update.kind == "ppo"

    def run(self, resume: Path | None = None) -> int:
        """Train; returns the exit status."""
        return conduct(self, resume, default=self.default_out, make=self.session)

    def default_out(self) -> Path:
        """Named after the model and its budget, as interactive runs are; or after the recipe."""
        limits = {name: limit for name, limit in self.budget if limit is not None}
        if not limits:
            return default_path("ppo")
        name, limit = next(iter(limits.items()))
        unit = "words" if name.endswith("words") else "tokens"
        model = self.student.path or self.student.size or "new"
        return unused(Path("runs") / run_name(model, limit, unit, datetime.now()))

    def session(self, compute: Compute, folder: RunFolder, console: Console) -> Session:
        """Everything that trains, ready to start."""
        from tutelage.lessons.stage import Solo
        from tutelage.lessons.trial import Trial
        from tutelage.rollout.policy import Policy

        tokenizer = self.tokenizer.of(self.student.path)
        if is_model(self.kl.reference):
            refuse_other_tokens(self.kl.reference, tokenizer)
        banned_ids(self.rollout, tokenizer)
        with console.status("Reading the prompts"):
            prompts = self.read_prompts(tokenizer)
        student = self.student.build(tokenizer, seed=self.seed, value_head=self.has_critic)
        refuse_long_prompts(prompts, student.context, self.rollout.max_tokens)
        Policy(student, tokenizer, self.rollout, None)  # which refuses bans that leave no token
        self.evals.refuse_unreadable(student, tokenizer, compute.device)
        reference = build_reference(
            self.kl.reference,
            student,
            tokenizer,
            seed=self.seed,
            device=compute.device,
            longest=max(prompts.table["num_tokens"].to_pylist()) + self.rollout.max_tokens,
        )
        placed = compute.place(student)
        stage = Solo(
            student,
            tokenizer,
            self.reward.build(compute.device),
            sampling=self.rollout,
            seed=self.seed,
            machine=compute,
        )
        lesson = Trial(
            student,
            prompts,
            stage,
            temperature=self.rollout.temperature,
            update=self.update,
            shaping=self.shaping,
            kl=self.kl,
            reference=reference,
            batch_size=self.batch_size,
            microbatch_tokens=self.microbatch_tokens,
            seed=self.seed,
            machine=compute,
        )
        is_endless = self.rounds is None and any(limit for _, limit in self.budget)
        rounds = self.rounds or (ENDLESS if is_endless else ROUNDS)
        steps = rounds * lesson.steps_per_round
        optimizer, scheduler = self.optim.build(placed, total_steps=steps)
        return Session(
            folder=folder,
            student=placed,
            tokenizer=tokenizer,
            learners={lesson.name: Learner(lesson, optimizer, scheduler, self.optim.max_grad_norm)},
            curriculum=lambda round: [lesson.name],
            steps=steps,
            compute=compute,
            milestones=self.milestones,
            saving=self.saving,
            trackers=self.trackers,
            hub=self.hub,
            evaluate=lambda: self.evals.measure(student, tokenizer, compute.device),
            sample=list,
            console=console,
            seed=self.seed,
            budget=self.budget,
            is_endless=is_endless,
            watch=[self.watch],
            has_spreadsheets=True,
        )

    def read_prompts(self, tokenizer: Any) -> Prompts:
        """The prompts, with every column that the reward needs."""
        prompts = self.prompts.rows(tokenizer, cache_dir=default_cache_dir())
        has = prompts[0].columns
        for column in self.reward.columns():
            if column not in has:
                known = f"they have {', '.join(has)}" if has else "they have no columns"
                raise UserError(
                    f"The reward {self.reward.kind} needs a column {column} beside the prompts, "
                    f"but {known}.{nearest(column, has)} Give prompts with it, or another reward."
                )
        return prompts

    def watch(self, progress: Progress) -> None:
        """Stop if the policy runs away from the one that sampled."""
        moved = progress.metrics.get("trial/policy_kl", 0.0)
        if self.kl.limit is not None and moved > self.kl.limit:
            reason = (
                f"the KL to the policy that sampled is {moved:.3g} nats a token, above --kl.limit "
                f"{self.kl.limit:g}. Lower --optim.lr or --update.epochs, or raise the limit."
            )
            progress.stop = Stop(reason, 1)


def nursery() -> Ppo:
    """Write grammatical nursery talk: for a student of `tutelage pretrain --preset tiny`."""
    return Ppo(
        rounds=50,
        rollout=Sampling(max_tokens=24),
        optim=Optim(lr=1e-4, schedule="constant", warmup_steps=0, weight_decay=0.0, eps=1e-5),
    )


def rloo() -> Ppo:
    """REINFORCE with a leave-one-out baseline, four responses to each prompt, no critic."""
    return Ppo(update=RlooUpdate())


PRESETS: dict[str, Callable[[], Ppo]] = {"nursery": nursery, "rloo": rloo}

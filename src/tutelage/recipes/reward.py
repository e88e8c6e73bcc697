"""`tutelage reward`: a reward model learns preferences, or the age of a text's writer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from tutelage.config import Config, UserError
from tutelage.data import AnyRewardData
from tutelage.data.ages import Ages
from tutelage.data.cache import default_cache_dir
from tutelage.data.pair_sources import HhRlhfPairs, NurseryPairs
from tutelage.data.preferences import DROPS, OverLong
from tutelage.data.tokenizer import TokenizerConfig
from tutelage.models.readouts import (
    AnyReadout,
    AttentionPooledDecoder,
    AttentionPooledEncoder,
    DecoderOutput,
    FullAttention,
    LastToken,
    LayerwiseAttention,
)
from tutelage.models.reward_folder import Facts
from tutelage.models.reward_model import Trunk
from tutelage.recipes.conduct import conduct
from tutelage.recipes.text import TextsOf
from tutelage.run_folder import RunFolder, default_path
from tutelage.train.best import KeepBest, PerEpoch
from tutelage.train.checkpoint import Hub
from tutelage.train.compute import ComputeConfig
from tutelage.train.loop import Learner
from tutelage.train.milestones import Milestones
from tutelage.train.optim import Optim
from tutelage.train.session import Saving, Session
from tutelage.train.trackers import Trackers

if TYPE_CHECKING:
    from rich.console import Console

    from tutelage.lessons.texts import Texts
    from tutelage.models.reward_module import RewardModel
    from tutelage.recipes.reward_tasks import Task
    from tutelage.train.compute import Compute

FLAN = "google/flan-t5-small"
USES = {"train": "training", "validation": "validation", "test": "the test"}


class Reward(Config):
    """Train a reward model on preferences, or to tell the age of a text's writer."""

    out: Path | None = None
    """Folder of the run, which must not exist yet; default runs/reward-<date>-<time>."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of new weights and the order of training."""
    data_seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of the split into training, validation and test."""
    steps: PositiveInt | None = None
    """Optimiser steps, instead of `epochs`."""
    epochs: PositiveFloat = 10.0
    """Passes over the training data."""
    strict: bool = False
    """Refuse to start from a git tree with uncommitted or untracked files."""
    batch_size: PositiveInt = 64
    """Pairs (or texts with ages) per optimiser step, over all processes; of fewer, all."""
    microbatch_tokens: PositiveInt | None = 8192
    """Most tokens of a forward pass, padding included; lower it to save memory, results stay the
    same."""
    max_tokens: Annotated[int, Field(ge=2)] = 512
    """Longest prompt with response, in tokens."""
    over_long: OverLong = "filter"
    """filter: leave longer pairs out. truncate_prompt_left: take tokens off the beginning of the
    prompt. What was dropped or cut is counted."""
    val_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Part of the prompts that is kept for validation."""
    test_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Part of the prompts that is kept for the test, if the data bring no test set."""
    margin: bool = False
    """Scores of a pair must differ by the data's column margin."""
    centring_coef: NonNegativeFloat = 0.0
    """Weight of the squared sum of each pair's scores, which keeps scores around 0; 0.01 in
    Eisenstein et al. (2023)."""
    normalise: bool = True
    """Scale the scores of the saved model to mean 0 and standard deviation 1 over the validation
    texts; of ages, never."""
    add_eos: bool = True
    """End every text with the end-of-text token."""
    max_non_optim_vals: PositiveInt | None = 20
    """Validations in a row without a better one after which training ends; none: it goes on."""
    per_epoch: PerEpoch = PerEpoch()
    """How often things are done within an epoch."""
    data: AnyRewardData = NurseryPairs()
    """Pairs of responses, or texts with ages."""
    model: Trunk = Trunk()
    """The transformer that reads."""
    readout: AnyReadout = LayerwiseAttention(n_blocks_to_use="all")
    """What makes a score of its hidden states."""
    tokenizer: TokenizerConfig = TokenizerConfig()
    """Tokenizer of a new transformer: trained on the texts, or a saved one; default: the saved
    transformer's own."""
    optim: Optim = Optim(
        algorithm="adam",
        lr=1e-3,
        final_lr=1e-4,
        schedule="exponential",
        warmup_steps=0,
        weight_decay=0,
    )
    """Optimiser and schedule."""
    compute: ComputeConfig = ComputeConfig()
    """Precision and sharding."""
    milestones: Milestones = Milestones()
    """When further checkpoints are saved; the best by validation always is, as checkpoints/best."""
    saving: Saving = Saving()
    """How often metrics, validations and resume points are written."""
    trackers: Trackers = Trackers()
    """Experiment trackers."""
    hub: Hub = Hub()
    """Push of milestones to the hub."""

    def check(self) -> None:
        """Refuse what can be refused before anything heavy loads."""
        if self.data.kind == "ages" and (self.margin or self.centring_coef):
            option = "--margin" if self.margin else "--centring-coef"
            raise UserError(f"{option} is about pairs, but --data.kind is ages. Leave it out.")
        if self.per_epoch.checkpoints and self.milestones.spacing != "last":
            raise UserError(
                "--per-epoch.checkpoints and --milestones both say when checkpoints are saved. "
                "Give one of them."
            )
        self.data.check()
        self.model.check()
        self.tokenizer.check()
        self.trackers.check()
        self.hub.check()

    def run(self, resume: Path | None = None) -> int:
        """Train; returns the exit status."""
        return conduct(self, resume, default=lambda: default_path("reward"), make=self.session)

    def session(self, compute: Compute, folder: RunFolder, console: Console) -> Session:
        """Everything that trains, ready to start."""
        from tutelage.recipes.reward_parts import Parts
        from tutelage.recipes.reward_tasks import LessonOptions

        with console.status("Reading the data"):
            tokenizer = self.build_tokenizer()
            task = self.read(tokenizer)
        console.print(told(task), highlight=False)
        facts = Facts(
            readout=self.readout,
            learned="ages" if self.data.kind == "ages" else "preferences",
            max_tokens=self.max_tokens,
            add_eos=self.add_eos,
        )
        model = self.model.build(tokenizer, facts, seed=self.seed)
        if self.model.frozen and not model.can_be_cached:
            raise UserError(
                f"--model.frozen trains a read-out alone, but {type(model.model).__name__} has a "
                "head of its own that can't be taken apart. Train it whole, or with --model.lora."
            )
        task.begin(model)
        model.to(compute.device)
        texts = self.texts(model, task, compute, console)
        batch_size = min(self.batch_size, task.size)
        options = LessonOptions(batch_size, self.microbatch_tokens, self.seed, compute)
        lesson = task.lesson(texts["train"], options)
        epoch = task.size / batch_size
        steps = self.steps or math.ceil(self.epochs * epoch)
        placed = compute.place(model)
        optimizer, scheduler = self.optim.build(placed, total_steps=steps)
        keep_best = KeepBest(self.max_non_optim_vals)
        parts = Parts(task, texts, self.microbatch_tokens)
        session = Session(
            folder=folder,
            student=placed,
            tokenizer=tokenizer,
            learners={lesson.name: Learner(lesson, optimizer, scheduler, self.optim.max_grad_norm)},
            curriculum=lambda round: [lesson.name],
            steps=steps,
            compute=compute,
            milestones=self.checkpoints(epoch),
            saving=self.validations(epoch),
            trackers=self.trackers,
            hub=self.hub,
            evaluate=lambda: parts.validate(placed, compute),
            sample=list,
            console=console,
            seed=self.seed,
            budget=keep_best,
            watch=[keep_best] if task.rows["validation"] else [],
            conclude=lambda: parts.conclude(session),
        )
        keep_best.session = session
        return session

    def build_tokenizer(self) -> Any:
        """The saved transformer's own, or what the options say."""
        reuse = self.model.path if self.tokenizer.path is None else None
        settings = TokenizerConfig(path=reuse) if reuse else self.tokenizer
        return settings.build(TextsOf(self.data), default_cache_dir())

    def read(self, tokenizer: Any) -> Task:
        """The data as tokens, in three parts."""
        from tutelage.data.ages import AgeData
        from tutelage.recipes.reward_tasks import AgeTask, PreferenceTask

        data = self.data.read(
            tokenizer,
            max_tokens=self.max_tokens,
            over_long=self.over_long,
            val_fraction=self.val_fraction,
            test_fraction=self.test_fraction,
            seed=self.data_seed,
            add_eos=self.add_eos,
        )
        if isinstance(data, AgeData):
            return AgeTask(data)
        return PreferenceTask(
            data,
            margin=self.margin,
            centring_coef=self.centring_coef,
            normalise=self.normalise,
        )

    def texts(
        self, model: RewardModel, task: Task, compute: Compute, console: Console
    ) -> Mapping[str, Texts]:
        """The texts of each part: hidden states where the transformer does not learn."""
        from tutelage.lessons.states import cached_states
        from tutelage.lessons.texts import TokenTexts

        if not self.model.frozen:
            return {part: TokenTexts(rows) for part, rows in task.rows.items()}
        found: dict[str, Texts] = {}
        with console.status("Hidden states") as status:
            for part, rows in task.rows.items():

                def show(done: int, part: str = part) -> None:
                    status.update(f"Hidden states for {USES[part]}: {done:,} texts done")

                found[part] = TokenTexts([])
                if rows:
                    found[part] = cached_states(
                        model,
                        rows,
                        cache_dir=default_cache_dir(),
                        machine=compute,
                        microbatch_tokens=self.microbatch_tokens,
                        say=lambda text: console.print(text, highlight=False, soft_wrap=True),
                        progress=show,
                    )
        return found

    def validations(self, epoch: float) -> Saving:
        """How often to validate, for an epoch of so many steps."""
        if self.saving.eval_steps is not None:
            return self.saving
        steps = max(1, round(epoch / self.per_epoch.validations))
        return self.saving.model_copy(update={"eval_steps": steps})

    def checkpoints(self, epoch: float) -> Milestones:
        """When to save checkpoints, for an epoch of so many steps."""
        if self.per_epoch.checkpoints is None:
            return self.milestones
        return Milestones(spacing="every", every=max(1, round(epoch / self.per_epoch.checkpoints)))


def told(task: Task) -> str:
    """How many texts there are, and what was left out, in a sentence."""
    counts = task.counts
    parts = ", ".join(f"{counts[part]:,} for {use}" for part, use in USES.items())
    dropped = [
        f"{count:,} {reason}" for name, reason in DROPS.items() if (count := counts.get(name, 0))
    ]
    cut = [f"{counts['cut']:,} cut"] if counts.get("cut") else []
    rest = "; left out: " + ", ".join(dropped) if dropped else ""
    return f"Data: {parts}{''.join('; ' + some for some in cut)}{rest}."


def seeds_own(readout: AnyReadout) -> Callable[[], Reward]:
    """A read-out over FLAN-T5 with the settings of the research code that it comes from."""

    def preset() -> Reward:
        return Reward(
            batch_size=512,
            data=HhRlhfPairs(),
            model=Trunk(path=FLAN),
            readout=readout,
            optim=Optim(
                algorithm="adam",
                lr=1e-5,
                final_lr=2e-6,
                schedule="exponential",
                warmup_steps=0,
                weight_decay=0,
                beta2=0.999,
            ),
        )

    preset.__doc__ = f"{FLAN} on hh-rlhf (four subsets) with this read-out, 10 epochs."
    return preset


def nursery() -> Reward:
    """Nursery talk against the same with its words mixed: a new T5, two minutes on a laptop."""
    return Reward(
        epochs=2,
        batch_size=32,
        max_tokens=24,
        over_long="truncate_prompt_left",
        data=NurseryPairs(num_pairs=24_000, errors=("shuffle",)),
        model=Trunk(layers=2, heads=2, width=64),
        tokenizer=TokenizerConfig(vocab_size=2_048),
        optim=Optim(
            algorithm="adam",
            lr=3e-3,
            final_lr=1e-4,
            schedule="exponential",
            warmup_steps=0,
            weight_decay=0,
        ),
    )


def age() -> Reward:
    """How many steps a writer was trained for, from texts of `tutelage data age` (--data.path)."""
    return Reward(
        data=Ages(),
        max_tokens=192,
        over_long="truncate_prompt_left",
        model=Trunk(size="2m"),
        readout=LastToken(),
        tokenizer=TokenizerConfig(vocab_size=4_096),
    )


def llama_age() -> Reward:
    """The paper's age model: Llama-2-7B, sharded (tutelage launch --processes 8 reward …)."""
    return Reward(
        batch_size=64,
        epochs=1,
        max_tokens=128,
        data=Ages(),
        model=Trunk(path="meta-llama/Llama-2-7b-hf"),
        readout=LastToken(),
        optim=Optim(lr=5e-5, schedule="linear", warmup_steps=100, weight_decay=0),
        compute=ComputeConfig(shard=True),
    )


READOUTS = (
    LayerwiseAttention(),
    FullAttention(),
    DecoderOutput(),
    AttentionPooledEncoder(),
    AttentionPooledDecoder(),
)

PRESETS: dict[str, Callable[[], Reward]] = {
    **{readout.kind: seeds_own(readout) for readout in READOUTS},
    "nursery": nursery,
    "age": age,
    "llama_age": llama_age,
}

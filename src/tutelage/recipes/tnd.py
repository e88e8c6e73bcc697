"""`tutelage tnd`: learning by trials and demonstrations (Ma et al., 2024, arXiv:2405.13828).

Steps of imitation alternate with steps of interaction: the student writes (a trial), a teacher
writes for the same prompt (a demonstration), an age model says how mature each text is, and one
PPO update learns from both.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, PositiveInt

from tutelage.config import Config, UserError
from tutelage.data import AnyCorpus
from tutelage.data.grammar import NurseryCorpus
from tutelage.data.tokenizer import TokenizerConfig
from tutelage.evals.along import Along
from tutelage.lessons.shaping import Kl, Shaping
from tutelage.lessons.updates import PpoUpdate
from tutelage.models.student import StudentConfig
from tutelage.recipes.conduct import conduct
from tutelage.recipes.frequencies import write_frequencies
from tutelage.recipes.sweep import refuse_shared_hub
from tutelage.recipes.text import Text, evaluate, read_text, refuse_long_blocks
from tutelage.recipes.tnd_lessons import ECHO, Lessons, Twin, learners_of
from tutelage.recipes.tnd_teachers import AS_IN_THE_PAPER, AgeModel, Demonstrator, Frozen
from tutelage.rollout.engine import Sampling
from tutelage.run_folder import RunFolder, default_path
from tutelage.train.checkpoint import Hub
from tutelage.train.compute import ComputeConfig
from tutelage.train.curriculum import DEMONSTRATION, TRIAL, Cycle
from tutelage.train.loop import Progress, Stop
from tutelage.train.milestones import Milestones
from tutelage.train.optim import Optim
from tutelage.train.session import Saving, Session
from tutelage.train.trackers import Trackers

if TYPE_CHECKING:
    from rich.console import Console

    from tutelage.lessons.exchange import Writer
    from tutelage.models.student import Student
    from tutelage.train.compute import Compute


class Interaction(Config):
    """What happens in a step of interaction."""

    prompt_tokens: PositiveInt = 5
    """Tokens of a prompt: the first of a document of the corpus."""
    batch_size: PositiveInt = 128
    """Prompts of a step, over all processes; each has a trial and a demonstration."""
    texts: Literal["both", "trials", "demonstrations"] = "both"
    """Whose texts are learned from."""
    learn: Literal["ppo", "imitation"] = "ppo"
    """How: by PPO on their worth, or by imitating them (the control double CLM)."""
    masked: bool = False
    """Refuse a demonstrator that may write every word, as the preset masked_teacher does."""

    @property
    def authors(self) -> tuple[str, ...]:
        """Whose texts there are, in their order."""
        return ("trials", "demonstrations") if self.texts == "both" else (self.texts,)


class Tnd(Config):
    """Train a student by trials and demonstrations."""

    out: Path | None = None
    """Folder of the run, or of the group of runs, which must not exist yet; default
    runs/tnd-<date>-<time>."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of initial weights, data order and texts; of a sweep, the first."""
    steps: PositiveInt = 10_000
    """Steps of the curriculum, of imitation and interaction together."""
    strict: bool = False
    """Refuse to start from a git tree with uncommitted or untracked files."""
    sweep: tuple[str, ...] = ()
    """Train several arms one after another into one folder: names of arms (tnd, clm,
    demonstrations_only, trials_only, double_clm, clm_on_teacher_text, masked_teacher,
    released_code), or ablations for all but the last two."""
    seeds: PositiveInt = 1
    """Seeds of each arm of a sweep."""
    mode: Literal["paper", "released_code"] = "paper"
    """paper: demonstrations are as old as the age model says. released_code: as old as their
    writer; and after PPO the texts of the step are imitated, too."""
    batch_size: PositiveInt = 128
    """Blocks per step of imitation, over all processes and micro-batches."""
    microbatch_size: PositiveInt | None = None
    """Most blocks per forward pass of imitation; lower it to save memory, results stay the same."""
    microbatch_tokens: PositiveInt | None = None
    """Most tokens of a forward pass of an update by interaction; likewise."""
    block_length: Annotated[int, Field(ge=2)] = 128
    """Tokens per block; at most the student's context."""
    data: AnyCorpus = NurseryCorpus()
    """Text to imitate, and to take prompts from."""
    eval_data: AnyCorpus | None = None
    """Held-out text, for perplexity at milestones."""
    evals: Along = Along()
    """What else to measure at milestones; a suite is on as soon as one of its options is given."""
    tokenizer: TokenizerConfig = TokenizerConfig()
    """Whose tokens; default: the demonstrator's."""
    student: StudentConfig = StudentConfig()
    """Who learns."""
    curriculum: Cycle = Cycle()
    """When it imitates and when it interacts."""
    interaction: Interaction = Interaction()
    """What a step of interaction is."""
    demonstrator: Demonstrator = Demonstrator()
    """Who shows how it is done."""
    age: AgeModel = AgeModel()
    """Who says what texts are worth."""
    rollout: Sampling = Sampling(**AS_IN_THE_PAPER)
    """How the student's trials are sampled."""
    shaping: Shaping = Shaping(normalise=True)
    """What happens to scores before they are learned from."""
    kl: Kl = Kl(reference="none", coef=0.0)
    """Limit of how far a step may lead from the policy that wrote; there is no reference."""
    update: PpoUpdate = PpoUpdate(epochs=1)
    """How PPO learns from an interaction."""
    frozen: Frozen = Frozen()
    """Where demonstrator and age model are kept."""
    optim: Optim = Optim(lr=1e-4, schedule="constant", warmup_steps=8_000)
    """Optimiser and schedule of imitation; its steps are those of the curriculum."""
    interaction_optim: Optim = Optim(
        lr=2e-5, schedule="constant", warmup_steps=0, weight_decay=0.0, eps=1e-5
    )
    """Optimiser and schedule of PPO; likewise."""
    compute: ComputeConfig = ComputeConfig()
    """Precision and sharding."""
    milestones: Milestones = Milestones(spacing="log", unit="rounds")
    """When checkpoints are saved and evaluated; rounds are the steps of the curriculum."""
    saving: Saving = Saving(resume_rounds=200)
    """How often metrics, evaluations and resume points are written."""
    trackers: Trackers = Trackers()
    """Experiment trackers."""
    hub: Hub = Hub()
    """Push of milestones to the hub."""

    def check(self) -> None:
        """Refuse what can be refused before anything heavy loads."""
        self.curriculum.check()
        self.student.check()
        self.data.check()
        if self.eval_data is not None:
            self.eval_data.check()
        self.evals.check()
        self.tokenizer.check()
        self.trackers.check()
        self.hub.check()
        if self.sweep:
            refuse_shared_hub(self.hub)
        if self.has_interaction:
            self.check_interaction()

    def check_interaction(self) -> None:
        """Refuse what a step of interaction can't do with."""
        if self.interaction.texts != "trials":
            self.demonstrator.check()
        if self.interaction.masked:
            self.demonstrator.refuse_unmasked()
        self.rollout.check()
        if self.rollout.support == "truncated" or self.demonstrator.sampling.support == "truncated":
            raise UserError(
                "support truncated is of one writer's own texts, but here a policy also learns "
                "from another's. Use full."
            )
        if self.kl.reference != "none" or self.kl.coef:
            raise UserError(
                "tnd has no KL to a reference: give --kl.limit, or leave --kl out; "
                "`tutelage ppo` has one."
            )
        if not self.has_ppo:
            return
        self.age.check()
        self.shaping.check(has_critic=True)
        if self.age.baseline == "twin" and self.compute.shard:
            raise UserError("--age.baseline twin can't be sharded. Leave out --compute.shard.")
        if self.mode == "released_code" and "demonstrations" in self.interaction.authors:
            self.demonstrator.age()

    @property
    def has_interaction(self) -> bool:
        """Whether the student ever interacts."""
        return self.curriculum.num_trials(self.steps) > 0

    @property
    def has_ppo(self) -> bool:
        """Whether PPO ever learns from an interaction."""
        return self.has_interaction and self.interaction.learn == "ppo"

    @property
    def has_echo(self) -> bool:
        """Whether texts of an interaction are ever imitated."""
        by_mode = self.mode == "released_code" and self.has_ppo
        return self.has_interaction and (self.interaction.learn == "imitation" or by_mode)

    def run(self, resume: Path | None = None) -> int:
        """Train one run, or all of a sweep; returns the exit status."""
        if self.sweep:
            from tutelage.recipes.tnd_sweep import train_arms

            return train_arms(self, resume)
        return conduct(self, resume, default=self.default_out, make=self.session)

    def default_out(self) -> Path:
        """Named after the recipe and the time."""
        return default_path("tnd")

    def session(self, compute: Compute, folder: RunFolder, console: Console) -> Session:
        """Everything that trains, ready to start."""
        text = self.read(console)
        student = self.student.build(text.tokenizer, seed=self.seed, value_head=self.has_ppo)
        refuse_long_blocks(self.block_length, student)
        self.evals.refuse_unreadable(student, text.tokenizer, compute.device)
        placed = compute.place(student, has_idle=self.has_ppo)
        twin = self.twin(student, compute) if self.has_ppo and self.age.baseline == "twin" else None
        lessons = self.lessons(student, text, compute, twin)
        names = self.names()
        learners = learners_of(self, lessons, placed, twin, compute)
        steps = sum(lessons.steps_of(name) for round in range(self.steps) for name in names(round))
        exchange = lessons.exchange
        return Session(
            folder=folder,
            student=placed,
            tokenizer=text.tokenizer,
            learners=learners,
            curriculum=names,
            steps=steps,
            compute=compute,
            milestones=self.milestones,
            saving=self.saving,
            trackers=self.trackers,
            hub=self.hub,
            evaluate=lambda: evaluate(
                student,
                text,
                self.evals,
                batch_size=self.microbatch_size or self.batch_size,
                compute=compute,
            ),
            sample=list,
            console=console,
            seed=self.seed,
            watch=[self.watch],
            at_milestone=lambda name: write_frequencies(folder, name, text, exchange),
        )

    def read(self, console: Console) -> Text:
        """The tokenizer, and the corpora as packed blocks."""
        own = self.student.path or self.demonstrator.path
        reuse = own if self.tokenizer.path is None else None
        return read_text(
            self.data,
            self.eval_data,
            TokenizerConfig(path=reuse) if reuse else self.tokenizer,
            block_length=self.block_length,
            console=console,
        )

    def names(self) -> Callable[[int], tuple[str, ...]]:
        """The lessons of each round."""
        interaction = (*([TRIAL] if self.has_ppo else []), *([ECHO] if self.has_echo else []))
        lessons = {DEMONSTRATION: (DEMONSTRATION,), TRIAL: interaction}
        return lambda round: tuple(
            name for kind in self.curriculum.kinds(round) for name in lessons[kind]
        )

    def twin(self, student: Student, compute: Compute) -> Twin:
        """A copy of the student that will imitate only."""
        other = copy.deepcopy(student)
        other.value_head = None
        placed = compute.place(other)
        at = [r for r in range(self.steps) if DEMONSTRATION in self.curriculum.kinds(r)]
        return Twin(other, placed, *self.optim.build(placed, total_steps=self.steps, at=at))

    def lessons(self, student: Student, text: Text, compute: Compute, twin: Twin | None) -> Lessons:
        """What the student learns from."""
        from tutelage.data.openings import Openings
        from tutelage.lessons.demonstration import Demonstration, Share
        from tutelage.lessons.echo import Echo
        from tutelage.lessons.exchange import Exchange, Writer, refuse_uneven
        from tutelage.lessons.trial import Trial

        demonstration = Demonstration(
            text.blocks,
            batch_size=self.batch_size,
            microbatch_size=self.microbatch_size,
            seed=self.seed,
            device=compute.device,
            share=Share(compute.rank, compute.num_processes),
        )
        if not self.has_interaction:
            return Lessons(demonstration, None, None, None)
        prompts = Openings(text.blocks.stream, text.tokenizer, self.interaction.prompt_tokens)
        self.refuse_long_texts(student)
        size, num_authors = self.interaction.batch_size, len(self.interaction.authors)
        refuse_uneven(size, num_authors, self.update, compute.num_processes)
        knows_age = self.mode == "released_code" and self.interaction.texts != "trials"
        exchange = Exchange(
            self.writers(student, text.tokenizer, compute),
            text.tokenizer,
            self.age.build(compute.device, self.frozen) if self.has_ppo else None,
            shape=self.age.shape,
            step_of=self.curriculum.step_of_trial,
            known_age=self.demonstrator.age() if knows_age and self.has_ppo else None,
            twin=None if twin is None else Writer(twin.student, self.rollout),
            seed=self.seed,
            machine=compute,
        )
        trial = Trial(
            student,
            prompts,
            exchange,
            temperature=self.rollout.temperature,
            update=self.update,
            shaping=self.shaping,
            kl=self.kl,
            reference=None,
            batch_size=self.interaction.batch_size * exchange.voices,
            microbatch_tokens=self.microbatch_tokens,
            seed=self.seed,
            machine=compute,
        )
        echo = None
        if self.has_echo:
            echo = Echo(trial, exchange, plays=not self.has_ppo, twice=self.has_ppo)
        return Lessons(demonstration, trial if self.has_ppo else None, echo, exchange)

    def writers(self, student: Student, tokenizer: Any, compute: Compute) -> dict[str, Writer]:
        """Who writes what."""
        from tutelage.lessons.exchange import Writer

        found = {}
        for author in self.interaction.authors:
            if author == "trials":
                found[author] = Writer(student, self.rollout)
            else:
                found[author] = self.demonstrator.build(tokenizer, compute.device, self.frozen)
        return found

    def refuse_long_texts(self, student: Student) -> None:
        """Raise if a text can be longer than what the student reads."""
        found = {"trials": ("rollout", self.rollout)}
        found["demonstrations"] = ("demonstrator.sampling", self.demonstrator.sampling)
        for author in self.interaction.authors:
            option, sampling = found[author]
            if self.interaction.prompt_tokens + sampling.max_tokens > student.context:
                raise UserError(
                    f"A prompt of {self.interaction.prompt_tokens} tokens and a text of "
                    f"{sampling.max_tokens} are more than the {student.context} that this student "
                    f"reads. Lower --{option}.max-tokens."
                )

    def watch(self, progress: Progress) -> None:
        """Stop if the policy runs away from the one that wrote."""
        moved = progress.metrics.get("trial/policy_kl", 0.0)
        if self.kl.limit is not None and moved > self.kl.limit:
            reason = (
                f"the KL to the policy that wrote is {moved:.3g} nats a token, above --kl.limit "
                f"{self.kl.limit:g}. Lower --interaction-optim.lr or --update.epochs, or raise it."
            )
            progress.stop = Stop(reason, 1)

"""Presets of `tutelage tnd`: the paper's settings, its ablations and sizes, and one for laptops."""

from __future__ import annotations

from collections.abc import Callable

from tutelage.data.corpora import BabyLMCorpus, BookCorpus, TinyStoriesCorpus
from tutelage.evals.along import Along
from tutelage.evals.surprisal import Surprisal
from tutelage.lessons.updates import PpoUpdate
from tutelage.models.student import StudentConfig
from tutelage.recipes.tnd import Interaction, Tnd
from tutelage.recipes.tnd_arms import ARMS
from tutelage.recipes.tnd_teachers import Demonstrator
from tutelage.rollout.engine import Sampling
from tutelage.train.milestones import Milestones
from tutelage.train.optim import Optim

__all__ = ["PRESETS", "Tnd"]

LOOKS = (2, 4, 8, 12, 16, 20, 25, 30, 40, 50, 60, 80, 100, 125, 150, 200, 250, 300, 350, 400)
"""Milestones of a small run, about evenly spaced on a logarithmic axis."""
GPT2 = StudentConfig(size="gpt2-small")
SIXTEENS = PpoUpdate(epochs=1, minibatch_size=16)
"""The paper names TRL's defaults; its code sets these, which make 16 updates of 256 texts."""


def paper_babylm() -> Tnd:
    """The paper's main run on BabyLM text (--data.path, --demonstrator.path, --age.path)."""
    return Tnd(data=BabyLMCorpus(), student=GPT2, update=SIXTEENS)


def paper_bookcorpus() -> Tnd:
    """The same on BookCorpus."""
    return Tnd(data=BookCorpus(), student=GPT2, update=SIXTEENS)


def laptop() -> Tnd:
    """A student of about a million parameters on TinyStories: minutes on two cores."""
    return small(Tnd(data=TinyStoriesCorpus()))


def small(config: Tnd) -> Tnd:
    """Any configuration at a size for laptops."""
    writing = Sampling(max_tokens=43, top_k=20, top_p=0.95)
    return config.model_copy(
        update={
            "steps": 400,
            "batch_size": 32,
            "block_length": 64,
            "student": StudentConfig(layers=4, heads=4, width=128, context=128),
            "interaction": Interaction(batch_size=32),
            "rollout": writing,
            "demonstrator": Demonstrator(sampling=writing),
            "evals": Along(surprisal=Surprisal(max_contexts=8)),
            "milestones": Milestones(spacing="list", unit="rounds", at=LOOKS),
            "optim": Optim(lr=1e-3, schedule="linear", warmup_steps=40),
            "interaction_optim": Optim(
                lr=1e-4, schedule="constant", warmup_steps=0, weight_decay=0.0, eps=1e-5
            ),
        }
    )


def sized(heads: int, width: int) -> Callable[[], Tnd]:
    """A preset with a student smaller than its teacher."""

    def preset() -> Tnd:
        student = StudentConfig(layers=12, heads=heads, width=width, context=1024)
        return Tnd(data=BabyLMCorpus(), student=student, update=SIXTEENS)

    preset.__doc__ = f"Distillation: a student of width {width} with {heads} heads."
    return preset


def ablation(name: str) -> Callable[[], Tnd]:
    """The paper's main run with an arm's change."""

    def preset() -> Tnd:
        return ARMS[name](paper_babylm())

    preset.__doc__ = ARMS[name].__doc__
    return preset


PRESETS: dict[str, Callable[[], Tnd]] = {
    "paper_babylm": paper_babylm,
    "paper_bookcorpus": paper_bookcorpus,
    **{name: ablation(name) for name in ARMS if name != "tnd"},
    "student_588": sized(12, 588),
    "student_360": sized(10, 360),
    "student_250": sized(10, 250),
    "laptop": laptop,
}

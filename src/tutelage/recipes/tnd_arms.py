"""The arms of the experiment (TND-5): what each does otherwise than trials and demonstrations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from tutelage.config import UserError, nearest
from tutelage.recipes.tnd import Tnd

Arm = Callable[[Tnd], Tnd]

RELEASED = 16
"""Texts of an update by PPO in the released code."""


def tnd(config: Tnd) -> Tnd:
    """Trials and demonstrations: the paper's main method."""
    return interacting(config, texts="both")


def clm(config: Tnd) -> Tnd:
    """The baseline: imitation of the corpus alone."""
    cycle = config.curriculum.model_copy(
        update={"trials_per_cycle": 0, "demonstrations_per_cycle": 1, "overlay": "none"}
    )
    return config.model_copy(update={"curriculum": cycle})


def demonstrations_only(config: Tnd) -> Tnd:
    """PPO on the teacher's demonstrations alone."""
    return interacting(config, texts="demonstrations")


def trials_only(config: Tnd) -> Tnd:
    """PPO on the student's trials alone."""
    return interacting(config, texts="trials")


def double_clm(config: Tnd) -> Tnd:
    """A control: the texts of an interaction are imitated, without rewards."""
    return interacting(config, texts="both", learn="imitation")


def clm_on_teacher_text(config: Tnd) -> Tnd:
    """A control: the teacher's demonstrations are imitated, without rewards."""
    return interacting(config, texts="demonstrations", learn="imitation")


def masked_teacher(config: Tnd) -> Tnd:
    """The teacher never writes some words (--demonstrator.sampling.banned-words, or a file)."""
    return interacting(config, texts="both", masked=True)


def released_code(config: Tnd) -> Tnd:
    """What the paper's released code does, where it differs from the paper."""
    num_texts = 2 * config.interaction.batch_size
    update = config.update.model_copy(update={"minibatch_size": min(RELEASED, num_texts)})
    shaping = config.shaping.model_copy(update={"normalise": False})
    changes = {"mode": "released_code", "update": update, "shaping": shaping}
    return interacting(config.model_copy(update=changes), texts="both")


def interacting(
    config: Tnd,
    *,
    texts: Literal["both", "trials", "demonstrations"],
    learn: Literal["ppo", "imitation"] = "ppo",
    masked: bool = False,
) -> Tnd:
    """The same with this kind of interaction."""
    changes = {"texts": texts, "learn": learn, "masked": masked}
    return config.model_copy(update={"interaction": config.interaction.model_copy(update=changes)})


def unmasked(config: Tnd) -> Tnd:
    """The same with a teacher that may write every word."""
    sampling = config.demonstrator.sampling.model_copy(
        update={"banned_words": (), "banned_tokens": ()}
    )
    teacher = config.demonstrator.model_copy(update={"sampling": sampling, "banned_file": None})
    return config.model_copy(update={"demonstrator": teacher})


def configs_of(config: Tnd) -> dict[str, Tnd]:
    """The configuration of each arm of a sweep; with masked_teacher, only it bans words."""
    names = arms_of(config.sweep)
    base = config.model_copy(update={"sweep": (), "seeds": 1})
    others = [name for name in names if name != "clm"]
    if others and not base.has_interaction:
        raise UserError(
            f"--sweep {others[0]} interacts, but this curriculum never does. Leave out --preset "
            "clm, or give --curriculum.trials-per-cycle."
        )
    plain = unmasked(base) if "masked_teacher" in names else base
    return {name: ARMS[name](base if name == "masked_teacher" else plain) for name in names}


ARMS: dict[str, Arm] = {
    arm.__name__: arm
    for arm in (
        tnd,
        clm,
        demonstrations_only,
        trials_only,
        double_clm,
        clm_on_teacher_text,
        masked_teacher,
        released_code,
    )
}
ABLATIONS = (
    "clm",
    "tnd",
    "demonstrations_only",
    "trials_only",
    "double_clm",
    "clm_on_teacher_text",
)


def arms_of(names: tuple[str, ...]) -> list[str]:
    """The arms that a sweep names, each once."""
    found: list[str] = []
    for name in names:
        if name != "ablations" and name not in ARMS:
            raise UserError(
                f"--sweep {name} is no arm.{nearest(name, [*ARMS, 'ablations'])} "
                f"Arms are {', '.join(ARMS)}; or ablations, for {', '.join(ABLATIONS)}."
            )
        found += ABLATIONS if name == "ablations" else [name]
    return list(dict.fromkeys(found))

"""The arms of the experiment (TND-5): what each does otherwise than trials and demonstrations."""

from __future__ import annotations

from collections.abc import Callable

from tutelage.config import UserError, nearest
from tutelage.recipes.tnd import Tnd

Arm = Callable[[Tnd], Tnd]


def tnd(config: Tnd) -> Tnd:
    """Trials and demonstrations: the paper's main method."""
    return config


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
    return interacting(config, learn="imitation")


def clm_on_teacher_text(config: Tnd) -> Tnd:
    """A control: the teacher's demonstrations are imitated, without rewards."""
    return interacting(config, texts="demonstrations", learn="imitation")


def masked_teacher(config: Tnd) -> Tnd:
    """The teacher never writes some words (--demonstrator.sampling.banned-words, or a file)."""
    sampling = config.demonstrator.sampling
    if not (config.demonstrator.banned() or sampling.banned_tokens):
        raise UserError(
            "The arm masked_teacher needs words that the teacher never writes: give "
            "--demonstrator.sampling.banned-words, --demonstrator.sampling.banned-tokens or "
            "--demonstrator.banned-file."
        )
    return config


def released_code(config: Tnd) -> Tnd:
    """What the paper's released code does, where it differs from the paper."""
    return config.model_copy(update={"mode": "released_code"})


def interacting(config: Tnd, **changes: str) -> Tnd:
    """The same with another kind of interaction."""
    return config.model_copy(update={"interaction": config.interaction.model_copy(update=changes)})


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

"""Arms of `tutelage tnd`: what each is, and at which learning rates it learns."""

from typing import NamedTuple

import pytest

from models.students import tokenizer_of
from tutelage.config import UserError
from tutelage.models.student import StudentConfig
from tutelage.recipes.tnd import Tnd
from tutelage.recipes.tnd_arms import ABLATIONS, configs_of
from tutelage.recipes.tnd_lessons import Lessons, learners_of
from tutelage.recipes.tnd_presets import PRESETS
from tutelage.recipes.tnd_teachers import AS_IN_THE_PAPER, Demonstrator
from tutelage.rollout.engine import Sampling
from tutelage.train.optim import Optim


class Steps(NamedTuple):
    """A lesson of which only the number of updates matters."""

    steps_per_round: int


def test_only_a_masked_teacher_is_masked() -> None:
    """TND-5: in a sweep with that arm the others' teacher writes every word."""
    sampling = Sampling(banned_words=("ball",), **AS_IN_THE_PAPER)
    base = Tnd(demonstrator=Demonstrator(path="t", sampling=sampling))
    arms = configs_of(base.model_copy(update={"sweep": ("clm", "tnd", "masked_teacher")}))
    assert [arm.demonstrator.banned() for arm in arms.values()] == [(), (), ("ball",)]
    assert [arm.interaction.masked for arm in arms.values()] == [False, False, True]
    (alone,) = configs_of(base.model_copy(update={"sweep": ("tnd",)})).values()
    assert alone.demonstrator.banned() == ("ball",)


def test_an_arm_is_the_same_whatever_preset_it_begins_with() -> None:
    """TND-5."""
    for name in ("trials_only", "double_clm", "clm_on_teacher_text", "masked_teacher"):
        arms = configs_of(PRESETS[name]().model_copy(update={"sweep": ABLATIONS}))
        wanted = configs_of(PRESETS["paper_babylm"]().model_copy(update={"sweep": ABLATIONS}))
        assert {arm: own.interaction for arm, own in arms.items() if arm != "clm"} == {
            arm: own.interaction for arm, own in wanted.items() if arm != "clm"
        }
    with pytest.raises(UserError, match="--sweep tnd interacts, but this curriculum never does"):
        configs_of(PRESETS["clm"]().model_copy(update={"sweep": ("clm", "tnd")}))


@pytest.mark.parametrize("mode", ["paper", "released_code"])
def test_at_equal_steps_all_arms_have_the_same_learning_rate(mode: str) -> None:
    """TND-1: however many updates each has made."""
    config = Tnd(steps=8, mode=mode, optim=Optim(lr=1e-2, schedule="linear", warmup_steps=4))  # pyright: ignore
    student = StudentConfig(layers=1, heads=1, width=8).build(tokenizer_of(), seed=0)
    lessons = Lessons(Steps(1), Steps(2), Steps(3) if mode == "released_code" else None, None)  # pyright: ignore
    learners = learners_of(config, lessons, student, None, None)  # pyright: ignore
    found: dict[str, dict[int, float]] = {}
    for number in range(config.steps):
        for name in config.names()(number):
            for _ in range(lessons.steps_of(name)):
                rate = learners[name].scheduler.get_last_lr()[0]
                assert found.setdefault(name, {}).setdefault(number, rate) == rate
                learners[name].optimizer.step()
                learners[name].scheduler.step()
    expected = [0, 0.0025, 0.005, 0.0075, 0.01, 0.0075, 0.005, 0.0025]
    seen = {**found["demonstration"], **found.get("echo", {})}
    assert seen == pytest.approx({number: expected[number] for number in seen})
    assert sorted(seen) == ([0, 1, 2, 4, 5, 6] if mode == "paper" else list(range(8)))
    assert found["trial"] == {3: 2e-5, 7: 2e-5}

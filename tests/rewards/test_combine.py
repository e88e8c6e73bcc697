import pytest
import torch
from pydantic import Field, ValidationError
from safetensors.torch import load_file, save_file

from rewards.classifiers import save_classifier, tokenizer_of
from tutelage.commands.arguments import parse
from tutelage.config import Config, UserError
from tutelage.rewards import AnyReward
from tutelage.rewards.combine import Combine, Part
from tutelage.rewards.contains import Contains
from tutelage.rewards.length import Length
from tutelage.rewards.protocol import RewardError
from tutelage.rewards.random import Random

PROMPTS = ["p", "q"]
RESPONSES = ["a dog", "a cat ran"]


class Lesson(Config):
    """A program with a reward."""

    reward: AnyReward = Field(default=Length())
    """What is good."""


def parsed(*argv: str) -> AnyReward:
    config, _ = parse(Lesson, ["--reward.kind", *argv], prog="x", presets={}, is_recipe=False)
    assert isinstance(config, Lesson)
    return config.reward


def refusal(*argv: str) -> str:
    with pytest.raises(UserError) as caught:
        parsed(*argv)
    return str(caught.value)


def test_scores_are_a_weighted_sum():
    """PPO-2: total = sum of weight * score; the terms are unweighted."""
    config = Combine(
        parts=(
            Part(weight=2.0, reward=Contains(words=("dog",))),
            Part(weight=-0.5, reward=Length(target=4)),
        )
    )
    found = config.build()(PROMPTS, RESPONSES)
    assert found.scores.tolist() == [2.0 * 1 - 0.5 * 0.5, 2.0 * 0 - 0.5 * 0.75]
    assert found.terms["contains"].tolist() == [1.0, 0.0]
    assert found.terms["length"].tolist() == [0.5, 0.75]
    assert found.notes is None


def test_every_term_has_a_name_of_its_own(tmp_path):
    """PPO-2: no number is hidden by another."""
    file = tmp_path / "mine.py"
    file.write_text("def score(responses):\n    return {'length': [7, 7], 'contains': [8, 8]}\n")
    found = parsed(
        "combine",
        "--reward.parts",
        "length target=2",
        "length target=4",
        f"function path={file}:score",
        "contains words=dog",
        "length target=1",
    ).build()(PROMPTS, RESPONSES)
    assert {name: term.tolist() for name, term in found.terms.items()} == {
        "length": [1.0, 1.0],
        "length_2": [0.5, 0.75],
        "length_3": [7.0, 7.0],
        "contains": [8.0, 8.0],
        "contains_2": [1.0, 0.0],
        "length_4": [1.0, 1.0],
    }
    assert found.scores.tolist() == [1 + 0.5 + 15 + 1 + 1, 1 + 0.75 + 15 + 0 + 1]


def test_one_reward_alone_is_itself():
    """PPO-2."""
    alone = Random(seed=3).build()(PROMPTS, RESPONSES)
    found = Combine(parts=(Part(reward=Random(seed=3)),)).build()(PROMPTS, RESPONSES)
    torch.testing.assert_close(found, alone, rtol=0, atol=0)


def test_columns_reach_every_reward_that_needs_them():
    """PPO-2."""
    config = parsed("combine", "--reward.parts", "gsm8k", "0.1 length target=2", "gsm8k")
    assert config.columns() == ("answer",)
    found = config.build()(["p", "q"], ["#### 5", "5"], answer=["5", "6"])
    assert found.terms["gsm8k"].tolist() == [1.0, -1.0]
    assert found.terms["gsm8k_2"].tolist() == [1.0, -1.0]


def test_notes_of_all_rewards_are_kept(tmp_path):
    """PPO-2."""
    folder = save_classifier(tmp_path / "model", "GPT2", tokenizer_of())
    part = f"preference path={folder}"
    found = parsed("combine", "--reward.parts", part, "length", part).build()(
        ["w1 " * 20, "w1"], ["", ""]
    )
    note = "only the last 16 tokens were read"
    assert found.notes == [f"{note}\n{note}", ""]


def test_the_reward_that_fails_is_named(tmp_path):
    """PPO-2."""
    folder = save_classifier(tmp_path / "model", "GPT2", tokenizer_of())
    weights = load_file(folder / "model.safetensors")
    weights["score.weight"].fill_(float("nan"))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    reward = parsed("combine", "--reward.parts", "length", f"preference path={folder}").build()
    with pytest.raises(RewardError, match=r"The reward preference .* returned nan for sample 1"):
        reward(["w1"], ["w2"])


def test_each_part_is_checked(tmp_path):
    """X-1."""
    config = parsed("combine", "--reward.parts", "length", f"function path={tmp_path}/no.py:score")
    with pytest.raises(UserError, match="there is no file"):
        config.check()


def test_an_empty_batch_has_no_scores():
    """PPO-2."""
    config = parsed("combine", "--reward.parts", "length", "-1 contains words=dog", "random")
    assert config.build()([], []).scores.shape == (0,)


# The command line and the file


def test_parts_are_typed_as_they_are_read():
    """X-1."""
    found = parsed(
        "combine",
        "--reward.parts",
        "contains words=dog,cat count=all whole_words=false",
        "-0.5 length target=20",
        "1e-2 random",
        "contains 'words=oh dear'",
    )
    assert found == Combine(
        parts=(
            Part(reward=Contains(words=("dog", "cat"), count="all", whole_words=False)),
            Part(weight=-0.5, reward=Length(target=20)),
            Part(weight=0.01, reward=Random()),
            Part(reward=Contains(words=("oh dear",))),
        )
    )


def test_a_part_prints_as_it_is_typed():
    """X-1."""
    for text in ("1 contains words=dog,cat count=all", "-0.5 length target=20", "1 random"):
        config = parsed("combine", "--reward.parts", text)
        assert isinstance(config, Combine)
        assert str(config.parts[0]) == text


def test_a_saved_combination_reads_back_equal(tmp_path):
    """X-2."""
    parts = ("2 contains words=dog,cat", "function path=my.py:score", "gsm8k")
    config = Lesson(reward=parsed("combine", "--reward.parts", *parts))
    config.save(tmp_path / "config.yaml")
    assert Lesson.load(tmp_path / "config.yaml") == config


def test_parts_may_be_words_in_a_file(tmp_path):
    """X-2."""
    file = tmp_path / "config.yaml"
    file.write_text("recipe: lesson\nreward: {kind: combine, parts: [2 length]}\n")
    assert Lesson.load(file).reward == Combine(parts=(Part(weight=2.0, reward=Length()),))


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("lengthy", "reward.kind is lengthy, but it must be one of"),
        ("lengthy", "Did you mean length?"),
        ("contains word=dog", "words is needed, but nothing was given."),
        ("contains words=dog cuont=all", "cuont is unknown. Did you mean count?"),
        ("length target=0", "target is '0', but it must be greater than 0."),
        ("length target", "can't be read"),
        ("contains 'words=dog", "can't be read"),
        ("", "can't be read"),
        ("2", "can't be read"),
        ("nan length", "weight is nan, but it must be a finite number."),
        ("combine parts=length", "reward.kind is combine, but it must be one of"),
    ],
)
def test_a_part_that_is_wrong_is_refused(part, said):
    """X-1: in the words typed."""
    message = refusal("combine", "--reward.parts", "random", part)
    assert said in message
    assert repr(part) in message


def test_a_combination_of_nothing_is_refused():
    """X-1."""
    with pytest.raises(ValidationError, match="at least 1 item"):
        Combine(parts=())


@pytest.mark.parametrize("part", [5, None, ["length"]])
def test_a_part_of_another_type_is_refused(part):
    """X-1."""
    with pytest.raises(ValidationError, match="In the part"):
        Combine(parts=(part,))


@pytest.mark.parametrize(
    ("argv", "reward"),
    [
        (["length", "--reward.target", "5"], Length(target=5)),
        (["contains", "--reward.words", "dog", "cat"], Contains(words=("dog", "cat"))),
        (["random", "--reward.seed", "4"], Random(seed=4)),
    ],
)
def test_a_reward_is_chosen_by_its_kind(argv, reward):
    """X-1."""
    assert parsed(*argv) == reward

"""The page of rewards is true."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tutelage.commands.arguments import parse
from tutelage.config import Config, kind_of, sections
from tutelage.rewards import AnyReward
from tutelage.rewards.combine import Combine
from tutelage.rewards.function import Function
from tutelage.rewards.length import Length

PAGE = (Path(__file__).parents[2] / "docs" / "rewards.md").read_text(encoding="utf-8")
KINDS = sections(AnyReward)


class Lesson(Config):
    """A program with a reward."""

    reward: AnyReward = Length()
    """What is good."""


def parsed(line: str) -> Config:
    config, _ = parse(Lesson, shlex.split(line), prog="x", presets={}, is_recipe=False)
    assert isinstance(config, Lesson)
    return config.reward


def test_every_kind_has_a_row_that_can_be_typed():
    """X-1."""
    rows = re.findall(r"^\| `(\w+)` \|.*\| `(--reward.*)` \|$", PAGE, flags=re.M)
    assert {kind: kind_of(type(parsed(line))) for kind, line in rows} == {k: k for k in KINDS}


def test_every_option_that_is_named_exists():
    """X-1."""
    names = {name for member in KINDS.values() for name in member.model_fields}
    for option in re.findall(r"--reward\.([\w-]+)", PAGE):
        assert option.replace("-", "_") in names, option


def test_the_function_on_the_page_is_a_reward(tmp_path: Path):
    """PPO-2: as it stands there, in about ten lines."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.S)
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    (tmp_path / "my_reward.py").write_text(code)
    config = Function(path=f"{tmp_path}/my_reward.py:score")
    config.check()
    found = config.build()(["Who is there?", "Look."], [" A dog.", " Yes"])
    assert found.terms["brevity"].tolist() == pytest.approx([1 / 3, 1 / 2])
    assert found.terms["answers"].tolist() == [1.0, 0.0]
    assert found.scores.tolist() == pytest.approx([4 / 3, 1 / 2])


def test_both_ways_to_write_a_combination_are_the_same():
    """X-2."""
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.S)
    (line,) = re.findall(r"^`(--reward.kind combine .*)`$", PAGE, flags=re.M)
    written = Lesson.model_validate(yaml.safe_load(text)).reward
    assert isinstance(written, Combine)
    assert written == parsed(line)


def test_rewards_are_configured_without_heavy_imports():
    """X-1: `tutelage --help` stays fast."""
    code = (
        "import sys, tutelage.rewards\n"
        "print({'torch', 'transformers', 'numpy', 'datasets'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"

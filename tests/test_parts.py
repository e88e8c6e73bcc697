"""A configuration as one word of the command line reads back as it was."""

from typing import Literal

import pytest

from tutelage.commands.arguments import parse
from tutelage.config import Config, UserError
from tutelage.data.prompt_builders import CombinedPrompts, FixedPrompt
from tutelage.parts import typed, written


class Sweet(Config):
    """A kind of part."""

    kind: Literal["sweet"] = "sweet"
    """Sweet."""

    name: str = ""
    """Its name."""

    size: float = 1.0
    """Its size."""


@pytest.mark.parametrize("name", ["plain", "two words", "a=b", 'it\'s "so"', "$x \\ #", "naïve\n"])
def test_parts_read_back_as_they_were(name: str) -> None:
    """X-1."""
    part = Sweet(name=name, size=2.5)
    assert Sweet.model_validate(typed(written(part))) == part
    assert written(Sweet()) == "sweet"


@pytest.mark.parametrize("text", ["", "sweet name", "sweet 'name=x"])
def test_parts_that_cannot_be_read_are_refused(text: str) -> None:
    """X-1."""
    with pytest.raises(UserError, match=r"can't be read. Write a kind and its options"):
        typed(text)


def test_parts_of_a_default_are_shown_and_kept(capsys: pytest.CaptureFixture[str]) -> None:
    """X-1."""

    class Recipe(Config):
        """A program whose default has parts."""

        prompts: CombinedPrompts = CombinedPrompts(parts=(FixedPrompt(prompt="Hello", num=3),))
        """Prompts."""

    config, _ = parse(Recipe, [], prog="recipe", presets={}, is_recipe=False)
    assert config == Recipe()
    with pytest.raises(SystemExit):
        parse(Recipe, ["--help"], prog="recipe", presets={}, is_recipe=False)
    assert "'fixed prompt=Hello num=3'" in " ".join(capsys.readouterr().out.split())

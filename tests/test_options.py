"""Every option of every program is explained, and the page of the command line is true."""

import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, get_args

import pytest
from pydantic import Field, PositiveInt

from tutelage import cli
from tutelage.commands import COMMANDS
from tutelage.commands.arguments import parse
from tutelage.commands.sections import help_text
from tutelage.config import Config, sections
from tutelage.recipes import RECIPES

PROGRAMS = RECIPES | COMMANDS


def options(config: type[Config], path: str = "") -> Iterator[tuple[str, Any]]:
    """The name and field of every option that a configuration can have."""
    for name, field in config.model_fields.items():
        yield f"{path}{name}", field
        for kind, member in sections(field.annotation).items():
            yield from options(member, f"{path}{name}[{kind}].")


def plain_types(annotation: Any) -> set[Any]:
    """All types anywhere in an annotation."""
    return {annotation}.union(*(plain_types(part) for part in get_args(annotation)))


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_option_has_a_sentence_and_every_number_a_range(name):
    """X-1."""
    config = PROGRAMS[name].config_class()
    assert (config.__doc__ or "").endswith(".")
    if name in RECIPES:  # whose command line has these by itself
        assert not {"preset", "config", "resume"} & set(config.model_fields)
    for option, field in options(config):
        sentence = " ".join((field.description or "").split())
        assert sentence.endswith("."), option
        if {int, float} & plain_types(field.annotation):
            assert help_text(field) != sentence, f"{option} states no range"


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_preset_shows_help(name, capsys):
    """X-1."""
    for preset in PROGRAMS[name].presets():
        assert cli.main([name, "--preset", preset, "--help"]) == 0, preset
        assert f"{preset}:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (PositiveInt, "Told (> 0)."),
        (PositiveInt | None, "Told (> 0)."),
        (tuple[PositiveInt, ...], "Told (> 0)."),
        (Annotated[float, Field(gt=0, le=1)], "Told (> 0, ≤ 1)."),
        (Annotated[float, Field(gt=0, le=1)] | None, "Told (> 0, ≤ 1)."),
        (Annotated[int, Field(ge=0, lt=2**63)], "Told (≥ 0, < 2^63)."),
        (Annotated[int, Field(le=2**31 - 1)], "Told (≤ 2147483647)."),
        (Annotated[tuple[str, ...], Field(min_length=1)], "Told (at least 1)."),
        (str, "Told."),
    ],
)
def test_help_states_the_range(annotation, text):
    """X-1."""

    class Parent(Config):
        number: annotation = Field(description="Told.")

    class Child(Parent):
        pass

    assert help_text(Child.model_fields["number"]) == text


# The page

PAGE = Path(__file__).parents[1] / "docs" / "command-line.md"


def test_the_page_shows_the_help_as_it_is():
    """X-1."""
    program = "import sys; from tutelage import cli; cli.main(['--help'])"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout
    assert shown in PAGE.read_text(encoding="utf-8")


def test_every_command_on_the_page_is_understood(tmp_path, monkeypatch, capsys):
    """X-1."""
    fences = PAGE.read_text(encoding="utf-8").split("```console\n")[1:]
    commands = [line for fence in fences for line in fence.split("```")[0].splitlines()]
    first = RECIPES["pretrain"].config_class()()
    (tmp_path / "runs" / "first").mkdir(parents=True)
    first.save(tmp_path / "runs" / "first" / "config.yaml")
    monkeypatch.chdir(tmp_path)
    assert len(commands) >= 10
    for command in commands:
        name, argv = cli.program(shlex.split(command)[1:])
        entry = PROGRAMS[name]
        explains = pytest.raises(SystemExit) if "--help" in argv else nullcontext()
        with explains as stop:
            parse(
                entry.config_class(),
                argv,
                prog=f"tutelage {name}",
                presets=entry.presets(),
                is_recipe=name in RECIPES,
            )
        assert stop is None or stop.value.code == 0, command
    assert "--data.path" in capsys.readouterr().out

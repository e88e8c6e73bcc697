import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, PositiveInt, ValidationError, field_validator
from tyro.conf import Positional

from tutelage import __version__, cli
from tutelage.commands import COMMANDS
from tutelage.commands.arguments import load_config
from tutelage.config import Config, Entry, UserError
from tutelage.recipes import RECIPES

PROGRAMS = RECIPES | COMMANDS


class Text(Config):
    """Any text."""

    kind: Literal["text"] = "text"
    """Chooses this corpus."""
    path: Path
    """Where the text lies."""


class Grammar(Config):
    """An endless grammar."""

    kind: Literal["grammar"] = "grammar"
    """Chooses this corpus."""
    num_sentences: PositiveInt = 100
    """Sentences in a document."""


class Mixture(Config):
    """Two corpora in turn."""

    kind: Literal["mixture"] = "mixture"
    """Chooses this corpus."""
    first: Annotated[Text | Grammar, Field(discriminator="kind")] = Grammar()
    """What is read first."""


AnyCorpus = Annotated[Text | Grammar | Mixture, Field(discriminator="kind")]


class Lora(Config):
    """Low-rank adapters."""

    rank: PositiveInt = 8
    """Rank of each adapter."""
    target: str
    """Modules that get one."""


class Optim(Config):
    """The optimizer."""

    lr: Annotated[float, Field(gt=0, lt=1)] = 1e-3
    """Peak learning rate."""


class Play(Config):
    """A toy recipe that remembers how it was run."""

    data: AnyCorpus = Grammar()
    """Corpus to read."""
    eval_data: AnyCorpus | None = None
    """Held-out text."""
    lora: Lora | None = None
    """Adapters in place of all weights."""
    optim: Optim = Optim()
    """How weights move."""
    steps: PositiveInt | None = None
    """Updates to make."""
    out: Path = Path("runs/play")
    """Run folder."""
    strict: bool = False
    """Refuse uncommitted files."""
    ending: Literal["well", "user", "crash", "stop", "status"] = "well"
    """How the run ends."""

    @field_validator("out")
    @classmethod
    def not_root(cls, out: Path) -> Path:
        """Refuse the root folder."""
        if out == Path("/"):
            raise UserError("--out is /, but a run needs a folder of its own.")
        return out

    def run(self, resume: Path | None = None) -> int | None:
        """Remember the configuration, then end as told."""
        ran.append((self, resume))
        match self.ending:
            case "user":
                raise UserError("--out exists. Choose another.")
            case "crash":
                raise RuntimeError("a bug")
            case "stop":
                raise KeyboardInterrupt
            case "status":
                return 1


class Show(Config):
    """A toy command."""

    runs: Positional[tuple[Path, ...]]
    """Folders to show."""

    def run(self) -> None:
        """Remember the configuration."""
        ran.append((self, None))


class Start(Config):
    """A toy command that takes the command line of a recipe."""

    command: Positional[tuple[str, ...]] = ()
    """The recipe and its options."""
    processes: PositiveInt = 1
    """How many to start."""

    def run(self) -> None:
        """Remember the configuration."""
        ran.append((self, None))


class Wrong(Config):
    """A recipe of another name."""


ran: list[tuple[Config, Path | None]] = []


def small() -> Play:
    """A small one."""
    return Play(steps=7, optim=Optim(lr=0.5), data=Grammar(num_sentences=5))


def held_out() -> Play:
    """With held-out text and adapters."""
    return Play(eval_data=Text(path=Path("held.txt")), lora=Lora(target="all"))


PRESETS = {"small": small, "held-out": held_out}


@pytest.fixture(autouse=True)
def toys(monkeypatch):
    """The toy recipe and command are registered."""
    monkeypatch.setitem(RECIPES, "play", Entry(f"{__name__}:Play", "A toy recipe."))
    monkeypatch.setitem(COMMANDS, "show", Entry(f"{__name__}:Show", "A toy command."))
    monkeypatch.setitem(COMMANDS, "start", Entry(f"{__name__}:Start", "A toy launcher."))
    ran.clear()


def configured(*argv: str) -> Play:
    """The configuration that `tutelage play ARGV` runs."""
    assert cli.main(["play", *argv]) == 0
    config, resume = ran[-1]
    assert isinstance(config, Play)
    assert resume is None
    return config


@pytest.fixture
def refusal(capsys) -> Callable[..., str]:
    """What stderr says, boxes and line breaks removed, when a command line is refused."""

    def refused(*argv: str) -> str:
        assert cli.main(argv) == 2
        assert ran == []
        said = capsys.readouterr()
        assert said.out == ""
        return " ".join(said.err.replace("│", " ").split())

    return refused


# Order and spelling


def test_defaults_run():
    """X-1."""
    assert configured() == Play()


def test_values_come_after_kinds_and_kinds_after_the_preset():
    """X-1."""
    assert configured("--preset", "small") == small()
    assert configured("--steps", "9", "--preset", "small").steps == 9
    assert configured("--preset=small", "--data.kind", "grammar").data == Grammar(num_sentences=5)
    argv = ["--data.path", "a.txt", "--data.kind", "text", "--preset", "small"]
    assert configured(*argv).data == Text(path=Path("a.txt"))
    assert configured(*argv).steps == 7


def test_a_saved_configuration_is_a_start(tmp_path):
    """X-1, X-2."""
    saved = Play(steps=3, eval_data=Text(path=Path("a.txt")))
    saved.save(tmp_path / "config.yaml")
    assert configured("--config", str(tmp_path / "config.yaml")) == saved
    assert configured("--config", str(tmp_path / "config.yaml"), "--steps", "4").steps == 4
    assert load_config(tmp_path / "config.yaml") == saved


def test_kebab_and_snake_case_are_both_understood():
    """X-1."""
    argv = ["--eval_data.kind=grammar", "--eval-data.num_sentences", "4"]
    assert configured(*argv).eval_data == Grammar(num_sentences=4)


def test_flags_switch_both_ways():
    """X-1."""
    assert configured("--strict").strict
    assert not configured("--no-strict").strict


def test_kinds_nest():
    """X-1."""
    argv = ["--data.kind", "mixture", "--data.first.kind", "text", "--data.first.path", "a.txt"]
    assert configured(*argv).data == Mixture(first=Text(path=Path("a.txt")))


def test_an_optional_section_is_switched_on_by_any_of_its_options():
    """X-1."""
    assert configured().lora is None
    assert configured("--lora.target", "all").lora == Lora(target="all")


def test_an_optional_section_is_switched_off_by_none():
    """X-1."""
    config = configured("--preset", "held-out", "--lora", "None", "--eval-data.kind", "grammar")
    assert config == Play(eval_data=Grammar())
    config = configured("--preset", "held-out", "--eval_data=None", "--steps", "9")
    assert (config.eval_data, config.steps) == (None, 9)
    assert configured("--preset", "held-out", "--eval-data.kind", "None").eval_data is None
    assert configured("--eval-data.kind", "None") == Play()


# Refusals: status 2, a message on stderr, nothing ran


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--preset", "smaall"], "no preset smaall. Did you mean small? The presets are small"),
        (["--stpes", "3"], "Perhaps you meant: --steps"),
        (["--optm.lr", "3"], "Perhaps you meant: --optim.lr"),
        (["--data.kind", "grammr"], "--data.kind is grammr, but it must be one of text, grammar, "
                                    "mixture. Did you mean grammar?"),
        (["--data.path", "a"], "--data.path belongs to --data.kind text, but the kind here is "
                               "grammar. Add --data.kind text"),
        (["--eval-data.path", "a"], "--eval-data.path belongs to --eval-data.kind text, but no "
                                    "kind is chosen here."),
        (["--data.kind", "text"], "--data.path PATH Where the text lies. (required)"),
        (["--lora.rank", "3"], "--lora.target STR Modules that get one. (required)"),
        (["--optim", "None"], "Unrecognized options: --optim, None"),
        (["--optim.lr", "3"], "--optim.lr is 3, but it must be less than 1."),
        (["--optim.lr", "much"], "Error parsing --optim.lr: could not convert string to float"),
        (["--steps", "0", "--data.num-sentences", "-1"],
         "--data.num-sentences is -1, but it must be greater than 0. "
         "--steps is 0, but it must be greater than 0."),
        (["--out", "/"], "tutelage: --out is /, but a run needs a folder of its own."),
        (["--ending", "wwell"], "invalid choice 'wwell'"),
        (["stray"], "Unrecognized options: stray"),
        (["--preset", "small", "--config", "x.yaml"], "Give one of them."),
        (["--config", "absent.yaml"], "absent.yaml cannot be read"),
        (["--resume", "runs/play", "--steps", "3"], "takes no other option, but --steps was given"),
        (["--steps", "3", "--resume=runs/play"], "takes no other option, but --steps was given"),
        (["--resume"], "--resume needs the folder of a run."),
        (["--resume", "absent"], "absent is not the folder of a run: it has no config.yaml."),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_refused_with_what_would_be_right(argv, message, refusal):
    """X-1."""
    assert message in refusal("play", *argv)


def test_a_mistyped_program_names_the_nearest(refusal):
    """X-1."""
    assert "no recipe or command pretrian. Did you mean pretrain?" in refusal("pretrian")


def test_a_file_for_another_recipe_is_refused(refusal, tmp_path):
    """X-1."""
    Wrong().save(tmp_path / "config.yaml")
    said = refusal("play", "--config", str(tmp_path / "config.yaml"))
    assert "is for the recipe wrong, not for play." in said
    assert "is for the recipe wrong, not for play." in refusal("play", "--resume", str(tmp_path))
    with pytest.raises(UserError, match="recipe wrong, which is unknown"):
        load_config(tmp_path / "config.yaml")


# Running


def test_resume_runs_the_saved_configuration(tmp_path):
    """X-3."""
    Play(steps=3).save(tmp_path / "config.yaml")
    assert cli.main(["play", "--resume", str(tmp_path)]) == 0
    assert ran == [(Play(steps=3), tmp_path)]


def test_commands_take_positional_arguments():
    """X-1."""
    assert cli.main(["show", "a", "b"]) == 0
    assert ran == [(Show(runs=(Path("a"), Path("b"))), None)]


@pytest.mark.parametrize("apart", [[], ["--"]])
def test_a_command_line_within_a_command_line_keeps_its_options(apart):
    """X-5."""
    play = ["play", "--processes", "3", "--steps=3", "--help"]
    assert cli.main(["start", "--processes", "2", *apart, *play]) == 0
    assert [(Start(command=tuple(play), processes=2), None)] == ran


def test_exit_status_tells_how_it_ended(capsys):
    """X-1."""
    assert cli.main(["play", "--ending", "user"]) == 2
    assert capsys.readouterr().err == "tutelage: --out exists. Choose another.\n"
    assert cli.main(["play", "--ending", "stop"]) == 130
    assert cli.main(["play", "--ending", "status"]) == 1
    with pytest.raises(RuntimeError, match="a bug"):
        cli.main(["play", "--ending", "crash"])


def test_version_and_usage(capsys):
    """X-1."""
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"tutelage {__version__}\n"
    assert cli.main([]) == 2
    usage = capsys.readouterr().out
    assert cli.main(["--help"]) == 0
    assert capsys.readouterr().out == usage


# Help


def test_help_lists_every_program_with_its_summary(capsys):
    """X-1."""
    cli.main(["--help"])
    lines = {" ".join(line.split()) for line in capsys.readouterr().out.splitlines()}
    assert {f"{name} {entry.summary}" for name, entry in PROGRAMS.items()} <= lines


def test_help_of_a_union_names_all_kinds_and_the_chosen_ones_options(capsys):
    """X-1."""
    assert cli.main(["play", "--help"]) == 0
    out = capsys.readouterr().out
    assert "--data.kind {text,grammar,mixture}" in out
    assert "--data.num-sentences" in out
    assert "--eval-data.kind {None,text,grammar,mixture}" in out
    assert "--lora.target" in out
    assert "small: A small one. held-out: With" in " ".join(out.replace("│", " ").split())
    assert cli.main(["play", "--eval-data.kind", "text", "--help"]) == 0
    assert "--eval-data.path PATH" in capsys.readouterr().out


def test_help_shows_a_presets_values_and_goes_with_resume(capsys):
    """X-1."""
    assert cli.main(["play", "--preset", "small", "--help"]) == 0
    assert "(default: 7)" in capsys.readouterr().out
    assert cli.main(["play", "--resume", "runs/play", "--help"]) == 0
    assert "--resume" in capsys.readouterr().out
    assert cli.main(["show", "a", "--help"]) == 0
    assert "RUNS" in capsys.readouterr().out
    assert ran == []


@pytest.mark.parametrize("argv", [[], *([name] for name in PROGRAMS)], ids=str)
def test_help_imports_nothing_heavy(argv):
    """X-1. How long it takes is measured by bench/startup.py."""
    heavy = ["torch", "transformers", "datasets", "numpy", "matplotlib", "pyarrow"]
    heavy += ["typeguard"] if argv and argv[0] in RECIPES else []
    program = (
        "import sys; from tutelage import cli; status = cli.main([*sys.argv[1:], '--help']);"
        f"loaded = [name for name in {heavy} if name in sys.modules];"
        "sys.exit(f'loaded {loaded}' if loaded else status)"
    )
    done = subprocess.run([sys.executable, "-c", program, *argv], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_a_range_is_enforced_where_it_is_stated():
    """X-1."""
    with pytest.raises(ValidationError):
        Play(steps=0)

"""`tutelage NAME …`: parse, dispatch, and turn the user's mistakes into messages."""

import os
import sys
from collections.abc import Sequence

from tutelage import __version__
from tutelage.commands import COMMANDS
from tutelage.config import Config, Entry, UserError, nearest
from tutelage.recipes import RECIPES

PIPE_CLOSED = 141
"""What shells report of a program that SIGPIPE ended."""


def entry() -> None:
    """The `tutelage` program."""
    try:
        status = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read along has seen enough, as in `tutelage … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = PIPE_CLOSED
    sys.exit(status)


def main(argv: Sequence[str]) -> int:
    """Run one recipe or command; the exit status: 0 done, 2 wrong usage, 130 stopped by Ctrl-C."""
    group = argv[0] if argv and argv[0] in _groups() else ""
    asked = argv[1:2] if group else argv[:1]
    if not asked or asked[0] in ("--help", "-h"):
        print(_overview_of(group) if group else _overview())
        return 0 if asked else 2
    if argv[0] == "--version":
        print(f"tutelage {__version__}")
        return 0
    try:
        return _run(*program(argv))
    except UserError as error:
        print(f"tutelage: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def program(argv: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The name that a command line begins with, of one word or two, and the rest of the line."""
    size = 2 if argv[0] in _groups() else 1
    return " ".join(argv[:size]), argv[size:]


def _run(name: str, argv: Sequence[str]) -> int:
    """Parse the rest of the command line for one program and run it."""
    from tutelage.commands.arguments import parse

    target = _find(name)
    is_recipe = name in RECIPES
    try:
        config, resume = parse(
            _config_class(target, argv),
            argv,
            prog=f"tutelage {name}",
            presets=target.presets() if is_recipe else {},
            is_recipe=is_recipe,
        )
    except SystemExit as stop:
        return int(stop.code or 0)
    run = getattr(config, "run")  # noqa: B009 - recipes and commands share no base but Config
    return (run(resume=resume) if is_recipe else run()) or 0


def _config_class(target: Entry, argv: Sequence[str]) -> type[Config]:
    """The configuration to parse; some programs have one for each word after an option."""
    config = target.config_class()
    choose = getattr(config, "choose", None)
    return choose(argv) if choose else config


def _find(name: str) -> Entry:
    """The recipe or command of that name."""
    programs = RECIPES | COMMANDS
    if name not in programs:
        raise UserError(
            f"there is no recipe or command {name}.{nearest(name, [*programs, *_groups()])} "
            f"There are {', '.join(programs)}."
        )
    return programs[name]


def _groups() -> list[str]:
    """The first words of commands whose names have two."""
    return [name.split()[0] for name in COMMANDS if " " in name]


def _overview() -> str:
    """What `tutelage --help` shows."""
    width = max(len(name) for name in RECIPES | COMMANDS) + 2
    return f"""usage: tutelage NAME [options]

Raises language models: a student learns by demonstrations, trials and rewards.

recipes:
{_listed(RECIPES, width)}

commands:
{_listed(COMMANDS, width)}

Options of one of them: tutelage NAME --help. Version: tutelage --version."""


def _overview_of(group: str) -> str:
    """What `tutelage data --help` shows."""
    members = {name: entry for name, entry in COMMANDS.items() if name.startswith(f"{group} ")}
    return f"""usage: tutelage {group} NAME [options]

commands:
{_listed(members, max(map(len, members)) + 2)}

Options of one of them: tutelage {next(iter(members))} --help."""


def _listed(registry: dict[str, Entry], width: int) -> str:
    return "\n".join(f"  {name:<{width}}{entry.summary}" for name, entry in registry.items())

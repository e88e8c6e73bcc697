"""Pages tell the truth: commands parse, links lead somewhere, logged keys are defined."""

import re
import shlex
from pathlib import Path

import pytest

from tutelage.cli import program
from tutelage.commands import COMMANDS
from tutelage.commands.arguments import parse
from tutelage.recipes import RECIPES

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
PROGRAMS = RECIPES | COMMANDS


def commands(page: Path) -> list[str]:
    """Every `tutelage …` line in a block of shell, and in the code of a table's cell."""
    text = page.read_text(encoding="utf-8")
    fences = re.findall(r"```(?:sh|console)\n(.*?)```", text, flags=re.S)
    lines = [line.removeprefix("$ ").strip() for fence in fences for line in fence.splitlines()]
    rows = [line for line in text.splitlines() if line.startswith("|")]
    cells = [code for row in rows for code in re.findall(r"`([^`]*)`", row)]
    return [line for line in [*lines, *cells] if line.startswith("tutelage ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_understood(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """X-1: options exist, and values have the right type and range."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "first").mkdir(parents=True)
    RECIPES["pretrain"].config_class()().save(tmp_path / "runs" / "first" / "config.yaml")
    for command in commands(page):
        name, argv = program(shlex.split(command, comments=True)[1:])
        assert name in PROGRAMS, command
        if "--help" in argv or "--resume" in argv:
            continue
        entry = PROGRAMS[name]
        is_recipe = name in RECIPES
        presets = entry.presets() if is_recipe else {}
        config = entry.config_class()
        config = config.choose(argv) if hasattr(config, "choose") else config
        parse(config, argv, prog=name, presets=presets, is_recipe=is_recipe)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Relative links and pictures exist."""
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target


def anchors(page: Path) -> set[str]:
    """Names that a page's headings can be linked by, as the usual renderers make them."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.M)
    plain = (re.sub(r"[^\w\- ]", "", head.lower()) for head in heads)
    return {name.replace(" ", "-") for name in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_sections_name_a_heading(page: Path) -> None:
    """The part of a link behind # is a heading of the page that it leads to."""
    for target, name in re.findall(r"\]\(([^)#]*)#([^)]*)\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            other = page.parent / target if target else page
            assert name in anchors(other), f"{target}#{name}"


def documented_keys() -> list[re.Pattern[str]]:
    """The keys of docs/metrics.md as patterns: `<lesson>/loss` matches any lesson."""
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    cells = re.findall(r"^\| (`.+?) \|", text, flags=re.M)
    keys = [key for cell in cells for key in re.findall(r"`([^`]+)`", cell)]
    return [re.compile(re.sub(r"<\w+>", r"[\\w.-]+", key)) for key in keys]


def undocumented(keys: set[str]) -> set[str]:
    """The keys that docs/metrics.md does not define."""
    patterns = documented_keys()
    return {key for key in keys if not any(pattern.fullmatch(key) for pattern in patterns)}


def test_an_undocumented_key_would_be_noticed() -> None:
    """The check can fail; a row can define several keys."""
    assert undocumented({"optim/lr", "demonstration/loss", "optim/beta"}) == {"optim/beta"}
    pair = {"interaction/trial_age", "interaction/demonstration_age"}
    assert undocumented({*pair, "interaction/age"}) == {"interaction/age"}


def test_no_page_or_module_names_a_machine() -> None:
    """No absolute path of whoever wrote it."""
    files = [*PAGES, *(ROOT / "src").rglob("*.py"), *(ROOT / "bench").glob("*.py")]
    for file in files:
        assert not re.search(r"(?<![\w.])/(work|home|root|opt)/", file.read_text("utf-8")), file

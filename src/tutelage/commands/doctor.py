"""`tutelage doctor`: whether this machine is sound, or a student with its reward."""

from __future__ import annotations

import json
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import tyro

from tutelage.commands.doctor_machine import Finding, examine_machine, is_broken
from tutelage.config import Config

if TYPE_CHECKING:
    from rich.console import Console

    from tutelage.commands.doctor_checks import Check

MARKS = {
    "good": ("✓", "green"),
    "absent": ("-", "yellow"),
    "notable": ("-", "yellow"),
    "broken": ("✗", "bold red"),
}


class Doctor(Config):
    """Say what this machine has and lacks, or examine a student and its reward."""

    config_or_checkpoint: tyro.conf.Positional[str | None] = None
    """A recipe's config.yaml, folder of a run (its configuration and newest checkpoint), folder of
    a checkpoint, or name on the hub; without one, the machine is examined."""
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False
    """Print one JSON object instead of lines for people."""

    def run(self) -> int:
        """Examine, print, and return the exit status."""
        if self.config_or_checkpoint is not None:
            return self.examine(self.config_or_checkpoint)
        findings = examine_machine()
        is_sound = not is_broken(findings)
        if self.as_json:
            _print_json({"ok": is_sound, "findings": [finding._asdict() for finding in findings]})
        else:
            _print_table(findings)
        return 0 if is_sound else 1

    def examine(self, target: str) -> int:
        """Put a student, and the reward of its recipe, to the test."""
        from rich.console import Console

        from tutelage.commands.doctor_examination import examine
        from tutelage.commands.doctor_subject import subject_of

        console = Console(highlight=False, quiet=self.as_json)
        began = perf_counter()
        checks: list[Check] = []
        with console.status("Loading"):
            subject = subject_of(target)
        console.print(subject.description, soft_wrap=True)
        with console.status("Sampling and scoring") as status:
            for check in examine(subject):
                checks.append(check)
                _print_check(console, check)
                status.update(f"{len(checks)} checks done")
        num_broken = sum(check.state == "broken" for check in checks)
        seconds = perf_counter() - began
        if self.as_json:
            rows = [check.row() for check in checks]
            report = {"ok": not num_broken, "subject": subject.description, "checks": rows}
            _print_json({**report, "seconds": round(seconds, 3)})
        passed = f"{num_broken} of {len(checks)} checks failed" if num_broken else "All checks pass"
        console.print(f"{passed} ({seconds:.1f} s).")
        return 1 if num_broken else 0


def _print_json(report: dict[str, object]) -> None:
    """One object."""
    print(json.dumps(report, ensure_ascii=False, indent=2))


def _print_check(console: Console, check: Check) -> None:
    """One line, and below it what has to be said in words."""
    from rich.padding import Padding
    from rich.text import Text

    console.print(Text.assemble(MARKS[check.state], f" {check.line()}"), soft_wrap=True)
    for words in check.words():
        console.print(Padding(Text(words), (0, 0, 0, 4), expand=False))


def _print_table(findings: list[Finding]) -> None:
    """A table, a blank line between two parts."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    part = findings[0].part
    for finding in findings:
        if finding.part != part:
            table.add_row()
            part = finding.part
        said = f"{finding.value}. To mend: {finding.remedy}" if finding.remedy else finding.value
        table.add_row(Text(*MARKS[finding.state]), Text(finding.name), Text(said))
    Console().print(table)

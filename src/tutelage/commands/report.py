"""`tutelage report RUN [RUN …] --out page.html`: one page about a run, several, or a group."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from tutelage.config import Config, UserError


class Report(Config):
    """Write one self-contained HTML page about one run, or about several overlaid."""

    runs: Annotated[
        list[Path], Positional, arg(metavar="RUN [RUN ...]", help_behavior_hint="(required)")
    ]
    """Run folders, as a recipe wrote them with --out; or one group of runs, whose arms are then
    compared anew."""
    out: Path
    """The page to write; it ends in .html, and an old page of that name is replaced."""
    words: tuple[str, ...] = ()
    """Words whose learning curves are drawn; without any, twelve that are spread over the ages of
    acquisition."""

    def run(self) -> None:
        """Read the runs, write the page, say where it is."""
        if not self.runs:
            raise UserError("No run is given. Name run folders: tutelage report RUN --out a.html.")
        from tutelage.reports.groups import group_in
        from tutelage.reports.html import refuse_out, write_report

        refuse_out(self.out)
        if group := group_in(self.runs):
            from rich.console import Console

            from tutelage.evals.groups import write_arms

            with Console(stderr=True).status(f"Comparing the arms of {group}"):
                write_arms(group)
        write_report(self.runs, self.out, self.words)
        print(f"Report: {self.out}")

"""Progress on the terminal: a bar for people, plain lines where output goes to a file."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from tutelage.train.loop import Progress as RunProgress

LINE_SECONDS = 10.0


class Display:
    """Shows loss, tokens per second and, if the end is known, the remaining time of a run."""

    def __init__(self, console: Console, *, steps: int | None, done: int, label: str):
        self.console = console
        self.label = label
        self.steps = steps
        self.started = time.monotonic()
        self.start_step = done
        self.last_line = self.started
        self.last_tokens: int | None = None
        self.last_time = self.started
        self.bar: Progress | None = None
        if console.is_terminal:
            ahead = () if steps is None else (TextColumn("eta"), TimeRemainingColumn())
            self.bar = Progress(
                TextColumn("[bold]{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[facts]}"),
                TimeElapsedColumn(),
                *ahead,
                console=console,
            )
            self.task = self.bar.add_task(label, total=steps, completed=done, facts="")

    def __enter__(self) -> Display:
        """Start the bar."""
        if self.bar:
            self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the bar away, whatever happened."""
        if self.bar:
            self.bar.stop()

    def after_step(self, progress: RunProgress) -> None:
        """Show the last step; on plain output, one line every ten seconds and at the end."""
        facts = self._facts(progress)
        if self.bar:
            self.bar.update(self.task, completed=progress.step, facts=facts)
            return
        now = time.monotonic()
        if now - self.last_line >= LINE_SECONDS or progress.step == self.steps:
            self.last_line = now
            self.say(self._line(progress.step, facts, seconds=now - self.started))

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _line(self, step: int, facts: str, *, seconds: float) -> str:
        if self.steps is None:
            return f"{self.label} {step}  {facts}"
        left = (self.steps - step) / ((step - self.start_step) / seconds)
        return f"{self.label} {step}/{self.steps}  {facts}  eta {duration(left)}"

    def _facts(self, progress: RunProgress) -> str:
        lesson = progress.metrics["lesson"]
        facts = f"loss {progress.metrics[f'{lesson}/loss']:.3f}"
        speed = progress.metrics.get("time/tokens_per_second")
        return facts + (f"  {speed:,.0f} tokens/s" if speed else "")


def duration(seconds: float) -> str:
    """Seconds as 0:07 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

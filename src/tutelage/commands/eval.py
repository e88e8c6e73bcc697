"""`tutelage eval`: one measure of a checkpoint, or of all milestones of a run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, Self

import tyro
from pydantic import PositiveInt, create_model

from tutelage.commands.checkpoints import Subject, content_hash, subjects
from tutelage.commands.generate import load
from tutelage.config import Config, UserError, nearest
from tutelage.evals import SUITES
from tutelage.evals.checkpoint_list import is_list, results_of
from tutelage.run_folder import RunFolder, append_line, read_lines, write_json

if TYPE_CHECKING:
    from rich.console import Console

    from tutelage.evals.scoring import Scorer


Suite = Literal[
    "perplexity",
    "minimal-pairs",
    "ewok",
    "comps",
    "entity-tracking",
    "wug",
    "surprisal",
    "acquisition",
    "reading",
    "token-reward",
    "similarity",
]


class Eval(Config):
    """Measure a checkpoint, or all milestones of a run; what is measured already is kept."""

    target: tyro.conf.Positional[str]
    """Folder of a run (all its milestones), folder of a checkpoint, or name on the hub; a .csv list
    of checkpoints (columns checkpoint, and step or words or both); for similarity, a run or a file
    of texts."""
    suite: Suite
    """What to measure; each suite has options of its own, shown by --suite NAME --help."""
    batch_tokens: PositiveInt = 2048
    """Tokens per forward pass, padding included; changes speed and memory, no number."""
    trust_remote_code: bool = False
    """Run Python code that comes with the checkpoint."""

    @classmethod
    def choose(cls, argv: Sequence[str]) -> type[Self]:
        """This command with the options of the suite that a command line names."""
        name = _typed_suite(argv)
        if name is None:
            return cls
        if name not in SUITES:
            raise UserError(
                f"--suite is {name}, but there is no such suite.{nearest(name, SUITES)} "
                f"There are {', '.join(SUITES)}."
            )
        suite = SUITES[name].config_class()
        return create_model("Eval", __base__=(cls, suite), __doc__=suite.__doc__)  # pyright: ignore

    def check_suite(self) -> None:
        """Refuse, before a model loads, what the suite can't read."""
        self.check()  # pyright: ignore[reportAttributeAccessIssue]: the suite's

    def run(self) -> int:
        """Measure what is not measured yet, store it, and print a table."""
        from rich.console import Console

        self.check_suite()
        console = Console(highlight=False, soft_wrap=True)
        if hasattr(self, "without_student"):
            console.print(table(self.suite, [self.measure_whole(console)]))
            return 0
        results = [self.measure(subject, console) for subject in subjects(self.target)]
        console.print(table(self.suite, results))
        for verdict in results[-1].get("verdicts", ()):
            console.print(verdict, markup=False)
        return 0

    def measure_whole(self, console: Console) -> dict[str, Any]:
        """The result of a suite that reads what a run has stored, or a file, and no student."""
        target = Path(self.target).expanduser()
        began = perf_counter()
        with console.status(f"{self.suite} of {target}"):
            found = self.without_student(target)  # pyright: ignore[reportAttributeAccessIssue]
        name, milestone = self.suite.replace("-", "_"), "all"
        if (target / "checkpoints").is_dir():
            results = RunFolder(target).evals
        elif is_list(target):
            results = results_of(target)
        else:
            results, milestone = Path("evals"), target.stem
        result = {
            "eval": name,
            "milestone": milestone,
            "step": found["steps"][-1],
            **found,
            "seconds": round(perf_counter() - began, 3),
            "options": self.model_dump(mode="json", exclude={"target"}),
        }
        path = results / name / f"{milestone}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, result)
        console.print(path)
        return result

    def measure(self, subject: Subject, console: Console) -> dict[str, Any]:
        """The result of one checkpoint: read if it is stored, else made part by part."""
        path = subject.results / self.suite.replace("-", "_") / f"{subject.milestone}.json"
        key = self.key(subject)
        if path.exists():
            stored = json.loads(path.read_text())
            if stored.get("key") == key:
                return stored
        began = perf_counter()
        parts = self.parts(subject, path.with_name(f".{path.stem}.parts.jsonl"), key, console)
        result = {
            "eval": path.parent.name,
            **subject.facts(),
            **self.combine(parts),  # pyright: ignore[reportAttributeAccessIssue]
            "seconds": round(perf_counter() - began, 3),
            "options": self.model_dump(mode="json", exclude={"target"}),
            "key": key,
        }
        write_json(path, result)
        path.with_name(f".{path.stem}.parts.jsonl").unlink(missing_ok=True)
        console.print(f"{subject.name}: {path}")
        return result

    def parts(
        self, subject: Subject, path: Path, key: str, console: Console
    ) -> dict[str, dict[str, Any]]:
        """The results of the suite's parts; those that an earlier process finished are read."""
        from rich.progress import track

        path.parent.mkdir(parents=True, exist_ok=True)
        done = {row["task"]: row["part"] for row in read_lines(path) if row["key"] == key}
        names: list[str] = self.tasks()  # pyright: ignore[reportAttributeAccessIssue]
        left = [name for name in names if name not in done]
        if left:
            scorer = self.scorer(subject)
            for name in track(left, f"{self.suite} of {subject.milestone}", console=console):
                done[name] = self.run_task(name, scorer)  # pyright: ignore
                append_line(path, {"task": name, "key": key, "part": done[name]})
        return {name: done[name] for name in names}

    def scorer(self, subject: Subject) -> Scorer:
        """The checkpoint, ready to score."""
        from tutelage.evals.scoring import Scorer
        from tutelage.models.student_module import Student

        model, tokenizer = load(subject.name, trust_remote_code=self.trust_remote_code)
        student = Student(model.float())
        return Scorer(student, tokenizer, device=model.device, batch_tokens=self.batch_tokens)

    def key(self, subject: Subject) -> str:
        """Hash of the checkpoint's weights and of everything that the suite's numbers depend on."""
        options = self.model_dump(mode="json", exclude={"target", "batch_tokens"})
        files = [value for _, value in self if isinstance(value, Path)]
        corpora = [value for _, value in self if hasattr(value, "fingerprint")]
        data = [*map(content_hash, files), *(corpus.fingerprint() for corpus in corpora)]
        content = [options, data, SUITES[self.suite].target, subject.fingerprint()]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def table(suite: str, results: Sequence[dict[str, Any]]) -> Any:
    """Measures as rows, checkpoints as columns: the first, the last, and some between."""
    from rich.table import Table

    shown = list(results)
    if len(shown) > MAX_COLUMNS:
        last = len(shown) - 1
        shown = [shown[round(i * last / (MAX_COLUMNS - 1))] for i in range(MAX_COLUMNS)]
    grid = Table(title=suite)
    grid.add_column("measure")
    for result in shown:
        grid.add_column(result["milestone"], justify="right")
    for measure in shown[-1]["measures"]:
        cells = (result["measures"].get(measure) for result in shown)
        grid.add_row(measure, *("–" if cell is None else f"{cell:.4g}" for cell in cells))
    return grid


MAX_COLUMNS = 6


def _typed_suite(argv: Sequence[str]) -> str | None:
    """The word after --suite."""
    for word, following in zip(argv, [*argv[1:], None], strict=True):
        name, equals, value = word.partition("=")
        if name == "--suite":
            return value if equals else following
    return None

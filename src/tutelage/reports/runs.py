"""Run folders as the reports read them: finished, interrupted or still being written."""

import difflib
import fcntl
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tutelage.config import UserError
from tutelage.reports.card_results import AgeCard, PairCard, card_of
from tutelage.reports.frequencies import Frequencies, read_frequencies
from tutelage.reports.json_lines import is_count, is_number, json_lines, unreadable
from tutelage.reports.rollouts import Samples, read_samples
from tutelage.reports.token_results import TokenResults, token_results
from tutelage.reports.word_results import WordAges, word_ages, word_surprisals


class Evaluation(NamedTuple):
    """One `evals/<eval>/<milestone>.json`: measures, and from how many trials each came."""

    eval: str
    milestone: str
    step: int
    measures: dict[str, float]
    counts: dict[str, int]
    words: dict[str, float]
    """Mean surprisal of each word, in bits, if this is a result of the suite surprisal."""
    ages: WordAges | None
    """Ages of acquisition, if this is a result of the suite acquisition."""
    card: PairCard | AgeCard | None
    """The card of a reward or age model, if this is one."""
    tokens: TokenResults | None
    """Rewards of tokens, if this is a result of the suite token-reward."""


class Run(NamedTuple):
    """All that a page shows of one run folder; parts not written yet are empty."""

    name: str
    path: Path
    config: dict[str, Any]
    environment: dict[str, Any]
    ledger: dict[str, float]
    metrics: list[dict[str, Any]]
    samples: Samples
    evaluations: list[Evaluation]
    is_running: bool
    frequencies: Frequencies | None = None
    """How often words occur, at the last milestone with surprisals of words."""

    @property
    def last_step(self) -> int:
        """The last step that anything was logged for, or 0."""
        return max((row["step"] for row in self.metrics), default=0)


def read_runs(paths: list[Path]) -> list[Run]:
    """The runs in the order given, each once, under names that tell them apart."""
    distinct: dict[Path, Path] = {}
    for path in paths:
        distinct.setdefault(path.resolve(), path)
    names = _distinct_names(list(distinct))
    return [read_run(path, name) for path, name in zip(distinct.values(), names, strict=True)]


def read_run(path: Path, name: str | None = None) -> Run:
    """One run folder. Only config.yaml must be there; the rest may still be to come."""
    _refuse_what_is_no_run(path)
    evaluations = _read_evaluations(path / "evals")
    last = [evaluation for evaluation in evaluations if evaluation.words][-1:]
    return Run(
        name=name or path.resolve().name,
        path=path,
        config=_read_config(path / "config.yaml"),
        environment=_read_json(path / "environment.json"),
        ledger=_read_json(path / "ledger.json"),
        metrics=[r for r in json_lines(path / "metrics.jsonl") if is_count(r.get("step"))],
        samples=read_samples(path / "samples.jsonl"),
        evaluations=evaluations,
        is_running=_is_locked(path / ".lock"),
        frequencies=read_frequencies(path / "frequencies", last[0].milestone, last[0].words)
        if last
        else None,
    )


def _refuse_what_is_no_run(path: Path) -> None:
    if (path / "config.yaml").is_file():
        return
    if not path.exists():
        siblings = [p.name for p in path.parent.glob("*") if (p / "config.yaml").is_file()]
        near = difflib.get_close_matches(path.name, siblings, n=1, cutoff=0.5)
        hint = f" Did you mean {path.parent / near[0]}?" if near else ""
        raise UserError(f"There is no run folder {path}.{hint}")
    if path.is_file():
        raise UserError(f"{path} is a file; give the folder that a recipe wrote with --out.")
    inside = sorted(str(p.parent) for p in path.glob("*/config.yaml"))
    if inside:
        hint = f"It holds runs: give {', '.join(inside[:3])}{' …' if inside[3:] else ''}."
    else:
        hint = "Give the folder that a recipe wrote with --out."
    raise UserError(f"{path} is not a run folder, as it has no config.yaml. {hint}")


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise unreadable(path, f"it is not YAML ({error})") from error
    if not isinstance(config, dict):
        raise unreadable(path, "it does not hold a mapping of fields")
    return config


def _read_json(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise unreadable(path, f"it is not JSON ({error})") from error
    if not isinstance(content, dict):
        raise unreadable(path, "it is not a JSON object")
    return content


def _read_evaluations(folder: Path) -> list[Evaluation]:
    """All evaluations, by eval and then by step; measures that are no numbers are left out."""
    found = []
    for path in folder.glob("*/*.json"):
        content = _read_json(path)
        measures = content.get("measures")
        if not is_count(content.get("step")) or not isinstance(measures, dict):
            raise unreadable(path, 'it lacks "step" (a count) or "measures" (an object)')
        bad_words = "its words are not as tutelage eval writes them"
        bad_card = "its card is not as tutelage reward writes it"
        bad_tokens = "its rewards of tokens are not as tutelage eval writes them"
        of = path.parent.name
        found.append(
            Evaluation(
                eval=of,
                milestone=str(content.get("milestone", path.stem)),
                step=content["step"],
                measures={k: float(v) for k, v in measures.items() if is_number(v)},
                counts={k: n for k, n in (content.get("counts") or {}).items() if is_count(n)},
                words=_understood(word_surprisals, content, path, bad_words),
                ages=_understood(word_ages, content, path, bad_words),
                card=_understood(lambda c, of=of: card_of(of, c), content, path, bad_card),
                tokens=_understood(token_results, content, path, bad_tokens)
                if of == "token_reward"
                else None,
            )
        )
    return sorted(found, key=lambda e: (e.eval, e.step, e.milestone))


def _understood(
    read: Callable[[dict[str, Any]], Any], content: dict[str, Any], path: Path, fault: str
) -> Any:
    """What a reader finds in a result, or one sentence on why it can't."""
    try:
        return read(content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        why = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise unreadable(path, f"{fault} ({why})") from error


def _is_locked(path: Path) -> bool:
    """Whether a process holds the lock that it holds while it writes to the run."""
    if not path.exists():
        return False
    with path.open() as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _distinct_names(paths: list[Path]) -> list[str]:
    """The shortest endings of the paths that differ: `a/run`, `b/run`."""
    names = []
    for path in paths:
        others = [other for other in paths if other != path]
        depth = 1
        while any(other.parts[-depth:] == path.parts[-depth:] for other in others):
            depth += 1
        names.append(Path(*path.parts[-depth:]).as_posix())
    return names

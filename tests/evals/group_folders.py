"""Writes group folders as `tutelage tnd` leaves them, with curves whose ages are known."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROUNDS = (0, *sorted({round(2 * 1.25**number) for number in range(31)}))  # 2 to 1,616
MIDDLES = {"ball": 1.2, "dog": 1.7, "under": 2.2}
LAST = ROUNDS[-1]


def write_group(path: Path, arms: Mapping[str, Mapping[int, Mapping[str, Any] | None]]) -> Path:
    """A group: of each arm and seed the options of `write_arm_run`; None for a run without folder.

    Curves of the arm are those of MIDDLES, `shift` log10 steps later.
    """
    rows = []
    for arm, seeds in arms.items():
        for seed, options in seeds.items():
            rows.append({"arm": arm, "seed": seed, "run": f"{arm}-seed{seed}"})
            if options is not None:
                write_arm_run(path / f"{arm}-seed{seed}", seed=seed, **options)
    path.mkdir(parents=True, exist_ok=True)
    (path / "group.json").write_text(json.dumps({"recipe": "tnd", "arms": rows}))
    return path


def write_arm_run(
    path: Path,
    *,
    shift: float = 0.0,
    seed: int = 0,
    words_a_round: int = 100,
    updates_a_round: int = 1,
    never: tuple[str, ...] = (),
    perplexity: float = 20.0,
    ended: int = LAST,
    planned: int | None = None,
    is_old: bool = False,
) -> None:
    """A run folder with surprisals at log-spaced milestones.

    Args:
        path: The folder.
        shift: How much later than MIDDLES words are acquired, in log10 steps.
        seed: As in the configuration.
        words_a_round: Words seen in each round.
        updates_a_round: Optimiser updates in each round.
        never: Words whose curves are flat.
        perplexity: At the last milestone.
        ended: The last round.
        planned: The round to which the run was to go; the last one if not given.
        is_old: Whether the run neither counts rounds nor what is seen but not read.
    """
    path.mkdir(parents=True)
    config = {"recipe": "tnd", "seed": seed, "out": str(path)}
    (path / "config.yaml").write_text(yaml.safe_dump(config))
    steps = (planned or ended) * updates_a_round
    (path / "environment.json").write_text(json.dumps({"sessions": [{"steps": steps}]}))
    for at in (number for number in ROUNDS if number <= ended):
        x = math.log10(max(at, 1))
        rows = [
            {"word": word, "surprisal": 9.0 if word in never else bits(x, middle + shift)}
            for word, middle in MIDDLES.items()
        ]
        mean = math.fsum(row["surprisal"] for row in rows) / len(rows)
        place = {"step": at * updates_a_round, "words": at * words_a_round // 2}
        if at and not is_old:
            place |= {"round": at, "seen_words": at * words_a_round}
        surprisals = {**place, "measures": {"surprisal": mean}, "word_surprisals": rows}
        write_result(path, "surprisal", f"round_{at}", surprisals)
        last = {**place, "measures": {"perplexity": perplexity + 100 * (ended - at) / LAST}}
        write_result(path, "perplexity", f"round_{at}", last)


def bits(x: float, middle: float) -> float:
    """A fall from 14 to 4 bits over log10 rounds."""
    return 14 - 10 / (1 + math.exp(-(x - middle) / 0.12))


def write_result(path: Path, name: str, milestone: str, result: dict[str, Any]) -> None:
    """evals/<name>/<milestone>.json."""
    target = path / "evals" / name / f"{milestone}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps({"eval": name, "milestone": milestone, **result}))


def write_scored_group(
    path: Path, arms: Mapping[str, Mapping[int, Mapping[str, Any] | None]], recipe: str = "irl"
) -> Path:
    """A group as `tutelage irl` leaves it: of each arm and seed the options of `write_scored_run`.

    None for a run without folder.
    """
    rows = []
    for arm, seeds in arms.items():
        for seed, options in seeds.items():
            name = f"{arm.replace(' ', '_')}-seed{seed}"
            rows.append({"arm": arm, "seed": seed, "run": name})
            if options is not None:
                write_scored_run(path / name, **options)
    path.mkdir(parents=True, exist_ok=True)
    (path / "group.json").write_text(json.dumps({"recipe": recipe, "arms": rows}))
    return path


def write_scored_run(
    path: Path,
    *,
    last_step: int = 1000,
    planned: int = 1000,
    loss: float = 2.0,
    **measures: float | None,
) -> None:
    """A run folder with the evals validation and responses at two milestones.

    Args:
        path: The folder.
        last_step: The last step.
        planned: The step to which the run was to go.
        loss: Of the last validation.
        measures: Of the last responses; those at the milestone before were all 0.
    """
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(yaml.safe_dump({"recipe": "irl", "out": str(path)}))
    (path / "environment.json").write_text(json.dumps({"sessions": [{"steps": planned}]}))
    for step, is_last in ((last_step // 2, False), (last_step, True)):
        now = measures if is_last else dict.fromkeys(measures, 0.0)
        found = {"validation": {"loss": loss if is_last else 9.0}, "responses": now}
        for name, own in found.items():
            result = {"step": step, "version": 1, "measures": own}
            write_result(path, name, f"step_{step}", result)

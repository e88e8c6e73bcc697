"""Arms of `tutelage irl --sweep`: weights of the penalty, and bonuses for entropy (IRL-2)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tutelage.config import UserError
from tutelage.recipes.imitation import Imitate
from tutelage.recipes.sft import Sft
from tutelage.recipes.sweep import Planned, compare, run_sweep

if TYPE_CHECKING:
    from tutelage.recipes.irl import Irl

PARETO = (
    *(f"lambda_{weight}" for weight in ("0", "0.01", "0.03", "0.1", "0.3", "1")),
    "entropy_0.1",
)
ARM = re.compile(r"(lambda|entropy)_(\d+(?:\.\d+)?)")


def arms_of(sweep: tuple[str, ...]) -> list[str]:
    """Names of the arms that a sweep asks for, each once."""
    names = [arm for name in sweep for arm in (PARETO if name == "pareto" else (name,))]
    for name in names:
        if not ARM.fullmatch(name):
            raise UserError(
                f"--sweep {name} is not known. Arms are lambda_WEIGHT and entropy_WEIGHT with a "
                "number, such as lambda_0.1; or pareto for the usual ones."
            )
    return list(dict.fromkeys(names))


def arm(base: Irl, name: str) -> Imitate:
    """The configuration of an arm; lambda_0 is maximum likelihood, unless all arms have a KL."""
    found = ARM.fullmatch(name)
    assert found is not None
    weight = float(found[2])
    if found[1] == "entropy":
        shared = {field: getattr(base, field) for field in Imitate.model_fields}
        return Sft(**shared, entropy_coef=weight)
    if not weight:
        only = base.online.model_copy(update={"fraction": 0.0})
        return base.model_copy(update={"lambda_td": 0.0, "online": only})
    return base.model_copy(update={"lambda_td": weight})


def planned(config: Irl) -> list[Planned]:
    """All runs of a sweep, a seed's arms after one another."""
    names = arms_of(config.sweep)
    if config.lambda_kl and any(name.startswith("entropy") for name in names):
        raise UserError(
            f"--lambda-kl {config.lambda_kl:g} is not for arms of entropy, which have no KL. Leave "
            "it out, or name arms of lambda only."
        )
    # Arms differ in nothing but what they are named after: a KL is in all of them or in none.
    base = config.model_copy(
        update={"sweep": (), "seeds": 1, "out": None, "lambda_kl": config.lambda_kl or 0.0}
    )
    return [
        Planned(name, seed, arm(base, name))
        for seed in range(config.seed, config.seed + config.seeds)
        for name in names
    ]


def run_arms(config: Irl, resume: Path | None) -> int:
    """Train every run that is not complete, then report on all; the exit status."""
    return run_sweep(config, resume, recipe="irl", runs=planned(config), conclude=compare)

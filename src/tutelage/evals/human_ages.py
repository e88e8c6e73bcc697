"""Ages at which people acquire words: children's vocabulary reports, and adults' ratings."""

import csv
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tutelage.config import UserError
from tutelage.data.readers import readable
from tutelage.data.word_lists import spellings


def read_ages(path: Path) -> dict[str, float]:
    """Age of acquisition of each word of a CSV file that has one.

    - Wordbank: `word` or `definition`, and columns named after months, such as 16 to 30, with the
      share of children who say the word; the age, in months, is that of `age_at_half`.
    - Ratings such as those of Kuperman et al. (2012): `word` and `age_of_acquisition`, in years.

    Words are spelled as in word sets: `chicken (animal)` is `chicken`, `inside/in` is two words. Of
    a word with several rows (`chicken` as food, too), the first one counts.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist. Give a CSV file with ages of acquisition.")
    ages: dict[str, float] = {}
    seen: set[str] = set()
    with (
        readable(path, UnicodeDecodeError, csv.Error),
        path.open(encoding="utf-8-sig", newline="") as stream,
    ):
        reader = csv.DictReader(stream, strict=True)
        columns = list(reader.fieldnames or ())
        months = [name for name in columns if name.isascii() and name.isdigit()]
        name = next((name for name in ("word", "definition") if name in columns), None)
        if name is None or not (months or "age_of_acquisition" in columns):
            raise UserError(
                f"{path} has no ages of acquisition. It needs a column word or definition, and "
                "age_of_acquisition or columns of months (16, 17, ...) with shares of children."
            )
        for row in reader:
            new = [word for word in spellings(row[name]) if word not in seen]
            seen.update(new)
            age = _age(row, months, f"{path}, line {reader.line_num}") if new else None
            if age is not None:
                ages |= dict.fromkeys(new, age)
    return ages


def age_at_half(months: Sequence[float], shares: Sequence[float]) -> float | None:
    """Month at which half of the children say a word, or None if that is outside of the months.

    It is where a sigmoid through the shares crosses 0.5. The family of curves and its bounds are
    those of the BabyLM pipeline of 2025: ends from -0.5 to 2.5, so that a word need not be said by
    none or by all, and a steepness of at most 1 a month.
    """
    import numpy as np
    from scipy.optimize import OptimizeWarning, curve_fit

    if len(months) < 4:
        return None

    def share(x: Any, rise: float, steepness: float, middle: float, bottom: float) -> Any:
        return rise / (1 + np.exp(-steepness * (x - middle))) + bottom

    bounds = ([0, 0, months[0], -0.5], [2, 1, months[-1], 0.5])
    start = [1, 0.1, float(np.mean(months)), 0]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OptimizeWarning)
            fit, _ = curve_fit(
                share, np.asarray(months), np.asarray(shares), start, bounds=bounds, maxfev=1000
            )
    except RuntimeError:
        return None
    rise, steepness, middle, bottom = (float(value) for value in fit)
    if steepness <= 0 or not bottom < 0.5 < bottom + rise:
        return None
    age = middle - float(np.log(rise / (0.5 - bottom) - 1)) / steepness
    return age if months[0] <= age <= months[-1] else None


def _age(row: dict[Any, Any], months: list[str], place: str) -> float | None:
    names = months or ["age_of_acquisition"]
    known = [name for name in names if (row[name] or "").strip() not in ("", "NA", "nan")]
    try:
        values = [float(row[name]) for name in known]
    except ValueError as error:
        raise UserError(
            f"{place} is no row of ages ({error}). Correct it, or take it out."
        ) from None
    if months:
        return age_at_half([float(name) for name in known], values)
    return values[0] if values else None

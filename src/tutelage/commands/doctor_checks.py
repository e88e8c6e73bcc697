"""One check of the doctor: what is claimed, what was measured, and what a failure means."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple


class Diagnosis(NamedTuple):
    """A failure in words."""

    meaning: str
    causes: str
    remedy: str


class Check(NamedTuple):
    """A claim, the number that decides it, and what there is to say of it."""

    key: str
    claim: str
    measure: str
    measured: float
    tolerance: float
    bound: Literal["most", "least"] = "most"
    state: Literal["good", "notable", "broken"] = "good"
    remark: str = ""
    """Something to know, though nothing is broken."""
    diagnosis: Diagnosis | None = None

    def line(self) -> str:
        """Claim, number and tolerance."""
        number, limit = f"{self.measured:.3g}", f"{self.tolerance:.3g}"
        return f"{self.claim}: {self.measure} {number} (at {self.bound} {limit})"

    def words(self) -> Iterator[str]:
        """What people should read below the line."""
        if self.diagnosis is not None:
            yield self.diagnosis.meaning
            yield f"Usual causes: {self.diagnosis.causes}"
            yield f"What to do: {self.diagnosis.remedy}"
        if self.remark:
            yield self.remark

    def row(self) -> dict[str, Any]:
        """For JSON, which has neither NaN nor infinity: null."""
        row = self._asdict()
        row["measured"] = self.measured if math.isfinite(self.measured) else None
        row["diagnosis"] = self.diagnosis and self.diagnosis._asdict()
        return {"check": row.pop("key"), **row}


def decided(check: Check, diagnosis: Diagnosis) -> Check:
    """The check, broken and with its diagnosis if the number is out of bounds; NaN always is."""
    if check.bound == "most":
        holds = check.measured <= check.tolerance
    else:
        holds = check.measured >= check.tolerance
    return check if holds else check._replace(state="broken", diagnosis=diagnosis)

"""When a learner imitates and when it tries: cycles of demonstrations and trials (TND-1)."""

from __future__ import annotations

from typing import Literal

from pydantic import NonNegativeInt, PositiveInt

from tutelage.config import Config, UserError

DEMONSTRATION, TRIAL = "demonstration", "trial"


class Cycle(Config):
    """Which kind of step comes when."""

    demonstrations_per_cycle: NonNegativeInt = 3
    """Steps of imitation in a cycle."""
    trials_per_cycle: NonNegativeInt = 1
    """Steps of interaction in a cycle; 0: imitation alone, the CLM baseline."""
    first: Literal["demonstrations", "trials"] = "demonstrations"
    """What a cycle begins with."""
    overlay: Literal["none", "demonstrations", "trials", "both"] = "none"
    """Steps of which kind also run the other kind, after their own."""

    def check(self) -> None:
        """Refuse a cycle without steps."""
        if self.demonstrations_per_cycle + self.trials_per_cycle == 0:
            raise UserError(
                "--curriculum has neither demonstrations nor trials in a cycle. Give "
                "--curriculum.demonstrations-per-cycle or --curriculum.trials-per-cycle."
            )

    def kinds(self, round: int) -> tuple[str, ...]:
        """What the step with this number, from 0, does."""
        size = self.demonstrations_per_cycle + self.trials_per_cycle
        place = round % size
        if self.first == "demonstrations":
            is_trial = place >= self.demonstrations_per_cycle
        else:
            is_trial = place < self.trials_per_cycle
        own, other = (TRIAL, DEMONSTRATION) if is_trial else (DEMONSTRATION, TRIAL)
        has_both = self.overlay in ("both", f"{own}s")
        return (own, other) if has_both else (own,)

    def step_of_trial(self, number: PositiveInt) -> int:
        """In which step, counted from 1, the trial with this number, from 0, takes place."""
        size = self.demonstrations_per_cycle + self.trials_per_cycle
        places = [place for place in range(size) if TRIAL in self.kinds(place)]
        cycle, index = divmod(number, len(places))
        return cycle * size + places[index] + 1

    def num_trials(self, steps: int) -> int:
        """How many of the first steps have a trial."""
        return sum(TRIAL in self.kinds(round) for round in range(steps))

    def num_demonstrations(self, steps: int) -> int:
        """How many of the first steps have a demonstration."""
        return sum(DEMONSTRATION in self.kinds(round) for round in range(steps))

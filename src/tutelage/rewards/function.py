"""Reward by a function of your own."""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import Field

from tutelage.config import Config, UserError, nearest
from tutelage.rewards.import_path import load_function, told
from tutelage.rewards.protocol import (
    TAKEN_NAMES,
    Reward,
    RewardError,
    Scores,
    blame,
    numbers,
    refuse_names,
)

if TYPE_CHECKING:
    import torch

REMEDY = "Mend the function, then go on with --resume."
GIVEN = ("prompts", "responses")
GRACE_SECONDS = 1.0  # for a thread to end that was told to


class Function(Config):
    """A Python function of yours, called with whole batches.

    It gets those of `prompts`, `responses` and the prompts' columns that it names, each as a list,
    and returns a number for each response, or a dictionary of such lists, whose sum is the score.
    """

    kind: Literal["function"] = "function"
    """A function of your own."""
    path: str
    """The function: my_reward.py:score, or package.module:score."""
    timeout_seconds: Annotated[float, Field(gt=0, le=1e6)] = 600.0
    """Most time that one call may take."""

    def check(self) -> None:
        """Refuse a function that can't be imported, or does not take what it will be given."""
        parameters(self.path)
        name = self.path.rpartition(":")[2]
        if name in TAKEN_NAMES:
            raise UserError(
                f"The function {self.path} needs another name: {' and '.join(TAKEN_NAMES)} are "
                "what the logs call the sum of all rewards and its standard deviation."
            )

    def columns(self) -> tuple[str, ...]:
        """Parameters without a default."""
        return parameters(self.path).needed

    def build(self, device: torch.device | None = None) -> Reward:
        """The function, with what it returns put to the test."""
        return _Caller(self.path, parameters(self.path), self.timeout_seconds)


class Parameters(NamedTuple):
    """What a function can be given."""

    names: frozenset[str]
    needed: tuple[str, ...]
    """Columns without a default."""
    takes_all: bool

    def choose(self, given: Mapping[str, Sequence[Any]], part: slice) -> dict[str, list[Any]]:
        """Those of the columns that the function takes, as lists that it may change."""
        taken = (name for name in given if self.takes_all or name in self.names)
        return {name: list(given[name][part]) for name in taken}


def parameters(path: str) -> Parameters:
    """What the function at a path takes; UserError if that can't be told or lacks `responses`."""
    function = load_function(path)
    try:
        arguments = signature(function)
    except (TypeError, ValueError):
        raise UserError(
            f"The function {path} does not say which parameters it has. "
            "Write a function of your own around it: def score(prompts, responses)."
        ) from None
    by_name = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    found = arguments.parameters.values()
    own = [one for one in found if one.kind in by_name]
    names = frozenset(one.name for one in own)
    takes_all = any(one.kind is Parameter.VAR_KEYWORD for one in found)
    if "responses" not in names and not takes_all:
        raise UserError(
            f"The function {path} takes {arguments}, but no responses."
            f"{nearest('responses', names)} Begin it with def score(prompts, responses)."
        )
    if unnamed := [p for p in found if p.kind is p.POSITIONAL_ONLY and p.default is p.empty]:
        raise UserError(
            f"The function {path} can't be given {unnamed[0].name} by name, as all arguments are. "
            "Take the / out of its parameters."
        )
    needed = [one.name for one in own if one.default is one.empty and one.name not in GIVEN]
    return Parameters(names, tuple(needed), takes_all)


class _Caller:
    """The function as a reward: it keeps nothing between calls."""

    def __init__(self, path: str, takes: Parameters, timeout_seconds: float) -> None:
        self.path = path
        self.name = path.rpartition(":")[2]
        self.function = load_function(path)
        self.file = getattr(sys.modules.get(self.function.__module__), "__file__", None)
        self.takes = takes
        self.timeout_seconds = timeout_seconds

    def __call__(
        self, prompts: Sequence[str], responses: Sequence[str], **columns: Sequence[Any]
    ) -> Scores:
        if absent := [name for name in self.takes.needed if name not in columns]:
            raise RewardError(
                f"The function {self.path} takes {absent[0]}, but the prompts have no such column."
                f"{nearest(absent[0], columns)} They have {', '.join(columns) or 'none'}."
            )
        if not responses:
            return Scores.of(self.name, [])
        returned = self._call({"prompts": prompts, "responses": responses, **columns})
        said = f"The function {self.path}"
        if not isinstance(returned, Mapping):
            scores = numbers(returned, prompts, responses, name=said)
            return Scores(scores, {self.name: scores})
        refuse_names(returned, name=said)
        if not returned:
            raise RewardError(f"{said} returned an empty dictionary. Return at least one term.")
        terms = {
            term: numbers(values, prompts, responses, name=f"{said} (term {term})")
            for term, values in returned.items()
        }
        total = numbers(sum(terms.values()), prompts, responses, name=f"{said} (sum of its terms)")
        return Scores(total, terms)

    def _call(self, given: Mapping[str, Sequence[Any]]) -> Any:
        """What the function returns for a batch; RewardError if it raises or takes too long."""
        prompts, responses = given["prompts"], given["responses"]
        batch = f"a batch of {len(responses)} samples"
        try:
            arguments = self.takes.choose(given, slice(None))
            return call_in_time(self.function, arguments, self.timeout_seconds)
        except OutOfTime:
            what = (
                f"The function {self.path} did not return within {self.timeout_seconds:g} seconds"
            )
            remedy = (
                "Mend the function, or raise timeout_seconds in the run's config.yaml; then go on "
                "with --resume."
            )
            if len(responses) == 1:
                raise blame(what, remedy, 0, prompts, responses) from None
            raise RewardError(f"{what} for {batch}. {remedy}") from None
        except (Exception, SystemExit) as error:
            what = f"The function {self.path} raised {told(error, self.file)}"
            index = self._culprit(given)
            if index is None:
                raise RewardError(f"{what} for {batch}. {REMEDY}") from error
            raise blame(what, REMEDY, index, prompts, responses) from error

    def _culprit(self, given: Mapping[str, Sequence[Any]]) -> int | None:
        """The first sample that alone makes the function raise, found by calling it again."""

        def search() -> int | None:
            for index in range(len(given["responses"])):
                try:
                    self.function(**self.takes.choose(given, slice(index, index + 1)))
                except (Exception, SystemExit):
                    return index
            return None

        try:
            return call_in_time(search, {}, self.timeout_seconds)
        except OutOfTime:
            return None


class OutOfTime(Exception):
    """A call took too long."""


def call_in_time(
    function: Callable[..., Any], given: Mapping[str, Any], timeout_seconds: float
) -> Any:
    """What a function returns or raises, without gradients; OutOfTime if it takes too long.

    It runs in a thread of its own, which is told to end when its time is up. One that waits for
    something outside Python does not hear that; it is left behind, and ends with the process.
    """
    import torch

    outcome: Future[Any] = Future()

    def work() -> None:
        try:
            with torch.no_grad():
                outcome.set_result(function(**given))
        except BaseException as error:
            outcome.set_exception(error)

    thread = threading.Thread(target=work, daemon=True, name="reward")
    thread.start()
    thread.join(timeout_seconds)
    if thread.is_alive():
        ident = ctypes.c_ulong(thread.ident or 0)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(SystemExit))
        thread.join(GRACE_SECONDS)
        raise OutOfTime
    return outcome.result()

"""What a student answers to held-out prompts, at each evaluation of `sft` and `irl`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tutelage.evals.responses import Response, Responses, measured
from tutelage.rollout.engine import Rollout, Sampling, sample

if TYPE_CHECKING:
    import torch

    from tutelage.data.completions import Answers, EncodedExample
    from tutelage.models.student import Student
    from tutelage.train.compute import Compute


class Asked:
    """Held-out prompts, the same at every evaluation, with the same random numbers.

    Args:
        options: How many, and how responses are sampled.
        examples: Held-out prompts with their references.
        tokenizer: The student's.
        answers: How right answers are told.
        seed: Of the samples.
        compute: Processes and devices; processes share the prompts.
    """

    def __init__(
        self,
        options: Responses,
        examples: Sequence[EncodedExample],
        *,
        tokenizer: Any,
        answers: Answers,
        seed: int,
        compute: Compute,
    ):
        self.options = options
        # Of a prompt with several demonstrations, the first: no prompt is asked twice.
        first: dict[tuple[int, ...], EncodedExample] = {}
        for each in examples:
            first.setdefault(tuple(each.prompt_ids), each)
        self.examples = list(first.values())[: options.prompts]
        self.tokenizer = tokenizer
        self.answers: Answers = answers
        self.seed = seed
        self.compute = compute
        self.last: list[dict[str, Any]] = []

    def measure(self, placed: torch.nn.Module, student: Student) -> dict[str, dict[str, Any]]:
        """The result, by the name of the evaluation; nothing without prompts."""
        if not self.examples:
            return {}
        options = self.options
        length = options.response_length
        sampled = Sampling(
            max_tokens=length,
            temperature=options.temperature,
            top_k=options.top_k,
            top_p=options.top_p,
        )
        with self.compute.gathered(placed):
            own = self.ask(student, Sampling(max_tokens=length, top_k=1), 1, is_greedy=True)
            own += self.ask(student, sampled, options.samples, is_greedy=False)
        own = self.compute.collect(own)
        every = sorted(own, key=lambda each: (each.number, not each.is_greedy))
        result = measured(every, self.answers)
        self.last = [
            {"kind": "sample", **each.row(self.answers)}
            for each in every
            if each.number < options.shown
        ]
        return {"responses": result}

    def ask(
        self, student: Student, sampling: Sampling, times: int, *, is_greedy: bool
    ) -> list[Response]:
        """This process's share of responses, so many to each prompt."""
        rank, processes = self.compute.rank, self.compute.num_processes
        numbers = [n for n in range(len(self.examples))[rank::processes] for _ in range(times)]
        if not numbers:
            return []
        rollout = sample(
            student,
            self.tokenizer,
            [self.examples[n].prompt_ids for n in numbers],
            sampling,
            seed=self.seed,
            row_numbers=[n * times + i % times for i, n in enumerate(numbers)],
        )
        return [self.response(rollout, row, n, is_greedy) for row, n in enumerate(numbers)]

    def response(self, rollout: Rollout, row: int, number: int, is_greedy: bool) -> Response:
        """One response of a rollout."""
        return Response(
            example=self.examples[number],
            number=number,
            text=rollout.responses[row],
            num_tokens=len(rollout.response_ids[row]),
            is_ended=rollout.finish[row] == "eos",
            is_greedy=is_greedy,
        )

    def shown(self) -> list[dict[str, Any]]:
        """Rows for samples.jsonl: responses of the last evaluation to the first prompts."""
        return self.last

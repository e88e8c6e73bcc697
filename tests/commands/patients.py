"""Students for the doctor: sound ones, and some that are broken in one way each."""

import torch

from models.students import gpt2, student_of, tokenizer_of
from tutelage.commands.doctor_subject import Subject
from tutelage.data.prompts import Prompt
from tutelage.models.student_module import Student
from tutelage.rollout.engine import Sampling, sample

PROMPT_IDS = [[1, 2, 3], [4], [5, 6, 7, 8, 9, 1, 2], [9, 9], [3, 1], [2]]


def sound(name="GPT2", **options) -> Student:
    """A student whose next-token distributions are far from uniform."""
    student = gpt2(**options) if options else student_of(name)
    with torch.no_grad():
        for weight in student.model.parameters():
            if weight.dim() > 1 and weight.std() < 0.1:
                weight.mul_(6.0)
    return student


class Blind(Student):
    """Ignores the positions that it is told."""

    def inputs(self, *args):
        inputs = super().inputs(*args)
        inputs.pop("position_ids", None)
        return inputs


class Unmasked(Student):
    """Ignores the attention mask."""

    def inputs(self, *args):
        inputs = super().inputs(*args)
        return inputs | {"attention_mask": torch.ones_like(inputs["input_ids"])}


class Sharp(Student):
    """Samples from other logits than it learns."""

    def logits(self, states):
        return super().logits(states) * 1.5


def hooked(hook, **options) -> Student:
    """A student whose last block's output is changed by a function."""
    student = sound(**options)

    def change(module, args, output):
        if isinstance(output, tuple):
            return (hook(output[0]), *output[1:])
        return hook(output)

    student.base.get_decoder().h[-1].register_forward_hook(change)
    return student


def noisy() -> Student:
    """Dropout that eval() does not switch off."""
    return hooked(lambda hidden: torch.nn.functional.dropout(hidden, 0.1, training=True))


def gregarious() -> Student:
    """Each row hears of the others in its batch."""
    return hooked(lambda hidden: hidden - 0.5 * hidden.mean(0, keepdim=True))


def subject(student, reward=None, prompt_ids=PROMPT_IDS, tokenizer=None, **sampling) -> Subject:
    prompts = [Prompt(f"prompt {n}", ids, {"n": n}) for n, ids in enumerate(prompt_ids)]
    options = Sampling(**{"max_tokens": 12, **sampling})
    tokenizer = tokenizer or tokenizer_of()
    return Subject("a patient", student, tokenizer, prompts, options, reward, 0)


def written(student, prompt_ids=PROMPT_IDS, **sampling):
    """A rollout of the student."""
    options = Sampling(**{"max_tokens": 12, **sampling})
    return sample(student, tokenizer_of(), prompt_ids, options, seed=0)

"""The doctor's checks: a sound student passes all of them, a broken one is found out."""

import pytest
import torch

from commands.patients import (
    PROMPT_IDS,
    Blind,
    Sharp,
    Unmasked,
    gregarious,
    hooked,
    noisy,
    sound,
    subject,
    written,
)
from models.students import VOCAB, tokenizer_of
from tutelage.commands import doctor_rollouts as rollouts
from tutelage.commands.doctor_checks import Check, Diagnosis, decided
from tutelage.commands.doctor_examination import examine
from tutelage.commands.doctor_student import whole
from tutelage.models.student_module import Student
from tutelage.objectives.scores import place_scores
from tutelage.rewards.length import Length
from tutelage.rewards.protocol import Scores
from tutelage.rollout.engine import Sampling

ALL = [
    "ends",
    "right_padding",
    "left_padding",
    "masked_gradients",
    "accumulation",
    "first_ratio",
    "kl_to_itself",
    "support",
    "surprise",
    "score_places",
    "ending",
    "reward_numbers",
    "reward_spread",
]


def found(student, **options) -> dict[str, Check]:
    """All checks of a student, by key."""
    return {check.key: check for check in examine(subject(student, **options))}


def broken(checks: dict[str, Check]) -> set[str]:
    return {key for key, check in checks.items() if check.state == "broken"}


def scores_of(student, rollout, temperature=1.0):
    with torch.no_grad():
        return whole(rollout, student).scores(student, temperature=temperature, entropy=True)


@pytest.mark.parametrize("name", ["GPT2", "Llama", "Gemma2", "OPT"])
def test_a_sound_student_passes_every_check(name):
    """X-8: learned positions, rotary ones, and logits that are more than a product."""
    reward = Length(target=8).build()
    checks = found(sound(name), reward=reward)
    assert list(checks) == ALL
    assert {check.state for check in checks.values()} == {"good"}
    assert checks["first_ratio"].measured <= 1e-5
    assert checks["kl_to_itself"].measured == 0
    assert checks["masked_gradients"].measured == 0


@pytest.mark.parametrize(
    "options", [{"lora": {"rank": 2}}, {"dropout": 0.5}], ids=["adapters", "dropout"]
)
def test_adapters_and_dropout_that_eval_switches_off_are_sound(options):
    """X-8: the reference of a student with new adapters is the model without them."""
    student = sound(**options).train()
    assert not broken(found(student))
    assert not student.base.get_input_embeddings()._forward_hooks


def test_an_adapter_that_has_learned_is_not_its_own_reference():
    """X-8: the reference of adapters is the model without them."""
    student = sound(lora={"rank": 2})
    for name, weight in student.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.5)
    assert broken(found(student)) == {"kl_to_itself"}


def test_rows_that_fill_the_context_are_read_too():
    """X-8: where there is no room for padding."""
    student = sound()
    prompt_ids = [[n] * 20 for n in range(1, 7)]
    assert "length" in written(student, prompt_ids).finish
    assert not broken(found(student, prompt_ids=prompt_ids))


@pytest.mark.parametrize("sampling", [{"temperature": 0.7}, {"top_k": 5, "support": "truncated"}])
def test_settings_of_sampling_are_those_of_learning(sampling):
    """X-8: temperature, and support that is truncated in both."""
    checks = found(sound(), **sampling)
    assert not broken(checks)
    assert checks["surprise"].state == "good"


def test_positions_that_are_ignored_show_in_left_padding_alone():
    """X-8: a student with learned positions that counts padding."""
    checks = found(Blind(sound().model).eval())
    assert broken(checks) == {"left_padding"}
    check = checks["left_padding"]
    assert check.measured > 1e-2
    assert check.diagnosis is not None
    assert "position_ids" in check.diagnosis.causes
    assert "✗" not in check.line()
    assert f"{check.measured:.3g} (at most" in check.line()


def test_a_mask_that_is_ignored_shows_in_padding_and_its_gradients():
    """X-8."""
    checks = found(Unmasked(sound("Llama").model).eval())
    assert broken(checks) == {"left_padding", "masked_gradients"}
    assert checks["masked_gradients"].measured > 1e-3


def test_dropout_left_on_shows_in_ratio_and_kl():
    """X-8: noise that eval() does not switch off."""
    checks = found(noisy())
    noisy_ones = {"first_ratio", "kl_to_itself", "accumulation", "left_padding", "right_padding"}
    assert broken(checks) == noisy_ones
    assert "dropout" in checks["first_ratio"].diagnosis.causes
    assert "dropout" in checks["kl_to_itself"].diagnosis.causes


def test_rows_that_hear_of_each_other_show_in_accumulation():
    """X-8: statistics over the batch."""
    checks = found(gregarious())
    assert {"accumulation", "right_padding", "left_padding"} <= broken(checks)
    assert "kl_to_itself" not in broken(checks)


def test_a_head_that_changed_since_sampling_shows_in_the_ratio():
    """X-8."""
    from tutelage.commands.doctor_student import first_ratio, kl_to_itself

    student = sound()
    rollout = written(student)
    with torch.no_grad():
        student.base.get_output_embeddings().weight.mul_(1.01)
    scores = scores_of(student, rollout)
    assert first_ratio(rollout, scores).state == "broken"
    assert kl_to_itself(student, rollout, scores, 1.0).state == "good"


def test_a_student_that_samples_from_other_logits_shows_in_the_ratio():
    """X-8."""
    assert "first_ratio" in broken(found(Sharp(sound().model).eval(), prompt_ids=PROMPT_IDS * 8))


@pytest.mark.parametrize(
    ("sampling", "side"),
    [({"temperature": 0.7}, " likelier"), ({"temperature": 1.5}, "less likely")],
)
def test_tokens_from_another_distribution_are_too_probable_or_too_rare(sampling, side):
    """X-8: drawn at a temperature that the log-probabilities know nothing of."""
    student = sound()
    with torch.no_grad():
        student.base.get_output_embeddings().weight.mul_(4.0)
    rollout = written(student, PROMPT_IDS * 16, **sampling)
    check = rollouts.surprise(rollout, scores_of(student, rollout))
    assert check.state == "broken"
    assert side in check.diagnosis.meaning
    honest = written(student, PROMPT_IDS * 16)
    assert rollouts.surprise(honest, scores_of(student, honest)).state == "good"


def test_a_student_without_doubt_is_not_suspicious():
    """X-8: neither surprise nor entropy."""
    student = sound()
    with torch.no_grad():
        student.base.get_output_embeddings().weight.mul_(1e4)
    rollout = written(student)
    check = rollouts.surprise(rollout, scores_of(student, rollout))
    assert (check.state, check.measured) == ("good", 0.0)


def test_truncated_sampling_is_named_and_mass_that_is_lost_silently_is_broken():
    """X-8."""
    student = sound()
    checks = found(student, top_p=0.8)
    assert "surprise" not in checks
    assert checks["support"].state == "notable"
    assert "--rollout.top-p 0.8" in checks["support"].remark
    assert 0 < checks["support"].measured < 0.2
    named = found(student, top_k=3, support="truncated")["support"]
    assert named.state == "notable"
    assert "--rollout.top-k 3" in named.remark
    assert "and so are the log-probabilities" in named.remark
    lossy = written(student, top_k=3)
    assert rollouts.support(lossy, Sampling()).state == "broken"
    assert rollouts.support(written(student), Sampling()).state == "good"


def test_scores_off_the_last_token_are_counted():
    """X-8."""
    rollout = written(sound(), PROMPT_IDS * 4)
    numbers = rollouts.stand_ins(rollout.responses)
    placed = place_scores(numbers, rollout.mask)
    assert rollouts.score_places(rollout, numbers, placed).measured == 0
    off = placed.clone()
    off[0] = off[0].roll(-1)
    off[3] *= 0.5
    check = rollouts.score_places(rollout, numbers, off)
    assert (check.state, check.measured) == ("broken", 2)


def test_a_mask_made_from_padding_tokens_loses_the_end_and_is_found_out():
    """X-8: with padding = end token; masks from lengths are not harmed by that."""
    tokenizer = tokenizer_of()
    tokenizer.pad_token = tokenizer.eos_token
    student = sound()
    checks = found(student, tokenizer=tokenizer)
    assert not broken(checks)
    assert "harmless" in checks["ends"].remark
    rollout = written(student, PROMPT_IDS * 4)
    num_ended = rollout.finish.count("eos")
    assert num_ended
    ends = torch.zeros_like(rollout.mask)
    for row, response in enumerate(rollout.response_ids):
        ends[row, : len(response)] = torch.tensor(response) == tokenizer.pad_token_id
    numbers = rollouts.stand_ins(rollout.responses)
    placed = place_scores(numbers, rollout.mask & ~ends)
    assert rollouts.score_places(rollout, numbers, placed).measured == num_ended


def test_end_tokens_that_contradict_each_other_are_named():
    """X-8."""
    student, tokenizer = sound(), tokenizer_of()
    assert rollouts.ends(student, tokenizer).state == "good"
    assert rollouts.ends(student, tokenizer).remark == ""
    student.base.generation_config.eos_token_id = 3
    check = rollouts.ends(student, tokenizer)
    assert check.state == "broken"
    assert f"ends texts with {VOCAB - 1} (<end>)" in check.diagnosis.meaning
    assert "ends responses with 3" in check.diagnosis.meaning
    student.base.generation_config.eos_token_id = [3, VOCAB - 1]
    assert rollouts.ends(student, tokenizer).state == "good"
    student.base.generation_config.eos_token_id = [VOCAB - 1, VOCAB]
    assert (
        f"no token with the number {VOCAB}" in rollouts.ends(student, tokenizer).diagnosis.meaning
    )
    student.base.generation_config.eos_token_id = None
    tokenizer.eos_token = None
    assert "neither" in rollouts.ends(student, tokenizer).diagnosis.meaning


def test_a_student_that_never_ends_is_worth_a_note():
    """X-8: not a fault, but each response will run to its limit."""
    student = sound()
    rollout = written(student, PROMPT_IDS * 4)
    check = rollouts.ending(student, tokenizer_of(), rollout)
    assert check.state == "good"
    assert check.remark == f"{rollout.finish.count('eos')} of 24 responses ended by it."
    logits = Student.logits

    class Endless(Student):
        def logits(self, states):
            return logits(self, states).index_fill(1, torch.tensor([VOCAB - 1]), -30.0)

    endless = Endless(student.model).eval()
    check = rollouts.ending(endless, tokenizer_of(), written(endless))
    assert check.state == "notable"
    assert check.measured < 1e-9
    assert found(student, max_tokens=3)["ending"].key == "ending"


def test_a_reward_that_fails_is_told_with_its_sample():
    """X-8."""

    def holed(prompts, responses, **columns):
        return Scores.of("holed", [float("nan") if n == 2 else n for n in columns["n"]])

    checks = found(sound(), reward=holed)
    assert broken(checks) == {"reward_numbers"}
    assert "reward_spread" not in checks
    assert "sample 3 of 6 (prompt 'prompt 2'" in checks["reward_numbers"].diagnosis.meaning

    def none(prompts, responses, **columns):
        return None

    check = found(sound(), reward=none)["reward_numbers"]
    assert (check.state, check.measured) == ("broken", 6)


def test_a_reward_that_cannot_tell_responses_apart_is_broken():
    """X-8."""

    def same(prompts, responses, **columns):
        return Scores.of("same", [0.5] * len(responses))

    checks = found(sound(), reward=same)
    assert broken(checks) == {"reward_spread"}
    assert checks["reward_spread"].measured == 0


def test_a_trunk_without_gradient_is_found_out():
    """X-8: 0 / 0 is no success."""
    for options in ({}, {"lora": {"rank": 2}}):
        checks = found(hooked(lambda hidden: hidden.detach(), **options))
        assert "masked_gradients" in broken(checks)
        assert checks["masked_gradients"].measured != checks["masked_gradients"].measured
        assert checks["masked_gradients"].row()["measured"] is None


def test_a_number_on_the_bound_holds_and_nan_does_not():
    """X-8."""
    why = Diagnosis("It is.", "this", "that.")
    most = Check("key", "Claim", "measure", 2.0, 2.0)
    assert decided(most, why) == most
    assert decided(most._replace(measured=2.1), why).diagnosis == why
    assert decided(most._replace(measured=float("nan")), why).state == "broken"
    least = most._replace(bound="least")
    assert decided(least, why) == least
    assert decided(least._replace(measured=1.9), why).state == "broken"
    assert decided(least._replace(measured=float("nan")), why).state == "broken"
    said = decided(most._replace(measured=3.0), why)
    assert list(said.words()) == ["It is.", "Usual causes: this", "What to do: that."]
    assert said.row()["diagnosis"] == {"meaning": "It is.", "causes": "this", "remedy": "that."}

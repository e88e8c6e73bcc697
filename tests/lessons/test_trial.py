"""A trial's rounds: what is sampled, scored and learned from, by definition and by invariance."""

from contextlib import nullcontext

import pytest
import torch

from lessons.trials import PROMPTS, VOCAB, gradients, student_of, trial
from tutelage.config import UserError
from tutelage.lessons.shaping import Kl, Shaping
from tutelage.lessons.updates import PpoUpdate, RlooUpdate
from tutelage.models.student import Lora
from tutelage.rewards.protocol import RewardError, Scores
from tutelage.rollout.engine import Sampling


@pytest.mark.parametrize("name", ["GPT2", "Llama", "GPTNeoX"])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("microbatch_tokens", [None, 20])
def test_the_first_ratio_is_one_and_the_first_kl_is_zero(name, temperature, microbatch_tokens):
    """PPO-3: old, new and reference log-probabilities agree before the first step."""
    lesson = trial(
        student_of(name),
        sampling=Sampling(max_tokens=8, temperature=temperature),
        microbatch_tokens=microbatch_tokens,
    )
    batch = next(lesson.round(lesson.student))
    sums, _ = gradients(lesson, batch)
    assert sums["ratio"] == pytest.approx(1, abs=1e-5)
    assert sums["policy_kl"] == pytest.approx(0, abs=1e-9)
    assert sums["clip_fraction"] == 0
    assert batch.metrics["trial/kl"] == pytest.approx(0, abs=1e-5)


def test_the_ratio_is_one_on_truncated_support():
    """PPO-3: with top-k and top-p, under the policy among the tokens that could be drawn."""
    sampling = Sampling(max_tokens=8, top_k=5, top_p=0.8, temperature=0.9, support="truncated")
    lesson = trial(sampling=sampling, update=PpoUpdate(entropy_coef=0.1))
    batch = next(lesson.round(lesson.student))
    sums, grads = gradients(lesson, batch)
    assert sums["ratio"] == pytest.approx(1, abs=1e-5)
    assert batch.metrics["trial/kl"] == pytest.approx(0, abs=1e-5)
    assert batch.metrics["rollout/kept_mass"] < 0.95
    assert all(grad.isfinite().all() for grad in grads)  # those of the entropy, too


def test_dropout_is_off_while_trying():
    """P3: in sampling and in updates, whatever the student's dropout is."""
    lesson = trial(student_of(dropout=0.5))
    lesson.student.train()
    batch = next(lesson.round(lesson.student))
    sums, _ = gradients(lesson, batch)
    assert sums["ratio"] == pytest.approx(1, abs=1e-5)
    assert batch.metrics["trial/kl"] == pytest.approx(0, abs=1e-5)


def test_low_precision_is_scored_again_before_it_is_learned_from():
    """PPO-3: in bf16 decoding and learning round at other places."""
    from tutelage.train.compute import ComputeConfig

    lesson = trial(machine=ComputeConfig(use_cpu=True, precision="bf16").build())
    batch = next(lesson.round(lesson.student))
    with lesson.machine.autocast():
        sums, _ = gradients(lesson, batch)
    assert sums["ratio"] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("update", [PpoUpdate(), RlooUpdate()], ids=["ppo", "rloo"])
@pytest.mark.parametrize("microbatch_tokens", [1, 15, 40])
def test_microbatches_change_nothing(update, microbatch_tokens):
    """PPO-3: losses, statistics and gradients of the whole batch."""
    update = update.model_copy(update={"epochs": 2, "entropy_coef": 0.1})
    options = {"update": update, "kl": Kl(place="loss", coef=0.3)}
    found = []
    for tokens in (None, microbatch_tokens):
        lesson = trial(**options, microbatch_tokens=tokens)
        rounds = lesson.round(lesson.student)
        next(rounds)
        with torch.no_grad():  # away from ratio 1, so that every term has a gradient
            for parameter in lesson.student.parameters():
                parameter.add_(0.02 * torch.ones_like(parameter).cumsum(-1).cos())
        batch = next(rounds)
        found.append((len(batch.microbatches), *gradients(lesson, batch)))
    (one, sums, grads), (several, other_sums, other_grads) = found
    assert one == 1 < several
    assert sums == pytest.approx(other_sums, rel=2e-4, abs=2e-6)
    for grad, other in zip(grads, other_grads, strict=True):
        torch.testing.assert_close(grad, other, rtol=1e-3, atol=2e-6)


def test_a_round_is_what_the_definition_says():
    """PPO-3: KL in the reward, score on the last token, GAE, whitening, clipped losses; P9–P19."""
    student, kl_coef = student_of(), 0.3
    reference = student_of()
    with torch.no_grad():
        for parameter in reference.model.parameters():
            parameter.mul_(1.1)
    update = PpoUpdate(epochs=1, gamma=0.9, lam=0.8, value_coef=0.5, entropy_coef=0.01)
    lesson = trial(
        student,
        update=update,
        kl=Kl(coef=kl_coef),
        reference=lambda: nullcontext(reference),
        shaping=Shaping(missing_end_penalty=1.5),
    )
    batch = next(lesson.round(student))
    rollout_rows = batch.samples
    loss, _ = gradients(lesson, batch)
    rows = batch.microbatches[0].rows
    advantages, values, returns = [], [], []
    total_kl, count = 0.0, 0
    for index in range(8):
        row = rows.token_ids[index]
        first = int(rows.keep[index].nonzero()[0])
        number = int(rows.keep[index].sum())
        logits = student.model(row[None]).logits[0, first : first + number]
        theirs = reference.model(row[None]).logits[0, first : first + number]
        targets = row[first + 1 : first + 1 + number]
        places = torch.arange(number)
        logprobs = logits.log_softmax(-1)[places, targets].detach()
        kl = logprobs - theirs.log_softmax(-1)[places, targets].detach()
        text = " ".join(f"w{t}" for t in targets.tolist() if t < VOCAB - 2)
        prompt = row[: first + 1].tolist()
        score = next(
            r["scores"]["total"] for r in rollout_rows
            if r["response"].strip() == text and r["prompt"].split() == [f"w{t}" for t in prompt]
        )  # fmt: skip
        score -= 0.0 if targets[-1] == VOCAB - 1 else 1.5
        rewards = -kl_coef * kl
        rewards[-1] += score
        hidden = student.base(row[None], output_hidden_states=True).hidden_states[-1][0]
        state_values = student.value_head(hidden[first : first + number]).squeeze(-1).detach()
        following = torch.cat([state_values[1:], torch.zeros(1)])
        deltas = rewards + 0.9 * following - state_values
        row_advantages = torch.stack(
            [sum((0.72**k) * deltas[t + k] for k in range(number - t)) for t in range(number)]
        )
        advantages.append(row_advantages)
        values.append(state_values)
        returns.append(row_advantages + state_values)
        total_kl, count = total_kl + float(kl.sum()), count + number
    everything = torch.cat(advantages)
    whitened = (everything - everything.mean()) / everything.std(unbiased=False)
    misjudged = 0.5 * (torch.cat(values) - torch.cat(returns)).square().mean()
    assert loss["policy_loss"] == pytest.approx(float(-whitened.mean()), abs=1e-5)
    assert loss["value_loss"] == pytest.approx(float(misjudged), rel=1e-4)
    expected = loss["policy_loss"] + 0.5 * loss["value_loss"] - 0.01 * loss["entropy"]
    assert loss["loss"] == pytest.approx(expected, rel=1e-5)
    assert batch.num_terms == count
    assert batch.metrics["trial/kl"] == pytest.approx(total_kl / count, rel=1e-4, abs=1e-6)
    assert batch.metrics["trial/kl_per_response"] == pytest.approx(total_kl / 8, rel=1e-4)
    sampled = {tuple(row.tolist()) for row in whitened.split([len(a) for a in advantages])}
    ours = batch.microbatches[0].tensors["advantages"]
    for row, mask in zip(ours, rows.mask, strict=True):
        assert any(
            len(known) == int(mask.sum())
            and torch.allclose(row[mask], torch.tensor(known), atol=1e-3)
            for known in sampled
        )


def test_every_response_is_learned_from_once_an_epoch():
    """P20: a new order each epoch, and the same orders in a round done again."""
    lesson = trial(update=PpoUpdate(epochs=3, minibatch_size=3))
    seen = [lesson.minibatches(epoch) for epoch in range(3)]
    for epoch in seen:
        assert sorted(index for rows in epoch for index in rows) == list(range(8))
        assert [len(rows) for rows in epoch] == [3, 3, 2]
    assert len({str(epoch) for epoch in seen}) == 3
    assert seen == [lesson.minibatches(epoch) for epoch in range(3)]
    assert lesson.steps_per_round == 9


def test_prompts_come_once_before_any_comes_again():
    """PPO-1: in a seeded order; with groups, each as often as its group."""
    lesson = trial(batch_size=4)
    texts = []
    for _ in range(2):
        texts += [prompt.token_ids for prompt in lesson.next_prompts()]
        lesson.rounds += 1
    assert sorted(texts) == sorted(PROMPTS)
    grouped = trial(batch_size=8, update=RlooUpdate(group_size=4))
    rows = [prompt.token_ids for prompt in grouped.next_prompts()]
    assert rows[0] == rows[3] != rows[4] == rows[7]


def test_leave_one_out_compares_responses_to_one_prompt():
    """PPO-3: advantage = own score less the mean of the others'."""
    lesson = trial(
        student_of(), update=RlooUpdate(group_size=4), reference=None, kl=Kl(reference="none")
    )
    batch = next(lesson.round(lesson.student))
    scores = torch.tensor([row["scores"]["total"] for row in batch.samples]).view(2, 4)
    expected = (scores - (scores.sum(1, keepdim=True) - scores) / 3).flatten()
    found = batch.microbatches[0].tensors["advantages"]
    torch.testing.assert_close(found.sort().values, expected.sort().values, rtol=0, atol=1e-5)
    sums, _ = gradients(lesson, batch)
    assert batch.num_terms == 8
    # At ratio 1 the loss is minus the mean advantage, which is 0 over each group.
    assert sums["policy_loss"] == pytest.approx(0, abs=1e-5)
    assert "value_loss" not in sums


def test_cut_responses_are_nothing_to_learn_from_if_masked():
    """P17."""
    lesson = trial(shaping=Shaping(truncation="mask"), sampling=Sampling(max_tokens=3))
    batch = next(lesson.round(lesson.student))
    cut = [row for row in batch.samples if row["finish"] == "length"]
    ended = [row["num_tokens"] for row in batch.samples if row["finish"] == "eos"]
    assert cut
    lesson = trial(
        shaping=Shaping(truncation="mask"),
        sampling=Sampling(max_tokens=3),
        update=PpoUpdate(epochs=1),
    )
    batch = next(lesson.round(lesson.student))
    assert batch.num_terms == max(sum(ended), 1)


def test_cut_responses_go_on_in_the_critics_eyes_if_bootstrapped():
    """P17: δ of the last token has V of the state after it, and no score."""
    student = student_of()
    update = PpoUpdate(epochs=1, whiten_advantages=False, lam=0.0)
    lesson = trial(
        student,
        update=update,
        shaping=Shaping(truncation="bootstrap"),
        sampling=Sampling(max_tokens=3),
        kl=Kl(reference="none"),
        reference=None,
    )
    batch = next(lesson.round(student))
    portion = batch.microbatches[0]
    for index in range(8):
        mask = portion.rows.mask[index]
        last = int(mask.sum()) - 1
        row = portion.rows.token_ids[index]
        end = int(portion.rows.keep[index].nonzero()[-1]) + 1
        is_ended = int(row[end]) == VOCAB - 1
        hidden = student.base(row[None, : end + 1], output_hidden_states=True).hidden_states[-1][0]
        before, after = (student.value_head(hidden[i]).item() for i in (end - 1, end))
        found = float(portion.tensors["advantages"][index, last])
        if not is_ended:
            assert found == pytest.approx(after - before, abs=1e-5)


def test_normalised_scores_have_the_moments_of_the_run():
    """PPO-3: over all rounds so far, this one among them."""
    lesson = trial(shaping=Shaping(normalise=True), kl=Kl(reference="none"), reference=None)
    totals = []
    for _ in range(3):
        batches = list(lesson.round(lesson.student))
        totals += [row["scores"]["total"] for row in batches[0].samples]
    count, first, second = lesson.appraiser.moments.tolist()
    assert count == 24
    assert first == pytest.approx(sum(totals), rel=1e-6)
    assert second == pytest.approx(sum(t * t for t in totals), rel=1e-6)


def test_the_weight_of_the_kl_follows_its_target():
    """P10: up while the KL is above it, down while below."""
    for target, is_up in ((1e-6, True), (100.0, False)):
        reference = student_of()
        with torch.no_grad():
            for parameter in reference.model.parameters():
                parameter.mul_(1.2)
        lesson = trial(
            kl=Kl(coef=0.1, target=target, horizon=80), reference=lambda r=reference: nullcontext(r)
        )
        list(lesson.round(lesson.student))
        # Error clipped to ±0.2, eight responses of a horizon of 80.
        assert lesson.appraiser.kl_coef == pytest.approx(0.1 * (1.02 if is_up else 0.98))


def test_adapters_are_off_in_the_reference():
    """PPO-3: the base model under LoRA's disabled adapters; none of it learns."""
    from tutelage.recipes.references import without_adapters

    student = student_of(lora=Lora(rank=2))
    lesson = trial(student, reference=lambda: without_adapters(student))
    batch = next(lesson.round(student))
    assert batch.metrics["trial/kl"] == pytest.approx(0, abs=1e-5)
    with torch.no_grad():
        for name, parameter in student.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.5)
    learning = [name for name, parameter in student.named_parameters() if parameter.requires_grad]
    lesson.rounds = 0
    batch = next(lesson.round(student))
    assert abs(batch.metrics["trial/kl"]) > 1e-3
    assert learning == [n for n, parameter in student.named_parameters() if parameter.requires_grad]


def test_everything_said_of_a_round_is_written_down():
    """PPO-4: each response with its terms and notes; words and tokens in and out."""
    lesson = trial()
    batch = next(lesson.round(lesson.student))
    assert len(batch.samples) == 8
    row = batch.samples[0]
    assert set(row) == {"kind", "prompt", "response", "finish", "num_tokens", "scores", "notes"}
    assert row["scores"]["total"] == pytest.approx(row["scores"]["hits"] + row["scores"]["length"])
    mean = sum(row["scores"]["total"] for row in batch.samples) / 8
    assert batch.metrics["reward/total"] == pytest.approx(mean, rel=1e-6)
    assert batch.exposure["prompt_tokens"] == sum(map(len, PROMPTS))
    assert batch.exposure["generated_tokens"] == sum(row["num_tokens"] for row in batch.samples)
    assert batch.exposure["generated_words"] == sum(
        len(row["response"].split()) for row in batch.samples
    )
    fractions = [
        batch.metrics[f"rollout/{f}_fraction"] for f in ("eos", "stop", "length", "context")
    ]
    assert sum(fractions) == pytest.approx(1)
    rest = list(lesson.round(lesson.student))[1:]
    assert all(not other.exposure and not other.samples and not other.metrics for other in rest)


def test_a_failing_reward_leaves_the_round_to_be_done_again():
    """PPO-3: nothing that the round depends on has changed."""

    def broken(prompts, responses, **columns):
        return Scores.of("broken", [float("nan")] * len(responses))

    lesson = trial(reward=broken)
    before = lesson.state_dict()
    with pytest.raises(RewardError, match="sample 1 of 8"):
        next(lesson.round(lesson.student))
    assert lesson.state_dict() == before


def test_state_goes_on_where_it_was():
    """X-3."""
    lesson = trial(shaping=Shaping(normalise=True), kl=Kl(target=1.0))
    list(lesson.round(lesson.student))
    again = trial(shaping=Shaping(normalise=True), kl=Kl(target=1.0))
    again.load_state_dict(lesson.state_dict())
    first, second = next(lesson.round(lesson.student)), next(again.round(again.student))
    assert first.samples == second.samples
    assert first.metrics["trial/kl_coef"] == second.metrics["trial/kl_coef"]
    for name, tensor in first.microbatches[0].tensors.items():
        assert torch.equal(tensor, second.microbatches[0].tensors[name])
    with pytest.raises(UserError, match="There were 9 prompts"):
        again.load_state_dict({**lesson.state_dict(), "num_prompts": 9})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"batch_size": 6, "update": RlooUpdate(group_size=4)},
            "does not divide among groups of 4",
        ),
        ({"update": PpoUpdate(minibatch_size=9)}, "minibatch-size 9 is more than --batch-size 8"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(options, said):
    """X-1."""
    with pytest.raises(UserError, match=said):
        trial(**options)

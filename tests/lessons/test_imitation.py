"""Imitation of completions: means over the tokens they are about, however padded (IRL-2)."""

from contextlib import nullcontext

import pytest
import torch

from models.students import VOCAB, gpt2, tokenizer_of
from tutelage.config import UserError
from tutelage.data.completions import EncodedExample, Example
from tutelage.lessons.completions import Columns, Row, rows_of
from tutelage.lessons.imitation import Imitation, Terms, measure
from tutelage.lessons.own_texts import OwnTexts
from tutelage.rollout.engine import Sampling
from tutelage.train.compute import ComputeConfig

MACHINE = ComputeConfig(precision="fp32", use_cpu=True).build()
END = VOCAB - 1
TEXTS = [
    Row([3, 4, 5, 6, 7, END], 2, True, 2, 0),
    Row([8, 9, END], 1, True, 1, 0),
    Row([1, 2, 3, 4, 5, 6, 7, 8], 4, False, 4, 0),
    Row([5, 5, 6, END], 3, True, 3, 0),
    Row([7, 2, 9], 1, False, 1, 0),
]
IRL = Terms(lambda_td=0.4, gamma=0.9, shows_values=True)


def lesson(terms: Terms = IRL, rows=TEXTS, **options) -> Imitation:
    settings = {"batch_size": len(rows), "microbatch_tokens": None, "seed": 0, "machine": MACHINE}
    return Imitation(rows, terms=terms, **{**settings, **options})


def step(of: Imitation, student) -> tuple[float, list[torch.Tensor], dict[str, float]]:
    """The loss of the next step, as the loop makes it, its gradients and logged means."""
    (batch,) = list(of.round(student))
    student.zero_grad()
    total, sums = 0.0, {}
    for portion in batch.microbatches:
        loss, logged = of.loss(student, portion)
        (loss / batch.num_terms).backward()
        total += float(loss.detach()) / batch.num_terms
        for name, value in logged.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach()) / batch.num_terms
    return total, [p.grad.clone() for p in student.parameters()], sums


def naive(student, rows, terms: Terms, *, weight_nll: float = 1.0) -> torch.Tensor:
    """The loss of rows read one by one, from full logits."""
    nll, penalties = [], []
    for row in rows:
        logits = student.model(torch.tensor([row.token_ids])).logits[0].double()
        for t in range(row.start, len(row.token_ids)):
            state, token = logits[t - 1], row.token_ids[t]
            nll.append(-state.log_softmax(-1)[token])
            is_last = t == len(row.token_ids) - 1
            if is_last and not row.is_ended and not terms.bootstrap:
                continue
            after = 0.0 if is_last and row.is_ended else logits[t].logsumexp(-1)
            after = (
                after.detach() if terms.detach_next and isinstance(after, torch.Tensor) else after
            )
            penalties.append((state[token] - terms.gamma * after) ** 2)
    return weight_nll * torch.stack(nll).mean() + terms.lambda_td * torch.stack(penalties).mean()


@pytest.mark.parametrize(
    "terms",
    [Terms(), IRL, IRL._replace(bootstrap=True), IRL._replace(detach_next=True)],
    ids=["likelihood", "drop", "bootstrap", "target"],
)
def test_the_loss_and_its_gradients_are_those_of_rows_read_alone(terms: Terms) -> None:
    """Q1 to Q6: raw logits, ends by row, cut texts, prompts left out, means over what counts."""
    student = gpt2()
    found, grads, _ = step(lesson(terms), student)
    student.zero_grad()
    expected = naive(student, TEXTS, terms)
    expected.backward()
    assert found == pytest.approx(float(expected.detach()), abs=1e-5)
    for ours, parameter in zip(grads, student.parameters(), strict=True):
        torch.testing.assert_close(ours, parameter.grad, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("tokens", [None, 1, 8, 17])
def test_portions_of_any_size_make_the_same_step(tokens: int | None) -> None:
    """The portions decide how much padding each row has, and with what other rows it is read."""
    student = gpt2()
    one = step(lesson(microbatch_tokens=None), student)
    other = step(lesson(microbatch_tokens=tokens), student)
    assert other[0] == pytest.approx(one[0], abs=1e-5)
    for a, b in zip(one[1], other[1], strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)
    assert other[2] == pytest.approx(one[2], abs=1e-4)


def test_padding_on_the_left_gives_the_same_scores_as_on_the_right() -> None:
    student = gpt2()
    columns = Columns.of(TEXTS, bootstrap=False, device=torch.device("cpu"))
    right = student(columns.token_ids, keep=columns.states)
    for index, row in enumerate(TEXTS):
        width = columns.token_ids.shape[1]
        padding = width - len(row.token_ids)
        left = torch.tensor([[0] * padding + row.token_ids])
        mask = torch.arange(width)[None] >= padding
        scores = student(left, mask=mask)
        place = slice(padding + row.start - 1, width - 1)
        learned = columns.learned[index]
        for one, other in zip(scores[:2], right[:2], strict=True):
            torch.testing.assert_close(one[0, place], other[index][learned], atol=1e-5, rtol=1e-5)


def test_with_no_weights_the_values_are_shown_and_the_loss_is_the_likelihood() -> None:
    student = gpt2()
    plain = step(lesson(Terms()), student)
    shown = step(lesson(Terms(shows_values=True)), student)
    assert plain[0] == shown[0] == pytest.approx(shown[2]["nll"])
    assert all(one.equal(other) for one, other in zip(plain[1], shown[1], strict=True))
    assert set(plain[2]) == {"nll"}
    assert set(shown[2]) == {"nll", "reward", "td_penalty", "soft_value", "q_value"}
    assert shown[2]["q_value"] == pytest.approx(shown[2]["soft_value"] - shown[2]["nll"], abs=1e-5)


def test_first_steps_count_the_likelihood_only() -> None:
    student = gpt2()
    late = lesson(mle_steps=2)
    plain = step(lesson(Terms()), student)[0]
    first, second, third = (step(late, student)[0] for _ in range(3))
    assert first == pytest.approx(plain) == second
    assert third == pytest.approx(float(naive(student, TEXTS, IRL).detach()), abs=1e-5)


def test_a_bonus_for_entropy_is_the_entropy_of_states_in_which_tokens_were_chosen() -> None:
    student = gpt2()
    found, _, sums = step(lesson(Terms(entropy_coef=0.25)), student)
    entropies = []
    for row in TEXTS:
        logits = student.model(torch.tensor([row.token_ids])).logits[0]
        states = logits[row.start - 1 : len(row.token_ids) - 1]
        entropies += torch.distributions.Categorical(logits=states).entropy().tolist()
    mean = sum(entropies) / len(entropies)
    assert sums["entropy"] == pytest.approx(mean, abs=1e-5)
    assert found == pytest.approx(sums["nll"] - 0.25 * mean, abs=1e-5)


def moved(student):
    """The same with other weights."""
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=rng))
    return student


@pytest.mark.parametrize("sampled", [False, True])
def test_the_kl_to_oneself_is_nothing_and_to_another_it_counts(sampled: bool) -> None:
    """Q9; the sampled estimator is never below 0, and its expectation is tested with the head."""
    student, other = gpt2(), moved(gpt2())
    terms = Terms(lambda_kl=0.5, sampled_kl=sampled)
    own = step(lesson(terms, reference=lambda: nullcontext(gpt2())), student)
    assert own[2]["kl"] == pytest.approx(0, abs=1e-5)
    found, _, sums = step(lesson(terms, reference=lambda: nullcontext(other)), student)
    assert found == pytest.approx(sums["nll"] + 0.5 * sums["kl"], abs=1e-5)
    if sampled:
        assert sums["kl"] > 0
        return
    kls = []
    for row in TEXTS:
        ids, states = torch.tensor([row.token_ids]), slice(row.start - 1, len(row.token_ids) - 1)
        p, q = (m.model(ids).logits[0][states].log_softmax(-1) for m in (student, other))
        kls += (p.exp() * (p - q)).sum(-1).tolist()
    assert sums["kl"] == pytest.approx(sum(kls) / len(kls), abs=1e-4)


@pytest.mark.parametrize("tokens", [1, 8, 17])
def test_drawn_tokens_do_not_depend_on_portions(tokens: int) -> None:
    student, other = gpt2(), moved(gpt2())
    terms = Terms(lambda_kl=0.5, sampled_kl=True)

    def reference():
        return nullcontext(other)

    one = step(lesson(terms, reference=reference), student)
    apart = step(lesson(terms, reference=reference, microbatch_tokens=tokens), student)
    assert one[2]["kl"] > 0
    assert apart[2] == pytest.approx(one[2], abs=1e-4)


def own_texts(student, fraction: float) -> OwnTexts:
    return OwnTexts(
        student,
        tokenizer_of(),
        fraction=fraction,
        sampling=Sampling(max_tokens=6),
        microbatch_tokens=None,
        seed=5,
        machine=MACHINE,
    )


def test_own_texts_make_up_their_part_of_the_penalty_and_none_of_the_likelihood() -> None:
    """Q10: (1 − α) E[r²] over demonstrations + α E[r²] over samples."""
    student, fraction = gpt2(), 0.4
    of = lesson(own=own_texts(student, fraction))
    (batch,) = list(of.round(student))
    order = [TEXTS[index] for index in of.order.indices(0, len(TEXTS))]
    own = [row for portion in batch.microbatches if portion.is_own for row in portion.rows]
    assert len(own) == round(fraction * len(TEXTS))
    prompts = [row.token_ids[: row.start] for row in order[: len(own)]]
    assert sorted(row.token_ids[: row.start] for row in own) == sorted(prompts)
    assert batch.exposure["generated_tokens"] == sum(row.num_learned for row in own)
    of.steps = 0
    found, grads, sums = step(of, student)
    assert {"own_reward", "own_td_penalty"} <= set(sums)
    student.zero_grad()
    nll = naive(student, TEXTS, IRL._replace(lambda_td=0.0))
    demonstrated = naive(student, TEXTS, IRL, weight_nll=0.0)
    expected = (
        nll + (1 - fraction) * demonstrated + fraction * naive(student, own, IRL, weight_nll=0.0)
    )
    expected.backward()
    assert found == pytest.approx(float(expected.detach()), abs=1e-5)
    for ours, parameter in zip(grads, student.parameters(), strict=True):
        torch.testing.assert_close(ours, parameter.grad, atol=2e-5, rtol=1e-4)


def test_the_same_step_has_the_same_own_texts_and_another_step_others() -> None:
    student = gpt2()
    own = own_texts(student, 0.9)
    one, again, other = (own.write(student, TEXTS, s, bootstrap=False) for s in (3, 3, 4))
    assert one.portions == again.portions != other.portions
    assert student.training is False


def test_held_out_rows_are_measured_as_the_loss_measures_them() -> None:
    student = gpt2()
    found = measure(student, TEXTS, terms=IRL, microbatch_tokens=8, machine=MACHINE)["measures"]
    sums = step(lesson(IRL._replace(shows_entropy=True)), student)[2]
    assert found["loss"] == pytest.approx(sums["nll"], abs=1e-5)
    for name in ("reward", "td_penalty", "soft_value", "q_value", "entropy"):
        assert found[name] == pytest.approx(sums[name], abs=1e-4)
    assert measure(student, [], terms=IRL, microbatch_tokens=None, machine=MACHINE) == {}


def test_a_run_goes_on_with_its_own_rows_only() -> None:
    of = lesson()
    list(of.round(gpt2()))
    other = lesson()
    other.load_state_dict(of.state_dict())
    assert other.steps == 1
    with pytest.raises(UserError, match=r"The data .* changed since this run began"):
        lesson(rows=TEXTS[:-1]).load_state_dict(of.state_dict())


def test_prompts_are_left_out_unless_they_are_to_be_learned() -> None:
    example = EncodedExample(Example("a b", " c d", None, "line 1"), [1, 2, 3], [4, 5, END], False)
    (row,) = rows_of([example], tokenizer_of(), completion_only=True)
    assert row == Row([1, 2, 3, 4, 5, END], 3, True, 3, 4)
    (row,) = rows_of([example], tokenizer_of(), completion_only=False)
    assert (row.start, row.num_prompt) == (1, 3)


def test_words_that_were_cut_off_are_not_read() -> None:
    """X-7: of ` w4 w5 w6` two tokens are left."""
    example = EncodedExample(Example("w1 ", "w4 w5 w6", None, "line 1"), [1], [4, 5], True)
    (row,) = rows_of([example], tokenizer_of(), completion_only=True)
    assert row.num_words == 3


def test_a_text_as_long_as_the_context_may_be_cut_and_bootstrapped() -> None:
    """Q3: the state after its last token is read, though nothing could follow."""
    student = gpt2()
    assert student.context == 32
    long = [Row([n % 30 for n in range(32)], 3, False, 3, 0), *TEXTS]
    terms = IRL._replace(bootstrap=True)
    found, _, _ = step(lesson(terms, rows=long), student)
    assert found == pytest.approx(float(naive(student, long, terms).detach()), abs=1e-5)


def test_a_step_without_any_reward_shows_none() -> None:
    cut = [Row([1, 2, 3], 2, False, 2, 0), Row([4, 5], 1, False, 1, 0)]
    _, _, sums = step(lesson(rows=cut), gpt2())
    assert set(sums) == {"nll"}


def test_own_texts_answer_prompts_where_these_are_learned_too() -> None:
    rows = [row._replace(start=1) for row in TEXTS]
    written = own_texts(gpt2(), 0.9).write(gpt2(), rows, 0, bootstrap=False)
    own = [row for some in written.portions for row in some]
    asked = sorted(row.token_ids[: row.num_prompt] for row in rows[: len(own)])
    assert sorted(row.token_ids[: row.start] for row in own) == asked

import hypothesis.strategies as st
import numpy
import pytest
import torch
from hypothesis import given

from tutelage.rewards.protocol import RewardError, Scores, checked, numbers

PROMPTS = ["One day", "Once", "Then"]
RESPONSES = [" a cat", "", " she ran\nhome"]


def whole(scores, **terms):
    values = {name: torch.tensor(term) for name, term in terms.items()}
    return Scores(torch.tensor(scores), values)


def test_whole_scores_pass_unchanged():
    """PPO-2."""
    scores = whole([0.5, -1.0, 3.0], length=[1.0, 2.0, 3.0])
    found = checked(scores, PROMPTS, RESPONSES)
    torch.testing.assert_close(found.scores, scores.scores, rtol=0, atol=0)
    torch.testing.assert_close(found.terms["length"], scores.terms["length"], rtol=0, atol=0)
    assert found.notes is None


@given(st.lists(st.floats(-1e6, 1e6, width=32)))
def test_any_form_of_the_same_numbers_is_the_same(values):
    """PPO-2."""
    texts = [""] * len(values)
    forms = [values, tuple(values), numpy.array(values), torch.tensor(values, requires_grad=True)]
    forms.append([torch.tensor(value) for value in values])
    forms.append(list(numpy.array(values, dtype=numpy.float32)))
    for form in forms:
        found = numbers(form, texts, texts, name="it")
        assert found.dtype == torch.float32
        assert not found.requires_grad
        assert found.tolist() == values


def test_truth_values_are_numbers():
    """PPO-2."""
    values = [True, numpy.bool_(False), torch.tensor(True)]
    assert numbers(values, PROMPTS, RESPONSES, name="it").tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("values", "begin"),
    [
        (
            [1.0, float("nan"), 2.0],
            "It returned nan for sample 2 of 3 (prompt 'Once', response '')",
        ),
        ([1, 2, float("inf")], "It returned inf for sample 3 of 3 (prompt 'Then', response ' she"),
        (torch.tensor([-torch.inf, 0, 0]), "It returned -inf for sample 1 of 3"),
        ([0, 1e39, 0], "It returned 1e+39 for sample 2 of 3"),
        ([0, 0, -1000001.0], "It returned -1000001.0 for sample 3 of 3"),
        ([10**400, 0, 0], "It returned 10000"),
        (["good", 1, 1], "It returned 'good' (str) instead of a number for sample 1 of 3"),
        ([1, None, 1], "It returned None instead of a number for sample 2 of 3"),
        ([[1.0], [2.0], [3.0]], "It returned '[1.0]' (list) instead of a number for sample 1"),
        ([1j, 1, 1], "It returned '1j' (complex) instead of a number for sample 1"),
        ([1.0, 2.0], "It returned only 2 numbers: there is none for sample 3 of 3"),
        ([], "It returned only 0 numbers: there is none for sample 1 of 3"),
        ([1.0] * 4, "It returned 4 numbers for 3 samples."),
        (None, "It returned None for 3 samples."),
        (0.5, "It returned '0.5' (float) for 3 samples."),
        (torch.tensor(0.5), "It returned '0.5' (float) for 3 samples."),
        ("abc", "It returned 'abc' (str) for 3 samples."),
    ],
)
def test_what_is_no_number_for_each_sample_is_refused(values, begin):
    """PPO-2: with the sample that caused it."""
    with pytest.raises(RewardError) as caught:
        numbers(values, PROMPTS, RESPONSES, name="It")
    assert str(caught.value).startswith(begin)
    assert "one" in str(caught.value).rpartition("Return ")[2]


def test_the_error_knows_its_sample():
    """PPO-2."""
    with pytest.raises(RewardError) as caught:
        checked(whole([0.0, 1.0, float("nan")]), PROMPTS, RESPONSES)
    error = caught.value
    assert (error.index, error.prompt, error.response) == (2, "Then", " she ran\nhome")


def test_long_texts_are_shown_by_their_beginnings():
    """PPO-2: one clear sentence."""
    with pytest.raises(RewardError, match=r"'a{60}'…, response 'b{60}'\)\.") as caught:
        numbers([None], ["a" * 5000], ["b" * 60], name="It")
    assert caught.value.prompt == "a" * 5000


def test_a_term_is_tested_like_the_scores():
    """PPO-2."""
    scores = whole([0.0] * 3, length=[0.0, float("nan"), 0.0])
    with pytest.raises(RewardError, match=r"Mine \(term length\) returned nan for sample 2 of 3"):
        checked(scores, PROMPTS, RESPONSES, name="Mine")


@pytest.mark.parametrize("name", ["", "a b", "reward/x", "total", "std", 3])
def test_a_term_needs_a_name_for_the_logs(name):
    """PPO-2."""
    scores = torch.zeros(3)
    with pytest.raises(RewardError, match="can't be a key in the logs"):
        checked(Scores(scores, {name: scores}), PROMPTS, RESPONSES)


def test_notes_are_one_for_each_sample():
    """PPO-2."""
    scores = whole([0.0] * 3)._replace(notes=["a", "b"])
    with pytest.raises(RewardError, match="2 notes for 3 samples"):
        checked(scores, PROMPTS, RESPONSES)


def test_anything_but_scores_is_refused():
    """PPO-2."""
    with pytest.raises(RewardError, match=r"returned '\[1, 2, 3\]' \(list\), but it must"):
        checked([1, 2, 3], PROMPTS, RESPONSES)  # pyright: ignore


def test_an_empty_batch_has_no_scores():
    """PPO-2."""
    assert checked(Scores.of("length", []), [], []).scores.shape == (0,)

"""Attention inside bfloat16 autocast on a CPU: two products for short texts, else in float32."""

import pytest
import torch
from torch.nn import functional as F

from models.students import student_of, tokens
from tutelage.models import attention
from tutelage.models.attention import attend, autocast_attention

SEEN = torch.ones(5, 5, dtype=torch.bool).tril()
MASKS = {"added": torch.where(SEEN, 0.0, -1e9)[None, None], "boolean": SEEN[None, None]}


@pytest.fixture
def all_are_long(monkeypatch):
    monkeypatch.setattr(attention, "_SHORT", 0)


def bfloat16() -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16)


def layer(*, is_causal=True, groups=1) -> torch.nn.Module:
    module = torch.nn.Module()
    module.is_causal = is_causal  # pyright: ignore[reportArgumentType]
    module.num_key_value_groups = groups  # pyright: ignore[reportArgumentType]
    return module


@pytest.mark.parametrize("kind", ["added", "boolean", "none"])
def test_for_long_texts_only_the_result_is_rounded(kind, all_are_long):
    """X-3: scores, probabilities and sums are those of float32."""
    query, key, value = torch.randn(3, 2, 4, 5, 8, generator=torch.manual_seed(0)).bfloat16()
    with bfloat16():
        found, _ = attend(layer(), query, key, value, MASKS.get(kind))
    wanted = F.scaled_dot_product_attention(
        query.float(), key.float(), value.float(), attn_mask=SEEN
    )
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, wanted.bfloat16().transpose(1, 2))


@pytest.mark.parametrize("kind", ["added", "boolean", "none", "all seen"])
@pytest.mark.parametrize("scaling", [None, 0.7])
def test_short_texts_have_the_fused_attention_and_its_gradients(kind, scaling, monkeypatch):
    """X-3: in float32 to 1e-6; of four heads, two share a key."""
    query = torch.randn(2, 4, 5, 8, generator=torch.manual_seed(0), requires_grad=True)
    key, value = torch.randn(2, 2, 2, 5, 8, generator=torch.manual_seed(1), requires_grad=True)
    module = layer(is_causal=kind != "all seen", groups=2)
    found = []
    for most in (256, 0):
        monkeypatch.setattr(attention, "_SHORT", most)
        with bfloat16():
            told, _ = attend(module, query, key, value, MASKS.get(kind), scaling=scaling)
        grads = torch.autograd.grad(told.square().sum(), (query, key, value))
        found.append((told, *grads))
    for short, fused in zip(*found, strict=True):
        torch.testing.assert_close(short, fused, atol=2e-6, rtol=1e-5)


def test_for_short_texts_scores_and_probabilities_are_rounded():
    """X-3: the result has the type of the values, and is no further off than rounding makes it."""
    query, key, value = torch.randn(3, 2, 4, 5, 8, generator=torch.manual_seed(0)).bfloat16()
    with bfloat16():
        found, _ = attend(layer(), query.float(), key.float(), value, None)
    wanted = F.scaled_dot_product_attention(
        query.float(), key.float(), value.float(), attn_mask=SEEN
    )
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), wanted.transpose(1, 2), atol=2e-2, rtol=2e-2)


def test_a_place_that_sees_nothing_is_no_nan():
    """X-3: padding on the left; nobody reads such a place, but its gradient would spread."""
    query, key, value = torch.randn(3, 1, 2, 5, 8, generator=torch.manual_seed(0))
    seen = SEEN.clone()
    seen[:2] = False
    found, _ = attend(layer(), query, key, value, seen[None, None])
    assert found.isfinite().all()


@pytest.mark.parametrize(
    "options",
    [{"dropout": 0.5}, {"position_bias": torch.ones(1, 4, 5, 5)}],
    ids=["dropout", "position_bias"],
)
def test_what_two_products_lack_is_left_to_the_fused_attention(options, monkeypatch):
    """X-3: dropout, and a bias that is learned."""
    query, key, value = torch.randn(3, 2, 4, 5, 8, generator=torch.manual_seed(0))
    found = []
    for most in (256, 0):
        monkeypatch.setattr(attention, "_SHORT", most)
        torch.manual_seed(2)
        found.append(attend(layer(), query, key, value, None, **options)[0])
    assert torch.equal(*found)


@pytest.mark.parametrize("name", ["GPT2", "Llama"])
def test_students_attend_so_under_autocast_only(name, monkeypatch):
    """X-3: short texts without the fused attention, others with it in float32; and all models have
    the attention they had, afterwards.
    """
    student, kinds = student_of(name), []
    fused = F.scaled_dot_product_attention

    def noted(query, *args, **options):
        kinds.append((query.dtype, torch.is_autocast_enabled("cpu")))
        return fused(query, *args, **options)

    monkeypatch.setattr(F, "scaled_dot_product_attention", noted)
    with bfloat16():
        student(tokens(2, 5))
    assert not kinds
    monkeypatch.setattr(attention, "_SHORT", 4)
    with bfloat16():
        student(tokens(2, 5))
    assert set(kinds) == {(torch.float32, False)}
    assert student.base.config._attn_implementation == "sdpa"
    with autocast_attention(student.base):
        assert student.base.config._attn_implementation == "sdpa"


def test_a_failure_leaves_the_attention_as_it_was():
    """X-3."""
    model = student_of("GPT2").base
    with pytest.raises(KeyError), bfloat16(), autocast_attention(model):
        raise KeyError
    assert model.config._attn_implementation == "sdpa"

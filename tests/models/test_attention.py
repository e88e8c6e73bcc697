"""Attention in float32 inside bfloat16 autocast."""

import pytest
import torch
from torch.nn import functional as F

from models.students import student_of, tokens
from tutelage.models.attention import attend_in_float32, float32_attention


def bfloat16() -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16)


@pytest.mark.parametrize("kind", ["added", "boolean", "none"])
def test_only_the_result_is_rounded(kind):
    """X-3: scores, probabilities and sums are those of float32."""
    query, key, value = torch.randn(3, 2, 4, 5, 8, generator=torch.manual_seed(0)).bfloat16()
    seen = torch.ones(5, 5, dtype=torch.bool).tril()
    masks = {"added": torch.where(seen, 0.0, -1e9).bfloat16(), "boolean": seen, "none": None}
    layer = torch.nn.Module()
    layer.is_causal = True  # pyright: ignore[reportArgumentType]
    with bfloat16():
        found, _ = attend_in_float32(layer, query, key, value, masks[kind])
    wanted = F.scaled_dot_product_attention(
        query.float(), key.float(), value.float(), attn_mask=seen
    )
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, wanted.bfloat16().transpose(1, 2))


@pytest.mark.parametrize("name", ["GPT2", "Llama"])
def test_students_attend_in_float32_under_autocast_only(name, monkeypatch):
    """X-3: and all models have the attention they had, afterwards."""
    student, kinds = student_of(name), []
    fused = F.scaled_dot_product_attention

    def noted(query, *args, **options):
        kinds.append((query.dtype, torch.is_autocast_enabled("cpu")))
        return fused(query, *args, **options)

    monkeypatch.setattr(F, "scaled_dot_product_attention", noted)
    with bfloat16():
        student(tokens(2, 5))
    assert set(kinds) == {(torch.float32, False)}
    assert student.base.config._attn_implementation == "sdpa"
    with float32_attention(student.base):
        assert student.base.config._attn_implementation == "sdpa"


def test_a_failure_leaves_the_attention_as_it_was():
    """X-3."""
    model = student_of("GPT2").base
    with pytest.raises(KeyError), bfloat16(), float32_attention(model):
        raise KeyError
    assert model.config._attn_implementation == "sdpa"

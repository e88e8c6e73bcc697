"""Fast layers, and packed copies of their weights."""

import copy

import pytest
import torch
from torch import nn
from transformers.activations import NewGELUActivation
from transformers.pytorch_utils import Conv1D

from models.students import OTHERS, gpt2, student_of
from tutelage.models.fast_layers import (
    FastConv1D,
    FastGelu,
    FastLinear,
    packed_weights,
    speed_up,
)
from tutelage.products import has_onednn

TOKENS = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8]])


def plain(student):
    """The same model with its plain layers."""
    model = copy.deepcopy(student.model)
    for module in model.modules():
        if isinstance(module, FastLinear):
            module.__class__ = nn.Linear
        elif isinstance(module, FastConv1D):
            module.__class__ = Conv1D
    return model


@pytest.mark.parametrize("name", ["GPT2", *OTHERS])
def test_fast_layers_compute_what_plain_ones_do(name):
    """X-5: outputs and gradients, for layers of every kind of model."""
    student = student_of(name)
    fast = [part for part in student.modules() if isinstance(part, (FastLinear, FastConv1D))]
    assert len(fast) > 4
    found, expected = student.model, plain(student)
    for model in (found, expected):
        model.zero_grad()
        model(TOKENS).logits.square().sum().backward()
    torch.testing.assert_close(found(TOKENS).logits, expected(TOKENS).logits, rtol=1e-5, atol=1e-6)
    for own, other in zip(found.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(own.grad, other.grad, rtol=1e-4, atol=1e-5)


def test_a_copy_of_a_fast_model_has_weights_of_its_own():
    """A frozen reference is such a copy."""
    student = gpt2()
    other = copy.deepcopy(student)
    with torch.no_grad():
        other.model.transformer.h[0].mlp.c_fc.weight.add_(1)
    assert not torch.equal(other(TOKENS).logprobs, student(TOKENS).logprobs)
    assert torch.equal(gpt2()(TOKENS).logprobs, student(TOKENS).logprobs)


def test_other_layers_are_left_alone():
    """A subclass may compute something else."""

    class Doubled(nn.Linear):
        def forward(self, input):
            return 2 * super().forward(input)

    model = nn.Sequential(Doubled(2, 2), nn.Linear(2, 2))
    speed_up(model)
    assert [type(part) for part in model] == [Doubled, FastLinear]


@pytest.mark.parametrize("name", ["GPT2", *OTHERS])
@pytest.mark.parametrize("precision", ["float32", "autocast", "bfloat16"])
def test_packed_weights_change_nothing(name, precision):
    """PPO-3: in float32, in bfloat16 by autocast, and for weights of bfloat16."""
    student = student_of(name)
    if precision == "bfloat16":
        student = student.to(torch.bfloat16)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "autocast"):
        expected = student.model(TOKENS).logits
        with packed_weights(student):
            found = student.model(TOKENS).logits
        assert found.dtype == expected.dtype
        tolerance = 1e-6 if precision == "float32" else 2e-2
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def test_adapters_take_part_with_packed_weights():
    """X-6: a LoRA layer's own weights are packed like the others."""
    student = gpt2(lora={"rank": 2})
    for name, parameter in student.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.5)
    with torch.no_grad():
        expected = student(TOKENS).logprobs
        with packed_weights(student):
            torch.testing.assert_close(student(TOKENS).logprobs, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(not has_onednn(torch.float32), reason="a PyTorch without oneDNN")
def test_afterwards_the_weights_themselves_count_again():
    """Also when something goes wrong inside."""
    student = gpt2()
    layer = student.model.transformer.h[0].mlp.c_fc
    inputs = torch.ones(1, 8)
    with torch.no_grad():
        before = layer(inputs)

        def fail():
            with packed_weights(student):
                layer.weight.add_(1)
                torch.testing.assert_close(layer(inputs), before)
                raise KeyError

        with pytest.raises(KeyError):
            fail()
        assert not torch.allclose(layer(inputs), before)
    assert "forward" not in vars(layer)


def test_gradients_are_refused():
    """They would not reach the weights."""
    with pytest.raises(AssertionError), packed_weights(gpt2()):
        pass


def test_gpt2s_activation_is_its_own_in_one_operation():
    """X-5: values and gradients of a model from elsewhere."""
    found = nn.Sequential(NewGELUActivation())
    speed_up(found)
    assert type(found[0]) is FastGelu
    inputs = torch.linspace(-6, 6, 101, dtype=torch.float64, requires_grad=True)
    told = [part(inputs) for part in (found, NewGELUActivation())]
    torch.testing.assert_close(*told)
    torch.testing.assert_close(*(torch.autograd.grad(part.sum(), inputs)[0] for part in told))

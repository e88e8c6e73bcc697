"""Adam and AdamW, and the learning rate that falls by the same factor every step."""

import pytest
import torch
from pydantic import ValidationError

from tutelage.train.optim import Optim, exponential


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (0, 0.0),  # warm-up: 0 / 2
        (1, 0.5),
        (2, 1.0),
        (3, 0.1),  # steps 2 to 6 fall by 1e-4 in 4 steps, so by 0.1 each
        (4, 0.01),
        (6, 0.0001),
        (9, 0.0001),  # beyond the last
    ],
)
def test_the_factor_falls_geometrically_to_its_end(step: int, expected: float) -> None:
    """RM-5."""
    assert exponential(1e-4, 2, 7)(step) == pytest.approx(expected)


@pytest.mark.parametrize("total", [1, 2, 10])
def test_the_first_update_has_the_first_rate_and_the_last_the_final_one(total: int) -> None:
    """RM-5: lr · (final/lr)^(step/(total − 1))."""
    settings = Optim(lr=1e-2, final_lr=1e-3, schedule="exponential", warmup_steps=0)
    optimizer, scheduler = settings.build(torch.nn.Linear(2, 1), total_steps=total)
    rates = []
    for _ in range(total):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([1e-2 * 0.1 ** (n / max(total - 1, 1)) for n in range(total)])


def test_a_constant_rate_has_its_warm_up() -> None:
    """X-1: by hand."""
    settings = Optim(lr=1e-2, schedule="constant", warmup_steps=4)
    optimizer, scheduler = settings.build(torch.nn.Linear(2, 1), total_steps=6)
    rates = []
    for _ in range(6):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([0, 0.0025, 0.005, 0.0075, 0.01, 0.01])


@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_each_kind_decays_weights_its_own_way(kind: str) -> None:
    """RM-5: a first step by hand; biases have no decay."""
    module = torch.nn.Linear(1, 1)
    module.weight.data.fill_(2.0)
    module.bias.data.fill_(2.0)
    settings = Optim.model_validate(
        {
            "algorithm": kind,
            "lr": 0.1,
            "schedule": "constant",
            "warmup_steps": 0,
            "weight_decay": 0.5,
        }
    )
    optimizer, _ = settings.build(module, total_steps=1)
    for parameter in module.parameters():
        parameter.grad = torch.full_like(parameter, -0.5)
    optimizer.step()
    # Adam's first step is lr · sign(gradient). Adam adds 0.5 · 2 to the gradient −0.5, which turns
    # its sign; AdamW takes lr · 0.5 · 2 = 0.1 off the weight, and adds 0.1 for the gradient.
    assert module.weight.item() == pytest.approx(1.9 if kind == "adam" else 2.0)
    assert module.bias.item() == pytest.approx(2.1)


@pytest.mark.parametrize(
    "given", [{"final_lr": 1e-4}, {"schedule": "exponential"}, {"final_lr": 0.0}]
)
def test_a_final_rate_goes_with_the_exponential_schedule(given: dict) -> None:
    """X-1."""
    with pytest.raises(ValidationError):
        Optim.model_validate(given)

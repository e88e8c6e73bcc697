"""What a run shows of itself where output goes to a file."""

import io

import pytest
from rich.console import Console

from tutelage.train import display
from tutelage.train.display import Display
from tutelage.train.loop import Progress


@pytest.mark.parametrize(
    ("steps", "said"),
    [(8, "ppo 4/8  loss 0.500  eta 0:"), (None, "ppo 4  loss 0.500\n")],
    ids=["known", "endless"],
)
def test_a_line_has_the_remaining_time_where_the_end_is_known(
    steps: int | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RM-7."""
    monkeypatch.setattr(display, "LINE_SECONDS", 0.0)
    output = io.StringIO()
    shown = Display(Console(file=output), steps=steps, done=0, label="ppo")
    progress = Progress(step=4, metrics={"lesson": "trial", "trial/loss": 0.5})
    with shown:
        shown.after_step(progress)
    assert output.getvalue().startswith(said)

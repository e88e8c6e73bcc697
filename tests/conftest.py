"""Fixtures for every test, and the surroundings in which tests run."""

import os
from pathlib import Path

import hypothesis
import pytest
import torch

# Tests are small, and workers and the processes that tests start share the cores: threads that
# wait for cores cost more than they bring. A plugin may have imported torch by now, so the variable
# alone would come too late.
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)
# Nothing may reach for the network.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

# A shared machine may be slow at any moment; that is no finding.
hypothesis.settings.register_profile("tutelage", deadline=None)
hypothesis.settings.load_profile("tutelage")


@pytest.fixture
def shared_data() -> Path:
    """The folder of real samples, beside the project; a test that asks for it is `realdata`."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the shared sample data is not here")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that asks for the shared data, so that `-m "not realdata"` is complete."""
    for item in items:
        if "shared_data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.realdata)

"""Freed memory is kept."""

import platform
import subprocess
import sys

import pytest

COUNT = """
import resource, torch
from tutelage.memory import keep_freed_memory
{call}
def step():
    torch.ones(40 * 2**18)
for _ in range(12):  # glibc finds room for the alignment of a tensor after some of them
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_tensors_use_the_memory_of_freed_ones_again():
    """Pages that the system has cleared for a step are there for the next."""
    faults = []
    for call in ("keep_freed_memory()", ""):
        command = [sys.executable, "-c", COUNT.format(call=call)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        faults.append(int(done.stdout))
    kept, given_back = faults
    assert kept < given_back / 20

"""Freed memory is kept."""

import os
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
    """Pages the system has cleared are there for the next step, unless told otherwise."""
    given_back = page_faults("")
    assert page_faults("keep_freed_memory()") < given_back / 20
    told = {"MALLOC_TRIM_THRESHOLD_": "0"}
    assert page_faults("keep_freed_memory()", told) > given_back / 2


def page_faults(call, variables=()):
    command = [sys.executable, "-c", COUNT.format(call=call)]
    environment = {**os.environ, **dict(variables)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return int(done.stdout)

"""The `tutelage` program as a process among others."""

import subprocess
import sys


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    """X-1: `tutelage irl --help | head -1` says nothing more."""
    command = f"{sys.executable} -m tutelage irl --help | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.stdout == "usage: tutelage irl [-h] [OPTIONS]\n"
    assert done.stderr == ""

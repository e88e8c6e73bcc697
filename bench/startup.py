"""How long `tutelage … --help` takes, each command in a process of its own.

Prints one JSON line. The peer is the time that importing torch alone takes in the same run.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

from tutelage.commands import COMMANDS
from tutelage.recipes import RECIPES

GOAL_SECONDS = 0.5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5, help="repetitions of each command")
    pairs = parser.parse_args().pairs
    torch = [seconds("-c", "import torch") for _ in range(pairs)]
    helps = {
        name or "tutelage": statistics.median(
            seconds("-m", "tutelage", *name.split(), "--help") for _ in range(pairs)
        )
        for name in ["", *RECIPES, *COMMANDS]
    }
    slowest = max(helps, key=lambda name: helps[name])
    peer = statistics.median(torch)
    result = {
        "bench": "startup",
        "ratio": round(peer / helps[slowest], 2),
        "goal": {"ours": GOAL_SECONDS},
        "ours": round(helps[slowest], 3),
        "peer": round(peer, 3),
        "unit": "seconds",
        "pairs": pairs,
        "breakdown": {
            "slowest": slowest,
            "peer_is": "python -c 'import torch'",
            **{name: round(value, 3) for name, value in helps.items()},
        },
    }
    print(json.dumps(result))
    return 0


def seconds(*argv: str) -> float:
    """Wall-clock time of one Python process."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *argv], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())

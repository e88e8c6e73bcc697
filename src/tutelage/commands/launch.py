"""`tutelage launch`: one recipe on several processes of this machine, which train one student."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from types import FrameType
from typing import Annotated

from pydantic import PositiveInt
from tyro.conf import Positional

from tutelage.config import Config, UserError, nearest
from tutelage.recipes import RECIPES
from tutelage.train.signals import EXIT_STATUS


class Launch(Config):
    """Start a recipe on several processes: GPUs where there are any, else CPU cores."""

    command: Annotated[tuple[str, ...], Positional] = ()
    """The recipe and its options, as after `tutelage`."""
    processes: PositiveInt = 2
    """Processes to start; with GPUs, one for each."""

    def run(self) -> int:
        """Run the recipe under torchrun; returns its exit status."""
        import torch

        from tutelage.commands.arguments import parse

        if not self.command or self.command[0] not in RECIPES:
            given = self.command[0] if self.command else ""
            raise UserError(
                f"launch needs a recipe and its options, such as: tutelage launch --processes 2 "
                f"pretrain --steps 100.{nearest(given, RECIPES)}"
            )
        name, *rest = self.command
        recipe = RECIPES[name]
        try:
            parse(
                recipe.config_class(),
                rest,
                prog=f"tutelage {name}",
                presets=recipe.presets(),
                is_recipe=True,
            )
        except SystemExit as stop:
            return int(stop.code or 0)
        gpus = torch.cuda.device_count()
        if 0 < gpus < self.processes:
            raise UserError(f"--processes {self.processes}, but there are {gpus} GPUs. Lower it.")
        environment = dict(os.environ)
        if not gpus:
            cores = max(1, (os.cpu_count() or 1) // self.processes)
            environment.setdefault("OMP_NUM_THREADS", str(cores))
        launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        workers = [f"--nproc-per-node={self.processes}", "-m", "tutelage"]
        return supervise([*launcher, *workers, *self.command], environment)


def supervise(command: list[str], environment: dict[str, str]) -> int:
    """Run a command and pass Ctrl-C and SIGTERM on to it; its exit status, or the signal's.

    It runs in a session of its own, so that a signal reaches its processes once. The handlers are
    set explicitly: a shell starts background jobs with Ctrl-C ignored.
    """
    started: list[subprocess.Popen[bytes]] = []
    received: list[int] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        received.append(number)
        for process in started:
            process.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in EXIT_STATUS}
    try:
        started.append(subprocess.Popen(command, env=environment, start_new_session=True))
        status = started[0].wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return EXIT_STATUS[signal.Signals(received[0])] if received else status

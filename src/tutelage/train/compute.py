"""Where and how a student computes: devices, processes, precision, sharding (Accelerate)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Literal

from tutelage.config import Config, UserError
from tutelage.memory import keep_freed_memory

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "fp32", "bf16", "fp16"]


class ComputeConfig(Config):
    """Precision and sharding; devices and processes come from how the program was launched."""

    precision: Precision = "auto"
    """Number format of matrix products: auto is bf16 where the device multiplies it natively, else
    fp32. Weights and optimiser state are fp32 in all of them."""
    shard: bool = False
    """Shard weights, gradients and optimiser state over the processes (FSDP2)."""
    use_cpu: bool = False
    """Stay on the CPU even if there is a GPU."""

    def build(self) -> Compute:
        """The processes, ready to compute."""
        return Compute(self)


class Compute:
    """This process among all processes: its device, precision, and share of the work."""

    def __init__(self, config: ComputeConfig):
        import torch
        from accelerate import PartialState

        self.config = config
        # Without being told, Accelerate starts each of several processes on a CPU alone.
        on_cpu = config.use_cpu or not torch.accelerator.is_available()
        self.state = PartialState(cpu=on_cpu)
        self.device: torch.device = torch.device(self.state.device or "cpu")
        if self.device.type == "cpu":
            keep_freed_memory()
        self.precision = resolve_precision(config, self.device)
        self.scaler = torch.amp.GradScaler("cuda") if self.precision == "fp16" else None
        expected = int(os.environ.get("WORLD_SIZE", "1"))
        if self.num_processes != expected:
            raise UserError(
                f"{expected} processes were launched, but each would train alone. "
                "Start them with: tutelage launch --processes N …"
            )
        if config.shard and self.num_processes == 1:
            raise UserError(
                "--compute.shard needs more than one process. "
                "Start them with: tutelage launch --processes N …"
            )

    @property
    def rank(self) -> int:
        """Number of this process, from 0."""
        return self.state.process_index

    @property
    def num_processes(self) -> int:
        """Processes that train one student together."""
        return self.state.num_processes

    @property
    def is_main(self) -> bool:
        """Whether this process writes files."""
        return self.state.is_main_process

    def autocast(self) -> torch.autocast:
        """Inside, matrix products are computed in the run's precision."""
        import torch

        dtype = torch.float16 if self.precision == "fp16" else torch.bfloat16
        return torch.autocast(self.device.type, dtype, enabled=self.precision != "fp32")

    def backward(self, loss: torch.Tensor) -> None:
        """Add a loss's gradients to those of the student."""
        (loss if self.scaler is None else self.scaler.scale(loss)).backward()

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Take fp16's loss scale out of the gradients, before they are clipped."""
        if self.scaler is not None:
            self.scaler.unscale_(optimizer)

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Update the weights; in fp16, not when gradients overflowed."""
        if self.scaler is None:
            optimizer.step()
        else:
            self.scaler.step(optimizer)
            self.scaler.update()

    def place(self, student: torch.nn.Module, *, has_idle: bool = False) -> torch.nn.Module:
        """The student on its device, wrapped for the processes that share it.

        Args:
            student: A module.
            has_idle: Whether some steps leave parameters, such as a value head, without gradients.
        """
        from torch.nn.parallel import DistributedDataParallel

        student = student.to(self.device)
        if self.config.shard:
            return _shard(student)
        if self.num_processes == 1:
            return student
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(
            student,
            device_ids=devices,
            forward_sync_buffers=False,
            find_unused_parameters=has_idle,
        )

    def gradients_local(self, student: torch.nn.Module) -> AbstractContextManager[None]:
        """Inside, a backward pass adds to this process's gradients without averaging them."""
        from torch.nn.parallel import DistributedDataParallel

        return student.no_sync() if isinstance(student, DistributedDataParallel) else nullcontext()

    @contextmanager
    def gathered(self, student: torch.nn.Module) -> Iterator[None]:
        """Inside, a sharded student's inner model can be called by itself, as often as one likes.

        All processes gather all weights once; after that none waits for another.
        """
        if not self.config.shard:
            yield
            return
        from torch.distributed.fsdp import FSDPModule

        shards = [module for module in student.modules() if isinstance(module, FSDPModule)]
        for shard in shards:
            shard.set_reshard_after_forward(False, recurse=False)
            shard.unshard()
        try:
            yield
        finally:
            for shard in shards:
                shard.set_reshard_after_forward(shard is not student, recurse=False)
                shard.reshard()

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """The sum of a small tensor over all processes, in place."""
        import torch

        if self.num_processes > 1:
            torch.distributed.all_reduce(tensor)
        return tensor

    def collect(self, rows: list[Any]) -> list[Any]:
        """The rows of all processes, in their order."""
        from accelerate.utils import gather_object

        return gather_object(rows) if self.num_processes > 1 else rows

    def describe(self) -> str:
        """Device, precision and processes, for people."""
        processes = f", {self.num_processes} processes" if self.num_processes > 1 else ""
        sharded = ", sharded" if self.config.shard else ""
        return f"{self.device.type} in {self.precision}{processes}{sharded}"

    def from_main(self, value: str) -> str:
        """The main process's value, on all processes."""
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([value])[0]

    def barrier(self) -> None:
        """Wait for all processes."""
        self.state.wait_for_everyone()


def resolve_precision(
    config: ComputeConfig, device: torch.device
) -> Literal["fp32", "bf16", "fp16"]:
    """What `auto` means on this device; fp16 is refused where its loss scaling can't work."""
    import torch

    if config.precision == "fp16" and (device.type != "cuda" or config.shard):
        raise UserError(
            "--compute.precision fp16 needs a GPU, and no sharding: it scales the loss. "
            "Use auto, bf16 or fp32."
        )
    if config.precision != "auto":
        return config.precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported() else "fp32"


def unwrap(student: torch.nn.Module) -> torch.nn.Module:
    """The student inside what `Compute.place` made."""
    from torch.nn.parallel import DistributedDataParallel

    return student.module if isinstance(student, DistributedDataParallel) else student


def _shard(student: torch.nn.Module) -> torch.nn.Module:
    """Shard every transformer block and the rest over all processes (FSDP2)."""
    import torch
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    kind = next(student.parameters()).device.type
    mesh = init_device_mesh(kind, (torch.distributed.get_world_size(),))
    names = set(getattr(student.model, "_no_split_modules", None) or ())
    for module in list(student.modules()):
        if type(module).__name__ in names:
            fully_shard(module, mesh=mesh)
    fully_shard(student, mesh=mesh)
    with torch.no_grad():
        # The first forward pass decides what the root is: it must not be that of an inner model.
        student(torch.zeros(1, 2, dtype=torch.long, device=kind))
    student.reshard()  # pyright: ignore[reportCallIssue]: fully_shard made it an FSDPModule
    return student
